//! Whether the disk has room, as far as the last writes tell. The disk itself is not asked: how much the file needs to grow by is
//! redb's to know, and quotas show in no count of free blocks.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use airlock_actors::ports::StoreError;

/// For so long a refusal says something of now. What still has to be written is tried every second.
const TOLD_FOR: Duration = Duration::from_secs(30);

/// What the last writes told.
#[derive(Default)]
pub(super) struct Space(Mutex<Option<Refused>>);

struct Refused {
    /// Of the largest batch that did not fit.
    bytes: usize,
    /// When the last one did not.
    at: Instant,
}

impl Space {
    /// A batch of so many bytes was written, or not. A small one that finds room between the pages says nothing of larger ones.
    pub(super) fn note(&self, bytes: usize, result: &Result<(), StoreError>, now: Instant) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let largest = refused.as_ref().filter(|refused| refused.is_told(now)).map_or(0, |refused| refused.bytes);
        match result {
            Err(StoreError::Full) => *refused = Some(Refused { bytes: bytes.max(largest), at: now }),
            Ok(()) if bytes >= largest => *refused = None,
            _ => {}
        }
    }

    /// Whether a batch did not fit lately, and none as large was written since.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|refused| refused.is_told(now))
    }
}

impl Refused {
    fn is_told(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < TOLD_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Result<(), StoreError> = Err(StoreError::Full);

    #[test]
    fn it_is_full_until_a_batch_as_large_is_written() {
        let (space, now) = (Space::default(), Instant::now());
        assert!(!space.is_full(now));
        space.note(100, &FULL, now);
        space.note(10, &FULL, now);
        space.note(99, &Ok(()), now);
        space.note(100, &Err(StoreError::Failed("of another kind".to_owned())), now);
        assert!(space.is_full(now), "a smaller batch fits where a larger one does not");
        space.note(100, &Ok(()), now);
        assert!(!space.is_full(now));
    }

    #[test]
    fn a_refusal_says_nothing_any_more_half_a_minute_later() {
        let (space, then) = (Space::default(), Instant::now());
        let later = |seconds| then + Duration::from_secs(seconds);
        space.note(100, &FULL, then);
        assert!(space.is_full(later(29)));
        space.note(10, &FULL, later(29));
        assert!(space.is_full(later(58)), "each refusal says it anew");
        assert!(!space.is_full(later(59)));
        space.note(10, &FULL, later(60));
        space.note(10, &Ok(()), later(60));
        assert!(!space.is_full(later(60)), "a size from before counts no more");
    }
}
