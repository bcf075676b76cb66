//! The administrator's password and sessions.

use airlock_actors::core::SessionError;
use airlock_actors::domain::Secret;
use http::StatusCode;
use http::header::SET_COOKIE;
use warp::reply::Response;

use super::{Answer, Call, done, json_response, max_body, ok, to_the_end};
use crate::http::fields::{self, secret};
use crate::http::problem::{Fault, Problem};
use crate::http::{auth, json};

/// `GET /api/admin/status`: needs no session, and says whether the request has one.
pub(in crate::http) async fn status(call: Call) -> Answer {
    let setup_required = call.app.core.setup_required().await;
    let signed_in = auth::admin(&call).await.is_ok();
    ok(json::object(64, |object| {
        object.flag("setup_required", setup_required);
        object.flag("signed_in", signed_in);
    }))
}

/// `POST /api/admin/setup`
pub(in crate::http) async fn setup(call: Call) -> Answer {
    let password = password(&call).await?;
    let core = call.app.core.clone();
    let token = to_the_end(async move { core.setup(password).await.map_err(naming("password")) }).await?;
    Ok(opened(&call, &token))
}

/// `POST /api/admin/login`
pub(in crate::http) async fn login(call: Call) -> Answer {
    let password = password(&call).await?;
    let (core, peer) = (call.app.core.clone(), call.exchange.peer.ip());
    let token = to_the_end(async move { core.login(password, peer).await }).await?;
    Ok(opened(&call, &token))
}

/// `POST /api/admin/logout`
pub(in crate::http) async fn logout(call: Call) -> Answer {
    let token = auth::admin(&call).await?;
    call.no_body().await?;
    let core = call.app.core.clone();
    to_the_end(async move { core.logout(&token).await }).await?;
    let mut response = done();
    for cookie in auth::clear_cookies() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `POST /api/admin/password`: ends the other sessions.
pub(in crate::http) async fn change_password(call: Call) -> Answer {
    let token = auth::admin(&call).await?;
    let body = call.body(max_body::SMALL).await?;
    let (current, new) = fields::read(&body, |fields| {
        let current = fields.required("current_password", secret);
        let new = fields.required("new_password", secret);
        Some((current?, new?))
    })?;
    let (core, peer) = (call.app.core.clone(), call.exchange.peer.ip());
    let change = async move { core.change_password(&token, current, new, peer).await.map_err(naming("new_password")) };
    to_the_end(change).await?;
    Ok(done())
}

async fn password(call: &Call) -> Result<Secret, Problem> {
    auth::refuse_cross_site(&call.exchange, call.app.config.public_url.as_ref())?;
    let body = call.body(max_body::SMALL).await?;
    fields::read(&body, |fields| fields.required("password", secret))
}

/// Names the field whose length is wrong.
fn naming(field: &'static str) -> impl Fn(SessionError) -> Problem {
    move |error| match error {
        SessionError::PasswordLength => Problem::invalid(vec![Fault::new(field, "must have 8 to 1024 characters")]),
        other => other.into(),
    }
}

/// The token, once for programs and once as a cookie for browsers.
fn opened(call: &Call, token: &Secret) -> Response {
    let mut response = json_response(StatusCode::OK, json::object(128, |object| object.text("token", token.expose())));
    if let Some(cookie) = auth::set_cookie(&call.exchange, call.app.config.public_url.as_ref(), token) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
