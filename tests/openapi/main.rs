//! The OpenAPI document, judged by programs of somebody else, which `make test-openapi` installs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(clippy::print_stderr, clippy::disallowed_methods, reason = "it lives in the world's own time")]

#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::Command;

use support::Server;

#[tokio::test]
async fn the_document_is_valid_by_the_specification() {
    let tools = PathBuf::from(std::env::var_os("AIRLOCK_TEST_OPENAPI").expect("run `make test-openapi`"));
    let server = Server::start();
    let document = server.client().get("/openapi.json").await.expect(200);
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), document.to_string()).unwrap();
    let output = Command::new(tools.join("openapi-spec-validator")).arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
