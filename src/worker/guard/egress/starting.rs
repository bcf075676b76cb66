//! Processes and threads of an execution: each start is asked for, and granted while there are fewer than it may have. So the
//! limit is exact, in a plain container too, and a bomb takes nothing from its siblings, who share the user that the kernel
//! counts by.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::Egress;
use super::notify::Call;
use crate::worker::guard::descendants;

/// A start that was granted has become a process by then, whatever the machine is at.
const UNDER_WAY: Duration = Duration::from_millis(20);
/// How long a count is good for once the limit is reached: whoever asks on and on does not make the guard count on and on.
const COUNT_STAYS: Duration = Duration::from_millis(5);
/// Refusals after which an execution is taken for a bomb.
const MOST_REFUSALS: u32 = 100;

/// True for the calls that start a process or thread.
pub(super) fn is_start(call: i64) -> bool {
    #[cfg(target_arch = "x86_64")]
    let other = call == libc::SYS_fork || call == libc::SYS_vfork;
    #[cfg(not(target_arch = "x86_64"))]
    let other = false;
    other || call == libc::SYS_clone
}

/// What one execution has started.
pub(super) struct Starts {
    main: Pid,
    most: u64,
    /// By the thread that asked: when. A thread is at one start at a time.
    granted: HashMap<i32, Instant>,
    full_until: Option<Instant>,
    refused: u32,
}

impl Starts {
    pub(super) fn new(main: i32, most: u64) -> Self {
        Self { main: Pid::from_raw(main), most, granted: HashMap::new(), full_until: None, refused: 0 }
    }

    /// Whether `thread` may start another one, as `count` counts those that there are, up to a bound.
    fn ask(&mut self, thread: i32, now: Instant, count: impl FnOnce(Pid, u64) -> u64) -> bool {
        if self.full_until.is_none_or(|until| until <= now) {
            self.granted.retain(|_, at| *at + UNDER_WAY > now);
            // What this very thread was granted before is done: it asks again.
            self.granted.remove(&thread);
            let under_way = u64::try_from(self.granted.len()).unwrap_or(u64::MAX);
            if count(self.main, self.most).saturating_add(under_way) < self.most {
                self.granted.insert(thread, now);
                return true;
            }
            self.full_until = Some(now + COUNT_STAYS);
        }
        self.refused = self.refused.saturating_add(1);
        false
    }
}

impl Egress {
    /// Answers a call that starts a process or thread.
    pub(super) fn on_start(&mut self, call: &Call) {
        // Whoever is not a script's: the fork server, and a process that waits for its script.
        let fork = self.fork_of(call.thread);
        let Some((fork, script)) = fork.and_then(|fork| Some((fork, self.scripts.get_mut(&fork)?))) else {
            return self.listener.let_pass(call.id);
        };
        if script.starts.ask(call.thread, Instant::now(), descendants::tasks_below) {
            return self.listener.let_pass(call.id);
        }
        if script.starts.refused == MOST_REFUSALS {
            self.bombs.push(fork);
        }
        self.listener.answer(call.id, Err(Errno::EAGAIN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_that_fits_is_granted_and_one_more_is_not() {
        let now = Instant::now();
        let mut starts = Starts::new(1, 4);
        assert!(starts.ask(1, now, |_, _| 3));
        assert!(!starts.ask(1, now, |_, _| 4));
        assert_eq!(starts.refused, 1);
        // Not counted again at once, then counted.
        assert!(!starts.ask(1, now, |_, _| 3));
        assert!(starts.ask(1, now + COUNT_STAYS, |_, _| 3));
    }

    #[test]
    fn starts_of_other_threads_that_are_under_way_count() {
        let now = Instant::now();
        let mut starts = Starts::new(1, 4);
        assert!(starts.ask(1, now, |_, _| 2));
        assert!(starts.ask(2, now, |_, _| 2));
        assert!(!starts.ask(3, now, |_, _| 2), "two there, two under way");
        assert!(starts.ask(3, now + UNDER_WAY, |_, _| 3));
    }

    #[test]
    fn one_thread_that_starts_many_is_counted_right() {
        let now = Instant::now();
        let mut starts = Starts::new(1, 64);
        for there in 1..64 {
            assert!(starts.ask(1, now, |_, _| there));
        }
        assert!(!starts.ask(1, now, |_, _| 64));
    }
}
