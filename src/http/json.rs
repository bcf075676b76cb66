//! Writes JSON straight into the bytes of a response: no tree, no copy of a result's text.

use jiff::Timestamp;

/// An object under construction; members come out in the order of the calls.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

/// The bytes of one object. `capacity` is a guess at their number.
pub(super) fn object(capacity: usize, fill: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(capacity);
    nested(&mut out, fill);
    out
}

fn nested(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    fill(&mut Object { out, empty: true });
    out.push(b'}');
}

fn quoted(out: &mut Vec<u8>, text: &str) {
    // A `Vec` takes every write and a `str` always serialises.
    let _never_fails = serde_json::to_writer(out, text);
}

fn listed<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

impl Object<'_> {
    fn name(&mut self, name: &str) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        quoted(self.out, name);
        self.out.push(b':');
    }

    /// A string.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        quoted(self.out, text);
    }

    /// A string, or null.
    pub(super) fn text_or_null(&mut self, name: &str, text: Option<&str>) {
        match text {
            Some(text) => self.text(name, text),
            None => self.raw(name, "null"),
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self, name: &str, number: u64) {
        self.raw(name, &number.to_string());
    }

    /// A whole number, or null.
    pub(super) fn number_or_null(&mut self, name: &str, number: Option<u64>) {
        match number {
            Some(number) => self.number(name, number),
            None => self.raw(name, "null"),
        }
    }

    /// True or false.
    pub(super) fn flag(&mut self, name: &str, flag: bool) {
        self.raw(name, if flag { "true" } else { "false" });
    }

    /// A time: RFC 3339, UTC, exactly three digits of milliseconds.
    pub(super) fn time(&mut self, name: &str, time: Timestamp) {
        self.name(name);
        // Digits and punctuation only, so nothing to escape.
        self.out.extend_from_slice(format!("\"{time:.3}\"").as_bytes());
    }

    /// A time, or null.
    pub(super) fn time_or_null(&mut self, name: &str, time: Option<Timestamp>) {
        match time {
            Some(time) => self.time(name, time),
            None => self.raw(name, "null"),
        }
    }

    /// Text that is JSON already.
    pub(super) fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.out.extend_from_slice(json.as_bytes());
    }

    /// A list of strings.
    pub(super) fn texts<T: AsRef<str>>(&mut self, name: &str, texts: impl IntoIterator<Item = T>) {
        self.name(name);
        listed(self.out, texts, |out, text| quoted(out, text.as_ref()));
    }

    /// An object within.
    pub(super) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        nested(self.out, fill);
    }

    /// A list of objects.
    pub(super) fn objects<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Object<'_>, T),
    ) {
        self.name(name);
        listed(self.out, items, |out, item| nested(out, |object| fill(object, item)));
    }
}

impl Object<'_> {
    /// A list of objects that ends after the one that takes it to `enough` bytes. Returns how many it has.
    pub(super) fn objects_until<T>(
        &mut self,
        name: &str,
        enough: usize,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Object<'_>, T),
    ) -> usize {
        self.name(name);
        let (began, mut written) = (self.out.len(), 0);
        let full = |out: &Vec<u8>| out.len() - began >= enough;
        self.out.push(b'[');
        for item in items {
            if written > 0 {
                self.out.push(b',');
            }
            nested(self.out, |object| fill(object, item));
            written += 1;
            if full(self.out) {
                break;
            }
        }
        self.out.push(b']');
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_members_in_order_and_escapes_strings() {
        let time = Timestamp::from_nanosecond(1_700_000_000_120_999_999).expect("in range");
        let bytes = object(0, |o| {
            o.text("a\"b", "line\n\u{1F600}\u{0}");
            o.time("time", time);
            o.time_or_null("never", None);
            o.raw("raw", r#"{"x":[1,2]}"#);
            o.texts("list", ["p", "q"]);
            o.object("empty", |_| {});
            o.objects("objects", [1, 2], |o, n| o.number("n", n));
            o.flag("flag", true);
        });
        let expected = concat!(
            r#"{"a\"b":"line\n😀\u0000","time":"2023-11-14T22:13:20.120Z","never":null,"raw":{"x":[1,2]},"#,
            r#""list":["p","q"],"empty":{},"objects":[{"n":1},{"n":2}],"flag":true}"#
        );
        assert_eq!(String::from_utf8(bytes).expect("UTF-8"), expected);
    }

    #[test]
    fn a_list_that_has_enough_ends_with_a_whole_object() {
        let listed = |enough| {
            let mut written = 0;
            let fill = |object: &mut Object<'_>, n: &u64| object.number("n", *n);
            let bytes = object(0, |o| written = o.objects_until("l", enough, &[1, 2, 3], fill));
            (String::from_utf8(bytes).expect("UTF-8"), written)
        };
        assert_eq!(listed(1), (r#"{"l":[{"n":1}]}"#.to_owned(), 1));
        assert_eq!(listed(8), (r#"{"l":[{"n":1}]}"#.to_owned(), 1));
        assert_eq!(listed(9), (r#"{"l":[{"n":1},{"n":2}]}"#.to_owned(), 2));
        assert_eq!(listed(1_000).1, 3);
    }

    #[test]
    fn whole_seconds_have_three_digits_too() {
        let bytes = object(0, |o| o.time("t", Timestamp::UNIX_EPOCH));
        assert_eq!(bytes, br#"{"t":"1970-01-01T00:00:00.000Z"}"#);
    }
}
