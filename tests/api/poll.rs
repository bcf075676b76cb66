//! `GET /executions/{id}`: the shape at every stage, and the long poll.

use std::time::Instant;

use serde_json::json;

use crate::support::{Launch, Request, keys, ready_profile, shared, shared_agent, text, time};

const FINISHED: [&str; 12] = [
    "completed_at",
    "created_at",
    "error",
    "execution_id",
    "execution_time_ms",
    "profile_id",
    "result",
    "started_at",
    "status",
    "stderr",
    "stdout",
    "usage",
];

#[tokio::test]
async fn a_completed_execution_has_all_its_members_and_never_changes_again() {
    let agent = shared_agent().await;
    let done = agent.run("print('out')\nimport sys\nprint('err', file=sys.stderr)\nset_result({'a': 1})").await;
    assert_eq!(keys(&done), FINISHED);
    let expected = json!({"status": "completed", "profile_id": agent.id, "result": {"a": 1}, "stdout": "out\n", "stderr": "err\n", "error": null});
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&done[member], value, "{member}");
    }
    let (created, started, completed) =
        (time(&done, "created_at"), time(&done, "started_at"), time(&done, "completed_at"));
    assert!(created <= started && started <= completed, "{done}");
    let ran = done["execution_time_ms"].as_u64().unwrap();
    let between = u64::try_from(completed.duration_since(started).as_millis()).unwrap();
    assert!(ran <= between + 50, "ran {ran} ms in {between} ms");
    assert_eq!(keys(&done["usage"]), ["cpu_ms", "max_rss_bytes"]);
    for wait in [0, 1, 60] {
        let start = Instant::now();
        assert_eq!(agent.poll(text(&done, "execution_id"), wait).await, done);
        assert!(start.elapsed().as_secs() < 1, "a finished execution is answered at once");
    }
}

#[tokio::test]
async fn a_failed_execution_carries_its_error_and_kind() {
    let done = shared_agent().await.run("1/0").await;
    assert_eq!(
        (&done["status"], &done["result"], &done["stdout"], &done["stderr"]),
        (&json!("error"), &json!(null), &json!(""), &json!(""))
    );
    for member in ["error", "error_type", "traceback"] {
        assert!(done[member].is_string(), "{member}: {done}");
    }
}

#[tokio::test]
async fn members_that_have_no_value_yet_are_absent() {
    let server = Launch::new().arg("--max-running", "1").start();
    let agent = ready_profile(&server, &[]).await;
    let running = agent.submit("import time\ntime.sleep(600)").await;
    let pending = agent.submit("pass").await;
    let shown = agent.started(&running).await;
    assert_eq!(keys(&shown), ["created_at", "execution_id", "profile_id", "started_at", "status"]);
    assert_eq!(shown["status"], "running");
    let shown = agent.poll(&pending, 0).await;
    assert_eq!(keys(&shown), ["created_at", "execution_id", "profile_id", "status"]);
    assert_eq!(shown["status"], "pending");
}

#[tokio::test]
async fn a_long_poll_answers_when_the_status_changes_or_the_wait_is_over() {
    let server = Launch::new().arg("--max-running", "1").start();
    let agent = ready_profile(&server, &[]).await;
    let holder = ready_profile(&server, &[]).await;
    let held = holder.submit("import time\ntime.sleep(600)").await;
    holder.started(&held).await;
    let id = agent.submit("import time\ntime.sleep(1)").await;

    let start = Instant::now();
    assert_eq!(agent.poll(&id, 1).await["status"], "pending");
    let waited = start.elapsed();
    assert!(waited.as_millis() >= 950 && waited.as_secs() < 10, "a wait of 1 s took {waited:?}");

    let (polls, _) = tokio::join!(async { (agent.poll(&id, 60).await, agent.poll(&id, 60).await) }, async {
        server.admin().await.profile_action(&holder.id, "revoke").await.expect(200)
    },);
    assert_eq!((text(&polls.0, "status"), text(&polls.1, "status")), ("running", "completed"));
    assert!(start.elapsed().as_secs() < 30, "the long polls slept through the changes");
}

#[tokio::test]
async fn many_may_wait_for_the_same_execution() {
    let server = shared().await;
    let agent = ready_profile(server, &[]).await;
    let id = agent.submit("import time\ntime.sleep(0.5)\nset_result('for all')").await;
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let (agent, id) = (agent.clone(), id.clone());
            tokio::spawn(async move { agent.finish(&id).await })
        })
        .collect();
    for waiter in waiting {
        assert_eq!(waiter.await.unwrap()["result"], "for all");
    }
}

#[tokio::test]
async fn the_id_is_the_capability_and_nothing_else_is_asked_for() {
    let agent = shared_agent().await;
    let id = agent.submit("pass").await;
    agent.finish(&id).await;
    let path = format!("/executions/{id}");
    for token in ["nonsense", "ark_000000000000000000000000"] {
        agent.client().send(Request::get(&path).bearer(token)).await.expect(200);
    }
    let encoded = path.replace("exec_", "%65xec%5F");
    assert_eq!(agent.client().get(&encoded).await.expect(200)["execution_id"], id);
}

#[tokio::test]
async fn ids_that_are_no_executions_are_404() {
    let client = shared().await.client();
    let odd = [
        "exec_000000000000000000000000000000000000",
        "exec_",
        "exec_0",
        "x",
        "ark_000000000000000000000000",
        "EXEC_0",
        "%00",
        "exec_%00",
        "%FF",
        "exec_%F0%9F%94%91",
        "..%2F..%2Fetc%2Fpasswd",
        "%2e%2e%2fcredentials",
        "exec_0%0d%0aX-Injected:%20yes",
        "🔑",
        "null",
        "-1",
    ];
    for id in odd {
        let reply = client.get(&format!("/executions/{id}")).await;
        reply.problem_of(&[400, 404]);
        assert_eq!(reply.header("x-injected"), "");
    }
    client.get("/executions/exec_000000000000000000000000000000000000?wait=60").await.problem(404);
    let long = "a".repeat(5000);
    client.get(&format!("/executions/exec_{long}")).await.problem_of(&[404, 414]);
}

#[tokio::test]
async fn a_wait_is_a_whole_number_from_0_to_60() {
    let agent = shared_agent().await;
    let id = agent.submit("pass").await;
    agent.finish(&id).await;
    for good in ["?wait=0", "?wait=60", "", "?"] {
        agent.client().get(&format!("/executions/{id}{good}")).await.expect(200);
    }
    for bad in ["abc", "61", "-1", "1.5", "", "%31%3", "1e1", "99999999999999999999", "true", "%00"] {
        agent.client().get(&format!("/executions/{id}?wait={bad}")).await.problem_naming(422, "wait");
    }
}
