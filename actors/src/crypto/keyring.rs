//! AES-256-GCM with a key derived for each record, and keys named by their own digest.

use std::sync::Arc;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain::{SealedSecret, Secret};
use crate::ports::Entropy;

/// Length of a master key, in bytes.
const KEY_BYTES: usize = 32;

/// What a ciphertext is bound to: it opens nowhere else (CR-1).
#[derive(Debug, Clone, Copy)]
pub struct SealContext<'a> {
    /// Such as `credential`.
    pub table: &'static str,
    /// The record's id or name.
    pub record: &'a str,
    /// Such as `value`.
    pub field: &'static str,
    /// The version of the field, from [`Keyring::new_version`] where the record's name can come back: an old ciphertext
    /// can't be put back.
    pub version: u64,
}

impl SealContext<'_> {
    /// Unambiguous: every part is preceded by its length.
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = b"airlock seal v1".to_vec();
        for part in [self.table.as_bytes(), self.record.as_bytes(), self.field.as_bytes()] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes
    }
}

/// Why a sealed secret could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The key that sealed it is not in the ring (CR-2).
    #[error("sealed by key {0:08x}, which is not the one in use")]
    UnknownKey(u32),
    /// The key is there, but the ciphertext, its context or its version is not what was sealed.
    #[error("the ciphertext is damaged or does not belong here")]
    Damaged,
}

/// The keys that seal secrets. Holds one today; retired keys will stay readable beside a new one.
#[derive(Clone)]
pub struct Keyring {
    key: Arc<Zeroizing<[u8; KEY_BYTES]>>,
    key_id: u32,
    entropy: Arc<dyn Entropy>,
}

impl Keyring {
    /// A ring with one key. `entropy` gives the nonces.
    pub fn new(key: Zeroizing<[u8; KEY_BYTES]>, entropy: Arc<dyn Entropy>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"airlock key id v1");
        hash.update(key.as_slice());
        let digest: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, ..] = digest;
        Self { key: Arc::new(key), key_id: u32::from_be_bytes([a, b, c, d]), entropy }
    }

    /// A version for a [`SealContext`]: random, never reused. A count would start anew with a record that was deleted and
    /// made again, and the old record's ciphertext would open in the new one.
    pub fn new_version(&self) -> u64 {
        let mut bytes = [0u8; 8];
        self.entropy.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    /// Seals `secret` for `context`, with a fresh nonce.
    pub fn seal(&self, context: SealContext<'_>, secret: &Secret) -> SealedSecret {
        let mut nonce = [0u8; 12];
        self.entropy.fill(&mut nonce);
        let associated = context.to_bytes();
        let payload = Payload { msg: secret.expose().as_bytes(), aad: &associated };
        #[expect(clippy::expect_used, reason = "AES-GCM fails only past 64 GiB, and values are at most 64 KiB")]
        let ciphertext =
            self.cipher(&associated).encrypt(&nonce.into(), payload).expect("the text is shorter than 64 GiB");
        SealedSecret { key_id: self.key_id, nonce, ciphertext }
    }

    /// Opens what was sealed for the same `context`.
    pub fn open(&self, context: SealContext<'_>, sealed: &SealedSecret) -> Result<Secret, KeyringError> {
        if sealed.key_id != self.key_id {
            return Err(KeyringError::UnknownKey(sealed.key_id));
        }
        let associated = context.to_bytes();
        let payload = Payload { msg: &sealed.ciphertext, aad: &associated };
        let clear = self
            .cipher(&associated)
            .decrypt(&sealed.nonce.into(), payload)
            .map(Zeroizing::new)
            .map_err(|_| KeyringError::Damaged)?;
        let text = std::str::from_utf8(&clear).map_err(|_| KeyringError::Damaged)?;
        Ok(Secret::new(text.to_owned()))
    }

    /// A key for this record alone, so that random 96-bit nonces never get near their bound of 2^32 writes a key
    /// (NIST SP 800-38D, section 8.3).
    fn cipher(&self, associated: &[u8]) -> Aes256Gcm {
        let mut derived = Zeroizing::new([0u8; KEY_BYTES]);
        #[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8,160 bytes")]
        Hkdf::<Sha256>::new(None, self.key.as_slice())
            .expand(associated, derived.as_mut_slice())
            .expect("32 bytes are within what HKDF-SHA256 can give");
        Aes256Gcm::new(&(*derived).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededEntropy;

    fn ring(key: u8) -> Keyring {
        Keyring::new(Zeroizing::new([key; 32]), Arc::new(SeededEntropy::new(u64::from(key))))
    }

    fn context(record: &str, version: u64) -> SealContext<'_> {
        SealContext { table: "credential", record, field: "value", version }
    }

    #[test]
    fn what_was_sealed_opens_in_its_own_place_only() {
        let ring = ring(1);
        let sealed = ring.seal(context("A", 1), &Secret::new("s3cret".into()));
        assert_eq!(ring.open(context("A", 1), &sealed).map(|s| s.expose().to_owned()), Ok("s3cret".into()));
        assert_eq!(ring.open(context("B", 1), &sealed), Err(KeyringError::Damaged));
        assert_eq!(ring.open(context("A", 2), &sealed), Err(KeyringError::Damaged));
        let other_table = SealContext { table: "profile", ..context("A", 1) };
        assert_eq!(ring.open(other_table, &sealed), Err(KeyringError::Damaged));
    }

    #[test]
    fn another_key_is_told_from_a_damaged_ciphertext() {
        let sealed = ring(1).seal(context("A", 1), &Secret::new("s3cret".into()));
        assert!(matches!(ring(2).open(context("A", 1), &sealed), Err(KeyringError::UnknownKey(_))));
        for position in 0..sealed.ciphertext.len() {
            let mut damaged = sealed.clone();
            damaged.ciphertext[position] ^= 1;
            assert_eq!(ring(1).open(context("A", 1), &damaged), Err(KeyringError::Damaged));
        }
    }

    #[test]
    fn the_same_text_never_seals_to_the_same_bytes() {
        let ring = ring(1);
        let secret = Secret::new("s3cret".into());
        let (first, second) = (ring.seal(context("A", 1), &secret), ring.seal(context("A", 1), &secret));
        assert_ne!(first.nonce, second.nonce);
        assert_ne!(first.ciphertext, second.ciphertext);
    }

    #[test]
    fn parts_of_a_context_do_not_run_into_each_other() {
        let ring = ring(1);
        let first = SealContext { table: "ab", record: "c", field: "f", version: 0 };
        let second = SealContext { table: "a", record: "bc", field: "f", version: 0 };
        let sealed = ring.seal(first, &Secret::new("x".into()));
        assert_eq!(ring.open(second, &sealed), Err(KeyringError::Damaged));
    }
}
