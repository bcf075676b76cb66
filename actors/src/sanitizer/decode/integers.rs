//! Lists of numbers that are the codes of a text.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::inflate::{self, MOST_COMPRESSED};

/// Shortest list.
const SHORTEST: usize = 8;
/// Digits in a row, whatever stands between them, that may be such a list.
const SHORTEST_DIGITS: usize = 2 * SHORTEST;
/// Digits of the longest number, with a zero before it.
const LONGEST_NUMBER: usize = 4;
/// Bytes that may stand between two numbers.
const LONGEST_GAP: usize = 16;

static PREFIX: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("0x"));

/// Where the squeezed text has so many digits in a row that a list may be there.
pub(in crate::sanitizer) fn digits(squeezed: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let mut probe = from + SHORTEST_DIGITS - 1;
        loop {
            if !squeezed.get(probe)?.is_ascii_digit() {
                from = probe + 1;
                probe += SHORTEST_DIGITS;
                continue;
            }
            let before = squeezed.get(from..probe).unwrap_or_default();
            let start = probe - before.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
            let after = squeezed.get(probe..).unwrap_or_default();
            let end = probe + after.iter().take_while(|byte| byte.is_ascii_digit()).count();
            from = end;
            if end - start >= SHORTEST_DIGITS {
                return Some(start..end);
            }
            probe = end + SHORTEST_DIGITS;
        }
    })
}

/// A list, as bytes.
pub(in crate::sanitizer) struct List {
    pub(in crate::sanitizer) bytes: Vec<u8>,
    pub(in crate::sanitizer) compressed: bool,
    /// Where each number stands in the text.
    places: Vec<Range<usize>>,
}

impl List {
    /// Where the numbers stand from which the bytes `found` came.
    pub(in crate::sanitizer) fn origin(&self, found: Range<usize>) -> Range<usize> {
        let start = self.places.get(found.start).map_or(0, |place| place.start);
        let end = self.places.get(found.end.saturating_sub(1)).map_or(start, |place| place.end);
        start..end.max(start)
    }

    pub(in crate::sanitizer) fn start(&self) -> usize {
        self.places.first().map_or(0, |place| place.start)
    }

    /// The compressed data in it that begins with a later number: what went before may have ended, or be none.
    fn compressed_from(&self, first: usize) -> Option<Self> {
        let bytes = self.bytes.get(first..).filter(|bytes| matches!(bytes, [0x1f, 0x8b, ..] | [0x78, ..]))?;
        inflate::kind(bytes)?;
        Some(Self { bytes: bytes.to_vec(), compressed: true, places: self.places.get(first..)?.to_vec() })
    }

    fn add(&mut self, byte: u8, place: Range<usize>) {
        self.bytes.push(byte);
        self.places.push(place);
    }

    /// Begins another one; what is too short is forgotten.
    fn end(&mut self, lists: &mut Vec<Self>) {
        if self.bytes.len() >= SHORTEST {
            lists.push(std::mem::replace(self, empty()));
        }
        self.bytes.clear();
        self.places.clear();
    }

    /// Whether it can't go on with this number.
    fn refuses(&self, byte: u8) -> bool {
        let begins = self.bytes.is_empty() && matches!(byte, 0x1f | 0x78);
        !is_code(byte) && !begins && !self.begins_compressed()
    }

    fn begins_compressed(&self) -> bool {
        matches!(self.bytes.as_slice(), [0x1f] | [0x78] | [0x1f, 0x8b] | [0x1f, 0x8b, 8])
            || inflate::kind(&self.bytes).is_some()
    }
}

/// The lists in the part `digits` of `text`: all their numbers are codes of text, or they begin as compressed data does.
pub(in crate::sanitizer) fn lists(text: &[u8], digits: Range<usize>) -> Vec<List> {
    let (mut lists, last) = all(text, digits.clone(), 10);
    lists.push(last);
    for octal in stretches(text, digits.clone(), b'7') {
        let (more, last) = all(text, octal, 8);
        lists.extend(more);
        lists.push(last);
    }
    for bits in stretches(text, digits, b'1') {
        lists.extend(binary(text, bits));
    }
    worth_a_search(lists)
}

/// The stretches of `text` in which no digit is larger than `largest` that have enough of them.
fn stretches(text: &[u8], digits: Range<usize>, largest: u8) -> Vec<Range<usize>> {
    let (mut all, mut start, mut count) = (Vec::new(), digits.start, 0);
    for (at, byte) in (digits.start..).zip(text.get(digits.clone()).unwrap_or_default()) {
        if !byte.is_ascii_digit() {
            continue;
        }
        if *byte <= largest {
            count += 1;
            continue;
        }
        if count >= SHORTEST_DIGITS {
            all.push(start..at);
        }
        (start, count) = (at + 1, 0);
    }
    if count >= SHORTEST_DIGITS {
        all.push(start..digits.end);
    }
    all
}

