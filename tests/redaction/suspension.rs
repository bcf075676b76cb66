//! What a leak does to the profile.

use serde_json::json;

use crate::support::{Agent, Launch, Server, ready_profile, shared, text};

const LEAK: &str = "print(settings['LEAKED'][::-1])";
const VALUE: &str = "Kq7vT2mX4wW9pL6sRb";

async fn set(server: &Server, agent: &Agent, body: serde_json::Value) -> serde_json::Value {
    server.admin().await.put(&format!("/profiles/{}", agent.id), &body).await.expect(200)
}

#[tokio::test]
async fn a_leak_suspends_a_profile_that_asks_for_it_until_a_person_lifts_that() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Launch::new().data_dir(dir.path()).start();
    let agent = ready_profile(&server, &[("LEAKED", VALUE)]).await;
    let shown = set(&server, &agent, json!({"on_leak": "suspend"})).await;
    assert_eq!(
        (&shown["on_leak"], &shown["suspended"], &shown["status"]),
        (&json!("suspend"), &json!(false), &json!("locked"))
    );

    // An accident is none: a literal value, or one in a URL.
    let done = agent
        .run("import urllib.parse\nprint(settings['LEAKED'], urllib.parse.quote(settings['LEAKED']).lower())")
        .await;
    assert_eq!(done["status"], "completed");
    let other = agent.submit("import time\ntime.sleep(600)").await;
    assert_eq!(agent.started(&other).await["status"], "running");

    let done = agent.run(LEAK).await;
    assert_eq!(done["status"], "completed", "the execution itself is not changed: {done}");
    // Whoever has seen the end of the execution can run nothing more.
    let refusal = agent.execute("print(1)").await.problem(409);
    assert!(text(&refusal, "detail").contains("suspended"), "{refusal}");
    let stopped = agent.finish(&other).await;
    assert_eq!((&stopped["status"], &stopped["error_type"]), (&json!("cancelled"), &json!("Cancelled")), "{stopped}");
    assert!(text(&stopped, "error").contains("suspended"), "{stopped}");

    assert_eq!(server.stop().code, Some(0));
    let server = Launch::new().data_dir(dir.path()).start();
    let agent = agent.with(server.client());
    let admin = crate::support::Admin::log_in(server.client(), crate::support::PASSWORD).await;
    let shown = admin.get(&format!("/profiles/{}", agent.id)).await.expect(200);
    assert_eq!((&shown["suspended"], &shown["status"]), (&json!(true), &json!("locked")), "{shown}");
    agent.execute("print(1)").await.problem(409);
    let shown = admin.put(&format!("/profiles/{}", agent.id), &json!({"suspended": false})).await.expect(200);
    assert_eq!(shown["suspended"], false);
    assert_eq!(agent.run("print(1)").await["status"], "completed");
}

#[tokio::test]
async fn a_leak_is_only_recorded_where_that_is_set() {
    let server = shared().await;
    let agent = ready_profile(server, &[("LEAKED", VALUE)]).await;
    let done = agent.run(LEAK).await;
    let detail = server.admin().await.execution(text(&done, "execution_id")).await;
    assert_eq!(detail["suspicious"], true, "{detail}");
    assert_eq!(agent.run("print(1)").await["status"], "completed");
}

#[tokio::test]
async fn a_person_can_suspend_and_lift_by_hand() {
    let server = shared().await;
    let agent = ready_profile(server, &[("BY_HAND", VALUE)]).await;
    let running = agent.submit("import time\ntime.sleep(600)").await;
    assert_eq!(agent.started(&running).await["status"], "running");
    assert_eq!(set(server, &agent, json!({"suspended": true})).await["suspended"], true);
    assert_eq!(agent.finish(&running).await["status"], "cancelled");
    agent.execute("print(1)").await.problem(409);
    set(server, &agent, json!({"suspended": false})).await;
    assert_eq!(agent.run("print(1)").await["status"], "completed");
}
