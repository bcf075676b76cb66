//! Bodies before anybody knows whom they are from: each call takes what it can need, and all of them have one budget.

use serde_json::json;

use crate::support::{Request, Server, Wire, eventually, shared, text};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn head(line: &str, headers: &str, length: usize) -> String {
    format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n")
}

/// An object padded to exactly so many bytes.
fn padded(length: usize) -> Vec<u8> {
    let mut body = b"{}".to_vec();
    body.resize(length, b' ');
    body
}

#[tokio::test]
async fn each_call_takes_a_body_of_its_own_size_and_says_so_past_it() {
    let server = shared().await;
    let admin = server.admin().await;
    let profile = format!("/api/admin/profiles/{}", admin.open_profile(&[]).await);
    let names = profile.replace("/api/admin", "") + "/credentials";
    let calls = [
        ("POST", "/api/admin/login", 64 * KIB),
        ("POST", "/api/admin/setup", 64 * KIB),
        ("POST", "/api/admin/password", 64 * KIB),
        ("POST", "/profiles", 64 * KIB),
        ("POST", names.as_str(), 128 * KIB),
        ("DELETE", names.as_str(), 128 * KIB),
        ("POST", "/credentials", MIB),
        ("POST", "/api/admin/credentials", 512 * KIB),
        ("PUT", "/api/admin/credentials/ANY", 512 * KIB),
        ("PUT", profile.as_str(), 512 * KIB),
    ];
    for (method, path, most) in calls {
        let ask = async |length: usize| {
            let head = head(&format!("{method} {path}"), &format!("Authorization: Bearer {}\r\n", admin.token), length);
            Wire::connect(server).await.exchange([head.into_bytes(), padded(length)].concat()).await
        };
        let at_the_limit = ask(most).await;
        assert!([200, 201, 404, 409, 422].contains(&at_the_limit.status), "{method} {path}: {at_the_limit:?}");
        let past_it = ask(most + 1).await;
        assert_eq!(past_it.status, 413, "{method} {path}: {past_it:?}");
        assert!(past_it.body.contains(&most.to_string()), "{method} {path}: {past_it:?}");
    }
}

#[tokio::test]
async fn the_largest_contents_fit_also_when_every_character_is_escaped() {
    let server = shared().await;
    let admin = server.admin().await;
    let escaped = |letter: u32, times: usize| format!("\\u{letter:04x}").repeat(times);
    let value = escaped(0x76, 64 * KIB);
    let body = format!(r#"{{"name":"ESCAPED_VALUE","value":"{value}","description":"{}"}}"#, escaped(1, 4 * KIB));
    let request = Request::post("/api/admin/credentials").bearer(&admin.token).body("application/json", body);
    server.client().send(request).await.expect(201);
    let slot = |n: usize| format!(r#"{{"name":"ESCAPED_SLOT_{n}","description":"{}"}}"#, escaped(1, KIB));
    let slots: Vec<String> = (0..100).map(slot).collect();
    let body = format!(r#"{{"credentials":[{}]}}"#, slots.join(","));
    server.client().send(Request::post("/credentials").body("application/json", body)).await.expect(201);
}

#[tokio::test]
async fn a_wrong_identity_in_the_header_is_refused_before_the_body_is_sent() {
    let server = shared().await;
    let key = format!("Bearer ark_{}:{}", "0".repeat(24), "S".repeat(48));
    for identity in ["Basic abc", "Bearer", "Bearer nobody", "Bearer ark_short", key.as_str()] {
        let mut wire = Wire::connect(server).await;
        wire.send(head("POST /execute", &format!("Authorization: {identity}\r\n"), 8 * MIB)).await;
        let reply = wire.reply().await;
        assert_eq!(reply.status, 401, "{identity}: {reply:?}");
    }
}

/// Resident memory of a process, in bytes.
fn resident(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * KIB
}

/// What once took a server from 15 to 535 MB.
#[tokio::test]
async fn bodies_that_nobody_finishes_stop_at_the_budget_and_keep_out_no_small_call() {
    let server = Server::start();
    let client = server.client();
    let admin = server.admin().await;
    let before = resident(&server);
    let bytes = [head("POST /execute", "", 8 * MIB).into_bytes(), vec![b' '; 8 * MIB - 1]].concat();
    let mut held = Vec::new();
    let large = json!({"script": "x".repeat(MIB), "profile_id": format!("ark_{}", "0".repeat(24))});
    // Those that find no room are answered and let go, so one comes after the other until there is none.
    eventually("the budget is used up", async || {
        let mut wire = Wire::connect(&server).await;
        wire.send_if_open(&bytes).await;
        held.push(wire);
        held.len() >= 40 && client.post("/execute", &large).await.status == 503
    })
    .await;
    let refused = client.post("/execute", &large).await.problem(503);
    assert!(text(&refused, "detail").contains("Retry-After"), "{refused}");
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 330 * MIB, "{} MiB for {} bodies of 8 MiB", grown / MIB, held.len());

    let agent = admin.locked_profile(&[]).await;
    assert_eq!(agent.result("set_result('meanwhile')").await, "meanwhile");
    drop(held);
    eventually("the budget is free again", async || client.post("/execute", &large).await.status == 401).await;
}
