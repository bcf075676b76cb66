//! From schema 1 to 2: executions wait for their LLM, are replayed and leave what they asked the network for; profiles can be
//! suspended; descriptions say whose they are. The types are as schema 1 wrote them, for good.
//!
//! Read: `credentials.v1`, `executions.v1`, `outputs.v1`, `profiles.v1`, with the types below. They are gone afterwards.

use std::collections::BTreeSet;

use airlock_actors::domain::{
    CredentialName, CredentialRecord, ErrorType, ExecutionId, ExecutionOutput, ExecutionRecord, Limits, Maker,
    OnRestart, ProfileId, ProfileRecord, Redaction, SealedSecret, Status, Usage,
};
use jiff::Timestamp;
use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::store::codec::{decode, encode};
use crate::store::fault::Fault;
use crate::store::tables::{self, Values, create_all};

pub(super) const CREDENTIALS: Values = TableDefinition::new("credentials.v1");
pub(super) const EXECUTIONS: Values = TableDefinition::new("executions.v1");
pub(super) const OUTPUTS: Values = TableDefinition::new("outputs.v1");
pub(super) const PROFILES: Values = TableDefinition::new("profiles.v1");

/// The step.
pub(super) fn to_schema_2(transaction: &WriteTransaction) -> Result<(), Fault> {
    create_all(transaction)?;
    rewrite(transaction, CREDENTIALS, tables::CREDENTIALS, Credential::into_current)?;
    rewrite(transaction, EXECUTIONS, tables::EXECUTIONS, Execution::into_current)?;
    rewrite(transaction, OUTPUTS, tables::OUTPUTS, Output::into_current)?;
    rewrite(transaction, PROFILES, tables::PROFILES, Profile::into_current)
}

/// Moves every row to its new table and takes the old one away.
fn rewrite<Old: DeserializeOwned, New: serde::Serialize>(
    transaction: &WriteTransaction,
    from: Values,
    to: Values,
    current: impl Fn(Old) -> New,
) -> Result<(), Fault> {
    {
        let (old, mut new) = (transaction.open_table(from)?, transaction.open_table(to)?);
        for row in old.iter()? {
            let (key, value) = row?;
            let record = current(decode(from, value.value())?);
            new.insert(key.value(), encode(to, &record)?.as_slice())?;
        }
    }
    transaction.delete_table(from)?;
    Ok(())
}

/// Schema 1 did not tell whose words a description is. An agent's is the answer that asks for caution.
const UNTOLD: Maker = Maker::Agent;

