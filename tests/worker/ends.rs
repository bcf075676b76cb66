//! How runs end, and that nothing of them is left when they have (WK-2).

use std::path::Path;

use airlock_actors::domain::RunLimits;

use crate::support::{Worker, processes_of, uid_of_worker};

const MIB: u64 = 1 << 20;

fn alive(pid: u64) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn a_script_that_ignores_signals_is_killed_as_asked() {
    let worker = Worker::launch().await;
    let script = "import os, signal
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
print('deaf', os.getpid(), flush=True)
while True: pass";
    let mut run = worker.start(script);
    run.until_printed("\n").await;
    worker.link().kill(run.token);
    let run = run.end().await;
    assert_eq!(run.outcome(), "killed");
    let pid = run.stdout().split_whitespace().nth(1).and_then(|pid| pid.parse().ok()).expect("a pid");
    assert!(!alive(pid));
}

const DAEMONS: &str = "import os, signal, sys
def daemon(depth):
    r, w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
            if depth: daemon(depth - 1)
            os.write(1, b'%d\\n' % os.getpid())
            os.write(w, b'x')
            while True: signal.pause()
        os._exit(0)
    os.wait()
    os.read(r, 1)
daemon(2)
";

fn pids(stdout: &str) -> Vec<u64> {
    stdout.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect()
}

#[tokio::test]
async fn daemons_of_a_script_are_gone_when_its_end_is_told() {
    let worker = Worker::launch().await;
    for ending in ["set_result(1)", "os._exit(3)", "raise ValueError", "os.kill(os.getpid(), signal.SIGKILL)"] {
        let run = worker.run(&format!("{DAEMONS}{ending}")).await;
        let pids = pids(run.stdout());
        assert_eq!(pids.len(), 3);
        for pid in pids {
            assert!(!alive(pid), "a daemon outlived a script that ended with {ending}");
        }
    }
}

#[tokio::test]
async fn daemons_of_one_script_end_and_those_of_another_live_on() {
    let worker = Worker::launch().await;
    let mut living = worker.start(&format!("{DAEMONS}print('ready')\nsignal.pause()"));
    living.until_printed("ready\n").await;
    let ended = worker.run(&format!("{DAEMONS}set_result(1)")).await;
    assert!(pids(ended.stdout()).into_iter().all(|pid| !alive(pid)));
    let of_living = pids(String::from_utf8_lossy(&living.stdout).trim_end_matches("ready\n"));
    assert!(of_living.iter().all(|&pid| alive(pid)), "the guard took the living script's daemons for a dead one's");
    worker.link().kill(living.token);
    living.end().await;
    assert!(of_living.into_iter().all(|pid| !alive(pid)));
}

#[tokio::test]
async fn a_subreaper_among_daemons_is_no_shelter() {
    let worker = Worker::launch().await;
    let script = format!(
        "import ctypes\nprctl = ctypes.CDLL(None, use_errno=True).prctl\nassert prctl(36, 1, 0, 0, 0) == 0\nassert prctl(36, 0, 0, 0, 0) == -1 and ctypes.get_errno() == 1\n{DAEMONS}"
    );
    let run = worker.run(&script).await;
    assert_eq!(run.outcome(), "completed", "{}", run.error());
    assert!(pids(run.stdout()).into_iter().all(|pid| !alive(pid)));
}

#[tokio::test]
async fn a_fork_bomb_is_bounded_and_ends_whole() {
    let worker = Worker::launch().await;
    let limits = RunLimits { processes: 64, ..RunLimits::DEFAULT };
    let bomb = "import os
while True:
    try:
        if os.fork() == 0: os.setsid()
    except OSError:
        pass";
    let run = worker.run_with(bomb, limits).await;
    assert_eq!(run.outcome(), "ProcessLimit", "{}", run.error());
    // Guard, keeper, fork server, and those forked ahead are left, at most.
    if let Some(uid) = uid_of_worker(&worker.base) {
        assert!(processes_of(uid).len() <= 3 + 4, "{:?}", processes_of(uid));
    }
    assert_eq!(worker.run("set_result(1)").await.result(), Some("1"));
}

#[tokio::test]
async fn limits_end_a_script_with_their_own_names() {
    let worker = Worker::launch().await;
    let small =
        RunLimits { memory_bytes: 128 * MIB, cpu_seconds: 1, tmp_bytes: MIB, open_files: 128, ..RunLimits::DEFAULT };
    let cases = [
        ("x = bytearray(1 << 30)", "MemoryError"),
        ("while True: pass", "CpuLimit"),
        ("import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", "CpuLimit"),
        ("open('big', 'wb').write(b'x' * (2 << 20))", "OSError"),
        ("files = [open('/dev/null') for _ in range(140)]", "OSError"),
        ("import resource\nresource.setrlimit(resource.RLIMIT_DATA, (1 << 40, 1 << 40))", "ValueError"),
        ("import os\nos._exit(7)", "ProcessDied"),
        ("import ctypes\nctypes.string_at(0)", "ProcessDied"),
        ("import os\nos.kill(os.getpid(), 9)", "ProcessDied"),
        ("import os\nos.kill(os.getpid(), 40)", "ProcessDied"),
        ("import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 39)", "ProcessDied"),
    ];
    for (script, outcome) in cases {
        let run = worker.run_with(script, small).await;
        assert_eq!(run.outcome(), outcome, "{script}: {}", run.error());
    }
    let crash = worker.run("import ctypes\nctypes.string_at(0)").await;
    assert!(crash.error().contains("SIGSEGV"), "{}", crash.error());
}

#[tokio::test]
async fn the_temporary_folder_goes_with_the_execution_whatever_is_in_it() {
    let worker = Worker::launch().await;
    let script = "import os
home = os.getcwd()
assert home == os.environ['HOME'] == os.environ['TMPDIR']
os.makedirs('a/b/c')
open('a/b/c/file', 'w').write('x')
os.symlink('/', 'a/root')
os.mkfifo('a/b/pipe')
for name in range(1000): open('a/%d' % name, 'w').close()
for folder in range(2000):
    os.mkdir('d'); os.chdir('d')
os.chmod(home + '/a/b/c', 0); os.chmod(home + '/a', 0); os.chmod(home, 0)
print(home)";
    let run = worker.run(script).await;
    assert_eq!(run.outcome(), "completed", "{}", run.error());
    // One that takes long to remove goes on after the end was told.
    let start = std::time::Instant::now();
    while Path::new(run.stdout().trim()).exists() {
        assert!(start.elapsed() < crate::support::DEADLINE, "the folder stays");
        std::thread::yield_now();
    }
    let parent = Path::new(run.stdout().trim()).parent().expect("a parent").to_path_buf();
    assert!(parent.exists());
}
