//! A batch of writes: checked and encoded on the caller's thread, applied on the writer's.
//!
//! What can be refused without the database is refused here, so that it never reaches a group. The rules (`ST-…`) are
//! listed in the module's page.

use airlock_actors::domain::{ExecutionId, ExecutionRecord, IdempotencyRecord, LlmRequestId, ProfileId, Status};
use airlock_actors::ports::Write;
use redb::{ReadableTable, Table, WriteTransaction};

use super::codec::{decode, encode};
use super::fault::Fault;
use super::tables::{
    BY_PROFILE, BY_PROFILE_STATUS, BY_STATUS, CREDENTIALS, EXECUTIONS, IDEMPOTENCY, IDEMPOTENCY_BY_TIME, LLM_EXCHANGES,
    META, META_ADMIN_PASSWORD, META_KEY_CHECK, OUTPUTS, PROFILES, SCRIPTS, SESSIONS, Values, exchange_key,
    idempotency_key, idempotency_time_key, index_key, profile_prefix, profile_status_prefix, status_prefix,
};

/// A batch, ready to be applied.
pub(super) struct EncodedBatch {
    changes: Vec<Change>,
    /// Bytes of all its values.
    pub(super) bytes: usize,
}

enum Change {
    Put { table: Values, key: Vec<u8>, value: Vec<u8> },
    Delete { table: Values, key: Vec<u8> },
    Execution(ExecutionChange),
    Exchange { of: ExecutionId, key: Vec<u8>, value: Vec<u8> },
    DeleteExecution(ExecutionId),
    PutIdempotency { key: Vec<u8>, time_key: Vec<u8>, value: Vec<u8> },
    DeleteIdempotency { key: Vec<u8>, time_key: Vec<u8>, value: Vec<u8> },
}

struct ExecutionChange {
    id: ExecutionId,
    place: Place,
    record: Vec<u8>,
    text: Text,
}

/// What comes with a record, by the kind of the write.
enum Text {
    /// The script: the execution is new.
    Script(Vec<u8>),
    /// Nothing: it goes on.
    None,
    /// The output: it is final.
    Output(Vec<u8>),
}

/// Where the indexes hold an execution.
struct Place {
    profile_id: ProfileId,
    status: Status,
}

impl EncodedBatch {
    /// Checks and encodes.
    pub(super) fn new(writes: Vec<Write>) -> Result<Self, Fault> {
        let changes = writes.into_iter().map(Change::new).collect::<Result<Vec<_>, _>>()?;
        let bytes = changes.iter().map(Change::bytes).sum();
        Ok(Self { changes, bytes })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Change {
    fn new(write: Write) -> Result<Self, Fault> {
        let put = |table: Values, key: &[u8], value| Self::Put { table, key: key.to_vec(), value };
        Ok(match write {
            Write::PutCredential(record) => {
                put(CREDENTIALS, record.name.as_str().as_bytes(), encode(CREDENTIALS, &record)?)
            }
            Write::DeleteCredential(name) => {
                Self::Delete { table: CREDENTIALS, key: name.as_str().as_bytes().to_vec() }
            }
            Write::PutProfile(record) => put(PROFILES, record.id.as_str().as_bytes(), encode(PROFILES, &record)?),
            Write::DeleteProfile(id) => Self::Delete { table: PROFILES, key: id.as_str().as_bytes().to_vec() },
            Write::PutExchange { execution_id, exchange } => {
                let key = exchange_key(&execution_id, exchange.id);
                Self::Exchange { of: execution_id, key, value: encode(LLM_EXCHANGES, &exchange)? }
            }
            Write::DeleteExecution(id) => Self::DeleteExecution(id),
            Write::PutIdempotency(record) => Self::PutIdempotency {
                key: idempotency_key(&record.profile_id, &record.key_hash),
                time_key: idempotency_time_key(&record),
                value: encode(IDEMPOTENCY, &record)?,
            },
            Write::DeleteIdempotency(record) => Self::DeleteIdempotency {
                key: idempotency_key(&record.profile_id, &record.key_hash),
                time_key: idempotency_time_key(&record),
                value: encode(IDEMPOTENCY, &record)?,
            },
            Write::PutKeyCheck(sealed) => put(META, META_KEY_CHECK, encode(META, &sealed)?),
            Write::PutAdminPassword(hash) => put(META, META_ADMIN_PASSWORD, encode(META, &hash)?),
            Write::PutSession(record) => put(SESSIONS, &record.token_hash, encode(SESSIONS, &record)?),
            Write::DeleteSession(token_hash) => Self::Delete { table: SESSIONS, key: token_hash.to_vec() },
            Write::InsertExecution { record, script } => {
                let script = encode(SCRIPTS, &&*script)?;
                Self::Execution(ExecutionChange::new(record, Text::Script(script))?)
            }
            Write::UpdateExecution(record) => Self::Execution(ExecutionChange::new(record, Text::None)?),
            Write::FinishExecution { record, output } => {
                let output = encode(OUTPUTS, &*output)?;
                Self::Execution(ExecutionChange::new(record, Text::Output(output))?)
            }
        })
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Put { value, .. } | Self::Exchange { value, .. } | Self::PutIdempotency { value, .. } => value.len(),
            Self::Delete { .. } | Self::DeleteExecution(_) | Self::DeleteIdempotency { .. } => 0,
            Self::Execution(change) => match &change.text {
                Text::Script(text) | Text::Output(text) => change.record.len() + text.len(),
                Text::None => change.record.len(),
            },
        }
    }
}

impl ExecutionChange {
    fn new(record: ExecutionRecord, text: Text) -> Result<Self, Fault> {
        // ST-4
        if record.status.is_final() != matches!(text, Text::Output(_)) {
            let (id, status) = (short(&record.id), record.status.as_str());
            return Err(Fault::Refused(format!("{id} would be {status}, but output comes with a final status only")));
        }
        let bytes = encode(EXECUTIONS, &record)?;
        let place = Place { profile_id: record.profile_id, status: record.status };
        Ok(Self { id: record.id, place, record: bytes, text })
    }
}

/// The tables that an execution lives in, open for one write transaction.
pub(super) struct ExecutionTables<'txn> {
    executions: Table<'txn, &'static [u8], &'static [u8]>,
    scripts: Table<'txn, &'static [u8], &'static [u8]>,
    outputs: Table<'txn, &'static [u8], &'static [u8]>,
    by_profile: Table<'txn, &'static [u8], ()>,
    by_status: Table<'txn, &'static [u8], ()>,
    by_profile_status: Table<'txn, &'static [u8], ()>,
}

