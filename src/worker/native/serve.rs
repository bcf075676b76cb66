//! The loop: a request from the guard is a fork, and each end of a child is told. `forkserver.py` describes the messages.

use core::ffi::{c_int, c_void};
use core::ptr;

use super::linux::{self, EINTR, errno};
use super::process::{Born, Given, PATH_BYTES, Template, become_execution};

/// Channel, standard output and error.
const DESCRIPTORS: usize = 3;
/// And the control groups'.
const MOST_DESCRIPTORS: usize = DESCRIPTORS + 2;
const NUMBER_BYTES: usize = 8;
/// `CMSG_LEN(0)`.
const RIGHTS_HEADER_BYTES: usize = 16;

/// What [`airlock_serve`] comes back with.
const GUARD_GONE: c_int = 0;
const IN_CHILD: c_int = 1;

/// Serves until the guard closes its end: 0, or a negative error number. In each child it returns 1, the process being what
/// `born` says. The caller has one thread, and no signal handler that matters.
///
/// # Safety
/// Both pointers are to what `native.py` describes, and `born` is nobody else's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn airlock_serve(template: *const Template, born: *mut Born) -> c_int {
    // SAFETY: as the caller promises.
    let (template, born) = unsafe { (&*template, &mut *born) };
    // A terminal's Ctrl-C is for the server, which ends its workers in order.
    let set = linux::SigSet::of(&[linux::SIGCHLD, linux::SIGINT]);
    let ended = linux::SigSet::of(&[linux::SIGCHLD]);
    // SAFETY: both sets live; the descriptor is this function's.
    let signals = unsafe {
        linux::sigprocmask(linux::SIG_BLOCK, &set, ptr::null_mut());
        linux::signalfd(-1, &ended, linux::O_NONBLOCK | linux::O_CLOEXEC)
    };
    if signals < 0 {
        return -errno();
    }
    let watch = |descriptor| linux::PollFd { descriptor, wanted: linux::POLLIN, ready: 0 };
    let mut watched = [watch(template.control), watch(signals)];
    loop {
        // SAFETY: the array lives and is as long as is said.
        if unsafe { linux::poll(watched.as_mut_ptr(), watched.len(), -1) } < 0 {
            if errno() == EINTR {
                continue;
            }
            return -errno();
        }
        let [control, ends] = &watched;
        let done = match (control.ready != 0, ends.ready != 0) {
            (_, true) => reap(template.control, signals),
            (true, false) => receive(template, born),
            (false, false) => Ok(None),
        };
        match done {
            Ok(None) => {}
            Ok(Some(end)) => return end,
            Err(error) => return -error,
        }
    }
}

