//! The state, in memory: as strict as the real store about what may follow what.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::{
    CredentialName, CredentialRecord, ExecutionId, ExecutionOutput, ExecutionRecord, IdempotencyRecord, LlmExchange,
    LlmRequestId, ProfileId, ProfileRecord, SealedSecret, Status,
};
use crate::ports::{ExecutionQuery, SessionRecord, Store, StoreError, Write};

/// Keeps everything in maps. Keep an `Arc` of it to look inside, to make writes fail, or to start a second core on it.
#[derive(Default)]
pub struct MemoryStore(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    credentials: BTreeMap<CredentialName, CredentialRecord>,
    profiles: BTreeMap<ProfileId, ProfileRecord>,
    executions: BTreeMap<ExecutionId, (ExecutionRecord, String, Option<ExecutionOutput>)>,
    sessions: BTreeMap<[u8; 32], SessionRecord>,
    password: Option<String>,
    key_check: Option<SealedSecret>,
    exchanges: BTreeMap<(ExecutionId, LlmRequestId), LlmExchange>,
    idempotency: BTreeMap<(ProfileId, [u8; 32]), IdempotencyRecord>,
    failing: Option<StoreError>,
    fails_after_writing: bool,
    prunes_before_output: bool,
    statuses: Vec<(ExecutionId, Status)>,
}

impl MemoryStore {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes every commit from now on fail so, or work again.
    pub fn fail_with(&self, error: Option<StoreError>) {
        self.tables().failing = error;
    }

    /// Has the next commit write its batch and then say that it failed, as a disk may that fails at the last moment.
    pub fn fail_once_after_writing(&self) {
        self.tables().fails_after_writing = true;
    }

    /// Has the next execution whose output is read be removed just before.
    pub fn prune_before_output(&self) {
        self.tables().prunes_before_output = true;
    }

    /// Every status that was written of an execution, in order.
    pub fn statuses(&self, id: &ExecutionId) -> Vec<Status> {
        let tables = self.tables();
        tables.statuses.iter().filter(|(of, _)| of == id).map(|(_, status)| *status).collect()
    }
}

impl Tables {
    fn apply(&mut self, write: Write) -> Result<(), StoreError> {
        match write {
            Write::PutCredential(record) => drop(self.credentials.insert(record.name.clone(), record)),
            Write::DeleteCredential(name) => drop(self.credentials.remove(&name)),
            Write::PutProfile(record) => drop(self.profiles.insert(record.id.clone(), record)),
            Write::DeleteProfile(id) => drop(self.profiles.remove(&id)),
            Write::InsertExecution { record, script } => {
                self.statuses.push((record.id.clone(), record.status));
                self.executions.insert(record.id.clone(), (record, script.to_string(), None));
            }
            Write::UpdateExecution(record) => self.update(record, None)?,
            Write::FinishExecution { record, output } => self.update(record, Some((*output).clone()))?,
            Write::PutExchange { execution_id, exchange } => {
                let finished = self.executions.get(&execution_id).is_none_or(|(record, ..)| record.status.is_final());
                if finished {
                    return Err(StoreError::Failed("no live execution asks that".into()));
                }
                self.exchanges.insert((execution_id, exchange.id), exchange);
            }
            Write::DeleteExecution(id) => {
                if self.executions.get(&id).is_some_and(|(record, ..)| !record.status.is_final()) {
                    return Err(StoreError::Failed("a live execution is not deleted".into()));
                }
                self.executions.remove(&id);
                self.exchanges.retain(|(of, _), _| *of != id);
            }
            Write::PutIdempotency(record) => {
                self.idempotency.insert((record.profile_id.clone(), record.key_hash), record);
            }
            Write::DeleteIdempotency(record) => {
                let key = (record.profile_id.clone(), record.key_hash);
                if self.idempotency.get(&key) == Some(&record) {
                    self.idempotency.remove(&key);
                }
            }
            Write::PutKeyCheck(sealed) => self.key_check = Some(sealed),
            Write::PutAdminPassword(hash) => self.password = Some(hash),
            Write::PutSession(session) => drop(self.sessions.insert(session.token_hash, session)),
            Write::DeleteSession(hash) => drop(self.sessions.remove(&hash)),
        }
        Ok(())
    }

