//! The [`Store`] port on redb: one file, one writer, many readers.
//!
//! ```text
//! commit() ── encode ──▶ queue ──▶ writer: one transaction, one fsync for all that wait ──▶ replies
//! queries ── a read transaction each, on the caller's thread ──────────────────▶ the same file
//! ```
//!
//! `tables` says what is on disk, `codec` how a record becomes bytes, `migrations` how an old file becomes a new one,
//! `batch` what a write does, `writer` when, `space` whether it had room, `reader` the queries, `database` the file itself, `fault` the errors.
//! redb is named here and nowhere else.
//!
//! Invariants
//! - `ST-1` A batch is on disk (fsync) before its `commit` returns, and is there as a whole or not at all.
//! - `ST-2` An execution's record and its place in every index change in one transaction.
//! - `ST-3` A final record is never changed again: such a batch is refused as a whole.
//! - `ST-4` An execution has an output exactly when its status is final.
//! - `ST-5` A batch that fails takes no other with it, though they were to share a transaction.
//! - `ST-6` Writing an execution's current record again is accepted and changes nothing, so that a caller can repeat a batch
//!   of which it does not know whether it was written.
//! - `ST-7` After an error of the disk, a full one included, the store works on as soon as the disk does.
//! - `ST-8` No error's text holds a stored value, or an id that grants access.
//! - `ST-9` A request to the LLM belongs to an execution that is there; one that is deleted, which only a finished one can be,
//!   takes all that belongs to it along.
//! - `ST-10` A key of a submission is that of its last use: whoever removes an earlier use of it removes nothing.

mod batch;
mod codec;
mod database;
mod fault;
mod migrations;
mod reader;
mod space;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use airlock_actors::domain::{
    CredentialRecord, ExecutionId, ExecutionOutput, ExecutionRecord, IdempotencyRecord, LlmExchange, LlmRequestId,
    ProfileId, ProfileRecord, SealedSecret,
};
use airlock_actors::ports::{ExecutionQuery, SessionRecord, Store, StoreError, Write};
use async_trait::async_trait;
use jiff::Timestamp;
use redb::Database;
use tokio::sync::{mpsc, oneshot};

use batch::EncodedBatch;
use database::DatabaseSlot;
use fault::Fault;
pub use fault::OpenError;
use space::Space;
use writer::Request;

/// What can be chosen about a store.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// Memory for pages of the file, in bytes.
    pub cache_bytes: usize,
}

impl Default for StoreOptions {
    /// A cache of 64 MiB.
    fn default() -> Self {
        Self { cache_bytes: 64 * 1024 * 1024 }
    }
}

/// The state on disk, in one redb file that this process alone uses.
pub struct RedbStore {
    slot: Arc<DatabaseSlot>,
    space: Arc<Space>,
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl RedbStore {
    /// Opens the file at `path`, whose folder must exist. If there is no file it is created, with mode 0600; if it has an
    /// older schema it is migrated.
    ///
    /// Blocks for a few fsyncs; after a crash not for longer.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        let slot = Arc::new(DatabaseSlot::open(path, options)?);
        let (sender, receiver) = mpsc::channel(writer::QUEUE_BATCHES);
        let space = Arc::new(Space::default());
        let writer = writer::start(Arc::clone(&slot), Arc::clone(&space), receiver)
            .map_err(|error| OpenError::Failed { path: path.to_owned(), reason: error.to_string() })?;
        Ok(Self { slot, space, queue: Mutex::new(Some(sender)), writer: Mutex::new(Some(writer)) })
    }

