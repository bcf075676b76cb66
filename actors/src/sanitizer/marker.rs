//! What stands in the place of a value: `[REDACTED]`, or `[REDACTED...last4]` for a person to tell which one it was.

use std::ops::Range;

use super::parts;

/// What every marker begins with.
const OPENING: &[u8] = b"[REDACTED";
/// In the place of several values that overlap.
pub(super) const OF_SEVERAL: &str = "[REDACTED]";
/// A value shows its last characters from this many on.
const SHOWS_ITS_END: usize = 16;
/// How many it shows.
const SHOWN: usize = 4;

/// The marker of a value.
pub(super) fn of(value: &str) -> String {
    let len = value.chars().count();
    if len < SHOWS_ITS_END || parts::is_structured(value) || parts::freedom(value) != parts::Freedom::Any {
        return OF_SEVERAL.to_owned();
    }
    let end: String = value.chars().skip(len - SHOWN).collect();
    format!("[REDACTED...{end}]")
}

/// What a text begins with.
#[derive(Debug, PartialEq, Eq)]
enum Beginning {
    Marker(usize),
    /// A marker's beginning, and then it ends.
    Open,
    Other,
}

fn beginning(text: &[u8]) -> Beginning {
    let Some(rest) = text.strip_prefix(OPENING) else {
        return if OPENING.starts_with(text) { Beginning::Open } else { Beginning::Other };
    };
    match rest {
        [] | [b'.'] | [b'.', b'.'] => Beginning::Open,
        [b']', ..] => Beginning::Marker(OPENING.len() + 1),
        [b'.', b'.', b'.', end @ ..] => {
            let longest = end.get(..end.len().min(SHOWN * 4 + 1)).unwrap_or_default();
            let valid = longest.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            let mut characters = valid.char_indices().skip(SHOWN);
            match characters.next() {
                Some((at, ']')) => Beginning::Marker(OPENING.len() + 3 + at + 1),
                Some(_) => Beginning::Other,
                None if longest.len() < SHOWN * 4 + 1 => Beginning::Open,
                None => Beginning::Other,
            }
        }
        _ => Beginning::Other,
    }
}

/// The markers that stand in `text`, and where one begins that may go on after it (its length if none).
pub(super) fn find(text: &[u8]) -> (Vec<Range<usize>>, usize) {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut open = text.len();
    for at in memchr::memmem::find_iter(text, OPENING) {
        match beginning(text.get(at..).unwrap_or_default()) {
            Beginning::Marker(len) if found.last().is_none_or(|last| last.end <= at) => found.push(at..at + len),
            Beginning::Open => open = open.min(at),
            _ => {}
        }
    }
    let end = text.len().saturating_sub(OPENING.len() - 1);
    for at in memchr::memchr_iter(b'[', text.get(end..).unwrap_or_default()) {
        if beginning(text.get(end + at..).unwrap_or_default()) == Beginning::Open {
            open = open.min(end + at);
        }
    }
    (found, open)
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
    fn markers_are_found_and_what_may_become_one() {
        let text = "a [REDACTED] b [REDACTED...é€]d] [REDACTED..] [REDACTED".as_bytes();
        assert_eq!(find(text), (vec![2..12, 15..35], text.len() - 9));
        assert_eq!(find(b"x[RED"), (vec![], 1));
        assert_eq!(find(b"x[RED]"), (vec![], 6));
        assert_eq!(find(b"[REDACTED...abc"), (vec![], 0));
    }
}
