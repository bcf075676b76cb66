//! What stands in the place of a value: `[REDACTED]`, or `[REDACTED...last4]` for a person to tell which one it was.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::parts;

/// What every marker begins with.
const OPENING: &[u8] = b"[REDACTED";
static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(OPENING));
/// In the place of several values that overlap.
pub(super) const OF_SEVERAL: &str = "[REDACTED]";
/// A value shows its last characters from this many on.
const SHOWS_ITS_END: usize = 16;
/// How many it shows.
const SHOWN: usize = 4;
/// Bytes of the longest marker.
const LONGEST: usize = OPENING.len() + 3 + 4 * SHOWN + 1;

/// The marker of a value.
pub(super) fn of(value: &str) -> String {
    let len = value.chars().count();
    if len < SHOWS_ITS_END || parts::is_structured(value) || parts::freedom(value) != parts::Freedom::Any {
        return OF_SEVERAL.to_owned();
    }
    let end: String = value.chars().skip(len - SHOWN).collect();
    format!("[REDACTED...{end}]")
}

/// The markers that a set of values is replaced by. Anything else that looks like one is ordinary text: a script may write
/// what it likes.
#[derive(Debug)]
pub(super) struct Markers(Vec<String>);

impl Default for Markers {
    fn default() -> Self {
        Self(vec![OF_SEVERAL.to_owned()])
    }
}

impl Markers {
    pub(super) fn of(values: impl Iterator<Item = String>) -> Self {
        let mut all = Self::default().0;
        all.extend(values);
        all.sort_unstable();
        all.dedup();
        Self(all)
    }

    /// Those that stand in `text`, and where one begins that may go on after it (its length if none).
    pub(super) fn find(&self, text: &[u8]) -> (Vec<Range<usize>>, usize) {
        let mut found: Vec<Range<usize>> = Vec::new();
        for at in FINDER.find_iter(text) {
            let rest = text.get(at..).unwrap_or_default();
            let end = rest.iter().take(LONGEST).position(|byte| *byte == b']').map_or(0, |end| end + 1);
            let marker = rest.get(..end).and_then(|marker| std::str::from_utf8(marker).ok()).unwrap_or_default();
            let known = self.0.binary_search_by(|known| known.as_str().cmp(marker)).is_ok();
            let len = if known { marker.len() } else { self.longer(rest) };
            if len > 0 && found.last().is_none_or(|last| last.end <= at) {
                found.push(at..at + len);
            }
        }
        (found, self.open(text))
    }

    /// The length of a marker that `text` begins with and that has a bracket among its last characters.
    fn longer(&self, text: &[u8]) -> usize {
        let bracketed = self.0.iter().filter(|known| known.matches(']').count() > 1);
        bracketed.filter(|known| text.starts_with(known.as_bytes())).map(String::len).max().unwrap_or(0)
    }

    fn open(&self, text: &[u8]) -> usize {
        let first = text.len().saturating_sub(LONGEST - 1);
        let end = text.get(first..).unwrap_or_default();
        let begins = |at: &usize| {
            let rest = end.get(*at..).unwrap_or_default();
            let from = self.0.partition_point(|known| known.as_bytes() < rest);
            self.0.get(from).is_some_and(|known| known.len() > rest.len() && known.as_bytes().starts_with(rest))
        };
        memchr::memchr_iter(b'[', end).find(begins).map_or(text.len(), |at| first + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_and_plain_value_shows_its_end() {
        assert_eq!(of("0123456789abcdef"), "[REDACTED...cdef]");
        assert_eq!(of("0123456789abcde"), "[REDACTED]");
        assert_eq!(of("postgres://user:0123456789@host/db"), "[REDACTED]");
        assert_eq!(of("1234567890123456"), "[REDACTED]", "a number says too much with its last digits");
    }

    #[test]
    fn markers_of_the_set_are_found_and_what_may_become_one() {
        let markers = Markers::of(["[REDACTED...é€]d]", "[REDACTED...abcd]"].map(str::to_owned).into_iter());
        let text = "a [REDACTED] b [REDACTED...é€]d] [REDACTED..] [REDACTED...1234] [REDACTED".as_bytes();
        assert_eq!(markers.find(text), (vec![2..12, 15..35], text.len() - 9));
        assert_eq!(markers.find(b"x[RED"), (vec![], 1));
        assert_eq!(markers.find(b"x[RED]"), (vec![], 6));
        assert_eq!(markers.find(b"[REDACTED...abc"), (vec![], 0));
        assert_eq!(markers.find(b"[REDACTED...abx"), (vec![], 15));
        assert_eq!(markers.find(b"[REDACTED...abcd][REDACTED...abcd]"), (vec![0..17, 17..34], 34));
    }
}
