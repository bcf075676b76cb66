//! Bare TCP, for requests that no well-behaved client sends.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PATIENCE, Server};

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// An answer, as it came.
#[derive(Debug)]
pub(crate) struct WireReply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl WireReply {
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
        line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
    }
}

impl Wire {
    pub(crate) async fn connect(server: &Server) -> Self {
        Self { stream: TcpStream::connect(server.address()).await.unwrap(), unread: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends as much as the server takes: it may have closed the connection over the first bytes.
    pub(crate) async fn send_if_open(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Says that nothing more will come.
    pub(crate) async fn finish_sending(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Sends while the answer is read, as it must be when a body may be refused half-way; then reads the answer.
    pub(crate) async fn exchange(self, bytes: Vec<u8>) -> WireReply {
        let (read, mut write) = self.stream.into_split();
        let sending = tokio::spawn(async move {
            // A server that has answered may stop listening: the answer is what counts.
            let _ = write.write_all(&bytes).await;
            write
        });
        let reply = Self::read_reply(read, self.unread).await.0;
        drop(sending);
        reply
    }

    /// Reads one answer; the connection can be used again.
    pub(crate) async fn reply(&mut self) -> WireReply {
        let unread = std::mem::take(&mut self.unread);
        let (reply, rest) = Self::read_reply(&mut self.stream, unread).await;
        self.unread = rest;
        reply
    }

    async fn read_reply(mut from: impl AsyncReadExt + Unpin, mut got: Vec<u8>) -> (WireReply, Vec<u8>) {
        let reading = async {
            loop {
                if let Some((reply, used)) = parse(&got) {
                    return (reply, got.split_off(used));
                }
                let read = from.read_buf(&mut got).await.unwrap_or(0);
                assert!(read > 0, "closed without a whole answer: {:?}", String::from_utf8_lossy(&got));
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("an answer in time")
    }

    /// Waits until the server closes the connection; returns what it said before.
    pub(crate) async fn closed_within(&mut self, limit: Duration) -> String {
        let mut said = std::mem::take(&mut self.unread);
        let closing = async {
            // A reset is a close too.
            while let Ok(1..) = self.stream.read_buf(&mut said).await {}
        };
        let closed = tokio::time::timeout(limit, closing).await;
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(closed.is_ok(), "still open after {limit:?}; so far it said {said:?}");
        said
    }
}

/// The first whole answer in `bytes` and its length. Understands `Content-Length` and answers without a body.
fn parse(bytes: &[u8]) -> Option<(WireReply, usize)> {
    let head_end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let reply = WireReply { status, head, body: String::new() };
    let length: usize = reply.header("content-length").parse().unwrap_or(0);
    let body = bytes.get(head_end..head_end + length)?;
    Some((WireReply { body: String::from_utf8_lossy(body).into_owned(), ..reply }, head_end + length))
}
