//! A text with its escapes undone: those of JSON, Python and C, of URLs, of HTML, and the colours of a terminal.

use std::ops::Range;

/// Longest escape: `\Uhhhhhhhh`, `&#x10ffff;`.
pub(in crate::sanitizer) const LONGEST_ESCAPE: usize = 12;
/// Longest sequence that colours text or moves the cursor: two colours of three numbers each, in bold.
const LONGEST_SEQUENCE: usize = 48;
const ESC: u8 = 0x1b;

/// See the module.
pub(in crate::sanitizer) struct Unescaped {
    pub(in crate::sanitizer) bytes: Vec<u8>,
    /// Of each escape: where what it stands for is in `bytes`, and where itself is in the text.
    escapes: Vec<(Range<usize>, Range<usize>)>,
}

impl Unescaped {
    /// `None` when nothing would be found that is not found without: there is no escape, or only such as leave no letter or
    /// digit behind (`\"`). `colours`: sequences of a terminal too.
    pub(in crate::sanitizer) fn new(text: &[u8], colours: bool) -> Option<Self> {
        let mut from = 0;
        let mut introducers = Introducers::of(text, colours);
        while let Some(at) = introducers.next(from) {
            match escape(text.get(at..)?) {
                Some(found) if found.leaves_letters => return Some(Self::undo(text, at, colours)),
                Some(found) => from = at + found.len,
                None => from = at + 1,
            }
        }
        None
    }

    /// Everything before `first` has no escape that matters.
    fn undo(text: &[u8], first: usize, colours: bool) -> Self {
        let mut undone = Self { bytes: Vec::with_capacity(text.len()), escapes: Vec::new() };
        let (mut copied, mut from) = (0, first);
        let mut introducers = Introducers::of(text, colours);
        while let Some(at) = introducers.next(from) {
            let Some(found) = text.get(at..).and_then(escape) else {
                from = at + 1;
                continue;
            };
            undone.bytes.extend_from_slice(text.get(copied..at).unwrap_or_default());
            let start = undone.bytes.len();
            undone.bytes.extend_from_slice(found.stands_for.get(..found.bytes).unwrap_or_default());
            undone.escapes.push((start..undone.bytes.len(), at..at + found.len));
            from = at + found.len;
            copied = from;
        }
        undone.bytes.extend_from_slice(text.get(copied..).unwrap_or_default());
        undone
    }

    /// Where the bytes `found` came from.
    pub(in crate::sanitizer) fn origin(&self, found: Range<usize>) -> Range<usize> {
        let end = self.place(found.end.saturating_sub(1), true);
        self.place(found.start, false)..end
    }

    fn place(&self, at: usize, end: bool) -> usize {
        let after = self.escapes.partition_point(|(undone, _)| undone.start <= at);
        match after.checked_sub(1).and_then(|before| self.escapes.get(before)) {
            Some((undone, escape)) if at < undone.end => {
                if end {
                    escape.end
                } else {
                    escape.start
                }
            }
            Some((undone, escape)) => escape.end + (at - undone.end) + usize::from(end),
            None => at + usize::from(end),
        }
    }

    /// Bytes in `range` of the text that stand for nothing.
    pub(in crate::sanitizer) fn removed(&self, range: &Range<usize>) -> usize {
        let first = self.escapes.partition_point(|(_, escape)| escape.end <= range.start);
        let inside = self.escapes.iter().skip(first).take_while(|(_, escape)| escape.start < range.end);
        inside.filter(|(undone, _)| undone.is_empty()).map(|(_, escape)| escape.len()).sum()
    }

    /// The beginning of the escape that `at` of the text is inside of, else `at`.
    pub(in crate::sanitizer) fn not_inside(&self, at: usize) -> usize {
        let after = self.escapes.partition_point(|(_, escape)| escape.start < at);
        match after.checked_sub(1).and_then(|before| self.escapes.get(before)) {
            Some((_, escape)) if at < escape.end => escape.start,
            _ => at,
        }
    }
}

/// Where an escape begins that may go on after `text`; its length if none.
pub(in crate::sanitizer) fn open_escape(text: &[u8]) -> usize {
    let first = text.len().saturating_sub(LONGEST_ESCAPE);
    let sequence = open_sequence(text);
    let Some(at) = memchr::memchr3(b'\\', b'%', b'&', text.get(first..).unwrap_or_default()) else { return sequence };
    let mut at = first + at;
    // Backslashes come in pairs, which are counted from the first.
    while at.checked_sub(1).and_then(|before| text.get(before)) == Some(&b'\\') {
        at -= 1;
    }
    // What is complete, and followed by something, does not go on; what it stands for may be the end of another.
    while let Some(found) = text.get(at..).and_then(escape).filter(|found| at + found.len < text.len()) {
        let after = at + found.len;
        match memchr::memchr3(b'\\', b'%', b'&', text.get(after..).unwrap_or_default()) {
            Some(next) => at = after + next,
            None => return sequence,
        }
    }
    at.min(sequence)
}

