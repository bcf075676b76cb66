//! Submitting, reading and draining executions.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_rt::ArbiterHandle;
use jiff::Timestamp;

use super::idempotency;
use super::{Core, SubmitError, Unavailable};
use crate::domain::{
    ExecutionId, ExecutionRecord, ExecutionView, IdempotencyRecord, LlmExchange, OnRestart, ProfileId, ProfileRecord,
    Status,
};
use crate::execution::{Execution, StopReason, Ticket};
use crate::ports::{ExecutionQuery, WorkerInfo};
use crate::profile_registry::{Authorize, FlushUse, Refusal, Used};
use crate::vault::WithoutValue;
use crate::worker_pool::{AllGone, Drain, Enter, Entered, Inspect};

/// What an agent asks to run.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Who asks.
    pub profile_id: ProfileId,
    /// Python source, at most 1 MiB.
    pub script: Arc<str>,
    /// Hexadecimal HMAC-SHA256 of the script under the profile's secret, as sent; `None` when none was.
    pub hash: Option<String>,
    /// Running time it may use, in seconds.
    pub timeout_s: u32,
    /// Time it may wait for one answer of the LLM, in seconds.
    pub llm_timeout_s: u32,
    /// What becomes of it when the server restarts under it.
    pub on_restart: OnRestart,
    /// Names the submission, so that it can be repeated; at most [`MAX_KEY_BYTES`](super::MAX_KEY_BYTES).
    pub idempotency_key: Option<String>,
}

/// How a script is to run.
pub(super) struct Terms {
    pub(super) timeout_s: u32,
    pub(super) llm_timeout_s: u32,
    pub(super) on_restart: OnRestart,
    pub(super) rerun_of: Option<ExecutionId>,
}

/// A submission that may come again.
pub(super) struct Repeatable {
    key_hash: [u8; 32],
    body_hash: [u8; 32],
}

/// Whether the core can run a script now.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// Empty when ready; else a sentence a part.
    pub problems: Vec<String>,
    /// What a worker said of itself, while one is ready.
    pub worker: Option<WorkerInfo>,
    /// Executions that run.
    pub running: usize,
    /// Executions that wait for their LLM without a slot.
    pub paused: usize,
    /// Executions that wait for a slot.
    pub queued: usize,
}

/// Everything of one execution, for the administrator.
#[derive(Debug, Clone)]
pub struct ExecutionDetail {
    /// What the agent sees too.
    pub view: ExecutionView,
    /// The script as it was signed.
    pub script: String,
    /// What it asked its LLM, in order; of very long ones only the first.
    pub exchanges: Vec<LlmExchange>,
}

/// How long the end of one that was cancelled may take: longer than a worker has to end it, and to be ended.
pub(super) const END_ONE: Duration = Duration::from_secs(30);
/// How long the look at a submission may take when a shutdown begins.
const END_ADMISSION: Duration = Duration::from_secs(5);
/// How long the end of what still runs at a shutdown may take.
const END_ALL: Duration = Duration::from_secs(15);
/// How long the workers may take to end after that, those that were just starting included.
const END_WORKERS: Duration = Duration::from_secs(10);

impl Core {
    /// Checks who and what, in the order of the HTTP contract, and returns once the execution is on disk. A repeated submission
    /// gives what the first one gave.
    pub async fn submit(&self, submission: Submission) -> Result<ExecutionView, SubmitError> {
        self.refuse_if_draining()?;
        let authority = self.inner.registry.call(Authorize(submission.profile_id.clone())).await?.map_err(refused)?;
        let hash = submission.hash.as_deref().ok_or(SubmitError::MissingHash)?;
        if !authority.verify(&submission.script, hash).await {
            return Err(SubmitError::WrongHash);
        }
        let profile = authority.profile().clone();
        let terms = Terms {
            timeout_s: submission.timeout_s,
            llm_timeout_s: submission.llm_timeout_s,
            on_restart: submission.on_restart,
            rerun_of: None,
        };
        let Some(key) = &submission.idempotency_key else {
            return self.admit(profile, submission.script, terms, None).await;
        };
        let key_hash = idempotency::key_hash(key);
        let _turn = self.inner.turns.take((profile.id.clone(), key_hash)).await;
        let repeatable = Repeatable { key_hash, body_hash: idempotency::body_hash(&submission) };
        match self.first_submission(&profile.id, &repeatable)? {
            Some(first) => Ok(first),
            None => self.admit(profile, submission.script, terms, Some(repeatable)).await,
        }
    }

