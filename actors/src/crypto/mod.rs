//! Sealing secrets for the disk, and checking who sent what. Uses RustCrypto; owns no secret beyond a call, save the
//! [`Keyring`].
//!
//! Invariants
//! - CR-1: a ciphertext opens only for the table, record, field and version that it was sealed for.
//! - CR-2: a ciphertext names its key, so that keys can be rotated and a missing one is told from a damaged row.
//! - CR-3: signatures and token hashes are compared in constant time.

mod keyring;
mod password;
mod signature;

pub use keyring::{Keyring, KeyringError, SealContext};
pub use password::{PasswordCost, PasswordHasher};
pub use signature::{hmac_matches, sha256};
