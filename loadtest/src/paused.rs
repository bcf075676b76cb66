//! Many executions that wait for their LLM at once: what they take, and how soon they go on.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::agent::{Admin, Agent};
use crate::report::{Bar, Row, percentiles};
use crate::server::Server;

/// Says what it was answered, so that each can be checked.
const SCRIPT: &str = "set_result(llm.complete('what now?') + '!')";
/// Submissions under way at once.
const SUBMITTING: usize = 32;
/// Bars of DESIGN.md, "Numbers to reach".
const MEMORY_GB: f64 = 12.0 * 1.073_741_824;
const RESUME_MS: f64 = 50.0;

/// How many at once, by how many profiles, answered by how many agents.
pub(crate) struct Paused {
    pub(crate) executions: usize,
    pub(crate) profiles: usize,
    pub(crate) agents: usize,
}

type Ids = Arc<Mutex<VecDeque<String>>>;

/// Pauses them all, weighs the whole tree of processes, then answers them all and checks what came of it.
pub(crate) async fn measure(server: &Server, admin: &Admin, wanted: &Paused) -> Result<Vec<Row>> {
    let pid = server.pid().context("a server that was not started here can't be weighed")?;
    let before = tree_bytes(pid);
    let mut agents = Vec::new();
    for _ in 0..wanted.profiles {
        agents.push(Arc::new(admin.profile().await?));
    }
    let client = reqwest::Client::builder().no_proxy().build()?;
    let begin = Instant::now();
    let ids = pause_all(server, &client, &agents, wanted.executions).await?;
    let pausing = begin.elapsed();
    let weighed = tree_bytes(pid);

    // One by one first, as they come when people and models answer; then as fast as many agents can.
    let sample = ids.len().min(500);
    let (first, rest) = ids.split_at(sample);
    let alone = answer_all(server, &client, first, 1).await?;
    let begin = Instant::now();
    let together = answer_all(server, &client, rest, wanted.agents).await?;
    let rate = rest.len() as f64 / begin.elapsed().as_secs_f64();

    let row = |what, reached, unit, bar| Row { what, reached, unit, bar };
    let each = (weighed.saturating_sub(before)) as f64 / wanted.executions.max(1) as f64;
    let (alone, together) = (percentiles(&alone), percentiles(&together));
    Ok(vec![
        row("executions paused at once", ids.len() as f64, "", None),
        row("paused: whole tree of processes (PSS)", weighed as f64 / 1e9, "GB", Some(Bar::AtMost(MEMORY_GB))),
        row("paused: each", each / 1e6, "MB", None),
        row("paused: submitted, run and asked", ids.len() as f64 / pausing.as_secs_f64(), "/s", None),
        row("answer to completed, one at a time: p50", alone.p50, "ms", None),
        row("answer to completed, one at a time: p99", alone.p99, "ms", Some(Bar::AtMost(RESUME_MS))),
        row("answer to completed, many agents: p50", together.p50, "ms", None),
        row("answer to completed, many agents: p99", together.p99, "ms", None),
        row("answered and completed, many agents", rate, "/s", None),
    ])
}

async fn pause_all(
    server: &Server,
    client: &reqwest::Client,
    agents: &[Arc<Agent>],
    count: usize,
) -> Result<Vec<String>> {
    let ids = Ids::default();
    let share = count.div_ceil(SUBMITTING);
    let mut tasks = Vec::new();
    for number in 0..SUBMITTING {
        let agent = agents.get(number % agents.len().max(1)).context("no agent")?.clone();
        let (client, ids, url) = (client.clone(), ids.clone(), format!("{}/execute?wait=60", server.url));
        let own = share.min(count.saturating_sub(number * share));
        tasks.push(tokio::spawn(async move {
            for _ in 0..own {
                let request = client.post(&url).bearer_auth(agent.id()).json(&agent.body(SCRIPT)?);
                let answer: Value = request.send().await?.error_for_status()?.json().await?;
                ensure!(text(&answer, "status")? == "awaiting_llm", "it does not wait: {answer}");
                ids.lock().await.push_back(text(&answer, "execution_id")?.to_owned());
            }
            Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let ids = std::mem::take(&mut *ids.lock().await);
    Ok(ids.into())
}

/// From sending each answer to having the completed execution.
async fn answer_all(server: &Server, client: &reqwest::Client, ids: &[String], agents: usize) -> Result<Vec<Duration>> {
    let left: Ids = Arc::new(Mutex::new(ids.iter().cloned().collect()));
    let mut tasks = Vec::new();
    for _ in 0..agents {
        let (client, left, url) = (client.clone(), left.clone(), server.url.clone());
        tasks.push(tokio::spawn(async move {
            let mut took = Vec::new();
            loop {
                let next = left.lock().await.pop_front();
                let Some(id) = next else { return Ok::<_, anyhow::Error>(took) };
                let begin = Instant::now();
                let respond = client.post(format!("{url}/executions/{id}/respond")).json(&json!({"response": id}));
                respond.send().await?.error_for_status()?.bytes().await?;
                loop {
                    let poll = client.get(format!("{url}/executions/{id}?wait=60")).send().await?;
                    let view: Value = poll.error_for_status()?.json().await?;
                    if text(&view, "status")? == "running" {
                        continue;
                    }
                    let right = view.get("result").and_then(Value::as_str) == Some(&format!("{id}!"));
                    ensure!(right, "not what it was answered: {view}");
                    break;
                }
                took.push(begin.elapsed());
            }
        }));
    }
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await??);
    }
    Ok(took)
}

fn text<'a>(object: &'a Value, name: &str) -> Result<&'a str> {
    object.get(name).and_then(Value::as_str).with_context(|| format!("no {name} in {object}"))
}

/// Proportional memory of a process and everything below it.
fn tree_bytes(root: u32) -> u64 {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        if let Some(parent) = parent_of(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.get(pid).into_iter().flatten());
        next += 1;
    }
    found.into_iter().filter_map(proportional_bytes).sum()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn proportional_bytes(pid: u32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib * 1024)
}
