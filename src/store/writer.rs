//! The one thread that writes. It takes whatever is waiting, commits it as one transaction with one fsync, and then answers
//! everybody. It never waits for a group to gather: while it is in a commit, the next group gathers by itself.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use airlock_actors::ports::StoreError;
use redb::{Database, Durability};
use tokio::sync::{mpsc, oneshot};

use super::batch::{EncodedBatch, ExecutionTables};
use super::database::DatabaseSlot;
use super::fault::Fault;
use super::space::Space;

/// Batches that may wait; more callers wait for a place.
pub(super) const QUEUE_BATCHES: usize = 1024;
/// A group takes no further batch once it has so many,
const GROUP_BATCHES: usize = 1024;
/// or so many bytes of values.
const GROUP_BYTES: usize = 8 * 1024 * 1024;

/// A batch and whoever waits for it.
pub(super) struct Request {
    /// What to write.
    pub(super) batch: EncodedBatch,
    /// Where the answer goes. If nobody listens any more, the batch is written all the same.
    pub(super) reply: oneshot::Sender<Result<(), StoreError>>,
}

/// Starts the thread. It ends once every sender is gone and the queue is empty.
pub(super) fn start(
    slot: Arc<DatabaseSlot>,
    space: Arc<Space>,
    mut queue: mpsc::Receiver<Request>,
) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
        while let Some(first) = queue.blocking_recv() {
            commit_group(&slot, &space, gather(first, &mut queue));
        }
    })
}

/// `first` and what waits behind it, up to the size of a group.
fn gather(first: Request, queue: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let mut bytes = first.batch.bytes;
    let mut group = vec![first];
    while group.len() < GROUP_BATCHES && bytes < GROUP_BYTES {
        let Ok(next) = queue.try_recv() else { break };
        bytes += next.batch.bytes;
        group.push(next);
    }
    group
}

/// Commits a group and answers it. If that fails and there are several, each gets a transaction of its own, so that one that
/// can't be applied, or does not fit on the disk, takes no other with it.
fn commit_group(slot: &DatabaseSlot, space: &Space, group: Vec<Request>) {
    let together = slot.with(|database| commit(database, group.iter().map(|request| &request.batch)));
    let retry = together.is_err() && group.len() > 1;
    let mut together = Some(together);
    for Request { batch, reply } in group {
        let result = if retry {
            slot.with(|database| commit(database, [&batch]))
        } else {
            // Either all succeeded, or there is one.
            together.take().unwrap_or(Ok(()))
        };
        if let Err(reason) = &result {
            tracing::error!(%reason, "a batch was not written");
        }
        let result = result.map_err(StoreError::from);
        space.note(batch.bytes, &result, Instant::now());
        // A caller that went away does not need the answer.
        reply.send(result).ok();
    }
}

fn commit<'a>(database: &Database, batches: impl IntoIterator<Item = &'a EncodedBatch>) -> Result<(), Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    // A second fsync for each group, and worth it: after a crash a large file opens in milliseconds, not half a minute; and
    // the order on disk no longer rests on a checksum alone, of pages whose bytes agents choose.
    transaction.set_quick_repair(true);
    {
        let mut tables = ExecutionTables::open(&transaction)?;
        for batch in batches {
            tables.apply(&transaction, batch)?;
        }
    }
    Ok(transaction.commit()?)
}
