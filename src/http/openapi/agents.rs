//! What agents, browsers and monitors call: everything without an administrator's session.

use serde_json::json;

use super::operation::{Operation, delete, get, post};
use crate::http::problem::{
    INVALID, MALFORMED, NO_IDENTITY, NOT_FOUND, SLOW_DOWN, UNAVAILABLE, WRONG_SIGNATURE, WRONG_STATE,
};

/// The operations.
pub(super) fn operations() -> Vec<Operation> {
    [running(), profiles(), about_the_server()].into_iter().flatten().collect()
}

const NO_EXECUTION: &str = "There is no such execution.";
const NO_PROFILE: &str = "There is no such profile.";
const NO_CREDENTIAL: &str = "There is no credential of the name in `credential`.";
const NOT_UNLOCKED: &str = "The profile is locked or revoked.";
const NOT_EDITABLE: &str = "The profile is locked or revoked, or would have too many credentials.";
const WRONG_HOST: &str = "The Host header, or what a proxy says of it, is no host and port.";

fn running() -> Vec<Operation> {
    vec![
        post("/execute", "execute", "Run a script")
            .about(
                "Checked in this order: unknown profile 401, revoked or expired 401, not locked 409, suspended 409, missing or \
                 wrong `hash` 403, a credential without a value 409, queue full 429. The answer comes when the execution is on \
                 disk.",
            )
            .secured(json!([{ "profile": [] }, {}]))
            .asks(["wait", "Idempotency-Key"])
            .takes("Submission", 8 * 1024)
            .gives(200, "Execution", "It has ended, or awaits the LLM; only with `wait`.")
            .gives(202, "Accepted", "It is on disk, and runs when it is its turn.")
            .with_header(202, "Location")
            .refuses(&MALFORMED, WRONG_HOST)
            .refuses(&NO_IDENTITY, "The profile is unknown, revoked or expired.")
            .refuses(&WRONG_SIGNATURE, "`hash` is missing or does not match the script.")
            .refuses(
                &WRONG_STATE,
                "The profile is not locked or is suspended, a credential has no value, or the key was used otherwise.",
            )
            .refuses(&SLOW_DOWN, "The queue is full.")
            .uses_core(),
        get("/executions/{id}", "poll", "Read an execution")
            .about("With `wait` it answers when the execution has ended or awaits the LLM, when its status changes, or in the end.")
            .of("execution", NO_EXECUTION)
            .asks(["wait"])
            .gives(200, "Execution", "As it is now.")
            .uses_core(),
        post("/executions/{id}/respond", "respond", "Answer what a script asks its LLM")
            .about("The answer is on disk before this one is sent. The same answer to the same request again is no error.")
            .of("execution", NO_EXECUTION)
            .takes("Answer", 6 * 1024 + 64)
            .gives(200, "Answered", "It is taken, and reaches the script.")
            .refuses(&WRONG_STATE, "Nothing is awaited, or the request has another answer or has timed out.")
            .refuses(&INVALID, "There is no such request, or the answer does not fit its schema: `pointer` says where.")
            .uses_core(),
        post("/executions/{id}/cancel", "cancel", "End an execution with all that it started")
            .of("execution", NO_EXECUTION)
            .takes_nothing()
            .gives(200, "Execution", "It is cancelled, and nothing of it is left.")
            .refuses(&WRONG_STATE, "It has ended already.")
            .uses_core(),
        get("/executions/{id}/events", "follow", "Follow an execution")
            .about(
                "Server-sent events: `status` `{status}`, `stdout` and `stderr` `{text}`, `llm_request` (an `LlmRequest`), and \
                 `done` (the `Execution`), after which nothing follows. `Last-Event-ID` goes on after the event with that id, \
                 also across a restart.",
            )
            .of("execution", NO_EXECUTION)
            .asks(["Last-Event-ID"])
            .gives_text("text/event-stream", "What is new, as it comes.")
            .uses_core(),
        get("/executions", "list", "List the profile's executions")
            .secured(json!([{ "profile": [], "signature": [] }]))
            .parameter("Airlock-Timestamp")
            .asks(["status", "limit", "cursor"])
            .gives(200, "Executions", "A page.")
            .refuses(&NO_IDENTITY, "The profile is unknown, revoked or expired.")
            .refuses(&WRONG_SIGNATURE, "The call is not signed, not in time, or the signature does not match.")
            .refuses(&WRONG_STATE, "The profile is not locked, or is suspended.")
            .uses_core(),
    ]
}

fn profiles() -> Vec<Operation> {
    vec![
        get("/credentials", "slots", "List credentials, without their values")
            .asks(["items", "cursor"])
            .gives(200, "Slots", "A page.")
            .uses_core(),
        post("/credentials", "makeSlots", "Ask for credentials: a person sets their values")
            .takes("NewSlots", 1024)
            .gives(201, "SlotsMade", "Those that were missing are there, without values.")
            .refuses(&WRONG_STATE, "There can't be more credentials.")
            .uses_core(),
        get("/profiles", "profiles", "List profiles")
            .asks(["items", "cursor"])
            .gives(200, "Profiles", "A page.")
            .uses_core(),
        post("/profiles", "makeProfile", "Make a profile")
            .takes("NewProfile", 64)
            .gives(201, "Profile", "It is unlocked and has no credentials.")
            .with_header(201, "Location")
            .refuses(&WRONG_STATE, "There can't be more profiles.")
            .uses_core(),
        get("/profiles/{id}", "profile", "Read a profile")
            .of("profile", NO_PROFILE)
            .gives(200, "Profile", "As it is now.")
            .uses_core(),
        post("/profiles/{id}/credentials", "attach", "Attach credentials to an unlocked profile")
            .of("profile", NO_PROFILE)
            .takes("Names", 128)
            .gives(200, "Profile", "It has them.")
            .refuses(&NOT_FOUND, NO_CREDENTIAL)
            .refuses(&WRONG_STATE, NOT_EDITABLE)
            .uses_core(),
        delete("/profiles/{id}/credentials", "detach", "Detach credentials from an unlocked profile")
            .of("profile", NO_PROFILE)
            .takes("Names", 128)
            .gives(200, "Profile", "It does not have them.")
            .refuses(&WRONG_STATE, NOT_UNLOCKED)
            .uses_core(),
    ]
}

fn about_the_server() -> Vec<Operation> {
    let page = |operation: Operation| operation.tagged("pages");
    vec![
        get("/health", "health", "Whether the server lives").gives(200, "Health", "It does."),
        get("/ready", "ready", "Whether a script would run now")
            .gives(200, "Ready", "It would.")
            .refuses(&UNAVAILABLE, "It would not: `problems` says why."),
        page(
            get("/", "ui", "The web UI").gives_text("text/html", "The page.").gives_nothing(304, "It has not changed."),
        ),
        page(
            get("/assets/{name}", "asset", "A file of the web UI")
                .of("asset", "There is no such file.")
                .gives_text("*/*", "The file.")
                .gives_nothing(304, "It has not changed."),
        ),
        page(get("/style.css", "style", "The style of the page without a web UI").gives_text("text/css", "The style.")),
        page(
            get("/skill.md", "skill", "The guide for agents")
                .gives_text("text/markdown", "The guide, with this server's address.")
                .refuses(&MALFORMED, WRONG_HOST),
        ),
        page(
            get("/openapi.json", "openapi", "This document")
                .parameter("If-None-Match")
                .gives(200, "Document", "The document.")
                .with_header(200, "ETag")
                .gives_nothing(304, "It has not changed.")
                .with_header(304, "ETag"),
        ),
    ]
}
