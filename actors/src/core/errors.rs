//! Why the core refuses. One enum for each thing a caller can be about; a variant for each thing it can act on.

use std::time::Duration;

use crate::domain::{CredentialName, ProfileId};
use crate::ports::StoreError;

/// Why a change of credentials or profiles was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConfigError {
    /// No credential of that name.
    #[error("there is no credential {0}")]
    UnknownCredential(CredentialName),
    /// The name is taken.
    #[error("there is already a credential {0}")]
    CredentialExists(CredentialName),
    /// It can't be deleted.
    #[error("locked profiles use the credential {name}")]
    CredentialInUse {
        /// Which.
        name: CredentialName,
        /// By whom.
        profiles: Vec<ProfileId>,
    },
    /// No such profile.
    #[error("there is no such profile")]
    UnknownProfile,
    /// Not any more.
    #[error("the profile is locked")]
    Locked,
    /// Not yet.
    #[error("the profile is not locked")]
    NotLocked,
    /// Never again.
    #[error("the profile is revoked")]
    Revoked,
    /// A person has to fill these in first.
    #[error("credentials have no value")]
    MissingValues(Vec<CredentialName>),
    /// There can't be more credentials or profiles than this.
    #[error("there can't be more than {0}")]
    TooMany(usize),
    /// There can't be more credentials in one profile than this.
    #[error("a profile can't have more than {0} credentials")]
    TooManyInProfile(usize),
    /// Nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The core can't answer now; nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unavailable {
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part of the core is restarting or overloaded.
    #[error("{0} does not answer")]
    Actor(&'static str),
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Draining,
    /// A stored secret can't be opened with the key there is.
    #[error("a stored secret can't be opened")]
    Sealed,
}

/// Why a submission was refused. Nothing of it was stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// No such profile.
    #[error("unknown profile")]
    UnknownProfile,
    /// Ended by a person.
    #[error("the profile is revoked")]
    Revoked,
    /// Ended by the clock.
    #[error("the profile has expired")]
    Expired,
    /// Has no key yet.
    #[error("the profile is not locked")]
    Unlocked,
    /// Stopped until a person looked at a leak.
    #[error("the profile is suspended")]
    Suspended,
    /// No signature was sent.
    #[error("no signature")]
    MissingHash,
    /// The signature is not the profile's over this script.
    #[error("wrong signature")]
    WrongHash,
    /// A person has to fill this in first.
    #[error("the credential {0} has no value")]
    MissingValue(CredentialName),
    /// The key has named another submission.
    #[error("the idempotency key was used for another submission")]
    KeyUsedOtherwise,
    /// The key has named this submission, and what it led to was removed since.
    #[error("the execution of this idempotency key was removed")]
    FirstIsGone,
    /// Too many wait already.
    #[error("the queue is full")]
    QueueFull {
        /// When to try again.
        retry_after: Duration,
    },
    /// Not now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why an administrator was not let in, or a password not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    /// Somebody was first.
    #[error("the password is set already")]
    SetUpAlready,
    /// There is nothing to log in to yet.
    #[error("no password is set yet")]
    SetUpRequired,
    /// Too short or too long.
    #[error("a password has 8 to 1,024 characters")]
    PasswordLength,
    /// Not this one.
    #[error("wrong password")]
    WrongPassword,
    /// Guessing is slowed.
    #[error("too many failed logins")]
    SlowDown {
        /// When to try again.
        retry_after: Duration,
    },
    /// Never was, or is over.
    #[error("no such session")]
    NoSession,
    /// Not now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why the core can't start.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// The master key is not the one that sealed what is in the store.
    #[error(
        "the master key is not the one this data folder was made with ({0}); start with the right key, nothing was changed"
    )]
    WrongKey(crate::crypto::KeyringError),
    /// The state can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part did not come up.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
