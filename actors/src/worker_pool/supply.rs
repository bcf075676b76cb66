//! The pool's supply of workers: starting them, keeping some warm, making room for the profiles that wait for one.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::lease::Signal;
use super::{WaitEnd, WorkerPool};
use crate::ports::{LaunchError, LaunchedWorker};

/// After so many failed starts in a row, executions that wait for a worker are told instead of being kept.
const GIVE_UP_AFTER_FAILURES: u32 = 5;
/// Pause after a failed start; doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

impl WorkerPool {
    /// Starts workers for the profiles that wait without one, makes room for them where there is none, and sees that
    /// enough are warm.
    pub(super) fn supply(&mut self, context: &mut Context<Self>) {
        let wanted = self.homeless();
        let coming = self.workers.unbound() + self.workers.room() + self.workers.ending();
        self.workers.make_room(wanted.saturating_sub(coming), |profile| self.queue.has(profile));
        let wanted = wanted.max(self.config.warm);
        while self.failures == 0 && self.workers.unbound() < wanted && self.workers.may_launch() {
            self.launch(context);
        }
    }

    /// How many of the profiles that wait without a worker should have one: as many as have a free slot to run in, and
    /// always the next. None while no worker can be started: nobody's worker is ended for one that will not come.
    fn homeless(&self) -> usize {
        if self.failures > 0 {
            return 0;
        }
        let waiting = self.queue.iter().filter(|(profile, waiters)| {
            !self.workers.has(profile) && waiters.iter().any(|waiter| !waiter.is_closed())
        });
        waiting.take(self.free_slots().max(1)).count()
    }

    fn launch(&mut self, context: &mut Context<Self>) {
        let Some(slot) = self.workers.begin_launch() else { return };
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
            self.give_up(&error);
        }
        self.last_failure = Some(error);
        let doublings = self.failures.saturating_sub(1).min(10);
        let pause = FIRST_RETRY.saturating_mul(1 << doublings).min(LONGEST_RETRY);
        context.run_later(pause, |pool, context| {
            // One try at a time: what comes of it decides whether the rest follows.
            if !pool.draining && pool.workers.launching() == 0 {
                pool.launch(context);
            }
        });
    }

    /// Tells those who wait for a worker that there will be none. Whose worker is up only waits for a slot, and is kept.
    fn give_up(&mut self, error: &LaunchError) {
        let workers = &self.workers;
        for waiter in self.queue.drain(|profile| workers.choose(profile).is_none()) {
            let _ = waiter.send(Err(WaitEnd::NoWorker(error.0.clone())));
        }
    }
}
