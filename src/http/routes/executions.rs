//! Polling.

use std::time::Duration;

use airlock_actors::core::Unavailable;
use airlock_actors::domain::{ExecutionId, ExecutionView};

use super::{Answer, Call, ok};
use crate::http::problem::Problem;
use crate::http::views;

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
    ok(views::execution(&view.ok_or_else(|| Problem::no_such("execution"))?))
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
