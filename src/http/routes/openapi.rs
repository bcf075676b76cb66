//! The OpenAPI document, as a file that a client may keep.

use std::sync::LazyLock;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use sha2::{Digest, Sha256};
use warp::reply::Response;

use super::{Answer, Call};
use crate::http::assets::is_known;
use crate::http::openapi::DOCUMENT;
use crate::http::problem::Problem;

static TAG: LazyLock<String> = LazyLock::new(|| {
    let digest = hex::encode(Sha256::digest(&*DOCUMENT));
    format!("\"{}\"", digest.chars().take(32).collect::<String>())
});

/// `GET /openapi.json`
pub(in crate::http) async fn document(call: Call) -> Answer {
    if DOCUMENT.is_empty() {
        return Err(Problem::internal());
    }
    let unchanged = is_known(&call.exchange.headers, &TAG);
    let mut response = Response::new(if unchanged { Bytes::new() } else { DOCUMENT.clone() }.into());
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&TAG) {
        headers.insert(ETAG, tag);
    }
    Ok(response)
}
