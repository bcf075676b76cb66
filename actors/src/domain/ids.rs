//! Identifiers: generated from the [`Entropy`] port, parsed strictly, printed as they are sent.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ports::Entropy;

/// A text that is not an identifier of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id")]
pub struct InvalidId {
    /// `profile` or `execution`.
    pub kind: &'static str,
}

/// `ark_` and 24 characters of `[a-z0-9]`: a profile's public name, also the bearer token of its agents.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileId(String);

const PROFILE_PREFIX: &str = "ark_";
const PROFILE_CHARS: usize = 24;
const LOWER_ALPHANUMERIC: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

impl ProfileId {
    /// A new random identifier, of about 124 bits.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let tail = random_text(entropy, LOWER_ALPHANUMERIC, PROFILE_CHARS);
        Self(format!("{PROFILE_PREFIX}{tail}"))
    }

    /// The text, as in `Authorization: Bearer ark_…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProfileId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let tail = text.strip_prefix(PROFILE_PREFIX).ok_or(InvalidId { kind: "profile" })?;
        let valid = tail.len() == PROFILE_CHARS && tail.bytes().all(|b| LOWER_ALPHANUMERIC.contains(&b));
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidId { kind: "profile" }) }
    }
}

/// `exec_` and 36 characters of Crockford's base 32 in lower case: 48 bits of milliseconds since 1970 in front, so that
/// the texts sort by time, then 128 random bits, so that knowing the id is the capability to read the execution.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExecutionId(String);

const EXECUTION_PREFIX: &str = "exec_";
const EXECUTION_BYTES: usize = 22;
const EXECUTION_CHARS: usize = 36;
const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl ExecutionId {
    /// A new identifier for an execution accepted at `now`.
    pub fn generate(now: Timestamp, entropy: &dyn Entropy) -> Self {
        let mut bytes = [0u8; EXECUTION_BYTES];
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0).to_be_bytes();
        let (time, random) = bytes.split_at_mut(6);
        time.copy_from_slice(millis.split_at(2).1);
        entropy.fill(random);
        Self(format!("{EXECUTION_PREFIX}{}", base32(&bytes)))
    }

    /// The text, as in a poll URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExecutionId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let tail = text.strip_prefix(EXECUTION_PREFIX).ok_or(InvalidId { kind: "execution" })?;
        let valid = tail.len() == EXECUTION_CHARS && tail.bytes().all(|b| CROCKFORD.contains(&b));
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidId { kind: "execution" }) }
    }
}

macro_rules! id_text {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $type {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(id: $type) -> String {
                id.0
            }
        }
    };
}
id_text!(ProfileId);
id_text!(ExecutionId);

/// `length` characters drawn evenly from `alphabet` (at most 256 characters), without modulo bias.
pub fn random_text(entropy: &dyn Entropy, alphabet: &[u8], length: usize) -> String {
    let fair_range = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    let mut pool = [0u8; 64];
    while text.len() < length {
        entropy.fill(&mut pool);
        let fair = pool.iter().map(|&byte| usize::from(byte)).filter(|&value| value < fair_range);
        let drawn = fair.filter_map(|value| alphabet.get(value % alphabet.len()));
        let missing = length - text.len();
        text.extend(drawn.take(missing).map(|&byte| char::from(byte)));
    }
    zeroize::Zeroize::zeroize(&mut pool);
    text
}

/// Crockford's base 32, most significant bits first, the last character padded with zero bits.
fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0u32, 0u32);
    let mut push = |five: u32| text.extend(CROCKFORD.get(five as usize & 31).map(|&byte| char::from(byte)));
    for &byte in bytes {
        buffer = (buffer << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            push(buffer >> bits);
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        push(buffer << (5 - bits));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededEntropy;

    #[test]
    fn profile_ids_have_the_documented_shape_and_parse_back() {
        let id = ProfileId::generate(&SeededEntropy::new(1));
        assert_eq!(id.as_str().len(), 28);
        assert_eq!(id.as_str().parse::<ProfileId>(), Ok(id));
    }

    #[test]
    fn texts_that_are_not_ids_are_refused() {
        for text in [
            "",
            "ark_",
            "ark_ABCDEFGHIJKLMNOPQRSTUVWX",
            "exec_",
            "ark_abcdefghijklmnopqrstuvwxy",
            "ark_abcdefghijklmnopqrstuvwé",
        ] {
            assert!(text.parse::<ProfileId>().is_err(), "{text:?} was taken for a profile id");
            assert!(text.parse::<ExecutionId>().is_err(), "{text:?} was taken for an execution id");
        }
    }

    #[test]
    fn execution_ids_sort_by_time_and_parse_back() {
        let entropy = SeededEntropy::new(2);
        let at = |millis| Timestamp::from_millisecond(millis).expect("in range");
        let ids: Vec<_> = [1, 255, 256, 1_700_000_000_000, 1_700_000_000_001]
            .into_iter()
            .map(|millis| ExecutionId::generate(at(millis), &entropy))
            .collect();
        assert!(ids.is_sorted());
        for id in ids {
            assert_eq!(id.as_str().len(), 41);
            assert_eq!(id.as_str().parse::<ExecutionId>(), Ok(id));
        }
    }

    #[test]
    fn random_text_uses_the_whole_alphabet() {
        let text = random_text(&SeededEntropy::new(3), LOWER_ALPHANUMERIC, 4_000);
        for &byte in LOWER_ALPHANUMERIC {
            let seen = text.bytes().filter(|&b| b == byte).count();
            assert!((60..180).contains(&seen), "{} was drawn {seen} times", char::from(byte));
        }
    }
}
