//! A credential: a named slot that agents create and people fill.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Maker, SealedSecret};

/// Longest description of a credential or profile, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 4096;
/// Longest value of a credential, in bytes. The sanitizer holds back this much of a cut stream.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;

/// `[A-Za-z_][A-Za-z0-9_]{0,127}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CredentialName(String);

/// A text that can't be a credential's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a credential name is 1 to 128 letters, digits or underscores and does not start with a digit")]
pub struct InvalidName;

impl CredentialName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CredentialName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let starts_well = text.bytes().next().is_some_and(|first| word(first) && !first.is_ascii_digit());
        let valid = starts_well && text.len() <= 128 && text.bytes().all(word);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidName) }
    }
}

impl TryFrom<String> for CredentialName {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<CredentialName> for String {
    fn from(name: CredentialName) -> String {
        name.0
    }
}

impl fmt::Display for CredentialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CredentialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A credential as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRecord {
    /// Unique.
    pub name: CredentialName,
    /// What it is for, often in an agent's words: untrusted text.
    pub description: String,
    /// Whose words that is.
    pub described_by: Maker,
    /// The value, once a person has filled it in.
    pub value: Option<SealedSecret>,
    /// False marks plain configuration (a host name), which is not redacted.
    pub secret: bool,
    /// Names the value: random, never reused, also when the credential is deleted and made again. Part of what the
    /// ciphertext is bound to. Means nothing without a value.
    pub version: u64,
    /// When the slot was made.
    pub created_at: Timestamp,
    /// When description, value or the `secret` mark last changed.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_the_limit_pass_and_past_it_fail() {
        let longest = "A".repeat(128);
        for name in ["A", "_", "db_password", "A1", longest.as_str()] {
            assert!(name.parse::<CredentialName>().is_ok(), "{name:?} was refused");
        }
        let too_long = "A".repeat(129);
        for name in ["", "1A", "A-B", "A B", "É", "A\n", too_long.as_str()] {
            assert!(name.parse::<CredentialName>().is_err(), "{name:?} was accepted");
        }
    }
}