impl<'txn> ExecutionTables<'txn> {
    /// Opens them.
    pub(super) fn open(transaction: &'txn WriteTransaction) -> Result<Self, Fault> {
        Ok(Self {
            executions: transaction.open_table(EXECUTIONS)?,
            scripts: transaction.open_table(SCRIPTS)?,
            outputs: transaction.open_table(OUTPUTS)?,
            by_profile: transaction.open_table(BY_PROFILE)?,
            by_status: transaction.open_table(BY_STATUS)?,
            by_profile_status: transaction.open_table(BY_PROFILE_STATUS)?,
        })
    }

    /// Applies a batch. After an error the transaction must not be committed.
    pub(super) fn apply(&mut self, transaction: &WriteTransaction, batch: &EncodedBatch) -> Result<(), Fault> {
        for change in &batch.changes {
            match change {
                Change::Put { table, key, value } => {
                    transaction.open_table(*table)?.insert(key.as_slice(), value.as_slice())?;
                }
                Change::Delete { table, key } => {
                    transaction.open_table(*table)?.remove(key.as_slice())?;
                }
                Change::Execution(change) => self.apply_execution(change)?,
                Change::Exchange { of, key, value } => {
                    // ST-9
                    if self.executions.get(of.as_str().as_bytes())?.is_none() {
                        return Err(Fault::Refused(format!("there is no {} to ask", short(of))));
                    }
                    transaction.open_table(LLM_EXCHANGES)?.insert(key.as_slice(), value.as_slice())?;
                }
                Change::DeleteExecution(id) => self.delete_execution(transaction, id)?,
                // ST-10
                Change::PutIdempotency { key, time_key, value } => {
                    let mut keys = transaction.open_table(IDEMPOTENCY)?;
                    let mut times = transaction.open_table(IDEMPOTENCY_BY_TIME)?;
                    if let Some(before) = keys.insert(key.as_slice(), value.as_slice())? {
                        let before: IdempotencyRecord = decode(IDEMPOTENCY, before.value())?;
                        times.remove(idempotency_time_key(&before).as_slice())?;
                    }
                    times.insert(time_key.as_slice(), ())?;
                }
                Change::DeleteIdempotency { key, time_key, value } => {
                    let mut keys = transaction.open_table(IDEMPOTENCY)?;
                    let is_it = keys.get(key.as_slice())?.is_some_and(|stored| stored.value() == value.as_slice());
                    if is_it {
                        keys.remove(key.as_slice())?;
                        transaction.open_table(IDEMPOTENCY_BY_TIME)?.remove(time_key.as_slice())?;
                    }
                }
            }
        }
        Ok(())
    }

