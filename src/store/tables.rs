//! The tables and their bytes. A change of either is a new version in the name and a step in `migrations`.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta.v1` | `schema` | the schema's number, 4 bytes, big-endian, for good: every Airlock must be able to read it |
//! | | `key_check` | codec, `SealedSecret` |
//! | | `admin_password` | codec, text (PHC string) |
//! | `credentials.v2` | name | codec, `CredentialRecord` |
//! | `profiles.v2` | profile id (28) | codec, `ProfileRecord` |
//! | `sessions.v1` | SHA-256 of the token (32) | codec, `SessionRecord` |
//! | `executions.v2` | execution id (41) | codec, `ExecutionRecord` |
//! | `scripts.v1` | execution id (41) | codec, text |
//! | `outputs.v2` | execution id (41) | codec, `ExecutionOutput` |
//! | `llm_exchanges.v1` | execution id (41), number (4, big-endian) | codec, `LlmExchange` |
//! | `idempotency.v1` | profile id (28), SHA-256 of the key (32) | codec, `IdempotencyRecord` |
//! | `idempotency_by_time.v1` | milliseconds since 1970 (8, big-endian), profile id (28), SHA-256 of the key (32) | none |
//! | `executions_by_profile.v1` | profile id (28), execution id (41) | none |
//! | `executions_by_status.v1` | status (1), execution id (41) | none |
//! | `executions_by_profile_status.v1` | profile id (28), status (1), execution id (41) | none |
//!
//! Ids are stored as their text, names too; numbers in brackets are bytes. "codec" is the framing of `super::codec`.
//! An execution id starts with its time, so that keys sort by time and a page is one range, read backwards. Index keys
//! have parts of fixed length, so that a prefix can't run into the next part.

use airlock_actors::domain::{ExecutionId, IdempotencyRecord, LlmRequestId, ProfileId, Status};
use jiff::Timestamp;
use redb::{TableDefinition, TableError, WriteTransaction};

/// A table of values.
pub(super) type Values = TableDefinition<'static, &'static [u8], &'static [u8]>;
/// A table whose keys say everything.
pub(super) type Index = TableDefinition<'static, &'static [u8], ()>;

pub(super) const META: Values = TableDefinition::new("meta.v1");
pub(super) const CREDENTIALS: Values = TableDefinition::new("credentials.v2");
pub(super) const PROFILES: Values = TableDefinition::new("profiles.v2");
pub(super) const SESSIONS: Values = TableDefinition::new("sessions.v1");
pub(super) const EXECUTIONS: Values = TableDefinition::new("executions.v2");
pub(super) const SCRIPTS: Values = TableDefinition::new("scripts.v1");
pub(super) const OUTPUTS: Values = TableDefinition::new("outputs.v2");
pub(super) const LLM_EXCHANGES: Values = TableDefinition::new("llm_exchanges.v1");
pub(super) const IDEMPOTENCY: Values = TableDefinition::new("idempotency.v1");
pub(super) const IDEMPOTENCY_BY_TIME: Index = TableDefinition::new("idempotency_by_time.v1");
pub(super) const BY_PROFILE: Index = TableDefinition::new("executions_by_profile.v1");
pub(super) const BY_STATUS: Index = TableDefinition::new("executions_by_status.v1");
pub(super) const BY_PROFILE_STATUS: Index = TableDefinition::new("executions_by_profile_status.v1");

pub(super) const META_SCHEMA: &[u8] = b"schema";
pub(super) const META_KEY_CHECK: &[u8] = b"key_check";
pub(super) const META_ADMIN_PASSWORD: &[u8] = b"admin_password";

/// Length of an execution id's text: the last part of every index key.
pub(super) const EXECUTION_ID_BYTES: usize = 41;

/// Makes every table, so that a reader never meets one that is not there.
pub(super) fn create_all(transaction: &WriteTransaction) -> Result<(), TableError> {
    for values in [META, CREDENTIALS, PROFILES, SESSIONS, EXECUTIONS, SCRIPTS, OUTPUTS, LLM_EXCHANGES, IDEMPOTENCY] {
        transaction.open_table(values)?;
    }
    for index in [BY_PROFILE, BY_STATUS, BY_PROFILE_STATUS, IDEMPOTENCY_BY_TIME] {
        transaction.open_table(index)?;
    }
    Ok(())
}

/// Which part of an index a listing reads: everything whose key starts with these bytes.
pub(super) fn profile_prefix(profile: &ProfileId) -> Vec<u8> {
    profile.as_str().as_bytes().to_vec()
}

/// As [`profile_prefix`], in `executions_by_status.v1`.
pub(super) fn status_prefix(status: Status) -> Vec<u8> {
    vec![status_code(status)]
}

/// As [`profile_prefix`], in `executions_by_profile_status.v1`.
pub(super) fn profile_status_prefix(profile: &ProfileId, status: Status) -> Vec<u8> {
    [profile.as_str().as_bytes(), &[status_code(status)]].concat()
}

/// An index key: the prefix, then the execution.
pub(super) fn index_key(mut prefix: Vec<u8>, id: &ExecutionId) -> Vec<u8> {
    prefix.extend_from_slice(id.as_str().as_bytes());
    prefix
}

/// A key of `llm_exchanges.v1`.
pub(super) fn exchange_key(of: &ExecutionId, id: LlmRequestId) -> Vec<u8> {
    [of.as_str().as_bytes(), &id.0.to_be_bytes()].concat()
}

/// A key of `idempotency.v1`.
pub(super) fn idempotency_key(profile: &ProfileId, key_hash: &[u8; 32]) -> Vec<u8> {
    [profile.as_str().as_bytes(), key_hash.as_slice()].concat()
}

/// A key of `idempotency_by_time.v1`.
pub(super) fn idempotency_time_key(record: &IdempotencyRecord) -> Vec<u8> {
    let rest = idempotency_key(&record.profile_id, &record.key_hash);
    [milliseconds(record.created_at).as_slice(), &rest].concat()
}

/// A moment as a key begins with it; before 1970 is 1970.
pub(super) fn milliseconds(at: Timestamp) -> [u8; 8] {
    u64::try_from(at.as_millisecond()).unwrap_or(0).to_be_bytes()
}

/// The status in an index key. On disk: never renumber.
fn status_code(status: Status) -> u8 {
    match status {
        Status::Pending => 0,
        Status::Running => 1,
        Status::AwaitingLlm => 2,
        Status::Completed => 3,
        Status::Error => 4,
        Status::Timeout => 5,
        Status::Cancelled => 6,
    }
}
