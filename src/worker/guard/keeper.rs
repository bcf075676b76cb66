//! The keeper: a process of a few pages between server and guard, which outlives the guard by a moment.
//!
//! A signal at the parent's death is not inherited by what a script starts, so a guard that is killed could leave daemons
//! behind. The keeper is a subreaper too: when the guard ends, however it does, everything it left becomes the keeper's, which
//! kills it and only then ends, with the guard's status. And when the keeper is killed, the guard learns it by a signal and
//! does the same. Only if both are killed at once something is left; the launcher sees to that at the next start (WK-3).

use std::fs;

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{ForkResult, Pid, dup2_stdin, dup2_stdout, fork, getppid};

use super::descendants;

/// What a guard and its keeper are told by.
pub(crate) fn signals() -> SigSet {
    [Signal::SIGCHLD, Signal::SIGTERM].into_iter().collect()
}

/// Splits this process in two. Returns in the guard; the keeper ends the process in here.
pub(crate) fn split() -> Result<(), String> {
    let threads = fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads != 1 {
        return Err(format!("the guard must be started before any thread, and there are {threads}"));
    }
    signals().thread_block().map_err(|error| format!("signals can't be blocked: {error}"))?;
    prctl::set_child_subreaper(true).map_err(|error| format!("the guard can't adopt orphans: {error}"))?;
    let keeper = nix::unistd::getpid();
    // SAFETY: this process has one thread (checked above), so the child may go on as if nothing had happened.
    match unsafe { fork() }.map_err(|error| format!("the guard can't fork: {error}"))? {
        ForkResult::Child => live_as_guard(keeper),
        ForkResult::Parent { child } => keep(child),
    }
}

fn live_as_guard(keeper: Pid) -> Result<(), String> {
    // Both are lost at a fork. Until the guard listens to signals, it has nothing below it that would not end with it.
    prctl::set_child_subreaper(true).map_err(|error| format!("the guard can't adopt orphans: {error}"))?;
    tell_guard_by(Signal::SIGKILL)?;
    if getppid() != keeper {
        return Err("the keeper ended before the guard began".to_owned());
    }
    Ok(())
}

/// In the guard: how it learns that the keeper has ended.
fn tell_guard_by(signal: Signal) -> Result<(), String> {
    prctl::set_pdeathsig(signal).map_err(|error| format!("no signal at the keeper's end: {error}"))
}

/// The guard listens to signals from now on: at the keeper's end it cleans up before it ends.
pub(crate) fn guard_listens() -> Result<(), String> {
    tell_guard_by(Signal::SIGTERM)
}

/// Until the guard has ended or the server has; then nothing is left below.
fn keep(guard: Pid) -> ! {
    // The pipes are the guard's: the server is to see their end when the guard ends.
    if let Ok(null) = fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = dup2_stdin(&null);
        let _ = dup2_stdout(&null);
    }
    // Until now a killed server meant SIGKILL: nothing was below.
    let _ = prctl::set_pdeathsig(Signal::SIGTERM);
    let status = loop {
        match signals().wait() {
            Ok(Signal::SIGCHLD) => {
                let of_guard = descendants::reap().into_iter().find(|reaped| reaped.pid == guard);
                if let Some(reaped) = of_guard {
                    break Some(reaped.status);
                }
            }
            // SIGTERM: the server is gone, or wants the worker gone.
            _ => break None,
        }
    };
    descendants::kill_all();
    let code = match status {
        Some(status) if libc::WIFEXITED(status) => libc::WEXITSTATUS(status),
        Some(status) => 128 + libc::WTERMSIG(status),
        None => 0,
    };
    std::process::exit(code)
}
