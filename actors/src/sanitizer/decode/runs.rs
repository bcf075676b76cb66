//! Runs of the characters of base64: of base64 itself, and of hexadecimal digits.

use std::ops::Range;

use super::inflate;
use crate::sanitizer::squeeze::FOLD;

/// Shortest run that is looked at: 8 bytes in base64 without padding.
pub(in crate::sanitizer) const SHORTEST_RUN: usize = 11;
/// A run goes on in the next line when it is at least this long.
const WRAPPED: usize = 16;
/// Longest run that is taken as one.
pub(in crate::sanitizer) const LONGEST_RUN: usize = 256 * 1024;
/// Hexadecimal digits in a row that are worth a look.
const SHORTEST_HEX: usize = 16;

/// The value of each character, of base64 and base64url both; 255 for others.
const SEXTETS: [u8; 256] = {
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

fn sextet(byte: u8) -> u8 {
    SEXTETS.get(usize::from(byte)).copied().unwrap_or(255)
}

pub(in crate::sanitizer) fn in_alphabet(byte: u8) -> bool {
    sextet(byte) != 255
}

/// The runs of `text`, in order, each at least [`SHORTEST_RUN`] long.
///
/// A run of that length has a character at a multiple of it, so that most of a text is never looked at.
pub(in crate::sanitizer) fn runs(text: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let mut probe = from + SHORTEST_RUN - 1;
        loop {
            if !in_alphabet(*text.get(probe)?) {
                from = probe + 1;
                probe += SHORTEST_RUN;
                continue;
            }
            let before = text.get(from..probe).unwrap_or_default();
            let start = probe - before.iter().rev().take_while(|byte| in_alphabet(**byte)).count();
            let end = end_of_run(text, start, probe);
            from = end;
            if end - start >= SHORTEST_RUN {
                return Some(start..end);
            }
            probe = end + SHORTEST_RUN;
        }
    })
}

fn end_of_run(text: &[u8], start: usize, mut at: usize) -> usize {
    let limit = text.len().min(start + LONGEST_RUN);
    loop {
        let line = text.get(at..limit).unwrap_or_default();
        at += line.iter().take_while(|byte| in_alphabet(**byte)).count();
        let next = match text.get(at..limit) {
            Some([b'\n', next, ..]) => Some((at + 1, *next)),
            Some([b'\r', b'\n', next, ..]) => Some((at + 2, *next)),
            _ => None,
        };
        match next {
            Some((after, next)) if at - start >= WRAPPED && in_alphabet(next) => at = after,
            _ => return at,
        }
    }
}

/// Where the characters of a run that `at` is among begin, else `at`, however few they are.
pub(in crate::sanitizer) fn begin_of_word(text: &[u8], at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let goes_on = text.get(at).is_some_and(|byte| in_alphabet(*byte));
    if goes_on { at - before.iter().rev().take(LONGEST_RUN).take_while(|byte| in_alphabet(**byte)).count() } else { at }
}

/// Where a run begins that the end of `text` may belong to, if more text follows; the end itself if none.
pub(in crate::sanitizer) fn open_run(text: &[u8]) -> usize {
    let mut at = text.len();
    // A line end belongs to it if what is before it is long enough to be wrapped.
    loop {
        let before = text.get(..at).unwrap_or_default();
        let line_end = match before {
            [.., b'\r', b'\n'] => 2,
            [.., b'\n'] | [.., b'\r'] => 1,
            _ => 0,
        };
        let line = before.get(..at - line_end).unwrap_or_default();
        let len = line.iter().rev().take_while(|byte| in_alphabet(**byte)).count();
        // Of several lines only the first has to be that long; it is enough that one is.
        if len == 0 || (line_end > 0 && len < WRAPPED && at == text.len()) {
            return at;
        }
        at -= line_end + len;
        if text.len() - at > LONGEST_RUN {
            return at;
        }
    }
}

