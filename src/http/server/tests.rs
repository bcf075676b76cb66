//! The accept loop over real sockets.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::http::body::BodyLimits;
use crate::http::budget::Budget;
use crate::http::router::{Answer, Call, at, first_of, get, post};

const LIMITS: BodyLimits =
    BodyLimits { max_bytes: 1_000, idle: Duration::from_millis(200), total: Duration::from_secs(5) };

/// Lets the test decide when `/slow` answers.
type Gate = Arc<Notify>;

async fn slow(call: Call<Gate>) -> Answer {
    call.app.notified().await;
    Ok(Response::new("late".into()))
}

async fn peer(call: Call<Gate>) -> Answer {
    Ok(Response::new(call.exchange.peer.ip().to_string().into()))
}

async fn length(call: Call<Gate>) -> Answer {
    let body = call.json(LIMITS, &Budget::new(1024 * 1024)).await?;
    Ok(Response::new(body.len().to_string().into()))
}

struct Running {
    address: SocketAddr,
    gate: Gate,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

async fn start(change: impl FnOnce(&mut ServerConfig)) -> Running {
    let mut config = ServerConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    change(&mut config);
    let server = Server::bind(config).await.expect("a port");
    let (address, gate, shutdown) = (server.local_addr(), Gate::default(), CancellationToken::new());
    let app = Arc::new(Arc::clone(&gate));
    let routes =
        first_of([at(&app, "/slow", [get(slow)]), at(&app, "/peer", [get(peer)]), at(&app, "/length", [post(length)])]);
    let server = tokio::spawn(server.run(edge(routes), shutdown.clone()));
    Running { address, gate, shutdown, server }
}

impl Running {
    async fn connect(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.write_all(text.as_bytes()).await.expect("sent");
        stream
    }
}

/// What comes until the server closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    let read = timeout(Duration::from_secs(8), stream.read_to_string(&mut text)).await;
    read.expect("the server closes in time").expect("no reset");
    text
}

/// What comes until `end` is there, with the connection left open.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.contains(end) {
        let read = timeout(Duration::from_secs(8), stream.read(&mut buffer)).await.expect("in time").expect("read");
        assert!(read > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..read]).expect("ASCII"));
    }
    text
}

#[tokio::test]
async fn a_connection_serves_request_after_request_and_knows_its_peer() {
    let running = start(|_| {}).await;
    let mut stream = running.connect("GET /peer HTTP/1.1\r\n\r\n").await;
    until(&mut stream, "127.0.0.1").await;
    stream.write_all(b"GET /peer HTTP/1.1\r\nConnection: close\r\n\r\n").await.expect("sent");
    assert!(rest(stream).await.ends_with("127.0.0.1"));
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let running = start(|_| {}).await;
    let stream = running.connect("HEAD /peer HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    let answer = rest(stream).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200") && answer.contains("content-length: 9\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn sv_1_half_a_head_and_an_idle_connection_are_closed() {
    let running = start(|config| config.header_timeout = Duration::from_millis(200)).await;
    for text in ["", "GET /peer HTTP/1.1\r\nHost:", "GET /peer HTTP/1.1\r\n\r\n"] {
        rest(running.connect(text).await).await;
    }
}

#[tokio::test]
async fn sv_2_connections_past_the_cap_wait_for_a_place() {
    let running = start(|config| config.max_connections = 1).await;
    let first = running.connect("GET /slow HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    let mut second = running.connect("GET /peer HTTP/1.1\r\n\r\n").await;
    let early = timeout(Duration::from_millis(200), second.read_u8()).await;
    assert!(early.is_err(), "the second was served beside the first");
    running.gate.notify_one();
    assert!(rest(first).await.ends_with("late"));
    until(&mut second, "127.0.0.1").await;
}

#[tokio::test]
async fn sv_3_shutdown_closes_idle_connections_and_finishes_requests() {
    let running = start(|_| {}).await;
    let (fresh, mut idle) = (running.connect("").await, running.connect("GET /peer HTTP/1.1\r\n\r\n").await);
    until(&mut idle, "127.0.0.1").await;
    let busy = running.connect("GET /slow HTTP/1.1\r\n\r\n").await;
    sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    running.shutdown.cancel();
    rest(fresh).await;
    rest(idle).await;
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(TcpStream::connect(running.address).await.is_err(), "accepted after shutdown");
    running.gate.notify_one();
    assert!(rest(busy).await.ends_with("late"));
    timeout(Duration::from_secs(2), running.server).await.expect("the server returns").expect("without panic");
}

#[tokio::test]
async fn sv_3_what_is_left_at_the_deadline_is_cut() {
    let running = start(|config| config.drain_timeout = Duration::from_millis(200)).await;
    let _busy = running.connect("GET /slow HTTP/1.1\r\n\r\n").await;
    sleep(Duration::from_millis(100)).await;
    running.shutdown.cancel();
    timeout(Duration::from_secs(2), running.server).await.expect("the server returns").expect("without panic");
}

fn post_head(more: &str) -> String {
    format!("POST /length HTTP/1.1\r\nContent-Type: application/json\r\nConnection: close\r\n{more}\r\n")
}

#[tokio::test]
async fn bodies_come_whole_or_chunked_and_are_capped() {
    let running = start(|_| {}).await;
    let whole = running.connect(&(post_head("Content-Length: 3\r\n") + "abc")).await;
    assert!(rest(whole).await.ends_with("\r\n\r\n3"));
    let two_chunks = post_head("Transfer-Encoding: chunked\r\n") + "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    assert!(rest(running.connect(&two_chunks).await).await.ends_with("\r\n\r\n3"));
    let long = "3E9\r\n".to_owned() + &"x".repeat(1_001) + "\r\n0\r\n\r\n";
    let chunked = running.connect(&(post_head("Transfer-Encoding: chunked\r\n") + &long)).await;
    assert!(rest(chunked).await.starts_with("HTTP/1.1 413"));
    let broken = running.connect(&(post_head("Transfer-Encoding: chunked\r\n") + "zz\r\n")).await;
    assert!(rest(broken).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn a_stalled_body_is_408() {
    let running = start(|_| {}).await;
    let stalled = running.connect(&(post_head("Content-Length: 3\r\n") + "a")).await;
    assert!(rest(stalled).await.starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn a_client_that_sends_too_much_still_gets_its_answer() {
    let running = start(|_| {}).await;
    let head = post_head("Content-Length: 20000000\r\n");
    let mut stream = running.connect(&head).await;
    until(&mut stream, "\"status\":413").await;
    // All of it is taken, so a client that only reads once it has sent everything sees the answer too.
    let mut patient = running.connect(&head).await;
    for _ in 0..20 {
        patient.write_all(&vec![b'x'; 1_000_000]).await.expect("the server goes on reading");
    }
    assert!(rest(patient).await.starts_with("HTTP/1.1 413"));
}
