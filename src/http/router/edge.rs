//! What happens around every request: panics become a 500, headers are set, one line is logged.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request};
use http_body_util::Empty;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::time::{Duration, Instant};
use warp::reply::Response;

use super::{Exchange, Route};
use crate::http::problem::Problem;

/// The service of all connections.
pub(in crate::http) fn edge(
    routes: Route,
) -> impl Fn(Exchange) -> BoxFuture<'static, Response> + Clone + Send + Sync + 'static {
    let service = TowerToHyperService::new(warp::service(routes));
    move |exchange| {
        let exchange = Arc::new(exchange);
        let service = service.clone();
        async move {
            let began = Instant::now();
            let routed = async { service.call(for_routing(&exchange)).await };
            let mut response = match AssertUnwindSafe(routed).catch_unwind().await {
                Ok(Ok(response)) => response,
                Err(_panic) => {
                    // The panic hook has logged its words and place.
                    tracing::error!(route = exchange.pattern(), "handler panicked");
                    Problem::internal().into_response()
                }
            };
            protect(&mut response);
            log(&exchange, &response, began);
            response
        }
        .boxed()
    }
}

/// What warp needs to find the route: the head's first line, and the exchange for whoever it finds.
fn for_routing(exchange: &Arc<Exchange>) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = exchange.method.clone();
    *request.uri_mut() = exchange.uri.clone();
    request.extensions_mut().insert(Arc::clone(exchange));
    request
}

/// What anything but a page may do in a browser that shows it: nothing.
const INERT: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Headers that every response has, whatever made it.
fn protect(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(INERT);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// One line a request. The path and query are left out: execution ids are capabilities.
fn log(exchange: &Exchange, response: &Response, began: Instant) {
    let (method, route) = (known(&exchange.method), exchange.pattern());
    let (status, ms) = (response.status().as_u16(), milliseconds(began.elapsed()));
    if response.status().is_server_error() {
        tracing::warn!(method, route, status, ms, "request");
    } else {
        tracing::info!(method, route, status, ms, "request");
    }
}

/// To the microsecond, so that a line of the log has no digits that mean nothing.
fn milliseconds(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1e6).round() / 1e3
}

/// A method's name, unless it is the client's own invention.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_in_the_log_ends_at_the_microsecond() {
        let shown = |nanos| milliseconds(Duration::from_nanos(nanos)).to_string();
        assert_eq!([shown(455_797), shown(4_425_096), shown(2_000_000_000), shown(0)], ["0.456", "4.425", "2000", "0"]);
    }
}
