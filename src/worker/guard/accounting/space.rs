//! The space that an execution takes on the disk: what is in its temporary folder, and files that have lost their names and live
//! on in a descriptor or a mapping.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, fstat, fstatat};
use nix::unistd::Pid;

/// Entries looked at between two looks at the clock.
const BATCH: usize = 64;
/// A block of `st_blocks`.
const BLOCK_BYTES: u64 = 512;

/// An execution's temporary folder: its name in the worker's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Folder<'a> {
    /// The worker's temporary folder.
    pub(crate) parent: &'a OwnedFd,
    /// The execution's, in there.
    pub(crate) name: &'a str,
}

/// A walk through a folder that is done a little at a time, and keeps one folder open, however deep the tree. While one is under
/// way, the sums are those of the last that was finished, or its own once they are higher.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The folder worked on, and what of it was not read yet.
    current: Option<OwnedFd>,
    reading: Option<fs::ReadDir>,
    /// For it and each folder above, the folders in there that were not gone into yet.
    levels: Vec<Vec<OsString>>,
    counted: HashSet<(u64, u64)>,
    now: (u64, u64),
    last: (u64, u64),
}

impl Scan {
    /// Bytes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.now.0.max(self.last.0)
    }

    /// Files, folders and others.
    pub(super) fn files(&self) -> u64 {
        self.now.1.max(self.last.1)
    }

    /// Goes on, or begins, for about `time`; true when it is done. The script may change what is walked through: the sums are of
    /// some moment in between, and the walk never leaves the worker's temporary folder.
    pub(super) fn go_on(&mut self, folder: Folder<'_>, time: Duration) -> bool {
        let begin = Instant::now();
        if self.levels.is_empty() {
            self.now = (0, 0);
            self.counted.clear();
            self.current = folder.parent.try_clone().ok();
            self.levels.push(vec![folder.name.into()]);
        }
        loop {
            for _ in 0..BATCH {
                if self.step(folder.parent).is_none() {
                    self.levels.clear();
                    self.reading = None;
                    self.current = None;
                    self.last = self.now;
                    return true;
                }
            }
            if begin.elapsed() >= time {
                return false;
            }
        }
    }

    /// Counts an entry, or goes into or out of a folder. `None`: there is nothing left to do.
    fn step(&mut self, top: &OwnedFd) -> Option<()> {
        if let Some(reading) = &mut self.reading {
            match reading.next() {
                Some(Ok(entry)) => self.count(&entry),
                Some(Err(_)) => {}
                None => self.reading = None,
            }
            return Some(());
        }
        let current = self.current.as_ref()?;
        if let Some(name) = self.levels.last_mut()?.pop() {
            if let Ok(folder) = open_folder(current, &name) {
                self.reading = fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd())).ok();
                self.current = Some(folder);
                self.levels.push(Vec::new());
            }
            return Some(());
        }
        self.levels.pop();
        if self.levels.is_empty() || same(current, top) {
            return None;
        }
        self.current = openat(current, "..", folder_flags(), Mode::empty()).ok();
        Some(())
    }

    fn count(&mut self, entry: &fs::DirEntry) {
        let Ok(found) = entry.metadata() else { return };
        self.now.1 += 1;
        // A file with several names takes its space once.
        if found.nlink() > 1 && !found.is_dir() && !self.counted.insert((found.dev(), found.ino())) {
            return;
        }
        self.now.0 = self.now.0.saturating_add(found.blocks().saturating_mul(BLOCK_BYTES));
        if let Some(level) = self.levels.last_mut().filter(|_| found.is_dir()) {
            level.push(entry.file_name());
        }
    }
}

fn folder_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

