//! Reads a JSON body field by field, so that every fault is named by its path and no value is ever quoted back.
//!
//! serde's own messages quote what they found ("invalid type: string \"hunter2\""), which is why the shapes are not
//! derived. Values stay slices of the body until a reader takes them; duplicate and unknown names are faults.

mod readers;

use std::borrow::Cow;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

pub(super) use readers::{boolean, credential_name, integer, list, nullable, secret, secret_value, text, text_up_to};

use super::problem::{Fault, MALFORMED, Problem};

/// What a reader makes of a value: the value, or what is wrong with it.
pub(super) type Read<T> = Result<T, Vec<Fault>>;

/// How deep a body may nest.
const MAX_DEPTH: usize = 64;
/// How much of an unknown field's name is repeated.
const MAX_NAME_CHARS: usize = 64;

/// Reads a body that has to be one JSON object: 400 when it is not JSON, 422 when it is not what `build` asks for.
///
/// `build` asks for every field before it gives up with `None`, so that all faults are told at once.
pub(super) fn read<'a, T>(body: &'a [u8], build: impl FnOnce(&mut Fields<'a>) -> Option<T>) -> Result<T, Problem> {
    let malformed = |detail: String| Problem::new(&MALFORMED, detail);
    let text = std::str::from_utf8(body)
        .map_err(|error| malformed(format!("The body is not UTF-8 at byte {}.", error.valid_up_to() + 1)))?;
    if text.trim_ascii().is_empty() {
        return Err(malformed("The body is empty; send a JSON object, at least {}.".to_owned()));
    }
    if is_too_deep(body) {
        return Err(malformed(format!("The body nests deeper than {MAX_DEPTH} levels.")));
    }
    // Syntax errors of serde_json name what was expected and where, never what was there.
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|error| malformed(format!("The body is not valid JSON: {error}.")))?;
    object(raw, build).map_err(Problem::invalid)
}

/// True when brackets outside strings nest deeper than is read.
fn is_too_deep(body: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for &byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Reads an object: `build` takes the fields it knows; the rest are faults.
pub(super) fn object<'a, T>(raw: &'a RawValue, build: impl FnOnce(&mut Fields<'a>) -> Option<T>) -> Read<T> {
    if !raw.get().starts_with('{') {
        return fault("must be a JSON object");
    }
    let mut json = serde_json::Deserializer::from_str(raw.get());
    let Ok(members) = json.deserialize_map(Members) else {
        return fault(format!("has more than {MAX_MEMBERS} members, or a name that is not valid Unicode"));
    };
    let mut fields = Fields { members, faults: Vec::new() };
    let built = build(&mut fields);
    let Fields { members, mut faults } = fields;
    for Member { name, times, value } in members {
        if times > 1 {
            faults.push(Fault::new(shortened(&name), "is there more than once"));
        } else if value.is_some() {
            faults.push(Fault::new(shortened(&name), "is not a known field"));
        }
    }
    match built {
        Some(built) if faults.is_empty() => Ok(built),
        _ => Err(faults),
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(MAX_NAME_CHARS).collect()
}

fn fault<T>(problem: impl Into<Cow<'static, str>>) -> Read<T> {
    Err(vec![Fault::new("", problem)])
}

/// The members of an object that nobody has read yet, and what was wrong with those that were.
pub(super) struct Fields<'a> {
    members: Vec<Member<'a>>,
    faults: Vec<Fault>,
}

struct Member<'a> {
    name: Cow<'a, str>,
    times: usize,
    /// `None` once taken.
    value: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    /// A field that has to be there. `None`: it is faulty, and that is noted.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        reader: impl FnOnce(&'a RawValue) -> Read<T>,
    ) -> Option<T> {
        match self.optional(name, reader)? {
            Some(value) => Some(value),
            None => {
                self.faults.push(Fault::new(name, "is missing"));
                None
            }
        }
    }

    /// A field that may be left out: `Some(None)`. `None`: it is faulty, and that is noted.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        reader: impl FnOnce(&'a RawValue) -> Read<T>,
    ) -> Option<Option<T>> {
        let Some(raw) = self.members.iter_mut().find(|member| member.name == name).and_then(|m| m.value.take()) else {
            return Some(None);
        };
        match reader(raw) {
            Ok(value) => Some(Some(value)),
            Err(faults) => {
                self.faults.extend(faults.into_iter().map(|fault| within(name, fault)));
                None
            }
        }
    }
}

fn within(name: &str, fault: Fault) -> Fault {
    let separator = if fault.field.is_empty() || fault.field.starts_with('[') { "" } else { "." };
    Fault { field: format!("{name}{separator}{}", fault.field), problem: fault.problem }
}

/// Collects an object's members as slices, counting those of the same name.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<Member<'de>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<Member<'de>> = Vec::new();
        while let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            if let Some(known) = members.iter_mut().find(|member| member.name == name.0) {
                known.times += 1;
            } else if members.len() < MAX_MEMBERS {
                members.push(Member { name: name.0, times: 1, value: Some(value) });
            } else {
                return Err(serde::de::Error::custom("too many members"));
            }
        }
        Ok(members)
    }
}

/// Most members of one object: more than any object of the API has, so that a flood of them costs little.
const MAX_MEMBERS: usize = 64;

