//! Puts the parts together: settings in, a running server out, and an orderly end.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::{Arbiter, System};
use airlock_actors::core::{Arbiters, Core, CoreConfig, CorePorts, Retention};
use airlock_actors::crypto::{Keyring, PasswordCost};
use airlock_actors::ports::Entropy;
use airlock_actors::sessions::SessionLife;
use airlock_actors::worker_pool::PoolConfig;
use anyhow::{Context as _, bail};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::http::{Server, ServerConfig};
use crate::master_key;
use crate::store::{RedbStore, StoreOptions};
use crate::system::{OsEntropy, SystemClock};
use crate::worker::guard::confine::refusal_of_kernel;
use crate::worker::launch::{LocalConfig, LocalLauncher};

const STORE_FILE: &str = "airlock.redb";
const KEY_FILE: &str = ".secret";
/// Threads that Executions live on: their work is passing messages, so a few serve many.
const MOST_EXECUTORS: usize = 4;

/// Serves until `stop` resolves, then drains and returns. `listening` is called once with the address.
///
/// Must be called outside any async runtime: it makes its own.
pub fn serve<S>(
    config: Config,
    listening: impl FnOnce(SocketAddr),
    stop: impl FnOnce() -> anyhow::Result<S>,
) -> anyhow::Result<()>
where
    S: Future<Output = ()> + Send + 'static,
{
    keep_memory_private()?;
    let runtime = Arc::new(tokio::runtime::Builder::new_multi_thread().enable_all().build()?);
    // Actors run on arbiters' threads, on this one runtime; arbiters can only be made beside a System.
    let system = System::with_tokio_rt({
        let runtime = runtime.clone();
        move || runtime
    });
    let (arbiters, handles) = start_arbiters(&runtime);
    let served = runtime.block_on(run(config, handles, listening, stop));
    for arbiter in arbiters {
        arbiter.stop();
        let _ = arbiter.join();
    }
    drop(system);
    served
}

fn start_arbiters(runtime: &Arc<Runtime>) -> (Vec<Arbiter>, Arbiters) {
    let start = || {
        let runtime = runtime.clone();
        Arbiter::with_tokio_rt(move || runtime)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let control = start();
    let executors: Vec<Arbiter> = (0..cores.min(MOST_EXECUTORS)).map(|_| start()).collect();
    let handles = Arbiters { control: control.handle(), executors: executors.iter().map(Arbiter::handle).collect() };
    (executors.into_iter().chain([control]).collect(), handles)
}

async fn run<S>(
    config: Config,
    arbiters: Arbiters,
    listening: impl FnOnce(SocketAddr),
    stop: impl FnOnce() -> anyhow::Result<S>,
) -> anyhow::Result<()>
where
    S: Future<Output = ()> + Send + 'static,
{
    let stopped = stop()?;
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    // Ours until the store is closed.
    let data_folder = DataFolder::take(&config.data_dir)?;
    let (store, keyring) = open_data(&config, &data_folder, &entropy)?;
    let server = Server::bind(server_config(&config))
        .await
        .with_context(|| format!("could not listen on {} (--listen names another address)", config.listen))?;
    let address = server.local_addr();
    check_sandbox(config.allow_degraded_sandbox)?;
    let launcher = Arc::new(LocalLauncher::new(LocalConfig {
        python: config.python.clone(),
        tmp_base: config.tmp_dir.clone(),
        uid_base: config.worker_uid_base,
        allow_degraded_sandbox: config.allow_degraded_sandbox,
        server_port: Some(address.port()),
        name_servers: config.name_servers.clone(),
        ..LocalConfig::default()
    })?);
    let interpreter = launcher.interpreter().await?;
    let (major, minor, patch) = interpreter.version;
    tracing::info!(python = %interpreter.executable.display(), version = %format_args!("{major}.{minor}.{patch}"), "found an interpreter");
    let ports = CorePorts { store: store.clone(), launcher, clock: Arc::new(SystemClock), entropy, keyring };
    let core = Core::start(arbiters, core_config(&config), ports).await?;
    tracing::info!(%address, data = %config.data_dir.display(), "listening");
    listening(address);

    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(server.serve(core.clone(), shutdown.clone()));
    stopped.await;
    tracing::info!(patience_s = config.drain.as_secs(), "stopping: running scripts may finish, no new ones are taken");
    core.drain(config.drain).await;
    shutdown.cancel();
    let _ = serving.await;
    tokio::task::spawn_blocking(move || store.close()).await.context("closing the store")?;
    drop(data_folder);
    tracing::info!("stopped");
    Ok(())
}

/// Refuses to serve on a kernel without what the sandbox rests on, unless told to; then says so.
fn check_sandbox(allow_degraded: bool) -> anyhow::Result<()> {
    match refusal_of_kernel() {
        None => Ok(()),
        Some(why) if allow_degraded => {
            tracing::warn!(why, "scripts run in a weaker sandbox, as --allow-degraded-sandbox allows");
            Ok(())
        }
        Some(why) => bail!(why),
    }
}

/// The store and the key that opens its secrets: both there, or neither.
fn open_data(
    config: &Config,
    folder: &DataFolder,
    entropy: &Arc<dyn Entropy>,
) -> anyhow::Result<(Arc<RedbStore>, Keyring)> {
    let store_path = folder.file(STORE_FILE);
    let own_key = folder.file(KEY_FILE);
    let key_path: &Path = config.master_key_file.as_deref().unwrap_or(&own_key);
    let may_create = config.master_key_file.is_none() && !store_path.exists();
    let key = master_key::load(key_path, may_create, &**entropy)?;
    let store = RedbStore::open(&store_path, StoreOptions::default())?;
    Ok((Arc::new(store), Keyring::new(key, entropy.clone())))
}

fn server_config(config: &Config) -> ServerConfig {
    ServerConfig {
        public_url: config.public_url.clone(),
        max_connections: config.max_connections,
        ..ServerConfig::new(config.listen)
    }
}

fn core_config(config: &Config) -> CoreConfig {
    CoreConfig {
        pool: PoolConfig {
            max_running: config.max_running,
            max_queue: config.max_queue,
            max_paused: config.max_paused,
            max_workers: config.max_workers,
            warm: config.warm_workers,
            worker_idle: config.worker_idle.max(Duration::from_secs(1)),
        },
        limits: config.limits,
        sessions: SessionLife { idle: config.session_idle, absolute: config.session_max },
        password: PasswordCost::STANDARD,
        retention: Retention { age: config.keep, executions: config.keep_executions },
    }
}

/// No core file, and no other process of the same user reads this one's memory.
fn keep_memory_private() -> anyhow::Result<()> {
    use nix::sys::resource::{Resource, setrlimit};
    setrlimit(Resource::RLIMIT_CORE, 0, 0).context("switching core files off")?;
    if nix::sys::prctl::set_dumpable(false).is_err() {
        bail!("could not keep other processes from reading this one's memory");
    }
    Ok(())
}
