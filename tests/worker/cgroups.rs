//! Control groups: the kernel's own limits of an execution as a whole, where the machine lets Airlock make them (CG-1 to
//! CG-3).

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use airlock_actors::domain::RunLimits;

use crate::lifecycle::another_process;
use crate::support::{DEADLINE, Worker, tree_below};

const MIB: u64 = 1 << 20;
/// What the interpreter's own memory is allowed on top.
const ON_TOP: u64 = 48 * MIB;

/// The groups that `pid` is in: those of memory and of processes, which in version 2 are one.
fn groups_of(pid: i32) -> Option<[PathBuf; 2]> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let group = |controller: &str| {
        let line = text.lines().find_map(|line| line.split_once(&format!(":{controller}:")).map(|(_, path)| path))?;
        Some(Path::new("/sys/fs/cgroup").join(controller).join(line.trim_start_matches('/')))
    };
    match (group("memory"), group("pids")) {
        (Some(memory), Some(processes)) => Some([memory, processes]),
        _ => group("").map(|unified| [unified.clone(), unified]),
    }
}

/// True where groups of version 1 can be made here, by trying: then the tests below have to see them used.
fn can_be_made() -> bool {
    let Some(own) = groups_of(i32::try_from(std::process::id()).expect("fits")) else { return false };
    if own[0] == own[1] {
        return false;
    }
    static TRIALS: AtomicU64 = AtomicU64::new(0);
    let name = format!("airlock-test-{}-{}", std::process::id(), TRIALS.fetch_add(1, Ordering::Relaxed));
    let trial = own.map(|group| group.join(&name));
    let made = trial.iter().all(|folder| std::fs::create_dir(folder).is_ok());
    trial.iter().for_each(|folder| drop(std::fs::remove_dir(folder)));
    made
}

/// Whether `worker` has groups: it must where they can be made, and else say why it has none.
fn used(worker: &Worker) -> bool {
    let layer = worker.worker.info.layers.iter().find(|layer| layer.name == "control groups").expect("is shown");
    if can_be_made() {
        assert!(layer.active, "{}", layer.detail);
    }
    assert!(!layer.detail.is_empty() && !layer.turn_on.is_empty() && !layer.floor);
    layer.active
}

fn number(folder: &Path, name: &str) -> u64 {
    let text = std::fs::read_to_string(folder.join(name)).expect("can be read");
    text.trim().parse().expect("a number")
}

/// Four processes that each stay below the limit of one, and say of each MiB that they have it. Shared, so that it stays when one of
/// them is killed: what they said adds up to what was held at a time.
const TOGETHER: &str = "import mmap, os, signal
held = mmap.mmap(-1, 4 * 64 << 20)
r, w = os.pipe()
for part in range(4):
    if os.fork() == 0:
        os.read(r, 1)
        for mib in range(part * 64, (part + 1) * 64):
            held[mib << 20:mib + 1 << 20] = bytes(1 << 20)
            os.write(1, b'x')
        signal.pause()
os.write(w, b'gogo')
";

#[tokio::test]
async fn an_execution_of_many_processes_is_held_to_its_sum_to_the_byte() {
    let worker = Worker::launch().await;
    if !used(&worker) {
        return;
    }
    let limits = RunLimits { memory_bytes: 128 * MIB, processes: 9, ..RunLimits::DEFAULT };
    for ending in
        ["signal.pause()", "for _ in range(4): os.wait()", "os.wait(); os._exit(0)", "os.wait(); set_result(1)"]
    {
        let run = worker.start_with(&format!("{TOGETHER}{ending}"), &[], limits).end().await;
        assert_eq!(run.outcome(), "MemoryLimit", "{ending}: {}", run.error());
        assert!(
            run.error().contains("128 MiB of memory") && run.error().contains("a person can raise"),
            "{}",
            run.error()
        );
        let held = run.stdout().matches('x').count() as u64 * MIB;
        assert!(held <= limits.memory_bytes + ON_TOP, "{ending}: {} MiB were held at a time", held / MIB);
        assert!(held >= limits.memory_bytes / 2, "{ending}: ended at {} MiB", held / MIB);
    }
}

#[tokio::test]
async fn an_execution_has_a_group_of_its_own_with_its_limits_and_it_goes_with_it() {
    let worker = Worker::launch().await;
    if !used(&worker) {
        return;
    }
    let limits = RunLimits { memory_bytes: 100 * MIB, processes: 9, ..RunLimits::DEFAULT };
    let script = "import os, signal\nprint(os.getpid(), flush=True)\nsignal.pause()";
    let mut groups = Vec::new();
    let mut runs = Vec::new();
    for _ in 0..2 {
        let mut run = worker.start_with(script, &[], limits);
        run.until_printed("\n").await;
        let pid = String::from_utf8_lossy(&run.stdout).trim().parse().expect("a pid");
        let [memory, processes] = groups_of(pid).expect("has groups");
        assert!(memory.to_string_lossy().contains("/airlock-worker-"), "{memory:?}");
        let of_memory = if memory == processes { "memory.max" } else { "memory.limit_in_bytes" };
        assert_eq!(number(&memory, of_memory), limits.memory_bytes + ON_TOP);
        assert_eq!(number(&processes, "pids.max"), limits.processes);
        let inside = std::fs::read_to_string(memory.join("cgroup.procs")).expect("can be read");
        assert_eq!(inside.trim(), pid.to_string(), "nobody else is in it");
        groups.extend([memory, processes]);
        runs.push(run);
    }
    assert_ne!(groups[0], groups[2], "each has its own");
    for run in runs {
        worker.link().kill(run.token);
        assert_eq!(run.end().await.outcome(), "killed");
    }
    let begin = Instant::now();
    while groups.iter().any(|group| group.exists()) {
        // Removed once the end was told: by the time another has come and gone, but for a kernel that takes its time.
        assert!(begin.elapsed() < DEADLINE, "a group outlived its execution");
        worker.run("").await;
    }
    let folders = groups.iter().map(|group| group.parent().expect("has one").to_owned()).collect::<Vec<_>>();
    assert!(folders.iter().all(|folder| folder.exists()));
    let Worker { worker, base: _, _home, .. } = worker;
    worker.link.shutdown();
    tokio::time::timeout(DEADLINE, worker.exited).await.expect("in time");
    assert!(folders.iter().all(|folder| !folder.exists()), "a worker's groups outlived it");
}

