//! What every black-box test needs: a real server, HTTP to it, a person at the admin API and an agent with a key.
//!
//! Nothing here knows Airlock's code: only the contract, as its OpenAPI document has it, the command line and the files it
//! promises.

#![allow(dead_code, unused_imports, reason = "two test binaries share this module and each uses its own part of it")]

pub(crate) mod admin;
pub(crate) mod agent;
pub(crate) mod client;
pub(crate) mod contract;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod shared;
pub(crate) mod wire;

use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) use admin::{Admin, PASSWORD};
pub(crate) use agent::{Agent, sign};
pub(crate) use client::{Client, Reply, Request};
pub(crate) use server::{Launch, Server};
pub(crate) use shared::{shared, shared_agent};
pub(crate) use wire::{Wire, WireReply};

/// Longer than anything that works takes, even on a busy machine; a wait past it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A locked profile whose scripts get `values` as settings, on a server that is set up if it was not.
pub(crate) async fn ready_profile(server: &Server, values: &[(&str, &str)]) -> Agent {
    let admin = server.admin().await;
    for (name, value) in values {
        admin.create_credential(name, value).await;
    }
    let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    admin.locked_profile(&names).await
}

/// Asks `probe` until it says yes. For the few facts that announce themselves by no event (a process of someone else's
/// that ends, a clock that passes a moment); everything else waits on a long poll, a line or a closed connection.
pub(crate) async fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut probe: F) {
    let start = Instant::now();
    while !probe().await {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The names in a list of names, or of objects with a `name`, sorted.
pub(crate) fn names(list: &Value) -> Vec<String> {
    let items = list.as_array().unwrap_or_else(|| panic!("not a list: {list}"));
    let name = |item: &Value| item.as_str().or_else(|| item["name"].as_str()).map(str::to_owned);
    let mut names: Vec<String> =
        items.iter().map(|item| name(item).unwrap_or_else(|| panic!("no name: {item}"))).collect();
    names.sort();
    names
}

/// The members of an object, sorted.
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> =
        object.as_object().unwrap_or_else(|| panic!("not an object: {object}")).keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// A member that must be a string.
pub(crate) fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object[member].as_str().unwrap_or_else(|| panic!("{member} is no string in {object}"))
}

/// An instant as the API writes it: RFC 3339, UTC, milliseconds.
pub(crate) fn time(object: &Value, member: &str) -> jiff::Timestamp {
    let written = text(object, member);
    let shape =
        written.len() == "2026-01-01T00:00:00.000Z".len() && written.ends_with('Z') && written.as_bytes()[19] == b'.';
    assert!(shape, "{member} is not RFC 3339 UTC with milliseconds: {written}");
    written.parse().unwrap_or_else(|error| panic!("{member} is no time: {written}: {error}"))
}
