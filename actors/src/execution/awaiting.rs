//! What an Execution waits for: writes that are tried until they are on disk, a slot, and scrubbing on other threads.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::machine::Verdict;
use super::outcome::{self, Remains};
use crate::domain::{ExecutionId, ExecutionOutput, ExecutionRecord, ProfileId};
use crate::ports::{Store, StoreError, Write};
use crate::runtime::Mailbox;
use crate::sanitizer::Redactor;
use crate::worker_pool::{Enter, Entered, Lease, WaitEnd, WorkerPool};

/// Pause before a write that failed is tried again: an acknowledged execution is kept in memory until it is on disk.
pub(super) const WRITE_RETRY: Duration = Duration::from_secs(1);
/// Failures that are no full disk after which a write is given up.
const MOST_FAILURES: u32 = 600;
/// Output up to this size is scrubbed on the actor's own thread: at 300 MB/s it is a twentieth of a millisecond, and a few when
/// it is made to be slow.
pub(super) const SCRUB_INLINE_BYTES: usize = 16 * 1024;

/// Waits for a slot. A pool that lost its queue (it panicked and was started again) is asked anew: an acknowledged
/// execution does not wait for nothing.
pub(super) async fn wait_for_lease(
    pool: Mailbox<WorkerPool>,
    profile: ProfileId,
    mut queued: oneshot::Receiver<Result<Lease, WaitEnd>>,
) -> Result<Lease, WaitEnd> {
    loop {
        if let Ok(ended) = queued.await {
            return ended;
        }
        queued = loop {
            match pool.call(Enter { profile: profile.clone(), even_if_full: true }).await {
                Ok(Entered::Granted(lease)) => return Ok(lease),
                Ok(Entered::Queued(queued)) => break queued,
                Ok(Entered::Draining) => return Err(WaitEnd::Draining),
                Ok(Entered::Full { .. }) | Err(_) => tokio::time::sleep(WRITE_RETRY).await,
            }
        };
    }
}

pub(super) async fn conclude(
    record: ExecutionRecord,
    verdict: Verdict,
    remains: Remains,
    redactor: Arc<Redactor>,
    now: Timestamp,
) -> (ExecutionRecord, ExecutionOutput) {
    let reported = remains.end.as_ref().map_or(0, |end| end.text_bytes());
    if remains.stdout.len() + remains.stderr.len() + reported <= SCRUB_INLINE_BYTES {
        return outcome::conclude(record, &verdict, remains, &redactor, now);
    }
    let if_it_fails = record.clone();
    let scrubbing = tokio::task::spawn_blocking(move || outcome::conclude(record, &verdict, remains, &redactor, now));
    scrubbing.await.unwrap_or_else(|_| outcome::withheld(if_it_fails, now))
}

/// Writes a new execution, once: whoever submitted it is told what came of it. A disk may fail at the last moment, with the batch
/// written: what is on disk is accepted, or nobody would run it.
pub(super) async fn commit_first(store: &dyn Store, writes: Vec<Write>, id: &ExecutionId) -> Result<(), StoreError> {
    let committed = store.commit(writes).await;
    match committed {
        Err(StoreError::Failed(_)) if matches!(store.execution(id), Ok(Some(_))) => Ok(()),
        committed => committed,
    }
}

/// Tries until it is on disk. A full disk is waited out; another failure is tried for ten minutes, after which the record
/// is left for the next start to end as interrupted. A closed store says that the server is going down.
pub(super) async fn commit_until_stored(store: &dyn Store, writes: Vec<Write>) -> Result<(), StoreError> {
    let mut failures = 0;
    loop {
        match store.commit(writes.clone()).await {
            Ok(()) => return Ok(()),
            Err(StoreError::Closed) => return Err(StoreError::Closed),
            Err(StoreError::Failed(why)) if failures >= MOST_FAILURES => return Err(StoreError::Failed(why)),
            Err(error) => {
                failures += u32::from(matches!(error, StoreError::Failed(_)));
                tracing::error!(%error, "could not write an execution, trying again");
                tokio::time::sleep(WRITE_RETRY).await;
            }
        }
    }
}
