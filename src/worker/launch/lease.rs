//! Leases: a number that no other worker has, and what follows from it: a user, and a temporary folder.
//!
//! A lease is a lock on a file, so that servers side by side (or one after the other) never share a user, and the kernel gives
//! it back however the server ends. What a dead worker left under the number is removed when it is leased again. For users the
//! files are in one place for the whole machine (or container), whatever a server's settings; and a user that somebody runs as all
//! the same, in another container, is passed over (`users`).

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::users;
use crate::worker::tree::remove_tree;

/// How many numbers are tried, starting at the wanted one.
const NUMBERS_TRIED: u32 = 4096;

/// Where locks of users are, the first that works: where the root file system is read-only, `/run` may be too.
const USER_LOCKS: &[&str] = &["/run/airlock-users", "/tmp/airlock-users"];

const OWN_FOLDER_NEEDED: &str =
    "it must be a folder of the server's own user that nobody else can write in; remove it, or choose another place";

/// Tells folders of one number apart that were made one after the other.
static FOLDERS_MADE: AtomicU64 = AtomicU64::new(0);

/// A number, while this is alive.
#[derive(Debug)]
pub(super) struct Lease {
    number: u32,
    /// Holds the lock.
    _lock: File,
}

impl Lease {
    /// The first free user from `wanted` on. For root.
    pub(super) fn user(wanted: u32) -> Result<Self, String> {
        let usable = USER_LOCKS.iter().map(Path::new).find(|folder| own_folder(folder).is_ok());
        let folder =
            usable.ok_or_else(|| format!("none of {} can be used: {}", USER_LOCKS.join(", "), OWN_FOLDER_NEEDED))?;
        Self::first_free(folder, wanted, users::vacate)
    }

    /// The first number from `wanted` on that is free in `folder`, which is made if it is not there.
    pub(super) fn number_in(folder: &Path, wanted: u32) -> Result<Self, String> {
        Self::first_free(folder, wanted, |_| true)
    }

    /// `usable`: whether a number that is free may be had after all.
    fn first_free(folder: &Path, wanted: u32, usable: impl Fn(u32) -> bool) -> Result<Self, String> {
        own_folder(folder)?;
        for number in (wanted..).take(NUMBERS_TRIED as usize) {
            let path = folder.join(format!("{number}.lock"));
            let why = |error: io::Error| format!("{} can't be locked: {error}", path.display());
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
            let lock = options.open(&path).map_err(why)?;
            match lock.try_lock() {
                Ok(()) if usable(number) => return Ok(Self { number, _lock: lock }),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(why(error)),
            }
        }
        Err(format!("{NUMBERS_TRIED} workers already run here"))
    }

    /// The number.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Makes the worker's temporary folder in `base`, which is made if it is not there; removes those of earlier workers under
    /// this number. `group`: that of the worker's user, which may write in the folder but, not being its owner, not change
    /// its mode.
    pub(super) fn make_folder(&self, base: &Path, group: Option<u32>) -> Result<PathBuf, String> {
        own_folder(base)?;
        let prefix = format!("{}-", self.number);
        let entries = fs::read_dir(base).into_iter().flatten().flatten();
        for stale in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
            if let Err(error) = remove_tree(&stale.path()) {
                tracing::warn!(path = %stale.path().display(), %error, "a temporary folder of an earlier worker stays");
            }
        }
        let made = FOLDERS_MADE.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("{prefix}{}-{made}", std::process::id()));
        let why = |error: io::Error| format!("{} can't be made: {error}", path.display());
        let mode = if group.is_some() { 0o770 } else { 0o700 };
        DirBuilder::new().mode(mode).create(&path).map_err(why)?;
        if let Some(group) = group {
            chown(&path, None, Some(group)).map_err(why)?;
            // The umask may have taken a bit away.
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(&path, permissions).map_err(why)?;
        }
        Ok(path)
    }
}

/// Makes sure of a folder that nobody else can write in: it is in a place that others share.
fn own_folder(base: &Path) -> Result<(), String> {
    let made = DirBuilder::new().mode(0o711).create(base);
    if let Err(error) = made
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(format!("{} can't be made: {error}", base.display()));
    }
    let found = fs::symlink_metadata(base).map_err(|error| format!("{} can't be used: {error}", base.display()))?;
    let own = found.uid() == nix::unistd::geteuid().as_raw();
    if !found.is_dir() || !own || found.mode() & 0o022 != 0 {
        return Err(format!("{} can't be used: {OWN_FOLDER_NEEDED}", base.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn two_leases_never_have_the_same_number_and_a_dropped_one_is_free_again() {
        let home = tempfile::tempdir().expect("a folder");
        let base = home.path().join("base");
        let first = Lease::number_in(&base, 7).expect("free");
        let second = Lease::number_in(&base, 7).expect("free");
        assert_eq!((first.number(), second.number()), (7, 8));
        drop(first);
        assert_eq!(Lease::number_in(&base, 7).expect("free").number(), 7);
    }

    #[test]
    fn folders_of_earlier_workers_go_when_the_number_is_used_again() {
        let home = tempfile::tempdir().expect("a folder");
        let base = home.path().join("base");
        let lease = Lease::number_in(&base, 1).expect("free");
        let first = lease.make_folder(&base, None).expect("made");
        fs::write(first.join("left"), "behind").expect("written");
        let second = lease.make_folder(&base, None).expect("made");
        assert!(!first.exists());
        assert_eq!(fs::metadata(&second).expect("is there").mode() & 0o777, 0o700);
    }

    #[test]
    fn a_base_that_others_can_write_in_or_that_is_a_link_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let open = home.path().join("open");
        fs::create_dir(&open).expect("made");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("changed");
        assert!(Lease::number_in(&open, 0).is_err());
        let link = home.path().join("link");
        symlink("/tmp", &link).expect("linked");
        assert!(Lease::number_in(&link, 0).is_err());
    }
}
