//! A launched worker and its runs, for tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use airlock::worker::launch::{LocalConfig, LocalLauncher};
use airlock_actors::domain::{CredentialName, ExecutionId, RunLimits, Secret};
use airlock_actors::ports::{
    LaunchedWorker, OutputStream, RunEnd, RunEvent, RunOutcome, RunRequest, RunToken, WorkerLauncher as _, WorkerLink,
};
use airlock_actors::testing::SeededEntropy;
use tokio::sync::mpsc::UnboundedReceiver;

/// Only a broken worker gets here.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Worker {
    pub(crate) worker: LaunchedWorker,
    pub(crate) base: PathBuf,
    _home: tempfile::TempDir,
    tokens: AtomicU64,
}

pub(crate) fn settings(pairs: &[(&str, &str)]) -> Vec<(CredentialName, Secret)> {
    let pair = |(name, value): &(&str, &str)| (name.parse().expect("a name"), Secret::new((*value).to_owned()));
    pairs.iter().map(pair).collect()
}

pub(crate) fn config() -> (LocalConfig, tempfile::TempDir) {
    let home = tempfile::tempdir().expect("a folder");
    // `tempdir` makes it 0700; the worker's user has to walk through.
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("changed");
    let config = LocalConfig {
        binary: Some(env!("CARGO_BIN_EXE_airlock").into()),
        tmp_base: Some(home.path().join("workers")),
        ..LocalConfig::default()
    };
    (config, home)
}

impl Worker {
    pub(crate) async fn launch() -> Self {
        let (config, home) = config();
        Self::launch_with(config, home).await
    }

    pub(crate) async fn launch_with(config: LocalConfig, home: tempfile::TempDir) -> Self {
        let base = config.tmp_base.clone().expect("set above");
        let launcher = LocalLauncher::new(config).expect("a launcher");
        let worker = launcher.launch(0).await.expect("a worker");
        Self { worker, base, _home: home, tokens: AtomicU64::new(1) }
    }

    pub(crate) fn link(&self) -> Arc<dyn WorkerLink> {
        Arc::clone(&self.worker.link)
    }

    pub(crate) fn start(&self, script: &str) -> Running {
        self.start_with(script, &[], RunLimits::DEFAULT)
    }

    pub(crate) fn start_with(&self, script: &str, pairs: &[(&str, &str)], limits: RunLimits) -> Running {
        let token = RunToken(self.tokens.fetch_add(1, Ordering::Relaxed));
        let entropy = SeededEntropy::new(token.0);
        let request = RunRequest {
            token,
            execution_id: ExecutionId::generate(jiff::Timestamp::UNIX_EPOCH, &entropy),
            script: script.into(),
            settings: settings(pairs),
            limits,
        };
        let events = self.worker.link.run(request).expect("the worker is there");
        Running { token, events, stdout: Vec::new(), stderr: Vec::new() }
    }

    pub(crate) async fn run(&self, script: &str) -> Ended {
        self.start(script).end().await
    }

    pub(crate) async fn run_with(&self, script: &str, limits: RunLimits) -> Ended {
        self.start_with(script, &[], limits).end().await
    }
}

pub(crate) struct Running {
    pub(crate) token: RunToken,
    pub(crate) events: UnboundedReceiver<RunEvent>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

pub(crate) struct Ended {
    pub(crate) end: RunEnd,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Running {
    /// Waits until standard output holds `text`.
    pub(crate) async fn until_printed(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.stdout).contains(text) {
            let event = tokio::time::timeout(DEADLINE, self.events.recv()).await.expect("in time");
            match event.expect("the worker is there") {
                RunEvent::Output(OutputStream::Stdout, bytes) => self.stdout.extend(bytes),
                RunEvent::Output(OutputStream::Stderr, bytes) => self.stderr.extend(bytes),
                RunEvent::Ended(end) => panic!(
                    "ended before it printed {text:?}: {end:?}, {}, {}",
                    String::from_utf8_lossy(&self.stdout),
                    String::from_utf8_lossy(&self.stderr)
                ),
            }
        }
    }

    pub(crate) async fn end(self) -> Ended {
        self.end_or_lost().await.expect("the worker is there")
    }

    /// `None` when the channel closed without an end.
    pub(crate) async fn end_or_lost(mut self) -> Option<Ended> {
        loop {
            match tokio::time::timeout(DEADLINE, self.events.recv()).await.expect("in time")? {
                RunEvent::Output(OutputStream::Stdout, bytes) => self.stdout.extend(bytes),
                RunEvent::Output(OutputStream::Stderr, bytes) => self.stderr.extend(bytes),
                RunEvent::Ended(end) => {
                    assert_eq!(self.events.recv().await, None, "something followed the end");
                    return Some(Ended { end: *end, stdout: self.stdout, stderr: self.stderr });
                }
            }
        }
    }
}

impl Ended {
    pub(crate) fn outcome(&self) -> &str {
        match &self.end.outcome {
            RunOutcome::Completed => "completed",
            RunOutcome::Killed => "killed",
            RunOutcome::Failed { error_type, .. } => error_type.as_str(),
        }
    }

    pub(crate) fn error(&self) -> &str {
        match &self.end.outcome {
            RunOutcome::Failed { error, .. } => error,
            _ => "",
        }
    }

    pub(crate) fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("UTF-8")
    }

    pub(crate) fn result(&self) -> Option<&str> {
        self.end.result.as_deref()
    }

    /// The result of a script that must have completed.
    pub(crate) fn value(&self) -> serde_json::Value {
        assert_eq!(self.outcome(), "completed", "{}\n{}", self.error(), String::from_utf8_lossy(&self.stderr));
        serde_json::from_str(self.result().expect("a result")).expect("JSON")
    }
}
