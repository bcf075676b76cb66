//! What the core needs from the world. Adapters in the `airlock` package implement these; `testing` fakes them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::domain::{
    CredentialName, CredentialRecord, ErrorType, ExecutionId, ExecutionOutput, ExecutionRecord, IdempotencyRecord,
    LlmExchange, LlmRequestId, ProfileId, ProfileRecord, RunLimits, SealedSecret, Secret, Status, Usage,
};

/// The time. The only place the core learns it from; timers run on tokio's clock, which tests pause.
pub trait Clock: Send + Sync + 'static {
    /// Now, UTC.
    fn now(&self) -> Timestamp;
}

/// Randomness fit for keys.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` with random ones. Does not fail: an adapter that can't get any aborts the process.
    fn fill(&self, bytes: &mut [u8]);
}

/// One change of the state on disk. A batch is applied as a whole or not at all.
#[derive(Debug, Clone)]
pub enum Write {
    /// Inserts or replaces a credential.
    PutCredential(CredentialRecord),
    /// Removes a credential.
    DeleteCredential(CredentialName),
    /// Inserts or replaces a profile.
    PutProfile(ProfileRecord),
    /// Removes a profile.
    DeleteProfile(ProfileId),
    /// Inserts an execution with its script.
    InsertExecution {
        /// The first state of the record.
        record: ExecutionRecord,
        /// The agent's script, as it was signed.
        script: Arc<str>,
    },
    /// Replaces an execution's record; the store keeps its indexes in step.
    UpdateExecution(ExecutionRecord),
    /// Replaces the record and adds the output: the one write of a final state.
    FinishExecution {
        /// The final record.
        record: ExecutionRecord,
        /// What it leaves.
        output: Arc<ExecutionOutput>,
    },
    /// Inserts or replaces a request to the LLM, with its answer if there is one.
    PutExchange {
        /// Whose.
        execution_id: ExecutionId,
        /// The request.
        exchange: LlmExchange,
    },
    /// Removes a finished execution with all that belongs to it. One that is not there is ignored.
    DeleteExecution(ExecutionId),
    /// Notes what a key led to.
    PutIdempotency(IdempotencyRecord),
    /// Removes a key, unless it was used again since.
    DeleteIdempotency(IdempotencyRecord),
    /// Sets the sealed constant that proves, at the next start, that the master key is this store's own.
    PutKeyCheck(SealedSecret),
    /// Sets who may administrate: the password's hash (PHC string).
    PutAdminPassword(String),
    /// Inserts or replaces a session.
    PutSession(SessionRecord),
    /// Removes a session by its token's hash.
    DeleteSession([u8; 32]),
}

/// A session of the web UI, as it is stored. The token itself is never on disk.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SessionRecord {
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last used, to within a minute.
    pub last_seen_at: Timestamp,
}

/// The state could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk is full: nothing of the batch was written.
    #[error("no space left on the disk that holds the data folder")]
    Full,
    /// The store has stopped taking work, because the server is shutting down.
    #[error("the store is closed")]
    Closed,
    /// Anything else, in words for the log.
    #[error("{0}")]
    Failed(String),
}

/// Which executions to list.
#[derive(Debug, Clone, Default)]
pub struct ExecutionQuery {
    /// Only this profile's.
    pub profile_id: Option<ProfileId>,
    /// Only those in this status.
    pub status: Option<Status>,
    /// Only those older than this one: the last of the page before.
    pub before: Option<ExecutionId>,
    /// At most so many.
    pub limit: usize,
}

