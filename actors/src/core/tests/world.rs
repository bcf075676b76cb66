//! A core on a memory store, with scripted workers: what the tests beside this drive.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::Arbiter;
use hmac::{Hmac, KeyInit, Mac};
use tokio::sync::mpsc::UnboundedReceiver;
use zeroize::Zeroizing;

use crate::core::*;
use crate::crypto::{Keyring, PasswordCost};
use crate::domain::{ExecutionRecord, ExecutionView, OnRestart, RunLimits, Status};
use crate::ports::{ExecutionQuery, Store};
use crate::sessions::SessionLife;
use crate::testing::{FakeClock, MemoryStore, ScriptedLauncher, ScriptedRun, SeededEntropy};
use crate::worker_pool::PoolConfig;

pub(super) struct World {
    pub(super) core: Core,
    pub(super) store: Arc<MemoryStore>,
    pub(super) clock: Arc<FakeClock>,
    pub(super) launcher: ScriptedLauncher,
    pub(super) runs: UnboundedReceiver<ScriptedRun>,
}

/// Nothing that a test makes is too old or too much.
pub(super) const RETENTION: Retention = Retention { age: Duration::from_secs(365 * 24 * 3600), executions: u64::MAX };

pub(super) const POOL: PoolConfig = PoolConfig {
    max_running: 2,
    max_queue: 3,
    max_paused: 100,
    max_workers: 4,
    warm: 1,
    worker_idle: Duration::from_secs(600),
};

impl World {
    pub(super) async fn new() -> Self {
        Self::on(Arc::new(MemoryStore::default()), POOL).await
    }

    /// With a locked profile, its one credential `KEY` and its secret.
    pub(super) async fn with_agent() -> (Self, (ProfileId, Secret)) {
        let world = Self::new().await;
        let agent = world.profile("KEY", "v").await;
        (world, agent)
    }

    pub(super) async fn on(store: Arc<MemoryStore>, pool: PoolConfig) -> Self {
        let (launcher, runs) = ScriptedLauncher::new();
        let (entropy, clock) = (Arc::new(SeededEntropy::new(7)), Arc::new(FakeClock::new()));
        let ports = CorePorts {
            store: store.clone(),
            launcher: Arc::new(launcher.clone()),
            clock: clock.clone(),
            entropy: entropy.clone(),
            keyring: Keyring::new(Zeroizing::new([7; 32]), entropy),
        };
        let config = CoreConfig {
            pool,
            limits: RunLimits::DEFAULT,
            sessions: SessionLife { idle: Duration::from_secs(3600), absolute: Duration::from_secs(7200) },
            password: PasswordCost::danger_next_to_nothing(),
            retention: RETENTION,
        };
        let arbiters = Arbiters { control: Arbiter::current(), executors: vec![Arbiter::current()] };
        let core = Core::start(arbiters, config, ports).await.expect("it starts");
        while core.readiness().await.worker.is_none() {
            tokio::task::yield_now().await;
        }
        Self { core, store, clock, launcher, runs }
    }

    /// A locked profile with one credential, and its secret.
    pub(super) async fn profile(&self, name: &str, value: &str) -> (ProfileId, Secret) {
        let name = CredentialName::from_str(name).unwrap();
        let value = Some(Secret::new(value.to_owned()));
        let new = NewCredential { name: name.clone(), description: String::new(), value, secret: true };
        self.core.create_credential(new).await.unwrap();
        let profile = self.core.create_profile("test".to_owned()).await.unwrap();
        self.core.attach(&profile.id, vec![name]).await.unwrap();
        let (profile, secret) = self.core.lock_profile(&profile.id).await.unwrap();
        (profile.id, secret)
    }

    pub(super) async fn submit(
        &self,
        (profile_id, secret): &(ProfileId, Secret),
        script: &str,
    ) -> Result<ExecutionView, SubmitError> {
        self.core
            .submit(Submission {
                profile_id: profile_id.clone(),
                script: script.into(),
                hash: Some(sign(secret, script)),
                timeout_s: 60,
                llm_timeout_s: 300,
                on_restart: OnRestart::Fail,
                idempotency_key: None,
            })
            .await
    }

    /// The runs of these executions, which are the next to come: in what order is open, since their redactors are made on
    /// other threads.
    pub(super) async fn runs_of<const N: usize>(&mut self, views: [&ExecutionView; N]) -> [ScriptedRun; N] {
        let mut runs = Vec::new();
        while runs.len() < N {
            runs.push(self.runs.recv().await.expect("a run"));
        }
        views.map(|view| {
            let of_it = runs.iter().position(|run| run.request.execution_id == view.record.id);
            runs.swap_remove(of_it.expect("a run of each"))
        })
    }

    pub(super) async fn finished(&self, view: &ExecutionView) -> ExecutionView {
        let waited = self.core.wait_settled(&view.record.id, Duration::from_secs(3600)).await;
        let view = waited.unwrap().expect("it exists");
        assert!(view.record.status.is_final(), "{:?} is not final", view.record.status);
        view
    }

    pub(super) async fn status(&self, view: &ExecutionView) -> Status {
        self.core.execution(&view.record.id).await.unwrap().expect("it exists").record.status
    }
}

/// tokio's timers are at most some milliseconds late, also when paused.
pub(super) fn about(milliseconds: Option<u64>, wanted: u64) -> bool {
    milliseconds.is_some_and(|milliseconds| (wanted..wanted + 10).contains(&milliseconds))
}

pub(super) fn sign(secret: &Secret, script: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.expose().as_bytes()).unwrap();
    mac.update(script.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is on one store's disk, put on another's: a crash, seen from the next start.
pub(super) async fn copy(from: &MemoryStore, to: &MemoryStore) {
    use crate::ports::Write;
    let mut batch: Vec<Write> = Vec::new();
    batch.extend(from.key_check().unwrap().map(Write::PutKeyCheck));
    batch.extend(from.credentials().unwrap().into_iter().map(Write::PutCredential));
    batch.extend(from.profiles().unwrap().into_iter().map(Write::PutProfile));
    for record in from.list_executions(&ExecutionQuery { limit: 100, ..ExecutionQuery::default() }).unwrap() {
        let script = from.execution_script(&record.id).unwrap().unwrap().into();
        let (execution_id, output) = (record.id.clone(), from.execution_output(&record.id).unwrap());
        let first = ExecutionRecord { status: Status::Pending, ..record.clone() };
        batch.push(Write::InsertExecution { record: first, script });
        for exchange in from.exchanges(&execution_id, usize::MAX).unwrap() {
            batch.push(Write::PutExchange { execution_id: execution_id.clone(), exchange });
        }
        batch.push(match output {
            Some(output) => Write::FinishExecution { record, output: Arc::new(output) },
            None => Write::UpdateExecution(record),
        });
    }
    to.commit(batch).await.unwrap();
}
