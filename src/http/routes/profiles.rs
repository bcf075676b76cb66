//! Profiles as agents put them together; what administrators do with them besides is in `admin_profiles`.

use airlock_actors::core::{CredentialView, Maker};
use airlock_actors::domain::credential::MAX_DESCRIPTION_BYTES;
use airlock_actors::domain::{CredentialName, ProfileRecord};
use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use jiff::Timestamp;
use warp::reply::Response;

use super::{Answer, Call, MAX_NAMES, json_response, ok, to_the_end};
use crate::http::fields::{self, credential_name, text_up_to};
use crate::http::json::{self, Object};
use crate::http::problem::Problem;
use crate::http::views;

/// One of the two shapes of a profile: the agents' or the administrator's.
pub(super) type Shape = fn(&mut Object<'_>, &ProfileRecord, &[CredentialView], Timestamp);

/// `GET /profiles`
pub(in crate::http) async fn list(call: Call) -> Answer {
    all(&call, views::profile).await
}

/// `GET /profiles/{id}`
pub(in crate::http) async fn one(call: Call) -> Answer {
    let id = call.profile_id()?;
    let record = call.app.core.profile(&id).await?;
    ok(shown(&call, &record, views::profile, |_| {}).await?)
}

/// `POST /profiles`
pub(in crate::http) async fn create(call: Call) -> Answer {
    made(&call, Maker::Agent, views::profile, "/profiles").await
}

/// `POST /profiles/{id}/credentials`
pub(in crate::http) async fn attach(call: Call) -> Answer {
    attached(&call, views::profile).await
}

/// `DELETE /profiles/{id}/credentials`
pub(in crate::http) async fn detach(call: Call) -> Answer {
    detached(&call, views::profile).await
}

/// All profiles, oldest first.
pub(super) async fn all(call: &Call, shape: Shape) -> Answer {
    let profiles = call.app.core.profiles().await?;
    let credentials = call.app.core.credentials().await?;
    let now = call.app.core.now();
    ok(json::object(64 + 512 * profiles.len(), |object| {
        object.objects("profiles", &profiles, |object, record| shape(object, record, &credentials, now));
    }))
}

/// One profile, and what `more` adds.
pub(super) async fn shown(
    call: &Call,
    record: &ProfileRecord,
    shape: Shape,
    more: impl FnOnce(&mut Object<'_>) + Send,
) -> Result<Vec<u8>, Problem> {
    let credentials = call.app.core.credentials().await?;
    let now = call.app.core.now();
    Ok(json::object(512, |object| {
        shape(object, record, &credentials, now);
        more(object);
    }))
}

/// Makes a profile from the body.
pub(super) async fn made(call: &Call, by: Maker, shape: Shape, collection: &str) -> Answer {
    let body = call.body().await?;
    let description = fields::read(&body, |fields| fields.optional("description", text_up_to(MAX_DESCRIPTION_BYTES)))?;
    let core = call.app.core.clone();
    let record = to_the_end(async move { core.create_profile_by(by, description.unwrap_or_default()).await }).await?;
    let mut response: Response = json_response(StatusCode::CREATED, shown(call, &record, shape, |_| {}).await?);
    if let Ok(location) = HeaderValue::from_str(&format!("{collection}/{}", record.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Attaches the body's credentials.
pub(super) async fn attached(call: &Call, shape: Shape) -> Answer {
    let (id, names) = (call.profile_id()?, names(call).await?);
    let core = call.app.core.clone();
    let record = to_the_end(async move { core.attach(&id, names).await }).await?;
    ok(shown(call, &record, shape, |_| {}).await?)
}

/// Detaches the body's credentials.
pub(super) async fn detached(call: &Call, shape: Shape) -> Answer {
    let (id, names) = (call.profile_id()?, names(call).await?);
    let core = call.app.core.clone();
    let record = to_the_end(async move { core.detach(&id, names).await }).await?;
    ok(shown(call, &record, shape, |_| {}).await?)
}

async fn names(call: &Call) -> Result<Vec<CredentialName>, Problem> {
    let body = call.body().await?;
    fields::read(&body, |body| body.required("credentials", fields::list(MAX_NAMES, credential_name)))
}
