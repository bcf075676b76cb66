//! One text searched in every way there is.

use std::ops::Range;

use super::decode::inflate::MOST_COMPRESSED;
use super::decode::{self, escapes, inflate, integers, runs, zones};
use super::form::Form;
use super::held::hold;
use super::index::SHORTEST;
use super::needles::{Known, Needles};
use super::parts::Freedom;
use super::squeeze::Squeezed;

/// How deep something may be encoded in something encoded.
const DEEPEST: u32 = 3;
/// Bytes that may stand between two characters of a value, and so many for each that the value itself has there.
pub(super) const LONGEST_GAP: usize = 16;
/// What one compressed text may expand to, in bytes; all of them in one text may expand to that and so many times the text.
const EXPANDED: usize = 2 * 1024 * 1024;
const EXPANDED_TIMES: usize = 16;
/// Hits before one that are looked at to see whether it is another way to find the same.
const NEAR: usize = 16;
/// What may be decoded of one text: so many times its own bytes, and this many more. An ordinary text never gets there.
const DECODED_TIMES: usize = 12;
const DECODED_MORE: usize = 64 * 1024;

/// A value that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) range: Range<usize>,
    /// Where that begins that was decoded to find it, or itself: without its beginning it may not be found.
    pub(super) within: usize,
    pub(super) part: u32,
    pub(super) form: Form,
    /// How often in a row.
    pub(super) count: u64,
}

impl Found {
    fn at(range: Range<usize>, part: u32, form: Form) -> Self {
        Self { within: range.start, range, part, form, count: 1 }
    }
}

/// What was found in a text, and from where on it may belong to something that more text would complete.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) found: Vec<Found>,
    /// From here on a value may begin.
    pub(super) value_open: usize,
    /// From here on something encoded may begin.
    pub(super) open: usize,
    /// Where markers stand, if text may follow.
    markers: Vec<Range<usize>>,
}

impl Scan {
    /// The beginning of the marker that `at` is inside of, else `at`: half a marker is none, and is looked into.
    pub(super) fn not_in_a_marker(&self, at: usize) -> usize {
        let after = self.markers.partition_point(|marker| marker.end <= at);
        self.markers.get(after).map_or(at, |marker| marker.start.min(at))
    }
}

/// What a scan may still do, and what it did.
#[derive(Debug)]
pub(super) struct Work {
    decode: usize,
    expand: usize,
    /// Bytes searched, bytes read to be decoded, fingerprints taken: what a test counts instead of the time.
    pub(super) searched: u64,
    pub(super) read: u64,
    pub(super) fingerprints: u64,
}

impl Work {
    pub(super) fn for_text(text: &[u8]) -> Self {
        let decode = text.len().saturating_mul(DECODED_TIMES).saturating_add(DECODED_MORE);
        let expand = text.len().saturating_mul(EXPANDED_TIMES).saturating_add(EXPANDED);
        Self { decode, expand, searched: 0, read: 0, fingerprints: 0 }
    }

    /// Whether that much may be decoded.
    fn allows(&mut self, bytes: usize) -> bool {
        let allowed = bytes <= self.decode;
        self.decode = self.decode.saturating_sub(bytes);
        allowed
    }
}

/// Searches `text`. `more`: text may follow, so say from where on something is open.
pub(super) fn scan(needles: &Needles, text: &[u8], more: bool, work: &mut Work) -> Scan {
    let mut scan = Scan { value_open: text.len(), open: text.len(), ..Scan::default() };
    if !needles.is_empty() {
        Scanner { needles, text, more, depth: 0, least: 0 }.all(&mut scan, work);
        if more {
            scan.settle(text);
        }
    }
    scan.found.sort_unstable_by_key(|found| (found.range.start, found.form, found.part));
    scan
}

/// As [`scan`], but for values too short for anything but a search for them as they are.
pub(super) fn scan_long(needles: &Needles, text: &[u8], work: &mut Work) -> Scan {
    let mut scan = Scan::default();
    if !needles.is_empty() {
        Scanner { needles, text, more: false, depth: 0, least: SHORTEST }.all(&mut scan, work);
    }
    scan.found.sort_unstable_by_key(|found| (found.range.start, found.form, found.part));
    scan
}

struct Scanner<'a> {
    needles: &'a Needles,
    text: &'a [u8],
    more: bool,
    depth: u32,
    /// Values shorter than this are left alone: inside something encoded, bytes that mean nothing abound, and a short value
    /// would be found among them by chance.
    least: usize,
}

