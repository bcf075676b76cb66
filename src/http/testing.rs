//! What the tests of this folder share.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use futures_util::FutureExt;
use http::Request;
use http_body_util::{BodyExt, Full};
use warp::reply::Response;

use super::router::Exchange;

/// A request without a body.
pub(super) fn exchange(method: &str, path: &str, headers: &[(&str, &str)]) -> Exchange {
    exchange_with(method, path, headers, "")
}

/// A request with a body.
pub(super) fn exchange_with(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Exchange {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).expect("a request");
    Exchange::new(request, SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)))
}

/// A response's body; it has to be there already.
pub(super) fn body_text(response: Response) -> String {
    let collected = response.into_body().collect().now_or_never().expect("a body that is ready");
    String::from_utf8(collected.expect("a whole body").to_bytes().to_vec()).expect("UTF-8")
}

/// A response's body as JSON.
pub(super) fn body_json(response: Response) -> serde_json::Value {
    serde_json::from_str(&body_text(response)).expect("JSON")
}