#[tokio::test]
async fn a_group_that_can_not_be_had_any_more_ends_the_execution_unrun() {
    let worker = Worker::launch().await;
    if !used(&worker) {
        return;
    }
    let mut run = worker.start("import os, signal\nprint(os.getpid(), flush=True)\nsignal.pause()");
    run.until_printed("\n").await;
    let pid = String::from_utf8_lossy(&run.stdout).trim().parse().expect("a pid");
    let [_, group] = groups_of(pid).expect("has groups");
    let worker_folder = group.parent().expect("has one").to_owned();
    // The guard can make no other group from now on.
    std::fs::set_permissions(&worker_folder, std::os::unix::fs::PermissionsExt::from_mode(0o500)).expect("changed");
    let mut outcomes = Vec::new();
    for _ in 0..8 {
        let run = worker.run("print('ran')").await;
        assert_eq!(run.stdout().is_empty(), run.outcome() == "SandboxFailed", "{}", run.error());
        outcomes.push(run.outcome().to_owned());
    }
    assert_eq!(outcomes.last().map(String::as_str), Some("SandboxFailed"), "{outcomes:?}");
    std::fs::set_permissions(&worker_folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("changed");
}

#[tokio::test]
async fn what_a_killed_server_left_is_gone_when_the_next_has_a_worker() {
    if !can_be_made() {
        return;
    }
    let mut server = another_process("lifecycle::launches_and_waits", None);
    let mut lines = BufReader::new(server.stdout.take().expect("piped")).lines();
    lines.find(|line| line.as_ref().expect("text").ends_with("WAITING")).expect("gets there").expect("text");
    let all = tree_below(i32::try_from(server.id()).expect("fits"));
    let groups = all.into_iter().filter_map(groups_of).flatten();
    let groups = groups.filter(|group| group.to_string_lossy().contains("/execution-")).collect::<Vec<_>>();
    assert!(groups.len() >= 2, "{groups:?}");
    assert!(groups.iter().all(|group| group.exists()));
    server.kill().expect("killed");
    server.wait().expect("ended");
    let begin = Instant::now();
    loop {
        drop(Worker::launch().await);
        let folders = groups.iter().map(|group| group.parent().expect("has one"));
        if folders.into_iter().all(|folder| !folder.exists()) {
            break;
        }
        // Another test's worker may be at it at this moment.
        assert!(begin.elapsed() < DEADLINE, "groups of a killed server stayed");
    }
}

/// What the system's own checks would let a script do, as its user owns the groups.
const ESCAPE: &str = "import os, stat
def refused(act):
    try:
        act()
    # The second where scripts have a file tree of their own.
    except (PermissionError, FileNotFoundError):
        return True
    return False
def is_file(descriptor):
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False
group = settings['GROUP']
folder = os.path.dirname(group)
set_result([
    refused(lambda: open(group + '/cgroup.procs', 'w').write('0')),
    refused(lambda: open(group + '/' + settings['LIMIT'], 'w').write('-1')),
    refused(lambda: os.mkdir(folder + '/mine')),
    refused(lambda: os.rmdir(folder + '/execution-1')),
    refused(lambda: os.listdir(folder)),
    any(map(is_file, range(200))),
])";

#[tokio::test]
async fn a_script_changes_no_group_and_keeps_no_way_into_one() {
    let worker = Worker::launch().await;
    if !used(&worker) {
        return;
    }
    let mut sibling = worker.start("import os, signal\nprint(os.getpid(), flush=True)\nsignal.pause()");
    sibling.until_printed("\n").await;
    let pid = String::from_utf8_lossy(&sibling.stdout).trim().parse().expect("a pid");
    let [memory, processes] = groups_of(pid).expect("has groups");
    let owner = |path: &Path| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).expect("is there"));
    let limit = if memory == processes { "memory.max" } else { "memory.limit_in_bytes" };
    let user = owner(Path::new(&format!("/proc/{pid}")));
    assert_eq!(
        (owner(&memory.join("cgroup.procs")), owner(&memory.join(limit))),
        (user, user),
        "there is something to refuse"
    );
    let group = memory.to_str().expect("text");
    let run = worker.start_with(ESCAPE, &[("GROUP", group), ("LIMIT", limit)], RunLimits::DEFAULT).end().await;
    assert_eq!(run.value(), serde_json::json!([true, true, true, true, true, false]));
    worker.link().kill(sibling.token);
    sibling.end().await;
}
