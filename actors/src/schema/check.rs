//! Whether a schema is one.

use serde_json::{Map, Value};

use super::judge::{pattern, target};

/// What takes no part in judging.
const ANNOTATIONS: [&str; 13] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "contentEncoding",
    "contentMediaType",
];
const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "integer", "string"];

/// Checks a schema and all in it. The depth is bounded by that of JSON texts.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    Checker { root: schema }.schema(schema, "#")
}

struct Checker<'a> {
    root: &'a Value,
}

impl Checker<'_> {
    fn schema(&self, schema: &Value, at: &str) -> Result<(), String> {
        let members = match schema {
            Value::Bool(_) => return Ok(()),
            Value::Object(members) => members,
            _ => return Err(format!("at {at}: a schema is an object, true or false")),
        };
        members.iter().try_for_each(|(keyword, value)| self.keyword(keyword, value, &format!("{at}/{keyword}")))
    }

    fn keyword(&self, keyword: &str, value: &Value, at: &str) -> Result<(), String> {
        let must = |fits: bool, what: &str| if fits { Ok(()) } else { Err(format!("at {at}: must be {what}")) };
        match keyword {
            "type" => must(are_types(value), "a type's name, or a list of them"),
            "enum" => must(value.is_array(), "a list"),
            "const" => Ok(()),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => must(value.is_number(), "a number"),
            "multipleOf" => must(value.as_f64().is_some_and(|number| number > 0.0), "a number above 0"),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minContains"
            | "maxContains" => must(value.is_u64(), "a whole number"),
            "uniqueItems" => must(value.is_boolean(), "true or false"),
            "required" => must(are_texts(value), "a list of names"),
            "pattern" => self.pattern(value, at),
            "$ref" => {
                let text = value.as_str().ok_or_else(|| format!("at {at}: must be a text"))?;
                let known = target(self.root, text).is_some();
                must(known, "a reference into this schema, such as #/$defs/NAME; nothing is fetched")
            }
            "dependentRequired" => {
                let lists = value.as_object().is_some_and(|members| members.values().all(are_texts));
                must(lists, "an object of lists of names")
            }
            "items" | "additionalProperties" | "contains" | "propertyNames" | "not" | "if" | "then" | "else" => {
                self.schema(value, at)
            }
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                let schemas = value.as_array().filter(|schemas| !schemas.is_empty());
                let schemas = schemas.ok_or_else(|| format!("at {at}: must be a list of schemas"))?;
                schemas.iter().enumerate().try_for_each(|(index, one)| self.schema(one, &format!("{at}/{index}")))
            }
            "properties" | "$defs" | "definitions" | "dependentSchemas" => self.schemas(value, at).map(drop),
            "patternProperties" => {
                let members = self.schemas(value, at)?;
                members.keys().try_for_each(|name| self.pattern(&Value::String(name.clone()), at))
            }
            annotation if ANNOTATIONS.contains(&annotation) => Ok(()),
            _ => Err(format!("at {at}: this keyword is not known here")),
        }
    }

    fn schemas<'v>(&self, value: &'v Value, at: &str) -> Result<&'v Map<String, Value>, String> {
        let members = value.as_object().ok_or_else(|| format!("at {at}: must be an object of schemas"))?;
        members.iter().try_for_each(|(name, one)| self.schema(one, &format!("{at}/{name}")))?;
        Ok(members)
    }

    fn pattern(&self, value: &Value, at: &str) -> Result<(), String> {
        let text = value.as_str().ok_or_else(|| format!("at {at}: must be a text"))?;
        let compiled = pattern(text).map(drop);
        compiled.ok_or_else(|| {
            format!("at {at}: must be a regular expression that is not large and has no look-around or back-reference")
        })
    }
}

fn are_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|names| names.iter().all(Value::is_string))
}

fn are_types(value: &Value) -> bool {
    let is_type = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    is_type(value) || value.as_array().is_some_and(|names| !names.is_empty() && names.iter().all(is_type))
}
