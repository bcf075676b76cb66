//! What a profile's agent may do, as far as it can prove who it is.

use std::sync::Arc;

use crate::crypto::hmac_matches;
use crate::domain::{ProfileRecord, Secret};

/// A script longer than this is hashed on a blocking thread: at about 1 GB/s this is 60 µs.
const HASH_INLINE_BYTES: usize = 64 * 1024;

/// A profile that may run scripts, and the key to verify that one is its agent's. The key does not come out (PR-3).
#[derive(Clone)]
pub struct Authority {
    profile: Arc<ProfileRecord>,
    key: Secret,
}

impl Authority {
    pub(super) fn new(profile: Arc<ProfileRecord>, key: Secret) -> Self {
        Self { profile, key }
    }

    /// The profile as it was when it was asked for.
    pub fn profile(&self) -> &Arc<ProfileRecord> {
        &self.profile
    }

    /// True when `hash` is the hexadecimal HMAC-SHA256 of `script` under the profile's secret.
    pub async fn verify(&self, script: &Arc<str>, hash: &str) -> bool {
        if script.len() <= HASH_INLINE_BYTES {
            return hmac_matches(&self.key, script.as_bytes(), hash);
        }
        let (key, script, hash) = (self.key.clone(), script.clone(), hash.to_owned());
        let hashed = tokio::task::spawn_blocking(move || hmac_matches(&key, script.as_bytes(), &hash));
        hashed.await.unwrap_or(false)
    }
}
