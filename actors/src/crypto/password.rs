//! argon2id for the administrator's password.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::domain::Secret;
use crate::ports::Entropy;

/// How much work a guess costs.
#[derive(Debug, Clone, Copy)]
pub struct PasswordCost {
    memory_kib: u32,
    passes: u32,
}

impl PasswordCost {
    /// 64 MiB and three passes, one lane: above OWASP's minimum, about a tenth of a second.
    pub const STANDARD: Self = Self { memory_kib: 64 * 1024, passes: 3 };

    /// For tests of what is around it: worth nothing against a guesser.
    #[cfg(any(test, feature = "testing"))]
    pub fn danger_next_to_nothing() -> Self {
        Self { memory_kib: 64, passes: 1 }
    }
}

/// Hashes and verifies off the async threads, two at a time at most: each takes 64 MiB.
#[derive(Clone)]
pub struct PasswordHasher {
    cost: PasswordCost,
    entropy: Arc<dyn Entropy>,
    permits: Arc<Semaphore>,
}

impl PasswordHasher {
    /// `entropy` gives the salts.
    pub fn new(cost: PasswordCost, entropy: Arc<dyn Entropy>) -> Self {
        Self { cost, entropy, permits: Arc::new(Semaphore::new(2)) }
    }

    /// The PHC string to keep; `None` when hashing failed, which it does only when out of memory.
    pub async fn hash(&self, password: Secret) -> Option<String> {
        let mut salt = [0u8; 16];
        self.entropy.fill(&mut salt);
        let cost = self.cost;
        self.on_a_blocking_thread(move || {
            let params = Params::new(cost.memory_kib, cost.passes, 1, None).ok()?;
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let hash = argon.hash_password_with_salt(password.expose().as_bytes(), &salt).ok()?;
            Some(hash.to_string())
        })
        .await
        .flatten()
    }

    /// True when `password` is the one behind `phc`, with the cost that `phc` names.
    pub async fn verify(&self, password: Secret, phc: String) -> bool {
        self.on_a_blocking_thread(move || {
            PasswordHash::new(&phc)
                .is_ok_and(|hash| Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok())
        })
        .await
        .unwrap_or(false)
    }

    async fn on_a_blocking_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let permit = self.permits.clone().acquire_owned().await.ok()?;
        let worked = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        worked.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededEntropy;

    #[tokio::test]
    async fn the_right_password_is_known_again_and_a_wrong_one_is_not() {
        let hasher = PasswordHasher::new(PasswordCost::danger_next_to_nothing(), Arc::new(SeededEntropy::new(1)));
        let phc = hasher.hash(Secret::new("correct horse".into())).await.expect("hashed");
        assert!(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{phc}");
        assert!(hasher.verify(Secret::new("correct horse".into()), phc.clone()).await);
        assert!(!hasher.verify(Secret::new("correct hors".into()), phc).await);
        assert!(!hasher.verify(Secret::new("correct horse".into()), "not a hash".into()).await);
    }
}
