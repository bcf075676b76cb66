//! What an execution uses as a whole: memory, processor time, processes and temporary space of all its processes.
//!
//! The kernel limits each process (`confine/rlimits.rs`), and counts processes by user. What a script spreads over several is
//! added up here: a sample of each running execution every [`PERIOD`], and the execution is ended when a sum is beyond its
//! limit. That needs no privilege and no control group, so it holds in a plain container; it is exact to what can be
//! taken between two samples. Where the kernel holds an execution to its memory by a control group (`worker/cgroup`), that sum is
//! only reported.
//!
//! - `processes`: one process, from `/proc`; `space`: the temporary folder, and files that have lost their names.
//!
//! Invariants:
//!
//! - **AC-1** A turn of samples takes at most about [`TURN`], however many executions run: the rest get the next turn.
//! - **AC-2** What can't be read counts as nothing, and never as another's.
//! - **AC-3** A limit is reached only beyond it: an execution that uses exactly what it may is never ended.

mod processes;
pub(crate) mod space;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use airlock_actors::domain::{ErrorType, RunLimits};
use nix::unistd::Pid;

use self::processes::{Sample, Tree};
use self::space::{Folder, Scan};
use super::execution::failure;
use crate::worker::protocol::Outcome;

/// Time between two samples of an execution, while few run.
pub(crate) const PERIOD: Duration = Duration::from_millis(25);
/// Longest time spent on samples at a time.
pub(crate) const TURN: Duration = Duration::from_millis(2);
/// Time between two looks at what takes longer to find out: temporary files, shared memory.
const PERIOD_OF_CLOSER_LOOKS: Duration = Duration::from_millis(100);
/// Longest time spent on temporary files at a time.
const TURN_OF_SCAN: Duration = Duration::from_millis(4);
/// They rest at least so many times the time that they take.
const REST_BETWEEN_LOOKS: u32 = 20;
/// Most files and folders that an execution may have in its temporary folder: names cost a file system, too.
const MOST_FILES: u64 = 10_000;

/// Sums of one execution, kept from sample to sample.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Processor time of processes that are gone and that nobody waited for, as last seen, in milliseconds.
    past_cpu_ms: u64,
    /// The processes of the last sample: each one's processor time, with that of children it waited for, and the latter alone.
    seen: HashMap<Pid, (u64, u64)>,
    /// Highest sums so far.
    pub(crate) cpu_ms: u64,
    pub(crate) memory_bytes: u64,
    scan: Scan,
    nameless_bytes: u64,
    closer_at: Option<Instant>,
}

impl Meter {
    /// Takes a sample of the execution whose process is `root`. `folder`: its temporary folder. `memory_held`: the kernel holds
    /// it to its limit of memory, so that is not looked at here. Says how it ends, if it is beyond a limit.
    pub(crate) fn sample(
        &mut self,
        root: Pid,
        folder: Folder<'_>,
        limits: &RunLimits,
        memory_held: bool,
    ) -> Option<Outcome> {
        let tree = Tree::below(root, limits.processes);
        let tasks = tree.samples.iter().map(|one| one.threads).sum::<u64>();
        if tasks > limits.processes {
            return Some(beyond_processes(limits));
        }
        self.add_cpu(&tree.samples);
        if self.cpu_ms > limits.cpu_seconds.saturating_mul(1000).saturating_add(CPU_GRACE_MS) {
            return Some(beyond_cpu(limits));
        }
        let memory = memory_in_processes(&tree, limits.memory_bytes.saturating_add(ALWAYS_THERE));
        self.memory_bytes = self.memory_bytes.max(memory);
        if !memory_held && memory > limits.memory_bytes.saturating_add(ALWAYS_THERE) {
            return Some(beyond_memory(limits));
        }
        self.look_closer(&tree, folder, limits, memory_held)
    }

    /// Adds the time of all: what a process that is gone had used stays, unless its parent has it among its children's.
    fn add_cpu(&mut self, samples: &[Sample]) {
        let now = samples.iter().map(|one| (one.pid, (one.cpu_ms, one.waited_for_ms))).collect::<HashMap<_, _>>();
        let gone = self.seen.iter().filter(|(pid, _)| !now.contains_key(pid)).map(|(_, (cpu, _))| cpu).sum::<u64>();
        let waited_before = |pid| self.seen.get(&pid).map_or(0, |(_, waited)| *waited);
        let taken_over =
            samples.iter().map(|one| one.waited_for_ms.saturating_sub(waited_before(one.pid))).sum::<u64>();
        self.past_cpu_ms += gone.saturating_sub(taken_over);
        let alive = now.values().map(|(cpu, _)| cpu).sum::<u64>();
        self.cpu_ms = self.cpu_ms.max(self.past_cpu_ms + alive);
        self.seen = now;
    }