    /// What a submission with this key has led to, if there was one.
    fn first_submission(
        &self,
        profile: &ProfileId,
        repeatable: &Repeatable,
    ) -> Result<Option<ExecutionView>, SubmitError> {
        let store = &self.inner.ports.store;
        let known = store.idempotency(profile, &repeatable.key_hash).map_err(Unavailable::from)?;
        let oldest = self.inner.ports.clock.now().saturating_sub(idempotency::KEPT).unwrap_or(Timestamp::MIN);
        let Some(known) = known.filter(|known| known.created_at > oldest) else { return Ok(None) };
        if known.body_hash != repeatable.body_hash {
            return Err(SubmitError::KeyUsedOtherwise);
        }
        let record = store.execution(&known.execution_id).map_err(Unavailable::from)?;
        let record = record.ok_or(SubmitError::FirstIsGone)?;
        // As it was answered the first time.
        Ok(Some(ExecutionView {
            record: ExecutionRecord { status: Status::Pending, ..record },
            output: None,
            awaited: Vec::new(),
        }))
    }

    pub(super) fn refuse_if_draining(&self) -> Result<(), Unavailable> {
        if self.inner.draining.load(Ordering::Acquire) { Err(Unavailable::Draining) } else { Ok(()) }
    }

    /// Takes in a script of a profile that may run it.
    pub(super) async fn admit(
        &self,
        profile: Arc<ProfileRecord>,
        script: Arc<str>,
        terms: Terms,
        repeatable: Option<Repeatable>,
    ) -> Result<ExecutionView, SubmitError> {
        let inner = &self.inner;
        // Held until it can be found: a drain that has begun waits for it, or it is refused.
        let admitting = inner.admitting.read().await;
        self.refuse_if_draining()?;
        if !profile.credentials.is_empty() {
            let missing = inner.vault.call(WithoutValue(Arc::new(profile.credentials.clone()))).await?;
            if let Some(name) = missing.into_iter().next() {
                return Err(SubmitError::MissingValue(name));
            }
        }
        let ticket = match inner.pool.call(Enter { profile: profile.id.clone(), even_if_full: false }).await? {
            Entered::Full { retry_after } => return Err(SubmitError::QueueFull { retry_after }),
            entered => ticket(entered).ok_or(Unavailable::Draining)?,
        };
        let now = inner.ports.clock.now();
        let record = new_record(ExecutionId::generate(now, &*inner.ports.entropy), &profile.id, now, terms);
        let key = repeatable.map(|Repeatable { key_hash, body_hash }| IdempotencyRecord {
            profile_id: profile.id.clone(),
            key_hash,
            body_hash,
            execution_id: record.id.clone(),
            created_at: now,
        });
        let view = ExecutionView { record: record.clone(), output: None, awaited: Vec::new() };
        let (profile_id, expires_at) = (profile.id.clone(), profile.expires_at);
        let accepted = Execution::accept(self.executor(), inner.parts.clone(), record, script, profile, ticket, key);
        drop(admitting);
        if expires_at.is_some_and(|at| at <= inner.ports.clock.now()) {
            // It passed since the profile was looked at, perhaps before the execution could be found and stopped.
            inner.parts.directory.stop_profile(&profile_id, StopReason::Expired);
        }
        match accepted.await {
            Ok(Ok(())) => {
                let (registry, used) = (inner.registry.clone(), Used(profile_id));
                // Nobody waits for it: if it is lost, `last_used_at` is a use behind.
                tokio::spawn(async move { registry.call(used).await });
                Ok(view)
            }
            Ok(Err(error)) => Err(Unavailable::Store(error).into()),
            Err(_) => Err(Unavailable::Actor("execution").into()),
        }
    }

