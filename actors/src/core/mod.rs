//! The core as adapters see it: one value, cheap to clone, whose methods are the things Airlock can do.
//!
//! What touches one actor is passed on to it. What touches two, such as locking a profile whose credentials must all have
//! values, is put together here under the configuration lock, so that nothing changes between the look and the act.

mod boot;
mod ends;
mod errors;
mod events;
mod executions;
mod idempotency;
mod llm;
mod overview;
mod retention;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use actix_rt::ArbiterHandle;
use jiff::Timestamp;
use tokio::sync::{Mutex, RwLock, Semaphore};

pub use boot::{Arbiters, CoreConfig, CorePorts};
pub use ends::EndError;
pub use errors::{ConfigError, SessionError, StartError, SubmitError, Unavailable};
pub use events::{Cursor, ExecutionEvent, Follower};
pub use executions::{ExecutionDetail, Readiness, Submission};
pub use idempotency::MAX_KEY_BYTES;
pub use llm::RespondError;
pub use overview::{Bucket, Durations, LiveCounts, MOST_COUNTED, Outcomes, Overview, Span};
pub use retention::Retention;

pub use crate::profile_registry::ProfileChange;
pub use crate::vault::{CredentialChange, CredentialView, NewCredential, SlotsCreated, Weaknesses};

use crate::domain::{CredentialName, Maker, ProfileId, ProfileRecord, Secret};
use crate::execution::Parts;
use crate::ports::SessionRecord;
use crate::profile_registry::{self as registry, KeyIssue, ProfileRegistry};
use crate::runtime::Mailbox;
use crate::sessions::Sessions;
use crate::vault::{self, Vault};
use crate::worker_pool::WorkerPool;

/// See the module.
#[derive(Clone)]
pub struct Core {
    inner: Arc<Inner>,
}

struct Inner {
    vault: Mailbox<Vault>,
    registry: Mailbox<ProfileRegistry>,
    pool: Mailbox<WorkerPool>,
    sessions: Sessions,
    parts: Arc<Parts>,
    ports: CorePorts,
    control: ArbiterHandle,
    executors: Vec<ArbiterHandle>,
    next_executor: AtomicUsize,
    /// Held by whatever reads one actor to change another.
    configuration: Mutex<()>,
    draining: AtomicBool,
    /// Held shared from the look at `draining` until the execution is in the directory.
    admitting: RwLock<()>,
    overviews: overview::Recent,
    config: CoreConfig,
    /// Answers that are judged by their schema at a time.
    judging: Semaphore,
    /// Submissions with an idempotency key.
    turns: idempotency::Turns,
}

/// A core that ends once nobody else uses it.
struct WeakCore(std::sync::Weak<Inner>);

impl WeakCore {
    fn upgrade(&self) -> Option<Core> {
        self.0.upgrade().map(|inner| Core { inner })
    }
}

impl Core {
    fn downgrade(&self) -> WeakCore {
        WeakCore(Arc::downgrade(&self.inner))
    }
}

type Config<T> = Result<T, ConfigError>;

/// Most credentials of one profile: whoever lists profiles gets each one's credentials with their descriptions.
pub const MAX_CREDENTIALS_PER_PROFILE: usize = 100;

/// Credentials.
impl Core {
    /// All of them, by name.
    pub async fn credentials(&self) -> Config<Vec<CredentialView>> {
        Ok(self.inner.vault.call(vault::List).await?)
    }

    /// Agents' slots: names that exist are skipped. All or none are made.
    pub async fn create_slots(&self, slots: Vec<NewCredential>) -> Config<SlotsCreated> {
        self.inner.vault.call(vault::CreateSlots(slots)).await?
    }

    /// What is weak about the values there are: for whoever sets them. Empty when that can't be told now.
    pub async fn weaknesses(&self) -> Arc<Weaknesses> {
        match self.inner.vault.call(vault::Review).await {
            Ok(Ok(weaknesses)) => weaknesses,
            Ok(Err(_)) | Err(_) => Arc::default(),
        }
    }

    /// A person's credential, perhaps with its value.
    pub async fn create_credential(&self, new: NewCredential) -> Config<CredentialView> {
        self.inner.vault.call(vault::Create(new)).await?
    }

    /// Changes one.
    pub async fn update_credential(&self, name: CredentialName, change: CredentialChange) -> Config<CredentialView> {
        self.inner.vault.call(vault::Change { name, change }).await?
    }

    /// Removes one, from unlocked and revoked profiles too. Refused while a locked profile uses it.
    pub async fn delete_credential(&self, name: CredentialName) -> Config<()> {
        let _configuration = self.inner.configuration.lock().await;
        let users = self.inner.registry.call(registry::UsersOf(name.clone())).await?;
        let profiles: Vec<ProfileId> = users.into_iter().filter(|(_, locked)| *locked).map(|(id, _)| id).collect();
        if !profiles.is_empty() {
            return Err(ConfigError::CredentialInUse { name, profiles });
        }
        // First out of the profiles: after a crash between the two it is a credential that nobody uses.
        self.inner.registry.call(registry::DetachEverywhere(name.clone())).await??;
        self.inner.vault.call(vault::Delete(name)).await?
    }
}

/// Profiles.
impl Core {
    /// All of them, oldest first.
    pub async fn profiles(&self) -> Config<Vec<ProfileRecord>> {
        Ok(self.inner.registry.call(registry::List).await?)
    }

    /// One.
    pub async fn profile(&self, id: &ProfileId) -> Config<ProfileRecord> {
        self.inner.registry.call(registry::Find(id.clone())).await?.ok_or(ConfigError::UnknownProfile)
    }

    /// A new, unlocked one, made by a person.
    pub async fn create_profile(&self, description: String) -> Config<ProfileRecord> {
        self.create_profile_by(Maker::Person, description).await
    }

