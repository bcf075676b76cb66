//! Requests that are wrong before their body matters: methods, paths, queries, framing.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{Request, Wire, shared, shared_agent};

/// Each path, and the methods it has.
async fn routes() -> Vec<(String, &'static [&'static str])> {
    let server = shared().await;
    let id = server.admin().await.open_profile(&[]).await;
    let admin = "/api/admin";
    vec![
        ("/health".into(), &["GET"]),
        ("/ready".into(), &["GET"]),
        ("/credentials".into(), &["GET", "POST"]),
        ("/profiles".into(), &["GET", "POST"]),
        (format!("/profiles/{id}"), &["GET"]),
        (format!("/profiles/{id}/credentials"), &["DELETE", "POST"]),
        ("/execute".into(), &["POST"]),
        ("/executions".into(), &["GET"]),
        ("/executions/exec_000000000000000000000000000000000000".into(), &["GET"]),
        ("/executions/exec_000000000000000000000000000000000000/respond".into(), &["POST"]),
        ("/executions/exec_000000000000000000000000000000000000/cancel".into(), &["POST"]),
        ("/executions/exec_000000000000000000000000000000000000/events".into(), &["GET"]),
        (format!("{admin}/status"), &["GET"]),
        (format!("{admin}/setup"), &["POST"]),
        (format!("{admin}/login"), &["POST"]),
        (format!("{admin}/logout"), &["POST"]),
        (format!("{admin}/password"), &["POST"]),
        (format!("{admin}/credentials"), &["GET", "POST"]),
        (format!("{admin}/credentials/ANY_NAME"), &["DELETE", "PUT"]),
        (format!("{admin}/profiles"), &["GET", "POST"]),
        (format!("{admin}/profiles/{id}"), &["DELETE", "GET", "PUT"]),
        (format!("{admin}/profiles/{id}/credentials"), &["DELETE", "POST"]),
        (format!("{admin}/profiles/{id}/lock"), &["POST"]),
        (format!("{admin}/profiles/{id}/regenerate-key"), &["POST"]),
        (format!("{admin}/profiles/{id}/revoke"), &["POST"]),
        (format!("{admin}/executions"), &["GET"]),
        (format!("{admin}/executions/exec_000000000000000000000000000000000000"), &["DELETE", "GET"]),
        (format!("{admin}/executions/exec_000000000000000000000000000000000000/cancel"), &["POST"]),
        (format!("{admin}/executions/exec_000000000000000000000000000000000000/run-again"), &["POST"]),
        (format!("{admin}/sessions"), &["GET"]),
        (format!("{admin}/sessions/0000000000000000"), &["DELETE"]),
    ]
}

fn allowed(header: &str) -> BTreeSet<&str> {
    // Whether a server names the two that come with any resource is its own affair.
    header.split(',').map(str::trim).filter(|method| !["HEAD", "OPTIONS", ""].contains(method)).collect()
}

