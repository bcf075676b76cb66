//! Everything that can be set: by a flag, its environment variable, a TOML file, or the default, in that order.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use airlock_actors::domain::RunLimits;
use airlock_actors::domain::limits::MIB;
use anyhow::Context as _;
use serde::Deserialize;

use crate::http::PublicUrl;

/// The settings of `airlock serve`, as far as they are given. The TOML file has the same names.
#[derive(Debug, Default, Clone, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:9090]
    #[arg(long, env = "AIRLOCK_LISTEN", value_name = "ADDRESS", value_parser = listen_address)]
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
    #[arg(long, env = "AIRLOCK_MAX_RUNNING", value_name = "N")]
    pub max_running: Option<usize>,

    /// Executions that wait for a slot; further ones get 429 [default: 1000]
    #[arg(long, env = "AIRLOCK_MAX_QUEUE", value_name = "N")]
    pub max_queue: Option<usize>,

    /// Executions that wait for their LLM without a running slot, each a process of about 2 MB; further ones keep their slot
    /// [default: 1000]
    #[arg(long, env = "AIRLOCK_MAX_PAUSED", value_name = "N")]
    pub max_paused: Option<usize>,

    /// Days that finished executions are kept [default: 90]
    #[arg(long, env = "AIRLOCK_KEEP_DAYS", value_name = "DAYS")]
    pub keep_days: Option<u64>,

    /// Executions that are kept; beyond them the oldest finished ones are removed [default: 1000000]
    #[arg(long, env = "AIRLOCK_KEEP_EXECUTIONS", value_name = "N")]
    pub keep_executions: Option<u64>,

    /// Workers at once, one for each profile in use and the warm ones [default: 64]
    #[arg(long, env = "AIRLOCK_MAX_WORKERS", value_name = "N")]
    pub max_workers: Option<usize>,

    /// Workers kept ready for profiles that have none [default: 2]
    #[arg(long, env = "AIRLOCK_WARM_WORKERS", value_name = "N")]
    pub warm_workers: Option<usize>,

    /// Seconds after which a worker that ran nothing is ended [default: 600]
    #[arg(long, env = "AIRLOCK_WORKER_IDLE", value_name = "SECONDS")]
    pub worker_idle: Option<u64>,

    /// First of the user ids that workers run as when Airlock runs as root, one for each worker; those that another server or container
    /// uses are passed over [default: 59000]
    #[arg(long, env = "AIRLOCK_WORKER_UID_BASE", value_name = "UID")]
    pub worker_uid_base: Option<u32>,

    /// Folder for what executions write while they run; for Airlock alone [default: one in the system's temporary folder]
    #[arg(long, env = "AIRLOCK_TMP_DIR", value_name = "DIR")]
    pub tmp_dir: Option<PathBuf>,

    /// Start although a layer of the sandbox that everything rests on can't be had here; then said wherever one looks
    #[arg(long, env = "AIRLOCK_ALLOW_DEGRADED_SANDBOX", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub allow_degraded_sandbox: Option<bool>,

    /// Name servers to ask for scripts, up to three, with commas [default: those of /etc/resolv.conf]
    #[arg(long, env = "AIRLOCK_NAME_SERVERS", value_delimiter = ',', value_name = "ADDRESS[:PORT],…")]
    pub name_servers: Option<Vec<NameServer>>,

    /// MiB of memory of an execution, all its processes together; a profile may have another limit [default: 512]
    #[arg(long, env = "AIRLOCK_MEMORY", value_name = "MIB")]
    pub memory: Option<u64>,

    /// Seconds of processor time of an execution, likewise [default: as many as its timeout]
    #[arg(long, env = "AIRLOCK_CPU_SECONDS", value_name = "SECONDS")]
    pub cpu_seconds: Option<u64>,

    /// Processes and threads of an execution, likewise [default: 64]
    #[arg(long, env = "AIRLOCK_PROCESSES", value_name = "N")]
    pub processes: Option<u64>,

    /// Open files of each process, likewise [default: 1024]
    #[arg(long, env = "AIRLOCK_OPEN_FILES", value_name = "N")]
    pub open_files: Option<u64>,

    /// MiB of temporary files of an execution, likewise [default: 100]
    #[arg(long, env = "AIRLOCK_TMP_SPACE", value_name = "MIB")]
    pub tmp_space: Option<u64>,

    /// KiB kept of standard output and of standard error each, likewise; the middle of longer ones is left out [default: 1024]
    #[arg(long, env = "AIRLOCK_OUTPUT", value_name = "KIB")]
    pub output: Option<u64>,

    /// Connections at once; further ones wait [default: 4096]
    #[arg(long, env = "AIRLOCK_MAX_CONNECTIONS", value_name = "N")]
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