/// Where a sequence begins that is not complete; the length of `text` if none.
fn open_sequence(text: &[u8]) -> usize {
    let first = text.len().saturating_sub(LONGEST_SEQUENCE - 1);
    let Some(at) = memchr::memrchr(ESC, text.get(first..).unwrap_or_default()) else { return text.len() };
    match text.get(first + at + 1..).and_then(<[u8]>::split_first) {
        None => first + at,
        Some((b'[', rest)) if rest.iter().all(is_parameter) => first + at,
        Some(_) => text.len(),
    }
}

/// Where escapes may begin, each found once.
struct Introducers<'a> {
    text: &'a [u8],
    /// Where the next sequence may begin; the length of the text if nowhere.
    sequence: usize,
}

impl<'a> Introducers<'a> {
    fn of(text: &'a [u8], colours: bool) -> Self {
        let sequence = colours.then(|| memchr::memchr(ESC, text)).flatten();
        Self { text, sequence: sequence.unwrap_or(text.len()) }
    }

    /// The first at `from` or after it.
    fn next(&mut self, from: usize) -> Option<usize> {
        if self.sequence < from {
            let rest = self.text.get(from..).unwrap_or_default();
            self.sequence = memchr::memchr(ESC, rest).map_or(self.text.len(), |at| from + at);
        }
        let before = self.text.get(from..self.sequence)?;
        let other = memchr::memchr3(b'\\', b'%', b'&', before).map(|at| from + at);
        other.or_else(|| (self.sequence < self.text.len()).then_some(self.sequence))
    }
}

struct Escape {
    len: usize,
    stands_for: [u8; 4],
    bytes: usize,
    leaves_letters: bool,
}

impl Escape {
    fn of_byte(len: usize, byte: u8, leaves_letters: bool) -> Option<Self> {
        Some(Self { len, stands_for: [byte, 0, 0, 0], bytes: 1, leaves_letters })
    }

    fn of_code(len: usize, code: u32) -> Option<Self> {
        let mut stands_for = [0; 4];
        let bytes = char::from_u32(code)?.encode_utf8(&mut stands_for).len();
        Some(Self { len, stands_for, bytes, leaves_letters: true })
    }
}

/// The escape that `text` begins with.
fn escape(text: &[u8]) -> Option<Escape> {
    match text {
        [b'%', b'u' | b'U', ..] => Escape::of_code(6, number(text.get(2..6)?, 16)?),
        [b'%', ..] => Escape::of_byte(3, u8::try_from(number(text.get(1..3)?, 16)?).ok()?, true),
        [b'&', ..] => entity(text),
        [ESC, b'[', parameters @ ..] => {
            let len = parameters.iter().take(LONGEST_SEQUENCE - 3).take_while(|byte| is_parameter(byte)).count();
            let ends = parameters.get(len).is_some_and(|byte| matches!(byte, b'@'..=b'~'));
            ends.then_some(Escape { len: len + 3, stands_for: [0; 4], bytes: 0, leaves_letters: true })
        }
        [b'\\', b'x' | b'u', b'{', ..] => braces(text),
        [b'\\', b'x', ..] => Escape::of_byte(4, u8::try_from(number(text.get(2..4)?, 16)?).ok()?, true),
        [b'\\', b'u', ..] => utf16(text),
        [b'\\', b'U', ..] => Escape::of_code(10, number(text.get(2..10)?, 16)?),
        [b'\\', b'0'..=b'7', ..] => {
            let digits = text.iter().skip(1).take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            Escape::of_byte(1 + digits, u8::try_from(number(text.get(1..1 + digits)?, 8)?).ok()?, true)
        }
        [b'\\', letter, ..] => {
            let (byte, leaves) = match letter {
                b'n' => (b'\n', true),
                b'r' => (b'\r', true),
                b't' => (b'\t', true),
                b'b' => (8, true),
                b'f' => (12, true),
                b'v' => (11, true),
                b'a' => (7, true),
                // What it leaves may begin another escape.
                b'\\' => (b'\\', matches!(text.get(2), Some(next) if next.is_ascii_alphanumeric())),
                b'"' | b'\'' | b'/' => (*letter, false),
                _ => return None,
            };
            Escape::of_byte(2, byte, leaves)
        }
        _ => None,
    }
}

/// What may stand between the first two bytes of a sequence and the last: of ECMA-48, 5.4, what colours and terminals use.
fn is_parameter(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b';' | b':' | b'?')
}

/// `\u{68}`, of Rust, JavaScript and others.
fn braces(text: &[u8]) -> Option<Escape> {
    let end = text.iter().take(LONGEST_ESCAPE).position(|byte| *byte == b'}')?;
    Escape::of_code(end + 1, number(text.get(3..end)?, 16)?)
}