/// The state on disk.
///
/// `commit` returns once the batch is durable (fsync). Reads see every batch whose `commit` has returned. Reads are
/// synchronous and short; `list_executions` costs the page, not the history.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Applies a batch, all or nothing, and returns when it is on disk.
    async fn commit(&self, batch: Vec<Write>) -> Result<(), StoreError>;
    /// Whether a batch was refused as [`StoreError::Full`] lately, and none as large was written since.
    fn is_full(&self) -> bool;
    /// Every credential.
    fn credentials(&self) -> Result<Vec<CredentialRecord>, StoreError>;
    /// Every profile.
    fn profiles(&self) -> Result<Vec<ProfileRecord>, StoreError>;
    /// Every session.
    fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError>;
    /// The sealed constant that the master key must open; `None` on a store that no key has been used with.
    fn key_check(&self) -> Result<Option<SealedSecret>, StoreError>;
    /// The password's hash, once set.
    fn admin_password(&self) -> Result<Option<String>, StoreError>;
    /// An execution's record.
    fn execution(&self, id: &ExecutionId) -> Result<Option<ExecutionRecord>, StoreError>;
    /// What a finished execution left.
    fn execution_output(&self, id: &ExecutionId) -> Result<Option<ExecutionOutput>, StoreError>;
    /// An execution's script.
    fn execution_script(&self, id: &ExecutionId) -> Result<Option<String>, StoreError>;
    /// A request of an execution to the LLM.
    fn exchange(&self, of: &ExecutionId, id: LlmRequestId) -> Result<Option<LlmExchange>, StoreError>;
    /// All of an execution, in order, but no further ones once they have more than `most_bytes` of texts.
    fn exchanges(&self, of: &ExecutionId, most_bytes: usize) -> Result<Vec<LlmExchange>, StoreError>;
    /// What a profile's key led to, by the SHA-256 of the key.
    fn idempotency(&self, profile: &ProfileId, key_hash: &[u8; 32]) -> Result<Option<IdempotencyRecord>, StoreError>;
    /// Up to `limit` keys noted before `before`, oldest first.
    fn idempotency_before(&self, before: Timestamp, limit: usize) -> Result<Vec<IdempotencyRecord>, StoreError>;
    /// How many executions there are, live ones included.
    fn count_executions(&self) -> Result<u64, StoreError>;
    /// Up to `limit` records that are newer than `after`, oldest first.
    fn oldest_executions(&self, after: Option<&ExecutionId>, limit: usize) -> Result<Vec<ExecutionRecord>, StoreError>;
    /// A page of records, newest first.
    fn list_executions(&self, query: &ExecutionQuery) -> Result<Vec<ExecutionRecord>, StoreError>;
    /// Every record whose status is not final, oldest first.
    fn unfinished_executions(&self) -> Result<Vec<ExecutionRecord>, StoreError>;
}

/// Names one run of a script on a worker, for as long as the server lives; late answers of another are told by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct RunToken(pub u64);

/// What a worker is asked to run.
#[derive(Debug)]
pub struct RunRequest {
    /// Names the run.
    pub token: RunToken,
    /// For the worker's own log.
    pub execution_id: ExecutionId,
    /// Python source.
    pub script: Arc<str>,
    /// What `settings` holds.
    pub settings: Vec<(CredentialName, Secret)>,
    /// What it may use.
    pub limits: RunLimits,
    /// Which hosts it may reach: a profile's `allowed_hosts`.
    pub allowed_hosts: Option<Vec<String>>,
}

/// Which stream a script wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum OutputStream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

/// The end of a stream that was longer than what is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputTail {
    /// Bytes between the head that was sent before and this tail.
    pub dropped_bytes: u64,
    /// The last bytes, raw: not scrubbed yet.
    pub bytes: Vec<u8>,
}

/// How a run ended, as the worker saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// The script came to its end.
    Completed,
    /// An exception ended it, or the runtime refused it.
    Failed {
        /// The kind.
        error_type: ErrorType,
        /// One sentence, raw.
        error: String,
        /// The script's own lines, raw.
        traceback: Option<String>,
    },
    /// It was ended as asked for by [`WorkerLink::kill`].
    Killed,
}

/// The last word on a run. By then every process of it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    /// How it ended.
    pub outcome: RunOutcome,
    /// JSON text of the last `set_result`, raw.
    pub result: Option<String>,
    /// What standard output ended with, if its middle was dropped.
    pub stdout_tail: Option<OutputTail>,
    /// What standard error ended with, if its middle was dropped.
    pub stderr_tail: Option<OutputTail>,
    /// What it used.
    pub usage: Usage,
    /// Whom it asked for, in order; the hosts are the script's words, raw.
    pub egress: Vec<EgressSeen>,
}

impl RunEnd {
    /// Bytes of the texts in it.
    pub fn text_bytes(&self) -> usize {
        let tail = |tail: &Option<OutputTail>| tail.as_ref().map_or(0, |tail| tail.bytes.len());
        let failed = match &self.outcome {
            RunOutcome::Failed { error, traceback, .. } => error.len() + traceback.as_ref().map_or(0, String::len),
            RunOutcome::Completed | RunOutcome::Killed => 0,
        };
        let result = self.result.as_ref().map_or(0, String::len);
        failed + result + tail(&self.stdout_tail) + tail(&self.stderr_tail)
    }
}

/// All that a run asked of one host and port, with one answer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EgressSeen {
    /// The name that led there, or the address if none did.
    pub host: String,
    /// The port; `None` for a question to a name server.
    pub port: Option<u16>,
    /// Why not, in a word; `None` if it was allowed.
    pub refusal: Option<String>,
    /// How often.
    pub count: u64,
    /// When first, in milliseconds from the start of the script.
    pub first_ms: u64,
    /// Bytes that left, where they were counted.
    pub bytes_sent: Option<u64>,
    /// Bytes that came, where they were counted; the end of each connection may count as one.
    pub bytes_received: Option<u64>,
}