/// An address to listen on; for a flag, whose own error would not say what one looks like.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not like 127.0.0.1:9090 or [::1]:9090"))
}

/// A name server: an address, and a port if it is not 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NameServer(pub SocketAddr);

impl std::str::FromStr for NameServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const PORT: u16 = 53;
        let bare = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
        let server =
            bare.or_else(|_| text.parse()).map_err(|_| format!("{text:?} is not like 192.0.2.53 or 192.0.2.53:5353"));
        server.map(Self)
    }
}

impl TryFrom<String> for NameServer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
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
    /// Executions paused without a slot.
    pub max_paused: usize,
    /// Age up to which finished executions are kept.
    pub keep: Duration,
    /// Number of executions that are kept.
    pub keep_executions: u64,
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
    /// Name servers to ask for scripts; the machine's, if there are none.
    pub name_servers: Vec<SocketAddr>,
    /// What an execution may use whose profile does not say otherwise.
    pub limits: RunLimits,
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
            max_paused: self.max_paused.or(fallback.max_paused),
            keep_days: self.keep_days.or(fallback.keep_days),
            keep_executions: self.keep_executions.or(fallback.keep_executions),
            max_workers: self.max_workers.or(fallback.max_workers),
            warm_workers: self.warm_workers.or(fallback.warm_workers),
            worker_idle: self.worker_idle.or(fallback.worker_idle),
            worker_uid_base: self.worker_uid_base.or(fallback.worker_uid_base),
            tmp_dir: self.tmp_dir.or(fallback.tmp_dir),
            allow_degraded_sandbox: self.allow_degraded_sandbox.or(fallback.allow_degraded_sandbox),
            name_servers: self.name_servers.or(fallback.name_servers),
            memory: self.memory.or(fallback.memory),
            cpu_seconds: self.cpu_seconds.or(fallback.cpu_seconds),
            processes: self.processes.or(fallback.processes),
            open_files: self.open_files.or(fallback.open_files),
            tmp_space: self.tmp_space.or(fallback.tmp_space),
            output: self.output.or(fallback.output),
            max_connections: self.max_connections.or(fallback.max_connections),
            drain: self.drain.or(fallback.drain),
            session_idle: self.session_idle.or(fallback.session_idle),
            session_max: self.session_max.or(fallback.session_max),
            log: self.log.or(fallback.log),
            log_format: self.log_format.or(fallback.log_format),
        }
    }

    /// Fills in the defaults and checks what needs checking: here alone, so that flags and file have the same limits.
    pub fn settle(self) -> anyhow::Result<Config> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let public_url = self.public_url.map(|url| url.parse::<PublicUrl>()).transpose()?;
        let name_servers = self.name_servers.unwrap_or_default();
        anyhow::ensure!(name_servers.len() <= MAX_NAME_SERVERS, "name-servers may have at most {MAX_NAME_SERVERS}");
        let limits = RunLimits {
            memory_bytes: within("memory", self.memory, 512, range::MEMORY_MIB)? * MIB,
            // Beyond any timeout: each execution's own is less.
            cpu_seconds: within("cpu-seconds", self.cpu_seconds, *range::CPU_S.end(), range::CPU_S)?,
            processes: within("processes", self.processes, 64, range::PROCESSES)?,
            open_files: within("open-files", self.open_files, 1024, range::OPEN_FILES)?,
            tmp_bytes: within("tmp-space", self.tmp_space, 100, range::TMP_MIB)? * MIB,
            output_bytes: within("output", self.output, 1024, range::OUTPUT_KIB)? * 1024,
            result_bytes: RunLimits::DEFAULT.result_bytes,
        };
        let max_workers = within("max-workers", self.max_workers, 64, range::MAX_WORKERS)?;
        Ok(Config {
            listen: self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9090))),
            data_dir: self.data_dir.unwrap_or_else(|| PathBuf::from("data")),
            master_key_file: self.master_key_file,
            public_url,
            python: self.python,
            max_running: within(
                "max-running",
                self.max_running,
                (4 * cores).min(*range::MAX_RUNNING.end()),
                range::MAX_RUNNING,
            )?,
            max_queue: within("max-queue", self.max_queue, 1000, range::MAX_QUEUE)?,
            max_paused: within("max-paused", self.max_paused, 1000, range::MAX_PAUSED)?,
            keep: Duration::from_secs(24 * 3600 * within("keep-days", self.keep_days, 90, range::KEEP_DAYS)?),
            keep_executions: within("keep-executions", self.keep_executions, 1_000_000, range::KEEP_EXECUTIONS)?,
            max_workers,
            warm_workers: within("warm-workers", self.warm_workers, 2.min(max_workers), 0..=max_workers)?,
            worker_idle: Duration::from_secs(within("worker-idle", self.worker_idle, 600, range::WORKER_IDLE_S)?),
            worker_uid_base: within("worker-uid-base", self.worker_uid_base, 59_000, range::WORKER_UID_BASE)?,
            tmp_dir: self.tmp_dir,
            allow_degraded_sandbox: self.allow_degraded_sandbox.unwrap_or(false),
            name_servers: name_servers.into_iter().map(|server| server.0).collect(),
            limits,
            max_connections: within("max-connections", self.max_connections, 4096, range::MAX_CONNECTIONS)?,
            drain: Duration::from_secs(within("drain", self.drain, 30, range::DRAIN_S)?),
            session_idle: Duration::from_secs(
                60 * within("session-idle", self.session_idle, 720, range::SESSION_IDLE_MIN)?,
            ),
            session_max: Duration::from_secs(
                3600 * within("session-max", self.session_max, 168, range::SESSION_MAX_H)?,
            ),
            log: self.log.unwrap_or_else(|| "info".to_owned()),
            log_format: self.log_format.unwrap_or(LogFormat::Text),
        })
    }
}

