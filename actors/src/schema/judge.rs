//! Whether a value fits a schema.

use std::collections::HashMap;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::{DEEPEST, FUEL};

/// Largest compiled pattern, in bytes.
const PATTERN_BYTES: usize = 256 * 1024;
/// Longest path that is shown of a misfit, in bytes.
const PATH_BYTES: usize = 200;

/// Where and why an answer does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// A JSON Pointer into the answer; empty for the whole of it.
    pub at: String,
    /// Completes the sentence that begins with the place.
    pub problem: String,
}

/// Judges a value by a checked schema.
pub(super) fn judge(schema: &Value, value: &Value) -> Result<(), Misfit> {
    let mut judge =
        Judge { root: schema, fuel: FUEL, depth: 0, exhausted: false, path: Vec::new(), patterns: HashMap::new() };
    judge.value(schema, value).map_err(|problem| Misfit { at: judge.pointer(), problem })
}

/// What a reference points at: `#`, or a JSON Pointer behind `#`.
pub(super) fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?).filter(|target| target.is_object() || target.is_boolean())
}

/// A pattern; matching takes time linear in the text.
pub(super) fn pattern(text: &str) -> Option<Regex> {
    RegexBuilder::new(text).size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build().ok()
}

struct Judge<'a> {
    root: &'a Value,
    fuel: u64,
    depth: usize,
    /// It was too much: nothing that is said from now on counts.
    exhausted: bool,
    path: Vec<String>,
    patterns: HashMap<&'a str, Option<Regex>>,
}

type Judged = Result<(), String>;

fn must(fits: bool, problem: impl FnOnce() -> String) -> Judged {
    if fits { Ok(()) } else { Err(problem()) }
}

impl<'a> Judge<'a> {
    fn pointer(&self) -> String {
        let mut text = String::new();
        for part in &self.path {
            text.push('/');
            text.push_str(&part.replace('~', "~0").replace('/', "~1"));
        }
        match text.char_indices().map(|(at, _)| at).find(|&at| at > PATH_BYTES) {
            Some(end) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text,
        }
    }

