//! What Airlock is about, in types: no runtime, no transport, no storage.
//!
//! A value that is only valid after a check has its own type with one constructor; a secret has a type that can't be
//! printed. Everything here is plain data and pure functions.

pub mod credential;
pub mod egress;
pub mod execution;
pub mod idempotency;
pub mod ids;
pub mod limits;
pub mod llm;
pub mod maker;
pub mod profile;
pub mod secret;

pub use credential::{CredentialName, CredentialRecord, InvalidName};
pub use egress::EgressEntry;
pub use execution::{ErrorType, ExecutionOutput, ExecutionRecord, ExecutionView, OnRestart, Redaction, Status, Usage};
pub use idempotency::IdempotencyRecord;
pub use ids::{ExecutionId, InvalidId, ProfileId};
pub use limits::{Limits, RunLimits};
pub use llm::{LlmEnd, LlmExchange, LlmRequestId};
pub use maker::Maker;
pub use profile::{ProfileRecord, ProfileStatus};
pub use secret::{SealedSecret, Secret};