    /// Space, and memory that is in no process: what costs more to find out is looked at less often.
    fn look_closer(
        &mut self,
        tree: &Tree,
        folder: Folder<'_>,
        limits: &RunLimits,
        memory_held: bool,
    ) -> Option<Outcome> {
        let begin = Instant::now();
        if self.closer_at.is_some_and(|at| at > begin) {
            return None;
        }
        if !memory_held {
            let memory = memory_with_shared(tree, limits.memory_bytes.saturating_add(ALWAYS_THERE));
            self.memory_bytes = self.memory_bytes.max(memory);
            if memory > limits.memory_bytes.saturating_add(ALWAYS_THERE) {
                return Some(beyond_memory(limits));
            }
        }
        let mut nameless = HashSet::new();
        self.nameless_bytes = tree.samples.iter().map(|one| space::without_name(one.pid, &mut nameless)).sum::<u64>();
        if self.scan.go_on(folder, TURN_OF_SCAN) {
            let rest = begin.elapsed() * REST_BETWEEN_LOOKS;
            self.closer_at = Some(Instant::now() + rest.max(PERIOD_OF_CLOSER_LOOKS));
        }
        match () {
            () if self.scan.bytes().saturating_add(self.nameless_bytes) > limits.tmp_bytes => {
                Some(beyond_space(limits))
            }
            () if self.scan.files() > MOST_FILES => Some(too_many_files()),
            () => None,
        }
    }
}

/// What a process that is limited by the kernel may go over before it is ended here: the kernel comes first.
const CPU_GRACE_MS: u64 = 500;

/// Memory that a script finds: the interpreter and its modules, of which it has its share. RLIMIT_DATA allows as much on top.
pub(crate) const ALWAYS_THERE: u64 = 48 << 20;

/// An upper bound first, which is cheap; only if that is beyond the limit, what is shared is told from what is not.
fn memory_in_processes(tree: &Tree, limit: u64) -> u64 {
    let resident = tree.samples.iter().map(|one| one.resident).sum::<u64>();
    if resident <= limit {
        return resident;
    }
    tree.samples.iter().map(|one| processes::memory(one.pid, None)).sum()
}

/// Shared memory need not be resident in any process to be there, but has to be mapped by one.
fn memory_with_shared(tree: &Tree, limit: u64) -> u64 {
    let mapped = tree.samples.iter().map(|one| one.mapped).sum::<u64>();
    if mapped <= limit {
        return 0;
    }
    let mut shared = HashMap::new();
    let own = tree.samples.iter().map(|one| processes::memory(one.pid, Some(&mut shared))).sum::<u64>();
    own.saturating_add(shared.values().sum())
}

