//! The ProfileRegistry: profiles, their one-way lock, their keys, their expiry.
//!
//! May use: `crypto`, the Store port. Whether a credential exists or has a value is checked by the caller, which holds
//! the configuration lock (see `core`).
//!
//! Invariants
//! - PR-1: a change is on disk before it is in memory, and in memory before it is answered; changes do not interleave.
//! - PR-2: a lock is never undone, a revocation neither.
//! - PR-3: the secret half of a key leaves twice at most: when it is made, and as an [`Authority`] that only verifies.
//! - PR-4: an expired or revoked profile authorizes nothing from that moment on, whatever was cached.
//! - PR-5: what changes nothing is not written: agents, who need no session, can ask for it as often as they like.
//! - PR-6: a suspended profile authorizes nothing until a person lifts it, also after a restart.

mod authority;
mod messages;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, SpawnHandle, WrapFuture};

pub use authority::Authority;
pub use messages::{
    Attach, Authorize, Create, Delete, Detach, DetachEverywhere, Find, FlushUse, IssueKey, KeyIssue, Leaked, List,
    ProfileChange, Refusal, Revoke, Update, Used, UsersOf,
};
pub(crate) use rules::editable;

use crate::core::{ConfigError, Unavailable};
use crate::crypto::Keyring;
use crate::domain::{Maker, ProfileId, ProfileRecord, Secret};
use crate::ports::{Clock, Entropy, Store, StoreError, Write};

/// Most profiles there can be.
pub const MAX_PROFILES: usize = 10_000;
/// Agents make no profiles past this, so that they, who need no session, can't take the administrator's room.
pub const MAX_PROFILES_FOR_AGENTS: usize = 9_000;

/// How often `last_used_at` reaches the disk: it is the only thing that may be that much behind after a crash.
const FLUSH_USE_EVERY: Duration = Duration::from_secs(60);

/// Timers don't count the time that the machine sleeps, nor by how much its clock is set: so the date is looked at again.
const LOOK_AT_DATES_EVERY: Duration = Duration::from_secs(60);

/// Told when a profile stops being usable, so that what runs for it can be cancelled.
pub type OnEnded = Arc<dyn Fn(&ProfileId, Ended) + Send + Sync>;

/// Why a profile ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By a person.
    Revoked,
    /// By the clock.
    Expired,
}

/// What the registry works with.
#[derive(Clone)]
pub struct RegistryPorts {
    /// Seals keys.
    pub keyring: Keyring,
    /// Keeps profiles.
    pub store: Arc<dyn Store>,
    /// Tells expiry.
    pub clock: Arc<dyn Clock>,
    /// Makes ids and secrets.
    pub entropy: Arc<dyn Entropy>,
    /// Hears of ended profiles.
    pub on_ended: OnEnded,
}

/// The actor. Made by [`ProfileRegistry::load`], which a restart calls again.
pub struct ProfileRegistry {
    profiles: BTreeMap<ProfileId, ProfileRecord>,
    /// Opened keys, so that a request does not pay for AES and HKDF.
    opened: HashMap<ProfileId, (u64, Secret)>,
    /// Those whose `last_used_at` is newer than on disk.
    used: HashSet<ProfileId>,
    /// The timer of each profile that has an expiry date.
    expiries: HashMap<ProfileId, SpawnHandle>,
    ports: RegistryPorts,
}

type Reply<T> = AtomicResponse<ProfileRegistry, Result<T, ConfigError>>;

impl ProfileRegistry {
    /// Reads every profile from the store. The keys stay sealed until they are used.
    pub fn load(ports: RegistryPorts) -> Result<Self, StoreError> {
        let profiles = ports.store.profiles()?.into_iter().map(|record| (record.id.clone(), record)).collect();
        Ok(Self { profiles, opened: HashMap::new(), used: HashSet::new(), expiries: HashMap::new(), ports })
    }

