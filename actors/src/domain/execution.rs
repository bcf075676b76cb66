//! An execution's record: what is stored, and what a poll shows.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CredentialName, EgressEntry, ExecutionId, LlmRequestId, ProfileId};

/// Where an execution is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted and on disk; waits for a running slot.
    Pending,
    /// Its script was, or is about to be, started.
    Running,
    /// Its script waits for the agent's LLM.
    AwaitingLlm,
    /// The script came to its end.
    Completed,
    /// The script failed, or something failed under it.
    Error,
    /// The running time was up.
    Timeout,
    /// A person, the agent or the end of its profile stopped it.
    Cancelled,
}

impl Status {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Running, Self::AwaitingLlm, Self::Completed, Self::Error, Self::Timeout, Self::Cancelled];

    /// True for the four that are never left again.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Error | Self::Timeout | Self::Cancelled)
    }

    /// As it is written in JSON and in query strings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::AwaitingLlm => "awaiting_llm",
            Self::Completed => "completed",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status that is written so, if there is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// The kind of an error, for a program to act on: Airlock's own, or the name of the Python exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorType {
    /// Killed for the memory it used.
    MemoryLimit,
    /// Used up its CPU seconds.
    CpuLimit,
    /// Its running time was up.
    ScriptTimeout,
    /// Its result does not fit.
    ResultTooLarge,
    /// Its process ended without a word (a crash in C code, `os._exit`).
    ProcessDied,
    /// The confinement could not be applied, so the script was not started.
    SandboxFailed,
    /// What came from its process was not what the runtime sends.
    ProtocolViolation,
    /// Its worker died under it.
    WorkerLost,
    /// The server stopped or crashed under it.
    Interrupted,
    /// No worker could be started for it.
    WorkerUnavailable,
    /// Cancelled before its end.
    Cancelled,
    /// The agent's LLM did not answer in time.
    LlmTimeout,
    /// It asked the agent's LLM for more than is allowed.
    LlmLimit,
    /// Replayed after a restart, it asked something else than it had asked before.
    ReplayDiverged,
    /// Its result holds a credential in a shape that can't be scrubbed.
    ResultWithheld,
    /// The class name of the exception that ended the script.
    Python(String),
    /// Had more processes and threads than it may. Here and below are later kinds: their order is that of the store.
    ProcessLimit,
    /// Took more temporary space than it may.
    DiskLimit,
}

impl ErrorType {
    /// As it is written in JSON.
    pub fn as_str(&self) -> &str {
        match self {
            Self::MemoryLimit => "MemoryLimit",
            Self::CpuLimit => "CpuLimit",
            Self::ScriptTimeout => "ScriptTimeout",
            Self::ResultTooLarge => "ResultTooLarge",
            Self::ProcessDied => "ProcessDied",
            Self::SandboxFailed => "SandboxFailed",
            Self::ProtocolViolation => "ProtocolViolation",
            Self::WorkerLost => "WorkerLost",
            Self::Interrupted => "Interrupted",
            Self::WorkerUnavailable => "WorkerUnavailable",
            Self::Cancelled => "Cancelled",
            Self::LlmTimeout => "LlmTimeout",
            Self::LlmLimit => "LlmLimit",
            Self::ReplayDiverged => "ReplayDiverged",
            Self::ResultWithheld => "ResultWithheld",
            Self::Python(name) => name,
            Self::ProcessLimit => "ProcessLimit",
            Self::DiskLimit => "DiskLimit",
        }
    }
}

/// What becomes of an execution that runs or waits for its LLM when the server stops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRestart {
    /// It ends as `error` / `Interrupted`: it may have had effects.
    #[default]
    Fail,
    /// It starts again from the top, and is given the answers it had before, in order.
    Replay,
}

impl OnRestart {
    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Replay => "replay",
        }
    }
}

/// What an execution used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time of its process and of those it waited for, in milliseconds.
    pub cpu_ms: u64,
    /// Peak memory in bytes: of its largest process, or of all of them at one moment if that was seen to be more.
    pub max_rss_bytes: u64,
}

