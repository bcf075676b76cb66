//! A clock that goes with tokio's, so that paused time moves both.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::ports::Clock;

/// Starts at a fixed date and advances as tokio's clock does.
pub struct FakeClock(Instant);

impl FakeClock {
    /// Must be made inside a runtime.
    pub fn new() -> Self {
        Self(Instant::now())
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
        Self::epoch().saturating_add(self.0.elapsed()).unwrap_or(Timestamp::MAX)
    }
}
