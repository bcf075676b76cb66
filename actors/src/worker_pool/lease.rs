//! The right to run one script on one worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::workers::Bound;
use crate::ports::{WorkerInfo, WorkerLink};

/// What leases and worker processes tell the pool. Sent on a channel and not by actor messages, because a drop can't wait
/// and must not be lost.
pub(super) enum Signal {
    /// A lease came back. `abandoned`: its worker did not do as it was told and must go. `generation` tells the worker
    /// from a later one in the same slot.
    Released { slot: u32, generation: u64, abandoned: bool },
    /// A running slot came back.
    SlotFreed,
    /// The script of a lease paused, and so holds no running slot, or goes on.
    Paused { slot: u32, generation: u64, paused: bool },
    /// A worker's process is gone.
    Exited { slot: u32, generation: u64, reason: String },
}

/// A running slot. Dropped, it goes back to the pool (WP-4).
pub struct RunningSlot(mpsc::UnboundedSender<Signal>);

impl RunningSlot {
    pub(super) fn new(signals: mpsc::UnboundedSender<Signal>) -> Self {
        Self(signals)
    }
}

impl Drop for RunningSlot {
    fn drop(&mut self) {
        let _ = self.0.send(Signal::SlotFreed);
    }
}

impl std::fmt::Debug for RunningSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunningSlot")
    }
}

/// How many scripts may be paused without a running slot, and how many are. Shared by all leases.
#[derive(Debug, Clone)]
pub(super) struct PausedScripts {
    count: Arc<AtomicUsize>,
    most: usize,
}

impl PausedScripts {
    pub(super) fn new(most: usize) -> Self {
        Self { count: Arc::default(), most }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn one_more(&self) -> bool {
        let add = |count: usize| (count < self.most).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    fn one_less(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A worker bound to the profile, and a running slot except while the script is paused. Dropped, it gives both back (WP-4).
pub struct Lease {
    worker: Bound,
    slot: Option<RunningSlot>,
    abandoned: bool,
    paused: PausedScripts,
    signals: mpsc::UnboundedSender<Signal>,
}

impl Lease {
    pub(super) fn new(worker: Bound, paused: PausedScripts, signals: mpsc::UnboundedSender<Signal>) -> Self {
        let slot = Some(RunningSlot::new(signals.clone()));
        Self { worker, slot, abandoned: false, paused, signals }
    }

    /// Gives the running slot back for as long as the script is paused. When as many are paused as may be it is kept: then
    /// fewer new ones start (WP-6).
    pub fn pause(&mut self) {
        if self.slot.is_some() && self.paused.one_more() {
            self.slot = None;
            self.tell_paused(true);
        }
    }

    /// True when it has a running slot.
    pub fn has_slot(&self) -> bool {
        self.slot.is_some()
    }

    /// Has a running slot again.
    pub fn resume(&mut self, slot: RunningSlot) {
        if self.slot.replace(slot).is_none() {
            self.paused.one_less();
            self.tell_paused(false);
        }
    }

    fn tell_paused(&self, paused: bool) {
        let Bound { slot, generation, .. } = self.worker;
        let _ = self.signals.send(Signal::Paused { slot, generation, paused });
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
        if self.slot.is_none() {
            self.paused.one_less();
            self.tell_paused(false);
        }
        let Bound { slot, generation, .. } = self.worker;
        let _ = self.signals.send(Signal::Released { slot, generation, abandoned: self.abandoned });
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lease of worker {}", self.worker.slot)
    }
}
