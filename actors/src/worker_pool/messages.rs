//! What the WorkerPool can be asked.

use std::sync::Arc;
use std::time::Duration;

use actix::Message;
use tokio::sync::oneshot;

use super::{Lease, RunningSlot};
use crate::domain::ProfileId;
use crate::ports::WorkerInfo;

/// Asks for a slot and a worker. Sent before the execution is on disk, so that a full queue costs no write and a free slot
/// no second one.
#[derive(Message)]
#[rtype(result = "Entered")]
pub struct Enter {
    /// Whose script it is.
    pub profile: ProfileId,
    /// For executions that were acknowledged before a restart: they are not refused.
    pub even_if_full: bool,
}

/// What came of [`Enter`].
#[derive(Debug)]
pub enum Entered {
    /// Run now.
    Granted(Lease),
    /// Wait for this. Dropping it leaves the queue. It closes without a word only when the pool is lost.
    Queued(oneshot::Receiver<Result<Lease, WaitEnd>>),
    /// Come back later.
    Full {
        /// When, at a guess.
        retry_after: Duration,
    },
    /// Never: the server is shutting down.
    Draining,
}

/// Asks for a running slot again, for a script that was paused and has its answer. It is never refused: paused scripts are
/// bounded in number, and it has a worker.
#[derive(Message)]
#[rtype(result = "Reentered")]
pub struct Reenter {
    /// Whose script it is.
    pub profile: ProfileId,
}

/// What came of [`Reenter`].
#[derive(Debug)]
pub enum Reentered {
    /// Go on now.
    Granted(RunningSlot),
    /// Wait for this. It closes without a word only when the pool is lost.
    Queued(oneshot::Receiver<RunningSlot>),
}

/// Why an execution that waited gets no lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitEnd {
    /// No worker can be started: the reason, in words for the operator.
    NoWorker(String),
    /// The server is shutting down: the execution stays pending on disk and runs after the next start.
    Draining,
}

/// How is the pool? For `/ready`.
#[derive(Message)]
#[rtype(result = "Condition")]
pub struct Inspect;

/// What came of [`Inspect`].
#[derive(Debug, Clone)]
pub struct Condition {
    /// Running slots taken.
    pub running: usize,
    /// Scripts paused without a slot.
    pub paused: usize,
    /// Executions that wait.
    pub queued: usize,
    /// Workers that are up.
    pub workers_ready: usize,
    /// Workers it keeps ready for whoever comes; 0: they are started when they are needed.
    pub warm: usize,
    /// What one of them said of itself.
    pub worker: Option<Arc<WorkerInfo>>,
    /// Why the last start failed, while no later one worked.
    pub last_failure: Option<String>,
    /// Whether the pool gives out no more leases.
    pub draining: bool,
}

impl Condition {
    /// Why no script would run now, in a sentence. Workers that are up run scripts whatever became of the last start, and
    /// none need be up where they are started when they are needed.
    pub fn problem(&self) -> Option<String> {
        match &self.last_failure {
            _ if self.workers_ready > 0 => None,
            Some(failure) => Some(format!("no worker can be started: {failure}")),
            None if self.warm > 0 => Some("no worker is ready yet".to_owned()),
            None => None,
        }
    }
}

impl<A, M> actix::dev::MessageResponse<A, M> for Entered
where
    A: actix::Actor,
    M: Message<Result = Self>,
{
    fn handle(self, _: &mut A::Context, sender: Option<actix::dev::OneshotSender<Self>>) {
        if let Some(sender) = sender {
            // A caller that is gone drops its lease or place here.
            let _ = sender.send(self);
        }
    }
}

impl<A, M> actix::dev::MessageResponse<A, M> for Reentered
where
    A: actix::Actor,
    M: Message<Result = Self>,
{
    fn handle(self, _: &mut A::Context, sender: Option<actix::dev::OneshotSender<Self>>) {
        if let Some(sender) = sender {
            let _ = sender.send(self);
        }
    }
}

impl<A, M> actix::dev::MessageResponse<A, M> for Condition
where
    A: actix::Actor,
    M: Message<Result = Self>,
{
    fn handle(self, _: &mut A::Context, sender: Option<actix::dev::OneshotSender<Self>>) {
        if let Some(sender) = sender {
            let _ = sender.send(self);
        }
    }
}

/// Give out no more leases: the server is shutting down.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;

/// Answered once no worker is left, those that were being started included. Only asked after [`Drain`].
#[derive(Message)]
#[rtype(result = "()")]
pub struct AllGone;
