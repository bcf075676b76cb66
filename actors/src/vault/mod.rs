//! The Vault: credentials, sealed at rest, opened for an execution.
//!
//! May use: `crypto`, the Store port. Knows nothing of profiles: who may have a credential is decided before it is asked.
//!
//! Invariants
//! - VA-1: a change is on disk before it is in memory, and in memory before it is answered.
//! - VA-2: changes happen one after the other; none reads a state that another is about to replace.
//! - VA-3: a value leaves only through [`Resolve`], and only as [`Secret`](crate::domain::Secret); [`Review`] tells its kind.
//! - VA-4: an agent's slot never changes a credential that exists, nor takes the room kept for a person's.
//! - VA-5: no two values of a credential have the same version, even if it was deleted and made again in between.

mod messages;
mod records;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AtomicResponse, Context, Handler, ResponseActFuture, WrapFuture};

pub use messages::{
    Change, Create, CreateSlots, CredentialChange, CredentialView, Delete, List, NewCredential, Resolve, Review,
    Setting, SlotsCreated, Weaknesses, WithoutValue,
};

use crate::core::{ConfigError, Unavailable};
use crate::crypto::Keyring;
use crate::domain::{CredentialName, CredentialRecord};
use crate::ports::{Clock, Store, StoreError, Write};
use crate::sanitizer::weakness;

/// Most credentials there can be.
pub const MAX_CREDENTIALS: usize = 10_000;
/// Agents make no slots past this, so that they, who need no session, can't take the administrator's room.
pub const MAX_CREDENTIALS_FOR_AGENTS: usize = 9_000;

/// The actor. Made by [`Vault::load`], which a restart calls again.
pub struct Vault {
    records: BTreeMap<CredentialName, CredentialRecord>,
    keyring: Keyring,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Goes up with every change; what was reviewed is good for one number.
    changes: u64,
    reviewed: Option<(u64, Arc<Weaknesses>)>,
}

impl Vault {
    /// Reads every credential from the store. The values stay sealed.
    pub fn load(keyring: Keyring, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let records = store.credentials()?.into_iter().map(|record| (record.name.clone(), record)).collect();
        Ok(Self { records, keyring, store, clock, changes: 0, reviewed: None })
    }

    /// Commits one record, then takes it into memory (VA-1). No other message is handled in between (VA-2).
    fn put<T: 'static>(
        &self,
        record: CredentialRecord,
        answer: impl FnOnce(CredentialRecord) -> T + 'static,
    ) -> AtomicResponse<Self, Result<T, ConfigError>> {
        let store = self.store.clone();
        let commit = async move {
            store.commit(vec![Write::PutCredential(record.clone())]).await?;
            Ok::<_, Unavailable>(record)
        };
        AtomicResponse::new(Box::pin(commit.into_actor(self).map(|committed, vault, _| {
            let record = committed?;
            vault.changes += 1;
            vault.records.insert(record.name.clone(), record.clone());
            Ok(answer(record))
        })))
    }
}

/// An answer that needs no write.
fn at_once<T: 'static>(answer: Result<T, ConfigError>) -> AtomicResponse<Vault, Result<T, ConfigError>> {
    AtomicResponse::new(Box::pin(actix::fut::ready(answer)))
}

impl Actor for Vault {
    type Context = Context<Self>;
}

impl Handler<List> for Vault {
    type Result = Vec<CredentialView>;

    fn handle(&mut self, List: List, _: &mut Self::Context) -> Self::Result {
        self.records.values().map(CredentialView::from).collect()
    }
}

impl Handler<CreateSlots> for Vault {
    type Result = AtomicResponse<Self, Result<SlotsCreated, ConfigError>>;

    fn handle(&mut self, CreateSlots(slots): CreateSlots, _: &mut Self::Context) -> Self::Result {
        let (created, skipped) = records::new_slots(slots, &self.records, self.clock.now());
        let answer = SlotsCreated { created: created.iter().map(CredentialView::from).collect(), skipped };
        if created.is_empty() {
            return at_once(Ok(answer));
        }
        if self.records.len() + created.len() > MAX_CREDENTIALS_FOR_AGENTS {
            return at_once(Err(ConfigError::TooMany(MAX_CREDENTIALS_FOR_AGENTS)));
        }
        let store = self.store.clone();
        let batch = created.iter().cloned().map(Write::PutCredential).collect();
        let commit = async move { store.commit(batch).await };
        AtomicResponse::new(Box::pin(commit.into_actor(self).map(|committed, vault, _| {
            committed.map_err(Unavailable::Store)?;
            vault.records.extend(created.into_iter().map(|record| (record.name.clone(), record)));
            Ok(answer)
        })))
    }
}

