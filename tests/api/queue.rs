//! The bounded queue: who waits, in what order, and who is sent away.

use serde_json::json;

use crate::support::{Agent, Launch, Server, ready_profile, text, time};

fn narrow(queue: &str) -> Server {
    Launch::new().arg("--max-running", "1").arg("--max-queue", queue).start()
}

/// Holds the only running slot until the profile is revoked.
async fn blocker(server: &Server) -> (Agent, String) {
    let agent = ready_profile(server, &[]).await;
    let id = agent.submit("import time\ntime.sleep(600)").await;
    assert_eq!(agent.started(&id).await["status"], "running");
    (agent, id)
}

#[tokio::test]
async fn past_the_queues_end_is_a_429_and_the_waiting_run_once_there_is_room() {
    let server = narrow("2");
    let (holder, running) = blocker(&server).await;
    let agent = ready_profile(&server, &[]).await;
    let first = agent.submit("set_result('first')").await;
    let second = agent.submit("set_result('second')").await;
    agent.execute("set_result('third')").await.problem(429);
    // The signature is checked before the queue is looked at.
    agent.post("", &json!({"script": "pass", "hash": "00"})).await.problem(403);
    agent.post("?wait=5", &agent.body("set_result('third')")).await.problem(429);
    assert_eq!(agent.poll(&first, 0).await["status"], "pending");

    server.admin().await.profile_action(&holder.id, "revoke").await.expect(200);
    assert_eq!(holder.finish(&running).await["status"], "cancelled");
    assert_eq!(agent.finish(&first).await["result"], "first");
    assert_eq!(agent.finish(&second).await["result"], "second");
    assert_eq!(agent.result("set_result('third')").await, "third");
    let of_agent = server.admin().await.executions(&format!("profile_id={}", agent.id)).await;
    assert_eq!(of_agent.len(), 3, "a refused script leaves no record: {of_agent:?}");
}

#[tokio::test]
async fn one_runs_at_a_time_when_one_may() {
    let server = narrow("100");
    let agent = ready_profile(&server, &[]).await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(agent.submit(&format!("import time\ntime.sleep(0.05)\nset_result({number})")).await);
    }
    let mut runs = Vec::new();
    for id in &ids {
        let done = agent.finish(id).await;
        runs.push((time(&done, "started_at"), time(&done, "completed_at")));
    }
    assert!(runs.is_sorted(), "not in the order of acceptance: {runs:?}");
    for pair in runs.windows(2) {
        assert!(pair[1].0 >= pair[0].1, "two ran at once: {runs:?}");
    }
}

#[tokio::test]
async fn a_profile_with_a_long_queue_does_not_keep_another_waiting() {
    let server = narrow("100");
    let (holder, _) = blocker(&server).await;
    let busy = ready_profile(&server, &[]).await;
    let modest = ready_profile(&server, &[]).await;
    let mut queued = Vec::new();
    for _ in 0..6 {
        // Longer than a worker takes to start: a slot is not kept free for a profile whose worker is not up.
        queued.push(busy.submit("import time\ntime.sleep(0.5)").await);
    }
    let late = modest.submit("pass").await;
    server.admin().await.profile_action(&holder.id, "revoke").await.expect(200);

    let late = time(&modest.finish(&late).await, "started_at");
    let mut before = 0;
    for id in &queued {
        before += usize::from(time(&busy.finish(id).await, "started_at") < late);
    }
    assert!(before <= 2, "{before} of the busy profile's six ran before the other's only one");
}

#[tokio::test]
async fn revoking_cancels_what_waits_in_the_queue_and_it_never_runs() {
    let server = narrow("100");
    let (holder, _) = blocker(&server).await;
    let agent = ready_profile(&server, &[]).await;
    let waiting = agent.submit("print('it ran')").await;
    server.admin().await.profile_action(&agent.id, "revoke").await.expect(200);
    let ended = agent.finish(&waiting).await;
    assert_eq!((text(&ended, "status"), text(&ended, "stdout")), ("cancelled", ""), "{ended}");
    assert!(ended.get("started_at").is_none(), "{ended}");
    let running = server.admin().await.executions("status=running").await;
    assert_eq!((running.len(), text(&running[0], "profile_id")), (1, holder.id.as_str()), "{running:?}");
}

#[tokio::test]
async fn time_in_the_queue_does_not_count_as_running_time() {
    let server = narrow("10");
    let (holder, _) = blocker(&server).await;
    let agent = ready_profile(&server, &[]).await;
    let mut body = agent.body("set_result('in time')");
    body["timeout"] = 1.into();
    let id = text(&agent.post("", &body).await.expect(202), "execution_id").to_owned();
    // A long poll that is over without a change is the clock here: it waits longer than the timeout.
    assert_eq!(agent.poll(&id, 2).await["status"], "pending");
    server.admin().await.profile_action(&holder.id, "revoke").await.expect(200);
    assert_eq!(agent.finish(&id).await["result"], "in time");
}
