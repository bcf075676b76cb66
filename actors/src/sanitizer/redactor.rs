//! The compiled form of a set of values, and what is done with a whole text.

use std::ops::Range;

use super::counts::{Counts, tally};
use super::intervals::{self, Hit};
use super::marker::{self, Markers};
use super::needles::Needles;
use super::scan::{Scan, Work, scan, scan_long};
use crate::domain::{CredentialName, Secret};

/// How far one part of a long value may be from the next.
const REACH: usize = 4;

/// Finds every value of one set of credentials, in every form, in one go.
#[derive(Default)]
pub struct Redactor {
    names: Vec<CredentialName>,
    /// What stands in the place of each credential's value.
    markers: Vec<String>,
    needles: Needles,
}

impl Redactor {
    /// Compiles a set. Empty values match nothing; a value that is there twice counts for its first name.
    pub fn compile<'a>(secrets: impl Iterator<Item = (&'a CredentialName, &'a Secret)>) -> Self {
        let (names, values): (Vec<_>, Vec<_>) = secrets.filter(|(_, value)| !value.expose().is_empty()).unzip();
        let values: Vec<&str> = values.into_iter().map(Secret::expose).collect();
        let markers: Vec<String> = values.iter().map(|value| marker::of(value)).collect();
        let known = Markers::of(markers.iter().cloned());
        Self {
            names: names.into_iter().cloned().collect(),
            markers,
            needles: Needles::compile((0..).zip(values.iter().copied()), known),
        }
    }

    /// Bytes of memory it takes.
    pub fn memory(&self) -> usize {
        let texts = self.names.iter().map(|name| name.as_str().len() + 48).sum::<usize>();
        self.needles.memory() + texts + self.markers.len() * 48
    }

    /// What a cut may have taken of a value, or of something encoded that holds it: so much is not shown beside a cut.
    pub(super) fn at_risk(&self) -> usize {
        let encoded = self.needles.index.longest().max(self.needles.raw.longest()) * 4;
        self.needles.exact.longest().saturating_sub(1).max(encoded)
    }

    /// Searches `text`; `more`: text may follow.
    pub(super) fn search(&self, text: &[u8], more: bool) -> Scan {
        scan(&self.needles, text, more, &mut Work::for_text(text))
    }

    /// As [`Self::search`], but for values too short to be told from anything else outside a string.
    pub(super) fn search_long(&self, text: &[u8]) -> Scan {
        scan_long(&self.needles, text, &mut Work::for_text(text))
    }

    /// As [`Self::search`], and tells what that took.
    #[cfg(test)]
    pub(super) fn work(&self, text: &[u8]) -> (Scan, Work) {
        let mut work = Work::for_text(text);
        let scan = scan(&self.needles, text, false, &mut work);
        (scan, work)
    }

    /// What to replace because of what `scan` found to begin before `end`, merged.
    pub(super) fn hits(&self, scan: &Scan, end: usize) -> Vec<Hit> {
        let found = scan.found.iter().take_while(|found| found.range.start < end);
        let hits = found.filter_map(|found| {
            let (credential, reach) = self.owner(found.part)?;
            Some(Hit { range: found.range.clone(), within: found.within, credential: Some(credential), reach })
        });
        intervals::merge(hits)
    }

    /// Counts what `scan` found before `end` for `field`.
    pub(super) fn count(&self, scan: &Scan, end: usize, field: &'static str, counts: &mut Counts) {
        let shown = scan.found.partition_point(|found| found.range.start < end);
        let found = scan.found.get(..shown).unwrap_or_default();
        tally(
            found,
            |part| self.owner(part),
            |credential, form, times| {
                if let Some(name) = self.names.get(credential as usize) {
                    counts.add(field, name, form, times);
                }
            },
        );
    }

    fn owner(&self, part: u32) -> Option<(u32, usize)> {
        let known = self.needles.known(part)?;
        Some((known.credential, if known.part.stretch { REACH } else { 0 }))
    }

    /// True when no value stands in `text`, in any form.
    pub(super) fn is_clean(&self, text: &[u8]) -> bool {
        self.search(text, false).found.is_empty()
    }

    /// Where values stand in `text`, merged, and each counted for `field`.
    pub(super) fn find(&self, text: &[u8], field: &'static str, counts: &mut Counts) -> Vec<Hit> {
        let scan = self.search(text, false);
        self.count(&scan, text.len(), field, counts);
        self.hits(&scan, usize::MAX)
    }

    /// `text` with every value replaced.
    pub fn scrub(&self, text: &str, field: &'static str, counts: &mut Counts) -> String {
        let hits = self.find(text.as_bytes(), field, counts);
        if hits.is_empty() {
            return text.to_owned();
        }
        lossy(self.replaced(text.as_bytes(), 0..text.len(), &hits, &mut None))
    }

    pub(super) fn marker(&self, hit: &Hit) -> &str {
        let marker = hit.credential.and_then(|credential| self.markers.get(credential as usize));
        marker.map_or(marker::OF_SEVERAL, String::as_str)
    }

    /// The bytes of `text` in `part`, with every hit that begins in it replaced by its marker; of hits of one credential that
    /// touch, by one. `part` must not begin or end inside one. `after`: whose marker was the last thing before `part`, and
    /// then, whose is the last thing in it.
    pub(super) fn replaced(&self, text: &[u8], part: Range<usize>, hits: &[Hit], after: &mut Option<u32>) -> Vec<u8> {
        let mut out = Vec::with_capacity(part.len());
        let mut from = part.start;
        for hit in hits.iter().filter(|hit| part.start <= hit.range.start && hit.range.start < part.end) {
            let between = text.get(from..hit.range.start).unwrap_or_default();
            out.extend_from_slice(between);
            if !between.is_empty() || !hit.is_of(*after) {
                out.extend_from_slice(self.marker(hit).as_bytes());
            }
            (from, *after) = (hit.range.end, hit.credential);
        }
        let rest = text.get(from..part.end).unwrap_or_default();
        if !rest.is_empty() {
            *after = None;
        }
        out.extend_from_slice(rest);
        out
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor of {} values", self.names.len())
    }
}

/// What is not UTF-8 becomes U+FFFD.
pub(super) fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
