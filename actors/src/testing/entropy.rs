//! Randomness that repeats.

use std::sync::{Mutex, PoisonError};

use crate::ports::Entropy;

/// A xorshift generator. Never for real keys.
pub struct SeededEntropy(Mutex<u64>);

impl SeededEntropy {
    /// The same seed gives the same bytes.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in bytes {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            let [first, ..] = state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes();
            *byte = first;
        }
    }
}
