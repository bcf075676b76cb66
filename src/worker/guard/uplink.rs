//! The guard's pipes to the server: frames in, frames out, neither of them ever waited for.

use std::io;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{read, write};
use zeroize::{Zeroize, Zeroizing};

use airlock_actors::ports::RunToken;

use crate::worker::protocol::{Bytes, FrameReader, FromGuard, MAX_PART_BYTES, Piece, encode};

/// Standard input and output of the guard.
pub(crate) struct Uplink {
    input: BorrowedFd<'static>,
    output: BorrowedFd<'static>,
    reader: FrameReader,
    /// Frames, and how much of them has been written.
    outgoing: Vec<u8>,
    written: usize,
}

/// The server's end is closed, or what came is no frame: the guard ends.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ServerGone(pub(crate) String);

impl Uplink {
    /// Takes standard input and output over.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: the two are open for as long as the guard lives; nothing else in it uses or closes them.
        let (input, output) = unsafe { (BorrowedFd::borrow_raw(0), BorrowedFd::borrow_raw(1)) };
        for descriptor in [input, output] {
            fcntl(descriptor, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(Self { input, output, reader: FrameReader::default(), outgoing: Vec::new(), written: 0 })
    }

    /// What frames come from.
    pub(crate) fn input(&self) -> BorrowedFd<'static> {
        self.input
    }

    /// What frames go to.
    pub(crate) fn output(&self) -> BorrowedFd<'static> {
        self.output
    }

    /// The next frame that is there, read through `scratch`, which is wiped.
    pub(crate) fn receive(&mut self, scratch: &mut [u8]) -> Result<Option<Zeroizing<Vec<u8>>>, ServerGone> {
        loop {
            if let Some(frame) = self.reader.next_frame().map_err(|error| ServerGone(error.to_string()))? {
                return Ok(Some(frame));
            }
            match read(self.input, scratch) {
                Ok(0) => return Err(ServerGone("the server closed its end".to_owned())),
                Ok(count) => {
                    let part = scratch.get_mut(..count).unwrap_or_default();
                    self.reader.push(part);
                    part.zeroize();
                }
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(ServerGone(error.to_string())),
            }
        }
    }

    /// Puts a frame in the way out; [`Self::flush`] sends it.
    pub(crate) fn send(&mut self, message: &FromGuard<'_>) {
        // Every message is cut to fit; one that is not would be a mistake here, and is left out rather than end all.
        if let Ok(frame) = encode(message) {
            self.outgoing.extend_from_slice(&frame);
        }
    }

    /// Puts `bytes` of a piece in the way out, in as many frames as it takes.
    pub(crate) fn send_part(&mut self, token: RunToken, piece: Piece, bytes: &[u8]) {
        for part in bytes.chunks(MAX_PART_BYTES) {
            self.send(&FromGuard::Part(token, piece, Bytes(part)));
        }
    }

    /// Writes what the pipe takes; true when nothing is left.
    pub(crate) fn flush(&mut self) -> Result<bool, ServerGone> {
        while let Some(rest) = self.outgoing.get(self.written..).filter(|rest| !rest.is_empty()) {
            match write(self.output, rest) {
                Ok(count) => self.written += count,
                Err(Errno::EAGAIN) => {
                    self.compact();
                    return Ok(false);
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(ServerGone(error.to_string())),
            }
        }
        self.outgoing.clear();
        self.outgoing.shrink_to(MAX_PART_BYTES);
        self.written = 0;
        Ok(true)
    }

    /// Gives back the room of what has been written, once that is the larger half.
    fn compact(&mut self) {
        if self.written > self.outgoing.len() / 2 {
            self.outgoing.drain(..self.written);
            self.written = 0;
        }
    }
}
