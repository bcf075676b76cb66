//! An execution that waits for its LLM stands still: all its processes are stopped, so that it holds no running slot and its
//! time does not count. SIGSTOP can't be caught or ignored.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::descendants::children;

/// What was stopped below an execution's process comes to this at the most; then it is ended instead.
const MOST_PROCESSES: usize = 1_000;

/// Stops `root` and everything below it; false when there is no end to what it starts.
pub(crate) fn freeze(root: Pid) -> bool {
    let mut stopped = Vec::new();
    // A process that is stopped starts no other: the search ends once it finds nothing new.
    loop {
        let found = tree(root).into_iter().filter(|pid| !stopped.contains(pid)).collect::<Vec<_>>();
        if found.is_empty() {
            return true;
        }
        for pid in found {
            let _ = kill(pid, Signal::SIGSTOP);
            stopped.push(pid);
        }
        if stopped.len() > MOST_PROCESSES {
            return false;
        }
    }
}

/// Lets `root` and everything below it go on.
pub(crate) fn thaw(root: Pid) {
    // From the leaves up: who goes on could end, and a number could be another's, only once its parent goes on.
    for pid in tree(root).into_iter().rev() {
        let _ = kill(pid, Signal::SIGCONT);
    }
}

/// `root` and everything below it, parents first.
fn tree(root: Pid) -> Vec<Pid> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        next += 1;
        if found.len() <= MOST_PROCESSES {
            found.extend(children(pid));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    fn state(pid: Pid) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("lives");
        let (_, rest) = stat.rsplit_once(')').expect("has a name");
        rest.trim_start().chars().next().expect("has a state")
    }

    #[test]
    fn a_tree_stands_still_and_goes_on() {
        let script = "setsid sh -c 'while :; do :; done' & echo $!; while :; do :; done";
        let mut shell = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(shell.stdout.as_mut().expect("piped")).read_line(&mut line).expect("says its child");
        let root = Pid::from_raw(i32::try_from(shell.id()).expect("fits"));
        assert!(freeze(root));
        let all = tree(root);
        assert!(all.len() >= 2, "{all:?}");
        // Stopping is not instant for what runs on another core, but nothing undoes it.
        for &pid in &all {
            while state(pid) != 'T' {
                std::thread::yield_now();
            }
        }
        thaw(root);
        for &pid in &all {
            while state(pid) == 'T' {
                std::thread::yield_now();
            }
        }
        for pid in all.into_iter().rev() {
            let _ = kill(pid, Signal::SIGKILL);
        }
        shell.wait().expect("reaped");
    }
}
