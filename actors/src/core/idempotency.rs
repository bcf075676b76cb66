//! Submissions that a client repeats because it does not know whether the first arrived.
//!
//! The key and what it led to are written with the execution, in one batch: one is on disk exactly when the other is. Two that
//! arrive at once take turns, by key.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::Submission;
use crate::domain::ProfileId;

/// How long a key is kept.
pub(super) const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 255;

type Key = (ProfileId, [u8; 32]);

/// The keys of submissions that are under way.
#[derive(Default)]
pub(super) struct Turns(DashMap<Key, Arc<Mutex<()>>>);

/// One submission's turn with its key.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    key: Key,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until nobody else is submitting under this key.
    pub(super) async fn take(&self, key: Key) -> Turn<'_> {
        let mutex = self.0.entry(key.clone()).or_default().clone();
        let mut turn = Turn { turns: self, key, guard: None };
        turn.guard = Some(mutex.lock_owned().await);
        turn
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        // Whoever waits holds the mutex too: then it stays.
        self.turns.0.remove_if(&self.key, |_, mutex| Arc::strong_count(mutex) == 1);
    }
}

/// The SHA-256 of a key.
pub(super) fn key_hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// The SHA-256 of what is asked for: everything but the key. Each part is preceded by its length.
pub(super) fn body_hash(submission: &Submission) -> [u8; 32] {
    let mut digest = Sha256::new();
    let numbers = format!("{} {} {}", submission.timeout_s, submission.llm_timeout_s, submission.on_restart.as_str());
    for part in [&*submission.script, &numbers] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests;
