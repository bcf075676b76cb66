//! The HTTP adapter: the contract of `API.md` over the core's façade.
//!
//! May use: the core's façade and domain, warp's filters, hyper. Knows nothing of the store or the workers.
//!
//! - `server` accepts connections, `router` finds the handler, `routes` are the handlers, one file a group.
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
use router::{Route, at, delete, first_of, get, post, put};
use routes::{
    admin_credentials, admin_doctor, admin_executions, admin_overview, admin_profiles, admin_server, admin_session,
    admin_sessions, credentials, events, execute, executions, health, profiles, ui,
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
fn routes(app: &Arc<App>) -> Route {
    first_of([
        at(app, "/executions/{id}", [get(executions::poll)]),
        at(app, "/execute", [post(execute::submit)]),
        at(app, "/executions/{id}/respond", [post(executions::respond)]),
        at(app, "/executions/{id}/events", [get(events::events)]),
        at(app, "/executions/{id}/cancel", [post(executions::cancel)]),
        at(app, "/executions", [get(executions::list)]),
        at(app, "/health", [get(health::alive)]),
        at(app, "/ready", [get(health::ready)]),
        at(app, "/credentials", [get(credentials::list), post(credentials::create_slots)]),
        at(app, "/profiles", [get(profiles::list), post(profiles::create)]),
        at(app, "/profiles/{id}", [get(profiles::one)]),
        at(app, "/profiles/{id}/credentials", [post(profiles::attach), delete(profiles::detach)]),
        at(app, "/", [get(ui::page)]),
        at(app, "/assets/{name}", [get(ui::asset)]),
        at(app, "/style.css", [get(ui::style)]),
        at(app, "/skill.md", [get(ui::skill)]),
        at(app, "/api/admin/overview", [get(admin_overview::overview)]),
        at(app, "/api/admin/server", [get(admin_server::server)]),
        at(app, "/api/admin/status", [get(admin_session::status)]),
        at(app, "/api/admin/setup", [post(admin_session::setup)]),
        at(app, "/api/admin/login", [post(admin_session::login)]),
        at(app, "/api/admin/logout", [post(admin_session::logout)]),
        at(app, "/api/admin/password", [post(admin_session::change_password)]),
        at(app, "/api/admin/credentials", [get(admin_credentials::list), post(admin_credentials::create)]),
        at(app, "/api/admin/credentials/{name}", [put(admin_credentials::update), delete(admin_credentials::remove)]),
        at(app, "/api/admin/profiles", [get(admin_profiles::list), post(admin_profiles::create)]),
        at(
            app,
            "/api/admin/profiles/{id}",
            [get(admin_profiles::one), put(admin_profiles::update), delete(admin_profiles::remove)],
        ),
        at(app, "/api/admin/profiles/{id}/credentials", [post(admin_profiles::attach), delete(admin_profiles::detach)]),
        at(app, "/api/admin/profiles/{id}/lock", [post(admin_profiles::lock)]),
        at(app, "/api/admin/profiles/{id}/regenerate-key", [post(admin_profiles::regenerate_key)]),
        at(app, "/api/admin/profiles/{id}/revoke", [post(admin_profiles::revoke)]),
        at(app, "/api/admin/doctor", [get(admin_doctor::doctor)]),
        at(app, "/api/admin/executions", [get(admin_executions::list)]),
        at(app, "/api/admin/executions/{id}", [get(admin_executions::detail), delete(admin_executions::remove)]),
        at(app, "/api/admin/executions/{id}/cancel", [post(admin_executions::cancel)]),
        at(app, "/api/admin/executions/{id}/run-again", [post(admin_executions::run_again)]),
        at(app, "/api/admin/sessions", [get(admin_sessions::list)]),
        at(app, "/api/admin/sessions/{id}", [delete(admin_sessions::end)]),
    ])
}
