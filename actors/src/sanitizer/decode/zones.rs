//! Where a squeezed text looks encoded: stretches that decode to text from base64 (forwards or backwards), hexadecimal or
//! base32, and the first characters of compressed data. Since separators and line ends are gone from a squeezed text, it
//! does not matter how something encoded was wrapped or spaced.
//!
//! [`Roles`] says where a look is worth it; this says whether something is there, and from where to where.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::roles::{AHEAD, BASE32, BEHIND, FIRST, HEX, HIGH, Roles, SECOND, THIRD, can_be, places, role};
use super::runs::{self, LONGEST_RUN};

/// Bytes to a block of roles.
const BLOCK: usize = 1024;
/// Quads in a row that make a zone.
const QUADS: usize = 3;
/// Characters in a row, of what a zone decodes to, that are text.
const TEXT: usize = 8;
/// Hexadecimal digits in a row, and characters of base32, that make a zone.
const DIGITS: usize = 16;
const BASE32_ROW: usize = 16;

/// What a zone was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::sanitizer) enum Kind {
    /// Base64 of text.
    Base64,
    /// The same, backwards.
    Backwards,
    /// Hexadecimal digits of text.
    Hex,
    /// Base32 of text.
    Base32,
    /// Compressed data from here on, in base64 or hexadecimal.
    Compressed,
}

/// A stretch of the squeezed text. Of compressed data only the first characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sanitizer) struct Zone {
    pub(in crate::sanitizer) range: Range<usize>,
    pub(in crate::sanitizer) kind: Kind,
    /// Of base64: how many letters and digits in `range` are read before the first whole quad, and after the last one. They
    /// may belong to it, or be a word that stands beside it.
    pub(in crate::sanitizer) first: usize,
    pub(in crate::sanitizer) last: usize,
}

impl Zone {
    /// The part of `range` that certainly belongs to it.
    pub(in crate::sanitizer) fn core(&self) -> Range<usize> {
        let (before, after) =
            if self.kind == Kind::Backwards { (self.last, self.first) } else { (self.first, self.last) };
        self.range.start + before..self.range.end - after
    }
}

/// The zones of a squeezed text, by kind in order of their places.
pub(in crate::sanitizer) fn zones(squeezed: &[u8]) -> Vec<Zone> {
    let mut search = Search { squeezed, ends: [0; 10], found: Vec::new() };
    let mut buffer = [0u8; BEHIND + BLOCK + AHEAD];
    for (number, block) in squeezed.chunks(BLOCK).enumerate() {
        let from = number * BLOCK;
        buffer.copy_within(BLOCK..BLOCK + BEHIND, 0);
        let there = squeezed.get(from..squeezed.len().min(from + BLOCK + AHEAD)).unwrap_or_default();
        let (_, roles) = buffer.split_at_mut(BEHIND);
        for (place, byte) in roles.iter_mut().zip(there) {
            *place = role(*byte);
        }
        roles.get_mut(there.len()..).unwrap_or_default().fill(0);
        for at in (0..block.len()).step_by(8) {
            let Some(roles) = buffer.get(at..).and_then(<[u8]>::first_chunk) else { break };
            let roles = Roles::of(roles);
            if roles.may_begin_something() {
                search.look(from + at, roles);
            }
        }
    }
    for magic in GZIP.iter() {
        search.found.extend(magic.find_iter(squeezed).map(|at| Zone {
            range: at..at + magic.needle().len(),
            kind: Kind::Compressed,
            first: 0,
            last: 0,
        }));
    }
    search.found
}

/// How gzip data begins in base64 and in hexadecimal.
static GZIP: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| [b"H4sI".as_slice(), b"1f8b08", b"1F8B08"].map(Finder::new));

struct Search<'a> {
    squeezed: &'a [u8],
    /// Up to where zones of a kind and alignment were found.
    ends: [usize; 10],
    found: Vec<Zone>,
}

