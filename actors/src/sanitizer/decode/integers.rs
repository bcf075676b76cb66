//! Lists of numbers that are the codes of a text.

use std::ops::Range;

use super::inflate;

/// Shortest list.
const SHORTEST: usize = 8;
/// Digits in a row, whatever stands between them, that may be such a list.
const SHORTEST_DIGITS: usize = 2 * SHORTEST;
/// Bytes that may stand between two numbers.
const LONGEST_GAP: usize = 16;

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
    pub(in crate::sanitizer) compressed: Option<inflate::Kind>,
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

    fn add(&mut self, byte: u8, place: Range<usize>) {
        self.bytes.push(byte);
        self.places.push(place);
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
    let there = text.get(digits.clone()).unwrap_or_default();
    if !there.iter().any(|byte| matches!(byte, b'8' | b'9')) {
        let (octal, last) = all(text, digits.clone(), 8);
        lists.extend(octal);
        lists.push(last);
        if !there.iter().any(|byte| matches!(byte, b'2'..=b'7')) {
            lists.extend(binary(text, digits));
        }
    }
    worth_a_search(lists)
}

fn worth_a_search(mut lists: Vec<List>) -> Vec<List> {
    lists.retain(|list| list.bytes.len() >= SHORTEST);
    for list in &mut lists {
        list.compressed = inflate::kind(&list.bytes);
    }
    lists
}

/// Where a list begins that the end of `text` may belong to, if more text follows; `text.len()` if none.
pub(in crate::sanitizer) fn open_list(text: &[u8], digits: Range<usize>) -> usize {
    let there = text.get(digits.clone()).unwrap_or_default();
    if !there.iter().any(|byte| matches!(byte, b'2'..=b'9')) {
        return digits.start;
    }
    let octal = !there.iter().any(|byte| matches!(byte, b'8' | b'9'));
    let open = |radix| {
        // The last number may get another digit.
        let unfinished = there.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let end = digits.end - unfinished;
        let (_, last) = all(text, digits.start..end, radix);
        let far = last.places.last().is_none_or(|last| end.saturating_sub(last.end) > LONGEST_GAP);
        if far { end } else { last.start() }
    };
    if octal { open(10).min(open(8)) } else { open(10) }
}

fn empty() -> List {
    List { bytes: Vec::new(), compressed: None, places: Vec::new() }
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
        let number = rest.get(..len.min(4)).and_then(|number| std::str::from_utf8(number).ok());
        let byte = number.and_then(|number| u8::from_str_radix(number, radix).ok()).filter(|_| len <= 4);
        take(&mut lists, &mut list, byte, at..at + len);
        at += len;
    }
    (lists, list)
}

/// Adds a number to the list, or begins another one.
fn take(lists: &mut Vec<List>, list: &mut List, byte: Option<u8>, place: Range<usize>) {
    let far = list.places.last().is_some_and(|last| place.start - last.end > LONGEST_GAP);
    let goes_on =
        |byte: u8| is_code(byte) || list.begins_compressed() || list.bytes.is_empty() && matches!(byte, 0x1f | 0x78);
    match byte {
        Some(byte) if !far && goes_on(byte) => {
            // Text does not become compressed data half way.
            list.add(byte, place);
            if list.bytes.len() <= 3 && !list.bytes.iter().all(|byte| is_code(*byte)) && !list.begins_compressed() {
                lists.push(std::mem::replace(list, empty()));
            }
        }
        other => {
            lists.push(std::mem::replace(list, empty()));
            if let Some(byte) = other.filter(|byte| is_code(*byte) || matches!(byte, 0x1f)) {
                list.add(byte, place);
            }
        }
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
    for at in memchr::memmem::find_iter(text, b"0x") {
        let digits = text.get(at + 2..).unwrap_or_default();
        let len = digits.iter().take(3).take_while(|byte| byte.is_ascii_hexdigit()).count();
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
        assert_eq!(lists[0].compressed, Some(inflate::Kind::Gzip));
    }
}
