//! Many agents at once against a real Airlock, beside the floor that the machine sets.
//!
//! Floor and Airlock take turns, round by round, in one run: on a noisy machine their ratio holds where neither number
//! does. Loopback only, bounded counts. `airlock-loadtest --airlock target/release/airlock`.

mod agent;
mod cost;
mod egress;
mod floor;
mod measure;
mod paused;
mod report;
mod sanitizer;
mod server;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{ArgGroup, Parser, Subcommand};

use agent::{Admin, Agent};
use floor::Floor;
use report::{Bar, Row, median, percentiles};
use server::Server;

/// The trivial script.
const SCRIPT: &str = "set_result({\"ok\": True})";

/// Measure an Airlock beside the bare Python floor, and compare with the design's bars.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(group(ArgGroup::new("target").required(true).args(["airlock", "url"])))]
struct Args {
    #[command(subcommand)]
    only: Option<Only>,
    /// The binary to start on a temporary data folder.
    #[arg(long, value_name = "PATH")]
    airlock: Option<PathBuf>,
    /// A server on loopback that runs already; start time and memory are then not measured.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The password of that server.
    #[arg(long, env = "AIRLOCK_LOADTEST_PASSWORD", hide_env_values = true, default_value = "loadtest password")]
    password: String,
    /// The Python of the floor; give Airlock the same one.
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: String,
    /// How often floor and Airlock take turns.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
    rounds: u32,
    /// Executions of one agent in a round, and forks of the floor.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// Agents at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    agents: u32,
    /// Profiles that these agents share.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    profiles: u32,
    /// Measure instead so many executions that wait for their LLM at once.
    #[arg(long, value_name = "N", requires = "airlock", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    paused: Option<u32>,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
}

/// One part measured by itself.
#[derive(Subcommand)]
enum Only {
    /// Where an execution's time goes, and what each process of the worker spends.
    Cost {
        /// The binary to start on a temporary data folder.
        #[arg(long, value_name = "PATH")]
        airlock: PathBuf,
        /// The Python of the floor and of the worker.
        #[arg(long, value_name = "PATH", default_value = "/usr/bin/python3")]
        python: String,
        /// How often the parts take turns.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
        rounds: u32,
        /// Executions in a round.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        count: u32,
        /// Print JSON instead of the table.
        #[arg(long)]
        json: bool,
    },
    /// What the guard adds to a script's requests over loopback.
    Egress {
        /// The binary to start on a temporary data folder.
        #[arg(long, value_name = "PATH")]
        airlock: PathBuf,
        /// The bare Python; the one that Airlock finds.
        #[arg(long, value_name = "PATH", default_value = "/usr/bin/python3")]
        python: String,
        /// How often the two take turns.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
        rounds: u32,
        /// Requests of each kind in a round.
        #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        count: u32,
        /// Print JSON instead of the table.
        #[arg(long)]
        json: bool,
    },
    /// How fast text is scrubbed, on one core, without a server.
    Sanitizer {
        /// How often each text is scrubbed.
        #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        rounds: u32,
        /// Print JSON instead of the table.
        #[arg(long)]
        json: bool,
    },
}

/// What the rounds gathered.
#[derive(Default)]
struct Gathered {
    floor: Vec<Duration>,
    floor_rate: Vec<f64>,
    one: Vec<Duration>,
    one_of_floor: Vec<f64>,
    many: Vec<Duration>,
    many_rate: Vec<f64>,
    many_of_floor: Vec<f64>,
    errors: u64,
    first_error: Option<String>,
    first: Vec<Duration>,
    polls: Vec<Duration>,
    poll_rate: Vec<f64>,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let args = Args::parse();
    match &args.only {
        Some(Only::Sanitizer { rounds, json }) => {
            report::print(&sanitizer::rows(*rounds)?, &format!("texts of 8 MiB, scrubbed {rounds} times each"), *json);
            return Ok(());
        }
        Some(Only::Cost { airlock, python, rounds, count, json }) => {
            let rows = cost::rows(airlock, python, SCRIPT, *rounds, *count).await?;
            report::print(
                &rows,
                &format!("{rounds} rounds of {count} executions; times are medians of the rounds"),
                *json,
            );
            return Ok(());
        }
        Some(Only::Egress { airlock, python, rounds, count, json }) => {
            let note = format!("{rounds} rounds of {count} requests of each kind; medians of the rounds");
            report::print(&egress::rows(airlock, python, *rounds, *count).await?, &note, *json);
            return Ok(());
        }
        None => {}
    }
    if let (Some(executions), Some(binary)) = (args.paused, &args.airlock) {
        return measure_paused(&args, binary, executions).await;
    }
    let mut starts = Vec::new();
    let server = if let Some(binary) = &args.airlock {
        for _ in 0..4 {
            starts.extend(Server::start(binary).await?.start);
        }
        let server = Server::start(binary).await?;
        starts.extend(server.start);
        server
    } else {
        Server::running(args.url.as_deref().context("neither --airlock nor --url")?)?
    };
    let idle = server.resident();