impl Search<'_> {
    #[inline(never)]
    fn look(&mut self, from: usize, roles: Roles<'_>) {
        for at in places(roles.quads()) {
            self.quads(from + at, at % 4, Kind::Base64);
        }
        for at in places(roles.backwards()) {
            // The fourth comes first, if it is there; then the third and the second.
            let at = (from + at).checked_sub(3).unwrap_or(from + at + 1);
            self.quads(at, 4 + at % 4, Kind::Backwards);
        }
        for at in places(roles.zlib()).map(|at| from + at) {
            if is_zlib(self.squeezed.get(at..).unwrap_or_default()) {
                self.found.push(Zone { range: at..at + 4, kind: Kind::Compressed, first: 0, last: 0 });
            }
        }
        if roles.are_digits() {
            self.row(from, 8, DIGITS, Kind::Hex, HEX);
        }
        if roles.is_base32() {
            self.row(from, 9, BASE32_ROW, Kind::Base32, BASE32);
        }
    }

    /// All quads in a row around `at`, and what is left of one on both sides.
    fn quads(&mut self, at: usize, end: usize, kind: Kind) {
        let Some(end) = self.ends.get_mut(end).filter(|end| **end <= at) else { return };
        let (text, is) = (self.squeezed, |at: usize| is_quad(self.squeezed, at, kind));
        let (mut start, mut stop) = (at, at);
        while start >= *end + 4 && is(start - 4) {
            start -= 4;
        }
        while is(stop) && stop - start < LONGEST_RUN {
            stop += 4;
        }
        *end = stop;
        let alphabet = |byte: &&u8| byte.is_ascii_alphanumeric();
        let before =
            text.get(..start).unwrap_or_default().iter().rev().take(runs::WIDENED).take_while(alphabet).count();
        let after = text.get(stop..).unwrap_or_default().iter().take(runs::WIDENED).take_while(alphabet).count();
        let range = start - before..stop + after;
        let (first, last) = if kind == Kind::Backwards { (after, before) } else { (before, after) };
        if has_text(quads(text.get(start..stop).unwrap_or_default(), kind)) {
            self.found.push(Zone { range, kind, first, last });
        }
    }

    /// All bytes in a row around `at` that have a role.
    fn row(&mut self, at: usize, end: usize, least: usize, kind: Kind, role: u8) {
        let Some(end) = self.ends.get_mut(end).filter(|end| **end <= at) else { return };
        let range = row(self.squeezed, *end, at, role);
        *end = range.end;
        let there = self.squeezed.get(range.clone()).unwrap_or_default();
        let text = |skip: usize, backwards| has_text(pairs(there.get(skip..).unwrap_or_default(), backwards));
        let is_text =
            kind != Kind::Hex || [false, true].iter().any(|backwards| text(0, *backwards) || text(1, *backwards));
        if range.len() >= least && is_text {
            self.found.push(Zone { range, kind, first: 0, last: 0 });
        }
    }
}

/// Whether there is text among the bytes, or text with zeros between.
fn has_text(bytes: impl Iterator<Item = u8>) -> bool {
    let mut row = 0;
    for byte in bytes {
        match byte {
            b'\t' | b'\n' | b'\r' | b' '..=b'~' => row += 1,
            0 => {}
            _ => row = 0,
        }
        if row >= TEXT {
            return true;
        }
    }
    false
}

/// What quads decode to.
fn quads(text: &[u8], kind: Kind) -> impl Iterator<Item = u8> + '_ {
    let (quads, _) = text.as_chunks::<4>();
    let bytes = move |at: usize| {
        let quad =
            quads.get(if kind == Kind::Backwards { quads.len() - 1 - at } else { at }).copied().unwrap_or_default();
        let [one, two, three, four] = quad.map(|byte| u32::from(runs::sextet(byte)));
        let number = match kind {
            Kind::Backwards => four << 18 | three << 12 | two << 6 | one,
            _ => one << 18 | two << 12 | three << 6 | four,
        };
        let [_, first, second, third] = number.to_be_bytes();
        [first, second, third]
    };
    (0..quads.len()).flat_map(bytes)
}

