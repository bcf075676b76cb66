//! How workers begin and end, and that nothing outlives them (WK-3).

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use airlock::worker::launch::{LocalConfig, LocalLauncher};
use airlock_actors::ports::{WorkerGone, WorkerLauncher as _};

use crate::support::{
    DEADLINE, Worker, config, gone, guard_and_keeper, processes_of, processes_of_worker, tree_below, uid_of_worker,
    watch_all,
};

const DAEMON: &str = "import os, signal
r, w = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(w, b'x')
        while True: signal.pause()
    os._exit(0)
os.read(r, 1)
print('ready', flush=True)
signal.pause()";

#[tokio::test]
async fn shutdown_ends_the_worker_and_cleans_up() {
    let worker = Worker::launch().await;
    let mut run = worker.start(DAEMON);
    run.until_printed("ready").await;
    let all = watch_all(&processes_of_worker(&worker.base));
    worker.link().shutdown();
    let Worker { worker, base, .. } = worker;
    let reason = tokio::time::timeout(DEADLINE, worker.exited).await.expect("in time");
    assert!(reason.contains("exit status: 0"), "{reason}");
    assert!(run.end_or_lost().await.is_none());
    // Told only once all is over: nothing to wait for.
    assert!(gone(&all, 0), "a process outlived its worker");
    let left = std::fs::read_dir(&base).expect("is there").flatten().filter(|entry| entry.path().is_dir()).count();
    assert_eq!(left, 0, "the temporary folder stayed");
}

#[tokio::test]
async fn dropping_the_link_ends_the_worker() {
    let Worker { worker, base, _home, .. } = Worker::launch().await;
    let all = watch_all(&processes_of_worker(&base));
    assert!(all.len() >= 3);
    drop(worker.link);
    tokio::time::timeout(DEADLINE, worker.exited).await.expect("in time");
    assert!(gone(&all, 0));
}

#[tokio::test]
async fn a_killed_guard_takes_everything_with_it_and_the_run_is_lost() {
    let worker = Worker::launch().await;
    let mut run = worker.start(DAEMON);
    run.until_printed("ready").await;
    let (guard, _) = guard_and_keeper(&worker.base);
    let all = watch_all(&processes_of_worker(&worker.base));
    assert!(all.len() >= 5, "keeper, guard, fork server, script, daemon");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(guard), nix::sys::signal::Signal::SIGKILL).expect("killed");
    let link = worker.link();
    let Worker { worker, .. } = worker;
    let reason = tokio::time::timeout(DEADLINE, worker.exited).await.expect("in time");
    assert!(reason.contains("137"), "{reason}");
    assert!(gone(&all, 0), "a process outlived its guard");
    assert!(run.end_or_lost().await.is_none());
    link.kill(airlock_actors::ports::RunToken(1));
    let request = airlock_actors::ports::RunRequest {
        token: airlock_actors::ports::RunToken(77),
        execution_id: airlock_actors::domain::ExecutionId::generate(
            jiff::Timestamp::UNIX_EPOCH,
            &airlock_actors::testing::SeededEntropy::new(1),
        ),
        script: "".into(),
        settings: vec![],
        limits: airlock_actors::domain::RunLimits::DEFAULT,
        allowed_hosts: None,
    };
    assert_eq!(link.run(request).err(), Some(WorkerGone));
}

#[tokio::test]
async fn a_killed_keeper_takes_everything_with_it() {
    let worker = Worker::launch().await;
    let mut run = worker.start(DAEMON);
    run.until_printed("ready").await;
    let (_, keeper) = guard_and_keeper(&worker.base);
    let all = watch_all(&processes_of_worker(&worker.base));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper), nix::sys::signal::Signal::SIGKILL).expect("killed");
    assert!(gone(&all, DEADLINE.as_millis() as i32), "a process outlived the keeper");
    assert!(run.end_or_lost().await.is_none());
}

#[tokio::test]
async fn a_killed_fork_server_is_a_lost_worker() {
    let worker = Worker::launch().await;
    let mut run = worker.start(DAEMON);
    run.until_printed("ready").await;
    let (guard, _) = guard_and_keeper(&worker.base);
    let all = watch_all(&processes_of_worker(&worker.base));
    let fork_server = crate::support::children(guard)[0];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(fork_server), nix::sys::signal::Signal::SIGKILL).expect("killed");
    assert!(run.end_or_lost().await.is_none());
    let Worker { worker, .. } = worker;
    let reason = tokio::time::timeout(DEADLINE, worker.exited).await.expect("in time");
    assert!(reason.contains("fork server"), "{reason}");
    assert!(gone(&all, 0));
}

/// Runs one of the ignored tests below in a process of its own; `user`: as another user.
pub(crate) fn another_process(test: &str, user: Option<u32>) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("itself"));
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).env("RUST_BACKTRACE", "0");
    if let Some(user) = user {
        let home = std::env::temp_dir();
        command.uid(user).gid(user).current_dir(home);
    }
    command.spawn().expect("starts")
}

#[test]
fn nothing_survives_a_server_that_is_killed() {
    for user in users() {
        let mut server = another_process("lifecycle::launches_and_waits", user);
        let mut lines = BufReader::new(server.stdout.take().expect("piped")).lines();
        lines.find(|line| line.as_ref().expect("text").ends_with("WAITING")).expect("gets there").expect("text");
        let all = tree_below(i32::try_from(server.id()).expect("fits"));
        assert!(all.len() >= 5, "{all:?}");
        let all = watch_all(&all);
        server.kill().expect("killed");
        server.wait().expect("ended");
        assert!(gone(&all, DEADLINE.as_millis() as i32), "a process outlived the server");
    }
}

