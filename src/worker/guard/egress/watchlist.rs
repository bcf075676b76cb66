//! What egress has in the guard's epoll, by number.

use std::collections::HashMap;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use crate::worker::guard::supervise::egress_event;

/// What a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Watched {
    /// Calls wait.
    Listener,
    /// Connections have ended.
    Traffic,
    /// A TCP socket, by execution and inode, whose attempt to connect is under way.
    Connecting(u64, u64),
    /// The guard's end of what a script asks name servers through, by execution and the inode of the other end.
    Stub(u64, u64),
    /// A question under way.
    Lookup(u64),
}

/// The list. Numbers are never used again, so that an event that comes late finds nothing.
#[derive(Debug, Default)]
pub(super) struct Watchlist {
    entries: HashMap<u64, Watched>,
    last: u64,
}

impl Watchlist {
    /// Watches `file`.
    pub(super) fn add(
        &mut self,
        epoll: &Epoll,
        file: impl AsFd,
        watched: Watched,
        flags: EpollFlags,
    ) -> Result<u64, Errno> {
        let number = self.last + 1;
        epoll.add(file, EpollEvent::new(flags, egress_event(number)))?;
        self.last = number;
        self.entries.insert(number, watched);
        Ok(number)
    }

    /// Waits for something else from `file`.
    pub(super) fn change(epoll: &Epoll, file: impl AsFd, number: u64, flags: EpollFlags) {
        let _ = epoll.modify(file, &mut EpollEvent::new(flags, egress_event(number)));
    }

    /// Watches `file` no more. A must for what somebody else has a duplicate of: the kernel watches on until the last one
    /// is closed.
    pub(super) fn remove(&mut self, epoll: &Epoll, file: impl AsFd, number: u64) {
        self.entries.remove(&number);
        let _ = epoll.delete(file);
    }

    /// The file is closed, which took it out of the epoll.
    pub(super) fn forget(&mut self, number: u64) {
        self.entries.remove(&number);
    }

    pub(super) fn get(&self, number: u64) -> Option<Watched> {
        self.entries.get(&number).copied()
    }

    /// The number that something is watched under.
    pub(super) fn number_of(&self, watched: Watched) -> Option<u64> {
        self.entries.iter().find(|(_, other)| **other == watched).map(|(number, _)| *number)
    }

    /// Forgets what `keep` is false for.
    pub(super) fn retain(&mut self, keep: impl Fn(Watched) -> bool) {
        self.entries.retain(|_, watched| keep(*watched));
    }
}
