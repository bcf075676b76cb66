//! ST-7 on a real full disk: a small tmpfs. Mounting needs root; elsewhere the test says so and ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use airlock_actors::domain::Status;
use airlock_actors::ports::{Store, StoreError, Write};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::group::commit_all;
use super::{Data, commit, execution, execution_id, finish, insert, output, profile_id, runtime};
use crate::store::{OpenError, RedbStore, StoreOptions};

/// A disk of 16 MiB.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    fn mount(at: &Path) -> Option<Self> {
        let tmpfs = Some("tmpfs");
        match mount(tmpfs, at, tmpfs, MsFlags::empty(), Some("size=16m")) {
            Ok(()) => Some(Self(at.to_owned())),
            Err(errno) => {
                tracing::warn!(%errno, "skipped: mounting a small disk needs root");
                None
            }
        }
    }

    /// Leaves `free` bytes; the file that takes the rest.
    fn fill(&self, free: u64) -> PathBuf {
        let ballast = self.0.join("ballast");
        let space = nix::sys::statvfs::statvfs(&self.0).unwrap();
        let taken = (space.blocks_available() * space.fragment_size()).saturating_sub(free);
        fs::write(&ballast, vec![0; usize::try_from(taken).unwrap()]).unwrap();
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).ok();
    }
}

fn big_finish(number: u32) -> Write {
    let record = execution(number, &profile_id(1), Status::Completed);
    Write::FinishExecution { record, output: output(&"x".repeat(4 << 20)) }
}

#[test]
fn a_full_disk_is_told_and_the_store_works_on_when_there_is_space() {
    let data = Data::new();
    let Some(disk) = SmallDisk::mount(data.0.path()) else { return };
    let store = data.open();
    let owner = profile_id(1);
    commit(&store, (0..10).map(|number| insert(number, &owner, Status::Pending)).collect()).unwrap();
    let ballast = disk.fill(64 * 1024);

    for _ in 0..3 {
        assert!(matches!(commit(&store, vec![big_finish(1)]), Err(StoreError::Full)));
        assert!(store.is_full());
        let old = store.execution(&execution_id(1)).unwrap().unwrap();
        assert_eq!(old.status, Status::Pending, "a part of the batch was written");
        assert_eq!(store.unfinished_executions().unwrap().len(), 10, "it can be read while the disk is full");
    }

    fs::remove_file(ballast).unwrap();
    commit(&store, vec![big_finish(1)]).unwrap();
    assert!(!store.is_full());
    store.close();
    let store = data.open();
    assert_eq!(store.execution_output(&execution_id(1)).unwrap().unwrap().stdout.len(), 4 << 20);
    assert_eq!(store.unfinished_executions().unwrap().len(), 9);
}

/// A group in which one batch does not fit. What the failed attempt wrote may take the room of the others until the next
/// growth of the file, so that they may be told `Full` too; but each is told what is true, and can be repeated.
#[test]
fn in_a_group_on_a_full_disk_every_answer_is_true() {
    let data = Data::new();
    let Some(disk) = SmallDisk::mount(data.0.path()) else { return };
    let store = Arc::new(data.open());
    let owner = profile_id(1);
    commit(&*store, (0..32).map(|number| insert(number, &owner, Status::Pending)).collect()).unwrap();
    let ballast = disk.fill(2 << 20);
    let write = |number| if number == 7 { big_finish(7) } else { finish(number, &owner, Status::Completed) };
    let results = runtime().block_on(commit_all(&store, (0..32).map(|number| vec![write(number)]).collect()));
    let mut refused = Vec::new();
    for (number, result) in (0..32).zip(results) {
        let status = store.execution(&execution_id(number)).unwrap().unwrap().status;
        match result {
            Ok(()) => assert_eq!(status, Status::Completed),
            Err(StoreError::Full) => {
                assert_eq!(status, Status::Pending);
                refused.push(number);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused.contains(&7));
    fs::remove_file(ballast).unwrap();
    for number in refused {
        commit(&*store, vec![write(number)]).unwrap();
    }
    assert_eq!(store.unfinished_executions().unwrap(), []);
}

#[test]
fn a_store_that_fills_the_disk_to_the_brim_opens_again_with_all_it_acknowledged() {
    let data = Data::new();
    let Some(disk) = SmallDisk::mount(data.0.path()) else { return };
    let store = data.open();
    let _ballast = disk.fill(256 * 1024);
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for number in 0..4000 {
        match commit(&store, vec![insert(number, &profile_id(1), Status::Pending)]) {
            Ok(()) => acknowledged.push(number),
            Err(StoreError::Full) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        if refused == 5 {
            break;
        }
    }
    assert_eq!(refused, 5, "the disk was not filled by {} executions", acknowledged.len());
    drop(store);
    let store = data.open();
    assert_eq!(store.unfinished_executions().unwrap().len(), acknowledged.len());
}

#[test]
fn a_store_is_not_created_on_a_full_disk_and_leaves_nothing_behind() {
    let data = Data::new();
    let Some(disk) = SmallDisk::mount(data.0.path()) else { return };
    let ballast = disk.fill(8 * 1024);
    let error = RedbStore::open(&data.path(), StoreOptions::default()).err().expect("must fail");
    assert!(matches!(error, OpenError::Full { .. }), "{error}");
    assert_eq!(fs::read_dir(data.0.path()).unwrap().count(), 1, "more than the ballast is there");
    fs::remove_file(ballast).unwrap();
    data.open();
}
