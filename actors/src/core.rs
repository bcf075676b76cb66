//! The core as adapters see it: one value, cheap to clone, whose methods are the things Airlock can do.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    CredentialName, ExecutionId, ExecutionRecord, ExecutionView, Limits, ProfileId, ProfileRecord, Secret,
};
use crate::ports::{ExecutionQuery, StoreError, WorkerInfo};
use jiff::Timestamp;

/// A credential, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialView {
    pub name: CredentialName,
    pub description: String,
    pub has_value: bool,
    pub secret: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A slot or credential to make.
#[derive(Debug, Clone)]
pub struct NewCredential {
    pub name: CredentialName,
    pub description: String,
    pub value: Option<Secret>,
    pub secret: bool,
}

/// What to change of a credential; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct CredentialChange {
    pub description: Option<String>,
    pub value: Option<Secret>,
    pub secret: Option<bool>,
}

/// What to change of a profile; the outer `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct ProfileChange {
    pub description: Option<String>,
    pub expires_at: Option<Option<Timestamp>>,
    pub allowed_hosts: Option<Option<Vec<String>>>,
    pub limits: Option<Limits>,
    pub suspend_on_leak: Option<bool>,
}

/// Why a change of credentials or profiles was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConfigError {
    #[error("there is no such credential")]
    UnknownCredential(CredentialName),
    #[error("there is already a credential of that name")]
    CredentialExists(CredentialName),
    #[error("locked profiles use this credential")]
    CredentialInUse { name: CredentialName, profiles: Vec<ProfileId> },
    #[error("there is no such profile")]
    UnknownProfile,
    #[error("the profile is locked")]
    Locked,
    #[error("the profile is not locked")]
    NotLocked,
    #[error("the profile is revoked")]
    Revoked,
    #[error("credentials have no value")]
    MissingValues(Vec<CredentialName>),
    /// Too many credentials or profiles: how many there may be.
    #[error("there can't be more than {0}")]
    TooMany(usize),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The core can't answer now; nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unavailable {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part of the core is restarting or overloaded.
    #[error("{0} does not answer")]
    Actor(&'static str),
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Draining,
    /// A stored secret can't be opened with the keys there are.
    #[error("a stored secret can't be opened")]
    Sealed,
}

/// What an agent asks to run.
#[derive(Debug, Clone)]
pub struct Submission {
    pub profile_id: ProfileId,
    pub script: Arc<str>,
    /// Hexadecimal HMAC-SHA256 of the script, as sent; `None` when the agent sent none.
    pub hash: Option<String>,
    pub timeout_s: u32,
    pub llm_timeout_s: u32,
}

/// Why a submission was refused. Nothing of it was stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    #[error("unknown profile")]
    UnknownProfile,
    #[error("the profile is revoked")]
    Revoked,
    #[error("the profile has expired")]
    Expired,
    #[error("the profile is not locked")]
    Unlocked,
    #[error("no signature")]
    MissingHash,
    #[error("wrong signature")]
    WrongHash,
    #[error("a credential has no value")]
    MissingValue(CredentialName),
    #[error("the queue is full")]
    QueueFull { retry_after: Duration },
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why an administrator was not let in, or a password not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    #[error("the password is set already")]
    SetUpAlready,
    #[error("no password is set yet")]
    SetUpRequired,
    #[error("a password has 8 to 1024 characters")]
    PasswordLength,
    #[error("wrong password")]
    WrongPassword,
    #[error("too many failed logins")]
    SlowDown { retry_after: Duration },
    #[error("no such session")]
    NoSession,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Whether the core can run a script now.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// Empty when ready; else a sentence a part.
    pub problems: Vec<String>,
    /// What workers said of themselves, once one was ready.
    pub worker: Option<WorkerInfo>,
    pub running: usize,
    pub queued: usize,
}

/// Everything of one execution, for the administrator.
#[derive(Debug, Clone)]
pub struct ExecutionDetail {
    pub view: ExecutionView,
    pub script: String,
}

/// See the module.
#[derive(Clone)]
pub struct Core {}

