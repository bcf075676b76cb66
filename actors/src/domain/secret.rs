//! Two types for a secret: in the clear and at rest. Neither prints itself; the clear one wipes itself and can't be
//! serialised, so that a leak by logging, `Debug` or JSON does not compile.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret in the clear: UTF-8 text, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes the text over; the caller's copy is the caller's to wipe.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself. Name every use: this is the only way out.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A secret at rest: which key sealed it, with what nonce, and the ciphertext with its tag (AES-256-GCM).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// The keyring's id of the key that sealed it.
    pub key_id: u32,
    /// 96 bits, fresh for every write.
    pub nonce: [u8; 12],
    /// Ciphertext, then the 16-byte tag.
    pub ciphertext: Vec<u8>,
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[sealed by key {:08x}]", self.key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_form_prints_what_it_holds() {
        let clear = Secret::new("hunter2-hunter2".to_owned());
        let sealed = SealedSecret { key_id: 7, nonce: [1; 12], ciphertext: b"ciphertext".to_vec() };
        let printed = format!("{clear:?} {sealed:?}");
        assert_eq!(printed, "[redacted] [sealed by key 00000007]");
    }
}
