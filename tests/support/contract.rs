//! The server's OpenAPI document, held against every exchange of the tests' client: what is answered, and what is taken, is as
//! the document says.

use std::collections::{BTreeMap, BTreeSet};

use airlock_actors::schema;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::Reply;

/// The same for every server of the binary that is tested.
static CONTRACT: OnceCell<Contract> = OnceCell::const_new();

/// The document, as far as an exchange can be judged by it.
pub(crate) struct Contract {
    paths: Vec<(Vec<String>, BTreeMap<String, Operation>)>,
}

struct Operation {
    /// The JSON Schema of its body.
    takes: Option<String>,
    answers: BTreeMap<u16, Answer>,
}

#[derive(Default)]
struct Answer {
    /// Its type, and the JSON Schema of what has one.
    content: Option<(String, Option<String>)>,
    /// Headers that it always has.
    headers: Vec<String>,
}

/// What was asked.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) body: Option<&'a [u8]>,
}

impl Contract {
    /// That of the server at `base`; an error when it is gone.
    pub(crate) async fn of(http: &reqwest::Client, base: &str) -> Result<&'static Self, reqwest::Error> {
        let read = async || {
            let document = http.get(format!("{base}/openapi.json")).send().await?.bytes().await?;
            Ok(Self::read(&serde_json::from_slice(&document).expect("the document is JSON")))
        };
        CONTRACT.get_or_try_init(read).await
    }

    pub(crate) fn read(document: &Value) -> Self {
        let operations = |methods: &Value| {
            let operation = |(method, operation): (&String, &Value)| {
                (method.to_ascii_uppercase(), Operation::read(document, operation))
            };
            methods.as_object().unwrap().iter().map(operation).collect()
        };
        let mut paths: Vec<_> = document["paths"].as_object().unwrap().iter().collect();
        // Those without a parameter are meant first.
        paths.sort_by_key(|(path, _)| path.matches('{').count());
        Self { paths: paths.into_iter().map(|(path, methods)| (segments(path), operations(methods))).collect() }
    }

    /// Panics when the exchange is not as the document says.
    pub(crate) fn judge(&self, asked: &Asked<'_>, reply: &Reply) {
        let path = asked.path.split('?').next().unwrap_or_default();
        let found = self.paths.iter().find(|(pattern, _)| matches(pattern, &segments(path)));
        let Some((_, methods)) = found else {
            return assert_eq!(reply.status, 404, "a path that is not in the document: {reply:?}");
        };
        let method = if asked.method == "HEAD" { "GET" } else { asked.method };
        let Some(operation) = methods.get(method) else { return judge_other_method(asked, methods, reply) };
        let Some(answer) = operation.answers.get(&reply.status) else {
            panic!("the document does not say that {} {path} answers {}: {reply:?}", asked.method, reply.status)
        };
        for header in &answer.headers {
            assert!(reply.headers.contains_key(header), "no {header}: {reply:?}");
        }
        if asked.method == "HEAD" {
            return;
        }
        let sent = reply.header("content-type").split(';').next().unwrap_or_default().trim();
        match &answer.content {
            None => assert!(reply.body.is_empty(), "a body that is not in the document: {reply:?}"),
            Some((media_type, _)) if media_type == "*/*" => assert!(!sent.is_empty(), "{reply:?}"),
            Some((media_type, by)) => {
                assert_eq!(sent, media_type, "{reply:?}");
                if let Some(by) = by {
                    judge(by, reply.text(), "the answer", reply);
                }
            }
        }
        if let (true, Some(by), Some(body)) = (reply.status < 300, &operation.takes, asked.body) {
            let body = std::str::from_utf8(body).unwrap();
            // An empty body is what a call may have that takes none.
            if !body.is_empty() {
                judge(by, body, "the body that was taken", reply);
            }
        }
    }
}

fn judge_other_method(asked: &Asked<'_>, methods: &BTreeMap<String, Operation>, reply: &Reply) {
    let expected = if asked.method == "OPTIONS" { 204 } else { 405 };
    assert_eq!(reply.status, expected, "a method that is not in the document: {reply:?}");
    let allowed: BTreeSet<&str> =
        reply.header("allow").split(", ").filter(|one| !["HEAD", "OPTIONS"].contains(one)).collect();
    assert_eq!(allowed, methods.keys().map(String::as_str).collect(), "{reply:?}");
}

fn judge(by: &str, text: &str, what: &str, reply: &Reply) {
    if let Err(misfit) = schema::judge(by, text) {
        panic!("{what} is not as the document says, at {:?}: it {}: {reply:?}", misfit.at, misfit.problem);
    }
}

fn segments(path: &str) -> Vec<String> {
    path.trim_start_matches('/').split('/').map(str::to_owned).collect()
}

fn matches(pattern: &[String], path: &[String]) -> bool {
    let fits = |(pattern, segment): (&String, &String)| {
        if pattern.starts_with('{') { !segment.is_empty() } else { pattern == segment }
    };
    pattern.len() == path.len() && pattern.iter().zip(path).all(fits)
}

impl Operation {
    fn read(document: &Value, operation: &Value) -> Self {
        let takes = &operation["requestBody"]["content"]["application/json"]["schema"];
        let answer =
            |(status, response): (&String, &Value)| (status.parse().unwrap(), Answer::read(document, response));
        Self {
            takes: (!takes.is_null()).then(|| closed(document, takes)),
            answers: operation["responses"].as_object().unwrap().iter().map(answer).collect(),
        }
    }
}

impl Answer {
    fn read(document: &Value, response: &Value) -> Self {
        let content = response["content"].as_object().map(|types| {
            assert_eq!(types.len(), 1, "one type an answer: {response}");
            let (media_type, content) = types.iter().next().unwrap();
            (media_type.clone(), media_type.ends_with("json").then(|| closed(document, &content["schema"])))
        });
        let of_header = |reference: &Value| document.pointer(&reference["$ref"].as_str().unwrap()[1..]).unwrap();
        let headers = response["headers"].as_object().into_iter().flatten();
        let headers = headers.filter(|(_, header)| of_header(header)["required"] == true);
        Self { content, headers: headers.map(|(name, _)| name.to_ascii_lowercase()).collect() }
    }
}

/// The text of a schema with all that it refers to.
fn closed(document: &Value, schema: &Value) -> String {
    let schemas = &document["components"]["schemas"];
    let (mut defs, mut left) = (json!({}), references(schema));
    while let Some(name) = left.pop() {
        if defs.get(&name).is_none() {
            left.extend(references(&schemas[&name]));
            defs[&name] = schemas[&name].clone();
        }
    }
    let whole = json!({ "allOf": [schema], "$defs": defs }).to_string().replace("#/components/schemas/", "#/$defs/");
    schema::check(&whole).unwrap_or_else(|problem| panic!("{problem}: {whole}"));
    whole
}

fn references(schema: &Value) -> Vec<String> {
    let text = schema.to_string();
    let names = text.split("\"#/components/schemas/").skip(1);
    names.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}