    /// Proves that a request for a profile's own data is signed with its secret.
    pub async fn verify_signature(
        &self,
        profile_id: &ProfileId,
        signed: &str,
        signature: &str,
    ) -> Result<(), SubmitError> {
        let authority = self.inner.registry.call(Authorize(profile_id.clone())).await?.map_err(refused)?;
        if authority.verify(&Arc::from(signed), signature).await { Ok(()) } else { Err(SubmitError::WrongHash) }
    }

    /// As a poll sees it; `None` when there is no such execution.
    pub async fn execution(&self, id: &ExecutionId) -> Result<Option<ExecutionView>, Unavailable> {
        if let Some(view) = self.inner.parts.directory.view(id) {
            return Ok(Some(view));
        }
        let store = &self.inner.ports.store;
        let Some(record) = store.execution(id)? else { return Ok(None) };
        let output = if record.status.is_final() {
            // A final one has an output: it was removed since its record was read.
            let Some(output) = store.execution_output(id)? else { return Ok(None) };
            Some(Arc::new(output))
        } else {
            None
        };
        Ok(Some(ExecutionView { record, output, awaited: Vec::new() }))
    }

    /// Answers at once when it is finished or awaits the LLM, else when its status changes or after `wait`.
    pub async fn wait_execution(&self, id: &ExecutionId, wait: Duration) -> Result<Option<ExecutionView>, Unavailable> {
        let Some(first) = self.execution(id).await? else { return Ok(None) };
        let before = first.record.status;
        self.wait_until(id, first, wait, |view| settled(view) || view.record.status != before).await.map(Some)
    }

    /// Waits until it is finished or awaits the LLM, at most `wait`.
    pub async fn wait_settled(&self, id: &ExecutionId, wait: Duration) -> Result<Option<ExecutionView>, Unavailable> {
        let Some(first) = self.execution(id).await? else { return Ok(None) };
        self.wait_until(id, first, wait, settled).await.map(Some)
    }

    async fn wait_until(
        &self,
        id: &ExecutionId,
        first: ExecutionView,
        wait: Duration,
        enough: impl Fn(&ExecutionView) -> bool,
    ) -> Result<ExecutionView, Unavailable> {
        if settled(&first) || wait.is_zero() {
            return Ok(first);
        }
        // Subscribed first, looked at after: a change between the two is not missed.
        let Some(mut watched) = self.inner.parts.directory.watch(id) else {
            return Ok(self.execution(id).await?.unwrap_or(first));
        };
        let waited = tokio::time::timeout(wait, async { watched.wait_for(enough).await.ok().map(|view| view.clone()) });
        // `None`: the wait is over, or the execution left with another status than was waited for.
        let seen = waited.await.unwrap_or(None);
        match seen {
            Some(view) => Ok(view),
            None => Ok(self.execution(id).await?.unwrap_or(first)),
        }
    }

    /// A page of records, newest first.
    pub async fn list_executions(&self, query: ExecutionQuery) -> Result<Vec<ExecutionRecord>, Unavailable> {
        let store = self.inner.ports.store.clone();
        let listing = tokio::task::spawn_blocking(move || store.list_executions(&query));
        Ok(listing.await.map_err(|_| Unavailable::Actor("store"))??)
    }

    /// Everything of one execution.
    pub async fn execution_detail(&self, id: &ExecutionId) -> Result<Option<ExecutionDetail>, Unavailable> {
        let Some(view) = self.execution(id).await? else { return Ok(None) };
        let exchanges = if view.record.llm_requests == 0 { Vec::new() } else { self.exchanges(id).await? };
        // Last: while there is a script, there was all the rest.
        let Some(script) = self.inner.ports.store.execution_script(id)? else { return Ok(None) };
        Ok(Some(ExecutionDetail { view, script, exchanges }))
    }

