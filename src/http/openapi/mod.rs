//! The OpenAPI document: what this server serves, for programs that read it.
//!
//! - `operation` is one method of one path; `agents` and `admin` are the tables of them.
//! - `agents.json`, `admin.json` and `components.json` are shapes and parameters; a shape with `extends` has all that another has.
//! - Problems are written from their kinds, so that they are spelled as they are sent.
//!
//! Invariants: a route is in the document exactly when it is served (OA-1); what the server answers, and whatever it takes, is as
//! the document says (OA-2: every exchange of the black-box tests is judged by it).

mod admin;
mod agents;
mod operation;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::problem::{INVALID, Kind, NOT_FOUND, UNAVAILABLE, WRONG_STATE};
use operation::{Operation, problem_name, set};

/// The document; empty if it could not be put together, which a test rules out.
pub(super) static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| document().and_then(|document| serde_json::to_vec(&document)).unwrap_or_default().into());

fn operations() -> Vec<Operation> {
    [agents::operations(), admin::operations()].into_iter().flatten().collect()
}

const ABOUT: &str = "Agents send signed Python scripts; Airlock runs them with credentials that a person allowed, and returns results from \
                     which every secret has been scrubbed. JSON in and out, times in UTC. Errors are problems (RFC 9457): `detail` \
                     says what to do. Unknown fields of a body are refused. Every `GET` answers `HEAD`, every path `OPTIONS`; \
                     another method is a 405 and an unknown path a 404, both problems.";

fn document() -> Result<Value, serde_json::Error> {
    let operations = operations();
    let mut paths = Map::new();
    for operation in &operations {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        set(path, &operation.method.as_str().to_ascii_lowercase(), operation.written());
    }
    let mut schemas: Map<String, Value> = serde_json::from_str(include_str!("agents.json"))?;
    schemas.extend(serde_json::from_str::<Map<String, Value>>(include_str!("admin.json"))?);
    extend_all(&mut schemas);
    for kind in operations.iter().flat_map(Operation::kinds) {
        schemas.entry(problem_name(kind)).or_insert_with(|| problem(kind));
    }
    let mut components: Map<String, Value> = serde_json::from_str(include_str!("components.json"))?;
    components.insert("schemas".to_owned(), schemas.into());
    Ok(json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Airlock",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Scripts that use credentials which the agents that send them never see",
            "description": ABOUT,
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/" }],
        "tags": [
            { "name": "agents", "description": "What agents call; no session." },
            { "name": "admin", "description": "What the administrator calls." },
            { "name": "pages", "description": "What people and agents find first." },
        ],
        "paths": paths,
        "components": components,
    }))
}

/// A kind of problem: its four members, and those of its own.
fn problem(kind: &Kind) -> Value {
    let names = |what: &str| json!({ "type": "array", "items": { "type": "string" }, "description": what });
    let mut properties = json!({
        "type": { "const": kind.urn() },
        "title": { "const": kind.title() },
        "status": { "const": kind.status() },
        "detail": { "type": "string", "description": "One sentence that says what to do.", "minLength": 1 },
    });
    let mut required = vec!["type", "title", "status", "detail"];
    if kind == &INVALID {
        let fault = json!({
            "type": "object",
            "properties": {
                "field": { "type": "string", "description": "Its path, such as `credentials[2].name`; empty for the body as a whole." },
                "problem": { "type": "string" },
            },
            "required": ["field", "problem"],
            "additionalProperties": false,
        });
        set(&mut properties, "errors", json!({ "type": "array", "minItems": 1, "maxItems": 20, "items": fault }));
        set(
            &mut properties,
            "pointer",
            json!({ "type": "string", "description": "Where in an answer the schema is not met." }),
        );
        required.push("errors");
    } else if kind == &WRONG_STATE {
        set(&mut properties, "credential", json!({ "type": "string" }));
        set(&mut properties, "credentials", names("Credentials without a value."));
        set(&mut properties, "profiles", names("Locked profiles that use it."));
    } else if kind == &NOT_FOUND {
        set(&mut properties, "credential", json!({ "type": "string" }));
    } else if kind == &UNAVAILABLE {
        set(&mut properties, "problems", names("Why no script would run now."));
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// Puts what a schema `extends` into it: closed objects can't be put together by `allOf`.
fn extend_all(schemas: &mut Map<String, Value>) {
    let names: Vec<String> = schemas.keys().cloned().collect();
    for name in names {
        let extended = schemas.get(&name).map(|schema| extended(schemas, schema));
        if let Some(extended) = extended {
            schemas.insert(name, extended);
        }
    }
}

fn extended(schemas: &Map<String, Value>, schema: &Value) -> Value {
    let Some(base) = schema.get("extends").and_then(Value::as_str).and_then(|base| schemas.get(base)) else {
        return schema.clone();
    };
    let mut whole = extended(schemas, base);
    let Some(members) = schema.as_object() else { return whole };
    for (keyword, value) in members.iter().filter(|(keyword, _)| *keyword != "extends") {
        match (whole.get_mut(keyword), value) {
            (Some(Value::Object(of_base)), Value::Object(own)) => of_base.extend(own.clone()),
            (Some(Value::Array(of_base)), Value::Array(own)) if keyword == "required" => of_base.extend(own.clone()),
            _ => set(&mut whole, keyword, value.clone()),
        }
    }
    whole
}
