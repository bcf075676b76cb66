//! What the ProfileRegistry can be asked.

use std::collections::BTreeSet;

use actix::Message;
use jiff::Timestamp;

use super::Authority;
use crate::core::ConfigError;
use crate::domain::{CredentialName, Limits, Maker, ProfileId, ProfileRecord, Secret};

/// All profiles, oldest first: for lists.
#[derive(Message)]
#[rtype(result = "Vec<ProfileRecord>")]
pub struct List;

/// One profile: for its page.
#[derive(Message)]
#[rtype(result = "Option<ProfileRecord>")]
pub struct Find(pub ProfileId);

/// Which profiles hold this credential, and whether each is locked and not revoked: what stands in the way of its
/// deletion, and what a person is shown beside it.
#[derive(Message)]
#[rtype(result = "Vec<(ProfileId, bool)>")]
pub struct UsersOf(pub CredentialName);

/// A new unlocked profile.
#[derive(Message)]
#[rtype(result = "Result<ProfileRecord, ConfigError>")]
pub struct Create {
    /// Untrusted text.
    pub description: String,
    /// Whose room it takes.
    pub by: Maker,
}

/// Adds credentials to an unlocked profile; that they exist was checked before.
#[derive(Message)]
#[rtype(result = "Result<(ProfileRecord, ()), ConfigError>")]
pub struct Attach {
    /// Which profile.
    pub id: ProfileId,
    /// Which credentials.
    pub names: BTreeSet<CredentialName>,
}

/// Takes credentials out of an unlocked profile; those that are not in it are ignored.
#[derive(Message)]
#[rtype(result = "Result<(ProfileRecord, ()), ConfigError>")]
pub struct Detach {
    /// Which profile.
    pub id: ProfileId,
    /// Which credentials.
    pub names: BTreeSet<CredentialName>,
}

/// Takes a credential out of every profile, before it is deleted.
#[derive(Message)]
#[rtype(result = "Result<(), ConfigError>")]
pub struct DetachEverywhere(pub CredentialName);

/// What to change of a profile; the outer `None` leaves it as it is. A locked profile allows it: these are operational.
#[derive(Debug, Clone, Default)]
pub struct ProfileChange {
    /// New description.
    pub description: Option<String>,
    /// New expiry; the inner `None` clears it.
    pub expires_at: Option<Option<Timestamp>>,
    /// New hosts; the inner `None` is all public hosts.
    pub allowed_hosts: Option<Option<Vec<String>>>,
    /// New overrides, all of them.
    pub limits: Option<Limits>,
    /// Whether a deliberate leak suspends the profile.
    pub suspend_on_leak: Option<bool>,
    /// Suspends it now, or lifts that.
    pub suspended: Option<bool>,
}

/// A person changes a profile.
#[derive(Message)]
#[rtype(result = "Result<(ProfileRecord, ()), ConfigError>")]
pub struct Update {
    /// Which profile.
    pub id: ProfileId,
    /// How.
    pub change: ProfileChange,
}

/// One of the profile's scripts leaked: suspends the profile, if that is what a leak does to it. Answers whether it is
/// suspended now.
#[derive(Message)]
#[rtype(result = "Result<(ProfileRecord, bool), ConfigError>")]
pub struct Leaked(pub ProfileId);

/// The first key, or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyIssue {
    /// Locks an unlocked profile.
    Lock,
    /// Replaces the key of a locked one.
    Regenerate,
}

/// Makes a key; its secret half is in the answer, once (PR-3).
#[derive(Message)]
#[rtype(result = "Result<(ProfileRecord, Secret), ConfigError>")]
pub struct IssueKey {
    /// Which profile.
    pub id: ProfileId,
    /// Which key.
    pub issue: KeyIssue,
}

/// Ends a profile for good (PR-2). Asking again changes nothing.
#[derive(Message)]
#[rtype(result = "Result<(ProfileRecord, ()), ConfigError>")]
pub struct Revoke(pub ProfileId);

/// Removes a profile that is unlocked or revoked.
#[derive(Message)]
#[rtype(result = "Result<(), ConfigError>")]
pub struct Delete(pub ProfileId);

/// Writes down when profiles were last used: once a minute, and when the server stops.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FlushUse;

/// May this profile's agent run scripts now? Proves nothing yet and counts as no use: anyone can ask.
#[derive(Message)]
#[rtype(result = "Result<Authority, Refusal>")]
pub struct Authorize(pub ProfileId);

/// The profile had an execution accepted.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Used(pub ProfileId);

/// Why a profile's agent may not run scripts, in the order in which it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such profile.
    #[error("unknown profile")]
    Unknown,
    /// Ended by a person.
    #[error("the profile is revoked")]
    Revoked,
    /// Ended by the clock.
    #[error("the profile has expired")]
    Expired,
    /// Has no key yet.
    #[error("the profile is not locked")]
    Unlocked,
    /// Stopped by a leak, until a person lifts that.
    #[error("the profile is suspended")]
    Suspended,
    /// Its key can't be opened with the master key.
    #[error("the profile's key can't be opened")]
    Sealed,
}
