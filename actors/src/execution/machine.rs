//! The rules of an execution's life: a pure function from a state, an event and the time to a state and effects.
//!
//! ```text
//!             stored (slot at hand)                 prepared
//! Accepting ───────────────────────────▶ Starting ──────────▶ Running ──deadline, stop──▶ Stopping
//!     │ stored (no slot yet)                ▲  │ stop           ▲ │ │ ended, lost            │ ended, lost, overdue
//!     ▼                          stored     │  ▼                └─┘ ▼                        ▼
//!  Pending ──granted──▶ Claiming ───────────┘  Finishing ◀──────────────────────────────────┘
//!     │ stop, no worker    │ stop, then stored    ▲ │ stored
//!     └────────────────────┴──────────────────────┘ ▼
//!                                                 Final
//! ```
//!
//! Running has rules of its own for what the script asks its LLM (`waits`): it pauses and goes on there.
//!
//! A shutdown leads straight to Final where nothing was claimed: the record stays pending on disk and runs after the next
//! start. So it does for what is to be replayed, once the script has been ended: its record stays as it is.

use std::time::Duration;

use jiff::Timestamp;

use super::waits::{Batch, Note, Waits};
use crate::domain::{ErrorType, LlmRequestId, Status};

/// How long a worker may take to end a script that it was told to end, before the worker is ended.
pub(super) const KILL_GRACE: Duration = Duration::from_secs(10);

/// Where an execution is, in more detail than its status says. What is valid in one state only lives in its variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// The record is being written. What happens meanwhile is remembered and acted upon once it is on disk.
    Accepting {
        /// The record says `running` already: a slot was at hand when the write began.
        claimed: bool,
        /// What came of the wait for a slot.
        slot: Slot,
        /// Somebody wants it to end.
        stopped: Option<StopReason>,
    },
    /// On disk, waiting for a slot.
    Pending,
    /// A slot is at hand; that the script starts is being written down, so that it never starts twice.
    Claiming {
        /// Somebody wants it to end.
        stopped: Option<StopReason>,
    },
    /// On disk as running; the values it is given are not there yet, so the worker has not heard of it.
    Starting,
    /// The script runs, or waits for its LLM.
    Running(Waits),
    /// The script was told to end.
    Stopping {
        /// Why.
        reason: StopReason,
        /// The worker did not do it in time and was given up.
        abandoned: bool,
    },
    /// The script has ended; the final record is being written.
    Finishing,
    /// Over.
    Final,
}

/// What came of the wait for a slot while the record was being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Nothing yet.
    Awaited,
    /// It is at hand.
    Granted,
    /// There will be no worker.
    NoWorker,
    /// The server is shutting down.
    Draining,
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
    /// Its profile was suspended, by another execution that leaked or by a person.
    Suspended,
    /// The agent or a person cancelled it.
    Cancelled,
    /// Replayed, it asked something else than before.
    Diverged,
    /// The server is shutting down.
    Shutdown,
}

/// What the rules must know of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// Running time it may use.
    pub(super) timeout: Duration,
    /// Whether it starts again from the top when the server stops under it.
    pub(super) replay: bool,
}

