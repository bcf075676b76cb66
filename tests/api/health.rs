//! `GET /health` and `GET /ready`.

use serde_json::json;

use crate::support::{Request, Server, eventually, shared};

#[tokio::test]
async fn health_says_ok_and_the_version() {
    let answer = shared().await.client().get("/health").await.expect(200);
    assert_eq!(answer, json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}));
}

#[tokio::test]
async fn a_server_becomes_ready_before_anyone_has_set_it_up() {
    let server = Server::start();
    let client = server.client();
    // An answer that is not 200 must be a 503 problem: `send` has checked its form, here is the rest.
    eventually("ready", async || {
        let reply = client.get("/ready").await;
        assert!([200, 503].contains(&reply.status), "{reply:?}");
        reply.status == 200
    })
    .await;
}

#[tokio::test]
async fn health_answers_a_head_request_without_a_body() {
    let reply = shared().await.client().send(Request::new("HEAD", "/health")).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.is_empty());
}
