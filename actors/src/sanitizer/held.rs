//! What of a text that goes on may belong to something that is not complete yet.

use super::decode::{escapes, integers, runs, zones};
use super::needles::Needles;
use super::scan::{LONGEST_GAP, Scan, is_letter};
use super::squeeze::Squeezed;

impl Scan {
    pub(super) fn hold(&mut self, from: usize) {
        self.open = self.open.min(from);
    }

    pub(super) fn hold_value(&mut self, from: usize) {
        self.value_open = self.value_open.min(from);
    }

    /// Moves `open` to where the text can be cut.
    pub(super) fn settle(&mut self, text: &[u8]) {
        self.value_open = self.value_open.min(open_character(text));
        self.open = cut_before(text, self.not_in_a_marker(self.open.min(self.value_open)));
    }
}

/// Where to cut at `at` or before it, so that neither part is found to be something else than in the whole: not in a run of
/// what may be encoded, nor in an escape.
pub(super) fn cut_before(text: &[u8], at: usize) -> usize {
    let at = runs::begin_of_word(text, at);
    escapes::Unescaped::new(text, true).map_or(at, |unescaped| unescaped.not_inside(at))
}

/// A character that was cut in two begins here; the end of the text if none.
fn open_character(text: &[u8]) -> usize {
    let first = text.len().saturating_sub(3);
    let needs = |lead: u8| match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    let mut cut = (first..).zip(text.get(first..).unwrap_or_default());
    cut.find(|(at, byte)| at + needs(**byte) > text.len()).map_or(text.len(), |(at, _)| at)
}

/// Holds what may go on after `text`: a value, a run of something encoded, a list of numbers.
pub(super) fn hold(needles: &Needles, text: &[u8], squeezed: &Squeezed, scan: &mut Scan) {
    let letters = squeezed.bytes();
    let gap = text.iter().rev().take_while(|byte| !is_letter(**byte)).count();
    let open = needles.index.open_from(letters);
    if open < letters.len() && gap <= LONGEST_GAP * (needles.longest_gap() + 1) {
        scan.hold_value(squeezed.origin(text, open..open + 1).start);
    }
    scan.hold_value(needles.exact.open_from(text));
    scan.hold_value(needles.raw.open_from(text));
    let place = |letter: usize| squeezed.origin(text, letter..letter + 1).start;
    if gap <= LONGEST_GAP {
        let open = zones::open_zone(letters);
        if open < letters.len() {
            scan.hold(runs::begin_of_word(text, place(open)));
        }
        let digits = letters.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 {
            scan.hold(integers::open_list(text, place(letters.len() - digits)..text.len()));
        }
        scan.hold(integers::open_hexadecimal(text));
    }
}
