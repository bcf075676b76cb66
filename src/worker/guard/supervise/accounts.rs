//! Whose turn it is to be measured.

use std::time::Instant;

use super::Guard;
use crate::worker::guard::accounting::{PERIOD, TURN, beyond_processes};
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
}
