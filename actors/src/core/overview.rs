//! How it went lately: executions by outcome over a stretch of time, how long they ran, and what was suspicious.
//!
//! - It reads at most [`MOST_COUNTED`] records, the newest, and says from when on it has counted (OV-1).
//! - However often it is asked for, it takes no more than a small part of a core: an answer is given again for
//!   [`REUSE`] times as long as it took to make (OV-2).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{Core, Unavailable};
use crate::domain::{ExecutionRecord, Status};
use crate::ports::{ExecutionQuery, Store, StoreError};

/// The stretches of time that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Span {
    /// 60 minutes, by the minute.
    Hour,
    /// 24 hours, by the half hour.
    Day,
    /// 7 days, by three hours.
    Week,
}

impl Span {
    /// How long it is, and how many parts it is told in.
    pub fn parts(self) -> (Duration, usize) {
        match self {
            Self::Hour => (Duration::from_secs(3600), 60),
            Self::Day => (Duration::from_secs(24 * 3600), 48),
            Self::Week => (Duration::from_secs(7 * 24 * 3600), 56),
        }
    }

    fn part(self) -> Duration {
        let (length, parts) = self.parts();
        length / u32::try_from(parts).unwrap_or(1)
    }
}

/// How many executions ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// The script came to its end.
    pub completed: u64,
    /// It failed.
    pub error: u64,
    /// Its time was up.
    pub timeout: u64,
    /// It was stopped.
    pub cancelled: u64,
}

/// Running times of which half, and 95 of a hundred, were no longer than this, in milliseconds; nearest rank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// The median.
    pub p50_ms: Option<u64>,
    /// The 95th percentile.
    pub p95_ms: Option<u64>,
}

/// A part of the time, with what was accepted in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// When it begins.
    pub start: Timestamp,
    /// How what was accepted in it ended; what has not ended is left out.
    pub outcomes: Outcomes,
    /// How long that ran.
    pub durations: Durations,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// When it was made.
    pub at: Timestamp,
    /// Over all parts.
    pub outcomes: Outcomes,
    /// Over all parts.
    pub durations: Durations,
    /// The parts, oldest first.
    pub buckets: Vec<Bucket>,
    /// How many were suspicious.
    pub suspicious: u64,
    /// The newest of those.
    pub suspicious_newest: Vec<ExecutionRecord>,
    /// Set when there were more than are counted: those since then are.
    pub counted_since: Option<Timestamp>,
}

/// Most records that are read for one overview.
pub const MOST_COUNTED: usize = 50_000;
/// Records of one read.
const PAGE: usize = 1_000;
/// Suspicious ones that are named.
const NAMED: usize = 5;
/// See OV-2.
const REUSE: u32 = 20;
/// The least time that an answer is given again.
const LEAST_REUSE: Duration = Duration::from_secs(1);

/// Answers that may be given again.
#[derive(Default)]
pub(super) struct Recent(tokio::sync::Mutex<HashMap<Span, (Instant, Arc<Overview>)>>);

/// What lives now, by status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LiveCounts {
    /// Waits for a slot.
    pub pending: u64,
    /// Runs.
    pub running: u64,
    /// Waits for the agent's LLM.
    pub awaiting_llm: u64,
}

impl Core {
    /// How it went over the last hour, day or week.
    pub async fn overview(&self, span: Span) -> Result<Arc<Overview>, Unavailable> {
        let mut recent = self.inner.overviews.0.lock().await;
        if let Some((until, overview)) = recent.get(&span)
            && Instant::now() < *until
        {
            return Ok(overview.clone());
        }
        let began = Instant::now();
        let (store, now) = (self.inner.ports.store.clone(), self.now());
        let made = tokio::task::spawn_blocking(move || overview(&*store, span, now));
        let overview = Arc::new(made.await.map_err(|_| Unavailable::Actor("store"))??);
        let until = Instant::now() + (began.elapsed() * REUSE).max(LEAST_REUSE);
        recent.insert(span, (until, overview.clone()));
        Ok(overview)
    }

    /// How many executions live now.
    pub fn live_counts(&self) -> LiveCounts {
        let mut counts = LiveCounts::default();
        self.inner.parts.directory.each(|view| match view.record.status {
            Status::Pending => counts.pending += 1,
            Status::Running => counts.running += 1,
            Status::AwaitingLlm => counts.awaiting_llm += 1,
            Status::Completed | Status::Error | Status::Timeout | Status::Cancelled => {}
        });
        counts
    }
}