    /// Takes no more work, writes what was accepted, and closes the file, so that another process can open it. Later calls
    /// of the [`Store`] fail with [`StoreError::Closed`]. Dropping the store does the same.
    ///
    /// Blocks until the last accepted batch is on disk: on a runtime, call it in `spawn_blocking`.
    pub fn close(&self) {
        drop(lock(&self.queue).take());
        let writer = lock(&self.writer).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the store's writer had panicked");
        }
        self.slot.close();
    }

    fn read<T>(&self, query: impl Fn(&Database) -> Result<T, Fault>) -> Result<T, StoreError> {
        Ok(self.slot.with(query)?)
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn commit(&self, batch: Vec<Write>) -> Result<(), StoreError> {
        let batch =
            EncodedBatch::new(batch).inspect_err(|reason| tracing::error!(%reason, "a batch was not written"))?;
        if batch.is_empty() {
            return Ok(());
        }
        let queue = lock(&self.queue).clone().ok_or(StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let writer_ended = || StoreError::Failed("the store's writer has ended: restart Airlock".to_owned());
        queue.send(Request { batch, reply }).await.map_err(|_| writer_ended())?;
        // Close waits for every sender, so that this one must not be kept while its batch is written.
        drop(queue);
        answer.await.map_err(|_| writer_ended())?
    }

    fn is_full(&self) -> bool {
        self.space.is_full(Instant::now())
    }

    fn credentials(&self) -> Result<Vec<CredentialRecord>, StoreError> {
        self.read(|database| reader::all(database, tables::CREDENTIALS))
    }

    fn profiles(&self) -> Result<Vec<ProfileRecord>, StoreError> {
        self.read(|database| reader::all(database, tables::PROFILES))
    }

    fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
        self.read(|database| reader::all(database, tables::SESSIONS))
    }

    fn key_check(&self) -> Result<Option<SealedSecret>, StoreError> {
        self.read(|database| reader::get(database, tables::META, tables::META_KEY_CHECK))
    }

    fn admin_password(&self) -> Result<Option<String>, StoreError> {
        self.read(|database| reader::get(database, tables::META, tables::META_ADMIN_PASSWORD))
    }

    fn execution(&self, id: &ExecutionId) -> Result<Option<ExecutionRecord>, StoreError> {
        self.read(|database| reader::get(database, tables::EXECUTIONS, id.as_str().as_bytes()))
    }

    fn execution_output(&self, id: &ExecutionId) -> Result<Option<ExecutionOutput>, StoreError> {
        self.read(|database| reader::get(database, tables::OUTPUTS, id.as_str().as_bytes()))
    }

    fn execution_script(&self, id: &ExecutionId) -> Result<Option<String>, StoreError> {
        self.read(|database| reader::get(database, tables::SCRIPTS, id.as_str().as_bytes()))
    }

    fn exchange(&self, of: &ExecutionId, id: LlmRequestId) -> Result<Option<LlmExchange>, StoreError> {
        self.read(|database| reader::get(database, tables::LLM_EXCHANGES, &tables::exchange_key(of, id)))
    }

    fn exchanges(&self, of: &ExecutionId, most_bytes: usize) -> Result<Vec<LlmExchange>, StoreError> {
        self.read(|database| reader::exchanges(database, of, most_bytes))
    }

    fn idempotency(&self, profile: &ProfileId, key_hash: &[u8; 32]) -> Result<Option<IdempotencyRecord>, StoreError> {
        let key = tables::idempotency_key(profile, key_hash);
        self.read(|database| reader::get(database, tables::IDEMPOTENCY, &key))
    }

    fn idempotency_before(&self, before: Timestamp, limit: usize) -> Result<Vec<IdempotencyRecord>, StoreError> {
        self.read(|database| reader::idempotency_before(database, before, limit))
    }

    fn count_executions(&self) -> Result<u64, StoreError> {
        self.read(reader::count)
    }

    fn oldest_executions(&self, after: Option<&ExecutionId>, limit: usize) -> Result<Vec<ExecutionRecord>, StoreError> {
        self.read(|database| reader::oldest(database, after, limit))
    }

    fn list_executions(&self, query: &ExecutionQuery) -> Result<Vec<ExecutionRecord>, StoreError> {
        self.read(|database| reader::list(database, query))
    }

    fn unfinished_executions(&self) -> Result<Vec<ExecutionRecord>, StoreError> {
        self.read(reader::unfinished)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
