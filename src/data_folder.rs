//! The data folder, which one server at a time may use.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

const LOCK_FILE: &str = ".lock";
/// How long to wait for a lock that another server seems to hold, and how long between two tries.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// The data folder, held against every other server until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if it is missing, for its owner alone, and takes it. The lock comes before anything in it is read
    /// or made: of two first starts at once only one makes a master key.
    pub fn take(path: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("could not make the data folder {}", path.display()))?;
        let lock_path = path.join(LOCK_FILE);
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .with_context(|| format!("could not open {}", lock_path.display()))?;
        match lock_soon(&lock) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "another Airlock is already using {}: stop it first, or give this one a data folder of its own",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("could not lock {}", lock_path.display()))
            }
        }
    }

    /// Where a file of this name is in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Takes the lock, if need be after a moment: a server that was killed while it was starting a worker leaves a process that
/// holds all its descriptors until it becomes that worker.
fn lock_soon(lock: &File) -> Result<(), TryLockError> {
    let begin = Instant::now();
    loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            decided => return decided,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn one_server_at_a_time_has_the_folder_and_the_next_gets_it_afterwards() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("not/yet/there");
        let held = DataFolder::take(&path).unwrap();
        let refused = DataFolder::take(&path).unwrap_err().to_string();
        assert!(refused.contains("another Airlock is already using") && refused.contains("not/yet/there"), "{refused}");
        drop(held);
        let held = DataFolder::take(&path).unwrap();
        for private in [&path, &held.file(LOCK_FILE)] {
            assert_eq!(std::fs::metadata(private).unwrap().mode() & 0o077, 0, "{}", private.display());
        }
    }

    #[test]
    fn of_many_that_take_it_at_once_one_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let taken: Vec<_> = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..16).map(|_| scope.spawn(|| DataFolder::take(folder.path()))).collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 1);
    }
}
