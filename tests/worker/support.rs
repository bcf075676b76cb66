//! A launched worker and its runs, for tests.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
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
    pub(crate) _home: tempfile::TempDir,
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
        // Not the users of a server that may run beside the tests.
        uid_base: 61_000,
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
        self.start_to(script, pairs, limits, None)
    }

    /// A script that may reach `hosts`.
    pub(crate) fn start_to(
        &self,
        script: &str,
        pairs: &[(&str, &str)],
        limits: RunLimits,
        hosts: Option<&[String]>,
    ) -> Running {
        let token = RunToken(self.tokens.fetch_add(1, Ordering::Relaxed));
        let entropy = SeededEntropy::new(token.0);
        let request = RunRequest {
            token,
            execution_id: ExecutionId::generate(jiff::Timestamp::UNIX_EPOCH, &entropy),
            script: script.into(),
            settings: settings(pairs),
            limits,
            allowed_hosts: hosts.map(<[String]>::to_vec),
        };
        let events = self.worker.link.run(request).expect("the worker is there");
        Running { token, events, stdout: Vec::new(), stderr: Vec::new() }
    }

    pub(crate) async fn run(&self, script: &str) -> Ended {
        self.start(script).end().await
    }

    /// Runs a script that may reach `hosts`.
    pub(crate) async fn run_to(&self, script: &str, hosts: &[String]) -> Ended {
        self.start_to(script, &[], RunLimits::DEFAULT, Some(hosts)).end().await
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
                RunEvent::Asked(..) | RunEvent::Paused(_) => {}
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
                RunEvent::Asked(..) | RunEvent::Paused(_) => {}
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

/// Every process whose arguments name `base`: those of the worker's that are Airlock's own, and all that is below them.
pub(crate) fn processes_of_worker(base: &Path) -> Vec<i32> {
    let (_, keeper) = guard_and_keeper(base);
    let mut all = vec![keeper];
    all.extend(tree_below(keeper));
    all
}

/// The process ids of a worker's guard and keeper.
pub(crate) fn guard_and_keeper(base: &Path) -> (i32, i32) {
    let named = pids().into_iter().filter(|pid| {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&arguments).into_owned();
        text.starts_with("airlock\0worker\0") && text.contains(&*base.to_string_lossy())
    });
    let named = named.collect::<Vec<_>>();
    let keeper = named.iter().copied().find(|&pid| !named.contains(&parent(pid))).expect("a keeper");
    let guard = named.iter().copied().find(|&pid| parent(pid) == keeper).expect("a guard");
    (guard, keeper)
}

/// The user of a worker, if that is not this process's own.
pub(crate) fn uid_of_worker(base: &Path) -> Option<u32> {
    let (guard, _) = guard_and_keeper(base);
    let uid = uid_of(guard);
    (uid != nix::unistd::geteuid().as_raw()).then_some(uid)
}

pub(crate) fn processes_of(uid: u32) -> Vec<i32> {
    // A process that has ended and waits to be reaped runs nothing.
    let ended = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    pids().into_iter().filter(|&pid| uid_of(pid) == uid && !ended(pid)).collect()
}

pub(crate) fn tree_below(root: i32) -> Vec<i32> {
    let mut found = children(root);
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(children(pid));
        next += 1;
    }
    found
}

pub(crate) fn children(of: i32) -> Vec<i32> {
    pids().into_iter().filter(|&pid| parent(pid) == of).collect()
}

fn pids() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").expect("proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn status(pid: i32, field: &str) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn parent(pid: i32) -> i32 {
    status(pid, "PPid:").map_or(0, |parent| parent as i32)
}

fn uid_of(pid: i32) -> u32 {
    status(pid, "Uid:").unwrap_or(u32::MAX)
}

/// Descriptors that tell when each process has ended, whatever becomes of its number.
pub(crate) fn watch_all(pids: &[i32]) -> Vec<OwnedFd> {
    let opened = pids.iter().filter_map(|&pid| {
        // SAFETY: plain system call; the descriptor is new.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as i32;
        // SAFETY: as above.
        (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor) })
    });
    opened.collect()
}

/// True when all of them have ended, or do within so many milliseconds each.
pub(crate) fn gone(all: &[OwnedFd], patience_ms: i32) -> bool {
    all.iter().all(|process| {
        let mut waited = libc::pollfd { fd: process.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor, as told.
        unsafe { libc::poll(&mut waited, 1, patience_ms) == 1 }
    })
}
