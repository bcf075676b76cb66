//! How credential records come about and change: plain functions.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::messages::{CredentialChange, NewCredential, Setting};
use crate::core::{ConfigError, Unavailable};
use crate::crypto::{Keyring, SealContext};
use crate::domain::{CredentialName, CredentialRecord, Maker, SealedSecret, Secret};

fn context(name: &CredentialName, version: u64) -> SealContext<'_> {
    SealContext { table: "credential", record: name.as_str(), field: "value", version }
}

fn seal(name: &CredentialName, version: u64, value: &Secret, keyring: &Keyring) -> SealedSecret {
    keyring.seal(context(name, version), value)
}

/// Splits `slots` into records to add and names to skip; of a name that stands twice the first is taken.
pub(super) fn new_slots(
    slots: Vec<NewCredential>,
    existing: &BTreeMap<CredentialName, CredentialRecord>,
    now: Timestamp,
) -> (Vec<CredentialRecord>, Vec<CredentialName>) {
    let mut created: BTreeMap<CredentialName, CredentialRecord> = BTreeMap::new();
    let mut skipped = Vec::new();
    for slot in slots {
        if existing.contains_key(&slot.name) || created.contains_key(&slot.name) {
            skipped.push(slot.name);
            continue;
        }
        let record = empty_record(slot.name.clone(), slot.description, Maker::Agent, slot.secret, now);
        created.insert(slot.name, record);
    }
    (created.into_values().collect(), skipped)
}

fn empty_record(
    name: CredentialName,
    description: String,
    described_by: Maker,
    secret: bool,
    now: Timestamp,
) -> CredentialRecord {
    let (created_at, updated_at) = (now, now);
    CredentialRecord { name, description, described_by, value: None, secret, version: 0, created_at, updated_at }
}

/// A record for a credential that a person made.
pub(super) fn new_record(new: NewCredential, now: Timestamp, keyring: &Keyring) -> CredentialRecord {
    let record = empty_record(new.name, new.description, Maker::Person, new.secret, now);
    changed(&record, CredentialChange { value: new.value, ..CredentialChange::default() }, now, keyring)
}

/// The record after a change; one that changes nothing leaves `updated_at` too. A new value gets a version that no other
/// had, so that no old ciphertext can be put back.
pub(super) fn changed(
    before: &CredentialRecord,
    change: CredentialChange,
    now: Timestamp,
    keyring: &Keyring,
) -> CredentialRecord {
    let mut record = before.clone();
    if let Some(description) = change.description {
        record.description = description;
        record.described_by = Maker::Person;
    }
    if let Some(secret) = change.secret {
        record.secret = secret;
    }
    if let Some(value) = change.value {
        record.version = keyring.new_version();
        record.value = Some(seal(&record.name, record.version, &value, keyring));
    }
    if record != *before {
        record.updated_at = now;
    }
    record
}

/// Opens one credential for an execution.
pub(super) fn open(
    name: &CredentialName,
    record: Option<&CredentialRecord>,
    keyring: &Keyring,
) -> Result<Setting, ConfigError> {
    let record = record.ok_or_else(|| ConfigError::UnknownCredential(name.clone()))?;
    let Some(sealed) = &record.value else {
        return Err(ConfigError::MissingValues(vec![name.clone()]));
    };
    let value = keyring.open(context(name, record.version), sealed).map_err(|error| {
        tracing::error!(credential = %name, %error, "a stored credential can't be opened");
        Unavailable::Sealed
    })?;
    Ok(Setting { name: name.clone(), value, secret: record.secret, version: record.version })
}
