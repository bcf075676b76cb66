//! Scrubbing a result: token by token, so that what comes out is JSON again (SA-4).
//!
//! The text is the script's, hostile if it likes: duplicate keys, escapes where none are needed, names that a JSON library
//! gives a meaning of its own. So it is never turned into a tree and back: each string and number is looked at where it
//! stands, and everything else is passed on as it is.

use std::collections::HashMap;

use serde::de::IgnoredAny;

use super::counts::Counts;
use super::form::Form;
use super::redactor::Redactor;

/// Why a result is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefusedResult {
    /// The script's process sent no JSON, or JSON that is nested deeper than parsers commonly follow.
    #[error("the result is not JSON, or is nested 128 levels deep or more; return flatter data")]
    NotJson,
    /// What was scrubbed value by value still holds a secret as a whole, such as a list of its characters.
    #[error(
        "the result spells a credential across several values, such as a list of its characters, and is withheld; \
         return data without it"
    )]
    SpellsValue,
}

use RefusedResult::{NotJson, SpellsValue};

/// A number is replaced only when its text holds a value of at least this many characters: `5432` stays a number.
const NUMBER_MIN_BYTES: usize = 8;

/// serde_json's limit, and that of many others.
const DEEPEST: usize = 128;

const FIELD: &str = "result";

impl Redactor {
    /// The JSON text of a result that an agent may see. Clean text comes back as it is (SA-2).
    pub fn scrub_result(&self, json: &str, counts: &mut Counts) -> Result<String, RefusedResult> {
        serde_json::from_str::<IgnoredAny>(json).map_err(|_| NotJson)?;
        let mut rewriter =
            Rewriter { redactor: self, counts, out: String::with_capacity(json.len()), open: Vec::new() };
        rewriter.rewrite(json)?;
        let Rewriter { out, .. } = rewriter;
        // A short value can only be told from `true` or 5432 inside a string, where it was looked for already.
        let whole = self.search_long(out.as_bytes());
        if whole.found.is_empty() {
            return Ok(out);
        }
        self.count(&whole, out.len(), FIELD, counts);
        Err(SpellsValue)
    }
}

/// Copies valid JSON to `out`, scrubbing on the way.
struct Rewriter<'a> {
    redactor: &'a Redactor,
    counts: &'a mut Counts,
    out: String,
    /// For each array and object that is open, how often a key was scrubbed to the same text.
    open: Vec<HashMap<String, u64>>,
}

impl Rewriter<'_> {
    fn rewrite(&mut self, json: &str) -> Result<(), RefusedResult> {
        let bytes = json.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let end = match byte {
                b'"' => end_of_string(bytes, at).ok_or(NotJson)?,
                b'-' | b'0'..=b'9' => end_of_number(bytes, at),
                _ => at + 1,
            };
            let token = json.get(at..end).ok_or(NotJson)?;
            match byte {
                b'"' => self.string(token, is_key(bytes, end))?,
                b'-' | b'0'..=b'9' => self.number(token),
                _ => self.structure(byte)?,
            }
            at = end;
        }
        Ok(())
    }

    fn structure(&mut self, byte: u8) -> Result<(), RefusedResult> {
        match byte {
            b'[' | b'{' => self.open.push(HashMap::new()),
            b']' | b'}' => drop(self.open.pop()),
            _ => {}
        }
        // What stands outside strings is ASCII in valid JSON.
        self.out.push(char::from(byte));
        if self.open.len() < DEEPEST { Ok(()) } else { Err(NotJson) }
    }

    /// `token` with its quotes.
    fn string(&mut self, token: &str, is_key: bool) -> Result<(), RefusedResult> {
        let inner = token.get(1..token.len() - 1).ok_or(NotJson)?;
        let decoded: String;
        let text = if inner.contains('\\') {
            decoded = serde_json::from_str(token).map_err(|_| NotJson)?;
            decoded.as_str()
        } else {
            inner
        };
        if self.redactor.is_clean(text.as_bytes()) {
            self.out.push_str(token);
            return Ok(());
        }
        let mut scrubbed = self.redactor.scrub(text, FIELD, self.counts);
        if is_key {
            self.number_repeated_key(&mut scrubbed);
        }
        self.out.push_str(&serde_json::to_string(&scrubbed).map_err(|_| NotJson)?);
        Ok(())
    }

    /// Two keys of an object that were scrubbed to the same text both stay, told apart by a number.
    fn number_repeated_key(&mut self, key: &mut String) {
        let Some(seen) = self.open.last_mut() else { return };
        let times = seen.entry(key.clone()).or_default();
        *times += 1;
        if *times > 1 {
            *key = format!("{key} ({times})");
        }
    }

    fn number(&mut self, token: &str) {
        if token.len() >= NUMBER_MIN_BYTES {
            let scan = self.redactor.search(token.as_bytes(), false);
            if scan.found.iter().any(|found| found.form == Form::Literal && found.range.len() >= NUMBER_MIN_BYTES) {
                self.redactor.count(&scan, token.len(), FIELD, self.counts);
                let marker = self
                    .redactor
                    .hits(&scan, usize::MAX)
                    .first()
                    .map_or("", |hit| self.redactor.marker(hit))
                    .to_owned();
                self.out.push('"');
                self.out.push_str(&marker);
                self.out.push('"');
                return;
            }
        }
        self.out.push_str(token);
    }
}

/// Just past the closing quote of the string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn end_of_number(bytes: &[u8], start: usize) -> usize {
    let of_number = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
    bytes.get(start..).map_or(start, |rest| start + rest.iter().take_while(|byte| of_number(byte)).count())
}

/// Whether a colon follows, which it does after keys only.
fn is_key(bytes: &[u8], end: usize) -> bool {
    let rest = bytes.get(end..).unwrap_or_default();
    rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}
