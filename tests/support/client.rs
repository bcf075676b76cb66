//! A small HTTP client that checks the contract's conventions on every answer it gets.

use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::PATIENCE;
use super::contract::{Asked, Contract};

/// One request, put together.
#[derive(Clone)]
pub(crate) struct Request {
    method: reqwest::Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let method = method.parse().unwrap();
        Self { method, path: path.to_owned(), headers: Vec::new(), body: None }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    pub(crate) fn put(path: &str) -> Self {
        Self::new("PUT", path)
    }

    pub(crate) fn delete(path: &str) -> Self {
        Self::new("DELETE", path)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("content-type", content_type)
    }
}

/// Everything that came back, kept to be searched.
pub(crate) type Transcript = Arc<Mutex<Vec<u8>>>;

/// Talks to one server. Made per test: its connections belong to the test's runtime.
#[derive(Clone)]
pub(crate) struct Client {
    base: String,
    http: reqwest::Client,
    transcript: Option<Transcript>,
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        Self { base: base.to_owned(), http: http.build().unwrap(), transcript: None }
    }

    /// The same client, which adds every answer's head and body to `transcript`.
    pub(crate) fn recording(mut self, transcript: &Transcript) -> Self {
        self.transcript = Some(transcript.clone());
        self
    }

    /// Sends and reads the whole answer; panics if there is none.
    pub(crate) async fn send(&self, request: Request) -> Reply {
        let line = format!("{} {}", request.method, request.path);
        self.try_send(request).await.unwrap_or_else(|error| panic!("{line}: no answer: {error:?}"))
    }

    /// Sends and reads the whole answer, or says why there is none (the server was killed).
    pub(crate) async fn try_send(&self, request: Request) -> Result<Reply, reqwest::Error> {
        let line = format!("{} {}", request.method, request.path);
        let contract = Contract::of(&self.http, &self.base).await?;
        let method = request.method.clone();
        let mut builder = self.http.request(request.method, format!("{}{}", self.base, request.path));
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let response = builder.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await?;
        let reply = Reply { line, status, headers, body: body.to_vec() };
        if let Some(transcript) = &self.transcript {
            let mut transcript = transcript.lock().unwrap();
            transcript.extend_from_slice(format!("{:?}\n", reply.headers).as_bytes());
            transcript.extend_from_slice(&reply.body);
        }
        if method != reqwest::Method::HEAD {
            reply.check_conventions();
        }
        let asked = Asked { method: method.as_str(), path: &request.path, body: request.body.as_deref() };
        contract.judge(&asked, &reply);
        Ok(reply)
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Request::post(path).json(body)).await
    }
}

/// An answer.
pub(crate) struct Reply {
    line: String,
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// What holds for each answer: errors are problems, refusals for now say when to come back, JSON says that it is.
    fn check_conventions(&self) {
        if self.status >= 400 {
            self.problem(self.status);
        }
        if self.status == 429 || self.status == 503 {
            let seconds = self.header("retry-after").parse::<u32>();
            assert!(seconds.is_ok_and(|seconds| seconds > 0), "Retry-After is no number of seconds: {self:?}");
        }
    }

    /// A header's value, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_else(|_| panic!("{}: the body is not UTF-8", self.line))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// The JSON of an answer that must have this status.
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let content_type = self.header("content-type");
        assert!(content_type.starts_with("application/json"), "content type {content_type:?}: {self:?}");
        self.json()
    }

    /// An answer that must be a success; where the contract names no code, each of 200, 201 and 204 will do.
    pub(crate) fn success(&self) -> &Self {
        assert!([200, 201, 204].contains(&self.status), "{self:?}");
        self
    }

    /// The problem of an answer that must have failed with this status; checked against RFC 9457.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert!(problem["type"].is_string() && problem["title"].is_string(), "type and title: {self:?}");
        assert_eq!(problem["status"], status, "the status member: {self:?}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.trim().is_empty()), "no detail: {self:?}");
        problem
    }

    /// The problem of an answer that must be one of these, where the contract leaves a choice.
    pub(crate) fn problem_of(&self, statuses: &[u16]) -> Value {
        assert!(statuses.contains(&self.status), "not one of {statuses:?}: {self:?}");
        self.problem(self.status)
    }

    /// The problem, whose text must contain this word: the name of what is wrong.
    pub(crate) fn problem_naming(&self, status: u16, word: &str) -> Value {
        let problem = self.problem(status);
        assert!(self.text().contains(word), "does not name {word:?}: {self:?}");
        problem
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(1500).collect();
        write!(f, "{} answered {} {:?}\n{body}", self.line, self.status, self.headers)
    }
}
