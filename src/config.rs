//! Everything that can be set: by a flag, its environment variable, a TOML file, or the default, in that order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

use crate::http::PublicUrl;

/// The settings of `airlock serve`, as far as they are given. The TOML file has the same names.
#[derive(Debug, Default, Clone, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:9090]
    #[arg(long, env = "AIRLOCK_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,

    /// Folder for all state; made if it is not there, for its owner only [default: ./data]
    #[arg(long, env = "AIRLOCK_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// File with the master key, 64 hexadecimal digits, instead of DATA_DIR/.secret, which is made at the first start
    #[arg(long, env = "AIRLOCK_MASTER_KEY_FILE", value_name = "FILE")]
    pub master_key_file: Option<PathBuf>,

    /// URL under which agents reach this server, for poll URLs [default: what the request says]
    #[arg(long, env = "AIRLOCK_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,

    /// Python interpreter for scripts, 3.9 or later [default: the first python3 found that the worker's user can run]
    #[arg(long, env = "AIRLOCK_PYTHON", value_name = "PATH")]
    pub python: Option<PathBuf>,

    /// Executions that run at once [default: 4 for each core]
    #[arg(long, env = "AIRLOCK_MAX_RUNNING", value_name = "N", value_parser = at_least_one)]
    pub max_running: Option<usize>,

    /// Executions that wait for a slot; further ones get 429 [default: 1000]
    #[arg(long, env = "AIRLOCK_MAX_QUEUE", value_name = "N")]
    pub max_queue: Option<usize>,

    /// Workers at once, one for each profile in use and the warm ones [default: 64]
    #[arg(long, env = "AIRLOCK_MAX_WORKERS", value_name = "N", value_parser = at_least_one)]
    pub max_workers: Option<usize>,

    /// Workers kept ready for profiles that have none [default: 2]
    #[arg(long, env = "AIRLOCK_WARM_WORKERS", value_name = "N")]
    pub warm_workers: Option<usize>,

    /// Seconds after which a worker that ran nothing is ended [default: 600]
    #[arg(long, env = "AIRLOCK_WORKER_IDLE", value_name = "SECONDS")]
    pub worker_idle: Option<u64>,

    /// First of the user ids that workers run as when Airlock runs as root, one for each worker [default: 59000]
    #[arg(long, env = "AIRLOCK_WORKER_UID_BASE", value_name = "UID")]
    pub worker_uid_base: Option<u32>,

    /// Folder for what executions write while they run; for Airlock alone [default: one in the system's temporary folder]
    #[arg(long, env = "AIRLOCK_TMP_DIR", value_name = "DIR")]
    pub tmp_dir: Option<PathBuf>,

    /// Start although a layer of the sandbox that everything rests on can't be had here; then said wherever one looks
    #[arg(long, env = "AIRLOCK_ALLOW_DEGRADED_SANDBOX", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub allow_degraded_sandbox: Option<bool>,

    /// Connections at once; further ones wait [default: 4096]
    #[arg(long, env = "AIRLOCK_MAX_CONNECTIONS", value_name = "N", value_parser = at_least_one)]
    pub max_connections: Option<usize>,

    /// Seconds that running scripts get to finish when the server is told to stop [default: 30]
    #[arg(long, env = "AIRLOCK_DRAIN", value_name = "SECONDS")]
    pub drain: Option<u64>,

    /// Minutes without a request after which a session of the web UI ends [default: 720]
    #[arg(long, env = "AIRLOCK_SESSION_IDLE", value_name = "MINUTES")]
    pub session_idle: Option<u64>,

    /// Hours after which a session of the web UI ends in any case [default: 168]
    #[arg(long, env = "AIRLOCK_SESSION_MAX", value_name = "HOURS")]
    pub session_max: Option<u64>,

    /// What to log, as in `info` or `airlock=debug,warn` [default: info]
    #[arg(long, env = "AIRLOCK_LOG", value_name = "FILTER")]
    pub log: Option<String>,

    /// How to write the log [default: text]
    #[arg(long, env = "AIRLOCK_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Every setting, settled.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Folder for all state.
    pub data_dir: PathBuf,
    /// The master key's file, if it is not the data folder's own.
    pub master_key_file: Option<PathBuf>,
    /// Base of poll URLs.
    pub public_url: Option<PublicUrl>,
    /// Interpreter for scripts.
    pub python: Option<PathBuf>,
    /// Executions that run at once.
    pub max_running: usize,
    /// Executions that wait.
    pub max_queue: usize,
    /// Workers at once.
    pub max_workers: usize,
    /// Workers kept ready.
    pub warm_workers: usize,
    /// Idle time of a worker.
    pub worker_idle: Duration,
    /// First user id of workers.
    pub worker_uid_base: u32,
    /// Folder for temporary folders.
    pub tmp_dir: Option<PathBuf>,
    /// Whether to start below the sandbox's floor.
    pub allow_degraded_sandbox: bool,
    /// Connections at once.
    pub max_connections: usize,
    /// Patience with running scripts at a stop.
    pub drain: Duration,
    /// Idle time of a session.
    pub session_idle: Duration,
    /// Age of a session.
    pub session_max: Duration,
    /// What to log.
    pub log: String,
    /// How to log.
    pub log_format: LogFormat,
}