/// What pairs of hexadecimal digits stand for.
fn pairs(digits: &[u8], backwards: bool) -> impl Iterator<Item = u8> + '_ {
    let (pairs, _) = digits.as_chunks::<2>();
    pairs.iter().map(move |[one, two]| {
        let (high, low) = if backwards { (two, one) } else { (one, two) };
        runs::nibble(*high) << 4 | runs::nibble(*low)
    })
}

/// The bytes from `from` on that have a role in a row, around `at`.
fn row(text: &[u8], from: usize, at: usize, role: u8) -> Range<usize> {
    let has = |byte: &&u8| can_be(**byte, role);
    let before = text.get(from..at).unwrap_or_default().iter().rev().take_while(has).count();
    let after = text.get(at..).unwrap_or_default().iter().take(LONGEST_RUN).take_while(has).count();
    at - before..at + after
}

/// Of the quads that stand backwards the fourth character comes first.
fn is_quad(text: &[u8], at: usize, kind: Kind) -> bool {
    let Some(&[one, two, three, four]) = text.get(at..).and_then(<[u8]>::first_chunk) else { return false };
    let [first, second, third, fourth] =
        if kind == Kind::Backwards { [four, three, two, one] } else { [one, two, three, four] };
    can_be(first, FIRST) && can_be(second, SECOND) && can_be(third, THIRD) && fourth.is_ascii_alphanumeric()
}

/// `78 01`, `78 5e`, `78 9c` and `78 da`, in base64 and in hexadecimal.
fn is_zlib(text: &[u8]) -> bool {
    matches!(
        text,
        [b'e', b'A', b'E'..=b'H', ..]
            | [b'e', b'F', b'4'..=b'7', ..]
            | [b'e', b'J', b'w'..=b'z', ..]
            | [b'e', b'N', b'o'..=b'r', ..]
            | [b'7', b'8', b'0', b'1', ..]
            | [b'7', b'8', b'5', b'e' | b'E', ..]
            | [b'7', b'8', b'9', b'c' | b'C', ..]
            | [b'7', b'8', b'd' | b'D', b'a' | b'A', ..]
    )
}

/// Where something begins that the end of the squeezed text may belong to, if more follows; its length if nothing does.
pub(in crate::sanitizer) fn open_zone(squeezed: &[u8]) -> usize {
    let len = squeezed.len();
    let mut open = len;
    for kind in [Kind::Base64, Kind::Backwards] {
        for rest in 0..4 {
            open = open.min(open_quads(squeezed, rest, kind));
        }
    }
    for rest in 0..2 {
        open = open.min(open_pairs(squeezed, rest, [HIGH, HEX])).min(open_pairs(squeezed, rest, [HEX, HIGH]));
    }
    open = open.min(row(squeezed, len.saturating_sub(LONGEST_RUN), len, BASE32).start);
    for magic in [b"H4sI".as_slice(), b"1f8b08", b"1F8B08", b"eJ", b"eN", b"eA", b"eF", b"78"] {
        for begun in 1..=magic.len() {
            if magic.get(..begun).is_some_and(|begun| squeezed.ends_with(begun)) {
                open = open.min(len - begun);
            }
        }
    }
    open
}

/// The beginning of quads in a row that `rest` more bytes, up to the end, may go on.
fn open_quads(text: &[u8], rest: usize, kind: Kind) -> usize {
    let Some(mut at) = text.len().checked_sub(rest) else { return text.len() };
    let begun = text.get(at..).unwrap_or_default();
    let order = if kind == Kind::Backwards { [u8::MAX, THIRD, SECOND] } else { [FIRST, SECOND, THIRD] };
    let may = begun.iter().zip(order).all(|(byte, role)| can_be(*byte, role) || role == u8::MAX);
    let alphabet = |byte: &&u8| byte.is_ascii_alphanumeric();
    let limit = text.len().saturating_sub(LONGEST_RUN);
    let end = at;
    while at >= limit + 4 && is_quad(text, at - 4, kind) {
        at -= 4;
    }
    if at == end || !may && end - at < 4 * QUADS {
        return if may { end } else { text.len() };
    }
    if kind == Kind::Base64 {
        return at;
    }
    // What stands backwards ends here, and its last quad may not be whole.
    at - text.get(..at).unwrap_or_default().iter().rev().take(runs::WIDENED).take_while(alphabet).count()
}

