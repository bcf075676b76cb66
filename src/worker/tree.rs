//! Removes a folder that untrusted code has filled: no link is followed, no depth overflows a stack or the descriptors, folders
//! that were made unreadable are made readable again, and the work can be done a little at a time.
//!
//! By the time it runs, every process that could change the folder is gone (WK-2).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Entries read of a folder at a time.
const BATCH: usize = 256;

const OWNER_ALL: Mode = Mode::S_IRWXU;

/// A removal under way. Keeps one folder open, however deep the tree.
pub(crate) struct TreeRemoval {
    /// The folder worked on.
    folder: OwnedFd,
    /// How it is called in its parent, and so on up to the root of the tree.
    path: Vec<OsString>,
    /// Entries of it that were read and not removed yet.
    entries: Vec<OsString>,
}

impl TreeRemoval {
    /// Of the entry `name` of the folder `parent`, whatever it is.
    pub(crate) fn new(parent: OwnedFd, name: &OsStr) -> Self {
        Self { folder: parent, path: Vec::new(), entries: vec![name.to_owned()] }
    }

    /// Removes about `budget` entries; true when nothing is left. After an error there is no point in going on.
    pub(crate) fn step(&mut self, budget: usize) -> io::Result<bool> {
        for _ in 0..budget {
            if let Some(name) = self.entries.pop() {
                self.remove(name)?;
                continue;
            }
            let Some(name) = self.path.last() else { return Ok(true) };
            self.entries = self.list()?;
            if self.entries.is_empty() {
                let parent = openat(&self.folder, "..", folder_flags(), Mode::empty())?;
                unlinkat(&parent, name.as_os_str(), UnlinkatFlags::RemoveDir)?;
                self.folder = parent;
                self.path.pop();
            }
        }
        Ok(self.path.is_empty() && self.entries.is_empty())
    }

    fn remove(&mut self, name: OsString) -> io::Result<()> {
        match unlinkat(&self.folder, name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR | Errno::EPERM) => {}
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        match unlinkat(&self.folder, name.as_os_str(), UnlinkatFlags::RemoveDir) {
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => self.descend(name),
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn descend(&mut self, name: OsString) -> io::Result<()> {
        let opened = openat(&self.folder, name.as_os_str(), folder_flags(), Mode::empty()).or_else(|error| {
            if error != Errno::EACCES {
                return Err(error);
            }
            fchmodat(&self.folder, name.as_os_str(), OWNER_ALL, FchmodatFlags::FollowSymlink)?;
            openat(&self.folder, name.as_os_str(), folder_flags(), Mode::empty())
        })?;
        if fstat(&opened)?.st_mode & OWNER_ALL.bits() != OWNER_ALL.bits() {
            fchmod(&opened, OWNER_ALL)?;
        }
        self.folder = opened;
        self.path.push(name);
        // What is left of the parent's entries is read again on the way back.
        self.entries.clear();
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<OsString>> {
        let by_descriptor = format!("/proc/self/fd/{}", self.folder.as_raw_fd());
        std::fs::read_dir(by_descriptor)?.take(BATCH).map(|entry| Ok(entry?.file_name())).collect()
    }
}

fn folder_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

/// Removes `path` and everything below. It need not exist.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = open(parent, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut removal = TreeRemoval::new(parent, name);
    while !removal.step(BATCH)? {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_tree_with_links_pipes_and_unreadable_folders_is_removed_and_nothing_else() {
        let home = tempfile::tempdir().expect("a folder");
        let kept = home.path().join("kept");
        fs::create_dir(&kept).expect("made");
        fs::write(kept.join("file"), "kept").expect("written");
        let root = home.path().join("tree");
        fs::create_dir_all(root.join("a/b/c")).expect("made");
        for number in 0..BATCH * 2 {
            fs::write(root.join("a").join(number.to_string()), "").expect("written");
        }
        symlink(&kept, root.join("a/b/link")).expect("linked");
        symlink("/", root.join("a/root")).expect("linked");
        nix::unistd::mkfifo(&root.join("a/b/c/pipe"), Mode::S_IRWXU).expect("made");
        fs::set_permissions(root.join("a/b/c"), fs::Permissions::from_mode(0o000)).expect("changed");
        fs::set_permissions(root.join("a"), fs::Permissions::from_mode(0o000)).expect("changed");
        remove_tree(&root).expect("removed");
        assert!(!root.exists());
        assert_eq!(fs::read_to_string(kept.join("file")).expect("is there"), "kept");
        remove_tree(&root).expect("what is not there is no error");
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let home = tempfile::tempdir().expect("a folder");
        let flags = folder_flags();
        let mut folder = open(home.path(), flags, Mode::empty()).expect("opens");
        for _ in 0..5_000 {
            nix::sys::stat::mkdirat(&folder, "d", OWNER_ALL).expect("made");
            folder = openat(&folder, "d", flags, Mode::empty()).expect("opens");
        }
        drop(folder);
        remove_tree(&home.path().join("d")).expect("removed");
        assert!(!home.path().join("d").exists());
    }

    #[test]
    fn work_can_be_done_a_little_at_a_time() {
        let home = tempfile::tempdir().expect("a folder");
        let root = home.path().join("tree");
        fs::create_dir(&root).expect("made");
        for number in 0..10 {
            fs::write(root.join(number.to_string()), "").expect("written");
        }
        let parent = open(home.path(), folder_flags(), Mode::empty()).expect("opens");
        let mut removal = TreeRemoval::new(parent, OsStr::new("tree"));
        assert!(!removal.step(3).expect("works"));
        assert!(root.exists());
        while !removal.step(3).expect("works") {}
        assert!(!root.exists());
    }
}
