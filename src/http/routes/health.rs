//! Whether the server lives, and whether it can work.

use std::time::Duration;

use airlock_actors::ports::SandboxLayer;

use super::{Answer, Call, ok};
use crate::http::json;
use crate::http::problem::{Problem, UNAVAILABLE};

/// `GET /health`: consults nothing.
pub(in crate::http) async fn alive(_: Call) -> Answer {
    ok(json::object(64, |object| {
        object.text("status", "ok");
        object.text("version", env!("CARGO_PKG_VERSION"));
    }))
}

/// `GET /ready`: 200 when it can run a script now, else 503 saying which part can't.
pub(in crate::http) async fn ready(call: Call) -> Answer {
    let readiness = call.app.core.readiness().await;
    if !readiness.problems.is_empty() {
        let detail = format!("Airlock can't run scripts now: {}", readiness.problems.join("; "));
        return Err(Problem::new(&UNAVAILABLE, detail)
            .names("problems", &readiness.problems)
            .retry_after(Duration::from_secs(1)));
    }
    ok(json::object(256, |object| {
        object.text("status", "ready");
        object.number("running", u64::try_from(readiness.running).unwrap_or(u64::MAX));
        object.number("queued", u64::try_from(readiness.queued).unwrap_or(u64::MAX));
        if let Some(worker) = &readiness.worker {
            object.object("worker", |object| {
                object.text("python", &worker.python);
                object.text("environment", &worker.environment);
                let active = worker.layers.iter().filter(|layer| layer.active);
                object.texts("layers", active.map(SandboxLayer::summary).collect::<Vec<_>>());
                object.texts("degraded", worker.degraded());
            });
        }
    }))
}
