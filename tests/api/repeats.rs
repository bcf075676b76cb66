//! `Idempotency-Key`: a submission that comes again.

use serde_json::{Value, json};

use crate::support::{Agent, Launch, Reply, Server, ready_profile, text};

async fn submit(agent: &Agent, key: &str, body: &Value) -> Reply {
    agent.client().send(agent.request("", body).header("Idempotency-Key", key)).await
}

#[tokio::test]
async fn the_same_again_gives_the_first_answer_and_runs_nothing() {
    let server = Server::start();
    let (agent, other) = (ready_profile(&server, &[]).await, ready_profile(&server, &[]).await);
    let body = agent.body("set_result(1)");
    let first = submit(&agent, "key-1", &body).await.expect(202);
    agent.finish(text(&first, "execution_id")).await;
    for _ in 0..3 {
        let again = submit(&agent, "key-1", &body).await;
        assert_eq!(again.expect(202), first);
        assert_eq!(again.header("location"), text(&first, "poll_url"));
    }
    // What the first came to, for who waits.
    let request = agent.request("?wait=10", &body).header("Idempotency-Key", "key-1");
    assert_eq!(agent.client().send(request).await.expect(200)["result"], 1);
    // Another script, other settings, another key, another profile, no key.
    submit(&agent, "key-1", &agent.body("set_result(2)")).await.problem_naming(409, "Idempotency-Key");
    let mut longer = body.clone();
    longer["timeout"] = json!(61);
    submit(&agent, "key-1", &longer).await.problem(409);
    let mut spelled = body.clone();
    spelled["timeout"] = json!(60);
    assert_eq!(submit(&agent, "key-1", &spelled).await.expect(202), first, "it asks for the same");
    let mut ids = vec![text(&first, "execution_id").to_owned()];
    ids.push(text(&submit(&agent, "key-2", &body).await.expect(202), "execution_id").to_owned());
    ids.push(text(&submit(&other, "key-1", &other.body("set_result(1)")).await.expect(202), "execution_id").to_owned());
    ids.push(agent.submit("set_result(1)").await);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    // Who can't sign learns nothing of a key.
    let mut forged = body.clone();
    forged["hash"] = json!("00".repeat(32));
    submit(&agent, "key-1", &forged).await.problem(403);
}

#[tokio::test]
async fn a_key_is_one_header_of_visible_characters() {
    let server = Server::start();
    let agent = ready_profile(&server, &[]).await;
    let body = agent.body("1");
    submit(&agent, &"k".repeat(255), &body).await.expect(202);
    for key in ["", &"k".repeat(256)] {
        submit(&agent, key, &body).await.problem_naming(422, "Idempotency-Key");
    }
    let twice = agent.request("", &body).header("Idempotency-Key", "a").header("Idempotency-Key", "b");
    agent.client().send(twice).await.problem_naming(422, "Idempotency-Key");
}

#[tokio::test]
async fn those_that_arrive_at_once_run_once_also_across_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Launch::new().data_dir(dir.path()).start();
    let mut agent = ready_profile(&server, &[]).await;
    for round in 0..40 {
        let key = format!("round-{round}");
        let body = agent.body(&format!("set_result({round})"));
        let (a, b, c, d) = tokio::join!(
            submit(&agent, &key, &body),
            submit(&agent, &key, &body),
            submit(&agent, &key, &body),
            submit(&agent, &key, &body)
        );
        let first = a.expect(202);
        for again in [b, c, d] {
            assert_eq!(again.expect(202), first);
        }
        if round % 20 == 19 {
            server.kill9();
            server.restart();
            agent = agent.with(server.client());
            let again = submit(&agent, &key, &body).await.expect(202);
            assert_eq!(again["execution_id"], first["execution_id"]);
            let other = agent.body("set_result('other')");
            submit(&agent, &key, &other).await.problem(409);
        }
    }
    assert_eq!(server.admin().await.executions("?limit=200").await.len(), 40);
}
