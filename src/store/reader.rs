//! The queries. Each is one short read transaction that ends before it returns.

use std::ops::Bound;

use airlock_actors::domain::{ExecutionId, ExecutionRecord, IdempotencyRecord, LlmExchange, LlmRequestId, Status};
use airlock_actors::ports::ExecutionQuery;
use jiff::Timestamp;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use serde::de::DeserializeOwned;

use super::codec::decode;
use super::fault::Fault;
use super::tables::{
    BY_PROFILE, BY_PROFILE_STATUS, BY_STATUS, EXECUTION_ID_BYTES, EXECUTIONS, IDEMPOTENCY, IDEMPOTENCY_BY_TIME, Index,
    LLM_EXCHANGES, Values, exchange_key, milliseconds, profile_prefix, profile_status_prefix, status_prefix,
};

/// Sorts after every execution id.
const PAST_EVERY_ID: &[u8] = &[0xFF];

/// The record under `key`.
pub(super) fn get<T: DeserializeOwned>(database: &Database, table: Values, key: &[u8]) -> Result<Option<T>, Fault> {
    // The table outlives the value: it holds the transaction open, without which the value's page may be freed.
    let rows = database.begin_read()?.open_table(table)?;
    let value = rows.get(key)?;
    value.map(|value| decode(table, value.value())).transpose()
}

/// Every record, in the order of the keys.
pub(super) fn all<T: DeserializeOwned>(database: &Database, table: Values) -> Result<Vec<T>, Fault> {
    let rows = database.begin_read()?.open_table(table)?;
    rows.iter()?.map(|row| decode(table, row?.1.value())).collect()
}

/// The requests of an execution to the LLM, in order, until they have more than `most_bytes` of texts.
pub(super) fn exchanges(database: &Database, of: &ExecutionId, most_bytes: usize) -> Result<Vec<LlmExchange>, Fault> {
    let rows = database.begin_read()?.open_table(LLM_EXCHANGES)?;
    let (first, last) = (exchange_key(of, LlmRequestId(0)), exchange_key(of, LlmRequestId(u32::MAX)));
    let (mut all, mut bytes) = (Vec::new(), 0);
    for row in rows.range::<&[u8]>(first.as_slice()..=last.as_slice())? {
        if bytes > most_bytes {
            break;
        }
        let exchange: LlmExchange = decode(LLM_EXCHANGES, row?.1.value())?;
        bytes += exchange.bytes();
        all.push(exchange);
    }
    Ok(all)
}

/// Up to `limit` keys that were noted before a moment, oldest first.
pub(super) fn idempotency_before(
    database: &Database,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<IdempotencyRecord>, Fault> {
    let transaction = database.begin_read()?;
    let (times, records) = (transaction.open_table(IDEMPOTENCY_BY_TIME)?, transaction.open_table(IDEMPOTENCY)?);
    let end = milliseconds(before);
    let old = times.range::<&[u8]>(..end.as_slice())?.take(limit);
    old.map(|key| {
        let key = key?.0;
        let of_record = key.value().get(end.len()..).unwrap_or_default();
        let record = records.get(of_record)?.ok_or_else(|| stray_key(IDEMPOTENCY_BY_TIME))?;
        decode(IDEMPOTENCY, record.value())
    })
    .collect()
}

/// How many executions there are.
pub(super) fn count(database: &Database) -> Result<u64, Fault> {
    Ok(database.begin_read()?.open_table(EXECUTIONS)?.len()?)
}

/// Up to `limit` records newer than `after`, oldest first.
pub(super) fn oldest(
    database: &Database,
    after: Option<&ExecutionId>,
    limit: usize,
) -> Result<Vec<ExecutionRecord>, Fault> {
    let rows = database.begin_read()?.open_table(EXECUTIONS)?;
    let after = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_str().as_bytes()));
    let page = rows.range::<&[u8]>((after, Bound::Unbounded))?.take(limit);
    page.map(|row| decode(EXECUTIONS, row?.1.value())).collect()
}

/// A page of records, newest first. Reads `limit` keys of one table or index and their records, whatever else there is.
pub(super) fn list(database: &Database, query: &ExecutionQuery) -> Result<Vec<ExecutionRecord>, Fault> {
    let transaction = database.begin_read()?;
    let end = query.before.as_ref().map_or(PAST_EVERY_ID, |before| before.as_str().as_bytes());
    let (index, prefix) = match (&query.profile_id, query.status) {
        (None, None) => {
            let rows = transaction.open_table(EXECUTIONS)?;
            let page = rows.range::<&[u8]>(..end)?.rev().take(query.limit);
            return page.map(|row| decode(EXECUTIONS, row?.1.value())).collect();
        }
        (Some(profile), None) => (BY_PROFILE, profile_prefix(profile)),
        (None, Some(status)) => (BY_STATUS, status_prefix(status)),
        (Some(profile), Some(status)) => (BY_PROFILE_STATUS, profile_status_prefix(profile, status)),
    };
    newest_indexed(&transaction, index, &prefix, end, query.limit)
}

/// Every record whose status is not final, oldest first.
pub(super) fn unfinished(database: &Database) -> Result<Vec<ExecutionRecord>, Fault> {
    let transaction = database.begin_read()?;
    let mut records = Vec::new();
    for status in Status::ALL.into_iter().filter(|status| !status.is_final()) {
        let prefix = status_prefix(status);
        records.extend(newest_indexed(&transaction, BY_STATUS, &prefix, PAST_EVERY_ID, usize::MAX)?);
    }
    records.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    Ok(records)
}

/// The records of the last `limit` keys of an index that start with `prefix` and have an id before `end`, last first.
fn newest_indexed(
    transaction: &ReadTransaction,
    index: Index,
    prefix: &[u8],
    end: &[u8],
    limit: usize,
) -> Result<Vec<ExecutionRecord>, Fault> {
    let keys = transaction.open_table(index)?;
    let rows = transaction.open_table(EXECUTIONS)?;
    let bound = [prefix, end].concat();
    let page = keys.range::<&[u8]>(prefix..bound.as_slice())?.rev().take(limit);
    page.map(|key| {
        let key = key?.0;
        let id = key.value().last_chunk::<EXECUTION_ID_BYTES>().map(<[u8; EXECUTION_ID_BYTES]>::as_slice);
        let row = rows.get(id.unwrap_or_default())?.ok_or_else(|| stray_key(index))?;
        decode(EXECUTIONS, row.value())
    })
    .collect()
}

fn stray_key(index: Index) -> Fault {
    Fault::Damaged { table: redb::TableHandle::name(&index).to_owned(), reason: "it lists no execution".to_owned() }
}
