//! The right to run one script on one worker.

use tokio::sync::mpsc;

use super::workers::Bound;
use crate::ports::{WorkerInfo, WorkerLink};

/// What leases and worker processes tell the pool. Sent on a channel and not by actor messages, because a drop can't wait
/// and must not be lost.
pub(super) enum Signal {
    /// A lease came back. `abandoned`: its worker did not do as it was told and must go. `generation` tells the worker
    /// from a later one in the same slot.
    Released { slot: u32, generation: u64, abandoned: bool },
    /// A worker's process is gone.
    Exited { slot: u32, generation: u64, reason: String },
}

/// A running slot and a worker bound to the profile. Dropped, it gives the slot back (WP-4).
pub struct Lease {
    worker: Bound,
    abandoned: bool,
    signals: mpsc::UnboundedSender<Signal>,
}

impl Lease {
    pub(super) fn new(worker: Bound, signals: mpsc::UnboundedSender<Signal>) -> Self {
        Self { worker, abandoned: false, signals }
    }

    /// The way to the worker.
    pub fn link(&self) -> &dyn WorkerLink {
        &*self.worker.link
    }

    /// What the worker is.
    pub fn info(&self) -> &WorkerInfo {
        &self.worker.info
    }

    /// Gives the slot back and has the worker destroyed, because it did not do as it was told. Whatever else runs on it,
    /// scripts of the same profile (WP-1), ends with it as lost: a worker that can't end one script is not to be trusted
    /// with the others, and waiting for them would keep the script running that had to end.
    pub fn abandon(mut self) {
        self.abandoned = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Bound { slot, generation, .. } = self.worker;
        let _ = self.signals.send(Signal::Released { slot, generation, abandoned: self.abandoned });
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lease of worker {}", self.worker.slot)
    }
}