fn worth_a_search(mut lists: Vec<List>) -> Vec<List> {
    lists.retain(|list| list.bytes.len() >= SHORTEST);
    let mut more = Vec::new();
    for list in &mut lists {
        list.compressed = inflate::kind(&list.bytes).is_some();
        if list.compressed {
            more.extend((1..list.bytes.len()).filter_map(|first| list.compressed_from(first)).take(MOST_COMPRESSED));
        }
    }
    lists.extend(more);
    lists
}

/// Where a list begins that the end of `text` may belong to, if more text follows; `text.len()` if none.
pub(in crate::sanitizer) fn open_list(text: &[u8], digits: Range<usize>) -> usize {
    let there = text.get(digits.clone()).unwrap_or_default();
    let after = |largest: u8| {
        let above = there.iter().rposition(|byte| byte.is_ascii_digit() && *byte > largest);
        digits.start + above.map_or(0, |above| above + 1)
    };
    let open = |start: usize, radix| {
        // The last number may get another digit.
        let unfinished = there.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let end = digits.end - unfinished;
        let (_, last) = all(text, start.min(end)..end, radix);
        let far = last.places.last().is_none_or(|last| end.saturating_sub(last.end) > LONGEST_GAP);
        if far { end } else { last.start() }
    };
    // Whatever stands between, binary digits go on.
    let bits = text.get(after(b'1')..).unwrap_or_default().iter().position(u8::is_ascii_digit);
    let bits = bits.map_or(text.len(), |bits| after(b'1') + bits);
    open(digits.start, 10).min(open(after(b'7'), 8)).min(bits)
}

fn empty() -> List {
    List { bytes: Vec::new(), compressed: false, places: Vec::new() }
}

/// The lists, and the last one, which may go on.
fn all(text: &[u8], digits: Range<usize>, radix: u32) -> (Vec<List>, List) {
    let (mut lists, mut list) = (Vec::new(), empty());
    let mut at = digits.start;
    while at < digits.end {
        let rest = text.get(at..digits.end).unwrap_or_default();
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if len == 0 {
            at += 1;
            continue;
        }
        add(&mut lists, &mut list, rest.get(..len).unwrap_or_default(), radix, at..at + len);
        at += len;
    }
    (lists, list)
}

/// Adds what the digits stand for to the list, or begins another one. If they are no code, those at their beginning may be
/// the last of a list, and those at their end the first of another: what stands right before or after may be a digit too.
fn add(lists: &mut Vec<List>, list: &mut List, digits: &[u8], radix: u32, place: Range<usize>) {
    let number = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok();
    let len = digits.len();
    let whole = number(digits).filter(|_| len <= LONGEST_NUMBER);
    if whole.is_some_and(|byte| !list.refuses(byte)) || len < 2 {
        return take(lists, list, whole, place);
    }
    let code = |digits: Option<&[u8]>| number(digits?).filter(|byte| is_code(*byte));
    if let Some((used, byte)) =
        (1..=LONGEST_NUMBER.min(len - 1)).rev().find_map(|used| Some((used, code(digits.get(..used))?)))
    {
        take(lists, list, Some(byte), place.start..place.start + used);
    }
    take(lists, list, None, place.clone());
    let code = |digits: Option<&[u8]>| number(digits?).filter(|byte| is_code(*byte) || *byte == 0x1f);
    let longest = LONGEST_NUMBER.min(len);
    if let Some((used, byte)) = (1..=longest).rev().find_map(|used| Some((used, code(digits.get(len - used..))?))) {
        take(lists, list, Some(byte), place.end - used..place.end);
    }
}

/// Adds a number to the list, or begins another one.
fn take(lists: &mut Vec<List>, list: &mut List, byte: Option<u8>, place: Range<usize>) {
    let far = list.places.last().is_some_and(|last| place.start.saturating_sub(last.end) > LONGEST_GAP);
    if let Some(byte) = byte.filter(|byte| !far && !list.refuses(*byte)) {
        list.add(byte, place.clone());
        // Text does not become compressed data half way.
        if list.bytes.len() > 3 || list.bytes.iter().all(|byte| is_code(*byte)) || list.begins_compressed() {
            return;
        }
    }
    list.end(lists);
    if let Some(byte) = byte.filter(|byte| is_code(*byte) || *byte == 0x1f) {
        list.add(byte, place);
    }
}

