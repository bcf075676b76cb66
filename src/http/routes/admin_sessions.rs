//! The administrator's open sessions.

use super::{Answer, Call, done, ok, to_the_end};
use crate::http::problem::Problem;
use crate::http::{auth, json};

/// Bytes of the hash of a token that name its session: enough to tell a thousand apart, and no help to guess one.
const ID_BYTES: usize = 8;

/// `GET /api/admin/sessions`: the last used first.
pub(in crate::http) async fn list(call: Call) -> Answer {
    let token = auth::admin(&call).await?;
    let (sessions, own) = call.app.core.sessions(&token);
    ok(json::object(64 + 160 * sessions.len(), |object| {
        object.objects("sessions", &sessions, |object, session| {
            let id = session.token_hash.get(..ID_BYTES).unwrap_or_default();
            object.text("id", &hex::encode(id));
            object.time("created_at", session.created_at);
            object.time("last_seen_at", session.last_seen_at);
            object.flag("current", session.token_hash == own);
        });
    }))
}

/// `DELETE /api/admin/sessions/{id}`: ends it.
pub(in crate::http) async fn end(call: Call) -> Answer {
    auth::admin(&call).await?;
    call.no_body().await?;
    let id = hex::decode(call.parameter()).ok().filter(|id| id.len() == ID_BYTES);
    let id = id.ok_or_else(|| Problem::no_such("session"))?;
    let core = call.app.core.clone();
    let ended = to_the_end(async move { core.end_session(&id).await }).await?;
    if ended { Ok(done()) } else { Err(Problem::no_such("session")) }
}
