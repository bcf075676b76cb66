//! `GET /executions/{id}/events`: live output, resuming, slow readers.

use serde_json::{Value, json};

use super::llm::{asked, respond};
use crate::support::{Agent, Launch, Request, Server, ready_profile, shared, shared_agent, text};

/// One event.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

/// A stream of events that is read one by one.
struct Events {
    response: reqwest::Response,
    /// What came and is no whole event yet: a chunk may end within a character.
    bytes: Vec<u8>,
}

impl Events {
    async fn open(server: &Server, id: &str, last: Option<&str>) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.get(format!("{}/executions/{id}/events", server.url()));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, bytes: Vec::new() }
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        self.try_next().await.unwrap()
    }

    /// As `next`; an error when the connection was cut.
    async fn try_next(&mut self) -> Result<Option<Event>, reqwest::Error> {
        loop {
            if let Some(end) = self.bytes.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.bytes.drain(..end + 2).collect();
                let event = String::from_utf8(event).unwrap();
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim_start().to_owned()
                };
                if event.starts_with(':') {
                    continue;
                }
                let data = serde_json::from_str(&field("data:")).unwrap();
                return Ok(Some(Event { id: field("id:"), name: field("event:"), data }));
            }
            match self.response.chunk().await? {
                Some(chunk) => self.bytes.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    /// Reads until an event of this name.
    async fn until(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the stream ended before {name}"));
            if event.name == name {
                return event;
            }
        }
    }

    /// All of them, of a reader that stalled: the server cuts those that take nothing for a minute, and they come back.
    async fn all_of_stalled(mut self, server: &Server, id: &str) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        loop {
            match self.try_next().await {
                Ok(Some(event)) => events.push(event),
                Ok(None) => return events,
                Err(_) => self = Self::open(server, id, events.last().map(|event| event.id.as_str())).await,
            }
        }
    }

    async fn all(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// What all events of a stream say together.
fn printed(events: &[Event], name: &str) -> String {
    events.iter().filter(|event| event.name == name).map(|event| text(&event.data, "text")).collect()
}

fn statuses(events: &[Event]) -> Vec<&str> {
    events.iter().filter(|event| event.name == "status").map(|event| text(&event.data, "status")).collect()
}

#[tokio::test]
async fn output_comes_while_the_script_runs_and_all_of_it_once() {
    let (server, agent) = (shared().await, shared_agent().await);
    let script = "print('first line, and some more text')\nllm.complete('?')\nimport sys\nprint('é' * 5, file=sys.stderr)\nprint('end')";
    let id = agent.submit(script).await;
    let mut events = Events::open(server, &id, None).await;
    // While it waits: what it printed is there.
    let mut seen = Vec::new();
    while !printed(&seen, "stdout").starts_with("first line") || !seen.iter().any(|e: &Event| e.name == "llm_request") {
        seen.push(events.next().await.expect("it is live"));
    }
    let request = seen.iter().find(|event| event.name == "llm_request").unwrap();
    assert_eq!((&request.data["prompt"], &request.data["id"]), (&json!("?"), &json!("llm_1")));
    respond(&agent, &id, &json!({"response": "x"})).await.expect(200);
    seen.extend(events.all().await);
    let done = agent.finish(&id).await;
    assert_eq!(printed(&seen, "stdout"), text(&done, "stdout"));
    assert_eq!(printed(&seen, "stderr"), text(&done, "stderr"));
    let last = seen.last().unwrap();
    assert_eq!((last.name.as_str(), &last.data), ("done", &done));
    assert_eq!(statuses(&seen).last(), Some(&"completed"));
    assert_eq!(seen.iter().filter(|event| event.name == "done").count(), 1);
}

#[tokio::test]
async fn a_stream_is_resumed_after_any_event_without_a_gap_or_a_repetition() {
    let (server, agent) = (shared().await, shared_agent().await);
    let script = "import sys\nfor n in range(3000):\n    print('line', n)\n    print('err', n, file=sys.stderr)\nllm.complete('?')\nprint('after')";
    let id = agent.submit(script).await;
    asked(&agent, &id).await;
    let mut live = Events::open(server, &id, None).await;
    let mut before = Vec::new();
    while before.len() < 6 {
        before.push(live.next().await.unwrap());
    }
    respond(&agent, &id, &json!({"response": "x"})).await.expect(200);
    let done = agent.finish(&id).await;
    for taken in 0..=before.len() {
        let last = taken.checked_sub(1).map(|at| before[at].id.as_str());
        let mut all = before[..taken].to_vec();
        all.extend(Events::open(server, &id, last).await.all().await);
        assert_eq!(printed(&all, "stdout"), text(&done, "stdout"), "resumed after {taken}");
        assert_eq!(printed(&all, "stderr"), text(&done, "stderr"), "resumed after {taken}");
        assert_eq!(all.last().unwrap().data, done);
    }
    // Of a finished one, from its last event: that it is done.
    let all = Events::open(server, &id, None).await.all().await;
    let again = Events::open(server, &id, Some(&all.last().unwrap().id)).await.all().await;
    assert_eq!(again.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["done"]);
}

#[tokio::test]
async fn what_is_streamed_is_scrubbed_also_where_the_value_comes_in_pieces() {
    let server = Server::start();
    let agent = ready_profile(&server, &[("TOKEN", "hunter2-hunter2-hunter2")]).await;
    let script = "\
import os
t = settings['TOKEN'].encode()
for n in range(len(t)):
    os.write(1, t[n:n + 1])
os.write(1, b' and a long line that follows it, so that it is shown\\n')
llm.complete('?')
os.write(1, t[:9])
";
    let id = agent.submit(script).await;
    let mut events = Events::open(&server, &id, None).await;
    asked(&agent, &id).await;
    let mut seen = Vec::new();
    while !printed(&seen, "stdout").contains("long line") {
        seen.push(events.next().await.unwrap());
    }
    respond(&agent, &id, &json!({"response": "x"})).await.expect(200);
    seen.extend(events.all().await);
    let all = format!("{seen:?}");
    assert!(!all.contains("hunter2-hunter2-hunter2"), "{all}");
    assert_eq!(printed(&seen, "stdout"), text(&agent.finish(&id).await, "stdout"));
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_nothing_up() {
    let (server, agent) = (shared().await, shared_agent().await);
    let id =
        agent.submit("llm.complete('go?')\nfor n in range(200_000):\n    print('line', n)\nset_result('done')").await;
    asked(&agent, &id).await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(Events::open(server, &id, None).await);
    }
    respond(&agent, &id, &json!({"response": "x"})).await.expect(200);
    let done = agent.finish(&id).await;
    assert_eq!(done["result"], "done");
    for events in stalled {
        let events = events.all_of_stalled(server, &id).await;
        assert_eq!(printed(&events, "stdout"), text(&done, "stdout"));
    }
}

#[tokio::test]
async fn streams_are_closed_when_the_server_stops_and_go_on_after_it() {
    let mut server = Launch::new().arg("--drain", "0").start();
    let agent = ready_profile(&server, &[]).await;
    let mut body = agent.body("print('x' * 100)\nset_result(llm.complete('?'))");
    body["on_restart"] = json!("replay");
    let id = text(&agent.post("", &body).await.expect(202), "execution_id").to_owned();
    asked(&agent, &id).await;
    let mut events = Events::open(&server, &id, None).await;
    let last = events.until("llm_request").await.id;
    assert_eq!(server.stop().code, Some(0));
    // No `done`: it has not ended.
    assert!(events.all().await.iter().all(|event| event.name != "done"));
    server.restart();
    let agent = agent.with(server.client());
    respond_when_asked(&agent, &id).await;
    let events = Events::open(&server, &id, Some(&last)).await.all().await;
    let done = events.last().unwrap();
    assert_eq!((done.name.as_str(), &done.data["result"]), ("done", &json!("again")), "{events:?}");
}

async fn respond_when_asked(agent: &Agent, id: &str) {
    asked(agent, id).await;
    respond(agent, id, &json!({"response": "again", "request_id": "llm_1"})).await.expect(200);
}

#[tokio::test]
async fn what_is_no_stream_is_told() {
    let agent = shared_agent().await;
    agent.client().get("/executions/exec_000000000000000000000000000000000000/events").await.problem(404);
    let id = text(&agent.run("1").await, "execution_id").to_owned();
    let other = text(&agent.run("1").await, "execution_id").to_owned();
    let last = Events::open(shared().await, &other, None).await.all().await.pop().unwrap();
    for position in ["nonsense", &last.id] {
        let request = Request::get(&format!("/executions/{id}/events")).header("Last-Event-ID", position);
        agent.client().send(request).await.problem_naming(422, "Last-Event-ID");
    }
}

/// As after a replay that printed something else.
#[tokio::test]
async fn from_within_a_character_a_stream_goes_on_after_it() {
    let (server, agent) = (shared().await, shared_agent().await);
    let id = text(&agent.run("print('€' * 20_000)").await, "execution_id").to_owned();
    let done = agent.finish(&id).await;
    let first = Events::open(server, &id, None).await.until("stdout").await.id;
    let seen = first.rsplit('-').nth(1).unwrap();
    for within in 1..=3 {
        let position = first.replacen(&format!("-{seen}-"), &format!("-{within}-"), 1);
        let rest = Events::open(server, &id, Some(&position)).await.all().await;
        assert_eq!(printed(&rest, "stdout"), text(&done, "stdout")[3..], "from {within}");
    }
}
