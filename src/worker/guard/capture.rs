//! One stream of an execution: its head is forwarded live, of the rest the tail is kept and the middle counted (WK-6).

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::unistd::read;

/// Most bytes taken of one stream before others get their turn: a flood must not hold up a kill.
const TURN_BYTES: usize = 128 * 1024;

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There may be more, now or later.
    Open,
    /// Nothing can come any more.
    Closed,
}

/// A stream that is being read.
pub(crate) struct Capture {
    pipe: Option<OwnedFd>,
    kept: Kept,
}

impl Capture {
    /// Reads from `pipe`, which does not block. Nothing is kept until [`Self::limit`].
    pub(crate) fn new(pipe: OwnedFd) -> Self {
        Self { pipe: Some(pipe), kept: Kept::default() }
    }

    /// Head and tail are to be `half` bytes each.
    pub(crate) fn limit(&mut self, half: u64) {
        self.kept = Kept::new(usize::try_from(half).unwrap_or(usize::MAX));
    }

    /// The descriptor, until the stream is closed.
    pub(crate) fn pipe(&self) -> Option<&OwnedFd> {
        self.pipe.as_ref()
    }

    /// Reads what is there, up to a turn's worth, through `scratch`; `forward` gets what belongs to the head.
    pub(crate) fn take_turn(&mut self, scratch: &mut [u8], mut forward: impl FnMut(&[u8])) -> Progress {
        let mut taken = 0;
        while taken < TURN_BYTES {
            match self.read(scratch, &mut forward) {
                Ok(0) => return self.close(),
                Ok(count) => taken += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Progress::Open,
                Err(_) => return self.close(),
            }
        }
        Progress::Open
    }

    /// Reads all that is left. Its writers are gone, so that is at most what the pipe holds.
    pub(crate) fn drain(&mut self, scratch: &mut [u8], mut forward: impl FnMut(&[u8])) {
        loop {
            match self.read(scratch, &mut forward) {
                Ok(count) if count > 0 => {}
                Err(Errno::EINTR) => {}
                _ => break,
            }
        }
        self.close();
    }

    fn read(&mut self, scratch: &mut [u8], forward: &mut impl FnMut(&[u8])) -> Result<usize, Errno> {
        let Some(pipe) = &self.pipe else { return Ok(0) };
        let count = read(pipe, scratch)?;
        self.kept.take(scratch.get(..count).unwrap_or_default(), forward);
        Ok(count)
    }

    fn close(&mut self) -> Progress {
        self.pipe = None;
        Progress::Closed
    }

    /// What is kept beyond the head, and how many bytes are missing before it.
    pub(crate) fn into_tail(self) -> (u64, VecDeque<u8>) {
        (self.kept.dropped, self.kept.tail)
    }
}

/// A pipe for one stream: the end that is read here, which does not block, and the one that the execution writes to. Its size
/// is the kernel's default of 64 KiB: enough that a script seldom waits, and thousands fit what a user may have.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let (ours, theirs) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    // On our end's open file alone: to the script its own is a plain pipe that blocks.
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((ours, theirs))
}

#[derive(Default)]
struct Kept {
    /// Bytes of the head that were not seen yet.
    head_left: usize,
    tail: VecDeque<u8>,
    tail_limit: usize,
    dropped: u64,
}

impl Kept {
    fn new(half: usize) -> Self {
        Self { head_left: half, tail: VecDeque::new(), tail_limit: half, dropped: 0 }
    }

    fn take(&mut self, bytes: &[u8], forward: &mut impl FnMut(&[u8])) {
        let (head, rest) = bytes.split_at(self.head_left.min(bytes.len()));
        if !head.is_empty() {
            self.head_left -= head.len();
            forward(head);
        }
        let skipped = rest.len().saturating_sub(self.tail_limit);
        let fitting = rest.get(skipped..).unwrap_or_default();
        let pushed_out = (self.tail.len() + fitting.len()).saturating_sub(self.tail_limit);
        self.tail.drain(..pushed_out.min(self.tail.len()));
        self.tail.extend(fitting);
        self.dropped += u64::try_from(skipped + pushed_out).unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn head_dropped_middle_and_tail_are_the_whole_stream(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..30),
            half in 0usize..100,
        ) {
            let mut kept = Kept::new(half);
            let mut head = Vec::new();
            for part in &parts {
                kept.take(part, &mut |bytes: &[u8]| head.extend_from_slice(bytes));
            }
            let whole = parts.concat();
            let dropped = usize::try_from(kept.dropped).expect("fits");
            prop_assert_eq!(&head[..], &whole[..whole.len().min(half)]);
            prop_assert_eq!(head.len() + dropped + kept.tail.len(), whole.len());
            let tail = kept.tail.iter().copied().collect::<Vec<_>>();
            prop_assert_eq!(&tail[..], &whole[head.len() + dropped..]);
            prop_assert!(kept.tail.len() <= half);
        }
    }
}
