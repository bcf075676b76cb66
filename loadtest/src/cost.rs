//! Where an execution's time goes: from the bare Python's fork, over the worker alone and the two commits, to the whole; and
//! what each process of the worker spends.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use airlock::worker::launch::{LocalConfig, LocalLauncher};
use airlock_actors::domain::{ExecutionId, RunLimits};
use airlock_actors::ports::{LaunchedWorker, RunEvent, RunOutcome, RunRequest, RunToken, WorkerLauncher as _};
use anyhow::{Context, Result, bail, ensure};
use redb::{Database, Durability, TableDefinition};

use crate::agent::Admin;
use crate::floor::Floor;
use crate::measure;
use crate::report::{Row, median, percentiles};
use crate::server::Server;

/// As many bytes as the record of a small execution has.
const RECORD_BYTES: usize = 1024;
const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
/// Of `utime` and its kin in `/proc`: the same on every Linux that Airlock runs on.
const TICKS_PER_SECOND: f64 = 100.0;
const MILLISECONDS: f64 = 1e3;

/// Measures in `rounds` of `count` executions each.
pub(crate) async fn rows(airlock: &Path, python: &str, script: &str, rounds: u32, count: u32) -> Result<Vec<Row>> {
    let server = Server::start(airlock).await?;
    let admin = Admin::open(&server.url, "loadtest password").await?;
    let request = admin.profile().await?.execute(script)?;
    let mut floor = Floor::start(python, script)?;
    let mut worker = Worker::launch(airlock, python).await?;
    let store = Store::create()?;
    measure::one_agent(server.address(), &request, count).await?;
    floor.run(count)?;
    worker.run(script, count).await?;

    let (mut of_floor, mut of_worker, mut of_commits, mut of_whole) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (floor_before, before) = (Spent::of(floor.pid())?, worker.spent()?);
    for _ in 0..rounds {
        of_floor.push(percentiles(&floor.run(count)?).p50);
        of_worker.push(percentiles(&worker.run(script, count).await?).p50);
        of_commits.push(percentiles(&store.commit_twice(count)?).p50);
        of_whole.push(percentiles(&measure::one_agent(server.address(), &request, count).await?.0).p50);
    }
    let (floor_spent, spent) = (Spent::of(floor.pid())?, worker.spent()?);
    let executions = f64::from(rounds) * f64::from(count);
    let (floor, worker) = (median(of_floor), median(of_worker));
    let (commits, whole) = (median(of_commits), median(of_whole));
    let row = |what, reached, unit| Row { what, reached, unit, bar: None };
    let mut rows = vec![
        row("floor: bare Python forks, runs, exits", floor, "ms"),
        row("the worker alone: run, report, all of it gone", worker, "ms"),
        row("two durable commits of 1 KiB, as the store makes them", commits, "ms"),
        row("the rest: HTTP, signature, actors, redaction", whole - worker - commits, "ms"),
        row("the whole: POST to completed", whole, "ms"),
    ];
    let of_floor = (floor_spent.children - floor_before.children) / executions;
    rows.push(row("processor time: the floor's process", of_floor * MILLISECONDS, "ms"));
    rows.push(row("page faults: the floor's process", floor_spent.faults_since(&floor_before) / executions, ""));
    for (what, role) in [
        ("processor time: the fork server", Role::ForkServer),
        ("processor time: the guard", Role::Guard),
        ("processor time: the keeper", Role::Keeper),
    ] {
        let own = spent.of(role)?.own - before.of(role)?.own;
        rows.push(row(what, own / executions * MILLISECONDS, "ms"));
    }
    let (after, before) = (spent.of(Role::ForkServer)?, before.of(Role::ForkServer)?);
    let of_processes = (after.children - before.children) / executions;
    rows.push(row("processor time: the execution's process", of_processes * MILLISECONDS, "ms"));
    rows.push(row("page faults: the execution's process", after.faults_since(before) / executions, ""));
    rows.push(row("page faults: the fork server", (after.own_faults - before.own_faults) / executions, ""));
    Ok(rows)
}

/// A worker as the server launches it, without the server.
struct Worker {
    worker: LaunchedWorker,
    next: u64,
    _home: tempfile::TempDir,
}