impl Scanner<'_> {
    fn all(&self, scan: &mut Scan, work: &mut Work) {
        work.searched += self.text.len() as u64;
        let (markers, open_marker) = self.needles.markers.find(self.text);
        self.needles.exact.find(self.text, self.least, |part, form, range| {
            if !overlaps(&markers, &range) {
                add(&mut scan.found, Found::at(range, part, form));
            }
        });
        work.fingerprints += self.needles.raw.find(self.text, |needle, range| {
            if !overlaps(&markers, &range) {
                scan.found.push(Found::at(range, needle.part, needle.form));
            }
        });
        let squeezed = Squeezed::new(self.text, &markers);
        let mut known = Vec::new();
        work.fingerprints += self.needles.index.find(squeezed.bytes(), |needle, letters| {
            let origin = squeezed.origin(self.text, letters.clone());
            if let Some((range, form)) = self.accepted(needle.part, needle.form, origin) {
                scan.found.push(Found::at(self.widened(range, form), needle.part, form));
                known.push(letters);
            }
        });
        if self.more {
            let before_escape = escapes::open_escape(self.text);
            scan.hold(before_escape);
            scan.hold_value(open_marker);
            scan.markers = markers;
            hold(self.needles, self.text, &squeezed, scan);
            if before_escape < self.text.len() {
                // What may turn out to be an escape may not be what it looks like.
                let text = self.text.get(..before_escape).unwrap_or_default();
                hold(self.needles, text, &Squeezed::new(text, &self.needles.markers.find(text).0), scan);
            }
        }
        if self.depth < DEEPEST {
            self.escapes(scan, work);
            self.zones(&squeezed, known, scan, work);
            self.integers(&squeezed, scan, work);
        }
    }

    /// Where a needle is taken to stand, and in what form; `None` if that is ordinary text.
    fn accepted(&self, part: u32, form: Form, origin: Range<usize>) -> Option<(Range<usize>, Form)> {
        let known = self.needles.known(part)?;
        let there = self.text.get(origin.clone())?;
        let (gaps, longest) = gaps(there);
        let between = LONGEST_GAP * (known.gap + 1);
        if longest > between {
            return self.literal(known, &origin).map(|range| (range, Form::Literal));
        }
        let dense = known.part.freedom != Freedom::Word || gaps * 2 >= known.letters;
        match form {
            Form::Literal | Form::Case | Form::Escaped => {
                if let Some(range) = self.literal(known, &origin) {
                    return Some((range, Form::Literal));
                }
                if form == Form::Escaped && gaps * 2 < known.letters {
                    return Some((origin, Form::Escaped));
                }
                let form = spelled(known, there);
                (form != Form::Separated || dense).then_some((origin, form))
            }
            Form::Reversed => (gaps == 0 || dense || same_gaps(known, gaps)).then_some((origin, Form::Reversed)),
            other => Some((origin, other)),
        }
    }

    fn literal(&self, known: &Known, origin: &Range<usize>) -> Option<Range<usize>> {
        let value = known.part.text.as_bytes();
        let lead = value.iter().position(|byte| is_letter(*byte))?;
        let start = origin.start.checked_sub(lead)?;
        self.text.get(start..)?.starts_with(value).then_some(start..start + value.len())
    }

    /// With the characters beside it that hold some bits of it. In what was decoded nothing says whether they do, or belong
    /// to the word beside it.
    fn widened(&self, origin: Range<usize>, form: Form) -> Range<usize> {
        if self.depth > 0 || !matches!(form, Form::Base32 | Form::Base64 | Form::Utf16) {
            return origin;
        }
        let encoded =
            |at: Option<usize>| at.and_then(|at| self.text.get(at)).is_some_and(|byte| runs::in_alphabet(*byte));
        let start = origin.start - usize::from(encoded(origin.start.checked_sub(1)));
        start..origin.end + usize::from(encoded(Some(origin.end)))
    }

    fn escapes(&self, scan: &mut Scan, work: &mut Work) {
        // What may turn out to be an escape is not looked at as something else. Colours are those of what is printed.
        let end = if self.more { escapes::open_escape(self.text) } else { self.text.len() };
        let Some(unescaped) = self.text.get(..end).and_then(|text| escapes::Unescaped::new(text, self.depth == 0))
        else {
            return;
        };
        if !work.allows(unescaped.bytes.len()) {
            return;
        }
        let mut inner = Scan { value_open: unescaped.bytes.len(), open: unescaped.bytes.len(), ..Scan::default() };
        let scanner = Scanner {
            needles: self.needles,
            text: &unescaped.bytes,
            more: self.more,
            depth: self.depth + 1,
            least: SHORTEST,
        };
        scanner.all(&mut inner, work);
        for found in inner.found {
            let inner_len = found.range.len();
            let range = unescaped.origin(found.range);
            let within = unescaped.origin(found.within..found.within + 1).start.min(range.start);
            // Every character escaped is no need of any language.
            let form = match found.form.inside(Form::Escaped) {
                Form::Escaped if range.len() - unescaped.removed(&range) >= inner_len * 2 => Form::Hex,
                form => form,
            };
            scan.found.push(Found { range, within, form, ..found });
        }
        let open = inner.open.min(inner.value_open);
        if self.more && open < unescaped.bytes.len() {
            scan.hold(unescaped.origin(open..open + 1).start);
        }
    }

    /// `known`: of which letters it is known already what they are.
    fn zones(&self, squeezed: &Squeezed, mut known: Vec<Range<usize>>, scan: &mut Scan, work: &mut Work) {
        let zones = zones::zones(squeezed.bytes());
        if zones.is_empty() {
            return;
        }
        known.sort_unstable_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
        let direct = scan.found.len();
        // Of compressed data in compressed data hardly more than one is any: each attempt costs what it is long.
        let (mut attempts, mut end) = (0, 0);
        let mut wholes = runs::Wholes::default();
        for zone in zones {
            // What was found to be a value as a whole need not be decoded.
            let core = zone.core();
            let first = known.partition_point(|known| known.start <= core.start);
            if known.get(..first).unwrap_or_default().iter().rev().take(4).any(|known| core.end <= known.end) {
                continue;
            }
            let place = squeezed.origin(self.text, zone.range.clone());
            let core = squeezed.origin(self.text, core);
            if zone.kind == zones::Kind::Compressed {
                attempts = if place.start < end { attempts + 1 } else { 0 };
                if attempts > MOST_COMPRESSED {
                    continue;
                }
            }
            for (run, decoded) in runs::decoded(self.text, &zone, place.clone(), core, &mut wholes) {
                for decoded in &decoded {
                    if decoded.compressed {
                        end = end.max(run.end());
                        let reaches = self.text.len() - run.end() <= LONGEST_GAP;
                        let may_go_on =
                            || inflate::may_go_on(&inflate::members(&decoded.bytes, EXPANDED), &decoded.bytes);
                        if self.more && reaches && may_go_on() {
                            scan.hold(place.start);
                        }
                    }
                    if work.allows(decoded.bytes.len()) {
                        self.inner(&decoded.bytes, decoded.compressed, place.start, scan, work, &|found| {
                            run.origin(decoded, found)
                        });
                    }
                }
            }
        }
        work.read += wholes.read;
        let decoded = scan.found.split_off(direct);
        once_only(&mut scan.found, decoded);
    }

    fn integers(&self, squeezed: &Squeezed, scan: &mut Scan, work: &mut Work) {
        let digits = integers::digits(squeezed.bytes());
        let lists = digits.flat_map(|digits| integers::lists(self.text, squeezed.origin(self.text, digits)));
        for list in lists.chain(integers::hexadecimal(self.text)) {
            // Text may begin as compressed data does. Of what is no list, zones say which part of it is text.
            let text = decode::has_text(&list.bytes, SHORTEST - 2).then_some(false);
            for compressed in text.into_iter().chain(list.compressed.then_some(true)) {
                if work.allows(list.bytes.len()) {
                    self.inner(&list.bytes, compressed, list.start(), scan, work, &|found| list.origin(found));
                }
            }
        }
    }

    /// Searches what was decoded. Of compressed data, which has no places, all is taken.
    fn inner(
        &self,
        bytes: &[u8],
        compressed: bool,
        within: usize,
        scan: &mut Scan,
        work: &mut Work,
        origin: &dyn Fn(Range<usize>) -> Range<usize>,
    ) {
        if !compressed {
            return self.inside(bytes, Form::Nested, within, scan, work, origin);
        }
        for member in inflate::members(bytes, EXPANDED.min(work.expand)) {
            work.expand -= member.bytes.len();
            let all = member.data.start..member.data.end.max(member.data.start + 1);
            self.inside(&member.bytes, Form::Compressed, within, scan, work, &|_| origin(all.clone()));
        }
    }

    fn inside(
        &self,
        bytes: &[u8],
        outer: Form,
        within: usize,
        scan: &mut Scan,
        work: &mut Work,
        origin: &dyn Fn(Range<usize>) -> Range<usize>,
    ) {
        // UTF-16 and UTF-32 of text: without their zeros they are text.
        let zeros = memchr::memchr_iter(0, bytes).count();
        let narrowed: Option<(Vec<u8>, Vec<usize>)> =
            (zeros * 4 >= bytes.len()).then(|| bytes.iter().copied().zip(0..).filter(|(byte, _)| *byte != 0).unzip());
        let text = narrowed.as_ref().map_or(bytes, |(bytes, _)| bytes.as_slice());
        let widened = |range: Range<usize>| match &narrowed {
            Some((_, places)) => {
                let place = |at: usize| places.get(at).or(places.last()).copied().unwrap_or(0);
                place(range.start)..place(range.end.saturating_sub(1)) + 1
            }
            None => range,
        };
        let mut inner = Scan::default();
        Scanner { needles: self.needles, text, more: false, depth: self.depth + 1, least: SHORTEST }
            .all(&mut inner, work);
        for found in inner.found {
            let (range, form) = (origin(widened(found.range)), found.form.inside(outer));
            scan.found.push(Found { range, within, part: found.part, form, count: 1 });
        }
    }
}