/// Opens a folder, also one that its owner, who is this process's user, made unreadable: nothing hides in there.
fn open_folder(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    match openat(parent, name, folder_flags(), Mode::empty()) {
        Err(Errno::EACCES) => {}
        other => return other,
    }
    let found = fstatat(parent, name, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let before = Mode::from_bits_truncate(found.st_mode);
    fchmodat(parent, name, before | Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
    let opened = openat(parent, name, folder_flags(), Mode::empty());
    // A folder is read by its entries' own calls too, for which it must stay so: as it was is up to the script.
    if let Ok(folder) = &opened {
        let _ = fchmod(folder, before | Mode::S_IRWXU);
    }
    opened
}

fn same(one: &OwnedFd, other: &OwnedFd) -> bool {
    let id = |folder: &OwnedFd| fstat(folder).map(|found| (found.st_dev, found.st_ino));
    matches!((id(one), id(other)), (Ok(one), Ok(other)) if one == other)
}

/// Bytes of files without a name that process `pid` holds in descriptors and mappings and that are not in `counted` yet.
pub(super) fn without_name(pid: Pid, counted: &mut HashSet<(u64, u64)>) -> u64 {
    in_descriptors(pid, counted).saturating_add(in_mappings(pid, counted))
}

fn in_descriptors(pid: Pid, counted: &mut HashSet<(u64, u64)>) -> u64 {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| fs::metadata(entry.path()).ok());
    let nameless = files.filter(|file| file.is_file() && file.nlink() == 0);
    let new = nameless.filter(|file| counted.insert((file.dev(), file.ino())));
    new.map(|file| file.blocks().saturating_mul(BLOCK_BYTES)).sum()
}

/// By the lines of `/proc/PID/maps` whose name ends in ` (deleted)`; a file that is mapped in part counts for that part.
fn in_mappings(pid: Pid, counted: &mut HashSet<(u64, u64)>) -> u64 {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/maps")) else { return 0 };
    let mut sizes = std::collections::HashMap::new();
    for line in text.lines().filter(|line| line.ends_with(" (deleted)")) {
        if let Some((file, bytes)) = mapped_file(line) {
            let size = sizes.entry(file).or_insert(0u64);
            *size = size.saturating_add(bytes);
        }
    }
    sizes.into_iter().filter(|(file, _)| counted.insert(*file)).map(|(_, bytes)| bytes).sum()
}

/// Device, inode and size of `FROM-TO rights OFFSET MAJ:MIN INODE NAME (deleted)`, if it is a file's.
fn mapped_file(line: &str) -> Option<((u64, u64), u64)> {
    let mut words = line.split_ascii_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let mut words = words.skip(2);
    let (device, inode, name) = (words.next()?, words.next()?, words.next()?);
    // Memory, not disk: `processes` counts it.
    if name.starts_with("/dev/zero") || name.starts_with("/memfd:") || name.starts_with("/SYSV") {
        return None;
    }
    let (major, minor) = device.split_once(':')?;
    let [major, minor, from, to] = [major, minor, from, to].map(|number| u64::from_str_radix(number, 16).ok());
    let device = nix::sys::stat::makedev(major?, minor?);
    Some(((device, inode.parse().ok()?), to?.saturating_sub(from?)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder `own` in a temporary one, which stands for the worker's.
    fn folder() -> (tempfile::TempDir, OwnedFd, std::path::PathBuf) {
        let home = tempfile::tempdir().expect("a folder");
        let own = home.path().join("own");
        fs::create_dir(&own).expect("made");
        let parent = fs::File::open(home.path()).expect("opens").into();
        (home, parent, own)
    }

    fn scanned(scan: &mut Scan, parent: &OwnedFd) {
        while !scan.go_on(Folder { parent, name: "own" }, Duration::ZERO) {}
    }

    #[test]
    fn files_count_by_their_blocks_and_once_whatever_names_they_have() {
        let (_home, parent, own) = folder();
        fs::create_dir(own.join("a")).expect("made");
        fs::write(own.join("a/file"), vec![1; 1 << 20]).expect("written");
        fs::hard_link(own.join("a/file"), own.join("again")).expect("linked");
        symlink("/", own.join("root")).expect("linked");
        let sparse = fs::File::create(own.join("sparse")).expect("made");
        sparse.set_len(1 << 40).expect("set");
        let mut scan = Scan::default();
        scanned(&mut scan, &parent);
        assert!((1 << 20..(1 << 20) + 64 * 1024).contains(&scan.bytes()), "{}", scan.bytes());
        assert_eq!(scan.files(), 5);
    }

    #[test]
    fn sums_hold_until_the_next_walk_is_done_and_then_go_down() {
        let (_home, parent, own) = folder();
        let mut scan = Scan::default();
        for name in 0..BATCH * 3 {
            fs::write(own.join(name.to_string()), "x").expect("written");
        }
        scanned(&mut scan, &parent);
        let files = u64::try_from(BATCH * 3).expect("fits");
        assert_eq!(scan.files(), files);
        for name in 0..BATCH * 2 {
            fs::remove_file(own.join(name.to_string())).expect("removed");
        }
        assert!(!scan.go_on(Folder { parent: &parent, name: "own" }, Duration::ZERO), "more than a batch is left");
        assert_eq!(scan.files(), files);
        for name in BATCH * 2..BATCH * 3 {
            fs::remove_file(own.join(name.to_string())).expect("removed");
        }
        scanned(&mut scan, &parent);
        scanned(&mut scan, &parent);
        assert_eq!(scan.files(), 0);
    }

    #[test]
    fn nothing_hides_in_the_depth_or_behind_a_mode() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_home, parent, own) = folder();
        let flags = folder_flags();
        let mut deep = nix::fcntl::open(&own, flags, Mode::empty()).expect("opens");
        for _ in 0..3_000 {
            nix::sys::stat::mkdirat(&deep, "d", Mode::S_IRWXU).expect("made");
            deep = openat(&deep, "d", flags, Mode::empty()).expect("opens");
        }
        let file = openat(&deep, "file", OFlag::O_CREAT | OFlag::O_WRONLY, Mode::S_IRUSR).expect("made");
        nix::unistd::write(&file, &[1; 1 << 16]).expect("written");
        fs::create_dir(own.join("closed")).expect("made");
        fs::write(own.join("closed/file"), vec![1; 1 << 17]).expect("written");
        fs::set_permissions(own.join("closed"), fs::Permissions::from_mode(0o000)).expect("changed");
        let mut scan = Scan::default();
        scanned(&mut scan, &parent);
        assert_eq!(scan.files(), 3_000 + 3);
        let folders = 3_001 * 8 * 1024;
        assert!((3 << 16..(3 << 16) + folders).contains(&scan.bytes()), "{}", scan.bytes());
    }

    #[test]
    fn a_file_without_a_name_is_found_by_its_descriptor() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("file");
        let file = fs::File::create(&path).expect("made");
        fs::write(&path, vec![1; 3 << 20]).expect("written");
        let own = nix::unistd::getpid();
        let before = without_name(own, &mut HashSet::new());
        fs::remove_file(&path).expect("removed");
        let after = without_name(own, &mut HashSet::new());
        assert!(after >= before + (3 << 20), "{before} and {after}");
        drop(file);
    }

    #[test]
    fn a_mapping_of_a_deleted_file_has_its_device_inode_and_size() {
        let line = "7f0000000000-7f0000100000 rw-s 00000000 fe:01 1234                       /tmp/x y (deleted)";
        assert_eq!(mapped_file(line), Some(((nix::sys::stat::makedev(0xfe, 1), 1234), 1 << 20)));
        assert_eq!(mapped_file("7f00-7f01 rw-s 00000000 00:01 9 /dev/zero (deleted)"), None);
    }
}