/// The beginning of hexadecimal digits in a row that are text, and that `rest` more digits, up to the end, may go on.
fn open_pairs(text: &[u8], rest: usize, [first, second]: [u8; 2]) -> usize {
    let Some(end) = text.len().checked_sub(rest) else { return text.len() };
    if !text.get(end..).unwrap_or_default().iter().all(|byte| can_be(*byte, first)) {
        return text.len();
    }
    let before = text.get(text.len().saturating_sub(LONGEST_RUN).min(end)..end).unwrap_or_default();
    let (_, pairs) = before.as_rchunks::<2>();
    let text = |[one, two]: &&[u8; 2]| can_be(*one, first) && can_be(*two, second);
    end - 2 * pairs.iter().rev().take_while(text).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(Kind, &str)> {
        zones(text.as_bytes()).into_iter().map(|zone| (zone.kind, text.get(zone.range).unwrap())).collect()
    }

    #[test]
    fn what_is_encoded_is_found_wherever_it_stands() {
        // b64encode(b"some text, encoded"), its hexadecimal, b32encode.
        for (kind, encoded) in [
            (Kind::Base64, "c29tZSB0ZXh0LCBlbmNvZGVk"),
            (Kind::Backwards, "kVGZvNmblBCL0hXZ0BSZt92c"),
            (Kind::Hex, "736f6d6520746578742c20656e636f646564"),
            (Kind::Base32, "ONXW2ZJAOMXW2ZLUNBUW4ZY"),
            (Kind::Compressed, "H4sI"),
            (Kind::Compressed, "eJwr"),
            (Kind::Compressed, "1f8b08"),
            (Kind::Compressed, "789c"),
        ] {
            for before in [0, 1, 2, 7, 8, 9, 1000, 1014, 1015, 1020, 1023, 1024, 1025] {
                let text = format!("{}{encoded}{}", "o".repeat(before), "o".repeat(30));
                let all = found(&text);
                assert!(
                    all.iter()
                        .any(|(k, zone)| *k == kind && zone.contains(&encoded[..encoded.len().min(22) / 2 * 2 - 2])),
                    "{kind:?} after {before}: {all:?}"
                );
                let end = format!("{}{encoded}", "o".repeat(before));
                assert!(found(&end).iter().any(|(k, _)| *k == kind), "{kind:?} after {before} at the end");
                // Whether compressed data goes on is for its decoder to say.
                assert!(
                    open_zone(end.as_bytes()) <= before || kind == Kind::Compressed,
                    "{kind:?} after {before} is not held"
                );
            }
        }
    }

    #[test]
    fn the_shortest_of_each_kind_is_found_at_any_place_and_one_shorter_is_not() {
        // Of 12, 16 and 16 characters.
        for (kind, encoded) in
            [(Kind::Base64, "c29tZSB0ZXh0"), (Kind::Hex, "736f6d6520746578"), (Kind::Base32, "ONXW2ZJAORSXQ5BA")]
        {
            let least = if kind == Kind::Base64 { 4 * QUADS } else { DIGITS };
            assert_eq!(encoded.len(), least);
            for before in 0..40 {
                let text = |encoded: &str| format!("{}{encoded}{}", "v".repeat(before), "v".repeat(20));
                assert!(found(&text(encoded)).iter().any(|(k, _)| *k == kind), "{kind:?} after {before}");
                assert!(found(&text(&encoded[1..])).iter().all(|(k, _)| *k != kind), "{kind:?} after {before}");
            }
        }
    }

    #[test]
    fn words_are_not_encoded() {
        for word in
            ["usrlocallibpython3", "responsibility", "connectionrefused", "INFOrequesthandledbyworker", "typeName"]
        {
            assert_eq!(found(word), [], "{word}");
        }
    }
}