    fn burn(&mut self, steps: usize) -> Judged {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX).saturating_add(1);
        self.fuel = self.fuel.saturating_sub(steps);
        self.exhausted |= self.fuel == 0;
        must(!self.exhausted, || {
            "is too much to judge by its schema; answer with less, and less deeply nested".to_owned()
        })
    }

    fn value(&mut self, schema: &'a Value, value: &Value) -> Judged {
        self.exhausted |= self.depth >= DEEPEST;
        self.burn(0)?;
        let members = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Object(members) => members,
            _ => return Err("is not allowed here".to_owned()),
        };
        self.depth += 1;
        members.iter().try_for_each(|(keyword, by)| self.keyword(members, keyword, by, value))?;
        self.depth -= 1;
        Ok(())
    }

    /// One member of it, whose place is noted in case it does not fit.
    fn member(&mut self, name: &str, schema: &'a Value, value: &Value) -> Judged {
        self.path.push(name.to_owned());
        self.value(schema, value)?;
        self.path.pop();
        Ok(())
    }

    /// Whether it fits, where that is not the last word.
    fn fits(&mut self, schema: &'a Value, value: &Value) -> Result<bool, String> {
        let (depth, path) = (self.depth, self.path.len());
        let fits = self.value(schema, value).is_ok();
        self.depth = depth;
        self.path.truncate(path);
        self.burn(0).map(|()| fits)
    }

    fn matches(&mut self, text: &'a str, value: &str) -> Result<bool, String> {
        self.burn(value.len() / 64)?;
        let compiled = self.patterns.entry(text).or_insert_with(|| pattern(text));
        Ok(compiled.as_ref().is_some_and(|pattern| pattern.is_match(value)))
    }

    fn keyword(&mut self, siblings: &'a Map<String, Value>, keyword: &str, by: &'a Value, value: &Value) -> Judged {
        match keyword {
            "$ref" => match by.as_str().and_then(|reference| target(self.root, reference)) {
                Some(schema) => self.value(schema, value),
                None => Err("can't be judged: its schema refers to nothing".to_owned()),
            },
            "type" => {
                let fits = match by {
                    Value::Array(names) => names.iter().any(|name| is_of(name, value)),
                    name => is_of(name, value),
                };
                must(fits, || format!("must be of type {}", shown(by)))
            }
            "enum" => {
                let options = by.as_array().map_or(&[][..], Vec::as_slice);
                self.burn(options.len().saturating_mul(weight(value)))?;
                must(options.iter().any(|option| same(option, value)), || format!("must be one of {}", shown(by)))
            }
            "const" => must(same(by, value), || format!("must be {}", shown(by))),
            "allOf" => list(by).try_for_each(|schema| self.value(schema, value)),
            "anyOf" => {
                for schema in list(by) {
                    if self.fits(schema, value)? {
                        return Ok(());
                    }
                }
                Err("fits none of the schemas it may have (anyOf)".to_owned())
            }
            "oneOf" => {
                let mut count = 0;
                for schema in list(by) {
                    count += u32::from(self.fits(schema, value)?);
                }
                must(count == 1, || format!("must fit exactly one of the schemas it may have (oneOf) and fits {count}"))
            }
            "not" => {
                let fits = self.fits(by, value)?;
                must(!fits, || "has a form that is excluded (not)".to_owned())
            }
            "if" => {
                let branch = if self.fits(by, value)? { "then" } else { "else" };
                siblings.get(branch).map_or(Ok(()), |schema| self.value(schema, value))
            }
            _ => match value {
                Value::Number(_) => number(keyword, by, value),
                Value::String(text) => self.text(keyword, by, text),
                Value::Array(items) => self.array(siblings, keyword, by, items),
                Value::Object(members) => self.object(siblings, keyword, by, members),
                Value::Null | Value::Bool(_) => Ok(()),
            },
        }
    }

    fn text(&mut self, keyword: &str, by: &'a Value, text: &str) -> Judged {
        let length = || u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        match keyword {
            "minLength" | "maxLength" => {
                self.burn(text.len() / 64)?;
                within(keyword == "minLength", length(), by, "characters")
            }
            "pattern" => {
                let pattern = by.as_str().unwrap_or_default();
                let fits = self.matches(pattern, text)?;
                must(fits, || format!("must match the pattern {}", shown(by)))
            }
            _ => Ok(()),
        }
    }

    fn array(&mut self, siblings: &'a Map<String, Value>, keyword: &str, by: &'a Value, items: &[Value]) -> Judged {
        let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
        match keyword {
            "minItems" | "maxItems" => within(keyword == "minItems", count, by, "items"),
            "uniqueItems" if by == &Value::Bool(true) => {
                let weights: usize = items.iter().map(weight).sum();
                self.burn(items.len().saturating_mul(weights))?;
                let twice = (1..items.len()).find(|&at| {
                    let (before, rest) = items.split_at(at);
                    rest.first().is_some_and(|item| before.iter().any(|other| same(other, item)))
                });
                must(twice.is_none(), || {
                    format!("must have no two equal items; item {} is a second", twice.unwrap_or(0))
                })
            }
            "prefixItems" => {
                let pairs = list(by).zip(items).enumerate();
                pairs.into_iter().try_for_each(|(index, (schema, item))| self.member(&index.to_string(), schema, item))
            }
            "items" => {
                let first = siblings.get("prefixItems").map_or(0, |prefix| list(prefix).count());
                let rest = items.iter().enumerate().skip(first);
                rest.into_iter().try_for_each(|(index, item)| self.member(&index.to_string(), by, item))
            }
            "contains" => {
                let mut found = 0;
                for item in items {
                    found += u64::from(self.fits(by, item)?);
                }
                let bound = |name: &str| siblings.get(name).and_then(Value::as_u64);
                let (least, most) = (bound("minContains").unwrap_or(1), bound("maxContains").unwrap_or(u64::MAX));
                must((least..=most).contains(&found), || {
                    format!(
                        "must have at least {least} and no more than {most} items of a form (contains), has {found}"
                    )
                })
            }
            _ => Ok(()),
        }
    }

    fn object(
        &mut self,
        siblings: &'a Map<String, Value>,
        keyword: &str,
        by: &'a Value,
        members: &Map<String, Value>,
    ) -> Judged {
        let count = u64::try_from(members.len()).unwrap_or(u64::MAX);
        let schemas = || by.as_object().into_iter().flatten();
        match keyword {
            "minProperties" | "maxProperties" => within(keyword == "minProperties", count, by, "members"),
            "required" => self.required(by, members),
            "dependentRequired" => schemas()
                .filter(|(name, _)| members.contains_key(name.as_str()))
                .try_for_each(|(_, names)| self.required(names, members)),
            "properties" => {
                for (name, schema) in schemas() {
                    self.burn(0)?;
                    if let Some(member) = members.get(name) {
                        self.member(name, schema, member)?;
                    }
                }
                Ok(())
            }
            "patternProperties" => {
                for (pattern, schema) in schemas() {
                    for (name, member) in members {
                        if self.matches(pattern, name)? {
                            self.member(name, schema, member)?;
                        }
                    }
                }
                Ok(())
            }
            "additionalProperties" => {
                for (name, member) in members {
                    if !self.is_named(siblings, name)? {
                        self.member(name, by, member)?;
                    }
                }
                Ok(())
            }
            "propertyNames" => members.keys().try_for_each(|name| self.member(name, by, &Value::String(name.clone()))),
            "dependentSchemas" => {
                let whole = Value::Object(members.clone());
                schemas()
                    .filter(|(name, _)| members.contains_key(name.as_str()))
                    .try_for_each(|(_, schema)| self.value(schema, &whole))
            }
            _ => Ok(()),
        }
    }

    fn required(&mut self, names: &Value, members: &Map<String, Value>) -> Judged {
        let names = names.as_array().map_or(&[][..], Vec::as_slice);
        self.burn(names.len())?;
        let missing = names.iter().filter_map(Value::as_str).find(|name| !members.contains_key(*name));
        must(missing.is_none(), || format!("must have the member {}", shown(&Value::from(missing))))
    }

    /// Whether `properties` or `patternProperties` name it.
    fn is_named(&mut self, siblings: &'a Map<String, Value>, name: &str) -> Result<bool, String> {
        self.burn(0)?;
        let of = |keyword: &str| siblings.get(keyword).and_then(Value::as_object);
        if of("properties").is_some_and(|properties| properties.contains_key(name)) {
            return Ok(true);
        }
        for pattern in of("patternProperties").into_iter().flat_map(Map::keys) {
            if self.matches(pattern, name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn within(is_least: bool, count: u64, by: &Value, what: &str) -> Judged {
    let bound = by.as_u64().unwrap_or(0);
    let (fits, word) = if is_least { (count >= bound, "at least") } else { (count <= bound, "at most") };
    must(fits, || format!("must have {word} {bound} {what}, has {count}"))
}

fn number(keyword: &str, by: &Value, value: &Value) -> Judged {
    let (Some(bound), Some(number)) = (by.as_f64(), value.as_f64()) else { return Ok(()) };
    let (fits, what) = match keyword {
        "minimum" => (number >= bound, "at least"),
        "maximum" => (number <= bound, "at most"),
        "exclusiveMinimum" => (number > bound, "more than"),
        "exclusiveMaximum" => (number < bound, "less than"),
        "multipleOf" => {
            let times = number / bound;
            ((times - times.round()).abs() < 1e-9 * times.abs().max(1.0), "a multiple of")
        }
        _ => return Ok(()),
    };
    must(fits, || format!("must be {what} {}", shown(by)))
}

fn is_of(name: &Value, value: &Value) -> bool {
    match (name.as_str().unwrap_or_default(), value) {
        ("null", Value::Null)
        | ("boolean", Value::Bool(_))
        | ("object", Value::Object(_))
        | ("array", Value::Array(_))
        | ("number", Value::Number(_))
        | ("string", Value::String(_)) => true,
        ("integer", Value::Number(number)) => {
            number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
        }
        _ => false,
    }
}

/// Equal as JSON Schema has it: 1 and 1.0 are.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let equal = |(name, value): (&String, &Value)| other.get(name).is_some_and(|other| same(value, other));
            one.len() == other.len() && one.iter().all(equal)
        }
        _ => one == other,
    }
}

/// How many values there are in it, and 64 bytes of text.
fn weight(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(weight).sum::<usize>(),
        Value::String(text) => 1 + text.len() / 64,
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// A part of a schema in an error, cut. Never a part of an answer.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().map(|(at, _)| at).find(|&at| at > PATH_BYTES) {
        Some(end) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
