//! What can go wrong, and in which of the port's errors it ends.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use airlock_actors::ports::StoreError;

/// Why a store could not be opened. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process (or another store of this one) holds the file.
    #[error("another Airlock is already using {}: stop it first, or give this one a data folder of its own", .dir.display())]
    InUse {
        /// The data folder.
        dir: PathBuf,
    },
    /// The file holds something else.
    #[error("{} is not an Airlock database: move it away to start with an empty one, or put a backup in its place", .path.display())]
    NotAirlock {
        /// The file.
        path: PathBuf,
    },
    /// The file was an Airlock database and can't be trusted any more.
    #[error("{} is damaged ({reason}): put a backup in its place", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found, for a report.
        reason: String,
    },
    /// The file comes from a later release.
    #[error(
        "written by a newer Airlock (schema {found}), this one knows up to {known}: use the newer one or restore a backup"
    )]
    Newer {
        /// The schema of the file.
        found: u32,
        /// The highest schema that this release knows.
        known: u32,
    },
    /// There is no room to create or repair it.
    #[error("no space left on the disk that holds {}: free some and start again", .dir.display())]
    Full {
        /// The data folder.
        dir: PathBuf,
    },
    /// The operating system refuses, or anything else.
    #[error("can't open {}: {reason}", .path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// Why a transaction failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// redb or the file under it.
    #[error("{0}")]
    Storage(Box<redb::Error>),
    /// redb panicked, as it does over some damaged pages. What it said is in the log of the process, not here.
    #[error("the database is damaged: restore a backup")]
    Panicked,
    /// The database is not open, because the attempt to open it again failed.
    #[error("{0}")]
    Down(OpenError),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// A value can't be read.
    #[error("a value in {table} is damaged ({reason}): restore a backup")]
    Damaged {
        /// Where.
        table: String,
        /// What the decoder met; no part of the value.
        reason: String,
    },
    /// A value was written by a later release.
    #[error(
        "a value in {table} has version {version}, which this Airlock does not know: use the Airlock that wrote it or \
         restore a backup"
    )]
    UnknownVersion {
        /// Where.
        table: String,
        /// The version it has.
        version: u8,
    },
    /// A record can't be written.
    #[error("a value for {table} can't be encoded: {reason}")]
    Encoding {
        /// Where it was to go.
        table: String,
        /// What the encoder said.
        reason: String,
    },
    /// A write that would break a rule of the store. It is a bug of the caller.
    #[error("refused: {0}")]
    Refused(String),
}

impl Fault {
    /// True if there was no room for it on the disk, or in the user's quota.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Storage(error) => matches!(&**error, redb::Error::Io(error) if says_full(error)),
            Self::Down(OpenError::Full { .. }) => true,
            _ => false,
        }
    }

    /// True if redb will refuse all further work on this handle, as it does after any failed read or write of the file.
    pub(super) fn ends_handle(&self) -> bool {
        use redb::Error::{Io, LockPoisoned, PreviousIo};
        match self {
            Self::Storage(error) => matches!(**error, Io(_) | PreviousIo | LockPoisoned(_)),
            Self::Panicked => true,
            _ => false,
        }
    }

    /// True if the work was refused for what had happened before it, so that it may pass on a new handle.
    pub(super) fn is_inherited(&self) -> bool {
        use redb::Error::{LockPoisoned, PreviousIo};
        matches!(self, Self::Storage(error) if matches!(**error, PreviousIo | LockPoisoned(_)))
    }
}

/// Does `work` and makes a panic in it a fault, so that a damaged page ends neither the writer nor an actor that reads.
///
/// Nothing half-done is seen afterwards: a transaction that unwinds is rolled back, and [`Fault::ends_handle`] has the
/// database opened anew.
pub(super) fn without_panic<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Fault::Panicked))
}

/// Looks for "no space", "over quota" or "larger than the limit on a file" at every depth of the error.
pub(super) fn says_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
        return true;
    }
    // An error that wraps another skips it in its own `source`.
    let mut cause = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(says_full) {
            return true;
        }
        cause = error.source();
    }
    false
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Closed => Self::Closed,
            fault if fault.is_full() => Self::Full,
            fault => Self::Failed(fault.to_string()),
        }
    }
}

macro_rules! storage_fault {
    ($($error:ty),+) => {
        $(impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self::Storage(Box::new(error.into()))
            }
        })+
    };
}
storage_fault!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::SetDurabilityError,
    redb::DatabaseError
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_at_any_depth() {
        let full = || io::Error::from_raw_os_error(libc::ENOSPC);
        assert!(says_full(&full()));
        assert!(says_full(&io::Error::other(full())));
        assert!(says_full(&io::Error::other(io::Error::other(full()))));
        assert!(says_full(&io::Error::from_raw_os_error(libc::EDQUOT)));
        assert!(!says_full(&io::Error::other("no space left on device")));
        assert!(!says_full(&io::Error::from_raw_os_error(libc::EIO)));
    }

    #[test]
    fn a_full_disk_is_its_own_error_of_the_port() {
        let full = redb::StorageError::Io(io::Error::from_raw_os_error(libc::ENOSPC));
        assert!(matches!(StoreError::from(Fault::from(full)), StoreError::Full));
        let broken = redb::StorageError::Io(io::Error::from_raw_os_error(libc::EIO));
        assert!(matches!(StoreError::from(Fault::from(broken)), StoreError::Failed(_)));
    }
}