/// What a character of a run may be: the first, second or third of four that decode to ASCII, since the top bit of a byte is
/// clear; the first of two hexadecimal digits that are a printable character, or the second; and the last character by which
/// compressed data is known.
const ROLES: [u8; 256] = {
    let mut roles = [0; 256];
    let mut byte = 0;
    #[expect(clippy::indexing_slicing, reason = "byte is below 256, and a constant that fails does not compile")]
    while byte < 256 {
        let sextet = SEXTETS[byte];
        if sextet != 255 {
            let hex = (byte as u8).is_ascii_hexdigit();
            let of_compressed = matches!(byte as u8, b'A' | b'F' | b'J' | b'N' | b'I');
            roles[byte] = role(FIRST, sextet & 32 == 0)
                | role(SECOND, sextet & 8 == 0)
                | role(THIRD, sextet & 2 == 0)
                | role(HIGH_NIBBLE, byte as u8 >= b'2' && byte as u8 <= b'7')
                | role(LOW_NIBBLE, hex)
                | role(COMPRESSED, of_compressed);
        }
        byte += 1;
    }
    roles
};
const fn role(bit: u8, has: bool) -> u8 {
    if has { bit } else { 0 }
}
const FIRST: u8 = 1;
const SECOND: u8 = 2;
const THIRD: u8 = 4;
const HIGH_NIBBLE: u8 = 8;
const LOW_NIBBLE: u8 = 16;
const COMPRESSED: u8 = 32;

/// Two quads in a row, one bit for each position.
const TWO_QUADS: u32 = 0b1_0001;
/// Six pairs of hexadecimal digits in a row.
const SIX_PAIRS: u32 = 0b101_0101_0101;

/// Whether a run may decode to something worth a search: a quick look that takes nothing and turns most words away.
pub(in crate::sanitizer) fn is_worth_decoding(text: &[u8], range: &Range<usize>) -> bool {
    let run = text.get(range.clone()).unwrap_or_default();
    let (mut quads, mut pairs) = (0u32, 0u32);
    // The last four characters, and what they may be.
    let (mut last, mut roles) = (0u32, 0u32);
    let start = u32::from(FIRST) << 16 | u32::from(SECOND) << 8 | u32::from(THIRD);
    let pair = u32::from(HIGH_NIBBLE) << 8 | u32::from(LOW_NIBBLE);
    for &byte in run {
        if matches!(byte, b'\n' | b'\r') {
            continue;
        }
        last = last << 8 | u32::from(byte);
        roles = roles << 8 | u32::from(ROLES.get(usize::from(byte)).copied().unwrap_or(0));
        quads = quads << 1 | u32::from(roles & start == start);
        pairs = pairs << 1 | u32::from(roles & pair == pair);
        let text = quads & TWO_QUADS == TWO_QUADS || pairs & SIX_PAIRS == SIX_PAIRS;
        let compressed = roles & u32::from(COMPRESSED) != 0 && is_base64_magic(last);
        if text || compressed || is_hex_magic(last) {
            return true;
        }
    }
    false
}

/// `H4sI` is how gzip data begins, `eA`, `eF`, `eJ` and `eN` how zlib data does: not in the middle of a word.
fn is_base64_magic(last: u32) -> bool {
    let [_, before, first, second] = last.to_be_bytes();
    last == u32::from_be_bytes(*b"H4sI") || first == b'e' && second != b'I' && !before.is_ascii_alphanumeric()
}

/// As [`is_base64_magic`], in hexadecimal: `1f8b`, and `78` with one of four.
fn is_hex_magic(last: u32) -> bool {
    let folded = last | u32::from_be_bytes([FOLD; 4]);
    folded == u32::from_be_bytes(*b"1f8b")
        || folded >> 16 == u32::from(u16::from_be_bytes(*b"78"))
            && matches!(folded as u16, 0x3031 | 0x3565 | 0x3963 | 0x6461)
}

/// A run without its line ends.
pub(in crate::sanitizer) struct Run {
    characters: Vec<u8>,
    /// Where each character stands in the text; `None` when there was no line end.
    places: Option<Vec<usize>>,
    start: usize,
}

/// Something that was decoded from a run.
pub(in crate::sanitizer) struct Decoded {
    pub(in crate::sanitizer) bytes: Vec<u8>,
    pub(in crate::sanitizer) compressed: Option<inflate::Kind>,
    /// First character, and bits of each.
    first: usize,
    bits: usize,
}

impl Run {
    pub(in crate::sanitizer) fn new(text: &[u8], range: &Range<usize>) -> Self {
        let run = text.get(range.clone()).unwrap_or_default();
        if !run.contains(&b'\n') {
            return Self { characters: run.to_vec(), places: None, start: range.start };
        }
        let kept = (range.start..).zip(run).filter(|(_, byte)| in_alphabet(**byte));
        let (places, characters) = kept.map(|(at, byte)| (at, *byte)).unzip();
        Self { characters, places: Some(places), start: range.start }
    }