fn utf16(text: &[u8]) -> Option<Escape> {
    let first = number(text.get(2..6)?, 16)?;
    if (0xD800..0xDC00).contains(&first) && text.get(6..8) == Some(b"\\u") {
        let second = number(text.get(8..12)?, 16)?;
        return Escape::of_code(12, 0x1_0000 + ((first - 0xD800) << 10) + second.checked_sub(0xDC00)?);
    }
    Escape::of_code(6, first)
}

fn entity(text: &[u8]) -> Option<Escape> {
    let end = text.iter().take(LONGEST_ESCAPE).position(|byte| *byte == b';')?;
    let name = text.get(1..end)?;
    let code = match name {
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16)?,
        [b'#', digits @ ..] => number(digits, 10)?,
        b"lt" => u32::from('<'),
        b"gt" => u32::from('>'),
        b"amp" => u32::from('&'),
        b"quot" => u32::from('"'),
        b"apos" => u32::from('\''),
        b"nbsp" => 0xA0,
        _ => return None,
    };
    Escape::of_code(end + 1, code)
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits
        .iter()
        .try_fold(0u32, |number, digit| number.checked_mul(radix)?.checked_add(char::from(*digit).to_digit(radix)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(text: &str) -> String {
        let undone = Unescaped::new(text.as_bytes(), true).unwrap();
        String::from_utf8(undone.bytes).unwrap()
    }

    #[test]
    fn the_escapes_of_several_languages_are_undone() {
        assert_eq!(undone(r"a\n\x41\u00e9\U0001f511\101\\n"), "a\nAé🔑A\\n");
        assert_eq!(undone("%41%c3%A9%u0041%zz&lt;&#65;&#x42;&no;"), "AéA%zz<AB&no;");
        assert_eq!(undone(r"\ud83d\udd11"), "🔑");
        assert_eq!(undone(r"\u{41}\x{42}\u{1f511}\u{}\u{zz}"), r"AB🔑\u{}\u{zz}");
        assert_eq!(undone(r"\\150\\n"), r"\150\n");
    }

    #[test]
    fn an_escape_that_is_complete_is_not_open() {
        for (text, open) in [
            (r"ab\x41", 2),
            (r"ab\x41c", 7),
            (r"ab\x41\x4", 6),
            (r"ab\1", 2),
            (r"ab\12c", 6),
            (r"%3\u0030\u006", 8),
            (r"a\\\\", 3),
            ("a%zz", 1),
            ("abc", 3),
        ] {
            assert_eq!(open_escape(text.as_bytes()), open, "{text}");
        }
    }

    #[test]
    fn colours_stand_for_nothing() {
        assert_eq!(undone("a\x1b[01;31m\x1b[Kb\x1b[mc%41\x1b[3"), "abcA\x1b[3");
        let coloured = "ab\x1b[31mcd\x1b[0mef";
        let unescaped = Unescaped::new(coloured.as_bytes(), true).unwrap();
        assert!(Unescaped::new(coloured.as_bytes(), false).is_none());
        assert_eq!([unescaped.origin(1..3), unescaped.origin(2..4), unescaped.origin(4..6)], [1..8, 7..9, 13..15]);
        assert_eq!((unescaped.removed(&(1..8)), unescaped.removed(&(0..15))), (5, 9));
        let longest = format!("\x1b[{}m", "1;".repeat(22) + "1");
        assert_eq!(longest.len(), LONGEST_SEQUENCE);
        assert_eq!(undone(&format!("a{longest}b")), "ab");
        assert!(Unescaped::new(format!("a\x1b[1{}b", &longest[2..]).as_bytes(), true).is_none(), "one longer");
        for cut in 1..longest.len() {
            assert_eq!(open_escape(format!("ab{}", &longest[..cut]).as_bytes()), 2, "{cut} bytes of it may go on");
        }
        assert_eq!(open_escape(format!("ab{longest}").as_bytes()), 2 + longest.len());
    }

    #[test]
    fn escapes_that_leave_no_letter_are_left_alone() {
        for text in ["plain", r#"{"a":"\"b\" \\ \/"}"#, "100 % & more", r"C:\dir"] {
            assert!(Unescaped::new(text.as_bytes(), true).is_none(), "{text}");
        }
    }

    #[test]
    fn positions_lead_back() {
        let undone = Unescaped::new(br"ab\x63d\n", true).unwrap();
        assert_eq!(undone.bytes, b"abcd\n");
        assert_eq!([undone.origin(0..2), undone.origin(1..3), undone.origin(3..5)], [0..2, 1..6, 6..9]);
        assert_eq!([undone.not_inside(2), undone.not_inside(4), undone.not_inside(6)], [2, 2, 6]);
    }
}
