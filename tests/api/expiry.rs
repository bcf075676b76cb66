//! A profile that ends by the clock.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::support::{eventually, ready_profile, shared, text, time};

fn in_ms(millis: u64) -> String {
    format!("{:.3}", Timestamp::now() + Duration::from_millis(millis))
}

#[tokio::test]
async fn a_profile_ends_at_the_moment_its_time_passes_and_what_it_runs_with_it() {
    let server = shared().await;
    let admin = server.admin().await;
    let agent = ready_profile(server, &[]).await;
    let running = agent.submit("import time\ntime.sleep(600)").await;
    agent.started(&running).await;

    let path = format!("/profiles/{}", agent.id);
    let set = admin.put(&path, &json!({"expires_at": in_ms(2500)})).await.expect(200);
    assert_eq!(set["status"], "locked");
    let moment = time(&set, "expires_at");
    let accepted = agent.execute("set_result(1)").await;
    if Timestamp::now() < moment {
        accepted.expect(202);
    }

    let ended = agent.finish(&running).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    let late = time(&ended, "completed_at").duration_since(moment);
    assert!(late.as_millis() >= 0 && late.as_secs() < 10, "ended {late} after the moment");

    agent.execute("set_result(2)").await.problem(401);
    let shown = server.client().get(&path).await.expect(200);
    assert_eq!(
        (&shown["status"], &shown["locked"], &shown["revoked"]),
        (&json!("expired"), &json!(true), &json!(false))
    );
}

#[tokio::test]
async fn an_idle_profile_expires_without_anyone_looking_and_lives_again_when_the_date_is_moved() {
    let server = shared().await;
    let admin = server.admin().await;
    let agent = ready_profile(server, &[]).await;
    let path = format!("/profiles/{}", agent.id);
    admin.put(&path, &json!({"expires_at": in_ms(400)})).await.expect(200);
    eventually("expired", async || {
        let profile = server.client().get(&path).await.expect(200);
        text(&profile, "status") == "expired"
    })
    .await;
    agent.execute("set_result(1)").await.problem(401);
    // The clock outranks the signature: a wrong one is not told apart.
    agent.post("", &json!({"script": "set_result(1)", "hash": "00"})).await.problem(401);

    admin.put(&path, &json!({"expires_at": null})).await.expect(200);
    assert_eq!(agent.result("set_result('again')").await, "again");
}