    fn apply_execution(&mut self, change: &ExecutionChange) -> Result<(), Fault> {
        let key = change.id.as_str().as_bytes();
        let old = match self.executions.get(key)? {
            // ST-6: the same again changes nothing, be it an insertion or a final state.
            Some(old) if old.value() == change.record.as_slice() => return Ok(()),
            Some(old) => Some(decode::<ExecutionRecord>(EXECUTIONS, old.value())?),
            None => None,
        };
        let is_new = matches!(change.text, Text::Script(_));
        let id = short(&change.id);
        match &old {
            None if !is_new => return Err(Fault::Refused(format!("there is no {id} to update"))),
            Some(_) if is_new => return Err(Fault::Refused(format!("{id} is there already"))),
            // ST-3
            Some(old) if old.status.is_final() => {
                return Err(Fault::Refused(format!("{id} is {} already, which is final", old.status.as_str())));
            }
            _ => {}
        }
        self.executions.insert(key, change.record.as_slice())?;
        match &change.text {
            Text::Script(script) => drop(self.scripts.insert(key, script.as_slice())?),
            Text::None => {}
            Text::Output(output) => drop(self.outputs.insert(key, output.as_slice())?),
        }
        let old_place = old.map(|old| Place { profile_id: old.profile_id, status: old.status });
        self.move_in_indexes(&change.id, old_place.as_ref(), &change.place)
    }

    /// ST-9: nothing of it is left.
    fn delete_execution(&mut self, transaction: &WriteTransaction, id: &ExecutionId) -> Result<(), Fault> {
        let key = id.as_str().as_bytes();
        let Some(record) = self.executions.get(key)?.map(|old| decode::<ExecutionRecord>(EXECUTIONS, old.value()))
        else {
            return Ok(());
        };
        let record = record?;
        if !record.status.is_final() {
            let status = record.status.as_str();
            return Err(Fault::Refused(format!("{} is {status} and can't be deleted", short(id))));
        }
        self.executions.remove(key)?;
        self.scripts.remove(key)?;
        self.outputs.remove(key)?;
        self.by_profile.remove(index_key(profile_prefix(&record.profile_id), id).as_slice())?;
        self.by_status.remove(index_key(status_prefix(record.status), id).as_slice())?;
        let both = profile_status_prefix(&record.profile_id, record.status);
        self.by_profile_status.remove(index_key(both, id).as_slice())?;
        if record.llm_requests > 0 {
            let (first, last) = (exchange_key(id, LlmRequestId(0)), exchange_key(id, LlmRequestId(u32::MAX)));
            let mut exchanges = transaction.open_table(LLM_EXCHANGES)?;
            exchanges.retain_in::<&[u8], _>(first.as_slice()..=last.as_slice(), |_, _| false)?;
        }
        Ok(())
    }

    /// ST-2: one place in each index, that of the record.
    fn move_in_indexes(&mut self, id: &ExecutionId, old: Option<&Place>, new: &Place) -> Result<(), Fault> {
        let by_profile = |place: &Place| index_key(profile_prefix(&place.profile_id), id);
        let by_status = |place: &Place| index_key(status_prefix(place.status), id);
        let by_both = |place: &Place| index_key(profile_status_prefix(&place.profile_id, place.status), id);
        move_key(&mut self.by_profile, old.map(by_profile), &by_profile(new))?;
        move_key(&mut self.by_status, old.map(by_status), &by_status(new))?;
        move_key(&mut self.by_profile_status, old.map(by_both), &by_both(new))
    }
}

fn move_key(index: &mut Table<'_, &'static [u8], ()>, old: Option<Vec<u8>>, new: &[u8]) -> Result<(), Fault> {
    if old.as_deref() == Some(new) {
        return Ok(());
    }
    if let Some(old) = old {
        index.remove(old.as_slice())?;
    }
    index.insert(new, ())?;
    Ok(())
}

/// The part of an id that tells when, for a log: the whole of it grants access.
fn short(id: &ExecutionId) -> String {
    format!("{}…", id.as_str().get(..15).unwrap_or_default())
}
