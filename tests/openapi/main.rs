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

use serde_json::json;
use support::{PASSWORD, Server};

/// One of the programs.
fn program(name: &str) -> Command {
    let folder = std::env::var_os("AIRLOCK_TEST_OPENAPI").expect("run `make test-openapi`");
    Command::new(PathBuf::from(folder).join(name))
}

fn must_succeed(mut command: Command) {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_document_is_valid_by_the_specification() {
    let server = Server::start();
    let document = server.client().get("/openapi.json").await.expect(200);
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), document.to_string()).unwrap();
    let mut validator = program("openapi-spec-validator");
    validator.arg(file.path());
    must_succeed(validator);
}

/// Requests made from the document, good ones and bad ones: what comes back is as the document says.
#[tokio::test]
async fn the_server_answers_as_the_document_says_whatever_it_is_asked() {
    let server = Server::start();
    server.admin().await;
    let login = server.client().post("/api/admin/login", &json!({ "password": PASSWORD })).await.expect(200);
    let checks = [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "unsupported_method",
    ];
    let mut tries = program("schemathesis");
    tries.args(["run", &format!("{}/openapi.json", server.url())]);
    tries.args(["--header", &format!("Authorization: Bearer {}", login["token"].as_str().unwrap())]);
    tries.args([
        "--checks",
        &checks.join(","),
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "10",
        "--seed",
        "1",
    ]);
    // What would end the session, and a stream that does not end.
    tries.args(["--exclude-path-regex", "/events$|/logout$|/password$|/setup$"]);
    let home = tempfile::tempdir().unwrap();
    tries.current_dir(home.path());
    tokio::task::spawn_blocking(move || must_succeed(tries)).await.unwrap();
}
