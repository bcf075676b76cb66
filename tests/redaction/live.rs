//! What is seen while a script still runs: its prompts, and its output as it comes, written a character at a time.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::{Agent, Server, text};
use crate::table::{is_in, profile};
use crate::transforms::{TRANSFORMS, Verdict, script};

const SHOW: &str = "
for c in 'now ' + x + ' then\\n':
    sys.stdout.write(c)
    sys.stdout.flush()
set_result(llm.complete('what is ' + x + '?', model='m ' + x if len(x) < 250 else 'm'))";

/// Follows the events to their end, answering the LLM; all that was printed, and all that was asked.
async fn follow(server: &Server, agent: &Agent, id: &str) -> (String, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut response = client.get(format!("{}/executions/{id}/events", server.url())).send().await.unwrap();
    let (mut waiting, mut printed, mut asked) = (String::new(), String::new(), String::new());
    while let Some(chunk) = response.chunk().await.unwrap() {
        waiting.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some((event, rest)) = waiting.split_once("\n\n") {
            let (event, rest) = (event.to_owned(), rest.to_owned());
            waiting = rest;
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
            let (Some(name), Some(data)) = (field("event:"), field("data:")) else { continue };
            match name {
                "stdout" => printed.push_str(text(&serde_json::from_str::<Value>(data).unwrap(), "text")),
                "llm_request" => {
                    write!(asked, "{data} {}", agent.poll(id, 0).await).unwrap();
                    let answer = serde_json::json!({"response": "ok"});
                    let respond = crate::support::Request::post(&format!("/executions/{id}/respond")).json(&answer);
                    agent.client().send(respond).await.expect(200);
                }
                _ => {}
            }
        }
    }
    (printed, asked)
}

#[tokio::test]
async fn no_transform_is_seen_in_events_or_prompts_that_is_not_seen_at_the_end() {
    let (secret, plain) = (Server::start(), Server::start());
    let ((admin, agent), (_, other)) = (profile(&secret, true).await, profile(&plain, false).await);
    let mut failed = Vec::new();
    for (name, expression, expected) in TRANSFORMS {
        if *expected == Verdict::Through {
            continue;
        }
        let spelled = other.result(&script(expression, "set_result(x)")).await.as_str().unwrap().to_owned();
        let id = agent.submit(&script(expression, SHOW)).await;
        let (printed, asked) = follow(&secret, &agent, &id).await;
        assert!(printed.starts_with("now ") && asked.contains("what is "), "{name}: {printed:?} {asked:?}");
        if is_in(&spelled, &printed) || is_in(&spelled, &asked) {
            failed.push(format!("{name}: {printed:?} {asked:?}"));
        }
        let detail = admin.execution(&id).await;
        if detail["suspicious"] != (*expected == Verdict::Alarm) {
            failed.push(format!("{name}: suspicious is {}", detail["suspicious"]));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
