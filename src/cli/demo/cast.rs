//! Who plays: a person with a password and a value, an agent with a key.

use airlock_actors::ports::Entropy as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::system::OsEntropy;

/// What the person knows before it begins. Drawn anew each time, since other users of the machine can reach the port.
pub(super) struct Secrets {
    pub(super) password: String,
    pub(super) value: String,
}

impl Secrets {
    pub(super) fn draw() -> Self {
        // Short of the length from which a marker shows a value's last characters: what is printed is the same each time.
        let value = draw("demo-v-").chars().take(15).collect();
        Self { password: draw("demo-password-"), value }
    }

    /// These, and those that the server handed out.
    pub(super) fn all<'a>(&'a self, handed_out: &'a HandedOut) -> [&'a str; 4] {
        [&self.value, &self.password, &handed_out.token, &handed_out.key.secret]
    }
}

/// What the server made: each is in one answer, once.
#[derive(Default)]
pub(super) struct HandedOut {
    pub(super) token: String,
    pub(super) key: Key,
}

/// An agent's key.
#[derive(Default)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: String,
}

impl Key {
    /// From `ark_ID:SECRET`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.split_once(':')?;
        Some(Self { id: id.to_owned(), secret: secret.to_owned() })
    }

    /// The `hash` that goes with a script.
    pub(super) fn sign(&self, script: &str) -> anyhow::Result<String> {
        hmac_sha256(&self.secret, script)
    }
}

/// In hexadecimal.
pub(super) fn hmac_sha256(key: &str, text: &str) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())?;
    mac.update(text.as_bytes());
    Ok(hex::encode(mac.finalize().into_bytes()))
}

fn draw(prefix: &str) -> String {
    let mut bytes = [0; 16];
    OsEntropy.fill(&mut bytes);
    format!("{prefix}{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_each_time_and_can_be_told_by_their_beginning() {
        let (one, two) = (Secrets::draw(), Secrets::draw());
        assert_ne!(one.value, two.value);
        assert_ne!(one.password, two.password);
        // tests/demo looks for these in what is printed.
        assert!(one.value.starts_with("demo-v-") && one.password.starts_with("demo-password-"));
    }

    #[test]
    fn a_script_is_signed_with_the_part_after_the_colon() {
        let key = Key::parse("ark_x:Jefe").unwrap();
        // Test case 2 of RFC 4231.
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(key.sign("what do ya want for nothing?").unwrap(), expected);
        assert!(Key::parse("ark_x").is_none());
    }
}