/// As many as a C library asks.
const MAX_NAME_SERVERS: usize = 3;

/// What each number may be: wide enough for any use, and such that no sum or product of them overflows.
mod range {
    use std::ops::RangeInclusive;

    pub(super) const MAX_RUNNING: RangeInclusive<usize> = 1..=10_000;
    pub(super) const MAX_QUEUE: RangeInclusive<usize> = 0..=1_000_000;
    pub(super) const MAX_PAUSED: RangeInclusive<usize> = 0..=100_000;
    /// To a hundred years.
    pub(super) const KEEP_DAYS: RangeInclusive<u64> = 1..=36_500;
    pub(super) const KEEP_EXECUTIONS: RangeInclusive<u64> = 1..=1_000_000_000;
    pub(super) const MAX_WORKERS: RangeInclusive<usize> = 1..=4_096;
    pub(super) const MAX_CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;
    /// To a TiB. This and the next five are those of a profile's limits.
    pub(super) const MEMORY_MIB: RangeInclusive<u64> = 64..=1024 * 1024;
    /// To a day.
    pub(super) const CPU_S: RangeInclusive<u64> = 1..=24 * 3600;
    pub(super) const PROCESSES: RangeInclusive<u64> = 1..=65_536;
    pub(super) const OPEN_FILES: RangeInclusive<u64> = 16..=65_536;
    pub(super) const TMP_MIB: RangeInclusive<u64> = 0..=1024 * 1024;
    pub(super) const OUTPUT_KIB: RangeInclusive<u64> = 1..=64 * 1024;
    /// To 30 days.
    pub(super) const WORKER_IDLE_S: RangeInclusive<u64> = 1..=30 * 24 * 3600;
    /// To an hour.
    pub(super) const DRAIN_S: RangeInclusive<u64> = 0..=3600;
    /// To 365 days.
    pub(super) const SESSION_IDLE_MIN: RangeInclusive<u64> = 1..=365 * 24 * 60;
    /// To five years.
    pub(super) const SESSION_MAX_H: RangeInclusive<u64> = 1..=5 * 365 * 24;
    /// Each worker's id is this one plus its number, which has to stay below the ids that mean nobody.
    pub(super) const WORKER_UID_BASE: RangeInclusive<u32> = 1..=4_294_000_000;
}

/// A number as it is set, else the default; an error that names the setting when it is out of range.
fn within<T: PartialOrd + Display>(
    name: &str,
    set: Option<T>,
    default: T,
    range: RangeInclusive<T>,
) -> anyhow::Result<T> {
    let number = set.unwrap_or(default);
    let (from, to) = (range.start(), range.end());
    anyhow::ensure!(range.contains(&number), "{name} must be from {from} to {to}, and is {number}");
    Ok(number)
}

