//! What ran, for the administrator.

use airlock_actors::domain::{ExecutionId, ProfileId};
use http::StatusCode;
use jiff::Timestamp;

use super::executions::{filter, listed, listing, shown};
use super::{Answer, Call, done, json_response, ok, to_the_end};
use crate::http::base_url::base_url;
use crate::http::problem::Problem;
use crate::http::{auth, views};

/// `GET /api/admin/executions?profile_id=&status=&since=&limit=&cursor=`: newest first.
pub(in crate::http) async fn list(call: Call) -> Answer {
    auth::admin(&call).await?;
    let profile_id: Option<ProfileId> = filter(&call, "profile_id", "is not a profile's id", |text| text.parse().ok())?;
    let since = filter(&call, "since", "is not a time such as 2030-01-31T12:00:00Z", time)?;
    let query = listing(&call, profile_id)?;
    listed(&call, query, since).await
}

/// `GET /api/admin/executions/{id}`
pub(in crate::http) async fn detail(call: Call) -> Answer {
    auth::admin(&call).await?;
    let id: ExecutionId = call.id("execution")?;
    let detail = call.app.core.execution_detail(&id).await?;
    ok(views::execution_detail(&detail.ok_or_else(|| Problem::no_such("execution"))?))
}

/// A moment with its offset.
fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|_| !text.contains('['))
}

/// `DELETE /api/admin/executions/{id}`: of a finished one.
pub(in crate::http) async fn remove(call: Call) -> Answer {
    auth::admin(&call).await?;
    call.no_body().await?;
    let id: ExecutionId = call.id("execution")?;
    let core = call.app.core.clone();
    to_the_end(async move { core.delete_execution(&id).await }).await?;
    Ok(done())
}

/// `POST /api/admin/executions/{id}/cancel`
pub(in crate::http) async fn cancel(call: Call) -> Answer {
    auth::admin(&call).await?;
    call.no_body().await?;
    let id: ExecutionId = call.id("execution")?;
    let core = call.app.core.clone();
    let view = to_the_end(async move { core.cancel(&id).await }).await?;
    shown(&call, &view).await
}

/// `POST /api/admin/executions/{id}/run-again`: the same script for the same profile, if that may still run scripts.
pub(in crate::http) async fn run_again(call: Call) -> Answer {
    auth::admin(&call).await?;
    call.no_body().await?;
    let id: ExecutionId = call.id("execution")?;
    let base_url = base_url(&call.exchange, call.app.config.public_url.as_ref())?;
    let core = call.app.core.clone();
    let view = to_the_end(async move { core.run_again(&id).await }).await.map_err(Problem::without_challenge)?;
    let view = view.ok_or_else(|| Problem::no_such("execution"))?;
    let poll_url = format!("{base_url}/executions/{}", view.record.id);
    Ok(json_response(StatusCode::ACCEPTED, views::accepted(&view, &poll_url)))
}
