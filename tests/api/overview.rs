//! What the web UI's first page and its settings are made of.

use serde_json::json;

use crate::support::{Launch, Server, keys, text, time};

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_person_is_counted_and_named() {
    let server = Server::start();
    let admin = server.admin().await;
    let slots = json!({"credentials": [{"name": "WANTED", "description": "the agent's plea"}]});
    server.client().post("/credentials", &slots).await.success();
    admin.create_credential("FILLED", "a value of some length").await;
    for names in [json!(["FILLED"]), json!(["FILLED", "WANTED"]), json!([])] {
        let made = admin.call("POST", "/profiles", Some(&json!({"description": "a person's"}))).await;
        let id = text(&made.success().json(), "id").to_owned();
        admin
            .call("POST", &format!("/profiles/{id}/credentials"), Some(&json!({"credentials": names})))
            .await
            .success();
    }
    let overview = admin.get("/overview").await.success().json();
    let wanted = &overview["attention"]["values_wanted"];
    assert_eq!(wanted["count"], 1);
    let asked = json!({"name": "WANTED", "description": "the agent's plea", "described_by": "agent"});
    assert_eq!(wanted["credentials"], json!([asked]));
    let words = json!({"description": "a person's words"});
    let described = admin.call("PUT", "/credentials/WANTED", Some(&words)).await.success().json();
    assert_eq!(described["described_by"], "person");
    let ready = &overview["attention"]["profiles_ready"];
    assert_eq!((&ready["count"], &ready["profiles"][0]["described_by"]), (&json!(1), &json!("person")), "{ready}");
    assert_eq!(overview["attention"]["profiles_suspended"], json!({"count": 0, "profiles": []}));
    assert_eq!(overview["attention"]["suspicious"], json!({"count": 0, "executions": []}));
    assert_eq!((&overview["credentials"], &overview["profiles"]), (&json!(2), &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_is_counted_by_outcome_with_its_times() {
    let server = Server::start();
    let agent = crate::support::ready_profile(&server, &[("KEY", "a value of some length")]).await;
    agent.run("set_result(1)").await;
    agent.run("raise ValueError('no')").await;
    let admin = server.admin().await;
    for window in ["1h", "24h", "7d"] {
        let overview = admin.get(&format!("/overview?window={window}")).await.success().json();
        assert_eq!(overview["totals"], json!({"completed": 1, "error": 1, "timeout": 0, "cancelled": 0}), "{window}");
        assert_eq!(overview["live"], json!({"pending": 0, "running": 0, "awaiting_llm": 0}));
        assert!(overview["durations"]["p50_ms"].is_u64() && overview["durations"]["p95_ms"].is_u64());
        assert!(overview["counted_since"].is_null());
        let buckets = overview["buckets"].as_array().unwrap();
        let window_s = overview["window_s"].as_u64().unwrap();
        assert_eq!(u64::try_from(buckets.len()).unwrap() * overview["bucket_s"].as_u64().unwrap(), window_s);
        assert!(buckets.windows(2).all(|pair| time(&pair[0], "start") < time(&pair[1], "start")));
        let ended: u64 =
            buckets.iter().map(|at| at["completed"].as_u64().unwrap() + at["error"].as_u64().unwrap()).sum();
        assert_eq!(ended, 2);
    }
    assert_eq!(admin.get("/overview?window=2h").await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_are_narrowed_by_time() {
    let server = Server::start();
    let agent = crate::support::ready_profile(&server, &[]).await;
    agent.run("1").await;
    let second = agent.run("2").await;
    let admin = server.admin().await;
    let since = text(&second, "created_at");
    let page = admin.get(&format!("/executions?since={since}")).await.success().json();
    let listed = page["executions"].as_array().unwrap();
    assert!(listed.iter().any(|execution| execution["execution_id"] == second["execution_id"]), "{page}");
    assert!(listed.iter().all(|execution| text(execution, "created_at") >= since), "{page}");
    let none = admin.get("/executions?since=2999-01-01T00:00:00Z").await.success().json();
    assert_eq!(none, json!({"executions": []}));
    for wrong in ["yesterday", "2026-01-01", "2026-01-01T00:00:00"] {
        assert_eq!(admin.get(&format!("/executions?since={wrong}")).await.status, 422, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_are_the_servers_own() {
    let server = Launch::new().arg("--max-running", "3").arg("--session-idle", "5").start();
    let admin = server.admin().await;
    let told = admin.get("/server").await.success().json();
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(told["base_url"], server.url());
    assert_eq!((&told["capacity"]["running"], &told["sessions"]["idle_s"]), (&json!(3), &json!(300)));
    assert_eq!(
        keys(&told["limits"]),
        ["cpu_seconds", "memory_bytes", "open_files", "output_bytes", "processes", "tmp_bytes"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_is_told_without_a_session() {
    let server = Server::start();
    for path in ["/api/admin/overview", "/api/admin/server"] {
        assert_eq!(server.client().get(path).await.status, 401, "{path}");
    }
}