impl Worker {
    async fn launch(airlock: &Path, python: &str) -> Result<Self> {
        let home = tempfile::tempdir()?;
        // The worker's user has to walk through.
        std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let config = LocalConfig {
            binary: Some(airlock.canonicalize()?),
            python: Some(python.into()),
            tmp_base: Some(home.path().join("workers")),
            ..LocalConfig::default()
        };
        let worker = LocalLauncher::new(config)?.launch(0).await?;
        Ok(Self { worker, next: 1, _home: home })
    }

    async fn run(&mut self, script: &str, count: u32) -> Result<Vec<Duration>> {
        let mut took = Vec::new();
        for _ in 0..count {
            let token = RunToken(self.next);
            self.next += 1;
            let request = RunRequest {
                token,
                execution_id: format!("exec_{:036}", token.0).parse::<ExecutionId>()?,
                script: script.into(),
                settings: Vec::new(),
                limits: RunLimits::DEFAULT,
                allowed_hosts: None,
            };
            let start = Instant::now();
            let mut events = self.worker.link.run(request).ok().context("the worker is gone")?;
            loop {
                match events.recv().await {
                    Some(RunEvent::Ended(end)) if matches!(end.outcome, RunOutcome::Completed) => break,
                    Some(RunEvent::Ended(end)) => bail!("not completed: {end:?}"),
                    Some(_) => {}
                    None => bail!("the worker is gone"),
                }
            }
            took.push(start.elapsed());
        }
        Ok(took)
    }

    fn spent(&self) -> Result<WorkerSpent> {
        // This process's only child that has a child which has one: floor and server have none, or a worker of their own.
        let own = std::process::id();
        let mut roles = HashMap::new();
        for keeper in children(own)? {
            if !command(keeper)?.contains("\0worker\0") {
                continue;
            }
            roles.insert(Role::Keeper, Spent::of(keeper)?);
            let guard = *children(keeper)?.first().context("the keeper has no guard")?;
            roles.insert(Role::Guard, Spent::of(guard)?);
            let fork_server = *children(guard)?.first().context("the guard has no fork server")?;
            roles.insert(Role::ForkServer, Spent::of(fork_server)?);
        }
        Ok(WorkerSpent(roles))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Role {
    Keeper,
    Guard,
    ForkServer,
}

struct WorkerSpent(HashMap<Role, Spent>);

impl WorkerSpent {
    fn of(&self, role: Role) -> Result<&Spent> {
        self.0.get(&role).with_context(|| format!("{role:?} was not found"))
    }
}

/// What a process spent so far: processor time in seconds, its own and that of children it waited for; and page faults.
struct Spent {
    own: f64,
    children: f64,
    own_faults: f64,
    children_faults: f64,
}

impl Spent {
    fn of(pid: u32) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name, in parentheses, may hold anything. After it, from the third field on: proc_pid_stat(5).
        let (_, rest) = stat.rsplit_once(')').context("no name")?;
        let fields = rest.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect::<Vec<f64>>();
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0.0);
        let times = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
        let own = times.split_ascii_whitespace().next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok());
        Ok(Self {
            own: own.context("no schedstat")? / 1e9,
            children: (field(16) + field(17)) / TICKS_PER_SECOND,
            own_faults: field(10),
            children_faults: field(11),
        })
    }

    fn faults_since(&self, before: &Self) -> f64 {
        self.children_faults - before.children_faults
    }
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("children"))?;
        found.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(found)
}

fn command(pid: u32) -> Result<String> {
    Ok(std::fs::read_to_string(format!("/proc/{pid}/cmdline"))?)
}

/// A redb file that is written as the store writes.
struct Store {
    database: Database,
    _home: tempfile::TempDir,
}

impl Store {
    fn create() -> Result<Self> {
        let home = tempfile::tempdir()?;
        Ok(Self { database: Database::create(home.path().join("store.redb"))?, _home: home })
    }

    fn commit_twice(&self, count: u32) -> Result<Vec<Duration>> {
        let record = [7; RECORD_BYTES];
        let mut took = Vec::new();
        for number in 0..count {
            let start = Instant::now();
            for _ in 0..2 {
                let mut transaction = self.database.begin_write()?;
                transaction.set_durability(Durability::Immediate)?;
                transaction.set_quick_repair(true);
                transaction.open_table(RECORDS)?.insert(u64::from(number), record.as_slice())?;
                transaction.commit()?;
            }
            took.push(start.elapsed());
        }
        ensure!(!took.is_empty(), "nothing was committed");
        Ok(took)
    }
}
