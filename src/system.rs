//! The machine's own clock and randomness, for the core's [`Clock`] and [`Entropy`] ports.

use airlock_actors::ports::{Clock, Entropy};
use jiff::Timestamp;

/// The wall clock, UTC. It can be set back by whoever runs the machine; nothing here hides that.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the Clock that everybody else is to ask")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The kernel's generator, by `getrandom(2)`. Blocks only in the first moments after the machine was booted.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            // No key may ever be made from bytes that are not random, and a panic could be caught on the way.
            tracing::error!(%error, "the kernel gives no randomness, aborting");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_past_the_day_this_was_written() {
        assert!(SystemClock.now().as_second() > 1_750_000_000);
    }

    #[test]
    fn every_byte_is_filled_and_two_draws_differ() {
        let mut draws = [[0u8; 64]; 2];
        for draw in &mut draws {
            OsEntropy.fill(draw);
            let zeros = draw.iter().filter(|&&byte| byte == 0).count();
            assert!(zeros < 16, "{zeros} of 64 bytes are zero");
        }
        assert_ne!(draws[0], draws[1]);
    }
}
