//! Leases: a number that no other worker of this machine has, and what follows from it: a user, and a temporary folder.
//!
//! A lease is a lock on a file, so that servers side by side (or one after the other) never share a user, and the kernel gives
//! it back however the server ends. What a dead worker left under the number is removed when it is leased again.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::worker::tree::remove_tree;

/// How many numbers are tried, starting at the wanted one.
const NUMBERS_TRIED: u32 = 4096;

/// Tells folders of one number apart that were made one after the other.
static FOLDERS_MADE: AtomicU64 = AtomicU64::new(0);

/// A number, while this is alive.
#[derive(Debug)]
pub(super) struct Lease {
    number: u32,
    base: PathBuf,
    /// Holds the lock.
    _lock: File,
}

impl Lease {
    /// The first free number from `wanted` on. `base` is made if it is not there.
    pub(super) fn acquire(base: &Path, wanted: u32) -> Result<Self, String> {
        own_folder(base)?;
        for number in (wanted..).take(NUMBERS_TRIED as usize) {
            let path = base.join(format!("{number}.lock"));
            let why = |error: io::Error| format!("{} can't be locked: {error}", path.display());
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
            let lock = options.open(&path).map_err(why)?;
            match lock.try_lock() {
                Ok(()) => return Ok(Self { number, base: base.to_path_buf(), _lock: lock }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(why(error)),
            }
        }
        Err(format!("{NUMBERS_TRIED} workers already run from {}", base.display()))
    }

    /// The number.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Makes the worker's temporary folder; removes those of earlier workers under this number. `group`: that of the worker's
    /// user, which may write in the folder but, not being its owner, not change its mode.
    pub(super) fn make_folder(&self, group: Option<u32>) -> Result<PathBuf, String> {
        let prefix = format!("{}-", self.number);
        let entries = fs::read_dir(&self.base).into_iter().flatten().flatten();
        for stale in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
            if let Err(error) = remove_tree(&stale.path()) {
                tracing::warn!(path = %stale.path().display(), %error, "a temporary folder of an earlier worker stays");
            }
        }
        let made = FOLDERS_MADE.fetch_add(1, Ordering::Relaxed);
        let path = self.base.join(format!("{prefix}{}-{made}", std::process::id()));
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
        return Err(format!(
            "{} must be a folder of the server's own user that nobody else can write in; remove it or choose another place \
             for temporary files",
            base.display()
        ));
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
        let first = Lease::acquire(&base, 7).expect("free");
        let second = Lease::acquire(&base, 7).expect("free");
        assert_eq!((first.number(), second.number()), (7, 8));
        drop(first);
        assert_eq!(Lease::acquire(&base, 7).expect("free").number(), 7);
    }

    #[test]
    fn folders_of_earlier_workers_go_when_the_number_is_used_again() {
        let home = tempfile::tempdir().expect("a folder");
        let lease = Lease::acquire(&home.path().join("base"), 1).expect("free");
        let first = lease.make_folder(None).expect("made");
        fs::write(first.join("left"), "behind").expect("written");
        let second = lease.make_folder(None).expect("made");
        assert!(!first.exists());
        assert_eq!(fs::metadata(&second).expect("is there").mode() & 0o777, 0o700);
    }

    #[test]
    fn a_base_that_others_can_write_in_or_that_is_a_link_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let open = home.path().join("open");
        fs::create_dir(&open).expect("made");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("changed");
        assert!(Lease::acquire(&open, 0).is_err());
        let link = home.path().join("link");
        symlink("/tmp", &link).expect("linked");
        assert!(Lease::acquire(&link, 0).is_err());
    }
}
