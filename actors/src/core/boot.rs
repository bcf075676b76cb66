//! Starting the core: the key is proven, the actors come up, and what the last stop left behind is taken up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use actix_rt::ArbiterHandle;
use tokio::sync::{Mutex, RwLock, Semaphore};

use super::{Core, Inner, StartError};
use crate::crypto::{Keyring, PasswordCost, PasswordHasher, SealContext};
use crate::domain::{ExecutionRecord, OnRestart, ProfileStatus, RunLimits, Secret, Status};
use crate::execution::{self, Directory, Execution, Parts, StopReason};
use crate::ports::{Clock, Entropy, Store, WorkerLauncher, Write};
use crate::profile_registry::{Ended, Find, ProfileRegistry, RegistryPorts};
use crate::runtime::supervise;
use crate::sanitizer::Sanitizer;
use crate::sessions::{SessionLife, Sessions};
use crate::vault::Vault;
use crate::worker_pool::{Enter, PoolConfig, WorkerPool};

/// The world, behind ports.
#[derive(Clone)]
pub struct CorePorts {
    /// The state on disk.
    pub store: Arc<dyn Store>,
    /// Starts workers.
    pub launcher: Arc<dyn WorkerLauncher>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Seals secrets.
    pub keyring: Keyring,
}

/// How the core is set up.
#[derive(Debug, Clone, Copy)]
pub struct CoreConfig {
    /// Workers, slots and queue.
    pub pool: PoolConfig,
    /// What an execution may use.
    pub limits: RunLimits,
    /// How long sessions live.
    pub sessions: SessionLife,
    /// What a guess of the password costs.
    pub password: PasswordCost,
    /// How much of what has ended is kept.
    pub retention: super::Retention,
}

/// The threads that actors live on.
pub struct Arbiters {
    /// For Vault, ProfileRegistry, WorkerPool and Sanitizer.
    pub control: ArbiterHandle,
    /// For Executions, in turn; with none they share the control thread.
    pub executors: Vec<ArbiterHandle>,
}

/// Answers judged by their schema at a time: the longest takes a core for a while.
const JUDGING_AT_ONCE: usize = 2;
/// A replayed script that is interrupted so often is not started again: it may be what takes the server down.
const MOST_ATTEMPTS: u32 = 5;

const KEY_CHECK: SealContext<'static> = SealContext { table: "meta", record: "key_check", field: "value", version: 1 };
const KEY_CHECK_TEXT: &str = "airlock";

impl Core {
    /// Starts the actors. What was pending runs; what was running has been interrupted, and says so.
    pub async fn start(arbiters: Arbiters, config: CoreConfig, ports: CorePorts) -> Result<Self, StartError> {
        prove_key(&ports).await?;
        let CorePorts { store, launcher, clock, entropy, keyring } = ports.clone();
        let directory = Directory::default();
        let control = &arbiters.control;

        let vault = {
            let (keyring, store, clock) = (keyring.clone(), store.clone(), clock.clone());
            supervise("vault", control, move || Vault::load(keyring.clone(), store.clone(), clock.clone()))
        };
        let registry = {
            let on_ended = {
                let directory = directory.clone();
                Arc::new(move |id: &_, ended| match ended {
                    Ended::Revoked => directory.stop_revoked(id),
                    Ended::Expired => directory.stop_profile(id, StopReason::Expired),
                })
            };
            let ports = RegistryPorts {
                keyring,
                store: store.clone(),
                clock: clock.clone(),
                entropy: entropy.clone(),
                on_ended,
            };
            supervise("profile registry", control, move || ProfileRegistry::load(ports.clone()))
        };
        let pool = {
            let pool = config.pool;
            supervise("worker pool", control, move || Ok(WorkerPool::new(pool, launcher.clone())))
        };
        let sanitizer = supervise("sanitizer", control, || Ok(Sanitizer::default()));
        tokio::try_join!(vault.up(), registry.up(), pool.up(), sanitizer.up())?;

        let hasher = PasswordHasher::new(config.password, entropy.clone());
        let sessions = Sessions::load(store.clone(), clock.clone(), entropy, hasher, config.sessions)?;
        let parts = Parts {
            store,
            clock,
            vault: vault.clone(),
            pool: pool.clone(),
            registry: registry.clone(),
            sanitizer,
            directory,
            limits: config.limits,
            tokens: AtomicU64::new(1),
        };
        let core = Self {
            inner: Arc::new(Inner {
                vault,
                registry,
                pool,
                sessions,
                parts: Arc::new(parts),
                ports,
                control: arbiters.control.clone(),
                executors: arbiters.executors,
                next_executor: AtomicUsize::new(0),
                configuration: Mutex::new(()),
                draining: AtomicBool::new(false),
                admitting: RwLock::new(()),
                overviews: super::overview::Recent::default(),
                config,
                judging: Semaphore::new(JUDGING_AT_ONCE),
                turns: super::idempotency::Turns::default(),
            }),
        };
        core.take_up_unfinished().await?;
        core.keep_tidy(config.retention);
        Ok(core)
    }

