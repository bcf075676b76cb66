//! ST-1 under SIGKILL: a child process acknowledges commits over a pipe until it is killed at a random moment; every write it
//! acknowledged is in the file. The child is this test binary, started for one test. A kill leaves the page cache as it is,
//! so this shows what redb and the reply order promise, not what the disk does in a power cut.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use airlock_actors::domain::Status;
use airlock_actors::ports::{Entropy, ExecutionQuery, Store};

use super::{Data, execution_id, finish, insert, profile_id};
use crate::store::{RedbStore, StoreOptions};
use crate::system::OsEntropy;

const ROUNDS: u32 = 40;
const CALLERS: u32 = 8;
/// Executions a caller can have in one round.
const NUMBERS: u32 = 10_000;
const CHILD_PATH: &str = "AIRLOCK_TEST_CRASH_PATH";
const CHILD_ROUND: &str = "AIRLOCK_TEST_CRASH_ROUND";
/// What the child's lines start with, to be told from the test harness's own.
const MARK: &str = "ack";

/// The child's side: not a test of its own, and over at once unless the parent asks for it.
#[test]
fn child_commits_until_it_is_killed() {
    let (Ok(path), Ok(round)) = (std::env::var(CHILD_PATH), std::env::var(CHILD_ROUND)) else { return };
    let round: u32 = round.parse().unwrap();
    let store = Arc::new(RedbStore::open(&PathBuf::from(path), StoreOptions::default()).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let store = Arc::clone(&store);
                let first = (round * CALLERS + caller) * NUMBERS;
                tokio::spawn(async move {
                    for number in first..first + NUMBERS {
                        let owner = profile_id(u64::from(caller));
                        store.commit(vec![insert(number, &owner, Status::Pending)]).await.unwrap();
                        acknowledge(number, "pending");
                        store.commit(vec![finish(number, &owner, Status::Completed)]).await.unwrap();
                        acknowledge(number, "completed");
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    });
}

/// One line, in one `write`, past the harness's capture.
fn acknowledge(number: u32, status: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{MARK} {number} {status}").unwrap();
    stdout.flush().unwrap();
}

#[test]
fn every_acknowledged_write_survives_a_kill() {
    let data = Data::new();
    let mut acknowledged: BTreeMap<u32, Status> = BTreeMap::new();
    for round in 0..ROUNDS {
        let before = acknowledged.len();
        for (number, status) in run_and_kill(&data, round) {
            acknowledged.insert(number, status);
        }
        if round == 0 && acknowledged.len() == before {
            // Killed before its first commit: nothing to show in this round.
            continue;
        }
        check(&data, &acknowledged);
    }
    assert!(acknowledged.len() > 100, "only {} writes were acknowledged in all rounds", acknowledged.len());
}

/// Runs the child up to a random number of acknowledgements and a random moment after; what it acknowledged, in order.
fn run_and_kill(data: &Data, round: u32) -> Vec<(u32, Status)> {
    let mut random = [0; 3];
    OsEntropy.fill(&mut random);
    let [lines, millis, early] = random.map(u32::from);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::crash::child_commits_until_it_is_killed", "--nocapture", "--test-threads=1"])
        .env(CHILD_PATH, data.path())
        .env(CHILD_ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    let mut take = |line: String| acknowledged.extend(parse(&line));
    // A quarter of the rounds are cut while the child opens the file, creating or repairing it.
    let lines = if early < 64 { 0 } else { lines };
    for line in output.by_ref().take(lines as usize) {
        take(line.unwrap());
    }
    std::thread::sleep(Duration::from_micros(u64::from(millis * 40)));
    child.kill().unwrap();
    // What is still in the pipe was acknowledged before the kill; the last line may be cut, and then does not parse.
    output.map_while(Result::ok).for_each(take);
    let status = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(nix::libc::SIGKILL),
        "the child ended: {status}"
    );
    acknowledged
}

fn parse(line: &str) -> Option<(u32, Status)> {
    let mut words = line.split(' ').skip_while(|word| !word.ends_with(MARK)).skip(1);
    Some((words.next()?.parse().ok()?, Status::parse(words.next()?)?))
}

fn check(data: &Data, acknowledged: &BTreeMap<u32, Status>) {
    let store = data.open();
    for (&number, &status) in acknowledged {
        let record = store.execution(&execution_id(number)).unwrap().expect("an acknowledged execution is gone");
        // It may be a step further than what was acknowledged, but never behind.
        assert!(record.status == status || record.status == Status::Completed, "{number} is {:?}", record.status);
        assert_eq!(store.execution_output(&record.id).unwrap().is_some(), record.status.is_final());
        assert!(store.execution_script(&record.id).unwrap().is_some());
    }
    let count = |status| {
        let query = ExecutionQuery { status, limit: usize::MAX, ..ExecutionQuery::default() };
        store.list_executions(&query).unwrap().len()
    };
    assert_eq!(count(None), Status::ALL.map(|status| count(Some(status))).iter().sum::<usize>());
}
