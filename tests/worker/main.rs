//! Workers as the server uses them: the real binary, the real Python, real scripts, most of them hostile.
//!
//! Nothing sleeps: tests wait for events, with a deadline that only a broken worker reaches.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod cgroups;
mod confinement;
mod ends;
mod lifecycle;
mod network;
mod runs;
mod support;
