//! The memory that request bodies may take, all of them together.
//!
//! - What a body takes is counted as its bytes arrive, not by the length it announces, and until it is dropped (BU-1).
//! - Past the budget a body is refused at once, with 503: waiting would only keep more of them in memory (BU-2).
//! - The first [`FREE_BYTES`] of each body are not counted: so many bodies that nobody finishes can't keep out a login or
//!   an ordinary script. The limit of connections bounds those bytes (BU-3).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{Problem, UNAVAILABLE};

/// What each body may have without being counted.
pub(super) const FREE_BYTES: usize = 16 * 1024;

/// A semaphore counts in `u32`s, so this one counts kibibytes.
const UNIT: usize = 1024;

/// When a refused client is asked to come back: bodies that arrive at all arrive within seconds.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What is left of the memory for bodies.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    /// A budget of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))))
    }

    /// The share of a body that has no bytes yet.
    pub(super) fn share(&self) -> Share {
        Share { budget: self.clone(), counted: None }
    }
}

/// What one body has of the budget. Dropped, it goes back.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    counted: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Makes it enough for a body that takes `bytes` in all.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), Problem> {
        let wanted = bytes.saturating_sub(FREE_BYTES).div_ceil(UNIT);
        let missing = wanted.saturating_sub(self.counted.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        if missing == 0 {
            return Ok(());
        }
        let units = u32::try_from(missing).ok();
        let more = units.and_then(|units| Arc::clone(&self.budget.0).try_acquire_many_owned(units).ok());
        let more = more.ok_or_else(exhausted)?;
        match &mut self.counted {
            Some(counted) => counted.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

fn exhausted() -> Problem {
    let detail = "Too many large requests are arriving at once; send it again after the time in Retry-After.";
    Problem::new(&UNAVAILABLE, detail).retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bu_1_what_is_counted_goes_back_with_the_share() {
        let budget = Budget::new(10 * UNIT);
        let (mut one, mut two) = (budget.share(), budget.share());
        one.grow_to(FREE_BYTES + 6 * UNIT).expect("there is enough");
        two.grow_to(FREE_BYTES + 4 * UNIT).expect("there is just enough");
        one.grow_to(FREE_BYTES + 5 * UNIT).expect("it has that already");
        assert!(two.grow_to(FREE_BYTES + 4 * UNIT + 1).is_err());
        drop(one);
        two.grow_to(FREE_BYTES + 10 * UNIT).expect("what the other had");
    }

    #[test]
    fn bu_2_past_the_budget_a_body_is_refused_with_a_time_to_come_back() {
        let refused = Budget::new(UNIT).share().grow_to(FREE_BYTES + UNIT + 1).expect_err("refused").into_response();
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()["retry-after"], "2");
    }

    #[test]
    fn bu_3_small_bodies_are_never_refused() {
        Budget::new(0).share().grow_to(FREE_BYTES).expect("not counted");
        assert!(Budget::new(0).share().grow_to(FREE_BYTES + 1).is_err());
    }
}
