//! Cancelling, by the agent and by the administrator; and what races with it.

use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::llm::{asked, respond};
use crate::support::{Agent, Launch, Reply, Server, ready_profile, text};

async fn cancel(agent: &Agent, id: &str) -> Reply {
    agent.client().post(&format!("/executions/{id}/cancel"), &json!({})).await
}

#[tokio::test]
async fn whatever_it_does_it_is_cancelled_once_and_all_that_it_started_is_gone() {
    let server = Launch::new().arg("--max-running", "1").start();
    let agent = ready_profile(&server, &[]).await;
    let spinning =
        agent.submit("import os\nprint(os.fork() or os.setsid() or 'child', flush=True)\nwhile True: pass").await;
    assert_eq!(agent.started(&spinning).await["status"], "running");
    let waiting = agent.submit("1").await;
    let cancelled = cancel(&agent, &waiting).await.expect(200);
    assert_eq!((&cancelled["status"], &cancelled["result"]), (&json!("cancelled"), &json!(null)));
    let view = cancel(&agent, &spinning).await.expect(200);
    assert_eq!((&view["status"], &view["error_type"]), (&json!("cancelled"), &json!("Cancelled")), "{view}");
    assert!(text(&view, "error").contains("its agent or an administrator"), "does not say who ends executions: {view}");
    for pid in text(&view, "stdout").lines().filter_map(|line| line.parse().ok()) {
        assert!(kill(Pid::from_raw(pid), None).is_err(), "process {pid} is still there");
    }
    for id in [&spinning, &waiting] {
        cancel(&agent, id).await.problem_naming(409, "cancelled");
        assert_eq!(agent.poll(id, 0).await["status"], "cancelled");
    }
    let paused = agent.submit("llm.complete('?')").await;
    asked(&agent, &paused).await;
    assert_eq!(cancel(&agent, &paused).await.expect(200)["status"], "cancelled");
    respond(&agent, &paused, &json!({"response": "x"})).await.problem_naming(409, "cancelled");
    assert_eq!(agent.result("set_result(1)").await, 1);
    cancel(&agent, "exec_000000000000000000000000000000000000").await.problem(404);
}

#[tokio::test]
async fn the_administrator_cancels_deletes_and_runs_again() {
    let server = Server::start();
    let agent = ready_profile(&server, &[("CITY", "Oslo")]).await;
    let admin = server.admin().await;
    let id = agent.submit("set_result(settings['CITY'] + llm.complete('?'))").await;
    asked(&agent, &id).await;
    let path = format!("/executions/{id}");
    admin.delete(&path).await.problem_naming(409, "cancel");
    let cancelled = admin.post(&format!("{path}/cancel"), &json!({})).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    admin.post(&format!("{path}/cancel"), &json!({})).await.problem(409);

    let again = admin.post(&format!("{path}/run-again"), &json!({})).await.expect(202);
    let new = text(&again, "execution_id").to_owned();
    assert_ne!(new, id);
    super::llm::answer(&agent, &new, "!").await;
    agent.finish(&new).await;
    let detail = admin.get(&format!("/executions/{new}")).await.expect(200);
    assert_eq!(detail["rerun_of"], id.as_str());
    assert_eq!(detail["llm_exchanges"].as_array().unwrap().len(), 1);

    admin.delete(&format!("/executions/{new}")).await.success();
    admin.get(&format!("/executions/{new}")).await.problem(404);
    agent.client().get(&format!("/executions/{new}")).await.problem(404);
    admin.delete(&format!("/executions/{new}")).await.problem(404);
    assert!(admin.executions("").await.iter().all(|execution| execution["execution_id"] != new.as_str()));

    admin.profile_action(&agent.id, "revoke").await.success();
    admin.post(&format!("{path}/run-again"), &json!({})).await.problem_naming(409, "revoked");
    for call in ["cancel", "run-again"] {
        agent.client().post(&format!("/api/admin{path}/{call}"), &json!({})).await.problem(401);
    }
}

/// However cancel, answer, end and revocation meet, each execution has one end, and everybody is told what it is.
#[tokio::test]
async fn pairs_that_race_have_one_winner_each_hundreds_of_times() {
    let server = Server::start();
    let agent = ready_profile(&server, &[]).await;
    for round in 0..200 {
        // Cancel and completion.
        let id = agent.submit("set_result(1)").await;
        let (reply, seen) = tokio::join!(cancel(&agent, &id), agent.finish(&id));
        settled(&agent, &id, &reply, &seen, round).await;

        // Cancel and answer.
        let id = agent.submit("set_result(llm.complete('?'))").await;
        asked(&agent, &id).await;
        let body = json!({"response": "x", "request_id": "llm_1"});
        let (reply, answered) = tokio::join!(cancel(&agent, &id), respond(&agent, &id, &body));
        let seen = agent.finish(&id).await;
        settled(&agent, &id, &reply, &seen, round).await;
        assert!([200, 409].contains(&answered.status), "{answered:?}");
        if seen["status"] == "completed" {
            assert_eq!((answered.status, &seen["result"]), (200, &json!("x")));
        }

        // Two different answers: one is taken, and that is the one the script gets.
        let id = agent.submit("set_result(llm.complete('?'))").await;
        asked(&agent, &id).await;
        let (one, other) =
            (json!({"response": "one", "request_id": "llm_1"}), json!({"response": "other", "request_id": "llm_1"}));
        let (first, second) = tokio::join!(respond(&agent, &id, &one), respond(&agent, &id, &other));
        let seen = agent.finish(&id).await;
        let taken = match (first.status, second.status) {
            (200, 409) => "one",
            (409, 200) => "other",
            both => panic!("{both:?}"),
        };
        assert_eq!(seen["result"], taken, "round {round}");

        // Two cancels.
        let id = agent.submit("while True: pass").await;
        agent.started(&id).await;
        let (first, second) = tokio::join!(cancel(&agent, &id), cancel(&agent, &id));
        assert!([first.status, second.status].contains(&200), "{first:?} {second:?}");
        assert_eq!(agent.poll(&id, 0).await["status"], "cancelled");
    }
}

/// What the one who cancelled was told is what came of it.
async fn settled(agent: &Agent, id: &str, reply: &Reply, seen: &Value, round: usize) {
    match reply.status {
        200 => assert_eq!(seen["status"], "cancelled", "round {round}"),
        409 => assert_eq!(seen["status"], "completed", "round {round}"),
        _ => panic!("{reply:?}"),
    }
    assert_eq!(&agent.poll(id, 0).await, seen, "it changed after its end");
}

#[tokio::test]
async fn revoking_a_profile_cancels_what_waits_for_its_llm_and_what_is_being_started() {
    let server = Server::start();
    let admin = server.admin().await;
    for round in 0..20 {
        let agent = admin.locked_profile(&[]).await;
        let paused = agent.submit("llm.complete('?')").await;
        asked(&agent, &paused).await;
        let (revoked, submitted) =
            tokio::join!(admin.profile_action(&agent.id, "revoke"), agent.execute("import time\ntime.sleep(600)"));
        revoked.success();
        assert_eq!(agent.finish(&paused).await["status"], "cancelled", "round {round}");
        if submitted.status == 202 {
            let id = text(&submitted.json(), "execution_id").to_owned();
            assert_eq!(agent.finish(&id).await["status"], "cancelled", "round {round}");
        }
    }
}
