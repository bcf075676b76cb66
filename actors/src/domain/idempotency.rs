//! Submissions that a client may repeat.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ExecutionId, ProfileId};

/// What a submission with an `Idempotency-Key` led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    /// Whose key it is: two profiles may use the same.
    pub profile_id: ProfileId,
    /// SHA-256 of the key.
    pub key_hash: [u8; 32],
    /// SHA-256 of what was asked for.
    pub body_hash: [u8; 32],
    /// The execution it led to.
    pub execution_id: ExecutionId,
    /// When: it is kept for a day.
    pub created_at: Timestamp,
}
