//! The state of the sandbox, for the administrator.

use std::time::Duration;

use super::{Answer, Call, ok};
use crate::http::auth;
use crate::http::problem::{Problem, UNAVAILABLE};
use crate::sandbox::report;

/// `GET /api/admin/doctor`: what `airlock doctor --json` prints, as a worker of this server has it; 503 while there is none.
pub(in crate::http) async fn doctor(call: Call) -> Answer {
    auth::admin(&call).await?;
    match call.app.core.readiness().await.worker {
        Some(worker) => ok(report(&worker)),
        None => Err(Problem::new(&UNAVAILABLE, "No worker is ready to be asked; try again.".to_owned())
            .retry_after(Duration::from_secs(1))),
    }
}
