//! Stops and crashes with scripts that wait for their LLM.

use std::collections::BTreeMap;
use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::support::{Agent, Launch, Reply, Server, ready_profile, text};

async fn submit(agent: &Agent, script: &str, on_restart: &str) -> String {
    let mut body = agent.body(script);
    body["on_restart"] = json!(on_restart);
    text(&agent.post("", &body).await.expect(202), "execution_id").to_owned()
}

/// Polls until request `number` is asked, or it has ended.
async fn asked(agent: &Agent, id: &str, number: u32) -> Value {
    loop {
        let view = agent.poll(id, 30).await;
        let status = text(&view, "status");
        let is_it = view["llm_request"]["id"] == format!("llm_{number}");
        if is_it || !["pending", "running", "awaiting_llm"].contains(&status) {
            return view;
        }
    }
}

async fn respond(agent: &Agent, id: &str, number: u32, answer: &str) -> Reply {
    let body = json!({"response": answer, "request_id": format!("llm_{number}")});
    agent.client().post(&format!("/executions/{id}/respond"), &body).await
}

const THREE: &str = "answers = [llm.complete(f'question {n}') for n in range(3)]\nset_result(answers)";

#[tokio::test]
async fn a_replayed_script_gets_the_answers_it_had_and_is_asked_only_the_rest() {
    for stop in [Server::kill9 as fn(&mut Server), |server: &mut Server| assert_eq!(server.stop().code, Some(0))] {
        let mut server = Launch::new().arg("--drain", "0").start();
        let mut agent = ready_profile(&server, &[]).await;
        let replayed = submit(&agent, THREE, "replay").await;
        let failed = submit(&agent, THREE, "fail").await;
        for id in [&replayed, &failed] {
            asked(&agent, id, 1).await;
            respond(&agent, id, 1, "one").await.expect(200);
            asked(&agent, id, 2).await;
        }
        for _ in 0..2 {
            stop(&mut server);
            server.restart();
            agent = agent.with(server.client());
            asked(&agent, &replayed, 2).await;
        }
        let ended = agent.finish(&failed).await;
        assert_eq!((text(&ended, "status"), text(&ended, "error_type")), ("error", "Interrupted"), "{ended}");
        let view = asked(&agent, &replayed, 2).await;
        assert_eq!(view["llm_request"]["prompt"], "question 1", "{view}");
        // The agent does not know whether its first answer had arrived.
        respond(&agent, &replayed, 1, "one").await.expect(200);
        respond(&agent, &replayed, 1, "another").await.problem(409);
        respond(&agent, &replayed, 2, "two").await.expect(200);
        asked(&agent, &replayed, 3).await;
        respond(&agent, &replayed, 3, "three").await.expect(200);
        assert_eq!(agent.finish(&replayed).await["result"], json!(["one", "two", "three"]));
        let detail = server.admin().await.execution(&replayed).await;
        assert_eq!((&detail["attempts"], &detail["on_restart"]), (&json!(3), &json!("replay")), "{detail}");
        assert_eq!(detail["llm_exchanges"].as_array().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_replay_that_asks_something_else_ends_as_diverged() {
    let mut server = Server::start();
    let agent = ready_profile(&server, &[]).await;
    let script = "import os\nllm.complete(os.urandom(8).hex())\nllm.complete('never asked')";
    let id = submit(&agent, script, "replay").await;
    asked(&agent, &id, 1).await;
    respond(&agent, &id, 1, "x").await.expect(200);
    asked(&agent, &id, 2).await;
    server.kill9();
    server.restart();
    let agent = agent.with(server.client());
    let ended = agent.finish(&id).await;
    assert_eq!((text(&ended, "status"), text(&ended, "error_type")), ("error", "ReplayDiverged"), "{ended}");
    assert!(text(&ended, "error").contains("asked its LLM something else"), "{ended}");
}

#[tokio::test]
async fn what_an_open_question_had_left_of_its_time_survives_a_crash() {
    let mut server = Server::start();
    let agent = ready_profile(&server, &[]).await;
    let mut body = agent.body("llm.complete('?')");
    (body["on_restart"], body["llm_timeout"]) = (json!("replay"), json!(600));
    let id = text(&agent.post("", &body).await.expect(202), "execution_id").to_owned();
    let before = asked(&agent, &id, 1).await["llm_request"]["expires_at"].clone();
    server.kill9();
    server.restart();
    let agent = agent.with(server.client());
    assert_eq!(asked(&agent, &id, 1).await["llm_request"]["expires_at"], before);
}

#[tokio::test]
async fn at_a_stop_ready_says_so_first_answers_are_still_taken_and_scripts_finish() {
    let mut server = Launch::new().arg("--drain", "60").start();
    let agent = ready_profile(&server, &[]).await;
    let id = submit(&agent, "set_result(llm.complete('?'))", "fail").await;
    asked(&agent, &id, 1).await;
    server.signal(Signal::SIGTERM);
    crate::support::eventually("not ready any more", async || agent.client().get("/ready").await.status == 503).await;
    let refused = agent.execute("1").await;
    refused.problem(503);
    assert!(refused.header("retry-after").parse::<u32>().is_ok(), "{refused:?}");
    assert_eq!(agent.client().get("/health").await.status, 200);
    respond(&agent, &id, 1, "in time").await.expect(200);
    assert_eq!(server.stop_after_signal().code, Some(0));
    server.restart();
    assert_eq!(agent.with(server.client()).finish(&id).await["result"], "in time");
}

/// By id: whether it is replayed, and which answers were acknowledged.
type Ledger = Arc<Mutex<BTreeMap<String, (bool, Vec<(u32, String)>)>>>;

/// Under load, with pauses open, again and again: what was acknowledged is there afterwards.
#[tokio::test]
async fn kill_9_and_sigterm_under_load_lose_no_answer_and_run_nothing_twice() {
    let mut server = Launch::new().arg("--drain", "0").start();
    let mut agent = ready_profile(&server, &[]).await;
    let ledger = Ledger::default();
    // Fewer than the attempts that a replay has.
    for round in 0..4 {
        let mut clients = Vec::new();
        for number in 0..6 {
            let (agent, ledger) = (agent.with(server.client()), ledger.clone());
            clients.push(tokio::spawn(async move {
                for step in 0..20 {
                    let mut body = agent.body(THREE);
                    let replay = (number + step) % 2 == 0;
                    body["on_restart"] = json!(if replay { "replay" } else { "fail" });
                    let Ok(reply) = agent.client().try_send(agent.request("", &body)).await else { return };
                    if reply.status != 202 {
                        return;
                    }
                    let id = text(&reply.json(), "execution_id").to_owned();
                    ledger.lock().await.insert(id.clone(), (replay, Vec::new()));
                    for question in 1..=3 {
                        loop {
                            let poll = crate::support::Request::get(&format!("/executions/{id}?wait=10"));
                            let Ok(view) = agent.client().try_send(poll).await else { return };
                            if view.status != 200 || view.json()["llm_request"]["id"] == format!("llm_{question}") {
                                break;
                            }
                        }
                        let answer = format!("{round}-{number}-{step}-{question}");
                        let body = json!({"response": answer, "request_id": format!("llm_{question}")});
                        let respond = crate::support::Request::post(&format!("/executions/{id}/respond")).json(&body);
                        match agent.client().try_send(respond).await {
                            Ok(reply) if reply.status == 200 => {
                                let mut ledger = ledger.lock().await;
                                ledger.get_mut(&id).unwrap().1.push((question, answer));
                            }
                            _ => return,
                        }
                    }
                }
            }));
        }
        // Once enough was answered for pauses to be open in all stages.
        let enough = 12 * (round + 1);
        crate::support::eventually("answers", async || {
            ledger.lock().await.values().map(|(_, answers)| answers.len()).sum::<usize>() >= enough
        })
        .await;
        if round % 2 == 0 {
            server.kill9();
        } else {
            assert_eq!(server.stop().code, Some(0));
        }
        for client in clients {
            client.await.unwrap();
        }
        server.restart();
        agent = agent.with(server.client());
    }
    let admin = server.admin().await;
    let ledger = std::mem::take(&mut *ledger.lock().await);
    let mut replayed = 0;
    for (id, (replay, answers)) in ledger {
        loop {
            let view = agent.poll(&id, 30).await;
            let Some(request) = view["llm_request"]["id"].as_str() else {
                if ["pending", "running"].contains(&text(&view, "status")) {
                    continue;
                }
                break;
            };
            let body = json!({"response": "late", "request_id": request});
            agent.client().post(&format!("/executions/{id}/respond"), &body).await.expect(200);
        }
        let (done, detail) = (agent.poll(&id, 0).await, admin.execution(&id).await);
        let recorded = |question: u32| detail["llm_exchanges"][question as usize - 1]["response"].clone();
        for (question, answer) in &answers {
            assert_eq!(recorded(*question), answer.as_str(), "an acknowledged answer is lost: {detail}");
        }
        match text(&done, "status") {
            "completed" => {
                for (question, answer) in &answers {
                    assert_eq!(done["result"][*question as usize - 1], answer.as_str(), "{done}");
                }
                replayed += u32::from(detail["attempts"].as_u64().unwrap() > 1);
                assert!(replay || detail["attempts"] == 1, "it ran twice: {detail}");
            }
            "error" => assert!(!replay && done["error_type"] == "Interrupted", "{done}"),
            status => panic!("{status}: {done}"),
        }
    }
    assert!(replayed > 0, "no crash met a script that is replayed");
}
