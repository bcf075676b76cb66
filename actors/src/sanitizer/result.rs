//! Scrubbing a result: as a tree, so that what comes out is JSON again (SA-4).

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::{Map, Number, Value};

use super::redactor::{Counts, MARKER, Redactor};

/// The script's process sent a result that is no JSON, or one nested deeper than 128 levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the result is not JSON, or is nested 128 levels deep or more; return flatter data")]
pub struct InvalidResult;

/// A number is replaced only when its text holds a value of at least this many characters: `5432` stays a number.
const NUMBER_MIN_BYTES: usize = 8;

/// serde_json's limit.
const DEEPEST: usize = 128;

const FIELD: &str = "result";

impl Redactor {
    /// The JSON text of a result that an agent may see. Clean text comes back as it is (SA-2).
    pub fn scrub_result(&self, json: &str, counts: &mut Counts) -> Result<String, InvalidResult> {
        // Without a backslash no string in it is spelled otherwise than it reads, so the text itself can be searched.
        let reads_as_spelled = !json.contains('\\');
        if reads_as_spelled && self.is_clean(json.as_bytes()) {
            serde_json::from_str::<IgnoredAny>(json).map_err(|_| InvalidResult)?;
            return if is_too_deep(json) { Err(InvalidResult) } else { Ok(json.to_owned()) };
        }
        let tree: Value = serde_json::from_str(json).map_err(|_| InvalidResult)?;
        match self.scrub_value(&tree, counts) {
            Cow::Borrowed(_) => Ok(json.to_owned()),
            Cow::Owned(scrubbed) => serde_json::to_string(&scrubbed).map_err(|_| InvalidResult),
        }
    }

    fn scrub_value<'v>(&self, value: &'v Value, counts: &mut Counts) -> Cow<'v, Value> {
        match value {
            Value::Null | Value::Bool(_) => Cow::Borrowed(value),
            Value::Number(number) if self.spells_a_long_value(number, counts) => Cow::Owned(Value::from(MARKER)),
            Value::Number(_) => Cow::Borrowed(value),
            Value::String(text) if self.is_clean(text.as_bytes()) => Cow::Borrowed(value),
            Value::String(text) => Cow::Owned(Value::String(self.scrub(text, FIELD, counts))),
            Value::Array(items) => {
                let scrubbed: Vec<_> = items.iter().map(|item| self.scrub_value(item, counts)).collect();
                if scrubbed.iter().all(|item| matches!(item, Cow::Borrowed(_))) {
                    return Cow::Borrowed(value);
                }
                Cow::Owned(Value::Array(scrubbed.into_iter().map(Cow::into_owned).collect()))
            }
            Value::Object(members) => self.scrub_members(members, counts).map_or(Cow::Borrowed(value), Cow::Owned),
        }
    }

    /// `None` when nothing in it has to change.
    fn scrub_members(&self, members: &Map<String, Value>, counts: &mut Counts) -> Option<Value> {
        let mut changed = false;
        let mut scrubbed = Map::with_capacity(members.len());
        for (key, value) in members {
            let new_value = self.scrub_value(value, counts);
            let key_is_clean = self.is_clean(key.as_bytes());
            changed |= !key_is_clean || matches!(new_value, Cow::Owned(_));
            let new_key = if key_is_clean { key.clone() } else { self.scrub(key, FIELD, counts) };
            scrubbed.insert(unused_key(&scrubbed, new_key), new_value.into_owned());
        }
        changed.then_some(Value::Object(scrubbed))
    }

    fn spells_a_long_value(&self, number: &Number, counts: &mut Counts) -> bool {
        let text = number.as_str();
        if text.len() < NUMBER_MIN_BYTES || self.is_clean(text.as_bytes()) {
            return false;
        }
        let mut found = Counts::default();
        let hits = self.find(text.as_bytes(), FIELD, &mut found);
        let long = hits.iter().any(|hit| hit.len() >= NUMBER_MIN_BYTES);
        if long {
            counts.merge(found);
        }
        long
    }
}

/// Whether JSON without escapes nests deeper than parsers commonly follow, which is where the tree above ends too.
fn is_too_deep(json: &str) -> bool {
    let (mut depth, mut in_string) = (0usize, false);
    json.bytes().any(|byte| {
        match byte {
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth >= DEEPEST
    })
}

/// Two keys that were scrubbed to the same text both stay.
fn unused_key(members: &Map<String, Value>, wanted: String) -> String {
    if !members.contains_key(&wanted) {
        return wanted;
    }
    let mut number = 2u64;
    loop {
        let numbered = format!("{wanted} ({number})");
        if !members.contains_key(&numbered) {
            return numbered;
        }
        number += 1;
    }
}
