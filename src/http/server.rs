//! The accept loop: connections over hyper's HTTP/1, each bounded in time, all of them bounded in number.
//!
//! - A connection that does not send a whole head in time is closed, also an idle one (SV-1).
//! - Past the cap, connections wait in the kernel's queue: nothing is accepted that can't be served (SV-2).
//! - On shutdown nothing is accepted any more, idle connections close at once, requests in flight finish, and whatever
//!   is left at the deadline is cut (SV-3).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use airlock_actors::core::Core;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::reply::Response;

use super::base_url::PublicUrl;
use super::router::{Exchange, edge};
use super::{App, routes};

/// How the server listens and what it takes.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// What `poll_url` begins with; `None`: what the request says.
    pub public_url: Option<PublicUrl>,
    /// Most connections at once.
    pub max_connections: usize,
    /// Longest time for a request's head, and for a connection to be idle between two.
    pub header_timeout: Duration,
    /// Longest wait for the next piece of a body.
    pub body_idle_timeout: Duration,
    /// Longest time for a whole body.
    pub body_timeout: Duration,
    /// Longest time for requests in flight to finish on shutdown.
    pub drain_timeout: Duration,
    /// Longest script, in bytes of UTF-8.
    pub max_script_bytes: usize,
    /// Longest body of a submission, in bytes; other calls take less.
    pub max_body_bytes: usize,
    /// Most bytes of all bodies that are held at once, but for the first 16 KiB of each.
    pub max_bodies_bytes: usize,
}

impl ServerConfig {
    /// The documented defaults.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            public_url: None,
            max_connections: 10_000,
            header_timeout: Duration::from_secs(10),
            body_idle_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(300),
            drain_timeout: Duration::from_secs(10),
            max_script_bytes: 1024 * 1024,
            max_body_bytes: 8 * 1024 * 1024,
            max_bodies_bytes: 256 * 1024 * 1024,
        }
    }
}

/// A server that has its address and does not serve yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    config: ServerConfig,
}

/// Largest head of a request, in bytes; past it hyper answers 431.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Most that a connection buffers of what it read and nobody took yet.
const MAX_BUFFER_BYTES: usize = 64 * 1024;
/// A peer that takes no bytes for so long is gone, or stalls on purpose.
const WRITE_STALL_MS: u32 = 60_000;
/// Pause after the system refused a connection, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Server {
    /// Takes the address.
    pub async fn bind(config: ServerConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let local_addr = listener.local_addr()?;
        Ok(Self { listener, local_addr, config })
    }

    /// The address it has, with the port that was picked.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` is cancelled, then drains, then returns.
    pub async fn serve(self, core: Core, shutdown: CancellationToken) {
        let app = App::new(core, self.config.clone(), shutdown.clone());
        self.run(edge(routes(&Arc::new(app))), shutdown).await;
    }

    pub(super) async fn run<S, A>(self, service: S, shutdown: CancellationToken)
    where
        S: Fn(Exchange) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response> + Send + 'static,
    {
        let Self { listener, config, .. } = self;
        let slots = Arc::new(Semaphore::new(config.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
        let connections = TaskTracker::new();
        let cut = CancellationToken::new();
        let next = async || {
            // The semaphore is never closed, so `acquire` only fails with the server.
            let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
            Some((slot, listener.accept().await))
        };
        while let Some(Some((slot, accepted))) = shutdown.run_until_cancelled(next()).await {
            match accepted {
                Ok((stream, peer)) => {
                    let connection = Connection { peer, shutdown: shutdown.clone(), cut: cut.clone() };
                    let serving = connection.serve(stream, service.clone(), config.header_timeout);
                    connections.spawn(async move {
                        serving.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        connections.close();
        if timeout(config.drain_timeout, connections.wait()).await.is_err() {
            tracing::warn!(left = connections.len(), "connections cut at the end of the drain");
            cut.cancel();
            connections.wait().await;
        }
    }
}

/// HTTP/1.0 need not say what host it wants: then it is the address that was connected to.
fn with_host<B>(mut request: http::Request<B>, local: Option<SocketAddr>) -> http::Request<B> {
    if request.version() == http::Version::HTTP_10
        && !request.headers().contains_key(http::header::HOST)
        && let Some(host) = local.and_then(|local| http::HeaderValue::from_str(&local.to_string()).ok())
    {
        request.headers_mut().insert(http::header::HOST, host);
    }
    request
}

struct Connection {
    peer: SocketAddr,
    /// Finish what is in flight.
    shutdown: CancellationToken,
    /// Stop.
    cut: CancellationToken,
}

impl Connection {
    async fn serve<S, A>(self, stream: TcpStream, service: S, header_timeout: Duration)
    where
        S: Fn(Exchange) -> A,
        A: Future<Output = Response>,
    {
        // Without these the connection still works, only later or longer.
        let _no_delay = stream.set_nodelay(true);
        let _stall = setsockopt(&stream, sockopt::TcpUserTimeout, &WRITE_STALL_MS);
        let local = stream.local_addr().ok();
        let answer = service_fn(|request| {
            let answer = service(Exchange::new(with_host(request, local), self.peer));
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(header_timeout)
                .max_header_size(MAX_HEAD_BYTES)
                .max_buf_size(MAX_BUFFER_BYTES)
                .serve_connection(TokioIo::new(stream), answer)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = self.cut.cancelled() => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection failed");
        }
    }
}

#[cfg(test)]
mod tests {
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
        let routes = first_of([
            at(&app, "/slow", [get(slow)]),
            at(&app, "/peer", [get(peer)]),
            at(&app, "/length", [post(length)]),
        ]);
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
}