/// A member's name, borrowed from the body unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{body_json, body_text};
    use super::*;

    fn limited(body: &str) -> Result<(String, Option<u64>), Problem> {
        read(body.as_bytes(), |fields| {
            let script = fields.required("script", text);
            let timeout = fields.optional("timeout", integer(1..=3600));
            Some((script?, timeout?))
        })
    }

    fn refusal(body: &str) -> (u16, serde_json::Value) {
        let response = limited(body).expect_err("must be refused").into_response();
        (response.status().as_u16(), body_json(response))
    }

    #[test]
    fn reads_what_was_asked_for() {
        assert_eq!(limited(r#" {"script":"a\n\"b","timeout":3600} "#).ok(), Some(("a\n\"b".to_owned(), Some(3600))));
        assert_eq!(limited(r#"{"scr\u0069pt":""}"#).ok(), Some((String::new(), None)));
    }

    #[test]
    fn malformed_json_is_400_with_its_place_and_without_its_text() {
        for body in
            ["", "  ", "{", r#"{"script": hunter2}"#, r#"{"script":"hunter2}"#, "{} hunter2", "{\"script\":\"\u{1}\"}"]
        {
            let (status, problem) = refusal(body);
            assert_eq!(status, 400, "{body:?}");
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
        }
        let (_, problem) = refusal("{\n \"script\": hunter2}");
        assert!(problem["detail"].as_str().expect("text").contains("line 2 column"), "{problem}");
        assert_eq!(limited("{\"script\":\"\u{e9}\"}").ok().map(|(text, _)| text.len()), Some(2));
        let not_utf8 = read(b"{\"script\":\"\xff\"}", |_| Some(())).expect_err("must be refused").into_response();
        assert_eq!(not_utf8.status(), 400);
    }

    #[test]
    fn wrong_shapes_are_422_and_name_every_field_but_no_value() {
        for body in ["[]", "null", "3", "\"hunter2\""] {
            assert_eq!(refusal(body).0, 422, "{body:?}");
        }
        let (status, problem) = refusal(r#"{"script":["hunter2"],"timeout":"hunter2","nonsense":"hunter2"}"#);
        assert_eq!(status, 422);
        let fields: Vec<_> = problem["errors"].as_array().expect("a list").iter().map(|e| e["field"].clone()).collect();
        assert_eq!(fields, ["script", "timeout", "nonsense"]);
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }

    #[test]
    fn numbers_are_whole_and_within_their_range() {
        for number in ["0", "3601", "-1", "1.0", "1e1", "\"60\"", "true", "null", "99999999999999999999999"] {
            let (status, problem) = refusal(&format!(r#"{{"script":"","timeout":{number}}}"#));
            assert_eq!((status, &problem["errors"][0]["field"]), (422, &"timeout".into()), "{number}");
        }
        for number in ["1", "3600"] {
            assert!(limited(&format!(r#"{{"script":"","timeout":{number}}}"#)).is_ok(), "{number}");
        }
    }

    #[test]
    fn a_name_that_is_there_twice_is_a_fault() {
        for body in [r#"{"script":"a","script":"a"}"#, r#"{"script":"a","scr\u0069pt":"a"}"#] {
            let (status, problem) = refusal(body);
            assert_eq!(status, 422);
            assert_eq!(problem["errors"][0]["problem"], "is there more than once");
        }
    }

    #[test]
    fn lone_surrogates_are_refused() {
        assert_eq!(refusal(r#"{"script":"\ud800"}"#).0, 422);
        assert!(matches!(refusal(r#"{"\ud800":"", "script":""}"#).0, 400 | 422));
    }

    #[test]
    fn nesting_is_bounded_outside_strings_only() {
        let nested = |depth: usize| format!(r#"{{"script":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert_eq!(refusal(&nested(MAX_DEPTH - 1)).0, 422);
        assert_eq!(refusal(&nested(MAX_DEPTH)).0, 400);
        assert_eq!(refusal(&nested(200_000)).0, 400);
        assert!(limited(&format!(r#"{{"script":"\"{}"}}"#, "[{".repeat(1_000))).is_ok());
    }

    #[test]
    fn a_flood_of_members_is_refused_without_being_kept() {
        let body = format!("{{{}}}", (0..10_000).map(|n| format!("\"n{n}\":1")).collect::<Vec<_>>().join(","));
        assert_eq!(refusal(&body).0, 422);
    }

    #[test]
    fn faults_within_lists_have_a_path() {
        let body = r#"{"credentials":[{"name":"A"},{"name":"not-a-name"},{"name":"B","extra":1},7]}"#;
        let problem = read(body.as_bytes(), |fields| {
            fields
                .required("credentials", list(4, |raw| object(raw, |fields| fields.required("name", credential_name))))
        });
        let text = body_text(problem.expect_err("must be refused").into_response());
        for field in ["\"credentials[1].name\"", "\"credentials[2].extra\"", "\"credentials[3]\""] {
            assert!(text.contains(field), "{text}");
        }
        let too_many = read(br#"{"l":[1,1,1]}"#, |fields| fields.required("l", list(2, integer(0..=9))));
        assert!(body_text(too_many.expect_err("must be refused").into_response()).contains("more than 2"));
    }

    #[test]
    fn values_have_their_limits() {
        let value = |text: String| {
            let body = serde_json::json!({ "value": text }).to_string();
            read(body.as_bytes(), |fields| fields.required("value", secret_value(8))).is_ok()
        };
        for (text, fits) in [("", false), ("x", true), ("12345678", true), ("123456789", false), ("a\0b", false)] {
            assert_eq!(value(text.to_owned()), fits, "{text:?}");
        }
    }
}
