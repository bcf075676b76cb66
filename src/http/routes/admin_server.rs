//! What this server is and allows, for the web UI's settings.

use super::{Answer, Call, ok};
use crate::http::auth;
use crate::http::base_url::base_url;
use crate::http::json;

/// `GET /api/admin/server`
pub(in crate::http) async fn server(call: Call) -> Answer {
    auth::admin(&call).await?;
    let base_url = base_url(&call.exchange, call.app.config.public_url.as_ref())?;
    let (config, readiness) = (call.app.core.config(), call.app.core.readiness().await);
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    ok(json::object(1024, |object| {
        object.text("version", env!("CARGO_PKG_VERSION"));
        object.text("base_url", &base_url);
        object.object("capacity", |object| {
            object.number("running", number(config.pool.max_running));
            object.number("queued", number(config.pool.max_queue));
            object.number("workers", number(config.pool.max_workers));
        });
        object.object("sessions", |object| {
            object.number("idle_s", config.sessions.idle.as_secs());
            object.number("max_s", config.sessions.absolute.as_secs());
        });
        object.object("limits", |object| {
            object.number("memory_bytes", config.limits.memory_bytes);
            object.number("cpu_seconds", config.limits.cpu_seconds);
            object.number("processes", config.limits.processes);
            object.number("open_files", config.limits.open_files);
            object.number("tmp_bytes", config.limits.tmp_bytes);
            object.number("output_bytes", config.limits.output_bytes);
        });
        object.object("retention", |object| {
            object.number("age_s", config.retention.age.as_secs());
            object.number("executions", config.retention.executions);
        });
        if let Some(worker) = &readiness.worker {
            object.object("worker", |object| {
                object.text("python", &worker.python);
                object.text("environment", &worker.environment);
                object.objects("layers", &worker.layers, |object, layer| {
                    object.text("name", &layer.name);
                    object.text("does", &layer.does);
                    object.flag("floor", layer.floor);
                    object.flag("active", layer.active);
                    object.text("detail", &layer.detail);
                    object.text("turn_on", &layer.turn_on);
                });
            });
        }
    }))
}
