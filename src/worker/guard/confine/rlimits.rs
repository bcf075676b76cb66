//! Resource limits: what everything below a guard shares, and what each execution gets just before its script arrives.

use airlock_actors::domain::RunLimits;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::layers::{Layer, RLIMITS};

/// Processes and threads of a worker that are not any execution's (guard, keeper, fork server, those forked ahead), and room for
/// a bomb until the guard has seen it: its siblings, who share the user, can start processes meanwhile.
const WORKER_PROCESSES: u64 = 16 + 256;

/// Fewer open files than this an execution can't be held to: it may still be at its preparations, with what the fork server
/// has open, when its limits are set.
const FEWEST_OPEN_FILES: u64 = 128;

/// More than this many processes a worker never may have, whatever its executions add up to.
pub(crate) const MOST_PROCESSES: u64 = 32 * 1024;

/// For the fork server and so for all: no core dumps, which would hold settings, and as many open files as there may be.
pub(super) fn for_everything() -> Layer {
    match no_core_dumps().and_then(|()| open_files_to_hard_limit()) {
        Ok(()) => Layer::active(RLIMITS, ""),
        Err(error) => Layer::missing(RLIMITS, error.to_string()),
    }
}

/// A core dump would hold settings.
pub(crate) fn no_core_dumps() -> Result<(), Errno> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
}

/// Each execution costs guard and fork server a few descriptors.
pub(crate) fn open_files_to_hard_limit() -> Result<(), Errno> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
}

/// One limit of an execution: the soft one, and the hard one, which nobody below may raise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExecutionLimit {
    /// Which.
    pub(crate) resource: Resource,
    /// Where it is enforced.
    pub(crate) soft: u64,
    /// Up to where the execution itself may raise it.
    pub(crate) hard: u64,
}

/// What an execution's process gets. `processes`: how many its user may have in total; `None` leaves that as it is.
pub(crate) fn for_execution(limits: &RunLimits, processes: Option<u64>) -> Vec<ExecutionLimit> {
    let both = |resource, value| ExecutionLimit { resource, soft: value, hard: value };
    let mut all = vec![
        // The heap and private mappings: Python raises MemoryError when it is reached.
        both(Resource::RLIMIT_DATA, limits.memory_bytes),
        // SIGXCPU at the soft limit; a script that ignores it is killed a second later.
        ExecutionLimit {
            resource: Resource::RLIMIT_CPU,
            soft: limits.cpu_seconds,
            hard: limits.cpu_seconds.saturating_add(1),
        },
        both(Resource::RLIMIT_NOFILE, limits.open_files.max(FEWEST_OPEN_FILES)),
        both(Resource::RLIMIT_FSIZE, limits.tmp_bytes),
        both(Resource::RLIMIT_CORE, 0),
    ];
    // The hard limit stays, so that the guard may raise the soft one when more executions share the user; the filter keeps
    // scripts from doing so themselves.
    all.extend(processes.map(|soft| ExecutionLimit { resource: Resource::RLIMIT_NPROC, soft, hard: MOST_PROCESSES }));
    all
}

/// How many processes and threads the worker's user may have, as each of `executions` may add `each`. The kernel counts by
/// user, not by execution: what bounds one alone is exact, what bounds one among many is their sum. Goes up in powers of
/// two, so that running executions need to be told seldom.
pub(crate) fn processes_of_user(executions: usize, each: u64) -> u64 {
    let executions = u64::try_from(executions.max(1).next_power_of_two()).unwrap_or(u64::MAX);
    executions.saturating_mul(each).saturating_add(WORKER_PROCESSES).min(MOST_PROCESSES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_has_a_second_between_the_signal_and_the_end() {
        let all = for_execution(&RunLimits::DEFAULT, None);
        let cpu = all.iter().find(|limit| limit.resource == Resource::RLIMIT_CPU).expect("is there");
        assert_eq!((cpu.soft, cpu.hard), (60, 61));
        assert!(all.iter().all(|limit| limit.resource != Resource::RLIMIT_NPROC));
    }

    #[test]
    fn the_users_processes_grow_with_its_executions_and_have_a_bound() {
        assert_eq!(processes_of_user(1, 64), 64 + 272);
        assert_eq!(processes_of_user(3, 64), processes_of_user(4, 64));
        assert_eq!(processes_of_user(5_000, 64), MOST_PROCESSES);
        assert_eq!(processes_of_user(usize::MAX / 4, u64::MAX), MOST_PROCESSES);
    }
}