/// Carries out one request; what [`airlock_serve`] is to return, if it is.
fn receive(template: &Template, born: &mut Born) -> Result<Option<c_int>, c_int> {
    let mut fork = [0u8; NUMBER_BYTES];
    let mut rights =
        linux::Rights::<MOST_DESCRIPTORS> { length: 0, level: 0, kind: 0, descriptors: [-1; MOST_DESCRIPTORS] };
    let mut parts = [
        linux::IoVec { base: fork.as_mut_ptr().cast(), length: fork.len() },
        linux::IoVec { base: born.folder.as_mut_ptr().cast(), length: PATH_BYTES },
    ];
    let mut message = linux::MsgHdr {
        name: ptr::null_mut(),
        name_length: 0,
        parts: parts.as_mut_ptr(),
        part_count: parts.len(),
        control: (&raw mut rights).cast(),
        control_length: size_of_val(&rights),
        flags: 0,
    };
    let count = loop {
        // SAFETY: all that `message` points to lives and is as long as it says.
        let count = unsafe { linux::recvmsg(template.control, &mut message, linux::MSG_CMSG_CLOEXEC) };
        match usize::try_from(count) {
            Ok(0) => return Ok(Some(GUARD_GONE)),
            Ok(count) => break count,
            Err(_) if errno() == EINTR => {}
            Err(_) => return Err(errno()),
        }
    };
    let received = match rights.level == linux::SOL_SOCKET && rights.kind == linux::SCM_RIGHTS {
        true => rights.length.saturating_sub(RIGHTS_HEADER_BYTES) / size_of::<c_int>(),
        false => 0,
    };
    let descriptors = rights.descriptors.get(..received).unwrap_or_default();
    let told = match (descriptors, count.checked_sub(NUMBER_BYTES)) {
        (&[channel, stdout, stderr, ref groups @ ..], Some(length)) => {
            // A path that fills the room has no zero behind it.
            match born.folder.get_mut(length) {
                None => tell(template.control, b'N', &fork, &linux::ENAMETOOLONG.to_le_bytes()),
                Some(end) => {
                    *end = 0;
                    match fork_one() {
                        Ok(0) => {
                            become_execution(template, &Given { channel, stdout, stderr, groups }, born);
                            return Ok(Some(IN_CHILD));
                        }
                        Ok(pid) => tell(template.control, b'P', &fork, &pid.to_le_bytes()),
                        Err(error) => tell(template.control, b'N', &fork, &error.to_le_bytes()),
                    }
                }
            }
        }
        _ => tell(template.control, b'N', &fork, &linux::EBADMSG.to_le_bytes()),
    };
    for &descriptor in descriptors {
        // SAFETY: received for this, and used by nobody else.
        unsafe { linux::close(descriptor) };
    }
    told.map(|()| None)
}

/// The child's number; 0 in the child.
fn fork_one() -> Result<c_int, c_int> {
    loop {
        // SAFETY: this process has one thread.
        match unsafe { linux::fork() } {
            -1 if errno() == EINTR => {}
            -1 => return Err(errno()),
            pid => return Ok(pid),
        }
    }
}

/// Tells of every child that has ended. A signal may stand for several, or for one told before.
fn reap(control: c_int, signals: c_int) -> Result<Option<c_int>, c_int> {
    let mut signal = [0u8; 128];
    // SAFETY: the buffer is as long as `struct signalfd_siginfo`.
    while unsafe { linux::read(signals, signal.as_mut_ptr().cast::<c_void>(), signal.len()) } > 0 {}
    loop {
        let mut status = 0;
        let mut usage = linux::RUsage::default();
        // SAFETY: both live.
        let pid = unsafe { linux::wait4(-1, &mut status, linux::WNOHANG, &mut usage) };
        if pid <= 0 {
            return Ok(None);
        }
        let microseconds =
            |time: linux::TimeVal| time.seconds.saturating_mul(1_000_000).saturating_add(time.microseconds);
        let cpu = microseconds(usage.user).saturating_add(microseconds(usage.system));
        let memory = usage.max_rss_kib.saturating_mul(1024);
        let mut rest = [0u8; 20];
        let (front, back) = rest.split_at_mut(4);
        front.copy_from_slice(&status.to_le_bytes());
        let (middle, back) = back.split_at_mut(8);
        middle.copy_from_slice(&cpu.to_le_bytes());
        back.copy_from_slice(&memory.to_le_bytes());
        tell(control, b'X', &pid.to_le_bytes(), &rest)?;
    }
}

/// Sends a message of that kind; whose it is, and the rest.
fn tell(control: c_int, kind: u8, whose: &[u8], rest: &[u8]) -> Result<(), c_int> {
    const LONGEST: usize = 32;
    let mut message = [0u8; LONGEST];
    let mut length = 0;
    for &byte in [kind].iter().chain(whose).chain(rest) {
        if let Some(place) = message.get_mut(length) {
            *place = byte;
            length += 1;
        }
    }
    loop {
        // SAFETY: `length` bytes of the message are there.
        let sent = unsafe { linux::send(control, message.as_ptr().cast(), length, linux::MSG_NOSIGNAL) };
        if sent >= 0 {
            return Ok(());
        }
        if errno() != EINTR {
            return Err(errno());
        }
    }
}