fn overview(store: &dyn Store, span: Span, now: Timestamp) -> Result<Overview, StoreError> {
    let mut tally = Tally::new(span, now);
    let mut query = ExecutionQuery { limit: PAGE, ..ExecutionQuery::default() };
    for _ in 0..MOST_COUNTED / PAGE {
        let page = store.list_executions(&query)?;
        let (full, last) = (page.len() == PAGE, page.last().map(|record| record.id.clone()));
        let all_counted = page.into_iter().all(|record| tally.count(record));
        if !full || !all_counted {
            return Ok(tally.overview(None));
        }
        query.before = last;
    }
    let one_more = store.list_executions(&ExecutionQuery { limit: 1, ..query })?;
    let since = tally.oldest.filter(|_| one_more.first().is_some_and(|record| record.created_at >= tally.start));
    Ok(tally.overview(since))
}

/// An overview under construction.
struct Tally {
    now: Timestamp,
    start: Timestamp,
    part: SignedDuration,
    parts: Vec<(Outcomes, Vec<u64>)>,
    suspicious: u64,
    suspicious_newest: Vec<ExecutionRecord>,
    oldest: Option<Timestamp>,
}

impl Tally {
    /// The parts begin at whole multiples of their length, so that the bars of a chart don't wander; the last is not over.
    fn new(span: Span, now: Timestamp) -> Self {
        let (part, (_, parts)) = (span.part(), span.parts());
        let part_s = i64::try_from(part.as_secs()).unwrap_or(i64::MAX).max(1);
        let last_start = now.as_second() - now.as_second().rem_euclid(part_s);
        let before = part_s * i64::try_from(parts.saturating_sub(1)).unwrap_or(0);
        let start = Timestamp::from_second(last_start - before).unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            now,
            start,
            part: SignedDuration::from_secs(part_s),
            parts: vec![Default::default(); parts],
            suspicious: 0,
            suspicious_newest: Vec::new(),
            oldest: None,
        }
    }

    /// Counts one, newest first; false when it is from before the time that is told.
    fn count(&mut self, record: ExecutionRecord) -> bool {
        if record.created_at < self.start {
            return false;
        }
        self.oldest = Some(record.created_at);
        let index = record.created_at.duration_since(self.start).as_secs() / self.part.as_secs().max(1);
        // A clock that was set back may have made one that is newer than now: it counts as of now.
        let index = usize::try_from(index).unwrap_or(0).min(self.parts.len().saturating_sub(1));
        if let Some((outcomes, times)) = self.parts.get_mut(index) {
            outcomes.count(record.status);
            if record.status.is_final() {
                times.extend(record.execution_time_ms);
            }
        }
        if record.suspicious {
            self.suspicious += 1;
            if self.suspicious_newest.len() < NAMED {
                self.suspicious_newest.push(record);
            }
        }
        true
    }

    fn overview(self, counted_since: Option<Timestamp>) -> Overview {
        let mut outcomes = Outcomes::default();
        let mut all_times = Vec::new();
        let mut start = self.start;
        let mut buckets = Vec::with_capacity(self.parts.len());
        for (part, mut times) in self.parts {
            outcomes.add(part);
            all_times.extend_from_slice(&times);
            buckets.push(Bucket { start, outcomes: part, durations: Durations::of(&mut times) });
            start = start.checked_add(self.part).unwrap_or(start);
        }
        Overview {
            at: self.now,
            outcomes,
            durations: Durations::of(&mut all_times),
            buckets,
            suspicious: self.suspicious,
            suspicious_newest: self.suspicious_newest,
            counted_since,
        }
    }
}

impl Outcomes {
    fn count(&mut self, status: Status) {
        match status {
            Status::Completed => self.completed += 1,
            Status::Error => self.error += 1,
            Status::Timeout => self.timeout += 1,
            Status::Cancelled => self.cancelled += 1,
            Status::Pending | Status::Running | Status::AwaitingLlm => {}
        }
    }

    fn add(&mut self, other: Self) {
        self.completed += other.completed;
        self.error += other.error;
        self.timeout += other.timeout;
        self.cancelled += other.cancelled;
    }
}

impl Durations {
    fn of(times: &mut [u64]) -> Self {
        times.sort_unstable();
        let rank = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Self { p50_ms: rank(50), p95_ms: rank(95) }
    }
}

#[cfg(test)]
mod tests;
