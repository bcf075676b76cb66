//! The WorkerPool: starts workers, keeps some warm, assigns them to profiles, and ends them. It owns the running slots
//! and the queue in front of them.
//!
//! May use: the WorkerLauncher port. Knows nothing of scripts: an execution gets a [`Lease`] and talks to the worker.
//!
//! Invariants
//! - WP-1: a worker runs scripts of one profile only, from its first to its last.
//! - WP-2: at most `max_running` running slots are out, and at most `max_queue` executions wait beyond those that a free slot
//!   awaits: together never more than `max_running + max_queue`, but for those acknowledged before a restart.
//! - WP-3: profiles take turns, at slots and at workers: one with a long queue does not hold up another's first. Where
//!   there is no room for its worker, an idle one ends or a busy one retires.
//! - WP-4: a lease that is dropped, however, gives its slot back.
//! - WP-6: a paused script holds its worker and no running slot; beyond `max_paused` of them it keeps its slot, so that fewer
//!   start. Those that go on and those that are new take turns.
//! - WP-5: a worker that is gone is forgotten at once, and replaced when it is needed.

mod lease;
mod messages;
mod queue;
mod supply;
#[cfg(test)]
mod tests;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, ResponseFuture, StreamHandler};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use lease::{Lease, RunningSlot};
use lease::{PausedScripts, Signal};
pub use messages::{AllGone, Condition, Drain, Enter, Entered, Inspect, Reenter, Reentered, WaitEnd};
use queue::FairQueue;
use workers::Workers;

use crate::domain::ProfileId;
use crate::ports::{LaunchError, WorkerLauncher};

/// How the pool is set up.
#[derive(Debug, Clone, Copy)]
pub struct PoolConfig {
    /// Executions that run at once.
    pub max_running: usize,
    /// Executions that wait while every slot is taken.
    pub max_queue: usize,
    /// Scripts that wait for their LLM without a running slot.
    pub max_paused: usize,
    /// Workers at once, warm ones included.
    pub max_workers: usize,
    /// Workers kept ready that belong to no profile yet.
    pub warm: usize,
    /// How long a worker may be without an execution before it is ended.
    pub worker_idle: Duration,
}

/// Longest pause between two looks at what nothing tells of: workers long idle, and waiters that left.
const HOUSEKEEPING: Duration = Duration::from_secs(5);

/// An execution that waits: told of its lease, or that there will be none.
type Waiter = oneshot::Sender<Result<Lease, WaitEnd>>;

/// The actor.
pub struct WorkerPool {
    config: PoolConfig,
    launcher: Arc<dyn WorkerLauncher>,
    workers: Workers,
    queue: FairQueue<ProfileId, Waiter>,
    /// Scripts that were paused and go on.
    resuming: FairQueue<ProfileId, oneshot::Sender<RunningSlot>>,
    /// Whose turn it is, when both wait.
    resumed_last: bool,
    running: usize,
    paused: PausedScripts,
    failures: u32,
    last_failure: Option<LaunchError>,
    draining: bool,
    told_when_gone: Vec<oneshot::Sender<()>>,
    signals: mpsc::UnboundedSender<Signal>,
    signals_in: Option<mpsc::UnboundedReceiver<Signal>>,
    stop: CancellationToken,
}

impl WorkerPool {
    /// An empty pool. Workers are started when the actor is.
    pub fn new(config: PoolConfig, launcher: Arc<dyn WorkerLauncher>) -> Self {
        let (signals, signals_in) = mpsc::unbounded_channel();
        Self {
            config,
            launcher,
            workers: Workers::new(config.max_workers),
            queue: FairQueue::default(),
            resuming: FairQueue::default(),
            resumed_last: false,
            running: 0,
            paused: PausedScripts::new(config.max_paused),
            failures: 0,
            last_failure: None,
            draining: false,
            told_when_gone: Vec::new(),
            signals,
            signals_in: Some(signals_in),
            stop: CancellationToken::new(),
        }
    }

    /// Gives leases to those who wait, as far as there are slots and workers, then sees that workers come for the rest.
    fn work_off(&mut self, context: &mut Context<Self>) {
        if self.draining {
            while self.free_slots() > 0 && self.resume_one() {}
            self.workers.end_idle(Duration::ZERO, 0);
            if self.workers.is_empty() {
                // Who asked may have lost patience.
                for told in self.told_when_gone.drain(..) {
                    let _ = told.send(());
                }
            }
            return;
        }
        while self.free_slots() > 0 {
            if !self.resumed_last && self.resume_one() {
                self.resumed_last = true;
                continue;
            }
            self.resumed_last = false;
            let Some((profile, waiter, slot)) = self.queue.take_first(|profile| self.workers.choose(profile)) else {
                if self.resume_one() {
                    continue;
                }
                break;
            };
            // Whoever waited may be gone; when it goes in between, the lease comes back by being dropped (WP-4).
            if !waiter.is_closed()
                && let Some(lease) = self.lease(slot, &profile)
            {
                let _ = waiter.send(Ok(lease));
            }
        }
        self.supply(context);
    }