#[allow(unused_variables)]
impl Core {
    // -- credentials
    pub async fn credentials(&self) -> Result<Vec<CredentialView>, ConfigError> { todo!() } // sorted by name
    /// Agents' slots: existing names are skipped. One batch.
    pub async fn create_slots(&self, slots: Vec<NewCredential>) -> Result<(Vec<CredentialView>, Vec<CredentialName>), ConfigError> { todo!() }
    pub async fn create_credential(&self, new: NewCredential) -> Result<CredentialView, ConfigError> { todo!() }
    pub async fn update_credential(&self, name: CredentialName, change: CredentialChange) -> Result<CredentialView, ConfigError> { todo!() }
    /// Refused while a locked profile uses it; detached from unlocked ones.
    pub async fn delete_credential(&self, name: CredentialName) -> Result<(), ConfigError> { todo!() }

    // -- profiles
    pub async fn profiles(&self) -> Result<Vec<ProfileRecord>, ConfigError> { todo!() } // oldest first
    pub async fn profile(&self, id: &ProfileId) -> Result<ProfileRecord, ConfigError> { todo!() }
    pub async fn create_profile(&self, description: String) -> Result<ProfileRecord, ConfigError> { todo!() }
    pub async fn attach(&self, id: &ProfileId, names: Vec<CredentialName>) -> Result<ProfileRecord, ConfigError> { todo!() }
    pub async fn detach(&self, id: &ProfileId, names: Vec<CredentialName>) -> Result<ProfileRecord, ConfigError> { todo!() }
    pub async fn update_profile(&self, id: &ProfileId, change: ProfileChange) -> Result<ProfileRecord, ConfigError> { todo!() }
    /// The secret half of `ark_ID:SECRET` comes back once.
    pub async fn lock_profile(&self, id: &ProfileId) -> Result<(ProfileRecord, Secret), ConfigError> { todo!() }
    pub async fn regenerate_key(&self, id: &ProfileId) -> Result<(ProfileRecord, Secret), ConfigError> { todo!() }
    pub async fn revoke_profile(&self, id: &ProfileId) -> Result<ProfileRecord, ConfigError> { todo!() }
    pub async fn delete_profile(&self, id: &ProfileId) -> Result<(), ConfigError> { todo!() }

    // -- executions
    /// Returns once the execution is on disk.
    pub async fn submit(&self, submission: Submission) -> Result<ExecutionView, SubmitError> { todo!() }
    /// `None`: there is no such execution.
    pub async fn execution(&self, id: &ExecutionId) -> Result<Option<ExecutionView>, Unavailable> { todo!() }
    /// Answers at once when it is finished or awaits the LLM, else when its status changes or after `wait`.
    pub async fn wait_execution(&self, id: &ExecutionId, wait: Duration) -> Result<Option<ExecutionView>, Unavailable> { todo!() }
    /// For `POST /execute?wait=`: until finished or awaiting, or `wait` is over.
    pub async fn wait_settled(&self, id: &ExecutionId, wait: Duration) -> Result<Option<ExecutionView>, Unavailable> { todo!() }
    pub async fn list_executions(&self, query: ExecutionQuery) -> Result<Vec<ExecutionRecord>, Unavailable> { todo!() }
    pub async fn execution_detail(&self, id: &ExecutionId) -> Result<Option<ExecutionDetail>, Unavailable> { todo!() }
    pub async fn readiness(&self) -> Readiness { todo!() }

    // -- administrator
    pub async fn setup_required(&self) -> bool { todo!() }
    pub async fn setup(&self, password: Secret) -> Result<Secret, SessionError> { todo!() }
    pub async fn login(&self, password: Secret, peer: std::net::IpAddr) -> Result<Secret, SessionError> { todo!() }
    /// Proves a session; slides its idle expiry.
    pub async fn authenticate(&self, token: &Secret) -> Result<(), SessionError> { todo!() }
    pub async fn logout(&self, token: &Secret) -> Result<(), SessionError> { todo!() }
    /// Ends every other session.
    pub async fn change_password(&self, token: &Secret, current: Secret, new: Secret, peer: std::net::IpAddr) -> Result<(), SessionError> { todo!() }
    pub fn now(&self) -> Timestamp { todo!() }
}
