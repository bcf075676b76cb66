//! A file tree of their own for scripts (mount_namespaces(7)), where user namespaces can be had: a small one in memory, in which
//! what Landlock lets them read is mounted read-only, and the worker's temporary folder. What is not in there has no path at all,
//! so that not even its size and times can be asked for, which Landlock does not govern.
//!
//! Once for a worker, before its fork server starts: an execution pays nothing for it.

use std::ffi::{CStr, CString};
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::landlock::DEVICES;
use super::layers::{FILE_TREE, Layer};

/// Processes, as Landlock shows them: their own descriptors alone, which shells open by their path.
const PROCESSES: &str = "/proc";
/// Nothing but links, which programs and libraries are reached by. Landlock lets them be followed.
const LINKS: &str = "/etc/alternatives";
/// The most links on the way to a file, as the kernel has it.
const MOST_LINKS: usize = 40;
/// What the root itself takes: mount points, no content.
const ROOT_OPTIONS: &CStr = c"mode=755,size=1m";
/// Where programs look for a folder: there is an empty one.
const EMPTY_FOLDERS: &[&str] = &["/tmp", "/var", "/run", "/home", "/root", "/etc", "/dev"];

/// What shells and programs call their own descriptors.
const DESCRIPTORS: &[(&str, &str)] = &[
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// A tree that was copied and is mounted nowhere yet.
struct Copied {
    place: PathBuf,
    tree: OwnedFd,
    is_folder: bool,
}

/// Changes the root of the calling process, which must be in a mount namespace of its own, to a tree of `read`, `write` and
/// little else. Where that can't be had, all is as it was. An error: the process is half in, and must not go on.
/// `program`: what is to be run in it.
pub(super) fn enter(read: &[PathBuf], write: &[PathBuf], program: &Path) -> Result<Layer, String> {
    let Some(stage) = write.first() else { return Ok(Layer::missing(FILE_TREE, "there is no folder to put it in")) };
    let copied = match prepare(read, write) {
        Ok(copied) => copied,
        Err(why) => return Ok(Layer::missing(FILE_TREE, why)),
    };
    if let Err(error) = mount_root(stage) {
        return Ok(Layer::missing(FILE_TREE, format!("the kernel refuses a file system in memory: {error}")));
    }
    let filled = fill(stage, &copied).and_then(|()| link(stage, program)).and_then(|()| find(stage, program));
    if let Err(why) = filled.and_then(|()| change_root(stage)) {
        // Nothing was changed but for what is mounted there, and the working folder.
        unmount(stage).map_err(|error| format!("{why}; and what was mounted stays: {error}"))?;
        return_to(stage)?;
        return Ok(Layer::missing(FILE_TREE, why));
    }
    // From here on there is no way back. The old root lies over the new one until it is left.
    // SAFETY: plain system call; the string is a constant.
    let left = Errno::result(unsafe { libc::umount2(c".".as_ptr(), libc::MNT_DETACH) });
    left.map_err(|error| format!("the old root can't be left: {error}"))?;
    return_to(stage)?;
    Ok(Layer::active(FILE_TREE, ""))
}

fn prepare(read: &[PathBuf], write: &[PathBuf]) -> Result<Vec<Copied>, String> {
    // Nothing that is mounted from now on is seen outside.
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: the path outlives the call, which takes nothing else.
    let made = unsafe { libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), flags, std::ptr::null()) };
    Errno::result(made).map_err(|error| format!("mounts can't be made private: {error}"))?;
    let processes = PathBuf::from(PROCESSES);
    let devices = DEVICES.iter().map(PathBuf::from);
    // Those above others first, and what is below one of them is there already; but for what is to be written.
    let mut wanted: Vec<PathBuf> =
        read.iter().cloned().chain(devices).filter(|path| !path.starts_with(PROCESSES)).collect();
    wanted.push(processes);
    wanted.extend(Path::new(LINKS).exists().then(|| PathBuf::from(LINKS)));
    wanted.sort();
    wanted.dedup_by(|later, earlier| later.starts_with(&*earlier));
    let wanted = wanted.into_iter().map(|place| (place, false));
    wanted
        .chain(write.iter().map(|place| (place.clone(), true)))
        .map(|(place, writable)| copy(place, writable))
        .collect()
}

