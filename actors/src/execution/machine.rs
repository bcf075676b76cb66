//! The rules of an execution's life: a pure function from a state, an event and the time to a state and effects.
//!
//! ```text
//!             stored (slot at hand)
//! Accepting ────────────────────────────────▶ Running ──deadline, cancel, shutdown──▶ Stopping
//!     │ stored (no slot yet)                    ▲  │ ended, lost                        │ ended, lost
//!     ▼                          stored         │  ▼                                    ▼
//!  Pending ──granted──▶ Claiming ───────────────┘  Finishing ◀──────────────────────────┘
//!     │ cancel, no worker  │ cancel, then stored        ▲ │ stored
//!     └────────────────────┴────────────────────────────┘ ▼
//!                                                       Final
//! ```
//!
//! The wait for the agent's LLM will be one more state between Running and itself; [`Status::AwaitingLlm`] is its status.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{ErrorType, Status};

/// How long a worker may take to end a script that it was told to end, before the worker is ended.
pub(super) const KILL_GRACE: Duration = Duration::from_secs(10);

/// Where an execution is, in more detail than [`Status`] says. What is valid in one state only lives in its variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// The record is being written. `granted`: a slot is at hand; `claimed`: it was when the write began, so that the
    /// record says `running` already and no second write is needed.
    Accepting { claimed: bool, granted: bool, cancelled: Option<StopReason> },
    /// On disk, waiting for a slot.
    Pending,
    /// A slot is at hand; that the script starts is being written down, so that it never starts twice.
    Claiming { cancelled: Option<StopReason> },
    /// The script runs.
    Running { deadline: Timestamp },
    /// The script was told to end, for this reason.
    Stopping { reason: StopReason },
    /// The script has ended; the final record is being written.
    Finishing,
    /// Over.
    Final,
}

/// Why a script was told to end before its own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Its running time was up.
    Timeout,
    /// Its profile was revoked.
    Revoked,
    /// Its profile expired.
    Expired,
    /// The server is shutting down.
    Shutdown,
}

/// What can happen to an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The write that was under way is on disk.
    Stored,
    /// The first write failed: the execution was never acknowledged.
    NotStored,
    /// A slot is at hand.
    Granted,
    /// There will be no worker.
    NoWorker,
    /// The pool is shutting down: no slot before the next start.
    LeftQueue,
    /// The worker reported the end.
    Ended,
    /// The worker is gone.
    Lost,
    /// A timer armed for this moment went off.
    Deadline(Timestamp),
    /// The worker did not end the script in time.
    KillOverdue,
    /// Somebody wants it to end.
    Stop(StopReason),
}

/// How an execution ended, where that is not the worker's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As the worker said.
    AsReported,
    /// Told to end.
    Stopped(StopReason),
    /// Its worker died.
    WorkerLost,
    /// No worker could be started.
    NoWorker,
}

/// What the actor must do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Tell whoever submitted it that it is on disk, or is not.
    Acknowledge(bool),
    /// Write the record as running, again and again until it is on disk, then say `Stored`.
    StoreClaim,
    /// Show the record to those who poll.
    Publish,
    /// Hand the script to the worker.
    Start,
    /// Have the timer go off then.
    Arm(Timestamp),
    /// Have the worker end the script, and the overdue timer go off after [`KILL_GRACE`].
    Kill,
    /// End the worker: it did not do as it was told.
    AbandonWorker,
    /// Give the slot back, or leave the queue.
    Release,
    /// Scrub what was captured and write the final record, again and again until it is on disk, then say `Stored`.
    Finish(Verdict),
    /// Nothing is left to do: the actor ends.
    Retire,
}