    let admin = Admin::open(&server.url, &args.password).await?;
    let mut agents = Vec::new();
    for _ in 0..args.profiles.min(args.agents) {
        agents.push(admin.profile().await?);
    }
    let mut floors = vec![Floor::start(&args.python, SCRIPT)?, Floor::start(&args.python, SCRIPT)?];
    let gathered = rounds(&args, &server, &admin, &agents, &mut floors).await?;
    let imports = floors.first().and_then(Floor::resident).map_or(0.0, |bytes| bytes as f64 / 1e6);
    let note = format!(
        "{} rounds of {} (floor, one agent), {} agents on {} profiles; the floor's Python holds {imports:.0} MB resident{}",
        args.rounds,
        args.count,
        args.agents,
        agents.len(),
        gathered.first_error.as_ref().map(|error| format!("\nfirst error: {error}")).unwrap_or_default()
    );
    report::print(&rows(gathered, &starts, idle), &note, args.json);
    Ok(())
}

async fn measure_paused(args: &Args, binary: &std::path::Path, executions: u32) -> Result<()> {
    let most = executions.to_string();
    let server = Server::start_with(binary, &["--max-paused", &most]).await?;
    let admin = Admin::open(&server.url, &args.password).await?;
    let wanted = paused::Paused {
        executions: executions as usize,
        profiles: args.profiles as usize,
        agents: args.agents as usize,
    };
    let rows = paused::measure(&server, &admin, &wanted).await?;
    let note = format!("{} profiles, answered by {} agents", args.profiles, args.agents);
    report::print(&rows, &note, args.json);
    Ok(())
}

/// Warms everything up, then lets floor and Airlock take turns.
async fn rounds(
    args: &Args,
    server: &Server,
    admin: &Admin,
    agents: &[Agent],
    floors: &mut [Floor],
) -> Result<Gathered> {
    let address = server.address();
    let mut requests = Vec::new();
    for agent in agents.iter().cycle().take(args.agents as usize) {
        requests.push(agent.execute(SCRIPT)?);
    }
    let request = requests.first().context("no agent")?;
    let each = args.count.div_ceil(4).max(1);
    measure::many_agents(address, &requests, 2).await?;
    for floor in floors.iter_mut() {
        floor.run(10)?;
    }

    let mut gathered = Gathered::default();
    for _ in 0..args.rounds {
        let alone = floors.first_mut().context("no floor")?.run(args.count)?;
        let (one, finished) = measure::one_agent(address, request, args.count).await?;
        gathered.one_of_floor.push(percentiles(&one).p50 / percentiles(&alone).p50);
        gathered.floor.extend(alone);
        gathered.one.extend(one);

        let floor_rate = floor::rate(floors, args.count * 2)?;
        let many = measure::many_agents(address, &requests, each).await?;
        gathered.many_of_floor.push(many.rate / floor_rate);
        gathered.floor_rate.push(floor_rate);
        gathered.many_rate.push(many.rate);
        gathered.many.extend(many.took);
        gathered.errors += many.errors;
        gathered.first_error = gathered.first_error.or(many.first_error);

        gathered.first.push(measure::first_execution(address, admin, SCRIPT).await?);
        let (polls, rate) = measure::polls(address, &finished, 8, args.count * 4).await?;
        gathered.polls.extend(polls);
        gathered.poll_rate.push(rate);
    }
    Ok(gathered)
}

/// The table: the bars are those of DESIGN.md, "Numbers to reach".
fn rows(gathered: Gathered, starts: &[Duration], idle: Option<u64>) -> Vec<Row> {
    let row = |what, reached, unit, bar| Row { what, reached, unit, bar };
    let (floor, one, many) = (percentiles(&gathered.floor), percentiles(&gathered.one), percentiles(&gathered.many));
    let (first, polls) = (percentiles(&gathered.first), percentiles(&gathered.polls));
    let mut rows = vec![
        row("floor: Python fork, run, exit, p50", floor.p50, "ms", None),
        row("floor: the same, p99", floor.p99, "ms", None),
        row("floor: both cores at once", median(gathered.floor_rate), "/s", None),
        row(
            "one agent, warm, to completed: p50 over the floor's",
            median(gathered.one_of_floor),
            "x",
            Some(Bar::AtMost(1.3)),
        ),
        row("one agent, warm, to completed: p50", one.p50, "ms", Some(Bar::AtMost(6.0))),
        row("one agent, warm, to completed: p95", one.p95, "ms", None),
        row("one agent, warm, to completed: p99", one.p99, "ms", None),
        row(
            "many agents: rate over the floor's on both cores",
            median(gathered.many_of_floor),
            "x",
            Some(Bar::AtLeast(0.7)),
        ),
        row("many agents: rate", median(gathered.many_rate), "/s", None),
        row("many agents: errors", gathered.errors as f64, "", Some(Bar::AtMost(0.0))),
        row("many agents: p50", many.p50, "ms", None),
        row("many agents: p95", many.p95, "ms", None),
        row("many agents: p99", many.p99, "ms", None),
        row("first execution of a profile, warm pool: p50", first.p50, "ms", Some(Bar::AtMost(25.0))),
        row("first execution of a profile, warm pool: p95", first.p95, "ms", None),
        row("polls of a finished execution", median(gathered.poll_rate), "/s", Some(Bar::AtLeast(10_000.0))),
        row("polls of a finished execution: p99", polls.p99, "ms", Some(Bar::AtMost(5.0))),
    ];
    if !starts.is_empty() {
        let middle = median(starts.iter().map(Duration::as_secs_f64).collect());
        rows.push(row("start to ready", middle, "s", Some(Bar::AtMost(0.5))));
    }
    if let Some(bytes) = idle {
        rows.push(row("idle memory of the server", bytes as f64 / 1e6, "MB", Some(Bar::AtMost(40.0))));
    }
    rows
}
