//! Modes and times of files. Landlock does not govern them: where a worker has no user of its own, a script could lock Airlock out
//! of its store, or open the key file to everybody. So the guard changes them, and only of what is in the execution's own folder,
//! in the way that a connection is made: it opens what it was asked for once, looks where that is, and changes that very file.

use std::fs;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::answering::{DONE, Outcome};
use super::notify::{Call, Listener};
use super::{Egress, caller};

/// Newer than the C library's table.
pub(crate) const SYS_FCHMODAT2: libc::c_long = 452;

/// Longest path that the kernel takes, in bytes.
const MAX_PATH_BYTES: usize = 4096;
const SPECIAL_MODES: u32 = libc::S_ISUID | libc::S_ISGID;

/// What a call says about a file.
enum Change {
    Mode(u32),
    /// `None`: now.
    Times(Option<[libc::timespec; 2]>),
}

/// Which file it is about.
struct Named {
    folder: i32,
    /// An address in the caller's memory; 0 where the descriptor itself is meant.
    path: u64,
    flags: i32,
}

impl Egress {
    /// chmod(2), fchmod(2), fchmodat(2), fchmodat2(2), utimensat(2)
    pub(super) fn on_change(&self, call: &Call, fork: u64) -> Outcome {
        let script = self.scripts.get(&fork).ok_or(Errno::EPERM)?;
        let (named, change) = asked_for(&self.listener, call)?;
        let file = open(&self.listener, call, &named)?;
        // The caller's folder and descriptors were looked at by its number.
        if !self.listener.still_waits(call.id) {
            return Err(Errno::EPERM);
        }
        let own = format!("/proc/self/fd/{}", file.as_raw_fd());
        let place = fs::read_link(&own).map_err(|_| Errno::EPERM)?;
        if !place.starts_with(&script.folder) {
            return Err(Errno::EPERM);
        }
        make(&own, &change)?;
        DONE
    }
}

fn asked_for(listener: &Listener, call: &Call) -> Result<(Named, Change), Errno> {
    let mode = |index| match call.int(index).cast_unsigned() {
        special if special & SPECIAL_MODES != 0 => Err(Errno::EPERM),
        mode => Ok(Change::Mode(mode)),
    };
    let named = |folder, path, flags| Named { folder, path, flags };
    #[cfg(target_arch = "x86_64")]
    if call.number == libc::SYS_chmod {
        return Ok((named(libc::AT_FDCWD, call.argument(0), 0), mode(1)?));
    }
    match call.number {
        libc::SYS_fchmod => Ok((named(call.int(0), 0, libc::AT_EMPTY_PATH), mode(1)?)),
        libc::SYS_fchmodat => Ok((named(call.int(0), call.argument(1), 0), mode(2)?)),
        SYS_FCHMODAT2 => Ok((named(call.int(0), call.argument(1), call.int(3)), mode(2)?)),
        libc::SYS_utimensat => {
            let times = match call.argument(2) {
                0 => None,
                address => Some(times(&caller::memory(listener, call, address, size_of::<[libc::timespec; 2]>())?)?),
            };
            // Without a path it is about the descriptor, as of futimens(3).
            let flags = call.int(3) | if call.argument(1) == 0 { libc::AT_EMPTY_PATH } else { 0 };
            Ok((named(call.int(0), call.argument(1), flags), Change::Times(times)))
        }
        _ => Err(Errno::EPERM),
    }
}

fn times(bytes: &[u8]) -> Result<[libc::timespec; 2], Errno> {
    let mut numbers = bytes.chunks_exact(8).filter_map(|eight| eight.try_into().ok()).map(i64::from_ne_bytes);
    let mut next = || numbers.next().ok_or(Errno::EFAULT);
    let mut time = || Ok::<_, Errno>(libc::timespec { tv_sec: next()?, tv_nsec: next()? });
    Ok([time()?, time()?])
}

/// Opens what is named without any access to it: that alone changes nothing, wherever it leads.
fn open(listener: &Listener, call: &Call, named: &Named) -> Result<OwnedFd, Errno> {
    let path = match named.path {
        0 => Vec::new(),
        address => caller::text(listener, call, address, MAX_PATH_BYTES)?,
    };
    if path.is_empty() {
        let of_descriptor = named.flags & libc::AT_EMPTY_PATH != 0;
        return if of_descriptor { open_descriptor(call, named.folder) } else { Err(Errno::ENOENT) };
    }
    let path = Path::new(std::ffi::OsStr::from_bytes(&path));
    // A C library's way to a symbolic link's own mode. In the guard, `self` would be the guard.
    if let Some(number) = path.strip_prefix("/proc/self/fd").ok().and_then(|rest| rest.to_str()?.parse().ok()) {
        return open_descriptor(call, number);
    }
    let follow = named.flags & libc::AT_SYMLINK_NOFOLLOW == 0;
    let base = match named.folder {
        _ if path.is_absolute() => None,
        libc::AT_FDCWD => Some(open_path(None, Path::new(&format!("/proc/{}/cwd", call.thread)), true)?),
        folder => Some(open_descriptor(call, folder)?),
    };
    open_path(base.as_ref(), path, follow)
}

fn open_descriptor(call: &Call, number: i32) -> Result<OwnedFd, Errno> {
    let path = PathBuf::from(format!("/proc/{}/fd/{number}", call.thread));
    open_path(None, &path, true).map_err(|error| if error == Errno::ENOENT { Errno::EBADF } else { error })
}

fn open_path(base: Option<&OwnedFd>, path: &Path, follow: bool) -> Result<OwnedFd, Errno> {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let flags = libc::O_PATH | libc::O_CLOEXEC | if follow { 0 } else { libc::O_NOFOLLOW };
    let base = base.map_or(libc::AT_FDCWD, |base| base.as_raw_fd());
    // SAFETY: `path` outlives the call.
    let descriptor = Errno::result(unsafe { libc::openat(base, path.as_ptr(), flags) })?;
    // SAFETY: the kernel has just made it, for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// `own`: the guard's own descriptor, by its path.
fn make(own: &str, change: &Change) -> Result<(), Errno> {
    let path = std::ffi::CString::new(own).map_err(|_| Errno::EINVAL)?;
    // SAFETY: paths and times outlive the calls.
    let made = unsafe {
        match change {
            Change::Mode(mode) => libc::chmod(path.as_ptr(), *mode),
            Change::Times(times) => {
                let times = times.as_ref().map_or(std::ptr::null(), |times| times.as_ptr());
                libc::utimensat(libc::AT_FDCWD, path.as_ptr(), times, 0)
            }
        }
    };
    Errno::result(made).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_times_are_read_as_the_kernel_has_them_and_less_is_refused() {
        let bytes: Vec<u8> = [1i64, 2, 3, 4].into_iter().flat_map(i64::to_ne_bytes).collect();
        let [accessed, modified] = times(&bytes).expect("whole");
        assert_eq!((accessed.tv_sec, accessed.tv_nsec, modified.tv_sec, modified.tv_nsec), (1, 2, 3, 4));
        assert!(times(&bytes[..31]).is_err());
    }
}