#[tokio::test]
async fn wrong_methods_are_405_and_allow_names_the_right_ones() {
    let token = shared().await.admin().await.token;
    let client = shared().await.client();
    for (path, methods) in routes().await {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE"] {
            if methods.contains(&method) {
                continue;
            }
            let reply = client.send(Request::new(method, &path).bearer(&token)).await;
            assert_eq!(reply.status, 405, "{method} {path}: {reply:?}");
            assert_eq!(allowed(reply.header("allow")), methods.iter().copied().collect(), "{method} {path}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn options_names_the_methods() {
    let client = shared().await.client();
    for (path, methods) in [("/execute", vec!["POST"]), ("/credentials", vec!["GET", "POST"])] {
        let reply = client.send(Request::new("OPTIONS", path).header("origin", "https://evil.example")).await;
        assert!([200, 204, 405].contains(&reply.status), "{reply:?}");
        assert_eq!(allowed(reply.header("allow")), methods.into_iter().collect(), "{reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), "", "{reply:?}");
    }
}

#[tokio::test]
async fn paths_that_are_none_are_404_problems() {
    let client = shared().await.client();
    let none = [
        "/healthz",
        "/Health",
        "/execute/now",
        "/executions/x/y",
        "/api",
        "/api/admin",
        "/api/admin/nothing",
        "/profiles/x/y",
        "/%00",
        "/%FF",
        "/🔑",
    ];
    for path in none {
        let reply = client.get(path).await;
        assert!(matches!(reply.status, 400 | 404), "{path}: {reply:?}");
    }
    client.get("/healthz").await.problem(404);
}

#[tokio::test]
async fn dots_and_slashes_lead_nowhere_else() {
    let server = shared().await;
    for path in [
        "/../health",
        "/executions/../../etc/passwd",
        "/profiles/..%2f..%2fhealth",
        "//health",
        "/./health",
        "/api/admin/../../health",
        "/\\..\\health",
    ] {
        let mut wire = Wire::connect(server).await;
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        let reply = wire.reply().await;
        assert!(reply.status == 404 || reply.status == 400, "{path}: {reply:?}");
    }
}

#[tokio::test]
async fn an_absolute_request_target_works() {
    let mut wire = Wire::connect(shared().await).await;
    wire.send("GET http://airlock.example/health HTTP/1.1\r\nHost: airlock.example\r\n\r\n").await;
    assert_eq!(wire.reply().await.status, 200);
}

#[tokio::test]
async fn one_connection_serves_many_requests_one_after_the_other_and_in_a_row() {
    let mut wire = Wire::connect(shared().await).await;
    let health = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    wire.send(health).await;
    assert_eq!(wire.reply().await.status, 200);
    wire.send(format!("{health}GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n{health}")).await;
    let statuses = [wire.reply().await.status, wire.reply().await.status, wire.reply().await.status];
    assert_eq!(statuses, [200, 404, 200]);
}

#[tokio::test]
async fn an_old_client_that_sends_no_host_still_gets_an_absolute_poll_url() {
    let agent = shared_agent().await;
    let body = agent.body("pass").to_string();
    let head = format!(
        "POST /execute HTTP/1.0\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        agent.id,
        body.len()
    );
    let mut wire = Wire::connect(shared().await).await;
    wire.send(head + &body).await;
    let reply = wire.reply().await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert!(reply.header("location").starts_with("http://"), "{reply:?}");
}

#[tokio::test]
async fn what_is_not_http_gets_a_4xx_or_a_closed_door_and_harms_nobody() {
    let server = shared().await;
    let long = "x".repeat(200_000);
    let many: String = (0..500).map(|number| format!("X-{number}: y\r\n")).collect();
    let garbage = [
        "\r\n\r\nnot http\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}".to_owned() + &long,
        "GET /health\r\n\r\n".to_owned(),
        "GE T /health HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nHost x\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nBad Header: x\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nHost: x\0y\r\n\r\n".to_owned(),
        "POST /execute HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n".to_owned(),
        "POST /execute HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_owned(),
        "POST /execute HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}".to_owned(),
        "POST /execute HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nzz\r\n{}\r\n0\r\n\r\n".to_owned(),
        "POST /execute HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"),
        format!("GET /health HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
    ];
    for bytes in garbage {
        let mut wire = Wire::connect(server).await;
        wire.send_if_open(bytes.as_bytes()).await;
        wire.finish_sending().await;
        let said = wire.closed_within(Duration::from_secs(60)).await;
        let start: String = bytes.chars().take(80).collect();
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 4") || said.starts_with("HTTP/1.0 4"),
            "{start:?}: {said:?}"
        );
    }
    server.client().get("/health").await.expect(200);
}

#[tokio::test]
async fn two_ways_to_say_a_bodys_length_never_let_a_second_request_slip_in() {
    let server = shared().await;
    let slipped = "GET /credentials HTTP/1.1\r\nHost: x\r\n\r\n";
    let body = format!("0\r\n\r\n{slipped}");
    let mut wire = Wire::connect(server).await;
    let framing = format!("Content-Length: {}\r\nTransfer-Encoding: chunked", body.len());
    wire.send_if_open(
        format!("POST /execute HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{framing}\r\n\r\n{body}")
            .as_bytes(),
    )
    .await;
    wire.finish_sending().await;
    let said = wire.closed_within(Duration::from_secs(60)).await;
    // Either the message is refused as a whole or the chunks count; RFC 9112, 6.1 then wants the connection closed.
    assert!(said.starts_with("HTTP/1.1 4"), "{said:?}");
    assert!(!said.contains("\"credentials\""), "the smuggled request was answered: {said:?}");
}

#[tokio::test]
async fn header_text_never_comes_back_as_a_header() {
    let server = shared().await;
    let mut wire = Wire::connect(server).await;
    wire.send("GET /executions/x%0d%0aX-Injected:%20yes HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: a%0d%0aX-Injected: yes\r\n\r\n").await;
    let reply = wire.reply().await;
    assert_eq!(reply.header("x-injected"), "", "{reply:?}");
}