/// What can happen to an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    Draining,
    /// The values are there, or it is certain that they can't be had.
    Prepared,
    /// The worker reported the end.
    Ended,
    /// The worker is gone.
    Lost,
    /// The script asked its LLM.
    Asked(Batch),
    /// What was to be noted is on disk.
    Noted,
    /// A question got its end: an answer, or its time is up.
    QuestionEnded(LlmRequestId),
    /// The worker says that the script stands still, so many batches having been delivered.
    Paused(u32),
    /// A script that was paused has a running slot again.
    SlotTaken,
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
    /// Tell whoever submitted it that it is on disk.
    Acknowledge,
    /// Write the record as running, again and again until it is on disk, then say `Stored`.
    StoreClaim,
    /// Show the record to those who poll.
    Publish,
    /// Say `Prepared` as soon as the values are there; they were asked for when the slot was granted.
    AwaitValues,
    /// Hand the script to the worker, and have the timer go off at this moment.
    Start(Timestamp),
    /// Have the timer go off at this moment.
    ArmDeadline(Timestamp),
    /// Write this down, again and again until it is on disk, then say `Noted`.
    Note(Note),
    /// Say `QuestionEnded` when nobody has answered by then.
    AwaitAnswer(LlmRequestId, Timestamp),
    /// Tell those who answered this that it is on disk.
    Acknowledged(LlmRequestId),
    /// Give the running slot back, for as long as the script stands still.
    GiveSlotBack,
    /// Ask for a running slot again, and say `SlotTaken` when it is there.
    TakeSlot,
    /// Give the script the answers to this batch, in this order: it goes on.
    Deliver(u32, Vec<LlmRequestId>),
    /// Have the worker end the script, and the overdue timer go off after [`KILL_GRACE`].
    Kill,
    /// End the worker, which did not do as it was told, and have the overdue timer go off once more.
    AbandonWorker,
    /// Scrub what was captured and write the final record, again and again until it is on disk, then say `Stored`.
    Finish(Verdict),
    /// Nothing is left to do: the actor ends, and gives back its slot or its place in the queue.
    Retire,
}

impl State {
    /// The next state and what to do. Events that a state has no use for, late ones above all, change nothing.
    pub(super) fn step(self, event: Event, now: Timestamp, terms: Terms) -> (Self, Vec<Effect>) {
        match (self, event) {
            (Self::Accepting { claimed, slot, stopped }, event) => {
                Self::accepting(claimed, slot, stopped, &event, terms)
            }

            (Self::Pending, Event::Granted) => (Self::Claiming { stopped: None }, vec![Effect::StoreClaim]),
            (Self::Pending, Event::NoWorker) => Self::finishing(Verdict::NoWorker),
            // It stays pending on disk, and runs after the next start.
            (Self::Pending, Event::Draining | Event::Stop(StopReason::Shutdown)) => (Self::Final, vec![Effect::Retire]),
            (Self::Pending, Event::Stop(reason)) => Self::finishing(Verdict::Stopped(reason)),

            (Self::Claiming { stopped: Some(reason) }, Event::Stored) => Self::stopped_early(reason, terms),
            (Self::Claiming { stopped: None }, Event::Stored) => Self::starting(),
            (Self::Claiming { stopped: None }, Event::Stop(reason)) => {
                (Self::Claiming { stopped: Some(reason) }, Vec::new())
            }

            (Self::Starting, Event::Prepared) => {
                let deadline = now.saturating_add(terms.timeout).unwrap_or(Timestamp::MAX);
                (Self::Running(Waits::started(now, deadline)), vec![Effect::Start(deadline)])
            }
            (Self::Starting, Event::Stop(reason)) => Self::stopped_early(reason, terms),

            (Self::Running(waits), event) => Self::running(waits, event, now, terms),

            (Self::Stopping { reason, .. }, Event::Ended | Event::Lost)
            | (Self::Stopping { reason, abandoned: true }, Event::KillOverdue) => Self::stopped_early(reason, terms),
            (Self::Stopping { reason, abandoned: false }, Event::KillOverdue) => {
                (Self::Stopping { reason, abandoned: true }, vec![Effect::AbandonWorker])
            }

            (Self::Finishing, Event::Stored) => (Self::Final, vec![Effect::Publish, Effect::Retire]),

            (state, _) => (state, Vec::new()),
        }
    }