    /// EX-2: what may have started is over, unless it asked for a replay; what can't have is queued again, oldest first.
    async fn take_up_unfinished(&self) -> Result<(), StartError> {
        let store = &self.inner.ports.store;
        let unfinished = store.unfinished_executions()?;
        let (mut pending, started): (Vec<_>, Vec<_>) =
            unfinished.into_iter().partition(|record| record.status == Status::Pending);
        let (replayed, started): (Vec<_>, Vec<_>) = started
            .into_iter()
            .partition(|record| record.on_restart == OnRestart::Replay && record.attempts < MOST_ATTEMPTS);
        let counts = (pending.len(), started.len(), replayed.len());
        if counts != (0, 0, 0) {
            let (pending, interrupted, replayed) = counts;
            tracing::info!(pending, interrupted, replayed, "taking up what the last stop left");
        }
        let replayed: Vec<_> = replayed.into_iter().map(execution::to_be_replayed).collect();
        for some in replayed.chunks(256) {
            store.commit(some.iter().cloned().map(Write::UpdateExecution).collect()).await?;
        }
        pending.extend(replayed);
        pending.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        let now = self.inner.ports.clock.now();
        for some in started.chunks(256) {
            let finish = |record: &ExecutionRecord| {
                let (record, output) = execution::interrupted(record.clone(), now);
                Write::FinishExecution { record, output: Arc::new(output) }
            };
            store.commit(some.iter().map(finish).collect()).await?;
        }
        for record in pending {
            self.resume(record).await?;
        }
        Ok(())
    }

    async fn resume(&self, record: ExecutionRecord) -> Result<(), StartError> {
        let inner = &self.inner;
        let script = inner.ports.store.execution_script(&record.id)?;
        let profile = inner.registry.call(Find(record.profile_id.clone())).await?;
        let (Some(script), Some(profile)) = (script, profile) else {
            // Its profile was deleted, which takes a revocation: that had cancelled it, had the server lived.
            let (record, output) = execution::interrupted(record, inner.ports.clock.now());
            inner.ports.store.commit(vec![Write::FinishExecution { record, output: Arc::new(output) }]).await?;
            return Ok(());
        };
        // PR-4 holds across a restart.
        let now = inner.ports.clock.now();
        let ended = match profile.status(now) {
            ProfileStatus::Revoked => Some(StopReason::Revoked),
            ProfileStatus::Expired => Some(StopReason::Expired),
            ProfileStatus::Locked | ProfileStatus::Unlocked => profile.suspended.then_some(StopReason::Suspended),
        };
        if let Some(reason) = ended {
            let (record, output) = execution::stopped_while_down(record, reason, now);
            inner.ports.store.commit(vec![Write::FinishExecution { record, output: Arc::new(output) }]).await?;
            return Ok(());
        }
        let entered = inner.pool.call(Enter { profile: profile.id.clone(), even_if_full: true }).await?;
        let Some(ticket) = super::executions::ticket(entered) else { return Ok(()) };
        Execution::resume(self.executor(), inner.parts.clone(), record, script.into(), Arc::new(profile), ticket);
        Ok(())
    }
}

/// Opens what the store's key sealed at its first start, or seals it now: a wrong key is refused before it can seal
/// anything beside what it can't open.
async fn prove_key(ports: &CorePorts) -> Result<(), StartError> {
    match ports.store.key_check()? {
        Some(sealed) => ports.keyring.open(KEY_CHECK, &sealed).map(drop).map_err(StartError::WrongKey),
        None => {
            let sealed = ports.keyring.seal(KEY_CHECK, &Secret::new(KEY_CHECK_TEXT.to_owned()));
            Ok(ports.store.commit(vec![Write::PutKeyCheck(sealed)]).await?)
        }
    }
}