fn copy(place: PathBuf, writable: bool) -> Result<Copied, String> {
    let failed = |what: &str, error: Errno| format!("{} can't be {what}: {error}", place.display());
    let is_folder = place.is_dir();
    let path = c_path(&place).map_err(|error| failed("named", error))?;
    const RECURSIVE: libc::c_uint = libc::AT_RECURSIVE.cast_unsigned();
    let flags = libc::OPEN_TREE_CLONE | RECURSIVE | libc::O_CLOEXEC.cast_unsigned();
    // SAFETY: the path outlives the call.
    let tree = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    let tree = Errno::result(tree).map_err(|error| failed("copied", error))?;
    let tree = i32::try_from(tree).map_err(|_| failed("copied", Errno::EBADF))?;
    // SAFETY: the kernel has just made it, for nobody else.
    let tree = unsafe { OwnedFd::from_raw_fd(tree) };
    let is_device = DEVICES.iter().any(|device| Path::new(device) == place);
    let mut attributes = libc::MOUNT_ATTR_NOSUID;
    attributes |= if is_device { libc::MOUNT_ATTR_NOEXEC } else { libc::MOUNT_ATTR_NODEV };
    attributes |= if writable || is_device { 0 } else { libc::MOUNT_ATTR_RDONLY };
    limit(&tree, attributes, RECURSIVE).map_err(|error| failed("limited", error))?;
    Ok(Copied { place, tree, is_folder })
}

/// Adds attributes to a mount, and takes none away.
fn limit(tree: &OwnedFd, attributes: u64, recursive: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: a C structure of numbers.
    let mut change = unsafe { std::mem::zeroed::<libc::mount_attr>() };
    change.attr_set = attributes;
    let flags = libc::AT_EMPTY_PATH.cast_unsigned() | recursive;
    let size = size_of::<libc::mount_attr>();
    // SAFETY: path and structure outlive the call, and the size is the structure's.
    let set = unsafe {
        libc::syscall(libc::SYS_mount_setattr, tree.as_raw_fd(), c"".as_ptr(), flags, &raw const change, size)
    };
    Errno::result(set).map(drop)
}

fn mount_root(stage: &Path) -> Result<(), Errno> {
    let path = c_path(stage)?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let kind = c"tmpfs".as_ptr();
    // SAFETY: all strings outlive the call.
    let mounted = unsafe { libc::mount(kind, path.as_ptr(), kind, flags, ROOT_OPTIONS.as_ptr().cast()) };
    Errno::result(mounted).map(drop)
}

fn unmount(stage: &Path) -> Result<(), Errno> {
    let path = c_path(stage)?;
    // SAFETY: the path outlives the call.
    Errno::result(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

/// Puts the copies where they were, below `stage`.
fn fill(stage: &Path, copied: &[Copied]) -> Result<(), String> {
    for folder in EMPTY_FOLDERS {
        make_folder(&below(stage, Path::new(folder))).map_err(|error| format!("{folder} can't be made: {error}"))?;
    }
    for (place, target) in DESCRIPTORS {
        std::os::unix::fs::symlink(target, below(stage, Path::new(place)))
            .map_err(|error| format!("{place} can't be made: {error}"))?;
    }
    // What is written last: it may lie below something that is read, and is then on top of it.
    for one in copied {
        let place = below(stage, &one.place);
        let failed = |error: &dyn std::fmt::Display| format!("{} can't be mounted: {error}", one.place.display());
        if !place.exists() {
            make_point(&place, one.is_folder).map_err(|error| failed(&error))?;
        }
        let path = c_path(&place).map_err(|error| failed(&error))?;
        let from = one.tree.as_raw_fd();
        // SAFETY: both paths outlive the call.
        let moved = unsafe {
            let empty = libc::MOVE_MOUNT_F_EMPTY_PATH;
            libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), libc::AT_FDCWD, path.as_ptr(), empty)
        };
        Errno::result(moved).map_err(|error| failed(&error))?;
    }
    Ok(())
}

fn below(stage: &Path, place: &Path) -> PathBuf {
    stage.join(place.strip_prefix("/").unwrap_or(place))
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o755).recursive(true).create(path)
}

fn make_point(place: &Path, is_folder: bool) -> io::Result<()> {
    if is_folder {
        return make_folder(place);
    }
    place.parent().map_or(Ok(()), make_folder)?;
    OpenOptions::new().write(true).create_new(true).mode(0o644).open(place).map(drop)
}

