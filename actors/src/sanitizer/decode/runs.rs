//! The characters of something that looks encoded, and what they decode to.

use std::ops::Range;

use super::inflate;
use super::zones::{Kind, Zone};
use crate::sanitizer::scan::LONGEST_GAP;

/// Longest run that is taken as one.
pub(in crate::sanitizer) const LONGEST_RUN: usize = 256 * 1024;
/// Bytes of something compressed that are looked at first.
const PROBE: usize = 96;
/// Characters after the last whole quad that still belong to a zone.
pub(super) const WIDENED: usize = 4;
/// A byte of which some bits are missing: no letter, and none of UTF-8.
const UNKNOWN: u8 = 0xFF;
/// Characters of text in a row that something decoded has to have to be worth a search.
const TEXT: usize = 8;

/// The value of each character, of base64 and base64url both; 255 for others.
pub(super) const SEXTETS: [u8; 256] = {
    let mut sextets = [255; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0;
    #[expect(clippy::indexing_slicing, reason = "a constant that fails does not compile")]
    {
        while value < 64 {
            sextets[alphabet[value] as usize] = value as u8;
            value += 1;
        }
        sextets[b'-' as usize] = 62;
        sextets[b'_' as usize] = 63;
    }
    sextets
};

pub(super) fn sextet(byte: u8) -> u8 {
    SEXTETS.get(usize::from(byte)).copied().unwrap_or(255)
}

pub(in crate::sanitizer) fn in_alphabet(byte: u8) -> bool {
    sextet(byte) != 255
}

/// Where the word begins that `at` is inside of, or at the end of `text` may go on; else `at`.
pub(in crate::sanitizer) fn begin_of_word(text: &[u8], at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let goes_on = text.get(at).is_none_or(|byte| in_alphabet(*byte));
    if goes_on { at - before.iter().rev().take(LONGEST_RUN).take_while(|byte| in_alphabet(**byte)).count() } else { at }
}

/// Characters of one encoding, and where each stands in the text. Between two of them there is no more than may stand
/// between two characters of a value.
#[derive(Clone)]
pub(in crate::sanitizer) struct Run {
    characters: Vec<u8>,
    places: Vec<usize>,
}

/// Something that was decoded from a run.
pub(in crate::sanitizer) struct Decoded {
    pub(in crate::sanitizer) bytes: Vec<u8>,
    pub(in crate::sanitizer) compressed: bool,
    /// First character, and bits of each.
    first: usize,
    bits: usize,
}

impl Run {
    /// The characters in `range` of `text` that `belongs` to it, up to the first long gap between two of them.
    fn gathered(text: &[u8], range: Range<usize>, belongs: impl Fn(u8) -> bool) -> Self {
        let mut run = Self { characters: Vec::new(), places: Vec::new() };
        let mut last = range.start;
        for (at, byte) in (range.start..).zip(text.get(range).unwrap_or_default()) {
            if belongs(*byte) {
                run.characters.push(*byte);
                run.places.push(at);
                last = at + 1;
            } else if !run.characters.is_empty() && (at - last >= LONGEST_GAP || run.characters.len() >= LONGEST_RUN) {
                break;
            }
        }
        run
    }

    fn len(&self) -> usize {
        self.characters.len()
    }

    /// The place of the last character.
    pub(in crate::sanitizer) fn end(&self) -> usize {
        self.places.last().copied().unwrap_or(0)
    }

    fn reversed(mut self) -> Self {
        self.characters.reverse();
        self.places.reverse();
        self
    }

    /// Where the characters stand from which the bytes `found` of `decoded` came.
    pub(in crate::sanitizer) fn origin(&self, decoded: &Decoded, found: Range<usize>) -> Range<usize> {
        let first = decoded.first + found.start * 8 / decoded.bits;
        let end = (decoded.first + (found.end * 8).div_ceil(decoded.bits)).min(self.len());
        let place = |at: usize| self.places.get(at).or(self.places.last()).copied().unwrap_or(0);
        let (one, other) = (place(first), place(end.saturating_sub(1).max(first)));
        one.min(other)..one.max(other) + 1
    }

    fn digits(&self, value: impl Fn(u8) -> u8) -> Vec<u8> {
        self.characters.iter().map(|byte| value(*byte)).collect()
    }

    /// Without what follows padding among the last `most` characters.
    fn up_to_padding(mut self, text: &[u8], most: usize) -> Self {
        let padding = |index: &usize| {
            let (Some(one), Some(other)) = (self.places.get(*index), self.places.get(index + 1)) else { return false };
            text.get(one.min(other) + 1..*one.max(other)).unwrap_or_default().contains(&b'=')
        };
        if let Some(end) = (self.len().saturating_sub(most)..self.len()).find(padding) {
            self.characters.truncate(end + 1);
            self.places.truncate(end + 1);
        }
        self
    }

    /// With the characters of its first quad that are missing.
    fn padded(mut self, missing: usize) -> Self {
        let first = self.places.first().copied().unwrap_or(0);
        self.characters.splice(0..0, std::iter::repeat_n(b'A', missing));
        self.places.splice(0..0, std::iter::repeat_n(first, missing));
        self
    }

    /// Base64, from the first character on, of which `missing` are none.
    fn base64(&self, missing: usize) -> Decoded {
        let mut bytes = joined(&self.digits(sextet), 0, 6);
        bytes.iter_mut().take((missing * 6).div_ceil(8)).for_each(|byte| *byte = UNKNOWN);
        Decoded { bytes, compressed: false, first: 0, bits: 6 }
    }

    /// Base64, wherever there is text, and compressed data at the beginning of all.
    fn base64_with_text(&self, decoded: &mut Vec<Decoded>) {
        let sextets = self.digits(sextet);
        for (first, text) in alignments_with_text(&sextets).into_iter().enumerate() {
            if text {
                let bytes = joined(&sextets, first, 6);
                decoded.push(Decoded { bytes, compressed: false, first, bits: 6 });
            }
        }
    }

    /// At each place in a group where a character may begin: those with text in them.
    fn with_text(&self, bits: usize, places: usize, value: impl Fn(u8) -> u8, decoded: &mut Vec<Decoded>) {
        let digits = self.digits(value);
        for first in 0..places {
            let bytes = joined(&digits, first, bits as u32);
            if super::has_text(&bytes, TEXT) {
                decoded.push(Decoded { bytes, compressed: false, first, bits });
            }
        }
    }

    /// The data that begins with the first character, if it is compressed.
    fn compressed(&self, decoded: &mut Vec<Decoded>) {
        for bits in [6, 4] {
            let digits = if bits == 6 { self.digits(sextet) } else { self.digits(nibble) };
            let bytes = joined(&digits, 0, bits);
            if inflate::kind(&bytes).is_some() {
                let bits = bits as usize;
                decoded.push(Decoded { bytes, compressed: true, first: 0, bits });
            }
        }
    }
}

pub(super) fn nibble(byte: u8) -> u8 {
    char::from(byte).to_digit(16).map_or(0, |nibble| nibble as u8)
}

/// Of base32 (RFC 4648) in upper case.
fn quintet(byte: u8) -> u8 {
    if byte.is_ascii_uppercase() { byte - b'A' } else { byte.wrapping_sub(b'2').wrapping_add(26) & 31 }
}

/// The word around a zone that was decoded last as a whole, forwards and backwards: one word may have very many zones, and
/// each of them would decode all of it again.
#[derive(Default)]
pub(in crate::sanitizer) struct Wholes {
    forwards: Range<usize>,
    backwards: Range<usize>,
    /// Bytes read so far, of these words and of the zones.
    pub(in crate::sanitizer) read: u64,
}

/// What the zone, which is `place` of `text` and certainly `core` of it, decodes to, with the runs that it was decoded from.
pub(in crate::sanitizer) fn decoded(
    text: &[u8],
    zone: &Zone,
    place: Range<usize>,
    core: Range<usize>,
    wholes: &mut Wholes,
) -> Vec<(Run, Vec<Decoded>)> {
    wholes.read += place.len() as u64;
    let mut all = Vec::new();
    let mut add = |run: Run, fill: &dyn Fn(&Run, &mut Vec<Decoded>)| {
        let mut decoded = Vec::new();
        fill(&run, &mut decoded);
        if !decoded.is_empty() {
            all.push((run, decoded));
        }
    };
    let alphanumeric = |byte: u8| byte.is_ascii_alphanumeric();
    if zone.kind == Kind::Compressed {
        // Line ends, quotes and spaces may stand between; of `-` and `_` it is not known whether they do.
        let letters = |byte| alphanumeric(byte) || matches!(byte, b'+' | b'/');
        let beginning = text.get(place.start..text.len().min(place.start + PROBE)).unwrap_or_default();
        add(compressed_run(text, place.start, in_alphabet), &Run::compressed);
        if beginning.iter().any(|byte| matches!(byte, b'-' | b'_')) {
            add(compressed_run(text, place.start, letters), &Run::compressed);
        }
        return all;
    }
    let mut from = place.start;
    let (mut read, total) = (0, zone.range.len());
    while from < place.end {
        // After a long gap it goes on as something else.
        let there = text.get(from..place.end).unwrap_or_default();
        from += there.iter().take_while(|byte| !alphanumeric(**byte)).count();
        let run = Run::gathered(text, from..place.end, alphanumeric);
        let Some(last) = run.places.last() else { break };
        from = last + 1;
        let (before, len) = (read, run.len());
        read += len;
        match zone.kind {
            Kind::Base64 | Kind::Backwards => {
                let (before, run) = match zone.kind {
                    Kind::Base64 => (before, run),
                    _ => (total - (before + len).min(total), run.reversed()),
                };
                let run = run.up_to_padding(text, (before + len + zone.last).saturating_sub(total) + 4);
                let missing = (before + 4 - zone.first % 4) % 4;
                add(run.padded(missing), &|run, decoded| decoded.push(run.base64(missing)));
            }
            Kind::Hex => {
                add(run.clone().reversed(), &|run, decoded| run.with_text(4, 2, nibble, decoded));
                add(run, &|run, decoded| run.with_text(4, 2, nibble, decoded));
            }
            Kind::Base32 => {
                add(run.clone().reversed(), &|run, decoded| run.with_text(5, 8, quintet, decoded));
                add(run, &|run, decoded| run.with_text(5, 8, quintet, decoded));
            }
            Kind::Compressed => {}
        }
    }
    // With the characters of the alphabet that are neither letters nor digits, wherever nothing else stands between.
    let whole = |byte: &u8| in_alphabet(*byte) || matches!(byte, b'\r' | b'\n');
    let done = if zone.kind == Kind::Backwards { &mut wholes.backwards } else { &mut wholes.forwards };
    let mut from = core.start;
    while matches!(zone.kind, Kind::Base64 | Kind::Backwards) && from < core.end {
        if done.contains(&from) {
            from = done.end + 1;
            continue;
        }
        let before = text.get(..from).unwrap_or_default().iter().rev().take(LONGEST_RUN);
        let after = text.get(from..).unwrap_or_default().iter().take(LONGEST_RUN);
        let range = from - before.take_while(|b| whole(b)).count()..from + after.take_while(|b| whole(b)).count();
        from = range.end + 1;
        *done = range.clone();
        wholes.read += range.len() as u64;
        if text.get(range.clone()).is_some_and(|run| run.iter().any(|byte| matches!(byte, b'+' | b'/' | b'-' | b'_'))) {
            let run = Run::gathered(text, range, in_alphabet);
            let run = if zone.kind == Kind::Backwards { run.reversed() } else { run };
            add(run, &Run::base64_with_text);
        }
    }
    all
}

/// What begins at `start` as compressed data does; only a little of it if that turns out to be something else.
fn compressed_run(text: &[u8], start: usize, belongs: impl Fn(u8) -> bool) -> Run {
    let probe = Run::gathered(text, start..text.len().min(start + PROBE), &belongs);
    let mut decoded = Vec::new();
    probe.compressed(&mut decoded);
    let sound = |decoded: &Decoded| inflate::is_sound(&decoded.bytes, PROBE * 16);
    if decoded.iter().any(sound) { Run::gathered(text, start..text.len(), belongs) } else { probe }
}

/// Which of the four alignments has two quads in a row that decode to ASCII: the top bit of each of three bytes is clear.
fn alignments_with_text(sextets: &[u8]) -> [bool; 4] {
    let mut rows = [0u8; 4];
    let mut found = [false; 4];
    for (at, quad) in sextets.windows(3).enumerate() {
        let ascii = matches!(quad, [first, second, third] if first & 32 == 0 && second & 8 == 0 && third & 2 == 0);
        if let (Some(row), Some(found)) = (rows.get_mut(at % 4), found.get_mut(at % 4)) {
            *row = if ascii { row.saturating_add(1) } else { 0 };
            *found |= *row >= 2;
        }
    }
    found
}

/// The bytes that digits of `bits` bits make from `first` on.
fn joined(digits: &[u8], first: usize, bits: u32) -> Vec<u8> {
    let digits = digits.get(first..).unwrap_or_default();
    let mut bytes = Vec::with_capacity(digits.len() * bits as usize / 8);
    let (mut held, mut waiting) = (0u32, 0);
    for &digit in digits {
        (held, waiting) = (held << bits | u32::from(digit), waiting + bits);
        if waiting >= 8 {
            waiting -= 8;
            bytes.push((held >> waiting) as u8);
            held &= (1 << waiting) - 1;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_any_size_are_joined_from_any_place() {
        assert_eq!(joined(&[6, 8, 6, 9], 0, 4), b"hi");
        assert_eq!(joined(&[9, 6, 8, 6, 9], 1, 4), b"hi");
        assert_eq!(joined(&b"ONXW2ZI".map(quintet), 0, 5), b"some");
        assert_eq!(joined(&b"c29tZQ".map(sextet), 0, 6), b"some");
    }

    #[test]
    fn a_run_ends_at_a_long_gap() {
        let text = format!("ab{}cd{}ef", " ".repeat(LONGEST_GAP), " ".repeat(LONGEST_GAP + 1));
        assert_eq!(Run::gathered(text.as_bytes(), 0..text.len(), in_alphabet).characters, b"abcd");
        let rest = 2 + LONGEST_GAP + 2;
        assert_eq!(Run::gathered(text.as_bytes(), rest..text.len(), in_alphabet).characters, b"ef");
    }
}
