//! The seccomp listener: calls that wait for the guard's answer (seccomp_unotify(2)).

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;

/// Newest kernels wake the guard on the caller's processor, which is where the answer is waited for. 6.6 and later.
const SYNC_WAKE_UP: u64 = 1;

/// A call that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    /// Names it; other calls never have it.
    pub(super) id: CallId,
    /// The thread that called, as the guard sees it.
    pub(super) thread: i32,
    /// The system call's number.
    pub(super) number: i64,
    /// Its arguments, as they are in the registers.
    pub(super) arguments: [u64; 6],
}

/// Names a call that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CallId(u64);

impl Call {
    /// An argument that is declared as `int` or smaller: the kernel looks at its lower half.
    pub(super) fn int(&self, index: usize) -> i32 {
        #[expect(clippy::cast_possible_truncation, reason = "as the kernel does")]
        let lower = self.argument(index) as u32;
        lower.cast_signed()
    }

    /// An argument of the machine's width.
    pub(super) fn argument(&self, index: usize) -> u64 {
        self.arguments.get(index).copied().unwrap_or_default()
    }
}

/// The guard's end.
pub(super) struct Listener(OwnedFd);

impl Listener {
    pub(super) fn new(descriptor: OwnedFd) -> Self {
        // SAFETY: the third argument is a number here. Older kernels refuse it, which costs speed alone.
        unsafe { libc::ioctl(descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
        Self(descriptor)
    }

    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.0
    }

    /// The next call; `None` if its caller is gone. Only after the descriptor was readable: else it waits.
    pub(super) fn receive(&self) -> Result<Option<Call>, Errno> {
        // SAFETY: a C structure of numbers; the kernel wants it zeroed.
        let mut notification = unsafe { std::mem::zeroed::<libc::seccomp_notif>() };
        // SAFETY: `notification` outlives the call.
        let received = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &mut notification) };
        match Errno::result(received) {
            Ok(_) => Ok(Some(Call {
                id: CallId(notification.id),
                thread: notification.pid.cast_signed(),
                number: i64::from(notification.data.nr),
                arguments: notification.data.args,
            })),
            Err(Errno::ENOENT | Errno::EINTR) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// True while the caller waits: what was read of its memory before was its own.
    pub(super) fn still_waits(&self, call: CallId) -> bool {
        // SAFETY: the number outlives the call.
        unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &call.0) == 0 }
    }

    /// The call returns `outcome`. A caller that is gone is none of the guard's business.
    pub(super) fn answer(&self, call: CallId, outcome: Result<i64, Errno>) {
        let (val, error) = match outcome {
            Ok(value) => (value, 0),
            Err(errno) => (0, -(errno as i32)),
        };
        let mut response = libc::seccomp_notif_resp { id: call.0, val, error, flags: 0 };
        // SAFETY: `response` outlives the call.
        unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &mut response) };
    }

    /// The kernel carries the call out, as if nobody had been asked. Never where an argument in memory decides (EG-4): the
    /// kernel reads that again.
    pub(super) fn let_pass(&self, call: CallId) {
        #[expect(clippy::cast_possible_truncation, reason = "a flag of the lowest bits")]
        let flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        let mut response = libc::seccomp_notif_resp { id: call.0, val: 0, error: 0, flags };
        // SAFETY: `response` outlives the call.
        unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &mut response) };
    }

    /// The call returns a new descriptor of the caller's: the file behind `file`. True if the caller has got it.
    pub(super) fn answer_with(&self, call: CallId, file: BorrowedFd<'_>, close_on_exec: bool) -> bool {
        let source: RawFd = file.as_raw_fd();
        #[expect(clippy::cast_possible_truncation, reason = "a flag of the lowest bits")]
        let mut response = libc::seccomp_notif_addfd {
            id: call.0,
            flags: libc::SECCOMP_ADDFD_FLAG_SEND as u32,
            srcfd: source.cast_unsigned(),
            newfd: 0,
            newfd_flags: if close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 },
        };
        // SAFETY: `response` outlives the call.
        let added = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &mut response) };
        match Errno::result(added) {
            Ok(_) => true,
            Err(Errno::ENOENT) => false,
            // Such as EMFILE: the caller's table is full.
            Err(error) => {
                self.answer(call, Err(error));
                false
            }
        }
    }
}
