//! A real server, killed with `kill -9` at random moments under load: nothing that was acknowledged may be lost, changed
//! or run twice.
//!
//! `AIRLOCK_CRASH_ROUNDS` sets the number of rounds (50), `AIRLOCK_CRASH_SEED` repeats a run that failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{self, Admin, Agent, Launch, Server, ready_profile, text, time};
use jiff::Timestamp;
use serde_json::Value;

const AGENTS: usize = 4;
const POSTS_EACH: u64 = 6;

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// What is known of an execution that was acknowledged.
#[derive(Clone, Default)]
struct Acknowledged {
    token: String,
    /// The last state that a client saw before the crash.
    seen: Option<Value>,
    /// Its final state, once a client has seen that.
    last: Option<Value>,
}

type Ledger = Arc<Mutex<BTreeMap<String, Acknowledged>>>;

/// Posts scripts and polls some of them until the server is gone.
async fn load(agent: Agent, name: String, mut random: Random, ledger: Ledger) {
    for number in 0..POSTS_EACH {
        let token = format!("{name}-{number}");
        let nap = match random.below(4) {
            0 => 0,
            1 => 10 + random.below(40),
            2 => 100 + random.below(200),
            _ => 800,
        };
        let script = format!(
            "import time\nstart = time.time()\ntime.sleep({nap} / 1000)\nset_result({{'token': '{token}', 'at': start}})"
        );
        let Ok(reply) = agent.client().try_send(agent.request("", &agent.body(&script))).await else { return };
        let id = text(&reply.expect(202), "execution_id").to_owned();
        ledger.lock().unwrap().insert(id.clone(), Acknowledged { token, ..Acknowledged::default() });
        if random.below(3) > 0 {
            continue;
        }
        let poll = support::Request::get(&format!("/executions/{id}?wait={}", random.below(2)));
        let Ok(reply) = agent.client().try_send(poll).await else { return };
        let execution = reply.expect(200);
        let mut ledger = ledger.lock().unwrap();
        let entry = ledger.get_mut(&id).unwrap();
        if execution.get("completed_at").is_some() {
            entry.last = Some(execution.clone());
        }
        entry.seen = Some(execution);
    }
}

/// When the servers so far lived: an execution must have begun and ended within one life, or it ran in two.
struct Life {
    from: Timestamp,
    to: Timestamp,
}

fn within_one_life(lives: &[Life], execution: &Value) -> bool {
    let (started, completed) = (time(execution, "started_at"), time(execution, "completed_at"));
    lives.iter().any(|life| life.from <= started && completed <= life.to)
}

/// Checks one acknowledged execution after the restart, to its end; returns its final state.
async fn check(agent: &Agent, id: &str, known: &Acknowledged, restarted: Timestamp) -> Value {
    let first = agent.poll(id, 0).await;
    if let Some(last) = &known.last {
        assert_eq!(&first, last, "a finished execution changed");
        return first;
    }
    let ended = agent.finish(id).await;
    match text(&ended, "status") {
        "completed" => assert_eq!(ended["result"]["token"], known.token.as_str(), "someone else's result: {ended}"),
        "error" => {
            assert_eq!(ended["error_type"], "Interrupted", "{ended}");
            assert!(ended.get("started_at").is_some(), "it was interrupted and had never started: {ended}");
            assert!(time(&ended, "started_at") <= restarted, "interrupted after the restart: {ended}");
            assert!(ended["error"].is_string() && ended["result"].is_null(), "{ended}");
        }
        _ => panic!("neither run nor interrupted: {ended}"),
    }
    let was = |status: &str| known.seen.as_ref().is_some_and(|seen| seen["status"] == status);
    if was("running") {
        let started = known.seen.as_ref().map(|seen| seen["started_at"].clone());
        assert_eq!(started, Some(ended["started_at"].clone()), "it was seen running, and started again: {ended}");
    }
    if ["pending", "running"].contains(&text(&first, "status")) {
        assert_eq!(ended["status"], "completed", "what was pending at the crash must run: {ended}");
        assert!(time(&ended, "started_at") >= restarted, "run before the restart, and again after it: {ended}");
    }
    ended
}