    /// Applies a rule to a profile, commits what comes out, takes it into memory, answers (PR-1). If the rule changed
    /// nothing, the answer is all (PR-5).
    fn change<T: 'static>(
        &self,
        id: &ProfileId,
        rule: impl FnOnce(ProfileRecord) -> Result<(ProfileRecord, T), ConfigError>,
    ) -> Reply<(ProfileRecord, T)> {
        let Some(before) = self.profiles.get(id) else { return at_once(Err(ConfigError::UnknownProfile)) };
        match rule(before.clone()) {
            Ok((record, extra)) if record == *before => at_once(Ok((record, extra))),
            Ok((mut record, extra)) => {
                record.updated_at = self.ports.clock.now();
                self.commit(vec![record.clone()], (record, extra))
            }
            Err(refusal) => at_once(Err(refusal)),
        }
    }

    fn commit<T: 'static>(&self, records: Vec<ProfileRecord>, answer: T) -> Reply<T> {
        let store = self.ports.store.clone();
        let batch = records.iter().cloned().map(Write::PutProfile).collect();
        let commit = async move { store.commit(batch).await };
        AtomicResponse::new(Box::pin(commit.into_actor(self).map(|committed, registry, context| {
            committed.map_err(Unavailable::Store)?;
            for record in records {
                registry.watch_expiry(&record, context);
                registry.profiles.insert(record.id.clone(), record);
            }
            Ok(answer)
        })))
    }

    /// Sets the profile's one timer to the moment it expires, or to the next look at the date.
    fn watch_expiry(&mut self, record: &ProfileRecord, context: &mut Context<Self>) {
        self.forget_expiry(&record.id, context);
        let Some(at) = record.expires_at else { return };
        let id = record.id.clone();
        let wait = Duration::try_from(at.duration_since(self.ports.clock.now())).unwrap_or_default();
        let timer =
            context.run_later(wait.min(LOOK_AT_DATES_EVERY), move |registry, context| registry.expire(&id, context));
        self.expiries.insert(record.id.clone(), timer);
    }

    fn forget_expiry(&mut self, id: &ProfileId, context: &mut Context<Self>) {
        if let Some(timer) = self.expiries.remove(id) {
            context.cancel_future(timer);
        }
    }

    fn expire(&mut self, id: &ProfileId, context: &mut Context<Self>) {
        self.expiries.remove(id);
        let Some(record) = self.profiles.get(id).cloned() else { return };
        let Some(at) = record.expires_at else { return };
        if self.ports.clock.now() < at {
            // Not yet, or not any more: somebody set the clock back.
            self.watch_expiry(&record, context);
        } else {
            (self.ports.on_ended)(id, Ended::Expired);
        }
    }

    fn opened_key(&mut self, record: &ProfileRecord) -> Result<Secret, Refusal> {
        if let Some((version, key)) = self.opened.get(&record.id)
            && *version == record.key_version
        {
            return Ok(key.clone());
        }
        let key = rules::open_key(record, &self.ports.keyring)?;
        self.opened.insert(record.id.clone(), (record.key_version, key.clone()));
        Ok(key)
    }

    /// Writes down what is on disk only up to a minute ago; what fails is tried again with the next.
    fn flush_use(&mut self) -> AtomicResponse<Self, ()> {
        let used = std::mem::take(&mut self.used);
        let records = used.iter().filter_map(|id| self.profiles.get(id).cloned());
        let batch: Vec<Write> = records.map(Write::PutProfile).collect();
        let store = self.ports.store.clone();
        let flush = async move { if batch.is_empty() { Ok(()) } else { store.commit(batch).await } };
        AtomicResponse::new(Box::pin(flush.into_actor(self).map(|flushed, registry, _| {
            if let Err(error) = flushed {
                registry.used.extend(used);
                tracing::warn!(%error, "could not write when profiles were last used");
            }
        })))
    }
}

/// An answer that needs no write.
fn at_once<T: 'static>(answer: Result<T, ConfigError>) -> Reply<T> {
    AtomicResponse::new(Box::pin(actix::fut::ready(answer)))
}

impl Actor for ProfileRegistry {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let records: Vec<ProfileRecord> = self.profiles.values().cloned().collect();
        for record in records {
            self.watch_expiry(&record, context);
        }
        context.run_interval(FLUSH_USE_EVERY, |_, context| context.notify(FlushUse));
    }
}

impl Handler<FlushUse> for ProfileRegistry {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, FlushUse: FlushUse, _: &mut Self::Context) -> Self::Result {
        self.flush_use()
    }
}

impl Handler<List> for ProfileRegistry {
    type Result = Vec<ProfileRecord>;

    fn handle(&mut self, List: List, _: &mut Self::Context) -> Self::Result {
        let mut all: Vec<ProfileRecord> = self.profiles.values().cloned().collect();
        all.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        all
    }
}

impl Handler<Find> for ProfileRegistry {
    type Result = Option<ProfileRecord>;

    fn handle(&mut self, Find(id): Find, _: &mut Self::Context) -> Self::Result {
        self.profiles.get(&id).cloned()
    }
}

impl Handler<UsersOf> for ProfileRegistry {
    type Result = Vec<(ProfileId, bool)>;

    fn handle(&mut self, UsersOf(name): UsersOf, _: &mut Self::Context) -> Self::Result {
        let users = self.profiles.values().filter(|record| record.credentials.contains(&name));
        users.map(|record| (record.id.clone(), record.locked() && !record.revoked)).collect()
    }
}

impl Handler<Create> for ProfileRegistry {
    type Result = Reply<ProfileRecord>;