#[cfg(test)]
mod tests {
    use airlock_actors::domain::Limits;

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

    /// Settles one line of a TOML file.
    fn settled(line: &str) -> anyhow::Result<Config> {
        toml::from_str::<Settings>(line).expect("TOML").settle()
    }

    #[test]
    fn every_number_has_its_range() {
        for (name, least, most) in [
            ("max-running", 1, 10_000),
            ("max-queue", 0, 1_000_000),
            ("max-workers", 1, 4_096),
            ("max-connections", 1, 1_000_000),
            ("memory", 64, 1_048_576),
            ("cpu-seconds", 1, 86_400),
            ("processes", 1, 65_536),
            ("open-files", 16, 65_536),
            ("tmp-space", 0, 1_048_576),
            ("output", 1, 65_536),
            ("warm-workers", 0, 64),
            ("worker-idle", 1, 2_592_000),
            ("drain", 0, 3_600),
            ("session-idle", 1, 525_600),
            ("session-max", 1, 43_800),
            ("worker-uid-base", 1, 4_294_000_000_u64),
        ] {
            for taken in [least, most] {
                assert!(settled(&format!("{name} = {taken}")).is_ok(), "{name} = {taken} was refused");
            }
            for refused in least.checked_sub(1).into_iter().chain([most + 1]) {
                let error = settled(&format!("{name} = {refused}")).expect_err(name).to_string();
                assert!(error.contains(name) && error.contains(&most.to_string()), "{error}");
            }
        }
        let one_worker = settled("max-workers = 1").expect("the default of the warm ones follows");
        assert_eq!((one_worker.max_workers, one_worker.warm_workers), (1, 1));
        assert!(settled("max-workers = 1\nwarm-workers = 2").is_err());
    }

    #[test]
    fn the_limits_of_executions_are_the_designs_unless_they_are_set() {
        let limits = settled("").expect("defaults").limits;
        assert_eq!(limits.with(&Limits::default(), 60), RunLimits::DEFAULT);
        assert_eq!(limits.with(&Limits::default(), 3600).cpu_seconds, 3600);
        let set = "memory = 100\ncpu-seconds = 5\nprocesses = 7\nopen-files = 20\ntmp-space = 3\noutput = 9";
        let limits = settled(set).expect("valid").limits.with(&Limits::default(), 60);
        assert_eq!((limits.memory_bytes, limits.cpu_seconds, limits.processes), (100 * MIB, 5, 7));
        assert_eq!((limits.open_files, limits.tmp_bytes, limits.output_bytes), (20, 3 * MIB, 9 * 1024));
        let profile = Limits { cpu_seconds: Some(90), memory_bytes: Some(MIB), ..Limits::default() };
        let limits = limits.with(&profile, 60);
        assert_eq!((limits.memory_bytes, limits.cpu_seconds, limits.processes), (MIB, 90, 7));
    }

    #[test]
    fn the_longest_times_are_what_they_say() {
        let config = settled("session-idle = 525600\nsession-max = 43800").expect("at the limit");
        let day = 24 * 3600;
        assert_eq!((config.session_idle.as_secs(), config.session_max.as_secs()), (365 * day, 5 * 365 * day));
        assert!(settled("session-max = 9223372036854775807").is_err());
    }

    #[test]
    fn name_servers_are_addresses_and_at_most_three() {
        let config =
            settled(r#"name-servers = ["192.0.2.1", "[2001:db8::1]:5353", "192.0.2.2:54"]"#).expect("at the limit");
        let expected =
            ["192.0.2.1:53", "[2001:db8::1]:5353", "192.0.2.2:54"].map(|text| text.parse().expect("an address"));
        assert_eq!(config.name_servers, expected);
        assert!(settled(r#"name-servers = ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1"]"#).is_err());
        assert!(toml::from_str::<Settings>(r#"name-servers = ["dns.example"]"#).is_err());
    }

    #[test]
    fn values_that_can_not_work_are_refused() {
        for url in ["airlock.example.com", "ftp://x", "https://x?y=1", ""] {
            let settings = Settings { public_url: Some(url.to_owned()), ..Settings::default() };
            assert!(settings.settle().is_err(), "{url:?} was accepted");
        }
    }
}