/// Nobody but root can try both.
fn users() -> Vec<Option<u32>> {
    if nix::unistd::geteuid().is_root() { vec![None, Some(58_999)] } else { vec![None] }
}

#[test]
#[ignore = "the other half of a test"]
fn launches_and_waits() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let worker = Worker::launch().await;
        let mut run = worker.start(DAEMON);
        run.until_printed("ready").await;
        println!("WAITING");
        run.end().await;
    });
}

#[test]
fn without_root_the_same_holds_that_needs_none() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    // Not the fork bomb: the user's processes are not the worker's alone, so no limit can be set that would hold only it.
    for test in [
        "runs::a_script_prints_and_returns",
        "ends::daemons_of_a_script_are_gone_when_its_end_is_told",
        "ends::limits_end_a_script_with_their_own_names",
        "confinement::scripts_do_what_scripts_do",
        "confinement::of_its_own_files_a_script_can_not_change_what_is_not_there_or_special",
        "lifecycle::a_killed_guard_takes_everything_with_it_and_the_run_is_lost",
    ] {
        let mut command = Command::new(std::env::current_exe().expect("itself"));
        command.args(["--exact", test]).uid(58_998).gid(58_998).current_dir("/").env("RUST_BACKTRACE", "0");
        let output = command.output().expect("runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{test}: {text}");
    }
}

#[tokio::test]
async fn two_workers_have_users_and_folders_of_their_own() {
    let (config, home) = config();
    let launcher = LocalLauncher::new(config).expect("a launcher");
    let first = launcher.launch(0).await.expect("a worker");
    let second = launcher.launch(0).await.expect("a worker");
    drop((first.link, second.link));
    tokio::time::timeout(DEADLINE, async { (first.exited.await, second.exited.await) }).await.expect("in time");
    drop(home);
}

#[tokio::test]
async fn a_python_that_can_not_be_used_is_a_sentence_with_its_reason() {
    let (config, _home) = config();
    let config = LocalConfig { python: Some("/bin/false".into()), ..config };
    let launcher = LocalLauncher::new(config).expect("a launcher");
    let Err(error) = launcher.launch(0).await else { panic!("launched") };
    assert!(error.0.contains("/bin/false") && error.0.contains("--python"), "{error}");
}

#[tokio::test]
async fn destroying_a_worker_ends_it_though_its_guard_is_stopped_and_its_link_in_use() {
    let worker = Worker::launch().await;
    let mut run = worker.start(DAEMON);
    run.until_printed("ready").await;
    let (guard, _) = guard_and_keeper(&worker.base);
    let all = watch_all(&processes_of_worker(&worker.base));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(guard), nix::sys::signal::Signal::SIGSTOP).expect("stopped");
    let _in_use = worker.link();
    worker.link().destroy();
    let Worker { worker, .. } = worker;
    let started = std::time::Instant::now();
    let reason = tokio::time::timeout(DEADLINE, worker.exited).await.expect("in time");
    eprintln!("{reason} after {:?}", started.elapsed());
    assert!(gone(&all, 0), "a process outlived its worker");
    assert!(run.end_or_lost().await.is_none());
}

/// Starts `command`, as root, waits until `user` has a process, and launches a worker that is to get that user. Returns the user it
/// got, and whether what ran as the wanted one lives.
async fn launched_beside(user: u32, command: &[&str]) -> (Option<u32>, bool) {
    let mut beside = Command::new(command[0]).args(&command[1..]).stdin(Stdio::null()).spawn().expect("starts");
    while processes_of(user).is_empty() {
        assert!(beside.try_wait().expect("asked").is_none(), "{command:?} ended at once");
        tokio::task::yield_now().await;
    }
    let theirs = watch_all(&processes_of(user));
    // Whoever is killed is reaped, as init would.
    let reaper = std::thread::spawn(move || beside.wait());
    let (config, home) = config();
    let worker = Worker::launch_with(LocalConfig { uid_base: user, ..config }, home).await;
    let got = uid_of_worker(&worker.base);
    let lives = !gone(&theirs, 0);
    if lives {
        for process in processes_of(user).into_iter().filter(|_| got != Some(user)) {
            let process = nix::unistd::Pid::from_raw(process);
            nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).expect("killed");
        }
    }
    reaper.join().expect("no panic").expect("reaped");
    (got, lives)
}

#[tokio::test]
async fn what_an_earlier_worker_left_of_its_user_is_ended_before_the_next_has_it() {
    if nix::unistd::geteuid().is_root() {
        let left = ["setpriv", "--reuid=61900", "--regid=61900", "--clear-groups", "sleep", "1000"];
        assert_eq!(launched_beside(61_900, &left).await, (Some(61_900), false));
    }
}

#[tokio::test]
async fn a_user_of_whom_another_servers_worker_runs_is_passed_over_and_nothing_of_it_is_ended() {
    if nix::unistd::geteuid().is_root() {
        // A container that sees the machine's processes, but not the locks of its users.
        let server =
            "printf airlock >/proc/self/comm; setpriv --reuid=61910 --regid=61910 --clear-groups sleep 1000 & wait";
        assert_eq!(launched_beside(61_910, &["sh", "-c", server]).await, (Some(61_911), true));
    }
}

#[tokio::test]
async fn a_user_of_whom_a_container_has_processes_is_passed_over_and_nothing_of_it_is_ended() {
    if nix::unistd::geteuid().is_root() {
        let container = ["unshare", "--pid", "--fork", "--setgid=61920", "--setuid=61920", "sleep", "1000"];
        assert_eq!(launched_beside(61_920, &container).await, (Some(61_921), true));
    }
}
