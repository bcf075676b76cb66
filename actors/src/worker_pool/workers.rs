//! The workers there are, and which of them may run what: state, whose only side effect is to tell a worker to end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::ProfileId;
use crate::ports::{WorkerInfo, WorkerLink};

/// Workers started at a time: each start is a tenth of a second of a core.
const MOST_LAUNCHING: usize = 4;

enum Worker {
    Launching,
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
    /// Never changes once it is set (WP-1).
    profile: Option<ProfileId>,
    active: usize,
    /// How many of them are paused.
    paused: usize,
    idle_since: Instant,
    /// Takes no more scripts and ends with its last one: another profile waits for the room.
    retiring: bool,
}

pub(super) struct Workers {
    by_slot: BTreeMap<u32, Worker>,
    most: usize,
    generations: u64,
}

impl Workers {
    /// True when there is none, neither starting nor ending.
    pub(super) fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }

    pub(super) fn new(most: usize) -> Self {
        Self { by_slot: BTreeMap::new(), most, generations: 0 }
    }

    fn up(&self) -> impl Iterator<Item = (u32, &Up)> {
        self.by_slot.iter().filter_map(|(&slot, worker)| match worker {
            Worker::Up(up) => Some((slot, up)),
            Worker::Launching | Worker::Ending { .. } => None,
        })
    }

    fn of(&self, profile: &ProfileId) -> Option<(u32, &Up)> {
        self.up().find(|(_, up)| up.profile.as_ref() == Some(profile))
    }

    /// Whether a worker of this profile is up, retiring or not.
    pub(super) fn has(&self, profile: &ProfileId) -> bool {
        self.of(profile).is_some()
    }

    /// The worker that can run the next script of `profile`: its own, or one that is nobody's yet (WP-1). A profile has one
    /// worker at a time, so while its own retires it waits.
    pub(super) fn choose(&self, profile: &ProfileId) -> Option<u32> {
        match self.of(profile) {
            Some((slot, own)) => (!own.retiring).then_some(slot),
            None => self.up().find(|(_, up)| up.profile.is_none()).map(|(slot, _)| slot),
        }
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

    /// One script less on `slot`. An `abandoned` worker is destroyed, and a retiring one ended with its last script: then
    /// returns the profile that made room.
    pub(super) fn released(&mut self, slot: u32, of: u64, abandoned: bool) -> Option<ProfileId> {
        let Some(Worker::Up(up)) = self.by_slot.get_mut(&slot).filter(|worker| worker.is(of)) else { return None };
        up.active = up.active.saturating_sub(1);
        up.idle_since = Instant::now();
        let retired = up.profile.clone().filter(|_| up.retiring && up.active == 0);
        if abandoned {
            // Siblings may hold the link, and the guard may be past listening to frames.
            self.end_by(slot, WorkerLink::destroy);
        } else if retired.is_some() {
            self.end(slot);
        }
        retired
    }

    /// A script on `slot` paused, or goes on.
    pub(super) fn paused(&mut self, slot: u32, of: u64, paused: bool) {
        if let Some(Worker::Up(up)) = self.by_slot.get_mut(&slot).filter(|worker| worker.is(of)) {
            up.paused = if paused { up.paused + 1 } else { up.paused.saturating_sub(1) };
        }
    }

    /// Takes the lowest free slot for a worker that is about to be started.
    pub(super) fn begin_launch(&mut self) -> Option<u32> {
        if self.room() == 0 {
            return None;
        }
        let slot = (0..).find(|slot| !self.by_slot.contains_key(slot))?;
        self.by_slot.insert(slot, Worker::Launching);
        Some(slot)
    }

    /// The worker in `slot` is ready, for whoever comes first. Returns what tells it from others in the same slot.
    pub(super) fn launched(&mut self, slot: u32, link: Arc<dyn WorkerLink>, info: WorkerInfo) -> u64 {
        self.generations += 1;
        let generation = self.generations;
        let (info, idle_since) = (Arc::new(info), Instant::now());
        let up = Up { generation, link, info, profile: None, active: 0, paused: 0, idle_since, retiring: false };
        self.by_slot.insert(slot, Worker::Up(up));
        generation
    }

    /// The start in `slot` failed.
    pub(super) fn forget(&mut self, slot: u32) {
        self.by_slot.remove(&slot);
    }

    /// The process in `slot` is gone. True when nobody had asked for that.
    pub(super) fn exited(&mut self, slot: u32, of: u64) -> bool {
        if !self.by_slot.get(&slot).is_some_and(|worker| worker.is(of)) {
            return false;
        }
        matches!(self.by_slot.remove(&slot), Some(Worker::Up(_)))
    }

    /// Makes room for `count` workers more than there is, and takes back what was done for more than that. Ends the workers
    /// that are idle longest; where they do not suffice, those with the fewest scripts retire. Spares an idle worker whose
    /// profile `waits`: it is about to be used; and one with paused scripts: it would retire for as long as an LLM takes, up to
    /// a day, and its own profile could run nothing meanwhile.
    pub(super) fn make_room(&mut self, count: usize, waits: impl Fn(&ProfileId) -> bool) {
        let about_to_be_used = |up: &Up| up.profile.as_ref().is_none_or(|profile| up.active == 0 && waits(profile));
        let spare = |up: &Up| up.paused > 0 || about_to_be_used(up);
        let mut candidates: Vec<_> = self
            .up()
            .filter(|(_, up)| !spare(up))
            // Who retires already goes on doing so, or two that take turns as the least busy would both stay.
            .map(|(slot, up)| (up.active > 0, !up.retiring, up.active, up.idle_since, slot))
            .collect();
        candidates.sort_unstable();
        for (position, (busy, .., slot)) in candidates.into_iter().enumerate() {
            let goes = position < count;
            if goes && !busy {
                self.end(slot);
            } else if let Some(Worker::Up(up)) = self.by_slot.get_mut(&slot) {
                up.retiring = goes;
            }
        }
    }

    /// Ends the workers that ran nothing for `idle`, but for `warm` of those that are nobody's.
    pub(super) fn end_idle(&mut self, idle: Duration, warm: usize) {
        let (unbound, bound): (Vec<_>, Vec<_>) = self.up().partition(|(_, up)| up.profile.is_none());
        let surplus = unbound.into_iter().skip(warm).chain(bound);
        let idle_ones = surplus.filter(|(_, up)| up.active == 0 && up.idle_since.elapsed() >= idle);
        for slot in idle_ones.map(|(slot, _)| slot).collect::<Vec<_>>() {
            self.end(slot);
        }
    }

    fn end(&mut self, slot: u32) {
        self.end_by(slot, WorkerLink::shutdown);
    }

    fn end_by(&mut self, slot: u32, way: fn(&dyn WorkerLink)) {
        if let Some(Worker::Up(up)) = self.by_slot.get(&slot) {
            let generation = up.generation;
            way(&*up.link);
            self.by_slot.insert(slot, Worker::Ending { generation });
        }
    }

    fn count(&self, of: impl Fn(&Worker) -> bool) -> usize {
        self.by_slot.values().filter(|worker| of(worker)).count()
    }

    /// Workers that could be started beside those there are.
    pub(super) fn room(&self) -> usize {
        self.most.saturating_sub(self.by_slot.len())
    }

    pub(super) fn may_launch(&self) -> bool {
        self.room() > 0 && self.launching() < MOST_LAUNCHING
    }

    pub(super) fn launching(&self) -> usize {
        self.count(|worker| matches!(worker, Worker::Launching))
    }

    pub(super) fn ending(&self) -> usize {
        self.count(|worker| matches!(worker, Worker::Ending { .. }))
    }

    /// Workers without a profile, those being started included.
    pub(super) fn unbound(&self) -> usize {
        self.launching() + self.up().filter(|(_, up)| up.profile.is_none()).count()
    }

    pub(super) fn ready(&self) -> usize {
        self.up().count()
    }

    pub(super) fn any_info(&self) -> Option<Arc<WorkerInfo>> {
        self.up().next().map(|(_, up)| up.info.clone())
    }
}
