//! The turnover of processes: those that are gone are settled and reported, and new ones are forked ahead.

use std::time::Instant;

use airlock_actors::domain::ErrorType;
use airlock_actors::ports::OutputStream;

use super::{Guard, REMOVALS_PER_TURN, RETRY_AFTER, end_unstarted};
use crate::worker::guard::egress::{Left, explained};
use crate::worker::guard::execution::{Execution, failure};
use crate::worker::guard::uplink::Uplink;
use crate::worker::guard::{descendants, say};
use crate::worker::protocol::{Ended, FromGuard, Outcome, Piece};

impl Guard {
    /// Reports the executions that are gone, once nothing that they started is left (WK-2).
    pub(super) fn settle_gone(&mut self, uplink: &mut Uplink) {
        if self.gone.is_empty() || self.reap().is_err() || self.orphans_left() {
            return;
        }
        for fork in std::mem::take(&mut self.gone) {
            if !self.egress.as_mut().is_none_or(|egress| egress.is_settled(fork)) {
                self.gone.push(fork);
                continue;
            }
            let Some(execution) = self.executions.get_mut(&fork) else { continue };
            match execution.remove_folder(&self.tmp_folder, REMOVALS_PER_TURN) {
                Ok(false) if !execution.removal_takes_long() => {
                    self.gone.push(fork);
                    continue;
                }
                // Its end is not held up by a folder that was filled to do that.
                Ok(false) => self.removals.extend(execution.removal.take()),
                Ok(true) => {}
                Err(error) => say(&format!("a temporary folder can't be removed: {error}")),
            }
            if let Some(mut execution) = self.executions.remove(&fork) {
                // Later in this turn, once the end is on its way: it waits for any process that enters a group meanwhile.
                self.groups_left.extend(execution.take_group());
                let left = self.egress.as_mut().map(|egress| egress.end(fork));
                self.report(execution, left.unwrap_or_default(), uplink);
            }
        }
    }

    /// Goes on with removals of folders and control groups whose executions were reported (CG-3).
    pub(super) fn go_on_removing(&mut self) {
        self.groups_left.retain(|group| !group.remove());
        self.removals.retain_mut(|removal| match removal.step(REMOVALS_PER_TURN) {
            Ok(done) => !done,
            Err(error) => {
                say(&format!("a temporary folder can't be removed: {error}"));
                false
            }
        });
    }

    /// Kills what lives below the guard and not below the fork server: it was left by executions that are gone.
    fn orphans_left(&mut self) -> bool {
        let fork_server = self.fork_server.pid();
        let orphans = descendants::own_children().into_iter().filter(|&pid| pid != fork_server).collect::<Vec<_>>();
        orphans.iter().copied().for_each(descendants::kill_tree);
        !orphans.is_empty()
    }

    fn report(&mut self, mut execution: Execution, left: Left, uplink: &mut Uplink) {
        let Some((token, _)) = execution.run else { return };
        self.by_token.remove(&token);
        let scratch = &mut self.scratch;
        let mut dropped = [None, None];
        let streams = [(execution.stdout, OutputStream::Stdout), (execution.stderr, OutputStream::Stderr)];
        for ((mut capture, stream), dropped) in streams.into_iter().zip(&mut dropped) {
            capture.drain(scratch, |head| uplink.send_part(token, Piece::Head(stream), head));
            let (missing, tail) = capture.into_tail();
            // With nothing missing, the tail is the rest of the head.
            let piece = if missing == 0 { Piece::Head(stream) } else { Piece::Tail(stream) };
            *dropped = (missing > 0).then_some(missing);
            let (front, back) = tail.as_slices();
            uplink.send_part(token, piece, front);
            uplink.send_part(token, piece, back);
        }
        let outcome = execution.outcome.take().unwrap_or(Outcome::Killed);
        let outcome = match left.last_refusal {
            Some(refusal) => explained(outcome, &refusal),
            None => outcome,
        };
        let result = execution.channel.into_result();
        if let Some(result) = &result {
            uplink.send_part(token, Piece::Result, result.as_bytes());
        }
        let [stdout_dropped, stderr_dropped] = dropped;
        let usage = execution.usage;
        let has_result = result.is_some();
        let egress = left.seen;
        let ended = Ended { token, outcome, has_result, stdout_dropped, stderr_dropped, usage, egress };
        uplink.send(&FromGuard::Ended(Box::new(ended)));
    }

    /// Sees to it that processes wait: at once for runs that are queued, else when it disturbs nobody.
    pub(super) fn refill(&mut self, uplink: &mut Uplink) -> Result<(), String> {
        let available = self.waiting.len() + self.forking;
        let due = self.refill_at.is_none_or(|at| at <= Instant::now());
        let idle = self.by_token.is_empty() && self.refill_at.is_none_or(|_| self.forking == 0);
        let wanted = if due || idle || self.waiting.is_empty() { self.forked_ahead } else { 0 };
        let missing = (wanted + self.queue.len()).saturating_sub(available);
        if due {
            self.refill_at = None;
        }
        for _ in 0..missing {
            if let Err(why) = self.fork_one() {
                say(&why);
                self.refill_at = Some(Instant::now() + RETRY_AFTER);
                if let Some(queued) = self.queue.pop_front() {
                    let text = format!("WorkerUnavailable: {why}; try again");
                    end_unstarted(uplink, queued.token, failure(ErrorType::WorkerUnavailable, text));
                }
                break;
            }
        }
        Ok(())
    }

    fn fork_one(&mut self) -> Result<(), String> {
        self.last_fork += 1;
        let (execution, descriptors) = Execution::prepare(&self.tmp_folder, self.groups.as_ref(), self.last_fork)?;
        let folder = execution.folder_path(&self.tmp_root);
        self.executions.insert(self.last_fork, execution);
        self.forking += 1;
        self.fork_server.fork(self.last_fork, &folder, descriptors)
    }
}
