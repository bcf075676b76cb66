//! The queries. Each is one short read transaction that ends before it returns.

use airlock_actors::domain::{ExecutionRecord, Status};
use airlock_actors::ports::ExecutionQuery;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};
use serde::de::DeserializeOwned;

use super::codec::decode;
use super::fault::Fault;
use super::tables::{
    BY_PROFILE, BY_PROFILE_STATUS, BY_STATUS, EXECUTION_ID_BYTES, EXECUTIONS, Index, Values, profile_prefix,
    profile_status_prefix, status_prefix,
};

/// Sorts after every execution id.
const PAST_EVERY_ID: &[u8] = &[0xFF];

/// The record under `key`.
pub(super) fn get<T: DeserializeOwned>(database: &Database, table: Values, key: &[u8]) -> Result<Option<T>, Fault> {
    let value = database.begin_read()?.open_table(table)?.get(key)?;
    value.map(|value| decode(table, value.value())).transpose()
}

/// Every record, in the order of the keys.
pub(super) fn all<T: DeserializeOwned>(database: &Database, table: Values) -> Result<Vec<T>, Fault> {
    let rows = database.begin_read()?.open_table(table)?;
    rows.iter()?.map(|row| decode(table, row?.1.value())).collect()
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
