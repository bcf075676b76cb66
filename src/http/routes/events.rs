//! Following an execution: server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use airlock_actors::core::{Core, Cursor, ExecutionEvent, Follower};
use airlock_actors::domain::ExecutionId;
use airlock_actors::ports::OutputStream;
use futures_util::stream;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use tokio_util::sync::CancellationToken;
use warp::Reply as _;
use warp::sse::Event;

use super::{Answer, Call};
use crate::http::problem::{Fault, Problem};
use crate::http::{json, views};

const LAST_EVENT_ID: &str = "Last-Event-ID";
/// A comment so often keeps what is between from ending a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /executions/{id}/events`: whoever knows the id may. Nothing is prepared before the client takes it, so that a slow one
/// holds nothing up and takes the memory of one event.
pub(in crate::http) async fn events(call: Call) -> Answer {
    let id: ExecutionId = call.id("execution")?;
    let cursor = resume_from(&call.exchange.headers, &id)?;
    let follower = call.app.core.follow(&id, cursor).await?.ok_or_else(|| Problem::no_such("execution"))?;
    let (core, shutdown) = (call.app.core.clone(), call.app.shutdown.clone());
    let events = stream::unfold((follower, core, shutdown), |(mut follower, core, shutdown)| async move {
        let event = next(&mut follower, &core, &shutdown).await?;
        Some((Ok::<_, Infallible>(event), (follower, core, shutdown)))
    });
    let keep_alive = warp::sse::keep_alive().interval(KEEP_ALIVE);
    let mut response = warp::sse::reply(keep_alive.stream(events)).into_response();
    // What buffers between would hold events back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    Ok(response)
}

async fn next(follower: &mut Follower, core: &Core, shutdown: &CancellationToken) -> Option<Event> {
    let news = shutdown.run_until_cancelled(follower.next()).await?;
    let (event, cursor) = match news {
        Ok(news) => news?,
        Err(error) => {
            tracing::warn!(%error, "a stream of events ends");
            return None;
        }
    };
    let (name, data) = match event {
        ExecutionEvent::Status(status) => ("status", json::object(32, |object| object.text("status", status.as_str()))),
        ExecutionEvent::LlmRequest(exchange) => {
            ("llm_request", json::object(exchange.bytes(), |object| views::llm_request(object, &exchange)))
        }
        ExecutionEvent::Output(stream, text) => {
            let name = if stream == OutputStream::Stdout { "stdout" } else { "stderr" };
            (name, json::object(text.len() + 16, |object| object.text("text", &text)))
        }
        ExecutionEvent::Done(view) => {
            let open = core.open_requests(&view).await.unwrap_or_default();
            ("done", views::execution(&view, &open))
        }
    };
    // What is written as JSON is UTF-8 and has no line break.
    let data = String::from_utf8(data).ok()?;
    Some(Event::default().id(cursor.to_string()).event(name).data(data))
}

/// Where the client wants to go on.
fn resume_from(headers: &HeaderMap, id: &ExecutionId) -> Result<Cursor, Problem> {
    let last = headers.get(LAST_EVENT_ID).filter(|last| !last.is_empty());
    let Some(last) = last else { return Ok(Cursor::start(id)) };
    let cursor = last.to_str().ok().and_then(|last| Cursor::parse(last, id));
    cursor.ok_or_else(|| Problem::invalid(vec![Fault::new(LAST_EVENT_ID, "is no id of an event of this stream")]))
}
