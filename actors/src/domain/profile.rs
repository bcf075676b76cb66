//! A profile: the credentials one agent may use, behind one key.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CredentialName, Limits, Maker, ProfileId, SealedSecret};

/// What a profile can do now. Only `Locked` runs scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileStatus {
    /// Being put together; has no key.
    Unlocked,
    /// Frozen and usable: its key works.
    Locked,
    /// Ended by a person, for good.
    Revoked,
    /// Ended by the clock, until a person moves the date.
    Expired,
}

impl ProfileStatus {
    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unlocked => "unlocked",
            Self::Locked => "locked",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// A profile as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRecord {
    /// Public name.
    pub id: ProfileId,
    /// What it is for: untrusted text.
    pub description: String,
    /// Whose words that is.
    pub described_by: Maker,
    /// What its scripts get as `settings`.
    pub credentials: BTreeSet<CredentialName>,
    /// The HMAC secret, sealed; `None` until the profile is locked.
    pub key: Option<SealedSecret>,
    /// Goes up with every key; part of what the ciphertext is bound to.
    pub key_version: u64,
    /// Set once, by a person.
    pub revoked: bool,
    /// The moment from which the profile is expired.
    pub expires_at: Option<Timestamp>,
    /// `None`: all public hosts; else only these.
    pub allowed_hosts: Option<Vec<String>>,
    /// Overrides of the default limits.
    pub limits: Limits,
    /// Whether a deliberate leak suspends the profile.
    pub suspend_on_leak: bool,
    /// Set by a deliberate leak: it runs no script until a person lifts it.
    pub suspended: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When anything but `last_used_at` last changed.
    pub updated_at: Timestamp,
    /// When it last had an execution accepted.
    pub last_used_at: Option<Timestamp>,
}

impl ProfileRecord {
    /// True once a person has locked it, whatever happened since.
    pub fn locked(&self) -> bool {
        self.key.is_some()
    }

    /// What it can do at `now`. Revocation outranks expiry, which outranks the lock.
    pub fn status(&self, now: Timestamp) -> ProfileStatus {
        if self.revoked {
            ProfileStatus::Revoked
        } else if self.expires_at.is_some_and(|at| at <= now) {
            ProfileStatus::Expired
        } else if self.locked() {
            ProfileStatus::Locked
        } else {
            ProfileStatus::Unlocked
        }
    }
}
