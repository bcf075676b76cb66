//! A clock that goes with tokio's, so that paused time moves both.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::ports::Clock;

/// Starts at a fixed date and advances as tokio's clock does.
pub struct FakeClock {
    began: Instant,
    /// By how much somebody has set it, in seconds.
    set_by: AtomicI64,
}

impl FakeClock {
    /// Must be made inside a runtime.
    pub fn new() -> Self {
        Self { began: Instant::now(), set_by: AtomicI64::new(0) }
    }

    /// Sets it forward, or back, as whoever runs the machine may.
    pub fn set_by(&self, seconds: i64) {
        self.set_by.fetch_add(seconds, Ordering::Relaxed);
    }

    /// The date at which every fake clock starts: 1 June 2030, 12:00 UTC.
    pub fn epoch() -> Timestamp {
        Timestamp::constant(1_906_545_600, 0)
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        let set_by = SignedDuration::from_secs(self.set_by.load(Ordering::Relaxed));
        let now = Self::epoch().saturating_add(self.began.elapsed()).unwrap_or(Timestamp::MAX);
        now.saturating_add(set_by).unwrap_or(now)
    }
}