impl State {
    /// The next state and what to do. Events that a state has no use for, late ones above all, change nothing.
    pub(super) fn step(self, event: Event, now: Timestamp, timeout: Duration) -> (Self, Vec<Effect>) {
        match (self, event) {
            (Self::Accepting { cancelled: Some(reason), .. }, Event::Stored) => (
                Self::Finishing,
                vec![Effect::Acknowledge(true), Effect::Release, Effect::Finish(Verdict::Stopped(reason))],
            ),
            (Self::Accepting { claimed: true, .. }, Event::Stored) => {
                let (state, effects) = Self::started(now, timeout);
                (state, [vec![Effect::Acknowledge(true)], effects].concat())
            }
            (Self::Accepting { claimed: false, granted, .. }, Event::Stored) => {
                let on_disk = vec![Effect::Publish, Effect::Acknowledge(true)];
                if granted {
                    (Self::Claiming { cancelled: None }, [on_disk, vec![Effect::StoreClaim]].concat())
                } else {
                    (Self::Pending, on_disk)
                }
            }
            (Self::Accepting { .. }, Event::NotStored) => {
                (Self::Final, vec![Effect::Acknowledge(false), Effect::Release, Effect::Retire])
            }
            (Self::Accepting { claimed, cancelled, .. }, Event::Granted) => {
                (Self::Accepting { claimed, granted: true, cancelled }, Vec::new())
            }
            // Without a slot a shutdown leaves it pending: the pool will say `LeftQueue`.
            (Self::Accepting { claimed, granted, .. }, Event::Stop(reason))
                if granted || reason != StopReason::Shutdown =>
            {
                (Self::Accepting { claimed, granted, cancelled: Some(reason) }, Vec::new())
            }

            (Self::Pending, Event::Granted) => (Self::Claiming { cancelled: None }, vec![Effect::StoreClaim]),
            (Self::Pending, Event::NoWorker) => (Self::Finishing, vec![Effect::Finish(Verdict::NoWorker)]),
            // It stays pending on disk, and runs after the next start.
            (Self::Pending, Event::LeftQueue | Event::Stop(StopReason::Shutdown)) => {
                (Self::Final, vec![Effect::Release, Effect::Retire])
            }
            (Self::Pending, Event::Stop(reason)) => {
                (Self::Finishing, vec![Effect::Release, Effect::Finish(Verdict::Stopped(reason))])
            }

            (Self::Claiming { cancelled: Some(reason) }, Event::Stored) => {
                (Self::Finishing, vec![Effect::Release, Effect::Finish(Verdict::Stopped(reason))])
            }
            (Self::Claiming { cancelled: None }, Event::Stored) => Self::started(now, timeout),
            (Self::Claiming { cancelled: None }, Event::Stop(reason)) => {
                (Self::Claiming { cancelled: Some(reason) }, Vec::new())
            }

            (Self::Running { .. }, Event::Ended) => {
                (Self::Finishing, vec![Effect::Release, Effect::Finish(Verdict::AsReported)])
            }
            (Self::Running { .. }, Event::Lost) => {
                (Self::Finishing, vec![Effect::Release, Effect::Finish(Verdict::WorkerLost)])
            }
            (Self::Running { deadline }, Event::Deadline(of)) if of == deadline => {
                (Self::Stopping { reason: StopReason::Timeout }, vec![Effect::Kill])
            }
            (Self::Running { .. }, Event::Stop(reason)) => (Self::Stopping { reason }, vec![Effect::Kill]),

            (Self::Stopping { reason }, Event::Ended | Event::Lost) => {
                (Self::Finishing, vec![Effect::Release, Effect::Finish(Verdict::Stopped(reason))])
            }
            (Self::Stopping { reason }, Event::KillOverdue) => (Self::Stopping { reason }, vec![Effect::AbandonWorker]),

            (Self::Finishing, Event::Stored) => (Self::Final, vec![Effect::Publish, Effect::Retire]),

            (state, _) => (state, Vec::new()),
        }
    }

    fn started(now: Timestamp, timeout: Duration) -> (Self, Vec<Effect>) {
        let deadline = now.saturating_add(timeout).unwrap_or(Timestamp::MAX);
        (Self::Running { deadline }, vec![Effect::Publish, Effect::Start, Effect::Arm(deadline)])
    }
}

impl Verdict {
    /// The final status, the kind of the error and its sentence; `None` where the worker's word decides.
    pub(super) fn explained(&self, timeout: Duration) -> Option<(Status, ErrorType, String)> {
        let seconds = timeout.as_secs();
        let explained = match self {
            Self::AsReported => return None,
            Self::Stopped(StopReason::Timeout) => (
                Status::Timeout,
                ErrorType::ScriptTimeout,
                format!("ScriptTimeout: the script ran longer than its {seconds} s; make it faster or send a larger \"timeout\""),
            ),
            Self::Stopped(StopReason::Revoked) => (
                Status::Cancelled,
                ErrorType::Cancelled,
                "Cancelled: the profile was revoked while the script was waiting or running".to_owned(),
            ),
            Self::Stopped(StopReason::Expired) => (
                Status::Cancelled,
                ErrorType::Cancelled,
                "Cancelled: the profile expired while the script was waiting or running".to_owned(),
            ),
            Self::Stopped(StopReason::Shutdown) => (Status::Error, ErrorType::Interrupted, INTERRUPTED.to_owned()),
            Self::WorkerLost => (
                Status::Error,
                ErrorType::WorkerLost,
                "WorkerLost: the worker died while the script was running; it may have had effects, check before you run it again"
                    .to_owned(),
            ),
            Self::NoWorker => (
                Status::Error,
                ErrorType::WorkerUnavailable,
                "WorkerUnavailable: no worker could be started; the script did not run, ask the person who runs Airlock"
                    .to_owned(),
            ),
        };
        Some(explained)
    }
}

/// What an execution is told that was running when the server stopped.
pub(super) const INTERRUPTED: &str = "Interrupted: the server stopped while the script was running; it may have had effects, check before you run it again";