    fn handle(&mut self, Create { description, by }: Create, _: &mut Self::Context) -> Self::Result {
        let most = match by {
            Maker::Agent => MAX_PROFILES_FOR_AGENTS,
            Maker::Person => MAX_PROFILES,
        };
        if self.profiles.len() >= most {
            return at_once(Err(ConfigError::TooMany(most)));
        }
        let id = ProfileId::generate(&*self.ports.entropy);
        let record = rules::new_profile(id, description, by, self.ports.clock.now());
        self.commit(vec![record.clone()], record)
    }
}

impl Handler<Attach> for ProfileRegistry {
    type Result = Reply<(ProfileRecord, ())>;

    fn handle(&mut self, Attach { id, names }: Attach, _: &mut Self::Context) -> Self::Result {
        self.change(&id, |record| rules::attach(record, names))
    }
}

impl Handler<Detach> for ProfileRegistry {
    type Result = Reply<(ProfileRecord, ())>;

    fn handle(&mut self, Detach { id, names }: Detach, _: &mut Self::Context) -> Self::Result {
        self.change(&id, |record| rules::detach(record, &names))
    }
}

impl Handler<DetachEverywhere> for ProfileRegistry {
    type Result = Reply<()>;

    fn handle(&mut self, DetachEverywhere(name): DetachEverywhere, _: &mut Self::Context) -> Self::Result {
        let now = self.ports.clock.now();
        let users = self.profiles.values().filter(|record| record.credentials.contains(&name));
        let detached = users.cloned().map(|record| rules::without(record, &name, now)).collect::<Vec<_>>();
        if detached.is_empty() { at_once(Ok(())) } else { self.commit(detached, ()) }
    }
}

impl Handler<Update> for ProfileRegistry {
    type Result = Reply<(ProfileRecord, ())>;

    fn handle(&mut self, Update { id, change }: Update, _: &mut Self::Context) -> Self::Result {
        self.change(&id, |record| Ok((rules::updated(record, change), ())))
    }
}

impl Handler<Leaked> for ProfileRegistry {
    type Result = Reply<(ProfileRecord, bool)>;

    fn handle(&mut self, Leaked(id): Leaked, _: &mut Self::Context) -> Self::Result {
        self.change(&id, |record| Ok(rules::leaked(record)))
    }
}

impl Handler<IssueKey> for ProfileRegistry {
    type Result = Reply<(ProfileRecord, Secret)>;

    fn handle(&mut self, IssueKey { id, issue }: IssueKey, _: &mut Self::Context) -> Self::Result {
        self.change(&id, |record| rules::issue_key(record, issue, &self.ports.keyring, &*self.ports.entropy))
    }
}

impl Handler<Revoke> for ProfileRegistry {
    type Result = Reply<(ProfileRecord, ())>;

    fn handle(&mut self, Revoke(id): Revoke, _: &mut Self::Context) -> Self::Result {
        self.opened.remove(&id);
        self.change(&id, |record| Ok((ProfileRecord { revoked: true, ..record }, ())))
    }
}

impl Handler<Delete> for ProfileRegistry {
    type Result = Reply<()>;

    fn handle(&mut self, Delete(id): Delete, _: &mut Self::Context) -> Self::Result {
        let found = self.profiles.get(&id).ok_or(ConfigError::UnknownProfile);
        if let Err(refusal) = found.and_then(rules::may_delete) {
            return at_once(Err(refusal));
        }
        let store = self.ports.store.clone();
        let commit = async move {
            store.commit(vec![Write::DeleteProfile(id.clone())]).await?;
            Ok::<_, Unavailable>(id)
        };
        AtomicResponse::new(Box::pin(commit.into_actor(self).map(|committed, registry, context| {
            let id = committed?;
            registry.forget_expiry(&id, context);
            registry.opened.remove(&id);
            registry.profiles.remove(&id);
            Ok(())
        })))
    }
}

impl Handler<Authorize> for ProfileRegistry {
    type Result = Result<Authority, Refusal>;

    fn handle(&mut self, Authorize(id): Authorize, _: &mut Self::Context) -> Self::Result {
        let record = self.profiles.get(&id).cloned().ok_or(Refusal::Unknown)?;
        rules::may_run(&record, self.ports.clock.now())?;
        let key = self.opened_key(&record)?;
        Ok(Authority::new(Arc::new(record), key))
    }
}

impl Handler<Used> for ProfileRegistry {
    type Result = ();

    fn handle(&mut self, Used(id): Used, _: &mut Self::Context) -> Self::Result {
        if let Some(record) = self.profiles.get_mut(&id) {
            record.last_used_at = Some(self.ports.clock.now());
            self.used.insert(id);
        }
    }
}
