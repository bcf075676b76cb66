//! Black-box tests of the built binary over HTTP: what `API.md` promises to agents and administrators.

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

mod admin_session;
mod agent_slots;
mod bad_bodies;
mod bad_requests;
mod body_budget;
mod cancel;
mod credentials;
mod egress;
mod events;
mod execute;
mod expiry;
mod health;
mod history;
mod limits;
mod limits_of_profiles;
mod lists;
mod llm;
mod openapi;
mod overview;
mod poll;
mod profiles;
mod queue;
mod redaction;
mod repeats;
mod same_origin;
mod script_errors;
mod script_output;
mod script_processes;
mod script_results;
mod script_world;
mod secrets_nowhere;
mod signed_list;
mod slow_clients;
mod ui;
