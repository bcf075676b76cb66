//! Workers as processes of this machine: each a guard with, where the server is root, a user of its own.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use airlock_actors::ports::{LaunchError, LaunchedWorker, WorkerInfo, WorkerLauncher};
use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::lease::Lease;
use super::process::{GuardCommand, start};
use super::python::{self, Interpreter};
use crate::worker::cgroup::delegated::Delegated;
use crate::worker::guard::confine::capabilities;

/// A guard that says nothing for so long will not.
const READY_TIMEOUT: Duration = Duration::from_secs(90);

/// How workers are started.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// The interpreter; `None`: the first that works.
    pub python: Option<PathBuf>,
    /// Folder for what workers need while they run, made if it is not there; `None`: one in the system's temporary folder.
    pub tmp_base: Option<PathBuf>,
    /// The first of the users that workers get when the server is root. It and the next few thousand are to be nobody else's:
    /// what runs as one of them is taken for something that an earlier worker left, and ended, unless it is another server's or
    /// another container's.
    pub uid_base: u32,
    /// How many processes wait in each worker, forked ahead.
    pub forked_ahead: usize,
    /// Run scripts even where a layer of the sandbox is missing.
    pub allow_degraded_sandbox: bool,
    /// The port that the server listens on: on this machine, scripts don't reach it.
    pub server_port: Option<u16>,
    /// Name servers to ask for scripts; the machine's, if there are none.
    pub name_servers: Vec<std::net::SocketAddr>,
    /// The `airlock` binary; `None`: this very one.
    pub binary: Option<PathBuf>,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            python: None,
            tmp_base: None,
            uid_base: 59_000,
            forked_ahead: 3,
            allow_degraded_sandbox: false,
            server_port: None,
            name_servers: Vec::new(),
            binary: None,
        }
    }
}

/// Starts workers on this machine.
#[derive(Debug)]
pub struct LocalLauncher {
    interpreter: OnceCell<Interpreter>,
    plan: Arc<Plan>,
}

/// What is the same for every worker.
#[derive(Debug)]
struct Plan {
    config: LocalConfig,
    binary: Arc<File>,
    tmp_base: PathBuf,
    /// Workers get users of their own.
    own_users: bool,
}

impl LocalLauncher {
    /// Checks what can be checked without starting anything.
    pub fn new(config: LocalConfig) -> Result<Self, LaunchError> {
        let path = config.binary.clone().unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
        let binary =
            File::open(&path).map_err(|error| LaunchError(format!("{} can't be read: {error}", path.display())))?;
        let user = nix::unistd::geteuid();
        let tmp_base =
            config.tmp_base.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("airlock-workers-{user}")));
        if config.uid_base == 0 {
            return Err(LaunchError("workers must not run as root: the first worker user can't be 0".to_owned()));
        }
        let own_users = user.is_root() && capabilities::may_manage_users();
        let plan = Plan { own_users, binary: Arc::new(binary), tmp_base, config };
        Ok(Self { interpreter: OnceCell::new(), plan: Arc::new(plan) })
    }

    /// The interpreter that scripts run on; found once.
    pub async fn interpreter(&self) -> Result<&Interpreter, LaunchError> {
        self.interpreter.get_or_try_init(|| self.find_interpreter()).await.map_err(LaunchError)
    }

    async fn find_interpreter(&self) -> Result<Interpreter, String> {
        let plan = Arc::clone(&self.plan);
        // Leased, or a worker that starts beside it would take the probe for something left of an earlier one.
        let leased = tokio::task::spawn_blocking(move || plan.lease(0)).await.map_err(|error| error.to_string())??;
        let run_as = self.plan.own_users.then(|| leased.number());
        python::find(self.plan.config.python.as_deref(), run_as).await
    }
}

impl Plan {
    /// A user of its own, or just a number, for the worker of `slot`.
    fn lease(&self, slot: u32) -> Result<Lease, String> {
        match self.own_users {
            true => Lease::user(self.config.uid_base.saturating_add(slot)),
            false => Lease::number_in(&self.tmp_base, slot),
        }
    }

    /// Takes a lease and makes the folder: touches files, so not for a runtime's thread.
    fn prepare(&self, slot: u32, interpreter: &Interpreter) -> Result<GuardCommand, String> {
        let lease = self.lease(slot)?;
        let user = self.own_users.then(|| lease.number());
        let folder = lease.make_folder(&self.tmp_base, user)?;
        let mut arguments: Vec<OsString> =
            vec!["worker".into(), "--python".into(), interpreter.executable.clone().into()];
        for path in &interpreter.paths {
            arguments.extend(["--read".into(), path.clone().into()]);
        }
        arguments.extend(["--tmp-root".into(), folder.clone().into()]);
        arguments.extend(["--forked-ahead".into(), self.config.forked_ahead.to_string().into()]);
        if user.is_some() {
            arguments.push("--own-user".into());
        }
        if let Some(port) = self.config.server_port {
            arguments.extend(["--server-port".into(), port.to_string().into()]);
        }
        for server in &self.config.name_servers {
            arguments.extend(["--name-server".into(), server.to_string().into()]);
        }
        if self.config.allow_degraded_sandbox {
            arguments.push("--allow-degraded".into());
        }
        let groups = Delegated::make(user);
        match &groups {
            Ok(groups) => {
                arguments.extend(groups.hierarchies().flat_map(|one| ["--cgroup".into(), one.to_string().into()]));
            }
            Err(why) => arguments.extend(["--no-cgroups".into(), why.into()]),
        }
        let groups = groups.ok();
        Ok(GuardCommand { binary: Arc::clone(&self.binary), arguments, user, slot, folder, lease, groups })
    }
}

#[async_trait]
impl WorkerLauncher for LocalLauncher {
    async fn launch(&self, slot: u32) -> Result<LaunchedWorker, LaunchError> {
        let interpreter = self.interpreter().await?.clone();
        let plan = Arc::clone(&self.plan);
        let prepared = tokio::task::spawn_blocking(move || plan.prepare(slot, &interpreter)).await;
        let command = prepared.map_err(|error| LaunchError(error.to_string()))?.map_err(LaunchError)?;
        let started = tokio::time::timeout(READY_TIMEOUT, start(command)).await;
        let started = started.map_err(|_| LaunchError("the worker did not get ready in time".to_owned()))?;
        let started = started.map_err(LaunchError)?;
        let ready = started.ready;
        Ok(LaunchedWorker {
            link: Arc::new(started.link),
            info: WorkerInfo { python: ready.python, environment: ready.environment, layers: ready.layers },
            exited: Box::pin(async move { started.exited.await.unwrap_or_else(|_| "the server is ending".to_owned()) }),
        })
    }
}