/// A question of a script to the agent's LLM, raw.
#[derive(Clone, PartialEq, Eq)]
pub struct LlmAsk {
    /// What is asked.
    pub prompt: String,
    /// Which model is wanted.
    pub model: String,
    /// JSON text, if the script says so, of the schema that the answer must fit. Not looked at yet.
    pub schema: Option<String>,
}

impl std::fmt::Debug for LlmAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It has not passed the sanitizer.
        write!(f, "[question of {} bytes]", self.prompt.len())
    }
}

/// What a script is told of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LlmReply {
    /// The answer.
    Text(String),
    /// There was none in time: a sentence.
    TimedOut(String),
    /// It was not asked, because that was too much: a sentence.
    Refused(String),
    /// It was not asked, because it makes no sense: a sentence.
    Invalid(String),
}

/// What comes from a run. The channel closes without an `Ended` when the worker is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// Bytes of the head of a stream, in order, raw.
    Output(OutputStream, Vec<u8>),
    /// It asks the agent's LLM. Batches are numbered from 1; at most 100 questions of 8 MiB are open at once.
    Asked(u32, Vec<LlmAsk>),
    /// It does nothing but wait for its LLM, and stands still until a batch is answered. So many had been.
    Paused(u32),
    /// The end. Nothing follows.
    Ended(Box<RunEnd>),
}

/// A worker is gone; so is everything that ran on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the worker is gone")]
pub struct WorkerGone;

/// The server's side of one worker. Dropping the last one ends the worker and everything on it.
pub trait WorkerLink: Send + Sync + 'static {
    /// Starts a script. The first one binds the worker to its profile; the pool sees to that.
    fn run(&self, request: RunRequest) -> Result<mpsc::UnboundedReceiver<RunEvent>, WorkerGone>;
    /// Ends a run and all its processes; its `Ended` follows. Unknown tokens are ignored.
    fn kill(&self, token: RunToken);
    /// Answers one question of a batch, in their order; with the `last` the run goes on, if it stood still. Unknown tokens and
    /// batches are ignored.
    fn answer(&self, token: RunToken, batch: u32, index: u32, last: bool, reply: &LlmReply);
    /// Asks the worker to end by itself; whoever waits on `exited` learns when it did.
    fn shutdown(&self);
    /// Ends the worker at once and by force, with everything that runs on it, whether it listens or not.
    fn destroy(&self);
}

/// What a worker said of itself when it was ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerInfo {
    /// Version of its Python, such as `3.11.2`.
    pub python: String,
    /// Digest of interpreter and packages (SHA-256, hexadecimal).
    pub environment: String,
    /// The layers of its confinement, those that are not in force too.
    pub layers: Vec<SandboxLayer>,
}

/// One layer of the confinement of scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxLayer {
    /// Its name, such as `landlock`.
    pub name: String,
    /// What it does, in words.
    pub does: String,
    /// No script runs without it, unless the server was told to accept a weaker sandbox.
    pub floor: bool,
    /// In force.
    pub active: bool,
    /// Its extent, such as `ABI 7`, may be empty; or why it is not in force.
    pub detail: String,
    /// What it needs.
    pub turn_on: String,
}

impl SandboxLayer {
    /// In a few words: `landlock (ABI 7)`.
    pub fn summary(&self) -> String {
        if self.detail.is_empty() { self.name.clone() } else { format!("{} ({})", self.name, self.detail) }
    }
}

impl WorkerInfo {
    /// The layers that no script should run without and that are not in force, in words. Empty unless the server was told to
    /// accept a weaker sandbox.
    pub fn degraded(&self) -> Vec<String> {
        let missing = self.layers.iter().filter(|layer| layer.floor && !layer.active);
        missing.map(SandboxLayer::summary).collect()
    }
}

/// A worker that is ready to run scripts.
pub struct LaunchedWorker {
    /// The way to it.
    pub link: Arc<dyn WorkerLink>,
    /// What it is.
    pub info: WorkerInfo,
    /// Resolves, with the reason in words, once its process is gone.
    pub exited: Pin<Box<dyn Future<Output = String> + Send>>,
}

/// A worker could not be started: one sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LaunchError(pub String);

/// Starts workers.
#[async_trait]
pub trait WorkerLauncher: Send + Sync + 'static {
    /// Starts one and waits until it is ready. `slot` is free again once the worker has exited; it picks the user.
    async fn launch(&self, slot: u32) -> Result<LaunchedWorker, LaunchError>;
}
