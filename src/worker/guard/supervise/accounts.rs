//! Whose turn it is to be measured, and how many processes the worker's user may have.

use std::time::Instant;

use nix::sys::resource::Resource;

use super::Guard;
use crate::worker::guard::accounting::{PERIOD, TURN, beyond_processes};
use crate::worker::guard::confine::rlimits::{ExecutionLimit, processes_of_user};
use crate::worker::guard::egress::Egress;
use crate::worker::guard::execution::Phase;

impl Guard {
    /// An execution runs from now on.
    pub(super) fn begin_to_measure(&mut self, fork: u64) {
        self.measured.push_back(fork);
        self.measure_at.get_or_insert_with(|| Instant::now() + PERIOD);
    }

    /// Measures those whose turn it is, for as long as a turn may take (AC-1).
    pub(super) fn measure(&mut self) {
        while let Some(fork) = self.egress.as_mut().and_then(Egress::next_bomb) {
            let Some(execution) = self.executions.get_mut(&fork) else { continue };
            let Some((_, limits)) = execution.run else { continue };
            execution.end_by_force(beyond_processes(&limits));
        }
        let begin = Instant::now();
        if self.measure_at.is_none_or(|at| at > begin) {
            return;
        }
        for _ in 0..self.measured.len() {
            let Some(fork) = self.measured.pop_front() else { break };
            let Some(execution) = self.executions.get_mut(&fork).filter(|one| one.phase == Phase::Running) else {
                continue;
            };
            execution.measure(&self.tmp_folder);
            self.measured.push_back(fork);
            if begin.elapsed() > TURN {
                break;
            }
        }
        self.measure_at = (!self.measured.is_empty()).then(|| Instant::now() + PERIOD);
    }

    /// The user's limit of processes when `running` executions share it; those that run are told when it goes up.
    pub(super) fn tell_processes(&mut self, running: usize, each: u64) -> u64 {
        let processes = processes_of_user(running, each);
        if processes > self.processes_told {
            self.processes_told = processes;
            for execution in self.executions.values().filter(|one| one.phase == Phase::Running) {
                let hard = processes_of_user(usize::MAX >> 1, u64::MAX);
                let limit = ExecutionLimit { resource: Resource::RLIMIT_NPROC, soft: processes, hard };
                let _ = execution.limit(limit);
            }
        }
        if running == 1 {
            self.processes_told = processes;
        }
        processes
    }
}
