//! The WorkerPool: starts workers, keeps some warm, assigns them to profiles, and ends them. It owns the running slots
//! and the queue in front of them.
//!
//! May use: the WorkerLauncher port. Knows nothing of scripts: an execution gets a [`Lease`] and talks to the worker.
//!
//! Invariants
//! - WP-1: a worker runs scripts of one profile only, from its first to its last.
//! - WP-2: at most `max_running` leases are out; at most `max_queue` executions wait.
//! - WP-3: profiles take turns: one with a long queue does not hold up another's first.
//! - WP-4: a lease that is dropped, however, gives its slot back.
//! - WP-5: a worker that is gone is forgotten at once, and replaced when it is needed.

mod lease;
mod messages;
mod queue;
#[cfg(test)]
mod tests;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, StreamHandler, WrapFuture};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use lease::Lease;
use lease::Signal;
pub use messages::{Condition, Drain, Enter, Entered, Inspect, WaitEnd};
use queue::FairQueue;
use workers::{Choice, Workers};

use crate::domain::ProfileId;
use crate::ports::{LaunchError, LaunchedWorker, WorkerLauncher};

/// How the pool is set up.
#[derive(Debug, Clone, Copy)]
pub struct PoolConfig {
    /// Executions that run at once.
    pub max_running: usize,
    /// Executions that wait for a slot.
    pub max_queue: usize,
    /// Workers at once, warm ones included.
    pub max_workers: usize,
    /// Workers kept ready that belong to no profile yet.
    pub warm: usize,
    /// How long a worker may be without an execution before it is ended.
    pub worker_idle: Duration,
}

/// After so many failed starts in a row, waiting executions are told instead of being kept.
const GIVE_UP_AFTER_FAILURES: u32 = 5;
/// Pause after a failed start; doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// An execution that waits: told of its lease, or that there will be none.
type Waiter = oneshot::Sender<Result<Lease, WaitEnd>>;

