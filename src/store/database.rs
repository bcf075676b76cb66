//! The open file: creation, the lock, and opening it again after a failed read or write.
//!
//! redb gives a handle up for good at the first error of the file under it, a full disk included, so that nobody builds on
//! pages that may not be there. What was committed is safe; the way on is to open the file anew. [`DatabaseSlot`] does that
//! in place, once, whoever meets the error first.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{Database, DatabaseError, StorageError};

use super::StoreOptions;
use super::fault::{Fault, OpenError, says_full, without_panic};
use super::migrations::{STEPS, Schema, initialise, migrate};

/// The database, open most of the time. Work holds the lock shared, opening it again holds it alone.
pub(super) struct DatabaseSlot {
    path: PathBuf,
    options: StoreOptions,
    state: RwLock<State>,
}

enum State {
    /// In use. The number goes up each time it is opened.
    Open(Database, u64),
    /// It could not be opened again; the next to need it tries.
    Down(u64),
    /// Closed for good.
    Closed,
}

impl DatabaseSlot {
    /// Opens the file, creating it if there is none.
    pub(super) fn open(path: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        if !path.try_exists().map_err(|error| io_failure(path, &error))? {
            create(path, options)?;
        }
        let database = open_existing(path, options)?;
        Ok(Self { path: path.to_owned(), options, state: RwLock::new(State::Open(database, 0)) })
    }

    /// Does `work`, a transaction from its begin to its end. If redb has given the handle up, the database is opened again,
    /// and work that was refused only for an earlier error is done once more.
    pub(super) fn with<T>(&self, work: impl Fn(&Database) -> Result<T, Fault>) -> Result<T, Fault> {
        for _ in 0..2 {
            let (lost, fault) = match self.attempt(&work) {
                Attempt::Done(result) => return result,
                Attempt::HandleLost(lost, fault) => (lost, fault),
            };
            self.reopen(lost)?;
            if let Some(fault) = fault.filter(|fault| !fault.is_inherited()) {
                return Err(fault);
            }
        }
        Err(StorageError::PreviousIo.into())
    }

    /// Waits for the work under way and closes the file. Later work fails with [`Fault::Closed`].
    pub(super) fn close(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(database, _) = std::mem::replace(&mut *state, State::Closed)
            && let Err(error) = database.close()
        {
            // Nothing is lost: what was committed is on disk, and the next start repairs quickly.
            tracing::warn!(%error, "the store was not closed cleanly");
        }
    }

    fn attempt<T>(&self, work: impl Fn(&Database) -> Result<T, Fault>) -> Attempt<T> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(database, opened) => match without_panic(|| work(database)) {
                Err(fault) if fault.ends_handle() => Attempt::HandleLost(*opened, Some(fault)),
                result => Attempt::Done(result),
            },
            State::Down(opened) => Attempt::HandleLost(*opened, None),
            State::Closed => Attempt::Done(Err(Fault::Closed)),
        }
    }

    /// Replaces the handle with the number `lost`, unless somebody has done so meanwhile.
    fn reopen(&self, lost: u64) -> Result<(), Fault> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Closed => return Err(Fault::Closed),
            State::Open(_, opened) | State::Down(opened) if *opened != lost => return Ok(()),
            _ => {}
        }
        // The old handle goes first: it holds the file's lock.
        *state = State::Down(lost);
        let database = open_existing(&self.path, self.options).map_err(Fault::Down)?;
        *state = State::Open(database, lost + 1);
        tracing::warn!("the store was opened again after a failed read or write");
        Ok(())
    }
}

enum Attempt<T> {
    /// It ran to its end on a handle that is still good, or never will.
    Done(Result<T, Fault>),
    /// The handle with this number is of no use any more, for this reason if there was one.
    HandleLost(u64, Option<Fault>),
}

/// Makes the file under another name and gives it its own once it is complete, so that a crash in between leaves no file
/// that is neither empty nor a database. `tempfile` creates it with mode 0600.
fn create(path: &Path, options: StoreOptions) -> Result<(), OpenError> {
    let dir = data_folder(path);
    let failure = |error: io::Error| io_failure(path, &error);
    let unfinished = tempfile::Builder::new().prefix(".airlock-new-").tempfile_in(dir).map_err(failure)?;
    let database = builder(options).create(unfinished.path()).map_err(|error| database_failure(path, error))?;
    initialise(&database, STEPS).map_err(|fault| fault_failure(path, &fault))?;
    drop(database);
    match unfinished.persist_noclobber(path) {
        Ok(_) => {}
        // Another process was faster. Whose it is now is settled by the lock.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(failure(error.error)),
    }
    // The name is part of the folder: without this a power cut could take a database away that was acknowledged.
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failure)
}

fn open_existing(path: &Path, options: StoreOptions) -> Result<Database, OpenError> {
    let opened = without_panic(|| {
        let database = match builder(options).open(path) {
            Ok(database) => database,
            Err(error) => return Ok(Err(database_failure(path, error))),
        };
        let schema = migrate(&database, STEPS)?;
        Ok(Ok((database, schema)))
    });
    match opened.map_err(|fault| fault_failure(path, &fault))?? {
        (database, Schema::Current) => Ok(database),
        (_, Schema::Newer { found, known }) => Err(OpenError::Newer { found, known }),
        (_, Schema::Missing) => Err(OpenError::NotAirlock { path: path.to_owned() }),
    }
}

fn builder(options: StoreOptions) -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache_bytes);
    builder
}

/// The folder a file is in; `.` for a bare name.
fn data_folder(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn database_failure(path: &Path, error: DatabaseError) -> OpenError {
    let path_buf = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { dir: data_folder(path).to_owned() },
        // What redb says of an empty file and of one that does not start with its magic number.
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            OpenError::NotAirlock { path: path_buf }
        }
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            OpenError::Damaged { path: path_buf, reason: "it ends too early".to_owned() }
        }
        DatabaseError::Storage(StorageError::Io(error)) => io_failure(path, &error),
        DatabaseError::Storage(StorageError::Corrupted(reason)) => OpenError::Damaged { path: path_buf, reason },
        error => OpenError::Failed { path: path_buf, reason: error.to_string() },
    }
}

fn fault_failure(path: &Path, fault: &Fault) -> OpenError {
    match fault {
        fault if fault.is_full() => OpenError::Full { dir: data_folder(path).to_owned() },
        Fault::Panicked => OpenError::Damaged { path: path.to_owned(), reason: "its pages make no sense".to_owned() },
        Fault::Storage(error) if matches!(**error, redb::Error::Corrupted(_)) => {
            OpenError::Damaged { path: path.to_owned(), reason: fault.to_string() }
        }
        fault => OpenError::Failed { path: path.to_owned(), reason: fault.to_string() },
    }
}

fn io_failure(path: &Path, error: &io::Error) -> OpenError {
    if says_full(error) {
        OpenError::Full { dir: data_folder(path).to_owned() }
    } else {
        OpenError::Failed { path: path.to_owned(), reason: error.to_string() }
    }
}
