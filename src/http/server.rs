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
mod tests;