/// Adds what was found as it is: one after the other without anything between is one, found several times.
fn add(all: &mut Vec<Found>, found: Found) {
    match all.last_mut() {
        Some(last) if last.part == found.part && last.form == found.form && found.range.start <= last.range.end => {
            last.count += u64::from(found.range.start == last.range.end);
            last.range.end = last.range.end.max(found.range.end);
        }
        _ => all.push(found),
    }
}

/// Adds what was found by decoding. What was found as it is, and again in what it decodes to, is one, and so is what can be
/// decoded in two ways: the longer one has some letters more that are none of it.
fn once_only(all: &mut Vec<Found>, mut decoded: Vec<Found>) {
    let reach = LONGEST_GAP + 1;
    let again = |one: &Found, other: &Found| {
        let (one_range, other_range) = (&one.range, &other.range);
        let compressed = one.form == Form::Compressed || other.form == Form::Compressed;
        one.part == other.part
            && !compressed
            && one_range.start < other_range.end
            && other_range.start < one_range.end
            && other_range.start.abs_diff(one_range.start) <= reach
            && one_range.end.abs_diff(other_range.end) <= reach
    };
    // In order of their places, so that only those near it are looked at.
    all.sort_unstable_by_key(|found| found.range.start);
    decoded.sort_unstable_by_key(|found| (found.range.start, found.range.end));
    let mut kept: Vec<Found> = Vec::new();
    for found in decoded {
        let end = all.partition_point(|before| before.range.start < found.range.end);
        if all.get(end.saturating_sub(NEAR)..end).unwrap_or_default().iter().any(|before| again(&found, before)) {
            continue;
        }
        match kept.iter_mut().rev().take(NEAR).find(|before| again(&found, before)) {
            Some(before) if found.range.len() < before.range.len() => *before = found,
            Some(_) => {}
            None => kept.push(found),
        }
    }
    all.append(&mut kept);
}