    /// The script runs or waits for its LLM.
    fn running(mut waits: Waits, event: Event, now: Timestamp, terms: Terms) -> (Self, Vec<Effect>) {
        let effects = match event {
            Event::Ended => return Self::finishing(Verdict::AsReported),
            Event::Lost => return Self::finishing(Verdict::WorkerLost),
            Event::Deadline(of) if waits.is_up(of) => {
                return (Self::Stopping { reason: StopReason::Timeout, abandoned: false }, vec![Effect::Kill]);
            }
            Event::Stop(reason) => return (Self::Stopping { reason, abandoned: false }, vec![Effect::Kill]),
            Event::Asked(batch) => waits.asked(batch),
            Event::Noted => waits.noted(),
            Event::QuestionEnded(id) => waits.ended(id),
            Event::Paused(delivered) => waits.paused(delivered, now),
            Event::SlotTaken => waits.granted(now, terms.timeout),
            _ => Vec::new(),
        };
        (Self::Running(waits), effects)
    }

    /// It was told to end after it may have started.
    fn stopped_early(reason: StopReason, terms: Terms) -> (Self, Vec<Effect>) {
        match reason {
            // Its record says that it was running: the next start has it run again.
            StopReason::Shutdown if terms.replay => (Self::Final, vec![Effect::Retire]),
            reason => Self::finishing(Verdict::Stopped(reason)),
        }
    }

    fn accepting(
        claimed: bool,
        slot: Slot,
        stopped: Option<StopReason>,
        event: &Event,
        terms: Terms,
    ) -> (Self, Vec<Effect>) {
        let still = |slot, stopped| (Self::Accepting { claimed, slot, stopped }, Vec::new());
        match event {
            Event::NotStored => (Self::Final, vec![Effect::Retire]),
            Event::Granted => still(Slot::Granted, stopped),
            Event::NoWorker => still(Slot::NoWorker, stopped),
            Event::Draining => still(Slot::Draining, stopped),
            Event::Stop(reason) => still(slot, stopped.or(Some(*reason))),
            Event::Stored => {
                let (state, effects) = Self::accepted(claimed, slot, stopped, terms);
                (state, [vec![Effect::Publish, Effect::Acknowledge], effects].concat())
            }
            _ => still(slot, stopped),
        }
    }

    /// What goes on once the first record is on disk and acknowledged: what was remembered happens now.
    fn accepted(claimed: bool, slot: Slot, stopped: Option<StopReason>, terms: Terms) -> (Self, Vec<Effect>) {
        match (stopped, slot) {
            (Some(StopReason::Shutdown), _) if !claimed => (Self::Final, vec![Effect::Retire]),
            (Some(reason), _) => Self::stopped_early(reason, terms),
            (None, _) if claimed => Self::starting(),
            (None, Slot::Granted) => (Self::Claiming { stopped: None }, vec![Effect::StoreClaim]),
            (None, Slot::NoWorker) => Self::finishing(Verdict::NoWorker),
            (None, Slot::Draining) => (Self::Final, vec![Effect::Retire]),
            (None, Slot::Awaited) => (Self::Pending, Vec::new()),
        }
    }

    fn starting() -> (Self, Vec<Effect>) {
        (Self::Starting, vec![Effect::Publish, Effect::AwaitValues])
    }

    fn finishing(verdict: Verdict) -> (Self, Vec<Effect>) {
        (Self::Finishing, vec![Effect::Finish(verdict)])
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
            Self::Stopped(StopReason::Suspended) => (
                Status::Cancelled,
                ErrorType::Cancelled,
                "Cancelled: the profile was suspended while the script was waiting or running; ask a person".to_owned(),
            ),
            Self::Stopped(StopReason::Cancelled) => (
                Status::Cancelled,
                ErrorType::Cancelled,
                "Cancelled: its agent or an administrator ended it while it was waiting or running; what it did until then stays done".to_owned(),
            ),
            Self::Stopped(StopReason::Diverged) => (
                Status::Error,
                ErrorType::ReplayDiverged,
                "ReplayDiverged: started again after a restart, the script asked its LLM something else than before; it may have \
                 had effects, check before you run it again; replay only scripts that ask the same whenever they run"
                    .to_owned(),
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
