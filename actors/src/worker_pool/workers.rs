//! The workers there are, and which of them may run what: state without side effects but telling a worker to end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::ProfileId;
use crate::ports::{WorkerInfo, WorkerLink};

/// Workers started at a time: each start is a tenth of a second of a core.
const MOST_LAUNCHING: usize = 4;

/// What to do for the next script of a profile.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This worker can run it.
    Ready(u32),
    /// One has to be started.
    Launch,
    /// One is being started, or there is no room for one now.
    Wait,
}

enum Worker {
    Launching {
        profile: Option<ProfileId>,
    },
    Up(Up),
    /// Was told to end; its slot, and so its user, is not free before it has.
    Ending {
        generation: u64,
    },
}

impl Worker {
    fn is(&self, of: u64) -> bool {
        matches!(self, Self::Up(Up { generation, .. }) | Self::Ending { generation } if *generation == of)
    }
}

/// A worker that was given one more script to run.
pub(super) struct Bound {
    pub(super) slot: u32,
    pub(super) generation: u64,
    pub(super) link: Arc<dyn WorkerLink>,
    pub(super) info: Arc<WorkerInfo>,
}

struct Up {
    generation: u64,
    link: Arc<dyn WorkerLink>,
    info: Arc<WorkerInfo>,
    profile: Option<ProfileId>,
    active: usize,
    idle_since: Instant,
}

pub(super) struct Workers {
    by_slot: BTreeMap<u32, Worker>,
    most: usize,
    generations: u64,
}

impl Workers {
    pub(super) fn new(most: usize) -> Self {
        Self { by_slot: BTreeMap::new(), most, generations: 0 }
    }

    fn up(&self) -> impl Iterator<Item = (u32, &Up)> {
        self.by_slot.iter().filter_map(|(&slot, worker)| match worker {
            Worker::Up(up) => Some((slot, up)),
            Worker::Launching { .. } | Worker::Ending { .. } => None,
        })
    }

    /// Which worker is to run the next script of `profile` (WP-1). Ends an idle worker of another profile when there is no
    /// room otherwise.
    pub(super) fn choose(&mut self, profile: &ProfileId) -> Choice {
        if let Some((slot, _)) = self.up().find(|(_, up)| up.profile.as_ref() == Some(profile)) {
            return Choice::Ready(slot);
        }
        if let Some((slot, _)) = self.up().find(|(_, up)| up.profile.is_none()) {
            return Choice::Ready(slot);
        }
        let launching = |worker: &Worker| matches!(worker, Worker::Launching { profile: for_whom } if for_whom.is_none() || for_whom.as_ref() == Some(profile));
        if self.by_slot.values().any(launching) {
            return Choice::Wait;
        }
        if self.launching() >= MOST_LAUNCHING {
            return Choice::Wait;
        }
        if self.has_room() {
            return Choice::Launch;
        }
        self.end_longest_idle();
        Choice::Wait
    }

    /// Binds the worker in `slot`, if it was not, and counts one more script on it.
    pub(super) fn bind(&mut self, slot: u32, profile: &ProfileId) -> Option<Bound> {
        let Some(Worker::Up(up)) = self.by_slot.get_mut(&slot) else { return None };
        if *up.profile.get_or_insert_with(|| profile.clone()) != *profile {
            return None;
        }
        up.active += 1;
        Some(Bound { slot, generation: up.generation, link: up.link.clone(), info: up.info.clone() })
    }

    /// One script less on `slot`.
    pub(super) fn released(&mut self, slot: u32, of: u64, abandoned: bool) {
        if let Some(Worker::Up(up)) = self.by_slot.get_mut(&slot).filter(|worker| worker.is(of)) {
            up.active = up.active.saturating_sub(1);
            up.idle_since = Instant::now();
            if abandoned {
                self.end(slot);
            }
        }
    }

    /// Takes the lowest free slot for a worker that is about to be started.
    pub(super) fn begin_launch(&mut self, profile: Option<ProfileId>) -> Option<u32> {
        if !self.has_room() {
            return None;
        }
        let slot = (0..).find(|slot| !self.by_slot.contains_key(slot))?;
        self.by_slot.insert(slot, Worker::Launching { profile });
        Some(slot)
    }

    /// The worker in `slot` is ready. Returns what tells it from others in the same slot.
    pub(super) fn launched(&mut self, slot: u32, link: Arc<dyn WorkerLink>, info: WorkerInfo) -> u64 {
        self.generations += 1;
        let up = Up {
            generation: self.generations,
            link,
            info: Arc::new(info),
            // Unbound even when it was started for a profile: whoever comes first may have it, and WP-1 holds.
            profile: None,
            active: 0,
            idle_since: Instant::now(),
        };
        self.by_slot.insert(slot, Worker::Up(up));
        self.generations
    }

    /// The start in `slot` failed.
    pub(super) fn forget(&mut self, slot: u32) {
        self.by_slot.remove(&slot);
    }

    /// The process in `slot` is gone. True when nobody had asked for that.
    pub(super) fn exited(&mut self, slot: u32, of: u64) -> bool {
        match self.by_slot.get(&slot) {
            Some(Worker::Up(up)) if up.generation == of => {
                self.by_slot.remove(&slot);
                true
            }
            Some(Worker::Ending { generation }) if *generation == of => {
                self.by_slot.remove(&slot);
                false
            }
            _ => false,
        }
    }

    /// Ends the bound workers that ran nothing for `idle`.
    pub(super) fn end_idle(&mut self, idle: Duration) {
        let idle_ones: Vec<u32> = self
            .up()
            .filter(|(_, up)| {
                up.active == 0 && (up.profile.is_some() || idle.is_zero()) && up.idle_since.elapsed() >= idle
            })
            .map(|(slot, _)| slot)
            .collect();
        for slot in idle_ones {
            self.end(slot);
        }
    }

    fn end_longest_idle(&mut self) {
        let idle = self.up().filter(|(_, up)| up.active == 0);
        if let Some(slot) = idle.min_by_key(|(_, up)| up.idle_since).map(|(slot, _)| slot) {
            self.end(slot);
        }
    }

    fn end(&mut self, slot: u32) {
        if let Some(Worker::Up(up)) = self.by_slot.get(&slot) {
            let generation = up.generation;
            up.link.shutdown();
            self.by_slot.insert(slot, Worker::Ending { generation });
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.by_slot.len() < self.most
    }

    /// Workers without a profile, those being started included.
    pub(super) fn unbound(&self) -> usize {
        let unbound = |worker: &&Worker| match worker {
            Worker::Launching { .. } => true,
            Worker::Up(up) => up.profile.is_none(),
            Worker::Ending { .. } => false,
        };
        self.by_slot.values().filter(unbound).count()
    }

    pub(super) fn launching(&self) -> usize {
        self.by_slot.values().filter(|worker| matches!(worker, Worker::Launching { .. })).count()
    }

    pub(super) fn ready(&self) -> usize {
        self.up().count()
    }

    pub(super) fn any_info(&self) -> Option<Arc<WorkerInfo>> {
        self.up().next().map(|(_, up)| up.info.clone())
    }
}
