//! A text with everything but its letters and digits left out: what a value looks like whatever stands between its
//! characters, wherever its lines are broken, and, since a bit tells the cases of ASCII letters apart, in any case.
//!
//! Nothing is kept that tells where each byte came from: a mark for every few dozen bytes is enough to walk there again.

use std::cell::Cell;
use std::ops::Range;

/// Stands where a marker stood, or anything else that nothing may reach across. No character is kept as this byte.
pub(super) const BARRIER: u8 = 0;

/// Raw bytes to a mark.
const BLOCK: usize = 64;

/// Which ASCII bytes are kept.
const KEPT: [u8; 256] = {
    let mut kept = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        #[expect(clippy::indexing_slicing, reason = "byte is below 128, and a constant that fails does not compile")]
        {
            kept[byte] = (byte as u8).is_ascii_alphanumeric() as u8;
        }
        byte += 1;
    }
    kept
};

/// See the module.
#[derive(Default)]
pub(super) struct Squeezed {
    bytes: Vec<u8>,
    /// How many of them are written.
    len: usize,
    /// Of each block: where it begins in the text, and in `bytes`.
    marks: Vec<(usize, usize)>,
    /// The mark that was asked for last.
    asked: Cell<usize>,
}

impl Squeezed {
    /// Squeezes `text`. Nothing will be found across `barriers`, which are in order.
    pub(super) fn new(text: &[u8], barriers: &[Range<usize>]) -> Self {
        let marks = Vec::with_capacity(text.len() / BLOCK + 1 + 2 * barriers.len());
        let mut squeezed = Self { bytes: vec![0; text.len() + BLOCK], len: 0, marks, asked: Cell::new(0) };
        let mut from = 0;
        for barrier in barriers {
            squeezed.add(text, from..barrier.start);
            squeezed.marks.push((barrier.start, squeezed.len));
            squeezed.add_kept(&[BARRIER]);
            from = barrier.end;
        }
        squeezed.add(text, from..text.len());
        squeezed.bytes.truncate(squeezed.len);
        squeezed
    }

    /// What is left, in the case that it has.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn add(&mut self, text: &[u8], part: Range<usize>) {
        let mut at = part.start;
        while at < part.end {
            self.marks.push((at, self.len));
            let end = part.end.min(at + BLOCK);
            let block = text.get(at..end).unwrap_or_default();
            if block.is_ascii() {
                self.add_ascii(block);
                at = end;
            } else {
                let rest = text.get(..part.end).unwrap_or_default();
                while at < end {
                    let (kept, next) = character(rest, at);
                    self.add_kept(kept.bytes());
                    at = next;
                }
            }
        }
    }

    /// At least that many bytes that nothing was written to yet: a letter may be longer in lower case.
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        if self.bytes.len() < self.len + bytes {
            self.bytes.resize((self.len + bytes) * 2, 0);
        }
        self.bytes.get_mut(self.len..).unwrap_or_default()
    }

    fn add_kept(&mut self, kept: &[u8]) {
        for (place, byte) in self.room(kept.len()).iter_mut().zip(kept) {
            *place = *byte;
        }
        self.len += kept.len();
    }

    /// Writes every byte and steps over those that are kept: no branch depends on the text.
    fn add_ascii(&mut self, block: &[u8]) {
        let Some(kept) = self.room(BLOCK).first_chunk_mut::<BLOCK>() else { return };
        let mut count = 0;
        for &byte in block {
            #[expect(clippy::indexing_slicing, reason = "a block has at most BLOCK bytes, a byte is below 256")]
            {
                kept[count % BLOCK] = byte;
                count += usize::from(KEPT[usize::from(byte)]);
            }
        }
        self.len += count;
    }

    /// The last mark before `kept`. Who asks mostly goes on from where he asked before.
    fn mark(&self, kept: usize) -> Option<(usize, usize)> {
        let is_before = |index: usize| self.marks.get(index).is_some_and(|&(_, before)| before <= kept);
        let (mut from, mut step) = (self.asked.get(), 1);
        if !is_before(from) {
            from = 0;
        }
        while is_before(from + step) {
            (from, step) = (from + step, step * 2);
        }
        let rest = self.marks.get(from..self.marks.len().min(from + step)).unwrap_or_default();
        let after = from + rest.partition_point(|&(_, before)| before <= kept);
        self.asked.set(after.saturating_sub(1));
        self.marks.get(after.checked_sub(1)?).copied()
    }

    /// Where the bytes `found` of the squeezed text stand in `text`, from the first character to the last.
    pub(super) fn origin(&self, text: &[u8], found: Range<usize>) -> Range<usize> {
        let Some((at, count)) = self.mark(found.start) else { return 0..0 };
        let (first, before) = walk(text, at, found.start.saturating_sub(count));
        // Across a barrier nothing is found, so that the walk goes on from here.
        let last = found.end.saturating_sub(1).saturating_sub(found.start);
        let (end, _) = walk(text, first.start, last + before);
        first.start..end.end.max(first.start)
    }
}

