//! What the sandbox is made of here, as `airlock doctor --json` and `GET /api/admin/doctor` tell it.

use airlock_actors::ports::WorkerInfo;
use serde_json::json;

/// The report of a worker, as JSON: `{"python", "environment", "degraded": [text], "layers": [{"name", "does", "floor", "active",
/// "detail", "turn_on"}]}`. `degraded`: the layers that no script should run without and that are not in force.
pub(crate) fn report(info: &WorkerInfo) -> Vec<u8> {
    let layers = info.layers.iter().map(|layer| {
        json!({
            "name": layer.name,
            "does": layer.does,
            "floor": layer.floor,
            "active": layer.active,
            "detail": layer.detail,
            "turn_on": layer.turn_on,
        })
    });
    let report = json!({
        "python": info.python,
        "environment": info.environment,
        "degraded": info.degraded(),
        "layers": layers.collect::<Vec<_>>(),
    });
    report.to_string().into_bytes()
}
