//! Time that goes on evenly, whatever somebody does to the machine's clock.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Begins at what the clock says and goes on as timers do. Running times are measured and their deadlines set by it: a clock
/// that is set would end a script that has time left, or give it more. What is stored and shown is the clock's.
pub(super) struct Steady {
    began_at: Timestamp,
    began: Instant,
}

impl Steady {
    /// Begins now.
    pub(super) fn from(now: Timestamp) -> Self {
        Self { began_at: now, began: Instant::now() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.began_at.saturating_add(self.began.elapsed()).unwrap_or(Timestamp::MAX)
    }
}

/// How long it is until a deadline of the same clock; nothing when it has passed.
pub(super) fn until(deadline: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(deadline.duration_since(now)).unwrap_or_default()
}
