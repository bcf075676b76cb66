//! The executions that are alive: polls read here without going through a mailbox, and whoever must stop them finds them
//! here.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{Notify, mpsc, watch};

use super::StopReason;
use super::live::LiveOutput;
use super::questions::Respond;
use crate::domain::{ExecutionId, ExecutionView, ProfileId};

struct Live {
    profile_id: ProfileId,
    view: watch::Receiver<ExecutionView>,
    output: Arc<LiveOutput>,
    commands: mpsc::UnboundedSender<Command>,
}

/// What an Execution is told from outside. Bounded by who can tell: requests that wait for what comes of it, and ends.
pub(crate) enum Command {
    /// End.
    Stop(StopReason),
    /// Take an answer.
    Respond(Respond),
    /// Somebody looks at the output: begin to publish it.
    ShowOutput,
}

/// See the module. Cheap to clone.
#[derive(Clone, Default)]
pub struct Directory {
    live: Arc<DashMap<ExecutionId, Live>>,
    /// Revoked and suspended profiles: a submission that was authorized just before is stopped when it arrives here.
    ended: Arc<DashMap<ProfileId, StopReason>>,
    left: Arc<Notify>,
}

/// The ends that an Execution keeps of what the directory knows of it.
pub struct Seat {
    pub(super) view: watch::Sender<ExecutionView>,
    pub(super) output: Arc<LiveOutput>,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
}

impl Directory {
    /// Makes an execution known. `view` is not shown before somebody knows the id, which is when it is on disk.
    pub fn enter(&self, view: ExecutionView) -> Seat {
        let (id, profile_id) = (view.record.id.clone(), view.record.profile_id.clone());
        let (view, watched) = watch::channel(view);
        let (commands, told) = mpsc::unbounded_channel();
        let output = Arc::<LiveOutput>::default();
        let live =
            Live { profile_id: profile_id.clone(), view: watched, output: output.clone(), commands: commands.clone() };
        self.live.insert(id, live);
        // After the insertion, while `stop_profile` marks before it looks: one of the two sees the other.
        if let Some(reason) = self.ended.get(&profile_id) {
            let _ = commands.send(Command::Stop(*reason));
        }
        Seat { view, output, commands: told }
    }

    /// Forgets an execution: from now on it is read from the store.
    pub(super) fn leave(&self, id: &ExecutionId) {
        self.live.remove(id);
        self.left.notify_waiters();
    }

    /// What a poll shows of a live execution.
    pub fn view(&self, id: &ExecutionId) -> Option<ExecutionView> {
        self.live.get(id).map(|live| live.view.borrow().clone())
    }

    /// Looks at each live execution in turn.
    pub fn each(&self, mut look: impl FnMut(&ExecutionView)) {
        for live in self.live.iter() {
            look(&live.view.borrow());
        }
    }

    /// To wait for a live execution to change.
    pub fn watch(&self, id: &ExecutionId) -> Option<watch::Receiver<ExecutionView>> {
        self.live.get(id).map(|live| live.view.clone())
    }

    /// Tells a live execution something; false when it is not live.
    pub(crate) fn tell(&self, id: &ExecutionId, command: Command) -> bool {
        self.live.get(id).is_some_and(|live| live.commands.send(command).is_ok())
    }

    /// What a live execution has printed so far, to look at and to wait for.
    pub(crate) fn output(&self, id: &ExecutionId) -> Option<Arc<LiveOutput>> {
        let live = self.live.get(id)?;
        let _ = live.commands.send(Command::ShowOutput);
        Some(live.output.clone())
    }

    /// Stops whatever a revoked profile has, and whatever may still arrive for it.
    pub fn stop_revoked(&self, profile_id: &ProfileId) {
        self.ended.insert(profile_id.clone(), StopReason::Revoked);
        self.stop_profile(profile_id, StopReason::Revoked);
    }

    /// Stops whatever a suspended profile has, and whatever may still arrive for it until [`Self::lift`].
    pub fn stop_suspended(&self, profile_id: &ProfileId) {
        self.ended.entry(profile_id.clone()).or_insert(StopReason::Suspended);
        self.stop_profile(profile_id, StopReason::Suspended);
    }

    /// A person lifted the suspension. A revocation stays.
    pub fn lift(&self, profile_id: &ProfileId) {
        self.ended.remove_if(profile_id, |_, reason| *reason == StopReason::Suspended);
    }

    /// Stops whatever a profile has now.
    pub fn stop_profile(&self, profile_id: &ProfileId, reason: StopReason) {
        for live in self.live.iter().filter(|live| live.profile_id == *profile_id) {
            let _ = live.commands.send(Command::Stop(reason));
        }
    }

    /// Stops everything.
    pub fn stop_all(&self, reason: StopReason) {
        for live in self.live.iter() {
            let _ = live.commands.send(Command::Stop(reason));
        }
    }

    /// Resolves once no execution is left.
    pub async fn empty(&self) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if self.live.is_empty() {
                return;
            }
            left.await;
        }
    }
}
