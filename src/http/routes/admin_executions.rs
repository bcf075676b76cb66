//! What ran, for the administrator.

use airlock_actors::domain::{ExecutionId, ProfileId, Status};
use airlock_actors::ports::ExecutionQuery;
use jiff::Timestamp;

use super::{Answer, Call, ok};
use crate::http::problem::{Fault, Problem};
use crate::http::{auth, json, views};

const DEFAULT_PAGE: u64 = 50;
const MAX_PAGE: u64 = 200;

/// `GET /api/admin/executions?profile_id=&status=&since=&limit=&cursor=`: newest first.
pub(in crate::http) async fn list(call: Call) -> Answer {
    auth::admin(&call).await?;
    let profile_id: Option<ProfileId> = filter(&call, "profile_id", "is not a profile's id", |text| text.parse().ok())?;
    let status = filter(&call, "status", "is not a status", Status::parse)?;
    let before: Option<ExecutionId> = filter(&call, "cursor", "is not a `next_cursor`", |text| text.parse().ok())?;
    let since = filter(&call, "since", "is not a time such as 2030-01-31T12:00:00Z", time)?;
    let limit = call.query_number("limit", 1..=MAX_PAGE)?.unwrap_or(DEFAULT_PAGE);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // One more than is shown tells whether there is a next page.
    let query = ExecutionQuery { profile_id, status, before, limit: limit + 1 };
    let mut found = call.app.core.list_executions(query).await?;
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

/// A query parameter that picks some of the executions.
fn filter<T>(
    call: &Call,
    name: &'static str,
    problem: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let Some(text) = call.query(name)? else { return Ok(None) };
    let parsed = parse(&text).ok_or_else(|| Problem::invalid(vec![Fault::new(name, problem)]))?;
    Ok(Some(parsed))
}