    fn lease(&mut self, slot: u32, profile: &ProfileId) -> Option<Lease> {
        let worker = self.workers.bind(slot, profile)?;
        self.running += 1;
        Some(Lease::new(worker, self.paused.clone(), self.signals.clone()))
    }

    /// Gives a slot to a script that goes on; false if none waits.
    fn resume_one(&mut self) -> bool {
        let Some((_, waiter, ())) = self.resuming.take_first(|_| Some(())) else { return false };
        self.running += 1;
        // If it is gone, the slot comes back by being dropped (WP-4).
        let _ = waiter.send(RunningSlot::new(self.signals.clone()));
        true
    }

    fn free_slots(&self) -> usize {
        self.config.max_running.saturating_sub(self.running)
    }

    /// Whether one more may wait. Those a free slot awaits, for whom only the worker is missing, do not count (WP-2).
    fn is_full(&self) -> bool {
        self.queue.len() >= self.config.max_queue.saturating_add(self.free_slots())
    }

    /// How long a caller who found the queue full should wait: the time to work off a slot's share of it, at a guess of
    /// a second a script, and half a minute at most.
    fn retry_after(&self) -> Duration {
        let share = self.queue.len().div_ceil(self.config.max_running.max(1));
        Duration::from_secs((share as u64).clamp(1, 30))
    }
}

impl Actor for WorkerPool {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if let Some(mut signals) = self.signals_in.take() {
            context.add_stream(futures_util::stream::poll_fn(move |task| signals.poll_recv(task)));
        }
        let pause = (self.config.worker_idle / 4).clamp(Duration::from_millis(100), HOUSEKEEPING);
        context.run_interval(pause, |pool, context| {
            pool.workers.end_idle(pool.config.worker_idle, pool.config.warm);
            pool.work_off(context);
        });
        self.work_off(context);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.stop.cancel();
    }
}

impl StreamHandler<Signal> for WorkerPool {
    fn handle(&mut self, signal: Signal, context: &mut Self::Context) {
        match signal {
            Signal::SlotFreed => self.running = self.running.saturating_sub(1),
            Signal::Paused { slot, generation, paused } => self.workers.paused(slot, generation, paused),
            Signal::Released { slot, generation, abandoned } => {
                if let Some(profile) = self.workers.released(slot, generation, abandoned) {
                    // The room is for those it was made for.
                    self.queue.move_to_back(&profile);
                }
            }
            Signal::Exited { slot, generation, reason } => {
                if self.workers.exited(slot, generation) {
                    tracing::warn!(worker = slot, reason, "worker gone");
                }
            }
        }
        self.work_off(context);
    }
}

impl Handler<Enter> for WorkerPool {
    type Result = Entered;

    fn handle(&mut self, Enter { profile, even_if_full }: Enter, context: &mut Self::Context) -> Self::Result {
        if self.draining {
            return Entered::Draining;
        }
        if self.queue.is_empty()
            && self.resuming.is_empty()
            && self.free_slots() > 0
            && let Some(slot) = self.workers.choose(&profile)
            && let Some(lease) = self.lease(slot, &profile)
        {
            self.supply(context);
            return Entered::Granted(lease);
        }
        if self.is_full() && !even_if_full {
            self.queue.retain(|waiter| !waiter.is_closed());
            if self.is_full() {
                return Entered::Full { retry_after: self.retry_after() };
            }
        }
        let (waiter, lease) = oneshot::channel();
        self.queue.push(profile, waiter);
        self.work_off(context);
        Entered::Queued(lease)
    }
}

impl Handler<Reenter> for WorkerPool {
    type Result = Reentered;

    fn handle(&mut self, Reenter { profile }: Reenter, context: &mut Self::Context) -> Self::Result {
        if self.free_slots() > 0 && self.resuming.is_empty() {
            self.running += 1;
            return Reentered::Granted(RunningSlot::new(self.signals.clone()));
        }
        let (waiter, slot) = oneshot::channel();
        self.resuming.push(profile, waiter);
        self.work_off(context);
        Reentered::Queued(slot)
    }
}

impl Handler<Inspect> for WorkerPool {
    type Result = Condition;

    fn handle(&mut self, Inspect: Inspect, _: &mut Self::Context) -> Self::Result {
        Condition {
            running: self.running,
            paused: self.paused.count(),
            queued: self.queue.len(),
            workers_ready: self.workers.ready(),
            warm: self.config.warm,
            worker: self.workers.any_info(),
            last_failure: self.last_failure.as_ref().map(|error| error.0.clone()),
            draining: self.draining,
        }
    }
}

impl Handler<Drain> for WorkerPool {
    type Result = ();

    fn handle(&mut self, Drain: Drain, context: &mut Self::Context) {
        self.draining = true;
        for waiter in self.queue.drain(|_| true) {
            let _ = waiter.send(Err(WaitEnd::Draining));
        }
        self.work_off(context);
    }
}

impl Handler<AllGone> for WorkerPool {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, AllGone: AllGone, context: &mut Self::Context) -> Self::Result {
        let (told, gone) = oneshot::channel();
        self.told_when_gone.push(told);
        self.work_off(context);
        Box::pin(async move { drop(gone.await) })
    }
}
