//! HMAC-SHA256 over what an agent sends, and digests of tokens.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::domain::Secret;

/// True when `hex_signature` is the HMAC-SHA256 of `message` under `key`, in hexadecimal of either case.
///
/// The comparison takes the same time whatever the signature (CR-3); a text that is not 64 hexadecimal digits is
/// refused before it.
pub fn hmac_matches(key: &Secret, message: &[u8], hex_signature: &str) -> bool {
    let Some(claimed) = decode_digest(hex_signature) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()) else { return false };
    mac.update(message);
    mac.verify_slice(&claimed).is_ok()
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// 32 bytes out of 64 hexadecimal digits.
fn decode_digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0u8; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    const SIGNATURE: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn the_published_vector_is_accepted_in_either_case() {
        let key = Secret::new("Jefe".into());
        let message = b"what do ya want for nothing?";
        assert!(hmac_matches(&key, message, SIGNATURE));
        assert!(hmac_matches(&key, message, &SIGNATURE.to_uppercase()));
    }

    #[test]
    fn anything_else_is_refused() {
        let key = Secret::new("Jefe".into());
        let message = b"what do ya want for nothing?";
        let short = &SIGNATURE[..62];
        let long = format!("{SIGNATURE}00");
        let wrong = SIGNATURE.replace('5', "6");
        for claimed in ["", "zz", short, long.as_str(), wrong.as_str(), "é".repeat(32).as_str()] {
            assert!(!hmac_matches(&key, message, claimed), "{claimed:?} was accepted");
        }
        assert!(!hmac_matches(&Secret::new("jefe".into()), message, SIGNATURE));
        assert!(!hmac_matches(&key, b"another message", SIGNATURE));
    }
}