fn overlaps(markers: &[Range<usize>], range: &Range<usize>) -> bool {
    let after = markers.partition_point(|marker| marker.end <= range.start);
    markers.get(after).is_some_and(|marker| marker.start < range.end)
}

pub(super) fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// How often something stands between letters and digits, and the longest such thing in bytes.
pub(super) fn gaps(text: &[u8]) -> (usize, usize) {
    let (mut gaps, mut longest, mut current) = (0, 0, 0usize);
    for &byte in text {
        if is_letter(byte) {
            current = 0;
        } else {
            gaps += usize::from(current == 0);
            current += 1;
            longest = longest.max(current);
        }
    }
    (gaps, longest)
}

/// As many things between as the value has itself.
fn same_gaps(known: &Known, found: usize) -> bool {
    gaps(known.part.text.as_bytes()).0 == found
}

/// The form of a text that has the letters and digits of a value in order, but is not the value.
fn spelled(known: &Known, there: &[u8]) -> Form {
    let value = known.part.text.as_str();
    let core = value.trim_matches(|character: char| !character.is_alphanumeric());
    let there = String::from_utf8_lossy(there);
    if there.to_lowercase() == core.to_lowercase() || there.to_uppercase() == core.to_uppercase() {
        return Form::Case;
    }
    let bare = |text: &str| text.chars().filter(|c| !matches!(c, '\\' | '"' | '\'')).collect::<String>();
    if bare(&there) == bare(core) { Form::Escaped } else { Form::Separated }
}