#[derive(Deserialize)]
struct Credential {
    name: CredentialName,
    description: String,
    value: Option<OldSealedSecret>,
    secret: bool,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Credential {
    fn into_current(self) -> CredentialRecord {
        CredentialRecord {
            name: self.name,
            description: self.description,
            described_by: UNTOLD,
            value: self.value.map(OldSealedSecret::into_current),
            secret: self.secret,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

#[derive(Deserialize)]
struct Execution {
    id: ExecutionId,
    profile_id: ProfileId,
    status: OldStatus,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    timeout_s: u32,
    llm_timeout_s: u32,
    deadline: Option<Timestamp>,
    execution_time_ms: Option<u64>,
    error_type: Option<OldErrorType>,
    usage: Option<OldUsage>,
    environment: Option<String>,
    redactions: Vec<OldRedaction>,
}

impl Execution {
    fn into_current(self) -> ExecutionRecord {
        ExecutionRecord {
            id: self.id,
            profile_id: self.profile_id,
            status: self.status.into_current(),
            created_at: self.created_at,
            started_at: self.started_at,
            completed_at: self.completed_at,
            timeout_s: self.timeout_s,
            llm_timeout_s: self.llm_timeout_s,
            on_restart: OnRestart::Fail,
            attempts: u32::from(self.started_at.is_some()),
            deadline: self.deadline,
            llm_deadline: None,
            llm_requests: 0,
            ran_ms: 0,
            execution_time_ms: self.execution_time_ms,
            error_type: self.error_type.map(OldErrorType::into_current),
            usage: self.usage.map(|used| Usage { cpu_ms: used.cpu_ms, max_rss_bytes: used.max_rss_bytes }),
            environment: self.environment,
            redactions: self.redactions.into_iter().map(OldRedaction::into_current).collect(),
            suspicious: false,
            rerun_of: None,
        }
    }
}

#[derive(Deserialize)]
struct OldUsage {
    cpu_ms: u64,
    max_rss_bytes: u64,
}

#[derive(Deserialize)]
struct OldRedaction {
    field: String,
    credential: CredentialName,
    form: String,
    count: u64,
}

impl OldRedaction {
    fn into_current(self) -> Redaction {
        Redaction { field: self.field, credential: self.credential, form: self.form, count: self.count }
    }
}

#[derive(Deserialize)]
enum OldStatus {
    Pending,
    Running,
    AwaitingLlm,
    Completed,
    Error,
    Timeout,
    Cancelled,
}

impl OldStatus {
    fn into_current(self) -> Status {
        match self {
            Self::Pending => Status::Pending,
            Self::Running => Status::Running,
            Self::AwaitingLlm => Status::AwaitingLlm,
            Self::Completed => Status::Completed,
            Self::Error => Status::Error,
            Self::Timeout => Status::Timeout,
            Self::Cancelled => Status::Cancelled,
        }
    }
}

#[derive(Deserialize)]
enum OldErrorType {
    MemoryLimit,
    CpuLimit,
    ScriptTimeout,
    ResultTooLarge,
    ProcessDied,
    SandboxFailed,
    ProtocolViolation,
    WorkerLost,
    Interrupted,
    WorkerUnavailable,
    Cancelled,
    Python(String),
}

impl OldErrorType {
    fn into_current(self) -> ErrorType {
        match self {
            Self::MemoryLimit => ErrorType::MemoryLimit,
            Self::CpuLimit => ErrorType::CpuLimit,
            Self::ScriptTimeout => ErrorType::ScriptTimeout,
            Self::ResultTooLarge => ErrorType::ResultTooLarge,
            Self::ProcessDied => ErrorType::ProcessDied,
            Self::SandboxFailed => ErrorType::SandboxFailed,
            Self::ProtocolViolation => ErrorType::ProtocolViolation,
            Self::WorkerLost => ErrorType::WorkerLost,
            Self::Interrupted => ErrorType::Interrupted,
            Self::WorkerUnavailable => ErrorType::WorkerUnavailable,
            Self::Cancelled => ErrorType::Cancelled,
            Self::Python(name) => ErrorType::Python(name),
        }
    }
}

#[derive(Deserialize)]
struct Output {
    result: Option<String>,
    stdout: String,
    stderr: String,
    error: Option<String>,
    traceback: Option<String>,
}

impl Output {
    fn into_current(self) -> ExecutionOutput {
        let Self { result, stdout, stderr, error, traceback } = self;
        ExecutionOutput { result, stdout, stderr, error, traceback, egress: Vec::new() }
    }
}

#[derive(Deserialize)]
struct Profile {
    id: ProfileId,
    description: String,
    credentials: BTreeSet<CredentialName>,
    key: Option<OldSealedSecret>,
    key_version: u64,
    revoked: bool,
    expires_at: Option<Timestamp>,
    allowed_hosts: Option<Vec<String>>,
    limits: OldLimits,
    suspend_on_leak: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

impl Profile {
    fn into_current(self) -> ProfileRecord {
        ProfileRecord {
            id: self.id,
            description: self.description,
            described_by: UNTOLD,
            credentials: self.credentials,
            key: self.key.map(OldSealedSecret::into_current),
            key_version: self.key_version,
            revoked: self.revoked,
            expires_at: self.expires_at,
            allowed_hosts: self.allowed_hosts,
            limits: self.limits.into_current(),
            suspend_on_leak: self.suspend_on_leak,
            suspended: false,
            created_at: self.created_at,
            updated_at: self.updated_at,
            last_used_at: self.last_used_at,
        }
    }
}

#[derive(Deserialize)]
struct OldSealedSecret {
    key_id: u32,
    nonce: [u8; 12],
    ciphertext: Vec<u8>,
}

impl OldSealedSecret {
    fn into_current(self) -> SealedSecret {
        SealedSecret { key_id: self.key_id, nonce: self.nonce, ciphertext: self.ciphertext }
    }
}

#[derive(Deserialize)]
struct OldLimits {
    memory_bytes: Option<u64>,
    cpu_seconds: Option<u64>,
    processes: Option<u64>,
    open_files: Option<u64>,
    tmp_bytes: Option<u64>,
    output_bytes: Option<u64>,
}

impl OldLimits {
    fn into_current(self) -> Limits {
        let Self { memory_bytes, cpu_seconds, processes, open_files, tmp_bytes, output_bytes } = self;
        Limits { memory_bytes, cpu_seconds, processes, open_files, tmp_bytes, output_bytes }
    }
}
