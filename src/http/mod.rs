//! The HTTP adapter: the contract of `API.md` over the core's façade.
//!
//! May use: the core's façade and domain, warp's filters, hyper. Knows nothing of the store or the workers.
//!
//! - `server` accepts connections, `router` finds the handler, `routes` are the handlers, one file a group.
//! - `openapi` describes it all for programs, in a document that the tests hold every exchange against.
//! - `assets` is the web UI's files, as they were built and embedded.
//! - `auth`, `body`, `budget`, `fields`, `hosts`, `base_url` read requests; `json`, `views`, `problem` write responses.
//!
//! Invariants: nothing from a request's body, no secret and no execution's id is in a log line or an error (HT-1); a
//! call that changes state runs to its end even when the client hangs up (HT-2); every error is a problem of
//! [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) and the core's errors are mapped in one place (HT-3).

mod assets;
mod auth;
mod base_url;
mod body;
mod budget;
mod fields;
mod hosts;
mod json;
mod openapi;
mod problem;
mod router;
mod routes;
mod server;
mod signature;
#[cfg(test)]
mod testing;
mod views;

use std::sync::Arc;

use airlock_actors::core::Core;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use base_url::{InvalidPublicUrl, PublicUrl};
pub use server::{Server, ServerConfig};

use budget::Budget;
use router::{Endpoint, Route, at, delete, first_of, get, post, put};
use routes::{
    admin_credentials, admin_doctor, admin_executions, admin_overview, admin_profiles, admin_server, admin_session,
    admin_sessions, credentials, events, execute, executions, health, openapi as described, profiles, ui,
};

/// What handlers share.
struct App {
    core: Core,
    config: ServerConfig,
    /// Ends long polls.
    shutdown: CancellationToken,
    /// Memory for requests' bodies.
    bodies: Budget,
    /// Lists that may be put together at once.
    turns: Semaphore,
}

impl App {
    fn new(core: Core, config: ServerConfig, shutdown: CancellationToken) -> Self {
        let bodies = Budget::new(config.max_bodies_bytes);
        Self { core, config, shutdown, bodies, turns: Semaphore::new(MAX_LISTS) }
    }
}

/// The core hands out lists whole, each tens of megabytes at the worst; so no more than this are in hands at once.
const MAX_LISTS: usize = 4;

/// Every route. They are tried in this order: the busiest first.
fn table() -> Vec<(&'static str, Vec<Endpoint<App>>)> {
    vec![
        ("/executions/{id}", vec![get(executions::poll)]),
        ("/execute", vec![post(execute::submit)]),
        ("/executions/{id}/respond", vec![post(executions::respond)]),
        ("/executions/{id}/events", vec![get(events::events)]),
        ("/executions/{id}/cancel", vec![post(executions::cancel)]),
        ("/executions", vec![get(executions::list)]),
        ("/health", vec![get(health::alive)]),
        ("/ready", vec![get(health::ready)]),
        ("/credentials", vec![get(credentials::list), post(credentials::create_slots)]),
        ("/profiles", vec![get(profiles::list), post(profiles::create)]),
        ("/profiles/{id}", vec![get(profiles::one)]),
        ("/profiles/{id}/credentials", vec![post(profiles::attach), delete(profiles::detach)]),
        ("/", vec![get(ui::page)]),
        ("/assets/{name}", vec![get(ui::asset)]),
        ("/style.css", vec![get(ui::style)]),
        ("/skill.md", vec![get(ui::skill)]),
        ("/openapi.json", vec![get(described::document)]),
        ("/api/admin/overview", vec![get(admin_overview::overview)]),
        ("/api/admin/server", vec![get(admin_server::server)]),
        ("/api/admin/status", vec![get(admin_session::status)]),
        ("/api/admin/setup", vec![post(admin_session::setup)]),
        ("/api/admin/login", vec![post(admin_session::login)]),
        ("/api/admin/logout", vec![post(admin_session::logout)]),
        ("/api/admin/password", vec![post(admin_session::change_password)]),
        ("/api/admin/credentials", vec![get(admin_credentials::list), post(admin_credentials::create)]),
        ("/api/admin/credentials/{name}", vec![put(admin_credentials::update), delete(admin_credentials::remove)]),
        ("/api/admin/profiles", vec![get(admin_profiles::list), post(admin_profiles::create)]),
        (
            "/api/admin/profiles/{id}",
            vec![get(admin_profiles::one), put(admin_profiles::update), delete(admin_profiles::remove)],
        ),
        ("/api/admin/profiles/{id}/credentials", vec![post(admin_profiles::attach), delete(admin_profiles::detach)]),
        ("/api/admin/profiles/{id}/lock", vec![post(admin_profiles::lock)]),
        ("/api/admin/profiles/{id}/regenerate-key", vec![post(admin_profiles::regenerate_key)]),
        ("/api/admin/profiles/{id}/revoke", vec![post(admin_profiles::revoke)]),
        ("/api/admin/doctor", vec![get(admin_doctor::doctor)]),
        ("/api/admin/executions", vec![get(admin_executions::list)]),
        ("/api/admin/executions/{id}", vec![get(admin_executions::detail), delete(admin_executions::remove)]),
        ("/api/admin/executions/{id}/cancel", vec![post(admin_executions::cancel)]),
        ("/api/admin/executions/{id}/run-again", vec![post(admin_executions::run_again)]),
        ("/api/admin/sessions", vec![get(admin_sessions::list)]),
        ("/api/admin/sessions/{id}", vec![delete(admin_sessions::end)]),
    ]
}

fn routes(app: &Arc<App>) -> Route {
    first_of(table().into_iter().map(|(path, endpoints)| at(app, path, endpoints)).collect::<Vec<_>>())
}

/// Every method of every path, such as `GET /health`.
#[cfg(test)]
fn served() -> Vec<String> {
    let methods = |(path, endpoints): (_, Vec<Endpoint<App>>)| {
        endpoints.into_iter().map(move |endpoint| format!("{} {path}", endpoint.method()))
    };
    table().into_iter().flat_map(methods).collect()
}