/// Where the character stands whose kept byte comes after `skip` others, counted from `at`, and which of its bytes that is.
fn walk(text: &[u8], mut at: usize, mut skip: usize) -> (Range<usize>, usize) {
    loop {
        match text.get(at) {
            None => return (text.len()..text.len(), 0),
            Some(byte) if byte.is_ascii() => {
                let kept = byte.is_ascii_alphanumeric();
                if kept && skip == 0 {
                    return (at..at + 1, 0);
                }
                skip -= usize::from(kept);
                at += 1;
            }
            Some(_) => {
                let (kept, next) = character(text, at);
                let len = kept.bytes().len();
                if len > skip {
                    return (at..next, skip);
                }
                skip -= len;
                at = next;
            }
        }
    }
}

/// What is kept of one character: nothing, or its lower case in UTF-8.
struct Kept {
    bytes: [u8; 12],
    len: usize,
}

impl Kept {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// What is kept of the character at `at`, and where the next one begins. What is no UTF-8 is skipped byte by byte.
fn character(text: &[u8], at: usize) -> (Kept, usize) {
    let mut kept = Kept { bytes: [0; 12], len: 0 };
    let Some(&first) = text.get(at) else { return (kept, at + 1) };
    if first.is_ascii() {
        if first.is_ascii_alphanumeric() {
            (kept.bytes, kept.len) = ([first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1);
        }
        return (kept, at + 1);
    }
    let Some((character, len)) = decoded(text, at, first) else { return (kept, at + 1) };
    if character.is_alphanumeric() {
        // At most three characters of four bytes.
        for lower in character.to_lowercase() {
            if let Some(room) = kept.bytes.get_mut(kept.len..kept.len + lower.len_utf8()) {
                kept.len += lower.encode_utf8(room).len();
            }
        }
    }
    (kept, at + len)
}

fn decoded(text: &[u8], at: usize, first: u8) -> Option<(char, usize)> {
    let len = match first {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return None,
    };
    let character = std::str::from_utf8(text.get(at..at + len)?).ok()?.chars().next()?;
    Some((character, len))
}

/// The squeezed form of a text that stands alone, in lower case as far as a bit tells.
pub(super) fn squeezed_and_folded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Squeezed::new(text, &[]).bytes;
    for byte in &mut bytes {
        *byte |= FOLD;
    }
    bytes
}

/// Set in every byte before two are compared. It is set in digits and lower-case letters anyway.
pub(super) const FOLD: u8 = 0x20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn letters_and_digits_are_kept_and_each_leads_back_to_where_it_stood() {
        let text = "a-B\u{200b} Ü9\u{ff}".as_bytes();
        let squeezed = Squeezed::new(text, &[]);
        assert_eq!(squeezed.bytes(), "aBü9ÿ".as_bytes());
        assert_eq!(squeezed.origin(text, 1..4), 2..9);
        assert_eq!(squeezed_and_folded(text), squeezed_and_folded("ab ü9ÿ".as_bytes()));
    }

    #[test]
    fn what_is_no_text_is_left_out() {
        assert_eq!(Squeezed::new(b"a\xff\xe2\x82b\xc3", &[]).bytes(), b"ab");
    }

    proptest! {
        #[test]
        fn every_kept_character_is_found_again(text in "[a-zA-Z0-9 .é€🔑\u{130}]{0,700}", cut in 0usize..700) {
            let bytes = text.as_bytes();
            let cut = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let barriers = std::iter::once(cut..cut).collect::<Vec<_>>();
            let squeezed = Squeezed::new(bytes, &barriers);
            let mut index = 0;
            for (at, character) in text.char_indices() {
                if at == cut {
                    prop_assert_eq!(squeezed.bytes()[index], BARRIER);
                    index += 1;
                }
                let lower: String = if character.is_ascii() { character.to_string() } else { character.to_lowercase().collect() };
                if character.is_alphanumeric() {
                    let found = index..index + lower.len();
                    prop_assert_eq!(&squeezed.bytes()[found.clone()], lower.as_bytes());
                    prop_assert_eq!(squeezed.origin(bytes, found), at..at + character.len_utf8());
                    index += lower.len();
                }
            }
        }
    }
}