/// How often a credential was scrubbed from a field. Carries no part of the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redaction {
    /// `stdout`, `stderr`, `result`, `error`, `traceback`, `prompt` or `egress`.
    pub field: String,
    /// Whose value it was.
    pub credential: CredentialName,
    /// What form it was found in: `literal`, `case`, `escaped`, or one of those that make the execution suspicious:
    /// `separated`, `reversed`, `hex`, `base32`, `base64`, `base85`, `integers`, `utf16`, `nested`, `compressed`.
    pub form: String,
    /// How many times.
    pub count: u64,
}

/// What is stored of an execution and listed: everything but the texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionRecord {
    /// Unguessable; sorts by time of acceptance.
    pub id: ExecutionId,
    /// Whose it is.
    pub profile_id: ProfileId,
    /// Where it is in its life.
    pub status: Status,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it got its running slot.
    pub started_at: Option<Timestamp>,
    /// When it came to its final status.
    pub completed_at: Option<Timestamp>,
    /// Running time it may use, in seconds.
    pub timeout_s: u32,
    /// Time it may wait for one answer of the LLM, in seconds.
    pub llm_timeout_s: u32,
    /// What becomes of it when the server restarts under it.
    pub on_restart: OnRestart,
    /// How often its script was, or was about to be, started: more than once only when it is replayed.
    pub attempts: u32,
    /// When its running time is up; set while it runs.
    pub deadline: Option<Timestamp>,
    /// When the first of its open requests to the LLM is over; set while there is one. Each request's own is with it.
    pub llm_deadline: Option<Timestamp>,
    /// How many requests to the LLM it has made, over all attempts; those of a replay that had been made before count once.
    pub llm_requests: u32,
    /// Running time it had used up when it last began to wait for the LLM, in milliseconds, in this attempt.
    pub ran_ms: u64,
    /// Running time it used, in all, once it is final.
    pub execution_time_ms: Option<u64>,
    /// The kind of its error.
    pub error_type: Option<ErrorType>,
    /// What it used.
    pub usage: Option<Usage>,
    /// Digest of the interpreter and packages it ran on (SHA-256, hexadecimal).
    pub environment: Option<String>,
    /// What was scrubbed.
    pub redactions: Vec<Redaction>,
    /// True when what was scrubbed looks like a deliberate leak.
    pub suspicious: bool,
    /// The execution that a person had run again, when this is that run.
    pub rerun_of: Option<ExecutionId>,
}

impl ExecutionRecord {
    /// One that is accepted now and has not begun, with the terms that nobody has to name.
    pub fn accepted(id: ExecutionId, profile_id: ProfileId, now: Timestamp) -> Self {
        Self {
            id,
            profile_id,
            status: Status::Pending,
            created_at: now,
            started_at: None,
            completed_at: None,
            timeout_s: 60,
            llm_timeout_s: 300,
            on_restart: OnRestart::default(),
            attempts: 0,
            deadline: None,
            llm_deadline: None,
            llm_requests: 0,
            ran_ms: 0,
            execution_time_ms: None,
            error_type: None,
            usage: None,
            environment: None,
            redactions: Vec::new(),
            suspicious: false,
            rerun_of: None,
        }
    }
}

/// The texts a finished execution leaves, as far as the agent may see them: every byte has passed the sanitizer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionOutput {
    /// JSON text of what `set_result` was given.
    pub result: Option<String>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// One sentence an agent can act on.
    pub error: Option<String>,
    /// The script's own lines of the traceback.
    pub traceback: Option<String>,
    /// What it asked the network for, in the order of the first asking; for the administrator only.
    pub egress: Vec<EgressEntry>,
}

/// What a poll shows: the record, and the output once there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionView {
    /// The record as it is on disk.
    pub record: ExecutionRecord,
    /// Present exactly when the status is final.
    pub output: Option<std::sync::Arc<ExecutionOutput>>,
    /// The requests to the LLM that await an answer, oldest first; what they say is in the store.
    pub awaited: Vec<LlmRequestId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_read_back_from_what_it_is_written_as() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("done"), None);
    }
}
