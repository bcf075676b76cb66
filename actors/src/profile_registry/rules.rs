//! A profile's life, as plain functions from a record to the next; `updated_at` is the caller's to set, save in [`without`].

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::messages::{KeyIssue, ProfileChange, Refusal};
use crate::core::ConfigError;
use crate::crypto::{Keyring, SealContext};
use crate::domain::{CredentialName, Limits, Maker, ProfileId, ProfileRecord, ProfileStatus, Secret, ids};
use crate::ports::Entropy;

/// Letters and digits of the secret half of a key: 48 of them are about 285 bits.
const KEY_ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const KEY_CHARS: usize = 48;

type Changed<T> = Result<(ProfileRecord, T), ConfigError>;

fn key_context(record: &ProfileRecord) -> SealContext<'_> {
    SealContext { table: "profile", record: record.id.as_str(), field: "key", version: record.key_version }
}

pub(super) fn new_profile(id: ProfileId, description: String, by: Maker, now: Timestamp) -> ProfileRecord {
    ProfileRecord {
        id,
        description,
        described_by: by,
        credentials: BTreeSet::new(),
        key: None,
        key_version: 0,
        revoked: false,
        expires_at: None,
        allowed_hosts: None,
        limits: Limits::default(),
        suspend_on_leak: false,
        suspended: false,
        created_at: now,
        updated_at: now,
        last_used_at: None,
    }
}

/// What credentials an agent gets is settled once the profile is locked. Asked by `core` too, before it looks further.
pub(crate) fn editable(record: &ProfileRecord) -> Result<(), ConfigError> {
    match (record.revoked, record.locked()) {
        (true, _) => Err(ConfigError::Revoked),
        (false, true) => Err(ConfigError::Locked),
        (false, false) => Ok(()),
    }
}

pub(super) fn attach(mut record: ProfileRecord, names: BTreeSet<CredentialName>) -> Changed<()> {
    editable(&record)?;
    record.credentials.extend(names);
    Ok((record, ()))
}

pub(super) fn detach(mut record: ProfileRecord, names: &BTreeSet<CredentialName>) -> Changed<()> {
    editable(&record)?;
    record.credentials.retain(|name| !names.contains(name));
    Ok((record, ()))
}

/// For a credential that is about to be deleted and that the profile has; that it may lose it was checked before.
pub(super) fn without(mut record: ProfileRecord, name: &CredentialName, now: Timestamp) -> ProfileRecord {
    record.credentials.remove(name);
    record.updated_at = now;
    record
}

pub(super) fn updated(mut record: ProfileRecord, change: ProfileChange) -> ProfileRecord {
    if let Some(description) = change.description {
        record.description = description;
        record.described_by = Maker::Person;
    }
    if let Some(expires_at) = change.expires_at {
        record.expires_at = expires_at;
    }
    if let Some(allowed_hosts) = change.allowed_hosts {
        record.allowed_hosts = allowed_hosts;
    }
    if let Some(limits) = change.limits {
        record.limits = limits;
    }
    if let Some(suspend) = change.suspend_on_leak {
        record.suspend_on_leak = suspend;
    }
    if let Some(suspended) = change.suspended {
        record.suspended = suspended;
    }
    record
}

/// One of its scripts leaked (PR-6).
pub(super) fn leaked(mut record: ProfileRecord) -> (ProfileRecord, bool) {
    record.suspended |= record.suspend_on_leak;
    let suspended = record.suspended;
    (record, suspended)
}

pub(super) fn issue_key(
    mut record: ProfileRecord,
    issue: KeyIssue,
    keyring: &Keyring,
    entropy: &dyn Entropy,
) -> Changed<Secret> {
    match (issue, record.revoked, record.locked()) {
        (_, true, _) => return Err(ConfigError::Revoked),
        (KeyIssue::Lock, _, true) => return Err(ConfigError::Locked),
        (KeyIssue::Regenerate, _, false) => return Err(ConfigError::NotLocked),
        (KeyIssue::Lock, _, false) | (KeyIssue::Regenerate, _, true) => {}
    }
    let secret = Secret::new(ids::random_text(entropy, KEY_ALPHABET, KEY_CHARS));
    record.key_version += 1;
    record.key = Some(keyring.seal(key_context(&record), &secret));
    Ok((record, secret))
}

/// A locked profile has an agent somewhere: it is revoked before it is deleted.
pub(super) fn may_delete(record: &ProfileRecord) -> Result<(), ConfigError> {
    if record.locked() && !record.revoked { Err(ConfigError::Locked) } else { Ok(()) }
}

/// PR-4.
pub(super) fn may_run(record: &ProfileRecord, now: Timestamp) -> Result<(), Refusal> {
    match record.status(now) {
        ProfileStatus::Revoked => Err(Refusal::Revoked),
        ProfileStatus::Expired => Err(Refusal::Expired),
        ProfileStatus::Unlocked => Err(Refusal::Unlocked),
        ProfileStatus::Locked if record.suspended => Err(Refusal::Suspended),
        ProfileStatus::Locked => Ok(()),
    }
}

pub(super) fn open_key(record: &ProfileRecord, keyring: &Keyring) -> Result<Secret, Refusal> {
    let sealed = record.key.as_ref().ok_or(Refusal::Unlocked)?;
    keyring.open(key_context(record), sealed).map_err(|error| {
        tracing::error!(profile = %record.id, %error, "a profile's key can't be opened");
        Refusal::Sealed
    })
}
