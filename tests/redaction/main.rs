//! Black-box tests of redaction: scripts that try to show their credential, through the real API, in every field.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, explains itself on stderr, and lives in the world's own time"
)]

#[path = "../support/mod.rs"]
mod support;

mod fields;
mod live;
mod rotation;
mod suspension;
mod table;
mod transforms;
mod warnings;