    /// A new, unlocked one.
    pub async fn create_profile_by(&self, by: Maker, description: String) -> Config<ProfileRecord> {
        self.inner.registry.call(registry::Create { description, by }).await?
    }

    /// Adds credentials. Locked and revoked are told before an unknown credential is.
    pub async fn attach(&self, id: &ProfileId, names: Vec<CredentialName>) -> Config<ProfileRecord> {
        let _configuration = self.inner.configuration.lock().await;
        let profile = self.profile(id).await?;
        registry::editable(&profile)?;
        let known: BTreeSet<CredentialName> = self.credentials().await?.into_iter().map(|view| view.name).collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
            return Err(ConfigError::UnknownCredential(unknown.clone()));
        }
        let names: BTreeSet<CredentialName> = names.into_iter().collect();
        let more = names.difference(&profile.credentials).count();
        if more > 0 && profile.credentials.len() + more > MAX_CREDENTIALS_PER_PROFILE {
            return Err(ConfigError::TooManyInProfile(MAX_CREDENTIALS_PER_PROFILE));
        }
        let (profile, ()) = self.inner.registry.call(registry::Attach { id: id.clone(), names }).await??;
        Ok(profile)
    }

    /// Takes credentials out; those that are not in it are ignored.
    pub async fn detach(&self, id: &ProfileId, names: Vec<CredentialName>) -> Config<ProfileRecord> {
        let names = names.into_iter().collect();
        let (profile, ()) = self.inner.registry.call(registry::Detach { id: id.clone(), names }).await??;
        Ok(profile)
    }

    /// Changes description, expiry, hosts, limits or what a leak does; suspends it, which cancels what runs for it, or lifts
    /// that. A locked profile allows it.
    pub async fn update_profile(&self, id: &ProfileId, change: ProfileChange) -> Config<ProfileRecord> {
        let suspended = change.suspended;
        let (profile, ()) = self.inner.registry.call(registry::Update { id: id.clone(), change }).await??;
        match suspended {
            Some(true) => self.inner.parts.directory.stop_suspended(id),
            Some(false) => self.inner.parts.directory.lift(id),
            None => {}
        }
        Ok(profile)
    }

    /// Locks a profile whose credentials all have values. The secret half of `ark_ID:SECRET` comes back once.
    pub async fn lock_profile(&self, id: &ProfileId) -> Config<(ProfileRecord, Secret)> {
        let _configuration = self.inner.configuration.lock().await;
        let profile = self.profile(id).await?;
        registry::editable(&profile)?;
        let missing = self.inner.vault.call(vault::WithoutValue(Arc::new(profile.credentials))).await?;
        if !missing.is_empty() {
            return Err(ConfigError::MissingValues(missing));
        }
        self.issue_key(id, KeyIssue::Lock).await
    }

    /// Replaces the secret; the old one stops working at once, the id stays.
    pub async fn regenerate_key(&self, id: &ProfileId) -> Config<(ProfileRecord, Secret)> {
        self.issue_key(id, KeyIssue::Regenerate).await
    }

    async fn issue_key(&self, id: &ProfileId, issue: KeyIssue) -> Config<(ProfileRecord, Secret)> {
        self.inner.registry.call(registry::IssueKey { id: id.clone(), issue }).await?
    }

    /// Ends a profile for good, and cancels what runs for it.
    pub async fn revoke_profile(&self, id: &ProfileId) -> Config<ProfileRecord> {
        let (profile, ()) = self.inner.registry.call(registry::Revoke(id.clone())).await??;
        self.inner.parts.directory.stop_revoked(id);
        Ok(profile)
    }

    /// Removes a profile that is unlocked or revoked. Its executions stay in the history.
    pub async fn delete_profile(&self, id: &ProfileId) -> Config<()> {
        self.inner.registry.call(registry::Delete(id.clone())).await?
    }
}

/// The administrator; see [`Sessions`].
impl Core {
    /// True until somebody set the password.
    pub async fn setup_required(&self) -> bool {
        self.inner.sessions.setup_required()
    }

    /// The first visit: sets the password and opens a session.
    pub async fn setup(&self, password: Secret) -> Result<Secret, SessionError> {
        self.inner.sessions.setup(password).await
    }

    /// Opens a session.
    pub async fn login(&self, password: Secret, peer: IpAddr) -> Result<Secret, SessionError> {
        self.inner.sessions.login(password, peer).await
    }

    /// Proves a session, and counts as a use of it.
    pub async fn authenticate(&self, token: &Secret) -> Result<(), SessionError> {
        self.inner.sessions.authenticate(token).await
    }

    /// The open sessions, the last used first; and which of them is the caller's.
    pub fn sessions(&self, token: &Secret) -> (Vec<SessionRecord>, [u8; 32]) {
        (self.inner.sessions.list(), self.inner.sessions.own(token))
    }

    /// Ends the session whose token's hash begins so; false when there is none.
    pub async fn end_session(&self, hash_begins: &[u8]) -> Result<bool, SessionError> {
        self.inner.sessions.end(hash_begins).await
    }

    /// Ends a session.
    pub async fn logout(&self, token: &Secret) -> Result<(), SessionError> {
        self.inner.sessions.logout(token).await
    }

    /// Changes the password and ends every other session.
    pub async fn change_password(
        &self,
        token: &Secret,
        current: Secret,
        new: Secret,
        peer: IpAddr,
    ) -> Result<(), SessionError> {
        self.inner.sessions.change_password(token, current, new, peer).await
    }

    /// How it was set up, for views.
    pub fn config(&self) -> &CoreConfig {
        &self.inner.config
    }

    /// The time, for views.
    pub fn now(&self) -> Timestamp {
        self.inner.ports.clock.now()
    }
}
