//! One method of one path, and how it is written in the document.

use http::Method;
use serde_json::{Map, Value, json};

use crate::http::problem::{
    FOREIGN_ORIGIN, INTERNAL, INVALID, Kind, MALFORMED, NO_IDENTITY, NOT_FOUND, STALLED, TOO_LARGE, UNAVAILABLE,
    WRONG_TYPE,
};

/// An operation under construction.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    id: &'static str,
    summary: &'static str,
    about: &'static str,
    tag: &'static str,
    security: Value,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Vec<(u16, Value)>,
    refusals: Vec<(&'static Kind, &'static str)>,
}

macro_rules! method {
    ($name:ident, $method:ident) => {
        #[doc = concat!("`", stringify!($method), "` of a path, with the operation's id and a line on what it does.")]
        pub(super) fn $name(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
            Operation::new(Method::$method, path, id, summary)
        }
    };
}
method!(get, GET);
method!(post, POST);
method!(put, PUT);
method!(delete, DELETE);

impl Operation {
    fn new(method: Method, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        let (tag, about, security) = ("agents", "", json!([]));
        let (parameters, body, answers) = (Vec::new(), None, Vec::new());
        let refusals = vec![(&INTERNAL, "Airlock failed; the reason is in its log.")];
        Self { method, path, id, summary, about, tag, security, parameters, body, answers, refusals }
    }