/// The actor.
pub struct WorkerPool {
    config: PoolConfig,
    launcher: Arc<dyn WorkerLauncher>,
    workers: Workers,
    queue: FairQueue<ProfileId, Waiter>,
    running: usize,
    failures: u32,
    last_failure: Option<LaunchError>,
    draining: bool,
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
            running: 0,
            failures: 0,
            last_failure: None,
            draining: false,
            signals,
            signals_in: Some(signals_in),
            stop: CancellationToken::new(),
        }
    }

    /// Gives leases to those who wait, as far as there are slots and workers, then sees that enough are warm.
    fn work_off(&mut self, context: &mut Context<Self>) {
        while !self.draining && self.running < self.config.max_running {
            let workers = &mut self.workers;
            let mut to_launch = None;
            let next = self.queue.take_first(|profile| match workers.choose(profile) {
                Choice::Ready(slot) => Some(slot),
                Choice::Launch => {
                    to_launch.get_or_insert_with(|| profile.clone());
                    None
                }
                Choice::Wait => None,
            });
            match (next, to_launch) {
                (Some((profile, waiter, slot)), _) => self.grant(slot, &profile, waiter),
                (None, Some(profile)) if self.failures == 0 => self.launch(Some(profile), context),
                (None, _) => break,
            }
        }
        self.keep_warm(context);
    }

    fn grant(&mut self, slot: u32, profile: &ProfileId, waiter: Waiter) {
        let Some(lease) = self.lease(slot, profile) else { return };
        // Whoever waited may be gone: the lease comes back by being dropped (WP-4).
        let _ = waiter.send(Ok(lease));
    }

    fn lease(&mut self, slot: u32, profile: &ProfileId) -> Option<Lease> {
        let worker = self.workers.bind(slot, profile)?;
        self.running += 1;
        Some(Lease::new(worker, self.signals.clone()))
    }

    fn keep_warm(&mut self, context: &mut Context<Self>) {
        while !self.draining && self.failures == 0 && self.workers.unbound() < self.config.warm {
            if !self.workers.has_room() {
                break;
            }
            self.launch(None, context);
        }
    }

    fn launch(&mut self, profile: Option<ProfileId>, context: &mut Context<Self>) {
        let Some(slot) = self.workers.begin_launch(profile) else { return };
        let launcher = self.launcher.clone();
        let stop = self.stop.clone();
        let launching = async move {
            tokio::select! {
                launched = launcher.launch(slot) => launched,
                () = stop.cancelled() => Err(LaunchError("the server is shutting down".to_owned())),
            }
        };
        context.spawn(
            launching.into_actor(self).map(move |launched, pool, context| pool.launched(slot, launched, context)),
        );
    }

    fn launched(&mut self, slot: u32, launched: Result<LaunchedWorker, LaunchError>, context: &mut Context<Self>) {
        match launched {
            Ok(worker) => {
                self.failures = 0;
                self.last_failure = None;
                let generation = self.workers.launched(slot, worker.link, worker.info);
                let signals = self.signals.clone();
                let exited = worker.exited;
                tokio::spawn(async move {
                    let reason = exited.await;
                    let _ = signals.send(Signal::Exited { slot, generation, reason });
                });
            }
            Err(error) => self.launch_failed(slot, error, context),
        }
        self.work_off(context);
    }

    fn launch_failed(&mut self, slot: u32, error: LaunchError, context: &mut Context<Self>) {
        self.workers.forget(slot);
        if self.draining {
            return;
        }
        self.failures += 1;
        tracing::error!(%error, failures = self.failures, "could not start a worker");
        if self.failures >= GIVE_UP_AFTER_FAILURES {
            for waiter in self.queue.drain() {
                let _ = waiter.send(Err(WaitEnd::NoWorker(error.0.clone())));
            }
        }
        self.last_failure = Some(error);
        let doublings = self.failures.saturating_sub(1).min(10);
        let pause = FIRST_RETRY.saturating_mul(1 << doublings).min(LONGEST_RETRY);
        context.run_later(pause, |pool, context| {
            // One try at a time: what comes of it decides whether the rest follows.
            if pool.workers.launching() == 0 && pool.workers.has_room() {
                let profile = pool.queue.first_key().cloned();
                pool.launch(profile, context);
            }
        });
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
        context.run_interval((self.config.worker_idle / 4).max(Duration::from_millis(100)), |pool, context| {
            pool.workers.end_idle(pool.config.worker_idle);
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
            Signal::Released { slot, generation, abandoned } => {
                self.running = self.running.saturating_sub(1);
                self.workers.released(slot, generation, abandoned);
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
        let nobody_waits = self.queue.is_empty();
        if !self.draining
            && nobody_waits
            && self.running < self.config.max_running
            && let Choice::Ready(slot) = self.workers.choose(&profile)
            && let Some(lease) = self.lease(slot, &profile)
        {
            self.keep_warm(context);
            return Entered::Granted(lease);
        }
        if self.queue.len() >= self.config.max_queue && !even_if_full {
            self.queue.retain(|waiter| !waiter.is_closed());
            if self.queue.len() >= self.config.max_queue {
                return Entered::Full { retry_after: self.retry_after() };
            }
        }
        let (waiter, lease) = oneshot::channel();
        self.queue.push(profile, waiter);
        self.work_off(context);
        Entered::Queued(lease)
    }
}

impl Handler<Inspect> for WorkerPool {
    type Result = Condition;

    fn handle(&mut self, Inspect: Inspect, _: &mut Self::Context) -> Self::Result {
        Condition {
            running: self.running,
            queued: self.queue.len(),
            workers_ready: self.workers.ready(),
            worker: self.workers.any_info(),
            last_failure: self.last_failure.as_ref().map(|error| error.0.clone()),
            draining: self.draining,
        }
    }
}

impl Handler<Drain> for WorkerPool {
    type Result = ();

    fn handle(&mut self, Drain: Drain, _: &mut Self::Context) {
        self.draining = true;
        // Those who wait stay pending on disk and run after the next start.
        for waiter in self.queue.drain() {
            let _ = waiter.send(Err(WaitEnd::Draining));
        }
        self.workers.end_idle(Duration::ZERO);
    }
}