    fn update(&mut self, record: ExecutionRecord, output: Option<ExecutionOutput>) -> Result<(), StoreError> {
        let stored =
            self.executions.get_mut(&record.id).ok_or_else(|| StoreError::Failed("no such execution".into()))?;
        if stored.0.status.is_final() {
            return Err(StoreError::Failed("a final record never changes".into()));
        }
        self.statuses.push((record.id.clone(), record.status));
        (stored.0, stored.2) = (record, output);
        Ok(())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, batch: Vec<Write>) -> Result<(), StoreError> {
        // As long as a real commit lets others run.
        tokio::task::yield_now().await;
        let mut tables = self.tables();
        if let Some(error) = &tables.failing {
            return Err(error.clone());
        }
        batch.into_iter().try_for_each(|write| tables.apply(write))?;
        let failed = StoreError::Failed("the disk failed after it had written".into());
        if std::mem::take(&mut tables.fails_after_writing) { Err(failed) } else { Ok(()) }
    }

    fn is_full(&self) -> bool {
        matches!(self.tables().failing, Some(StoreError::Full))
    }

    fn credentials(&self) -> Result<Vec<CredentialRecord>, StoreError> {
        Ok(self.tables().credentials.values().cloned().collect())
    }

    fn profiles(&self) -> Result<Vec<ProfileRecord>, StoreError> {
        Ok(self.tables().profiles.values().cloned().collect())
    }

    fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
        Ok(self.tables().sessions.values().cloned().collect())
    }

    fn key_check(&self) -> Result<Option<SealedSecret>, StoreError> {
        Ok(self.tables().key_check.clone())
    }

    fn admin_password(&self) -> Result<Option<String>, StoreError> {
        Ok(self.tables().password.clone())
    }

    fn execution(&self, id: &ExecutionId) -> Result<Option<ExecutionRecord>, StoreError> {
        Ok(self.tables().executions.get(id).map(|(record, ..)| record.clone()))
    }

    fn execution_output(&self, id: &ExecutionId) -> Result<Option<ExecutionOutput>, StoreError> {
        let mut tables = self.tables();
        if std::mem::take(&mut tables.prunes_before_output) {
            tables.apply(Write::DeleteExecution(id.clone()))?;
        }
        Ok(tables.executions.get(id).and_then(|(.., output)| output.clone()))
    }

    fn execution_script(&self, id: &ExecutionId) -> Result<Option<String>, StoreError> {
        Ok(self.tables().executions.get(id).map(|(_, script, _)| script.clone()))
    }

    fn exchange(&self, of: &ExecutionId, id: LlmRequestId) -> Result<Option<LlmExchange>, StoreError> {
        Ok(self.tables().exchanges.get(&(of.clone(), id)).cloned())
    }

    fn exchanges(&self, of: &ExecutionId, most_bytes: usize) -> Result<Vec<LlmExchange>, StoreError> {
        let tables = self.tables();
        let mut bytes = 0;
        let all = tables.exchanges.iter().filter(|((execution, _), _)| execution == of).map(|(_, exchange)| exchange);
        let page = all.take_while(|exchange| {
            let fits = bytes <= most_bytes;
            bytes += exchange.bytes();
            fits
        });
        Ok(page.cloned().collect())
    }

    fn idempotency(&self, profile: &ProfileId, key_hash: &[u8; 32]) -> Result<Option<IdempotencyRecord>, StoreError> {
        Ok(self.tables().idempotency.get(&(profile.clone(), *key_hash)).cloned())
    }

    fn idempotency_before(&self, before: Timestamp, limit: usize) -> Result<Vec<IdempotencyRecord>, StoreError> {
        let mut old: Vec<_> =
            self.tables().idempotency.values().filter(|one| one.created_at < before).cloned().collect();
        old.sort_by_key(|record| record.created_at);
        old.truncate(limit);
        Ok(old)
    }

    fn count_executions(&self) -> Result<u64, StoreError> {
        Ok(self.tables().executions.len() as u64)
    }

    fn oldest_executions(&self, after: Option<&ExecutionId>, limit: usize) -> Result<Vec<ExecutionRecord>, StoreError> {
        let tables = self.tables();
        let records = tables.executions.values().map(|(record, ..)| record);
        Ok(records.filter(|record| after.is_none_or(|after| record.id > *after)).take(limit).cloned().collect())
    }

    fn list_executions(&self, query: &ExecutionQuery) -> Result<Vec<ExecutionRecord>, StoreError> {
        let tables = self.tables();
        let records = tables.executions.values().rev().map(|(record, ..)| record);
        let wanted = records.filter(|record| {
            query.profile_id.as_ref().is_none_or(|id| record.profile_id == *id)
                && query.status.is_none_or(|status| record.status == status)
                && query.before.as_ref().is_none_or(|before| record.id < *before)
        });
        Ok(wanted.take(query.limit).cloned().collect())
    }

    fn unfinished_executions(&self) -> Result<Vec<ExecutionRecord>, StoreError> {
        let tables = self.tables();
        let records = tables.executions.values().map(|(record, ..)| record);
        Ok(records.filter(|record| !record.status.is_final()).cloned().collect())
    }
}
