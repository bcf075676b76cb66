//! Size limits: what is at the limit is taken, one past it is a 413 or an error that says so.

use serde_json::{Value, json};

use crate::support::{Agent, Wire, WireReply, ready_profile, shared, shared_agent, text};

const MIB: usize = 1024 * 1024;
const BODY: usize = 8 * MIB;

/// A script of exactly so many bytes.
fn script_of(bytes: usize) -> String {
    let script = "set_result('whole')\n#";
    format!("{script}{}", "x".repeat(bytes - script.len()))
}

/// A good request whose body is padded to exactly so many bytes.
fn body_of(agent: &Agent, bytes: usize) -> Vec<u8> {
    let mut body = agent.body("set_result('padded')").to_string();
    let padding = bytes - body.len();
    body.push_str(&" ".repeat(padding));
    body.into_bytes()
}

fn head(agent: &Agent, framing: &str) -> Vec<u8> {
    let id = &agent.id;
    let head = format!(
        "POST /execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {id}\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
    );
    head.into_bytes()
}

fn whole(agent: &Agent, body: &[u8]) -> Vec<u8> {
    [&head(agent, &format!("Content-Length: {}", body.len())), body].concat()
}

fn chunked(agent: &Agent, body: &[u8]) -> Vec<u8> {
    let mut bytes = head(agent, "Transfer-Encoding: chunked");
    for chunk in body.chunks(65_536) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

async fn exchange(bytes: Vec<u8>) -> WireReply {
    Wire::connect(shared().await).await.exchange(bytes).await
}

fn too_large(reply: &WireReply) {
    assert_eq!((reply.status, reply.header("content-type")), (413, "application/problem+json"), "{reply:?}");
    let problem: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(problem["status"], 413);
}

#[tokio::test]
async fn a_script_of_one_mebibyte_runs_and_one_byte_more_is_a_413() {
    let agent = shared_agent().await;
    assert_eq!(agent.result(&script_of(MIB)).await, "whole");
    agent.execute(&script_of(MIB + 1)).await.problem(413);
}

#[tokio::test]
async fn the_limit_of_a_script_counts_bytes_not_characters() {
    let agent = shared_agent().await;
    let script = |letters: usize| format!("#{}\nset_result('two each')", "é".repeat(letters));
    let fixed = script(0).len();
    let most = (MIB - fixed) / 2;
    assert_eq!(agent.result(&script(most)).await, "two each");
    agent.execute(&script(most + 1)).await.problem(413);
}

#[tokio::test]
async fn a_body_of_eight_mebibytes_is_taken_and_one_byte_more_is_a_413() {
    let agent = shared_agent().await;
    let (most, too_much) = (body_of(&agent, BODY), body_of(&agent, BODY + 1));
    assert_eq!(exchange(whole(&agent, &most)).await.status, 202);
    too_large(&exchange(whole(&agent, &too_much)).await);
}

#[tokio::test]
async fn the_same_holds_for_a_chunked_body() {
    let agent = shared_agent().await;
    let (most, too_much) = (body_of(&agent, BODY), body_of(&agent, BODY + 1));
    assert_eq!(exchange(chunked(&agent, &most)).await.status, 202);
    too_large(&exchange(chunked(&agent, &too_much)).await);
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_before_it_is_sent() {
    let agent = shared_agent().await;
    let mut wire = Wire::connect(shared().await).await;
    wire.send(head(&agent, "Content-Length: 1099511627776")).await;
    too_large(&wire.reply().await);
}

#[tokio::test]
async fn an_endless_chunked_body_is_refused_on_the_way() {
    let agent = shared_agent().await;
    let mut bytes = head(&agent, "Transfer-Encoding: chunked");
    let chunk = [format!("{MIB:x}\r\n").as_bytes(), &vec![b' '; MIB], b"\r\n"].concat();
    for _ in 0..9 {
        bytes.extend_from_slice(&chunk);
    }
    // No last chunk: the answer must come while the body still does.
    too_large(&exchange(bytes).await);
}

#[tokio::test]
async fn every_call_with_a_body_has_the_limit() {
    let server = shared().await;
    let client = server.client();
    let padded = format!("{{\"credentials\": []{}}}", " ".repeat(BODY)).into_bytes();
    for path in ["/credentials", "/profiles", "/profiles/ark_000000000000000000000000/credentials", "/api/admin/login"]
    {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            padded.len()
        );
        let reply = exchange([head.as_bytes(), &padded].concat()).await;
        assert!([413, 404].contains(&reply.status), "{path}: {reply:?}");
        assert!(reply.status == 413 || path.contains("ark_"), "{path}: {reply:?}");
    }
    client.get("/health").await.expect(200);
}

#[tokio::test]
async fn a_result_of_eight_mebibytes_fits_and_one_byte_more_does_not() {
    let agent = shared_agent().await;
    let quotes = 2;
    let most = 8 * MIB - quotes;
    let done = agent.run(&format!("set_result('r' * {most})")).await;
    assert_eq!(
        (&done["status"], done["result"].as_str().map(str::len)),
        (&json!("completed"), Some(most)),
        "{}",
        done["error"]
    );
    let done = agent.run(&format!("set_result('r' * {most} + 'r')")).await;
    assert_eq!(
        (&done["status"], &done["error_type"], &done["result"]),
        (&json!("error"), &json!("ResultTooLarge"), &json!(null))
    );
}

#[tokio::test]
async fn a_profiles_output_limit_holds() {
    let server = shared().await;
    let agent = ready_profile(server, &[]).await;
    let limits = json!({"limits": {"output_bytes": 10_000}});
    server.admin().await.put(&format!("/profiles/{}", agent.id), &limits).await.expect(200);
    let done = agent.run("print('x' * 50_000)").await;
    let kept = text(&done, "stdout").len();
    assert!((5_000..10_500).contains(&kept), "{kept} bytes of 50,001 were kept under a limit of 10,000");
}

#[tokio::test]
async fn memory_runs_out_for_the_script_and_for_nobody_else() {
    let server = shared().await;
    let agent = ready_profile(server, &[]).await;
    let done = agent.run("keep = [bytearray(64 * 1024 * 1024) for _ in range(64)]").await;
    assert_eq!(done["status"], "error", "{done}");
    assert!(["MemoryError", "MemoryLimit"].contains(&text(&done, "error_type")), "{done}");
    let caught = "try:\n    bytearray(4 << 30)\nexcept MemoryError:\n    set_result('caught')";
    assert_eq!(agent.result(caught).await, "caught");
}
