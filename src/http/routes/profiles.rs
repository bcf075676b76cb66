//! Profiles as agents put them together; what administrators do with them besides is in `admin_profiles`.

use airlock_actors::core::CredentialView;
use airlock_actors::domain::credential::MAX_DESCRIPTION_BYTES;
use airlock_actors::domain::{CredentialName, Maker, ProfileRecord};
use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use jiff::Timestamp;
use warp::reply::Response;

use super::pages::{Moment, Page};
use super::{Answer, Call, MAX_AGENTS_DESCRIPTION_BYTES, MAX_NAMES, json_response, max_body, ok, to_the_end};
use crate::http::fields::{self, credential_name, text_up_to};
use crate::http::json::{self, Object};
use crate::http::problem::Problem;
use crate::http::views;

/// One of the two shapes of a profile: the agents' or the administrator's.
pub(super) type Shape = fn(&mut Object<'_>, &ProfileRecord, &[CredentialView], Timestamp);

/// `GET /profiles?limit=&cursor=`
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

/// A page of the profiles, oldest first.
pub(super) async fn all(call: &Call, shape: Shape) -> Answer {
    let page = Page::asked(call)?;
    let _turn = call.app.turn().await;
    let profiles = call.app.core.profiles().await?;
    let credentials = call.app.core.credentials().await?;
    let now = call.app.core.now();
    let rest = page.rest(&profiles, Moment::of);
    let shown = |object: &mut Object<'_>, record: &ProfileRecord| shape(object, record, &credentials, now);
    ok(page.object(rest, "profiles", shown, |record| Moment::of(record).to_string()))
}

/// One profile, and what `more` adds.
pub(super) async fn shown(
    call: &Call,
    record: &ProfileRecord,
    shape: Shape,
    more: impl FnOnce(&mut Object<'_>) + Send,
) -> Result<Vec<u8>, Problem> {
    let credentials = own_credentials(call, record).await?;
    let now = call.app.core.now();
    Ok(json::object(512, |object| {
        shape(object, record, &credentials, now);
        more(object);
    }))
}

/// What is known of a profile's credentials. The core only hands out all there are: they are let go at once.
async fn own_credentials(call: &Call, record: &ProfileRecord) -> Result<Vec<CredentialView>, Problem> {
    if record.credentials.is_empty() {
        return Ok(Vec::new());
    }
    let _turn = call.app.turn().await;
    let mut credentials = call.app.core.credentials().await?;
    credentials.retain(|credential| record.credentials.contains(&credential.name));
    credentials.shrink_to_fit();
    Ok(credentials)
}

/// Makes a profile from the body.
pub(super) async fn made(call: &Call, by: Maker, shape: Shape, collection: &str) -> Answer {
    let longest = match by {
        Maker::Agent => MAX_AGENTS_DESCRIPTION_BYTES,
        Maker::Person => MAX_DESCRIPTION_BYTES,
    };
    let body = call.body(max_body::SMALL).await?;
    let description = fields::read(&body, |fields| fields.optional("description", text_up_to(longest)))?;
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
    let body = call.body(max_body::NAMES).await?;
    fields::read(&body, |body| body.required("credentials", fields::list(MAX_NAMES, credential_name)))
}
