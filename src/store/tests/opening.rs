//! What `open` accepts, what it refuses, and in which words.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use airlock_actors::ports::{Store, Write};
use redb::{Database, TableDefinition};

use super::{Data, RedbStore, StoreOptions, commit, credential};
use crate::store::OpenError;
use crate::store::tables::{META, META_SCHEMA};

fn refusal(data: &Data) -> OpenError {
    RedbStore::open(&data.path(), StoreOptions::default()).err().expect("must be refused")
}

#[test]
fn the_file_is_its_owners_alone_and_nothing_else_is_left_beside_it() {
    let data = Data::new();
    let _store = data.open();
    assert_eq!(fs::metadata(data.path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(data.0.path()).unwrap().count(), 1);
}

#[test]
fn a_second_store_is_refused_until_the_first_is_closed() {
    let data = Data::new();
    let first = data.open();
    let error = refusal(&data);
    assert!(matches!(error, OpenError::InUse { .. }));
    let start = format!("another Airlock is already using {}:", data.0.path().display());
    assert!(error.to_string().starts_with(&start), "{error}");
    first.close();
    data.open();
}

#[test]
fn a_store_that_is_dropped_is_closed() {
    let data = Data::new();
    let store = data.open();
    commit(&store, vec![Write::PutCredential(credential("A", b"a"))]).unwrap();
    drop(store);
    assert_eq!(data.open().credentials().unwrap().len(), 1);
}

#[test]
fn a_newer_schema_is_refused_and_left_as_it_is() {
    let data = Data::new();
    data.open().close();
    let database = Database::open(data.path()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert(META_SCHEMA, 9u32.to_be_bytes().as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        assert_eq!(
            refusal(&data).to_string(),
            "written by a newer Airlock (schema 9), this one knows up to 2: use the newer one or restore a backup"
        );
    }
}

#[test]
fn a_file_of_another_kind_is_refused_and_left_as_it_is() {
    for content in [&b""[..], b"hello", &[0; 4096], &b"#!/bin/sh\n".repeat(4096)] {
        let data = Data::new();
        fs::write(data.path(), content).unwrap();
        let error = refusal(&data);
        let says = format!(
            "{} is not an Airlock database: move it away to start with an empty one, or put a backup in its place",
            data.path().display()
        );
        assert_eq!(error.to_string(), says);
        assert_eq!(fs::read(data.path()).unwrap(), content);
    }
}

#[test]
fn a_redb_file_of_another_program_is_refused() {
    let data = Data::new();
    let database = Database::create(data.path()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TableDefinition::<u32, u32>::new("theirs")).unwrap().insert(1, 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(refusal(&data), OpenError::NotAirlock { .. }));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let data = Data::new();
    let path = data.0.path().join("missing/airlock.redb");
    let error = RedbStore::open(&path, StoreOptions::default()).err().expect("must be refused");
    assert!(error.to_string().starts_with(&format!("can't open {}: ", path.display())), "{error}");
}
