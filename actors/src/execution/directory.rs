//! The executions that are alive: polls read here without going through a mailbox, and whoever must stop them finds them
//! here.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{Notify, mpsc, watch};

use super::StopReason;
use crate::domain::{ExecutionId, ExecutionView, ProfileId};

struct Live {
    profile_id: ProfileId,
    view: watch::Receiver<ExecutionView>,
    stop: mpsc::UnboundedSender<StopReason>,
}

/// See the module. Cheap to clone.
#[derive(Clone, Default)]
pub struct Directory {
    live: Arc<DashMap<ExecutionId, Live>>,
    /// Revoked profiles: a submission that was authorized just before is stopped when it arrives here.
    ended: Arc<DashMap<ProfileId, StopReason>>,
    left: Arc<Notify>,
}

/// The ends that an Execution keeps of what the directory knows of it.
pub struct Seat {
    pub(super) view: watch::Sender<ExecutionView>,
    pub(super) stops: mpsc::UnboundedReceiver<StopReason>,
}

impl Directory {
    /// Makes an execution known. `view` is not shown before somebody knows the id, which is when it is on disk.
    pub fn enter(&self, view: ExecutionView) -> Seat {
        let (id, profile_id) = (view.record.id.clone(), view.record.profile_id.clone());
        let (view, watched) = watch::channel(view);
        let (stop, stops) = mpsc::unbounded_channel();
        self.live.insert(id, Live { profile_id: profile_id.clone(), view: watched, stop: stop.clone() });
        // After the insertion, while `stop_profile` marks before it looks: one of the two sees the other.
        if let Some(reason) = self.ended.get(&profile_id) {
            let _ = stop.send(*reason);
        }
        Seat { view, stops }
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

    /// Stops whatever a revoked profile has, and whatever may still arrive for it.
    pub fn stop_revoked(&self, profile_id: &ProfileId) {
        self.ended.insert(profile_id.clone(), StopReason::Revoked);
        self.stop_profile(profile_id, StopReason::Revoked);
    }

    /// Stops whatever a profile has now.
    pub fn stop_profile(&self, profile_id: &ProfileId, reason: StopReason) {
        for live in self.live.iter().filter(|live| live.profile_id == *profile_id) {
            let _ = live.stop.send(reason);
        }
    }

    /// Stops everything.
    pub fn stop_all(&self, reason: StopReason) {
        for live in self.live.iter() {
            let _ = live.stop.send(reason);
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
