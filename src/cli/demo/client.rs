//! HTTP to the temporary instance. Every answer is kept, head and body, to be searched at the end.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::instance::contains;

/// Longer than any long poll of the story.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request.
pub(super) struct Ask<'a> {
    pub(super) method: &'static str,
    pub(super) path: String,
    /// An agent's id or a person's token.
    pub(super) bearer: Option<&'a str>,
    pub(super) body: Option<Value>,
}

impl<'a> Ask<'a> {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), bearer: None, body: None }
    }

    pub(super) fn post(path: impl Into<String>) -> Self {
        Self { method: "POST", ..Self::get(path) }
    }

    pub(super) fn put(path: impl Into<String>) -> Self {
        Self { method: "PUT", ..Self::get(path) }
    }

    pub(super) fn by(self, bearer: &'a str) -> Self {
        Self { bearer: Some(bearer), ..self }
    }

    pub(super) fn json(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

/// One answer.
pub(super) struct Answer {
    pub(super) status: u16,
    /// As in `200 OK`.
    pub(super) status_line: String,
    pub(super) json: Value,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// A member that is a text; empty if there is none.
    pub(super) fn text(&self, member: &str) -> &str {
        self.json.get(member).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Talks to one instance, also across its restart.
pub(super) struct Client {
    base: String,
    http: reqwest::Client,
    /// Head and body of every answer.
    answers: Vec<Vec<u8>>,
}

impl Client {
    pub(super) fn new() -> anyhow::Result<Self> {
        // A proxy from the environment has no business on loopback.
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { base: String::new(), http, answers: Vec::new() })
    }

    /// From now on, the instance is at this URL.
    pub(super) fn turn_to(&mut self, base: String) {
        self.base = base;
    }

    /// The path of an absolute URL of this instance; `None` if it leads elsewhere.
    pub(super) fn path_of<'u>(&self, url: &'u str) -> Option<&'u str> {
        url.strip_prefix(&self.base).filter(|path| path.starts_with('/'))
    }

    pub(super) async fn send(&mut self, ask: &Ask<'_>) -> anyhow::Result<Answer> {
        let mut request = self.http.request(ask.method.parse()?, format!("{}{}", self.base, ask.path));
        if let Some(token) = ask.bearer {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let what = || format!("{} {} was not answered", ask.method, ask.path);
        let response = request.send().await.with_context(what)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.with_context(what)?.to_vec();
        self.answers.push([format!("{status}\n{headers:?}\n").as_bytes(), &body].concat());
        let json = serde_json::from_slice(&body)
            .with_context(|| format!("{} {} was answered with what is not JSON", ask.method, ask.path))?;
        Ok(Answer { status: status.as_u16(), status_line: status.to_string(), json, body })
    }

    /// How many answers there were.
    pub(super) fn count(&self) -> usize {
        self.answers.len()
    }

    /// How many of the answers hold `secret`.
    pub(super) fn holding(&self, secret: &str) -> usize {
        self.answers.iter().filter(|answer| contains(answer, secret.as_bytes())).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_must_be_of_this_instance() {
        let mut client = Client::new().unwrap();
        client.turn_to("http://127.0.0.1:80".to_owned());
        assert_eq!(client.path_of("http://127.0.0.1:80/executions/x"), Some("/executions/x"));
        for elsewhere in ["http://127.0.0.1:8080/executions/x", "https://airlock.example.com/executions/x", "/x", ""] {
            assert_eq!(client.path_of(elsewhere), None, "{elsewhere}");
        }
    }
}
