//! The web UI's files, as `build.rs` embedded them: which of their encodings a browser gets, and when it may keep its own.
//!
//! Invariants: a file whose name has its content's hash may be kept for good, the page that names them is asked for anew
//! each time (AS-1); an encoding is sent only to who asked for it, and each has a tag of its own (AS-2).

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
};
use http::{HeaderName, StatusCode};
use sha2::{Digest, Sha256};
use warp::reply::Response;

/// A file of the build, and the same compressed.
struct File {
    /// Its path below `static/dist`.
    name: &'static str,
    bytes: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

/// Every file of the build; none when the UI was not built.
const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// A file with its tag.
struct Tagged {
    file: &'static File,
    tag: String,
}

static TAGGED: LazyLock<Vec<Tagged>> = LazyLock::new(|| FILES.iter().map(Tagged::of).collect());

/// A year, the longest that caches take seriously.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Keep it, and ask each time whether it still holds.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// The file at a path below the page's, such as `assets/index-1a2b3c.js`, for a request with these headers.
pub(super) fn file(name: &str, headers: &HeaderMap) -> Option<Response> {
    TAGGED.iter().find(|tagged| tagged.file.name == name).map(|tagged| tagged.answer(headers))
}

impl Tagged {
    fn of(file: &'static File) -> Self {
        let digest = hex::encode(Sha256::digest(file.bytes));
        Self { file, tag: digest.chars().take(32).collect() }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let (coding, bytes) = self.file.accepted(headers);
        let tag = coding.map_or_else(|| format!("\"{}\"", self.tag), |coding| format!("\"{}-{coding}\"", self.tag));
        let unchanged = is_known(headers, &tag);
        let mut response = Response::new(if unchanged { Bytes::new() } else { Bytes::from_static(bytes) }.into());
        let mut set = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
        set(CACHE_CONTROL, if self.file.name.starts_with("assets/") { FOR_GOOD } else { ASK_AGAIN });
        set(CONTENT_TYPE, HeaderValue::from_static(media_type(self.file.name)));
        set(VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            set(ETAG, tag);
        }
        if let Some(coding) = coding.filter(|_| !unchanged) {
            set(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        if unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        response
    }
}

impl File {
    /// The smallest form that the client takes, and its name.
    fn accepted(&self, headers: &HeaderMap) -> (Option<&'static str>, &'static [u8]) {
        match (self.brotli, self.gzip) {
            (Some(bytes), _) if accepts(headers, "br") => (Some("br"), bytes),
            (_, Some(bytes)) if accepts(headers, "gzip") => (Some("gzip"), bytes),
            _ => (None, self.bytes),
        }
    }
}

/// Whether `Accept-Encoding` names a coding without a weight of zero.
fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let texts = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
        let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)));
        named && !refused
    })
}

/// Whether the client has this version already.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let texts = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim).any(|known| known.trim_start_matches("W/") == tag)
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{body_text, exchange};
    use super::*;

    static SCRIPT: File = File { name: "assets/index-1.js", bytes: b"plain", brotli: Some(b"br"), gzip: Some(b"gz") };
    static PAGE: File = File { name: "index.html", bytes: b"page", brotli: None, gzip: None };

    fn asked(file: &'static File, headers: &[(&str, &str)]) -> Response {
        Tagged::of(file).answer(&exchange("GET", "/", headers).headers)
    }

    fn header(response: &Response, name: &str) -> Option<String> {
        response.headers().get(name).map(|value| value.to_str().expect("text").to_owned())
    }

    #[test]
    fn as_1_hashed_files_are_kept_and_the_page_is_not() {
        assert_eq!(
            header(&asked(&SCRIPT, &[]), "cache-control").as_deref(),
            Some("public, max-age=31536000, immutable")
        );
        assert_eq!(header(&asked(&PAGE, &[]), "cache-control").as_deref(), Some("no-cache"));
        assert_eq!(header(&asked(&PAGE, &[]), "content-type").as_deref(), Some("text/html; charset=utf-8"));
    }

    #[test]
    fn as_2_a_client_gets_the_smallest_form_that_it_takes() {
        for (accepted, coding, body) in [
            ("gzip, deflate, br", Some("br"), "br"),
            ("gzip", Some("gzip"), "gz"),
            ("br;q=0, gzip;q=0.5", Some("gzip"), "gz"),
            ("br;q=0.0, gzip; q=0", None, "plain"),
            ("identity", None, "plain"),
            ("brotli", None, "plain"),
        ] {
            let response = asked(&SCRIPT, &[("accept-encoding", accepted)]);
            assert_eq!(header(&response, "content-encoding").as_deref(), coding, "{accepted}");
            assert_eq!(header(&response, "vary").as_deref(), Some("accept-encoding"));
            assert_eq!(body_text(response), body, "{accepted}");
        }
        assert_eq!(body_text(asked(&PAGE, &[("accept-encoding", "br, gzip")])), "page");
    }

    #[test]
    fn as_2_a_known_version_is_not_sent_again_and_another_encoding_is() {
        let tag = header(&asked(&SCRIPT, &[("accept-encoding", "br")]), "etag").expect("a tag");
        let again = asked(&SCRIPT, &[("accept-encoding", "br"), ("if-none-match", &format!("\"x\", W/{tag}"))]);
        assert_eq!((again.status().as_u16(), header(&again, "content-encoding")), (304, None));
        assert_eq!(header(&again, "etag"), Some(tag.clone()));
        assert_eq!(body_text(again), "");
        assert_eq!(body_text(asked(&SCRIPT, &[("if-none-match", &tag)])), "plain");
    }
}
