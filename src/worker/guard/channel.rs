//! The stream between the guard and one execution's process: kind (one byte), length (32 bits, little-endian), payload.
//! All that is read from it may have been written by the script itself (WK-1).

use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use serde::Deserialize;

use super::asking::{Asking, decode_ask, encode_answer};
use crate::worker::protocol::{Ask, MAX_OPEN_BYTES, MAX_REPORT_BYTES, Reply, Run};
use crate::worker::wiped::WipedBuffer;

const RUN: u8 = b'R';
const RESULT: u8 = b'V';
const DONE: u8 = b'D';
const ASK: u8 = b'A';
const IDLE: u8 = b'I';
const ANSWER: u8 = b'L';

const HEADER_BYTES: usize = 5;

/// Longest message that asks, in bytes: the texts, and a few bytes for each.
const MAX_ASK_BYTES: usize = MAX_OPEN_BYTES + 64 * 1024;

/// Most bytes taken of one channel before others get their turn.
const TURN_BYTES: usize = 512 * 1024;

/// The runtime's report of a script's end.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    /// Name of the exception's class; `None` when the script came to its end.
    pub(crate) error_type: Option<String>,
    /// One sentence.
    pub(crate) error: Option<String>,
    /// The script's own lines.
    pub(crate) traceback: Option<String>,
}

/// What a turn of reading came to.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Nothing that matters yet.
    Nothing,
    /// The script is done: no more is read.
    Done(Report),
    /// Nothing can come any more.
    Closed,
    /// Not what the runtime sends.
    Violation(&'static str),
    /// A result of so many bytes, which is more than is allowed.
    TooLarge(u64),
}

/// The guard's end.
pub(crate) struct Channel {
    socket: OwnedFd,
    outgoing: WipedBuffer,
    incoming: Vec<u8>,
    result_limit: usize,
    result: Option<String>,
    /// What it asked the LLM.
    pub(crate) asking: Asking,
}

impl Channel {
    /// A new channel, and the end for the execution's process.
    pub(crate) fn new() -> nix::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
        let channel = Self {
            socket: ours,
            outgoing: WipedBuffer::default(),
            incoming: Vec::new(),
            result_limit: 0,
            result: None,
            asking: Asking::default(),
        };
        Ok((channel, theirs))
    }

    /// The guard's descriptor.
    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Puts the message that starts the script in the way out; [`Self::flush`] sends it.
    pub(crate) fn start(&mut self, run: &Run<'_>) -> Result<(), &'static str> {
        let settings: usize = run.settings.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        self.outgoing = WipedBuffer::with_capacity(HEADER_BYTES + 8 + 4 + run.script.len() + settings);
        self.outgoing.append(&[RUN, 0, 0, 0, 0]);
        self.outgoing.append(&run.limits.result_bytes.to_le_bytes());
        let settings = run.settings.iter().flat_map(|&(name, value)| [name, value]);
        for text in std::iter::once(run.script).chain(settings) {
            let length = u32::try_from(text.len()).map_err(|_| "the run message is too long")?;
            self.outgoing.append(&length.to_le_bytes());
            self.outgoing.append(text.as_bytes());
        }
        let length = self.outgoing.unread().len() - HEADER_BYTES;
        let length = u32::try_from(length).map_err(|_| "the run message is too long")?;
        self.outgoing.overwrite(1, &length.to_le_bytes());
        self.result_limit = usize::try_from(run.limits.result_bytes).unwrap_or(usize::MAX);
        Ok(())
    }

    /// Sends what it can; true when nothing is left to send. A closed channel takes everything: its process has ended or
    /// will be found out otherwise.
    pub(crate) fn flush(&mut self) -> bool {
        while !self.outgoing.is_empty() {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match send(self.socket.as_raw_fd(), self.outgoing.unread(), flags) {
                Ok(count) => self.outgoing.consume(count),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return false,
                Err(_) => self.outgoing = WipedBuffer::default(),
            }
        }
        true
    }

    /// Reads what is there, up to a turn's worth, through `scratch`.
    pub(crate) fn take_turn(&mut self, scratch: &mut [u8]) -> Incoming {
        let mut taken = 0;
        while taken < TURN_BYTES {
            match recv(self.socket.as_raw_fd(), scratch, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Incoming::Closed,
                Ok(count) => {
                    taken += count;
                    self.incoming.extend_from_slice(scratch.get(..count).unwrap_or_default());
                    match self.parse() {
                        Incoming::Nothing => {}
                        other => return other,
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Incoming::Nothing,
                Err(_) => return Incoming::Closed,
            }
        }
        Incoming::Nothing
    }

    fn parse(&mut self) -> Incoming {
        loop {
            let Some((&[kind, a, b, c, d], rest)) = self.incoming.split_first_chunk::<HEADER_BYTES>() else {
                return Incoming::Nothing;
            };
            let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            match kind {
                RESULT if self.result.is_some() => return Incoming::Violation("a second result"),
                RESULT if length > self.result_limit => return Incoming::TooLarge(length as u64),
                DONE if length > MAX_REPORT_BYTES => return Incoming::Violation("a report that is too long"),
                ASK if length > MAX_ASK_BYTES => return Incoming::Violation("a question that is too long"),
                IDLE if length != 4 => return Incoming::Violation("a message of a wrong length"),
                RESULT | DONE | ASK | IDLE => {}
                _ => return Incoming::Violation("a message of an unknown kind"),
            }
            if rest.len() < length {
                return Incoming::Nothing;
            }
            let after = self.incoming.split_off(HEADER_BYTES + length);
            let mut payload = std::mem::replace(&mut self.incoming, after);
            payload.drain(..HEADER_BYTES);
            let taken = match kind {
                DONE => {
                    return serde_json::from_slice(&payload)
                        .map_or(Incoming::Violation("a report that can't be read"), Incoming::Done);
                }
                ASK => decode_ask(&payload).and_then(|(batch, asks)| self.asking.ask(batch, asks)),
                IDLE => {
                    self.asking.idle(&payload);
                    Ok(())
                }
                _ => match json_text(payload) {
                    Some(result) => {
                        self.result = Some(result);
                        Ok(())
                    }
                    None => Err("a result that is not JSON"),
                },
            };
            if let Err(what) = taken {
                return Incoming::Violation(what);
            }
        }
    }

    /// Puts an answer in the way out; [`Self::flush`] sends it.
    pub(crate) fn answer(&mut self, batch: u32, index: u32, last: bool, reply: &Reply<'_>) {
        let payload = encode_answer(batch, index, last, reply);
        // Far below 2^32: a reply came in a frame.
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
        let [a, b, c, d] = length;
        self.outgoing.append(&[ANSWER, a, b, c, d]);
        self.outgoing.append(&payload);
    }

    /// What was asked since the last look, in order.
    pub(crate) fn take_asked(&mut self) -> Vec<(u32, Vec<Ask<String>>)> {
        self.asking.take()
    }

    /// The result, if one came.
    pub(crate) fn into_result(self) -> Option<String> {
        self.result
    }
}

/// `bytes` if they are JSON: what reads the result later may rely on it.
fn json_text(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    serde_json::from_str::<serde::de::IgnoredAny>(&text).ok()?;
    Some(text)
}
