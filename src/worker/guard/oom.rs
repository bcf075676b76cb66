//! Whether the kernel killed for want of memory: a SIGKILL alone does not say who sent it.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

static KILLS_SEEN: AtomicU64 = AtomicU64::new(0);

/// Takes note of the kills so far. Called when the guard starts.
pub(crate) fn begin() {
    killed_since_last_asked();
}

/// True when the kernel has killed for want of memory, in any control group of this machine, since this was last asked.
/// Reading the counter costs the kernel some work, so it is asked only about a process that did die of SIGKILL.
pub(crate) fn killed_since_last_asked() -> bool {
    let kills = fs::read_to_string("/proc/vmstat").ok().and_then(|text| kills_in(&text)).unwrap_or(0);
    KILLS_SEEN.swap(kills, Ordering::Relaxed) < kills
}

/// The line `oom_kill N` of proc(5)'s vmstat, Linux 4.13 and later.
fn kills_in(vmstat: &str) -> Option<u64> {
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_among_those_that_begin_like_it() {
        assert_eq!(kills_in("nr_free 7\noom_kill_x 1\noom_kill 12\nnuma 3\n"), Some(12));
        assert_eq!(kills_in("nr_free 7\n"), None);
    }

    #[test]
    fn this_kernel_counts_and_nothing_is_reported_twice() {
        begin();
        let text = fs::read_to_string("/proc/vmstat").expect("there is one");
        assert!(kills_in(&text).is_some());
    }
}
