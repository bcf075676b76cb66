//! Finds and ends the processes below this one, among them those that try not to be found.
//!
//! Guard and keeper are subreapers: whatever happens in between, what lives below them stays below them. Refused system
//! calls (`confine/rules.rs`) keep a process from leaving that tree.

use std::collections::HashSet;
use std::fs;
use std::io;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

/// A child of this process that has ended and was reaped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reaped {
    /// Which one.
    pub(crate) pid: Pid,
    /// How, as wait(2) has it.
    pub(crate) status: i32,
}

/// Reaps every child that has ended; never waits.
pub(crate) fn reap() -> Vec<Reaped> {
    std::iter::from_fn(|| wait_for_any(libc::WNOHANG)).collect()
}

/// `None` when there is no child, or with `WNOHANG` none that has ended. Not nix's: it takes a death by a real-time signal,
/// which a script can choose, for an error.
fn wait_for_any(flags: libc::c_int) -> Option<Reaped> {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let pid = unsafe { libc::waitpid(-1, &mut status, flags) };
    (pid > 0).then(|| Reaped { pid: Pid::from_raw(pid), status })
}

/// The children of this process, which has one thread: those that are alive, and those not reaped yet.
pub(crate) fn own_children() -> Vec<Pid> {
    let own = getpid();
    children_of_thread(own, own).unwrap_or_else(|_| children_by_search(own))
}

/// Times that a tree is walked to find what was started during the walk before.
const MOST_WALKS: usize = 8;

/// Kills `root` and everything below it. First all are stopped, each before its children are looked for: what is stopped
/// starts nothing more, so that a bomb of forks is caught up with. What slips through is found the next time: children of what
/// was killed have become this process's own by then.
pub(crate) fn kill_tree(root: Pid) {
    let mut stopped = HashSet::new();
    for _ in 0..MOST_WALKS {
        let before = stopped.len();
        let mut found = vec![root];
        while let Some(pid) = found.pop() {
            if stopped.insert(pid) {
                let _ = kill(pid, Signal::SIGSTOP);
            }
            found.extend(children(pid));
        }
        if stopped.len() == before {
            break;
        }
    }
    for pid in stopped {
        let _ = kill(pid, Signal::SIGKILL);
    }
}

/// How many threads `root` and everything below it have; stops counting beyond `most`.
pub(crate) fn tasks_below(root: Pid, most: u64) -> u64 {
    let mut found = vec![root];
    let mut count = 0;
    while let Some(pid) = found.pop() {
        let threads = threads(pid);
        count += u64::try_from(threads.len()).unwrap_or(u64::MAX);
        if count > most {
            break;
        }
        found.extend(threads.into_iter().flat_map(|thread| children_of_thread(pid, thread).unwrap_or_default()));
    }
    count
}

fn threads(pid: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    threads.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid::from_raw)).collect()
}

/// `root` and everything below it.
pub(crate) fn tree(root: Pid) -> Vec<Pid> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        next += 1;
        found.extend(children(pid));
    }
    found
}

/// Kills and reaps everything below this process, and waits for it. For the end of a guard or a keeper.
pub(crate) fn kill_all() {
    loop {
        let children = own_children();
        if children.is_empty() {
            return;
        }
        children.into_iter().for_each(kill_tree);
        // Wakes at the first of them; the rest, and what they leave, is seen in the next round.
        wait_for_any(0);
        reap();
    }
}

/// The children of all its threads. Empty when the process is gone.
pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    threads(pid).into_iter().flat_map(|thread| children_of_thread(pid, thread).unwrap_or_default()).collect()
}

fn children_of_thread(pid: Pid, thread: Pid) -> io::Result<Vec<Pid>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/children"))?;
    Ok(text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).map(Pid::from_raw).collect())
}

/// For kernels without `children` files.
fn children_by_search(parent: Pid) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let all = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid::from_raw));
    all.filter(|&pid| parent_of(pid) == Some(parent)).collect()
}

fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; state and parent follow it.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok().map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn both_ways_find_the_same_parent() {
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().expect("starts");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("fits"));
        assert_eq!(parent_of(pid), Some(getpid()));
        assert!(children_by_search(getpid()).contains(&pid));
        assert!(children(getpid()).contains(&pid));
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }
}
