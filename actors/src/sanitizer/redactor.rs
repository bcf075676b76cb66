//! The compiled form of a set of values.

use std::collections::BTreeMap;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::intervals;
use crate::domain::{CredentialName, Redaction, Secret};

/// What stands in the place of a value.
pub(super) const MARKER: &str = "[REDACTED]";

/// Values of more bytes than this in all are compiled to the kind that takes less memory.
const FASTEST_KIND_BYTES: usize = 8 * 1024;

/// How often each credential was found, in the order of the set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<(&'static str, CredentialName), u64>);

impl Counts {
    fn add(&mut self, field: &'static str, credential: &CredentialName) {
        *self.0.entry((field, credential.clone())).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (row, count) in other.0 {
            *self.0.entry(row).or_default() += count;
        }
    }

    /// As they are stored with an execution.
    pub fn into_redactions(self) -> Vec<Redaction> {
        let rows = self.0.into_iter();
        rows.map(|((field, credential), count)| Redaction {
            field: field.to_owned(),
            credential,
            form: "literal".to_owned(),
            count,
        })
        .collect()
    }
}

/// Finds every value of one set of credentials in one pass, whatever their number.
pub struct Redactor {
    /// `None` when there is nothing to look for.
    automaton: Option<AhoCorasick>,
    /// The credential of each pattern.
    names: Vec<CredentialName>,
    longest: usize,
}

impl Redactor {
    /// Compiles a set. Empty values match nothing; a value that is there twice counts for its first name.
    pub fn compile<'a>(secrets: impl Iterator<Item = (&'a CredentialName, &'a Secret)>) -> Self {
        let (names, values): (Vec<_>, Vec<_>) = secrets.filter(|(_, value)| !value.expose().is_empty()).unzip();
        let patterns: Vec<&str> = values.into_iter().map(Secret::expose).collect();
        // The fastest automaton costs about a kilobyte for each byte of the values, the other kind some tens of bytes.
        let large = patterns.iter().map(|pattern| pattern.len()).sum::<usize>() > FASTEST_KIND_BYTES;
        let kind = large.then_some(AhoCorasickKind::ContiguousNFA);
        let longest = patterns.iter().map(|pattern| pattern.len()).max().unwrap_or(0);
        // Overlapping hits need the standard semantics. Building fails only past 2^31 states, which the limits on
        // values and profiles rule out; should it fail all the same, nothing may leave unscrubbed.
        #[expect(clippy::expect_used, reason = "failing closed: the execution ends, its output is not shown")]
        let automaton = (!patterns.is_empty()).then(|| {
            AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .kind(kind)
                .build(&patterns)
                .expect("the values fit an automaton")
        });
        Self { automaton, names: names.into_iter().cloned().collect(), longest }
    }

    /// The longest value, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// True when no value stands in `text`.
    pub(super) fn is_clean(&self, text: &[u8]) -> bool {
        !self.automaton.as_ref().is_some_and(|automaton| automaton.is_match(text))
    }

    /// Where values stand in `text`, merged, and each hit counted for `field`.
    pub(super) fn find(&self, text: &[u8], field: &'static str, counts: &mut Counts) -> Vec<Range<usize>> {
        let Some(automaton) = self.automaton.as_ref().filter(|automaton| automaton.is_match(text)) else {
            return Vec::new();
        };
        let mut hits = Vec::new();
        for hit in automaton.find_overlapping_iter(text) {
            if let Some(name) = self.names.get(hit.pattern().as_usize()) {
                counts.add(field, name);
            }
            hits.push(hit.range());
        }
        intervals::merge(hits)
    }

    /// `text` with every value replaced.
    pub fn scrub(&self, text: &str, field: &'static str, counts: &mut Counts) -> String {
        let hits = self.find(text.as_bytes(), field, counts);
        if hits.is_empty() {
            return text.to_owned();
        }
        let scrubbed = replaced(text.as_bytes(), 0..text.len(), &hits);
        // A value is whole UTF-8, so what is left between the hits is too.
        String::from_utf8_lossy(&scrubbed).into_owned()
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor of {} values", self.names.len())
    }
}

/// The bytes of `text` in `part`, with every interval of `hits` that begins in it replaced by the marker. `part` must not
/// begin or end inside an interval.
pub(super) fn replaced(text: &[u8], part: Range<usize>, hits: &[Range<usize>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(part.len());
    let mut from = part.start;
    for hit in hits.iter().filter(|hit| part.start <= hit.start && hit.start < part.end) {
        out.extend_from_slice(text.get(from..hit.start).unwrap_or_default());
        out.extend_from_slice(MARKER.as_bytes());
        from = hit.end;
    }
    out.extend_from_slice(text.get(from..part.end).unwrap_or_default());
    out
}