/// The tree below `stage` becomes the root; the old one lies over it until it is left.
fn change_root(stage: &Path) -> Result<(), String> {
    let root = c_path(stage).map_err(|error| error.to_string())?;
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the path outlives the call.
    let opened = Errno::result(unsafe { libc::open(root.as_ptr(), flags) }).map_err(|error| error.to_string())?;
    // SAFETY: the kernel has just made it, for nobody else.
    let root = unsafe { OwnedFd::from_raw_fd(opened) };
    // No write to the root itself: it is memory that no limit counts.
    limit(&root, libc::MOUNT_ATTR_RDONLY, 0).map_err(|error| format!("the root can't be made read-only: {error}"))?;
    // SAFETY: plain system calls; the strings are constants. pivot_root(2) says why both are the working folder.
    unsafe {
        Errno::result(libc::fchdir(root.as_raw_fd())).map_err(|error| format!("the root can't be entered: {error}"))?;
        let dot = c".".as_ptr();
        Errno::result(libc::syscall(libc::SYS_pivot_root, dot, dot))
            .map_err(|error| format!("the root can't be changed: {error}"))?;
    }
    Ok(())
}

/// `stage`: the worker's temporary folder, which is to be the working folder again.
fn return_to(stage: &Path) -> Result<(), String> {
    std::env::set_current_dir(stage).map_err(|error| format!("{} can't be entered: {error}", stage.display()))
}

/// Makes the links that are on the way to the program, where they are not there with a folder.
fn link(stage: &Path, program: &Path) -> Result<(), String> {
    let mut rest = program.to_path_buf();
    for _ in 0..MOST_LINKS {
        let Some((place, target)) = first_link(&rest) else { return Ok(()) };
        let made = below(stage, &place);
        if std::fs::symlink_metadata(&made).is_err() {
            let folder = made.parent().map_or(Ok(()), make_folder);
            let linked = folder.and_then(|()| std::os::unix::fs::symlink(&target, &made));
            linked.map_err(|error| format!("{} can't be made: {error}", place.display()))?;
        }
        let after = rest.strip_prefix(&place).map(Path::to_path_buf).unwrap_or_default();
        let target = place.parent().unwrap_or(Path::new("/")).join(target);
        rest = if after.as_os_str().is_empty() { target } else { target.join(after) };
    }
    Err(format!("{} is behind too many links", program.display()))
}

/// The first part of the path that is a link, and what it says.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut place = PathBuf::new();
    path.components().find_map(|part| {
        place.push(part);
        std::fs::read_link(&place).ok().map(|target| (place.clone(), target))
    })
}

/// Whether the program is there, as one sees it whose root is `stage`.
fn find(stage: &Path, program: &Path) -> Result<(), String> {
    let failed = |error: Errno| format!("{} would not be found: {error}", program.display());
    let root = std::fs::File::open(stage).map_err(|error| error.to_string())?;
    let path = c_path(program).map_err(failed)?;
    // SAFETY: a C structure of numbers.
    let mut how = unsafe { std::mem::zeroed::<libc::open_how>() };
    how.flags = u64::from((libc::O_PATH | libc::O_CLOEXEC).cast_unsigned());
    how.resolve = libc::RESOLVE_IN_ROOT;
    let (root, size) = (root.as_raw_fd(), size_of::<libc::open_how>());
    // SAFETY: path and structure outlive the call, and the size is the structure's.
    let found = unsafe { libc::syscall(libc::SYS_openat2, root, path.as_ptr(), &raw const how, size) };
    let found = i32::try_from(Errno::result(found).map_err(failed)?).map_err(|_| failed(Errno::EBADF))?;
    // SAFETY: the kernel has just made it, for nobody else.
    drop(unsafe { OwnedFd::from_raw_fd(found) });
    Ok(())
}

fn c_path(path: &Path) -> Result<CString, Errno> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_links_to_a_program_are_made_one_after_the_other() {
        let home = tempfile::tempdir().expect("a folder");
        let (real, stage) = (home.path().join("real"), home.path().join("stage"));
        std::fs::create_dir_all(real.join("bin")).expect("made");
        std::fs::write(real.join("bin/python3.11"), "").expect("written");
        let soft =
            |target: &Path, place: &str| std::os::unix::fs::symlink(target, home.path().join(place)).expect("linked");
        soft(&real, "current");
        soft(Path::new("python3.11"), "real/bin/python3");
        soft(&home.path().join("current/bin/python3"), "python");
        let program = home.path().join("python");
        link(&stage, &program).expect("made");
        for (place, target) in [("python", home.path().join("current/bin/python3")), ("current", real)] {
            let made = below(&stage, &home.path().join(place));
            assert_eq!(std::fs::read_link(made).expect("a link"), target);
        }
        // The folder it leads to is to be mounted, so that only its links are there yet.
        assert!(find(&stage, &program).is_err());
        std::fs::write(below(&stage, &home.path().join("real/bin/python3.11")), "").expect("written");
        find(&stage, &program).expect("is there");
    }
}
