//! Whether anybody runs as a user: a worker's is to be nobody else's, on the whole machine.
//!
//! Locks (`lease`) keep servers apart that see the same files. Containers don't: their servers lock files of their own, and see
//! only their own processes, yet the users are the machine's. So before a worker gets a user
//!
//! - the kernel is asked how many processes the user has, in all containers: it counts them for RLIMIT_NPROC (`is_alone`);
//! - what an earlier worker left is ended, and nothing else is (`end_left`): processes of another PID namespace are somebody else's,
//!   and so are those whose worker still has its server.
//!
//! A user that stays in use is passed over.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

/// Times that what was left is looked for: it may start more while it is ended, and takes a moment to go.
const ROUNDS: usize = 50;
const BETWEEN_ROUNDS: std::time::Duration = std::time::Duration::from_millis(10);
/// Exit statuses of the process that asks.
const ALONE: i32 = 0;
const IN_USE: i32 = 1;
const UNKNOWN: i32 = 2;

/// Sees to it that nobody runs as `user`, whose lease the caller has; false if somebody does who is not ours to end. For root,
/// and not for a runtime's thread.
pub(super) fn vacate(user: u32) -> bool {
    match is_alone(user) {
        Some(true) => true,
        // Where the kernel does not say, what is left may still be there.
        _ => end_left(user) && is_alone(user) != Some(false),
    }
}

/// Asks the kernel, by a process that becomes the user and tries to start another when it may have two.
fn is_alone(user: u32) -> Option<bool> {
    // SAFETY: the child only makes system calls, allocates nothing, and ends without returning.
    match unsafe { libc::fork() } {
        child if child > 0 => match waitpid(Pid::from_raw(child), None) {
            Ok(WaitStatus::Exited(_, ALONE)) => Some(true),
            Ok(WaitStatus::Exited(_, IN_USE)) => Some(false),
            _ => None,
        },
        // SAFETY: as above.
        0 => unsafe { libc::_exit(ask(user)) },
        _ => None,
    }
}

/// In a forked child, which ends with what is returned.
fn ask(user: u32) -> i32 {
    let two = libc::rlimit { rlim_cur: 2, rlim_max: 2 };
    // The calls themselves, not the C library's: those make every thread of a process change its user, and take locks for that.
    // SAFETY: system calls; the one pointer is to what outlives its call. The grandchild ends at once.
    unsafe {
        let changed = libc::syscall(libc::SYS_setresgid, user, user, user) == 0
            && libc::syscall(libc::SYS_setresuid, user, user, user) == 0
            && libc::setrlimit(libc::RLIMIT_NPROC, &raw const two) == 0;
        if !changed {
            return UNKNOWN;
        }
        match libc::fork() {
            0 => libc::_exit(0),
            child if child > 0 => {
                libc::waitpid(child, std::ptr::null_mut(), 0);
                ALONE
            }
            _ if Errno::last() == Errno::EAGAIN => IN_USE,
            _ => UNKNOWN,
        }
    }
}

/// One process of the user.
struct Found {
    pid: i32,
    parent: i32,
    /// Of a PID namespace below ours: a container's, or that of a worker of ours.
    nested: bool,
}

/// Ends what an earlier worker left; false if somebody else's processes are there. What is left can't start more: a guard
/// that is gone grants nothing.
fn end_left(user: u32) -> bool {
    for _ in 0..ROUNDS {
        let found = processes_of(user);
        if found.iter().any(|one| one.nested || has_a_server(one, user)) {
            return false;
        }
        if found.is_empty() {
            return true;
        }
        for one in &found {
            kill_if_still(one.pid, user);
        }
        std::thread::sleep(BETWEEN_ROUNDS);
    }
    processes_of(user).is_empty()
}

/// Every process of `user` that has not ended.
fn processes_of(user: u32) -> Vec<Found> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| in_status(pid, &fs::read_to_string(format!("/proc/{pid}/status")).ok()?, user)).collect()
}

fn in_status(pid: i32, status: &str, user: u32) -> Option<Found> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::split_ascii_whitespace);
    let ended = field("State:").and_then(|mut words| words.next()).is_none_or(|state| matches!(state, "Z" | "X"));
    // Any of its four: real, effective, saved, of the file system.
    let is_theirs = field("Uid:").is_some_and(|mut ids| ids.any(|id| id.parse() == Ok(user)));
    let parent = field("PPid:")?.next()?.parse().ok()?;
    let nested = field("NSpid:").is_some_and(|ids| ids.count() > 1);
    (is_theirs && !ended).then_some(Found { pid, parent, nested })
}

/// True when its worker lives: going up, the first that is another user's is an Airlock server, and not this one, which would
/// have the user's lease. A container with the machine's processes in view has such neighbours.
fn has_a_server(one: &Found, user: u32) -> bool {
    let mut above = one.parent;
    loop {
        let Ok(status) = fs::read_to_string(format!("/proc/{above}/status")) else { return false };
        match in_status(above, &status, user) {
            Some(next) => above = next.parent,
            None => {
                let is_server = status.lines().next() == Some("Name:\tairlock");
                return is_server && u32::try_from(above) != Ok(std::process::id());
            }
        }
    }
}

/// Kills the process if it is still the user's: by a descriptor, so that another that got its number meanwhile is not meant.
fn kill_if_still(pid: i32, user: u32) {
    let Ok(process) = descriptor_of(pid) else { return };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    if in_status(pid, &status, user).is_some() {
        use std::os::fd::AsRawFd as _;
        let nothing = std::ptr::null::<libc::c_void>();
        // SAFETY: plain system call; a null pointer stands for no further information.
        unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), Signal::SIGKILL as i32, nothing, 0u32)
        };
    }
}

fn descriptor_of(pid: i32) -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd as _;
    // SAFETY: plain system call without pointers.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0u32) };
    match i32::try_from(descriptor) {
        // SAFETY: the kernel has just made it for this process.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str =
        "Name:\tpython3\nState:\tS (sleeping)\nPPid:\t12\nUid:\t59000\t59000\t59000\t59000\nNSpid:\t77\n";

    #[test]
    fn what_the_kernel_says_of_a_process_is_read() {
        let found = in_status(77, STATUS, 59_000).expect("it is the user's");
        assert_eq!((found.pid, found.parent, found.nested), (77, 12, false));
        assert!(in_status(77, STATUS, 59_001).is_none());
        assert!(in_status(77, &STATUS.replace("S (sleeping)", "Z (zombie)"), 59_000).is_none());
        assert!(
            in_status(77, &STATUS.replace("NSpid:\t77", "NSpid:\t77\t3"), 59_000).is_some_and(|found| found.nested)
        );
        assert!(in_status(77, &STATUS.replacen("59000", "0", 1), 59_000).is_some(), "one of four is enough");
    }
}