/// Zeros and ones, eight to a character, wherever the first one begins.
fn binary(text: &[u8], digits: Range<usize>) -> Vec<List> {
    let all = (digits.start..).zip(text.get(digits).unwrap_or_default()).filter(|(_, byte)| byte.is_ascii_digit());
    let bits: Vec<(usize, u8)> = all.map(|(at, byte)| (at, byte - b'0')).collect();
    let mut lists = Vec::new();
    for first in 0..8 {
        let mut list = empty();
        for byte in bits.get(first..).unwrap_or_default().chunks_exact(8) {
            let (start, end) = (byte.first().map_or(0, |bit| bit.0), byte.last().map_or(0, |bit| bit.0 + 1));
            take(&mut lists, &mut list, Some(byte.iter().fold(0, |byte, bit| byte << 1 | bit.1)), start..end);
        }
        lists.push(list);
    }
    lists
}

/// Lists of numbers with `0x` before each.
pub(in crate::sanitizer) fn hexadecimal(text: &[u8]) -> Vec<List> {
    let (mut lists, last) = all_hexadecimal(text);
    lists.push(last);
    worth_a_search(lists)
}

/// Where such a list begins that the end of `text` may belong to; its length if none.
pub(in crate::sanitizer) fn open_hexadecimal(text: &[u8]) -> usize {
    // The last number may not be complete.
    let last = text.len().saturating_sub(3);
    let begun = memchr::memmem::rfind(text.get(last..).unwrap_or_default(), b"0x").map(|at| last + at);
    let zero = match text {
        [b'0'] => true,
        [.., before, b'0'] => !before.is_ascii_alphanumeric(),
        _ => false,
    };
    let end = begun.unwrap_or(text.len() - usize::from(zero));
    let (_, list) = all_hexadecimal(text.get(..end).unwrap_or_default());
    let reaches = list.places.last().is_some_and(|place| end - place.end <= LONGEST_GAP);
    if reaches { list.start() } else { end }
}

fn all_hexadecimal(text: &[u8]) -> (Vec<List>, List) {
    let (mut lists, mut list) = (Vec::new(), empty());
    for at in PREFIX.find_iter(text) {
        let digits = text.get(at + 2..).unwrap_or_default();
        let len = digits.iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
        let number = digits.get(..len).and_then(|number| std::str::from_utf8(number).ok());
        let byte = number.and_then(|number| u8::from_str_radix(number, 16).ok());
        take(&mut lists, &mut list, byte, at..at + 2 + len);
    }
    (lists, list)
}

fn is_code(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_codes_is_read_whatever_stands_between_them() {
        let text = b"x = [104, 117,110\n, 116; 101 114 50 33], 7, 8";
        let lists = lists(text, 5..text.len());
        assert_eq!(lists.len(), 1);
        assert_eq!(lists[0].bytes, b"hunter2!");
        assert_eq!(lists[0].origin(1..3), 10..17);
    }

    #[test]
    fn a_digit_right_before_or_after_a_list_is_none_of_it() {
        let text = b"3104, 117, 110, 116, 101, 114, 50, 337";
        let lists = lists(text, 0..text.len());
        assert_eq!(lists.iter().map(|list| list.bytes.as_slice()).collect::<Vec<_>>(), [b"hunter2!"]);
        assert_eq!(lists[0].origin(0..8), 1..text.len() - 1);
    }

    #[test]
    fn another_compressed_text_in_the_same_list_is_found() {
        let text = "31, 139, 8, 0, 1, 2, 3, 255, 31, 139, 8, 0, 9";
        let lists = lists(text.as_bytes(), 0..text.len());
        assert_eq!(lists.iter().map(|list| list.bytes.len()).collect::<Vec<_>>(), [13, 5]);
        assert_eq!(lists[1].start(), 29);
    }

    #[test]
    fn bits_are_read_whatever_digit_stands_before_or_after_them() {
        let text = b"7 01101000 01110101 01101110 01110100 01100101 01110010 00110010 00100001 9";
        let lists = lists(text, 0..text.len());
        assert!(lists.iter().any(|list| list.bytes == b"hunter2!"));
        assert_eq!(open_list(&text[..40], 0..40), 2);
    }

    #[test]
    fn numbers_that_are_no_text_are_no_list() {
        for text in ["1, 2, 3, 4, 5, 6, 7, 8, 9, 10", "2026-11-28 05:26:29.000123", "300 301 302 303 304 305 306 307"] {
            assert!(lists(text.as_bytes(), 0..text.len()).is_empty(), "{text}");
        }
    }

    #[test]
    fn compressed_data_may_have_any_number_in_it() {
        let text = "31, 139, 8, 0, 1, 2, 3, 255, 200";
        let lists = lists(text.as_bytes(), 0..text.len());
        assert_eq!(lists.iter().map(|list| list.bytes.len()).collect::<Vec<_>>(), [9]);
        assert!(lists[0].compressed);
    }
}