impl Handler<Create> for Vault {
    type Result = AtomicResponse<Self, Result<CredentialView, ConfigError>>;

    fn handle(&mut self, Create(new): Create, _: &mut Self::Context) -> Self::Result {
        if self.records.contains_key(&new.name) {
            return at_once(Err(ConfigError::CredentialExists(new.name)));
        }
        if self.records.len() >= MAX_CREDENTIALS {
            return at_once(Err(ConfigError::TooMany(MAX_CREDENTIALS)));
        }
        let record = records::new_record(new, self.clock.now(), &self.keyring);
        self.put(record, |record| CredentialView::from(&record))
    }
}

impl Handler<Change> for Vault {
    type Result = AtomicResponse<Self, Result<CredentialView, ConfigError>>;

    fn handle(&mut self, Change { name, change }: Change, _: &mut Self::Context) -> Self::Result {
        let Some(record) = self.records.get(&name) else {
            return at_once(Err(ConfigError::UnknownCredential(name)));
        };
        let changed = records::changed(record, change, self.clock.now(), &self.keyring);
        if changed == *record {
            return at_once(Ok(CredentialView::from(&changed)));
        }
        self.put(changed, |record| CredentialView::from(&record))
    }
}

impl Handler<Delete> for Vault {
    type Result = AtomicResponse<Self, Result<(), ConfigError>>;

    fn handle(&mut self, Delete(name): Delete, _: &mut Self::Context) -> Self::Result {
        if !self.records.contains_key(&name) {
            return at_once(Err(ConfigError::UnknownCredential(name)));
        }
        let store = self.store.clone();
        let commit = async move {
            store.commit(vec![Write::DeleteCredential(name.clone())]).await?;
            Ok::<_, Unavailable>(name)
        };
        AtomicResponse::new(Box::pin(commit.into_actor(self).map(|committed, vault, _| {
            vault.records.remove(&committed?);
            vault.changes += 1;
            Ok(())
        })))
    }
}

impl Handler<WithoutValue> for Vault {
    type Result = Vec<CredentialName>;

    fn handle(&mut self, WithoutValue(names): WithoutValue, _: &mut Self::Context) -> Self::Result {
        let filled = |name: &CredentialName| self.records.get(name).is_some_and(|record| record.value.is_some());
        names.iter().filter(|name| !filled(name)).cloned().collect()
    }
}

impl Handler<Review> for Vault {
    type Result = ResponseActFuture<Self, Result<Arc<Weaknesses>, Unavailable>>;

    fn handle(&mut self, Review: Review, _: &mut Self::Context) -> Self::Result {
        let changes = self.changes;
        if let Some((_, weaknesses)) = self.reviewed.as_ref().filter(|(at, _)| *at == changes) {
            return Box::pin(actix::fut::ready(Ok(weaknesses.clone())));
        }
        let records: BTreeMap<_, _> = self
            .records
            .iter()
            .filter(|(_, record)| record.secret && record.value.is_some())
            .map(|(name, record)| (name.clone(), record.clone()))
            .collect();
        let keyring = self.keyring.clone();
        // Ten thousand values take some ten milliseconds to open.
        let reviewing = tokio::task::spawn_blocking(move || {
            let names: Vec<CredentialName> = records.keys().cloned().collect();
            let open = |name: &CredentialName| records::open(name, records.get(name), &keyring).ok().map(|s| s.value);
            Arc::new(weakness::of_all(&names, open))
        });
        Box::pin(reviewing.into_actor(self).map(move |reviewed, vault, _| {
            let weaknesses = reviewed.map_err(|_| Unavailable::Actor("vault"))?;
            vault.reviewed = Some((changes, weaknesses.clone()));
            Ok(weaknesses)
        }))
    }
}

impl Handler<Resolve> for Vault {
    type Result = Result<Vec<Setting>, ConfigError>;

    fn handle(&mut self, Resolve(names): Resolve, _: &mut Self::Context) -> Self::Result {
        names.iter().map(|name| records::open(name, self.records.get(name), &self.keyring)).collect()
    }
}