    /// Whether a script would run now.
    pub async fn readiness(&self) -> Readiness {
        let mut problems = Vec::new();
        if self.inner.draining.load(Ordering::Acquire) {
            problems.push("the server is shutting down".to_owned());
        }
        if self.inner.ports.store.is_full() {
            problems.push("the disk that holds the data folder is full: make space on it".to_owned());
        }
        let Ok(pool) = self.inner.pool.call(Inspect).await else {
            problems.push("the worker pool does not answer".to_owned());
            return Readiness { problems, worker: None, running: 0, paused: 0, queued: 0 };
        };
        problems.extend(pool.problem());
        let worker = pool.worker.as_deref().cloned();
        Readiness { problems, worker, running: pool.running, paused: pool.paused, queued: pool.queued }
    }

    /// Takes no more submissions: the beginning of a shutdown.
    pub fn refuse_submissions(&self) {
        self.inner.draining.store(true, Ordering::Release);
    }

    /// Lets what runs finish for up to `patience`, ends the rest as interrupted, and ends the workers. What waits for a
    /// slot stays pending on disk.
    pub async fn drain(&self, patience: Duration) {
        self.refuse_submissions();
        // Those that were let in before can be found from here on.
        if tokio::time::timeout(END_ADMISSION, self.inner.admitting.write()).await.is_err() {
            tracing::warn!("a submission is still being looked at; it may be interrupted");
        }
        let _ = self.inner.pool.call(Drain).await;
        let directory = &self.inner.parts.directory;
        if tokio::time::timeout(patience, directory.empty()).await.is_err() {
            directory.stop_all(StopReason::Shutdown);
            if tokio::time::timeout(END_ALL, directory.empty()).await.is_err() {
                tracing::error!("some executions did not end; they will be interrupted at the next start");
            }
        }
        // What follows is not worth failing a shutdown for: the actors say what went wrong.
        let _ = self.inner.registry.call(FlushUse).await;
        if tokio::time::timeout(END_WORKERS, self.inner.pool.call(AllGone)).await.is_err() {
            tracing::warn!("some workers have not ended; they end with the server");
        }
    }

    /// The thread for the next execution: they take turns.
    pub(super) fn executor(&self) -> &ArbiterHandle {
        let executors = &self.inner.executors;
        let turn = self.inner.next_executor.fetch_add(1, Ordering::Relaxed);
        executors.get(turn % executors.len().max(1)).unwrap_or(&self.inner.control)
    }
}

pub(super) fn ticket(entered: Entered) -> Option<Ticket> {
    match entered {
        Entered::Granted(lease) => Some(Ticket::Granted(lease)),
        Entered::Queued(queued) => Some(Ticket::Queued(queued)),
        Entered::Full { .. } | Entered::Draining => None,
    }
}

fn new_record(id: ExecutionId, profile_id: &ProfileId, now: Timestamp, terms: Terms) -> ExecutionRecord {
    let Terms { timeout_s, llm_timeout_s, on_restart, rerun_of } = terms;
    let accepted = ExecutionRecord::accepted(id, profile_id.clone(), now);
    ExecutionRecord { timeout_s, llm_timeout_s, on_restart, rerun_of, ..accepted }
}

fn settled(view: &ExecutionView) -> bool {
    view.record.status.is_final() || view.record.status == Status::AwaitingLlm
}

pub(super) fn refused(refusal: Refusal) -> SubmitError {
    match refusal {
        Refusal::Unknown => SubmitError::UnknownProfile,
        Refusal::Revoked => SubmitError::Revoked,
        Refusal::Expired => SubmitError::Expired,
        Refusal::Unlocked => SubmitError::Unlocked,
        Refusal::Suspended => SubmitError::Suspended,
        Refusal::Sealed => Unavailable::Sealed.into(),
    }
}
