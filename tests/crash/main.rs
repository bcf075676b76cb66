//! Black-box tests of the built binary's life: crashes, clean ends, refusals to start, a full disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, explains itself on stderr, and lives in the world's own time"
)]

#[path = "../support/mod.rs"]
mod support;

mod degraded;
mod full_disk;
mod kill9;
mod pauses;
mod start_stop;
