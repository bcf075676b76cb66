//! What the Vault can be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix::Message;
use jiff::Timestamp;

use crate::core::{ConfigError, Unavailable};
use crate::domain::{CredentialName, CredentialRecord, Maker, Secret};
use crate::sanitizer::Weakness;

/// A credential, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialView {
    /// Unique.
    pub name: CredentialName,
    /// Untrusted text.
    pub description: String,
    /// Whose words that is.
    pub described_by: Maker,
    /// Whether a person has filled it in.
    pub has_value: bool,
    /// False: plain configuration, which is not redacted.
    pub secret: bool,
    /// When the slot was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl From<&CredentialRecord> for CredentialView {
    fn from(record: &CredentialRecord) -> Self {
        Self {
            name: record.name.clone(),
            description: record.description.clone(),
            described_by: record.described_by,
            has_value: record.value.is_some(),
            secret: record.secret,
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}

/// A slot or credential to make.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// Unique.
    pub name: CredentialName,
    /// Untrusted text.
    pub description: String,
    /// The value, when a person makes it.
    pub value: Option<Secret>,
    /// False: plain configuration.
    pub secret: bool,
}

/// What to change of a credential; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct CredentialChange {
    /// New description.
    pub description: Option<String>,
    /// New value.
    pub value: Option<Secret>,
    /// New mark.
    pub secret: Option<bool>,
}

/// All credentials, by name: for lists.
#[derive(Message)]
#[rtype(result = "Vec<CredentialView>")]
pub struct List;

/// What is weak about the values there are, for the person who sets them: by name, those with something to say only. Tells
/// nothing of a value but its kind.
#[derive(Message)]
#[rtype(result = "Result<Arc<Weaknesses>, Unavailable>")]
pub struct Review;

/// The answer to [`Review`].
pub type Weaknesses = BTreeMap<CredentialName, Vec<Weakness>>;

/// Agents' slots: a name that exists is skipped (VA-4).
#[derive(Message)]
#[rtype(result = "Result<SlotsCreated, ConfigError>")]
pub struct CreateSlots(pub Vec<NewCredential>);

/// What became of [`CreateSlots`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotsCreated {
    /// The new ones.
    pub created: Vec<CredentialView>,
    /// The names that existed, or stood twice in the request.
    pub skipped: Vec<CredentialName>,
}

/// A person makes a credential, perhaps with its value.
#[derive(Message)]
#[rtype(result = "Result<CredentialView, ConfigError>")]
pub struct Create(pub NewCredential);

/// A person changes a credential.
#[derive(Message)]
#[rtype(result = "Result<CredentialView, ConfigError>")]
pub struct Change {
    /// Which.
    pub name: CredentialName,
    /// How.
    pub change: CredentialChange,
}

/// A person removes a credential; that no locked profile uses it was checked before.
#[derive(Message)]
#[rtype(result = "Result<(), ConfigError>")]
pub struct Delete(pub CredentialName);

/// Which of these exist with a value? Those that do not come back: what stands in the way of a lock or a run.
#[derive(Message)]
#[rtype(result = "Vec<CredentialName>")]
pub struct WithoutValue(pub Arc<BTreeSet<CredentialName>>);

/// The values for one execution (VA-3).
#[derive(Message)]
#[rtype(result = "Result<Vec<Setting>, ConfigError>")]
pub struct Resolve(pub Arc<BTreeSet<CredentialName>>);

/// One entry of a script's `settings`.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The key.
    pub name: CredentialName,
    /// The value, in the clear.
    pub value: Secret,
    /// Whether the sanitizer must scrub it.
    pub secret: bool,
    /// Which value it is: the sanitizer's cache goes by it.
    pub version: u64,
}