/// The whole history, as the store has it: everything acknowledged once, every state final.
async fn check_history(admin: &Admin, ledger: &Ledger) {
    let all = admin.executions("limit=100").await;
    let ids: Vec<&str> = all.iter().map(|execution| text(execution, "execution_id")).collect();
    let set: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), set.len(), "an execution is listed twice");
    assert!(ids.iter().rev().is_sorted(), "not newest first");
    for id in ledger.lock().unwrap().keys() {
        assert!(set.contains(id.as_str()), "{id} was acknowledged and is not in the history");
    }
    for open in ["pending", "running", "awaiting_llm"] {
        // Those that were posted and not acknowledged may be in the store too; they end like the others.
        support::eventually("nothing open", async || admin.executions(&format!("status={open}")).await.is_empty())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_acknowledged_survives_kill_9_and_runs_at_most_once() {
    let rounds = from_env("AIRLOCK_CRASH_ROUNDS").unwrap_or(50);
    let seed = from_env("AIRLOCK_CRASH_SEED").unwrap_or_else(|| Timestamp::now().as_nanosecond().unsigned_abs() as u64);
    eprintln!("to repeat: AIRLOCK_CRASH_SEED={seed} AIRLOCK_CRASH_ROUNDS={rounds}");
    let mut random = Random(seed);
    let begin = Instant::now();

    let mut born = Timestamp::now();
    let mut server = Launch::new().arg("--max-running", "3").start();
    let mut agents = Vec::new();
    for number in 0..AGENTS {
        agents.push(ready_profile(&server, &[(&format!("CRASH_{number}"), "a value of the crash test")]).await);
    }
    let everything = Ledger::default();
    let mut lives = Vec::new();
    let (mut interrupted, mut ran_later) = (0, 0);

    for round in 0..rounds {
        let ledger = Ledger::default();
        let loads = agents.iter().enumerate().map(|(number, agent)| {
            let agent = agent.with(server.client());
            let mine = Random(random.next());
            tokio::spawn(load(agent, format!("round-{round}-agent-{number}"), mine, ledger.clone()))
        });
        let loads: Vec<_> = loads.collect();
        // The random moment is what this test is about.
        tokio::time::sleep(Duration::from_millis(random.below(500))).await;
        server.kill9();
        lives.push(Life { from: born, to: Timestamp::now() });
        for load in loads {
            load.await.unwrap();
        }

        born = Timestamp::now();
        server.restart();
        let client = server.client();
        let known = ledger.lock().unwrap().clone();
        for (id, entry) in known {
            let agent = agents[0].with(client.clone());
            let last = check(&agent, &id, &entry, floor_to_millis(born)).await;
            interrupted += usize::from(last["error_type"] == "Interrupted");
            ran_later +=
                usize::from(last["status"] == "completed" && time(&last, "started_at") >= floor_to_millis(born));
            everything.lock().unwrap().insert(id, Acknowledged { last: Some(last), ..entry });
        }
        if round % 10 == 9 || round + 1 == rounds {
            check_history(&server.admin().await, &everything).await;
        }
    }

    lives.push(Life { from: born, to: Timestamp::now() });
    for life in &mut lives {
        life.from = floor_to_millis(life.from);
    }
    let agent = agents[0].with(server.client());
    let all = everything.lock().unwrap().clone();
    for (id, entry) in &all {
        let now = agent.poll(id, 0).await;
        assert_eq!(Some(&now), entry.last.as_ref(), "a finished execution changed in a later crash");
        if now["status"] == "completed" {
            assert!(within_one_life(&lives, &now), "it ran in two lives of the server: {now}");
            let at = Timestamp::from_millisecond((now["result"]["at"].as_f64().unwrap() * 1000.0) as i64).unwrap();
            let (started, completed) = (time(&now, "started_at"), time(&now, "completed_at"));
            let slack = Duration::from_millis(5);
            assert!(at + slack >= started && at <= completed + slack, "the result is of another run: {now}");
        }
    }
    eprintln!(
        "{rounds} rounds, {} acknowledged, {interrupted} interrupted, {ran_later} run after a restart, {:?}",
        all.len(),
        begin.elapsed()
    );
    assert!(all.len() as u64 >= rounds, "hardly any load: {} acknowledged in {rounds} rounds", all.len());
    if rounds >= 50 {
        assert!(
            interrupted > 0 && ran_later > 0,
            "no crash hit anything: {interrupted} interrupted, {ran_later} run later"
        );
    }
    assert_eq!(agent.result("set_result('the store is well')").await, "the store is well");
}

/// Times of the API have milliseconds.
fn floor_to_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap()
}

#[tokio::test]
async fn the_workers_and_scripts_of_a_killed_server_are_gone_soon_after_it() {
    let mut server = Server::start();
    let agent = ready_profile(&server, &[]).await;
    let id = agent.submit("import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\ntime.sleep(600)").await;
    agent.started(&id).await;
    let processes = server.descendants();
    assert!(processes.len() >= 3, "guard, fork server and script: {processes:?}");
    server.kill9();
    support::eventually("all gone", async || !processes.iter().any(|pid| support::process::alive(*pid))).await;
}

#[tokio::test]
async fn a_crash_right_after_setup_lock_and_revoke_loses_none_of_them() {
    let mut server = Server::start();
    let admin = server.admin().await;
    server.kill9();
    server.restart();
    assert_eq!(server.client().get("/api/admin/status").await.expect(200)["setup_required"], false);

    let admin = admin.with(server.client());
    admin.create_credential("KEPT", "a kept value").await;
    let agent = admin.locked_profile(&["KEPT"]).await;
    server.kill9();
    server.restart();
    let agent = agent.with(server.client());
    assert_eq!(agent.result("set_result(settings['KEPT'][2:6])").await, "kept");

    admin.with(server.client()).profile_action(&agent.id, "revoke").await.expect(200);
    server.kill9();
    server.restart();
    agent.with(server.client()).execute("pass").await.problem(401);
}
