//! The page at `/`, with the web UI in the binary or without: what browsers are told of it.

use crate::support::{Request, Server};

#[tokio::test(flavor = "multi_thread")]
async fn the_page_may_run_nothing_but_its_own() {
    let server = Server::start();
    let page = server.client().get("/").await;
    let policy = page.header("content-security-policy").to_owned();
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.split(';').any(|part| part.trim() == rule), "{rule} is not in {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("data:"), "{policy}");
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-cache"),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
    let text = page.success().text();
    for inline in ["<style", "style=", "onload", "onclick", "javascript:", "http://", "https://"] {
        assert!(!text.contains(inline), "{inline} in {text}");
    }
    assert!(!text.contains("<script>"), "an inline script in {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_no_page_does_nothing_in_a_browser() {
    let server = Server::start();
    for path in ["/health", "/skill.md", "/nothing", "/api/admin/status"] {
        let reply = server.client().get(path).await;
        assert_eq!(reply.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_of_the_page_is_not_there() {
    let server = Server::start();
    for path in ["/assets/nothing.js", "/assets/..%2Findex.html", "/index.html", "/assets"] {
        assert_eq!(server.client().send(Request::new("GET", path)).await.status, 404, "{path}");
    }
}
