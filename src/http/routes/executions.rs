//! What an agent does with its executions: polls, answers, cancels and lists them.

use std::time::Duration;

use airlock_actors::core::Unavailable;
use airlock_actors::domain::{ExecutionId, ExecutionView, LlmRequestId, ProfileId, Status};
use airlock_actors::ports::ExecutionQuery;
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::{Answer, Call, max_body, ok, to_the_end};
use crate::http::fields::{self, Read, text};
use crate::http::problem::{Fault, Problem};
use crate::http::{json, signature, views};

/// Longest `?wait=`, in seconds.
pub(super) const MAX_WAIT_S: u64 = 60;

/// `GET /executions/{id}?wait=`: whoever knows the id may.
pub(in crate::http) async fn poll(call: Call) -> Answer {
    let wait = wait(&call)?;
    let id: ExecutionId = call.id("execution")?;
    let core = &call.app.core;
    let view = match wait {
        Duration::ZERO => core.execution(&id).await?,
        wait => unless_draining(&call, &id, core.wait_execution(&id, wait)).await?,
    };
    shown(&call, &view.ok_or_else(|| Problem::no_such("execution"))?).await
}

/// An execution as the agent sees it.
pub(super) async fn shown(call: &Call, view: &ExecutionView) -> Answer {
    let open = if view.awaited.is_empty() { Vec::new() } else { call.app.core.open_requests(view).await? };
    ok(views::execution(view, &open))
}

/// `POST /executions/{id}/respond`
pub(in crate::http) async fn respond(call: Call) -> Answer {
    let id: ExecutionId = call.id("execution")?;
    let body = call.body(max_body::ANSWER).await?;
    let (response, request_id) = fields::read(&body, |fields| {
        let response = fields.required("response", text);
        let request_id = fields.optional("request_id", request_id);
        Some((response?, request_id?))
    })?;
    drop(body);
    let core = call.app.core.clone();
    let of = id.clone();
    let status = to_the_end(async move { core.respond(&of, request_id, response).await }).await?;
    ok(views::responded(&id, status))
}

fn request_id(raw: &RawValue) -> Read<LlmRequestId> {
    let problem = "names no request of this execution; take the `id` of its `llm_request`";
    text(raw)?.parse().map_err(|_| vec![Fault::new("", problem)])
}

/// `POST /executions/{id}/cancel`
pub(in crate::http) async fn cancel(call: Call) -> Answer {
    call.no_body().await?;
    let id: ExecutionId = call.id("execution")?;
    let core = call.app.core.clone();
    let view = to_the_end(async move { core.cancel(&id).await }).await?;
    shown(&call, &view).await
}

/// `GET /executions?status=&limit=&cursor=`: the caller's own, newest first. Signed.
pub(in crate::http) async fn list(call: Call) -> Answer {
    let profile_id = signature::prove(&call).await?;
    let query = listing(&call, Some(profile_id))?;
    listed(&call, query, None).await
}

const DEFAULT_PAGE: u64 = 50;
const MAX_PAGE: u64 = 200;

/// What `?status=&limit=&cursor=` ask for.
pub(super) fn listing(call: &Call, profile_id: Option<ProfileId>) -> Result<ExecutionQuery, Problem> {
    let status = filter(call, "status", "is not a status", Status::parse)?;
    let before: Option<ExecutionId> = filter(call, "cursor", "is not a `next_cursor`", |text| text.parse().ok())?;
    let limit = call.query_number("limit", 1..=MAX_PAGE)?.unwrap_or(DEFAULT_PAGE);
    Ok(ExecutionQuery { profile_id, status, before, limit: usize::try_from(limit).unwrap_or(usize::MAX) })
}

/// A page of executions. A cursor is the last one's id: ids sort by time, so what arrives meanwhile comes on no later page.
/// Those accepted before `since` are left out.
pub(super) async fn listed(call: &Call, query: ExecutionQuery, since: Option<Timestamp>) -> Answer {
    let limit = query.limit;
    // One more than is shown tells whether there is a next page.
    let mut found = call.app.core.list_executions(ExecutionQuery { limit: limit + 1, ..query }).await?;
    if let Some(since) = since {
        found.truncate(found.partition_point(|record| record.created_at >= since));
    }
    let (page, rest) = found.split_at(limit.min(found.len()));
    ok(json::object(64 + 512 * page.len(), |object| {
        object.objects("executions", page, views::listed_execution);
        if let (Some(last), false) = (page.last(), rest.is_empty()) {
            object.text("next_cursor", last.id.as_str());
        }
    }))
}

/// A query parameter that picks some of the executions.
pub(super) fn filter<T>(
    call: &Call,
    name: &'static str,
    problem: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let Some(text) = call.query(name)? else { return Ok(None) };
    let parsed = parse(&text).ok_or_else(|| Problem::invalid(vec![Fault::new(name, problem)]))?;
    Ok(Some(parsed))
}

/// How long the client is willing to wait.
pub(super) fn wait(call: &Call) -> Result<Duration, Problem> {
    Ok(Duration::from_secs(call.query_number("wait", 0..=MAX_WAIT_S)?.unwrap_or(0)))
}

/// Waits, but answers with the present state once the server shuts down.
pub(super) async fn unless_draining(
    call: &Call,
    id: &ExecutionId,
    waiting: impl Future<Output = Result<Option<ExecutionView>, Unavailable>>,
) -> Result<Option<ExecutionView>, Unavailable> {
    match call.app.shutdown.run_until_cancelled(waiting).await {
        Some(view) => view,
        None => call.app.core.execution(id).await,
    }
}