    /// More about it.
    pub(super) fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    /// Under another heading than the agents' calls.
    pub(super) fn tagged(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// Asks the core, which may be going down, or be without a disk.
    pub(super) fn uses_core(self) -> Self {
        self.refuses(&UNAVAILABLE, "Too busy, shutting down, or without space on the disk: nothing was written.")
    }

    /// Takes an administrator's session.
    pub(super) fn by_admin(mut self) -> Self {
        self.security = json!([{ "session": [] }, { "cookie": [] }]);
        self.tag = "admin";
        self.refuses(&NO_IDENTITY, "There is no such session, or it has ended.")
            .refuses(&FOREIGN_ORIGIN, "The session is a browser's, and the call does not come from Airlock's own page.")
            .uses_core()
    }

    /// Takes what these schemes say; each is enough.
    pub(super) fn secured(mut self, security: Value) -> Self {
        self.security = security;
        self
    }

    /// The path's parameter: what it names may not be there.
    pub(super) fn of(self, parameter: &'static str, missing: &'static str) -> Self {
        self.parameter(parameter)
            .refuses(&NOT_FOUND, missing)
            .refuses(&MALFORMED, "The path has a percent sign that does not encode UTF-8.")
    }

    /// A parameter, by its name under `components`.
    pub(super) fn parameter(mut self, name: &'static str) -> Self {
        self.parameters.push(json!({ "$ref": format!("#/components/parameters/{name}") }));
        self
    }

    /// Parameters of the query or header, which may be invalid.
    pub(super) fn asks<const N: usize>(mut self, names: [&'static str; N]) -> Self {
        for name in names {
            self = self.parameter(name);
        }
        self.refuses(&INVALID, "A parameter is out of range or no such value.")
    }

    /// A JSON body, by the name of its schema, of at most so many KiB.
    pub(super) fn takes(mut self, schema: &'static str, kib: usize) -> Self {
        let content = json!({ "application/json": { "schema": of_schema(schema) } });
        self.body = Some(json!({ "required": true, "description": format!("At most {kib} KiB."), "content": content }));
        self.refuses_bodies().refuses(&WRONG_TYPE, "The body is said to be something other than JSON.")
    }

    /// No body, or an empty object.
    pub(super) fn takes_nothing(mut self) -> Self {
        let content = json!({ "application/json": { "schema": of_schema("Nothing") } });
        self.body = Some(json!({ "required": false, "content": content }));
        self.refuses_bodies()
    }

    fn refuses_bodies(self) -> Self {
        self.refuses(&MALFORMED, "The body is no JSON, or breaks off.")
            .refuses(&STALLED, "The body did not arrive in time.")
            .refuses(&TOO_LARGE, "The body is too large.")
            .refuses(&INVALID, "`errors` names each field that is wrong.")
    }

    /// Answers with JSON.
    pub(super) fn gives(self, status: u16, schema: &'static str, what: &'static str) -> Self {
        let content = json!({ "application/json": { "schema": of_schema(schema) } });
        self.answers(status, json!({ "description": what, "content": content }))
    }

    /// Answers with a status and nothing else.
    pub(super) fn gives_nothing(self, status: u16, what: &'static str) -> Self {
        self.answers(status, json!({ "description": what }))
    }

    /// Answers with a text of another type.
    pub(super) fn gives_text(self, media_type: &'static str, what: &'static str) -> Self {
        let content = json!({ media_type: { "schema": { "type": "string" } } });
        self.answers(200, json!({ "description": what, "content": content }))
    }

    /// The answer of this status has a header, by its name under `components`.
    pub(super) fn with_header(mut self, status: u16, header: &'static str) -> Self {
        for (_, answer) in self.answers.iter_mut().filter(|(of, _)| *of == status) {
            let mut headers = answer.get("headers").cloned().unwrap_or_else(|| json!({}));
            set(&mut headers, header, json!({ "$ref": format!("#/components/headers/{header}") }));
            set(answer, "headers", headers);
        }
        self
    }

    fn answers(mut self, status: u16, answer: Value) -> Self {
        self.answers.push((status, answer));
        self
    }

    /// Refuses with a problem of this kind, when this is so.
    pub(super) fn refuses(mut self, kind: &'static Kind, when: &'static str) -> Self {
        self.refusals.push((kind, when));
        self
    }

    /// The kinds of problems it answers with.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &'static Kind> {
        self.refusals.iter().map(|(kind, _)| *kind)
    }

    /// As it stands in the document.
    pub(super) fn written(&self) -> Value {
        let mut responses = Map::new();
        for (status, answer) in &self.answers {
            responses.insert(status.to_string(), answer.clone());
        }
        for (status, refusals) in by_status(&self.refusals) {
            responses.insert(status.to_string(), refusal(status, &refusals));
        }
        responses.sort_keys();
        let mut operation = json!({ "operationId": self.id, "summary": self.summary, "tags": [self.tag] });
        if !self.about.is_empty() {
            set(&mut operation, "description", self.about.into());
        }
        set(&mut operation, "security", self.security.clone());
        if !self.parameters.is_empty() {
            set(&mut operation, "parameters", self.parameters.clone().into());
        }
        if let Some(body) = &self.body {
            set(&mut operation, "requestBody", body.clone());
        }
        set(&mut operation, "responses", responses.into());
        operation
    }
}

/// Sets a member of an object.
pub(super) fn set(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}

/// A reference to a schema.
fn of_schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The name of the schema of a kind of problem.
pub(super) fn problem_name(kind: &Kind) -> String {
    format!("problem-{}", kind.slug())
}

type Refusals = Vec<(&'static Kind, Vec<&'static str>)>;

/// Refusals by status, and by kind in each.
fn by_status(refusals: &[(&'static Kind, &'static str)]) -> Vec<(u16, Refusals)> {
    let mut all: Vec<(u16, Refusals)> = Vec::new();
    for &(kind, when) in refusals {
        let at = all.iter().position(|(status, _)| *status == kind.status()).unwrap_or_else(|| {
            all.push((kind.status(), Vec::new()));
            all.len() - 1
        });
        let Some((_, kinds)) = all.get_mut(at) else { continue };
        match kinds.iter_mut().find(|(of, _)| *of == kind) {
            Some((_, whens)) => whens.push(when),
            None => kinds.push((kind, vec![when])),
        }
    }
    all
}

/// The response of a status that refuses.
fn refusal(status: u16, kinds: &Refusals) -> Value {
    let described = kinds.iter().map(|(kind, whens)| format!("`{}`: {}", kind.urn(), whens.join(" ")));
    let description = described.collect::<Vec<_>>().join(" ");
    let mut schemas: Vec<Value> = kinds.iter().map(|(kind, _)| of_schema(&problem_name(kind))).collect();
    let schema = if schemas.len() == 1 { schemas.remove(0) } else { json!({ "oneOf": schemas }) };
    let mut response =
        json!({ "description": description, "content": { "application/problem+json": { "schema": schema } } });
    let header = match status {
        401 => Some("WWW-Authenticate"),
        429 | 503 => Some("Retry-After"),
        _ => None,
    };
    if let Some(header) = header {
        let headers = json!({ header: { "$ref": format!("#/components/headers/{header}") } });
        set(&mut response, "headers", headers);
    }
    response
}