impl Settings {
    /// Reads a TOML file. An unknown name is an error that says where it stands.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a valid configuration", path.display()))
    }

    /// These settings, and where they are silent those of `fallback`.
    pub fn or(self, fallback: Self) -> Self {
        Self {
            listen: self.listen.or(fallback.listen),
            data_dir: self.data_dir.or(fallback.data_dir),
            master_key_file: self.master_key_file.or(fallback.master_key_file),
            public_url: self.public_url.or(fallback.public_url),
            python: self.python.or(fallback.python),
            max_running: self.max_running.or(fallback.max_running),
            max_queue: self.max_queue.or(fallback.max_queue),
            max_workers: self.max_workers.or(fallback.max_workers),
            warm_workers: self.warm_workers.or(fallback.warm_workers),
            worker_idle: self.worker_idle.or(fallback.worker_idle),
            worker_uid_base: self.worker_uid_base.or(fallback.worker_uid_base),
            tmp_dir: self.tmp_dir.or(fallback.tmp_dir),
            allow_degraded_sandbox: self.allow_degraded_sandbox.or(fallback.allow_degraded_sandbox),
            max_connections: self.max_connections.or(fallback.max_connections),
            drain: self.drain.or(fallback.drain),
            session_idle: self.session_idle.or(fallback.session_idle),
            session_max: self.session_max.or(fallback.session_max),
            log: self.log.or(fallback.log),
            log_format: self.log_format.or(fallback.log_format),
        }
    }

    /// Fills in the defaults and checks what needs checking.
    pub fn settle(self) -> anyhow::Result<Config> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let max_workers = self.max_workers.unwrap_or(64);
        let public_url = self.public_url.map(|url| url.parse::<PublicUrl>()).transpose()?;
        anyhow::ensure!(self.max_running != Some(0), "max-running must be at least 1");
        anyhow::ensure!(max_workers > 0, "max-workers must be at least 1");
        anyhow::ensure!(self.max_connections != Some(0), "max-connections must be at least 1");
        Ok(Config {
            listen: self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9090))),
            data_dir: self.data_dir.unwrap_or_else(|| PathBuf::from("data")),
            master_key_file: self.master_key_file,
            public_url,
            python: self.python,
            max_running: self.max_running.unwrap_or(4 * cores),
            max_queue: self.max_queue.unwrap_or(1000),
            max_workers,
            warm_workers: self.warm_workers.unwrap_or(2).min(max_workers),
            worker_idle: Duration::from_secs(self.worker_idle.unwrap_or(600)),
            worker_uid_base: self.worker_uid_base.unwrap_or(59_000),
            tmp_dir: self.tmp_dir,
            allow_degraded_sandbox: self.allow_degraded_sandbox.unwrap_or(false),
            max_connections: self.max_connections.unwrap_or(4096),
            drain: Duration::from_secs(self.drain.unwrap_or(30)),
            session_idle: Duration::from_secs(60 * self.session_idle.unwrap_or(720)),
            session_max: Duration::from_secs(3600 * self.session_max.unwrap_or(168)),
            log: self.log.unwrap_or_else(|| "info".to_owned()),
            log_format: self.log_format.unwrap_or(LogFormat::Text),
        })
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("must be a whole number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_outranks_the_file_and_the_file_the_default() {
        let flags = Settings { max_queue: Some(5), ..Settings::default() };
        let file: Settings = toml::from_str("max-queue = 7\nmax-running = 3").unwrap();
        let config = flags.or(file).settle().unwrap();
        assert_eq!((config.max_queue, config.max_running, config.max_workers), (5, 3, 64));
    }

    #[test]
    fn an_unknown_name_in_the_file_is_named() {
        let error = toml::from_str::<Settings>("max-quue = 7").unwrap_err().to_string();
        assert!(error.contains("max-quue"), "{error}");
    }

    #[test]
    fn values_that_can_not_work_are_refused() {
        let zero = Settings { max_running: Some(0), ..Settings::default() };
        assert!(zero.settle().is_err());
        for url in ["airlock.example.com", "ftp://x", "https://x?y=1", ""] {
            let settings = Settings { public_url: Some(url.to_owned()), ..Settings::default() };
            assert!(settings.settle().is_err(), "{url:?} was accepted");
        }
    }
}