    /// What it may be that is worth a search.
    pub(in crate::sanitizer) fn decoded(&self) -> Vec<Decoded> {
        let mut decoded = Vec::new();
        let sextets: Vec<u8> = self.characters.iter().map(|byte| sextet(*byte)).collect();
        for (first, text) in alignments_with_text(&sextets).into_iter().enumerate() {
            if text {
                decoded.push(Decoded { bytes: joined(&sextets, first, 6), compressed: None, first, bits: 6 });
            }
        }
        for first in compressed_starts(&self.characters) {
            let bytes = joined(&sextets, first, 6);
            if let Some(kind) = inflate::kind(&bytes) {
                decoded.push(Decoded { bytes, compressed: Some(kind), first, bits: 6 });
            }
        }
        self.hexadecimal(&mut decoded);
        decoded
    }

    fn hexadecimal(&self, decoded: &mut Vec<Decoded>) {
        let mut from = 0;
        for digits in self.characters.chunk_by(|left, right| left.is_ascii_hexdigit() == right.is_ascii_hexdigit()) {
            let start = from;
            from += digits.len();
            if digits.len() < SHORTEST_HEX || !digits.first().is_some_and(u8::is_ascii_hexdigit) {
                continue;
            }
            let nibbles: Vec<u8> =
                digits.iter().map(|digit| char::from(*digit).to_digit(16).map_or(0, |nibble| nibble as u8)).collect();
            for skip in 0..2 {
                let bytes = joined(&nibbles, skip, 4);
                let compressed = inflate::kind(&bytes);
                if compressed.is_some() || super::has_text(&bytes, 6) {
                    decoded.push(Decoded { bytes, compressed, first: start + skip, bits: 4 });
                }
            }
        }
    }

    /// Where the characters stand from which the bytes `found` of `decoded` came.
    pub(in crate::sanitizer) fn origin(&self, decoded: &Decoded, found: Range<usize>) -> Range<usize> {
        let first = decoded.first + found.start * 8 / decoded.bits;
        let end = (decoded.first + (found.end * 8).div_ceil(decoded.bits)).min(self.characters.len());
        match &self.places {
            None => self.start + first..self.start + end.max(first),
            Some(places) => {
                let start = places.get(first).copied().unwrap_or(self.start);
                let last = places.get(end.saturating_sub(1)).copied().unwrap_or(start);
                start..last + 1
            }
        }
    }
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

/// Where gzip (`1f 8b 08` is `H4sI`) or zlib data (`78 ..` is `e` and one of four) may begin in base64.
fn compressed_starts(characters: &[u8]) -> Vec<usize> {
    /// Attempts for one run: more than one stream in one run is no accident, and each attempt costs its length.
    const MOST: usize = 8;
    let gzip = memchr::memmem::find_iter(characters, b"H4sI");
    let zlib = memchr::memchr_iter(b'e', characters).filter(|&at| {
        matches!(characters.get(at + 1), Some(b'A' | b'F' | b'J' | b'N'))
            && at
                .checked_sub(1)
                .and_then(|before| characters.get(before))
                .is_none_or(|byte| !byte.is_ascii_alphanumeric())
    });
    gzip.take(MOST).chain(zlib.take(MOST)).collect()
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_run_is_missed(text in "[a-zA-Z0-9+/_ .\\n]{0,90}") {
            let bytes = text.as_bytes();
            let found: Vec<Range<usize>> = runs(bytes).collect();
            prop_assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start));
            let mut at = 0;
            while at < bytes.len() {
                let len = bytes[at..].iter().take_while(|byte| in_alphabet(**byte)).count();
                if len >= SHORTEST_RUN {
                    prop_assert!(found.iter().any(|run| run.start <= at && run.end >= at + len), "{:?} in {:?}", at..at + len, found);
                }
                at += len.max(1);
            }
            let open = open_run(bytes);
            for run in found.iter().filter(|run| run.end == bytes.len()) {
                prop_assert!(open <= run.start);
            }
        }
    }

    #[test]
    fn text_in_base64_is_told_from_words() {
        let interesting = |text: &str| !Run::new(text.as_bytes(), &(0..text.len())).decoded().is_empty();
        // b64encode(b"some text, encoded")
        assert!(interesting("c29tZSB0ZXh0LCBlbmNvZGVk") && interesting("xc29tZSB0ZXh0LCBlbmNvZGVk"));
        for word in ["/usr/local/lib/python3", "responsibility", "connection_refused"] {
            assert!(!interesting(word), "{word}");
        }
    }
}