/// True where processes can be looked at: this one, at least.
pub(crate) fn works() -> bool {
    !Tree::below(nix::unistd::getpid(), 1).samples.is_empty()
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

/// How a limit is raised, and by whom.
fn raise(member: &str, flag: &str) -> String {
    format!("a person can raise `{member}` in the profile's limits, or {flag} for all profiles")
}

pub(crate) fn beyond_memory(limits: &RunLimits) -> Outcome {
    let text = format!(
        "MemoryLimit: the script and what it started used more than their {} MiB of memory; use less at a time, or {}",
        mib(limits.memory_bytes),
        raise("memory_bytes", "--memory")
    );
    failure(ErrorType::MemoryLimit, text)
}

pub(crate) fn beyond_cpu(limits: &RunLimits) -> Outcome {
    let text = format!(
        "CpuLimit: the script and what it started used their {} seconds of processor time up; do less, or {}",
        limits.cpu_seconds,
        raise("cpu_seconds", "--cpu-seconds")
    );
    failure(ErrorType::CpuLimit, text)
}

pub(crate) fn beyond_processes(limits: &RunLimits) -> Outcome {
    let text = format!(
        "ProcessLimit: the script went on starting more than its {} processes and threads; start fewer at a time, or {}",
        limits.processes,
        raise("processes", "--processes")
    );
    failure(ErrorType::ProcessLimit, text)
}

fn beyond_space(limits: &RunLimits) -> Outcome {
    let text = format!(
        "DiskLimit: the script's temporary files took more than their {} MiB; write less, delete what is done with, or {}",
        mib(limits.tmp_bytes),
        raise("tmp_bytes", "--tmp-space")
    );
    failure(ErrorType::DiskLimit, text)
}

fn too_many_files() -> Outcome {
    let text = format!(
        "DiskLimit: the script had more than {MOST_FILES} temporary files and folders; use fewer and larger ones, or an archive"
    );
    failure(ErrorType::DiskLimit, text)
}

/// What an exception that tells of a limit leaves out: which limit, and how it is raised.
pub(crate) fn explained(error_type: &str, error: &str, limits: &RunLimits) -> Option<String> {
    let is = |kind: &str, part: &str| error_type == kind && error.contains(part);
    let any_os_error = |part: &str| ["OSError", "BlockingIOError", "URLError"].iter().any(|kind| is(kind, part));
    let (limit, member, flag) = match () {
        () if error_type == "MemoryError" => {
            (format!("{} MiB of memory", mib(limits.memory_bytes)), "memory_bytes", "--memory")
        }
        () if any_os_error("[Errno 24]") => (format!("{} open files", limits.open_files), "open_files", "--open-files"),
        () if any_os_error("[Errno 27]") => {
            (format!("{} MiB of temporary files", mib(limits.tmp_bytes)), "tmp_bytes", "--tmp-space")
        }
        () if any_os_error("[Errno 11]") || is("RuntimeError", "can't start new thread") => {
            (format!("{} processes and threads", limits.processes), "processes", "--processes")
        }
        () => return None,
    };
    Some(format!("{error}; the limit is {limit}: {}", raise(member, flag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(pid: i32, own_ms: u64, waited_for_ms: u64) -> Sample {
        let cpu_ms = own_ms + waited_for_ms;
        Sample { pid: Pid::from_raw(pid), cpu_ms, waited_for_ms, threads: 1, resident: 0, mapped: 0 }
    }

    #[test]
    fn time_of_processes_that_are_gone_is_kept() {
        let mut meter = Meter::default();
        meter.add_cpu(&[one(1, 100, 0), one(2, 50, 0)]);
        assert_eq!(meter.cpu_ms, 150);
        // Nobody waited for 2.
        meter.add_cpu(&[one(1, 110, 0)]);
        assert_eq!(meter.cpu_ms, 160);
        meter.add_cpu(&[one(1, 110, 0), one(3, 40, 0)]);
        assert_eq!(meter.cpu_ms, 200);
    }

    #[test]
    fn time_of_children_that_were_waited_for_is_counted_once() {
        let mut meter = Meter::default();
        meter.add_cpu(&[one(1, 100, 0), one(2, 50, 0)]);
        meter.add_cpu(&[one(1, 100, 60)]);
        assert_eq!(meter.cpu_ms, 160);
    }

    #[test]
    fn exceptions_that_tell_of_a_limit_are_explained_and_no_others() {
        let explained = |kind, text| explained(kind, text, &RunLimits::DEFAULT);
        for (kind, text, part) in [
            ("MemoryError", "MemoryError (line 1)", "512 MiB of memory"),
            ("OSError", "OSError: [Errno 24] Too many open files: 'x' (line 2)", "1024 open files"),
            ("OSError", "OSError: [Errno 27] File too large (line 2)", "100 MiB of temporary files"),
            (
                "BlockingIOError",
                "BlockingIOError: [Errno 11] Resource temporarily unavailable (line 1)",
                "64 processes",
            ),
            ("RuntimeError", "RuntimeError: can't start new thread (line 1)", "64 processes"),
        ] {
            let error = explained(kind, text).expect("is explained");
            assert!(error.starts_with(text) && error.contains(part) && error.contains("a person can raise"), "{error}");
        }
        for (kind, text) in
            [("OSError", "OSError: [Errno 2] x"), ("ValueError", "ValueError: [Errno 24]"), ("RuntimeError", "x")]
        {
            assert_eq!(explained(kind, text), None);
        }
    }

    #[test]
    fn each_error_names_its_limit_and_who_can_raise_it() {
        let limits =
            RunLimits { memory_bytes: 7 << 20, cpu_seconds: 3, processes: 5, tmp_bytes: 9 << 20, ..RunLimits::DEFAULT };
        for (outcome, number, member, flag) in [
            (beyond_memory(&limits), "7 MiB", "memory_bytes", "--memory"),
            (beyond_cpu(&limits), "3 seconds", "cpu_seconds", "--cpu-seconds"),
            (beyond_processes(&limits), "5 processes", "processes", "--processes"),
            (beyond_space(&limits), "9 MiB", "tmp_bytes", "--tmp-space"),
        ] {
            let Outcome::Failed { error, .. } = outcome else { panic!("no failure") };
            assert!([number, member, flag, "person"].iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
