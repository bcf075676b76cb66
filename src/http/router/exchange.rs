//! One request as handlers see it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::BodyExt;

use super::percent;
use crate::http::body::{Body, BodyError, BodyLimits, RequestBody, expect_json};
use crate::http::budget::Budget;
use crate::http::problem::{Fault, Problem};

/// A request: its head, whom it is from, and its body until a handler takes it.
///
/// It travels through warp's filters in the request's extensions, so that a header map is never cloned, and the body
/// beside it, since warp hands out bodies as streams that hide their end.
pub(in crate::http) struct Exchange {
    pub(in crate::http) method: Method,
    pub(in crate::http) uri: Uri,
    pub(in crate::http) headers: HeaderMap,
    pub(in crate::http) peer: SocketAddr,
    body: Mutex<Option<RequestBody>>,
    pattern: OnceLock<&'static str>,
}

impl Exchange {
    /// A request as the transport gives it.
    pub(in crate::http) fn new<B>(request: Request<B>, peer: SocketAddr) -> Self
    where
        B: BodyExt<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let (head, body) = request.into_parts();
        Self {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            peer,
            body: Mutex::new(Some(RequestBody::new(body))),
            pattern: OnceLock::new(),
        }
    }

    /// Notes which route it is, for the log.
    pub(super) fn matched(&self, pattern: &'static str) {
        let _first_wins = self.pattern.set(pattern);
    }

    /// Which route it was; `-` when none.
    pub(super) fn pattern(&self) -> &'static str {
        self.pattern.get().copied().unwrap_or("-")
    }

    fn take_body(&self) -> Option<RequestBody> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What a handler gets: the application, the request, and the path's parameter.
pub(in crate::http) struct Call<S> {
    pub(in crate::http) app: Arc<S>,
    pub(in crate::http) exchange: Arc<Exchange>,
    pub(super) parameter: Option<String>,
}

impl<S> Call<S> {
    /// The path's parameter, decoded; empty when the pattern has none.
    pub(in crate::http) fn parameter(&self) -> &str {
        self.parameter.as_deref().unwrap_or_default()
    }

    /// The bytes of a JSON body; 415 when it is said to be something else.
    pub(in crate::http) async fn json(&self, limits: BodyLimits, budget: &Budget) -> Result<Body, Problem> {
        expect_json(&self.exchange.headers)?;
        self.bytes(limits, budget).await
    }

    /// The bytes of any body.
    pub(in crate::http) async fn bytes(&self, limits: BodyLimits, budget: &Budget) -> Result<Body, Problem> {
        match self.exchange.take_body() {
            Some(body) => body.read(&self.exchange.headers, limits, budget).await,
            None => Ok(Body::empty(budget)),
        }
    }

    /// A query parameter's value; 422 when it is not UTF-8.
    pub(in crate::http) fn query(&self, name: &'static str) -> Result<Option<Cow<'_, str>>, Problem> {
        let Some(query) = self.exchange.uri.query() else { return Ok(None) };
        let value = percent::query_value(query, name).transpose();
        value.map_err(|_| Problem::invalid(vec![Fault::new(name, "is not percent-encoded UTF-8")]))
    }

    /// A query parameter that is a whole number within a range; 422 when it is something else.
    pub(in crate::http) fn query_number(
        &self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        let Some(value) = self.query(name)? else { return Ok(None) };
        let digits_only = value.bytes().all(|byte| byte.is_ascii_digit());
        match value.parse() {
            Ok(number) if digits_only && range.contains(&number) => Ok(Some(number)),
            _ => {
                let problem = format!("must be a whole number from {} to {}", range.start(), range.end());
                Err(Problem::invalid(vec![Fault::new(name, problem)]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::exchange;

    fn call(path: &str) -> Call<()> {
        Call { app: Arc::new(()), exchange: Arc::new(exchange("GET", path, &[])), parameter: None }
    }

    #[test]
    fn query_numbers_are_whole_and_within_their_range() {
        for (path, number) in [
            ("/", Some(None)),
            ("/?wait=0", Some(Some(0))),
            ("/?x=1&wait=60", Some(Some(60))),
            ("/?wait=61", None),
            ("/?wait=-1", None),
            ("/?wait=+1", None),
            ("/?wait=1.5", None),
            ("/?wait=", None),
            ("/?wait", None),
            ("/?wait=ten", None),
            ("/?wait=%ff", None),
        ] {
            assert_eq!(call(path).query_number("wait", 0..=60).ok(), number, "{path}");
        }
    }
}
