//! Following an execution: what changes of it, as events with positions to resume from.
//!
//! A position says how much of everything has been seen, so that it means the same to a live execution, to a finished one and
//! after a restart; nothing is kept for whoever follows.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::{Core, Unavailable};
use crate::domain::{ExecutionId, ExecutionView, LlmExchange, LlmRequestId, Status};
use crate::execution::{LiveOutput, part_of};
use crate::ports::OutputStream;

/// Longest part of a stream in one event, in bytes.
const PART_BYTES: usize = 16 * 1024;

/// How much has been seen of an execution. Written as `EXECUTION-STATUS-REQUESTS-STDOUT-STDERR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The beginning of the SHA-256 of the execution's id: a position in one stream says nothing of another.
    of: u32,
    status: Option<Status>,
    requests: u32,
    stdout: usize,
    stderr: usize,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.map_or("new", Status::as_str);
        write!(f, "{:08x}-{status}-{}-{}-{}", self.of, self.requests, self.stdout, self.stderr)
    }
}

impl Cursor {
    /// Where nothing has been seen of it.
    pub fn start(of: &ExecutionId) -> Self {
        let digest: [u8; 32] = Sha256::digest(of.as_str().as_bytes()).into();
        let of = digest.first_chunk().map_or(0, |first| u32::from_be_bytes(*first));
        Self { of, status: None, requests: 0, stdout: 0, stderr: 0 }
    }

    /// The position in this execution that is written so; `None` if it is one in another, or none at all.
    pub fn parse(text: &str, of: &ExecutionId) -> Option<Self> {
        let mut parts = text.split('-');
        let mut next = || parts.next();
        let start = Self::start(of);
        next().filter(|text| *text == format!("{:08x}", start.of))?;
        let status = match next()? {
            "new" => None,
            status => Some(Status::parse(status)?),
        };
        let (requests, stdout, stderr) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
        parts.next().is_none().then_some(Self { status, requests, stdout, stderr, ..start })
    }
}

/// Something new of an execution.
#[derive(Debug, Clone)]
pub enum ExecutionEvent {
    /// It has another status.
    Status(Status),
    /// It asks its LLM.
    LlmRequest(LlmExchange),
    /// More output.
    Output(OutputStream, String),
    /// It has ended: nothing follows.
    Done(Box<ExecutionView>),
}

/// Follows one execution. Takes memory for one event at a time.
pub struct Follower {
    core: Core,
    id: ExecutionId,
    cursor: Cursor,
    watched: Option<(watch::Receiver<ExecutionView>, Arc<LiveOutput>, watch::Receiver<u64>)>,
    done: bool,
}

impl Core {
    /// Follows an execution from `cursor` on; `None` when there is none.
    pub async fn follow(&self, id: &ExecutionId, cursor: Cursor) -> Result<Option<Follower>, Unavailable> {
        if self.execution(id).await?.is_none() {
            return Ok(None);
        }
        let directory = &self.inner.parts.directory;
        let watched = directory.watch(id).zip(directory.output(id)).map(|(view, output)| {
            let changes = output.changes();
            (view, output, changes)
        });
        Ok(Some(Follower { core: self.clone(), id: id.clone(), cursor, watched, done: false }))
    }
}

impl Follower {
    /// The next event and the position after it; waits for it. `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<(ExecutionEvent, Cursor)>, Unavailable> {
        while !self.done {
            // Marked as seen before it is looked at: a change in between wakes.
            if let Some((view, _, changes)) = &mut self.watched {
                view.borrow_and_update();
                changes.borrow_and_update();
            }
            let Some(view) = self.core.execution(&self.id).await? else { return Ok(None) };
            if let Some(event) = self.news(view).await? {
                return Ok(Some((event, self.cursor)));
            }
            let Some((view, _, changes)) = &mut self.watched else {
                // Neither live nor finished: the server is going down.
                return Ok(None);
            };
            let gone = tokio::select! {
                changed = view.changed() => changed.is_err(),
                changed = changes.changed() => changed.is_err(),
            };
            if gone {
                self.watched = None;
            }
        }
        Ok(None)
    }

    async fn news(&mut self, view: ExecutionView) -> Result<Option<ExecutionEvent>, Unavailable> {
        let status = view.record.status;
        // What is said of an ended one comes after its output.
        if !status.is_final() && self.cursor.status != Some(status) {
            self.cursor.status = Some(status);
            return Ok(Some(ExecutionEvent::Status(status)));
        }
        if let Some(&LlmRequestId(number)) = view.awaited.iter().find(|id| id.0 > self.cursor.requests) {
            self.cursor.requests = number;
            let exchange = self.core.llm_exchange(&self.id, LlmRequestId(number)).await?;
            if let Some(exchange) = exchange {
                return Ok(Some(ExecutionEvent::LlmRequest(exchange)));
            }
        }
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            if let Some(part) = self.more_of(stream, &view) {
                return Ok(Some(ExecutionEvent::Output(stream, part)));
            }
        }
        if !status.is_final() {
            return Ok(None);
        }
        if self.cursor.status != Some(status) {
            self.cursor.status = Some(status);
            return Ok(Some(ExecutionEvent::Status(status)));
        }
        self.done = true;
        Ok(Some(ExecutionEvent::Done(Box::new(view))))
    }

    fn more_of(&mut self, stream: OutputStream, view: &ExecutionView) -> Option<String> {
        let seen = match stream {
            OutputStream::Stdout => &mut self.cursor.stdout,
            OutputStream::Stderr => &mut self.cursor.stderr,
        };
        let (part, end) = match (&view.output, &self.watched) {
            (Some(output), _) => {
                let text = match stream {
                    OutputStream::Stdout => &output.stdout,
                    OutputStream::Stderr => &output.stderr,
                };
                let (part, end) = part_of(text, *seen, PART_BYTES);
                (part.to_owned(), end)
            }
            (None, Some((_, live, _))) => live.part(stream, *seen, PART_BYTES),
            (None, None) => return None,
        };
        if part.is_empty() {
            return None;
        }
        *seen = end;
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededEntropy;

    #[test]
    fn a_position_is_read_as_it_is_written_and_nothing_else_is() {
        let entropy = SeededEntropy::new(1);
        let id = || ExecutionId::generate(jiff::Timestamp::UNIX_EPOCH, &entropy);
        let (of, other) = (id(), id());
        let start = Cursor::start(&of);
        let later = Cursor { status: Some(Status::AwaitingLlm), requests: 3, stdout: 1_000_000, stderr: 7, ..start };
        for cursor in [start, later] {
            assert_eq!(Cursor::parse(&cursor.to_string(), &of), Some(cursor));
            assert_eq!(Cursor::parse(&cursor.to_string(), &other), None, "a position in another execution");
        }
        let tag = format!("{:08x}", start.of);
        for rest in ["", "-new", "-new-0-0", "-new-0-0-0-0", "-new-a-0-0", "-what-0-0-0", "-new--1-0-0"] {
            let text = format!("{tag}{rest}");
            assert!(Cursor::parse(&text, &of).is_none(), "{text:?} was accepted");
        }
        assert!(Cursor::parse("new-0-0-0", &of).is_none());
    }
}
