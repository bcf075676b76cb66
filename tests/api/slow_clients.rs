//! Clients that stall, vanish or stop half-way.

use std::time::Duration;

use crate::support::{Agent, Server, Wire, ready_profile, shared, shared_agent};

/// Well above the server's own limits for a client that stalls.
const STALL: Duration = Duration::from_secs(75);

fn head(agent: &Agent, length: usize) -> String {
    let id = &agent.id;
    format!(
        "POST /execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {id}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// One test for all that wait for the same clock.
#[tokio::test]
async fn clients_that_stall_are_cut_off_while_others_are_served() {
    let server = shared().await;
    let agent = shared_agent().await;
    let body = agent.body("pass").to_string();
    let starts = [
        ("half a request line", "GET /heal".to_owned()),
        ("half a header", "GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_owned()),
        ("no empty line", "GET /health HTTP/1.1\r\nHost: x\r\n".to_owned()),
        ("no body", head(&agent, body.len())),
        ("half a body", head(&agent, body.len()) + &body[..body.len() / 2]),
        ("half a chunk", head(&agent, 0).replace("Content-Length: 0", "Transfer-Encoding: chunked") + "ff\r\n{"),
    ];
    let mut stalled = Vec::new();
    for (what, bytes) in starts {
        let mut wire = Wire::connect(server).await;
        wire.send(bytes).await;
        stalled.push(tokio::spawn(async move {
            let said = wire.closed_within(STALL).await;
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{what}: {said:?}");
        }));
    }
    assert_eq!(agent.result("set_result('served meanwhile')").await, "served meanwhile");
    for client in stalled {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn a_body_that_ends_too_early_runs_nothing() {
    let server = shared().await;
    let agent = ready_profile(server, &[]).await;
    let body = agent.body("set_result('never')").to_string();
    let mut wire = Wire::connect(server).await;
    wire.send(head(&agent, body.len() + 1) + &body).await;
    wire.finish_sending().await;
    let said = wire.closed_within(STALL).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said:?}");
    let ran = server.admin().await.executions(&format!("profile_id={}", agent.id)).await;
    assert!(ran.is_empty(), "{ran:?}");
}

#[tokio::test]
async fn a_hundred_stalled_clients_keep_nobody_out() {
    let server = shared().await;
    let mut stalled = Vec::new();
    for _ in 0..100 {
        let mut wire = Wire::connect(server).await;
        wire.send("POST /execute HTTP/1.1\r\nHost: x\r\n").await;
        stalled.push(wire);
    }
    assert_eq!(shared_agent().await.result("set_result(1)").await, 1);
    drop(stalled);
}

#[tokio::test]
async fn a_half_sent_request_does_not_hold_up_the_end_of_the_server() {
    let mut server = Server::start();
    let agent = ready_profile(&server, &[]).await;
    let mut headless = Wire::connect(&server).await;
    headless.send("GET /heal").await;
    let mut bodiless = Wire::connect(&server).await;
    bodiless.send(head(&agent, 100) + "{").await;
    let mut idle = Wire::connect(&server).await;
    idle.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(idle.reply().await.status, 200);
    assert_eq!(server.stop().code, Some(0));
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_its_whole_answer() {
    let agent = shared_agent().await;
    let id = agent.submit("set_result('s' * 4_000_000)").await;
    agent.finish(&id).await;
    let mut wire = Wire::connect(shared().await).await;
    wire.send(format!("GET /executions/{id} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    // The answer is larger than what sockets buffer: the server has to wait for the other requests below.
    for _ in 0..20 {
        shared().await.client().get("/health").await.expect(200);
    }
    let reply = wire.reply().await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.len() > 4_000_000);
}
