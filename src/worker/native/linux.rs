//! The few calls of the C library that are needed, and Linux's numbers for them, which are those of x86_64 and aarch64 alike.

use core::ffi::{c_char, c_int, c_long, c_uint, c_void};

pub(super) const EINTR: c_int = 4;
pub(super) const EBADMSG: c_int = 74;
pub(super) const ENAMETOOLONG: c_int = 36;

pub(super) const O_CLOEXEC: c_int = 0o2_000_000;
pub(super) const O_NONBLOCK: c_int = 0o4_000;
pub(super) const MSG_CMSG_CLOEXEC: c_int = 0x4000_0000;
pub(super) const MSG_NOSIGNAL: c_int = 0x4000;
pub(super) const SOL_SOCKET: c_int = 1;
pub(super) const SCM_RIGHTS: c_int = 1;
pub(super) const POLLIN: i16 = 1;
pub(super) const WNOHANG: c_int = 1;
pub(super) const SIG_BLOCK: c_int = 0;
pub(super) const SIG_SETMASK: c_int = 2;
pub(super) const SIGINT: c_int = 2;
pub(super) const SIGKILL: c_int = 9;
pub(super) const SIGCHLD: c_int = 17;
pub(super) const PR_SET_PDEATHSIG: c_int = 1;
pub(super) const PR_SET_CHILD_SUBREAPER: c_int = 36;
pub(super) const PR_SET_NO_NEW_PRIVS: c_int = 38;
pub(super) const SYS_CLOSE_RANGE: c_long = 436;
pub(super) const SYS_LANDLOCK_CREATE_RULESET: c_long = 444;
pub(super) const SYS_LANDLOCK_ADD_RULE: c_long = 445;
pub(super) const SYS_LANDLOCK_RESTRICT_SELF: c_long = 446;

#[repr(C)]
pub(super) struct IoVec {
    pub(super) base: *mut c_void,
    pub(super) length: usize,
}

/// `struct msghdr` of 64-bit machines.
#[repr(C)]
pub(super) struct MsgHdr {
    pub(super) name: *mut c_void,
    pub(super) name_length: u32,
    pub(super) parts: *mut IoVec,
    pub(super) part_count: usize,
    pub(super) control: *mut c_void,
    pub(super) control_length: usize,
    pub(super) flags: c_int,
}

/// `struct cmsghdr`, and room for descriptors behind it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(super) struct Rights<const N: usize> {
    pub(super) length: usize,
    pub(super) level: c_int,
    pub(super) kind: c_int,
    pub(super) descriptors: [c_int; N],
}

#[repr(C)]
pub(super) struct PollFd {
    pub(super) descriptor: c_int,
    pub(super) wanted: i16,
    pub(super) ready: i16,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct TimeVal {
    pub(super) seconds: i64,
    pub(super) microseconds: i64,
}

/// `struct rusage`: what comes after the third member is not looked at.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct RUsage {
    pub(super) user: TimeVal,
    pub(super) system: TimeVal,
    pub(super) max_rss_kib: c_long,
    rest: [c_long; 13],
}

/// `sigset_t`, at the size of glibc, the larger one.
#[repr(C, align(8))]
pub(super) struct SigSet([u8; 128]);

impl SigSet {
    pub(super) fn of(signals: &[c_int]) -> Self {
        let mut set = Self([0; 128]);
        // SAFETY: `set` is as large as any C library's.
        unsafe {
            sigemptyset(&mut set);
            for &signal in signals {
                sigaddset(&mut set, signal);
            }
        }
        set
    }
}

unsafe extern "C" {
    pub(super) fn _exit(status: c_int) -> !;
    pub(super) fn __errno_location() -> *mut c_int;
    pub(super) fn syscall(number: c_long, ...) -> c_long;
    pub(super) fn prctl(option: c_int, ...) -> c_int;
    pub(super) fn fork() -> c_int;
    pub(super) fn getppid() -> c_int;
    pub(super) fn setsid() -> c_int;
    pub(super) fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    pub(super) fn close(descriptor: c_int) -> c_int;
    pub(super) fn dup2(from: c_int, to: c_int) -> c_int;
    pub(super) fn dup3(from: c_int, to: c_int, flags: c_int) -> c_int;
    pub(super) fn read(descriptor: c_int, into: *mut c_void, size: usize) -> isize;
    pub(super) fn write(descriptor: c_int, from: *const c_void, size: usize) -> isize;
    pub(super) fn send(socket: c_int, from: *const c_void, size: usize, flags: c_int) -> isize;
    pub(super) fn recvmsg(socket: c_int, message: *mut MsgHdr, flags: c_int) -> isize;
    pub(super) fn poll(descriptors: *mut PollFd, count: usize, timeout_ms: c_int) -> c_int;
    pub(super) fn wait4(pid: c_int, status: *mut c_int, options: c_int, usage: *mut RUsage) -> c_int;
    pub(super) fn chdir(path: *const c_char) -> c_int;
    pub(super) fn setenv(name: *const c_char, value: *const c_char, overwrite: c_int) -> c_int;
    fn sigemptyset(set: *mut SigSet) -> c_int;
    fn sigaddset(set: *mut SigSet, signal: c_int) -> c_int;
    pub(super) fn sigprocmask(how: c_int, set: *const SigSet, before: *mut SigSet) -> c_int;
    pub(super) fn signalfd(descriptor: c_int, set: *const SigSet, flags: c_int) -> c_int;
}

/// The number of the last error.
pub(super) fn errno() -> c_int {
    // SAFETY: the C library's pointer to this thread's number.
    unsafe { *__errno_location() }
}

/// Closes every descriptor from `first` on.
pub(super) fn close_from(first: c_uint, last: c_uint) {
    // SAFETY: plain system calls; what is closed is used by nobody in this process any more.
    unsafe {
        if syscall(SYS_CLOSE_RANGE, first, c_uint::MAX, 0 as c_uint) != 0 {
            for descriptor in first..last {
                close(descriptor as c_int);
            }
        }
    }
}
