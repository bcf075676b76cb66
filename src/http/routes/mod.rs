//! The handlers: one file a group, each function's doc line its method and path.

use std::future::Future;
use std::str::FromStr;

use airlock_actors::domain::{CredentialName, ProfileId};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use warp::reply::Response;

use super::App;
use super::body::{Body, BodyLimits};
use super::fields::{self, Fields};
use super::problem::Problem;
use super::router;

pub(super) mod admin_credentials;
pub(super) mod admin_doctor;
pub(super) mod admin_executions;
pub(super) mod admin_overview;
pub(super) mod admin_profiles;
pub(super) mod admin_server;
pub(super) mod admin_session;
pub(super) mod admin_sessions;
pub(super) mod credentials;
pub(super) mod events;
pub(super) mod execute;
pub(super) mod executions;
pub(super) mod health;
pub(super) mod openapi;
mod pages;
pub(super) mod profiles;
pub(super) mod ui;

/// What every handler gets.
pub(super) type Call = router::Call<App>;
pub(super) use execute::named_in;
use router::Answer;

/// Most credentials in one request.
const MAX_NAMES: usize = 100;
/// Longest description that an agent may give: anybody can send one, and every list repeats it.
const MAX_AGENTS_DESCRIPTION_BYTES: usize = 1024;

/// The longest bodies of the calls other than `POST /execute`: what they take at the most, with every byte of a text
/// written as six (`\u00e9`).
mod max_body {
    const KIB: usize = 1024;
    /// A password, a description, nothing at all.
    pub(super) const SMALL: usize = 64 * KIB;
    /// A hundred names.
    pub(super) const NAMES: usize = 128 * KIB;
    /// A value of 64 KiB with its description.
    pub(super) const VALUE: usize = 512 * KIB;
    /// A profile's settings: 256 hosts.
    pub(super) const SETTINGS: usize = 512 * KIB;
    /// An answer of 1 MiB.
    pub(super) const ANSWER: usize = 6 * 1024 * KIB + 64 * KIB;
    /// A hundred slots with descriptions of 1 KiB.
    pub(super) const SLOTS: usize = 1024 * KIB;
}

impl Call {
    /// The body of a call that needs one, of at most so many bytes.
    async fn body(&self, max_bytes: usize) -> Result<Body, Problem> {
        self.json(self.app.body_limits(max_bytes), &self.app.bodies).await
    }

    /// Reads the body of a call that takes none: nothing at all, or an empty object.
    async fn no_body(&self) -> Result<(), Problem> {
        let body = self.bytes(self.app.body_limits(max_body::SMALL), &self.app.bodies).await?;
        if body.is_empty() { Ok(()) } else { fields::read(&body, |_: &mut Fields<'_>| Some(())) }
    }

    /// The path's parameter as an id; 404 when it can't be one.
    fn id<T: FromStr>(&self, what: &'static str) -> Result<T, Problem> {
        self.parameter().parse().map_err(|_| Problem::no_such(what))
    }

    /// The path's parameter as a profile's id.
    fn profile_id(&self) -> Result<ProfileId, Problem> {
        self.id("profile")
    }

    /// The path's parameter as a credential's name.
    fn credential_name(&self) -> Result<CredentialName, Problem> {
        self.id("credential")
    }
}

impl App {
    fn body_limits(&self, max_bytes: usize) -> BodyLimits {
        BodyLimits {
            max_bytes: max_bytes.min(self.config.max_body_bytes),
            idle: self.config.body_idle_timeout,
            total: self.config.body_timeout,
        }
    }
}

/// Runs a call that changes state to its end, even when the client hangs up and this handler is dropped (HT-2).
async fn to_the_end<T, E>(work: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, Problem>
where
    T: Send + 'static,
    E: Into<Problem> + Send + 'static,
{
    match tokio::spawn(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_panicked) => {
            tracing::error!("a call of the core panicked");
            Err(Problem::internal())
        }
    }
}

/// A JSON response.
fn json_response(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 200 with JSON.
fn ok(body: Vec<u8>) -> Answer {
    Ok(json_response(StatusCode::OK, body))
}

/// 201 with JSON.
fn created(body: Vec<u8>) -> Answer {
    Ok(json_response(StatusCode::CREATED, body))
}

/// 204.
fn done() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
