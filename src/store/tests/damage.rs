//! Damaged values, and a damaged file.

use std::fs;
use std::os::unix::fs::FileExt;

use airlock_actors::domain::Status;
use airlock_actors::ports::{ExecutionQuery, Store, Write};
use redb::Database;

use super::{Data, RedbStore, StoreOptions, commit, credential, execution_id, insert, profile, profile_id};
use crate::store::tables::{BY_STATUS, CREDENTIALS, EXECUTIONS, PROFILES, Values};

const CIPHERTEXT: &[u8] = b"CIPHERTEXT-OF-A-SECRET";

/// A closed store with one record of each kind.
fn filled() -> Data {
    let data = Data::new();
    let batch = vec![
        Write::PutCredential(credential("A", CIPHERTEXT)),
        Write::PutProfile(profile(1)),
        insert(1, &profile_id(1), Status::Pending),
    ];
    commit(&data.open(), batch).unwrap();
    data
}

/// Changes the bytes of the only value of a table behind the store's back.
fn tamper(data: &Data, table: Values, key: &[u8], change: impl Fn(&mut Vec<u8>)) {
    let database = Database::open(data.path()).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut rows = transaction.open_table(table).unwrap();
        let mut value = rows.remove(key).unwrap().unwrap().value().to_vec();
        change(&mut value);
        rows.insert(key, value.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
}

/// ST-8
#[test]
fn a_damaged_value_is_an_error_that_names_the_table_and_shows_no_value() {
    let data = filled();
    tamper(&data, CREDENTIALS, b"A", |value| value.truncate(value.len() - 30));
    let store = data.open();
    let error = store.credentials().unwrap_err().to_string();
    assert!(error.contains("credentials.v2") && error.contains("damaged"), "{error}");
    assert!(!error.contains("CIPHERTEXT"), "{error}");
    assert_eq!(store.profiles().unwrap().len(), 1, "the other tables are readable");
}

#[test]
fn a_value_of_a_newer_version_is_told_from_a_damaged_one() {
    let data = filled();
    tamper(&data, PROFILES, profile_id(1).as_str().as_bytes(), |value| value[0] = 9);
    let error = data.open().profiles().unwrap_err().to_string();
    assert!(error.starts_with("a value in profiles.v2 has version 9, which this Airlock does not know"), "{error}");
}

#[test]
fn an_update_of_a_damaged_record_fails_alone() {
    let data = filled();
    tamper(&data, EXECUTIONS, execution_id(1).as_str().as_bytes(), |value| value.truncate(9));
    let store = data.open();
    let update = Write::UpdateExecution(super::execution(1, &profile_id(1), Status::Running));
    let error = commit(&store, vec![update]).unwrap_err().to_string();
    assert!(error.contains("executions.v2"), "{error}");
    assert!(!error.contains(&execution_id(1).as_str()[15..]), "the error grants access: {error}");
    commit(&store, vec![insert(2, &profile_id(1), Status::Pending)]).unwrap();
}

#[test]
fn an_index_key_without_its_execution_is_an_error() {
    let data = filled();
    let database = Database::open(data.path()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(BY_STATUS).unwrap().insert(&[0, 1, 2][..], ()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let query = ExecutionQuery { status: Some(Status::Pending), limit: 9, ..ExecutionQuery::default() };
    let error = data.open().list_executions(&query).unwrap_err().to_string();
    assert!(error.contains("executions_by_status.v1"), "{error}");
}

#[test]
fn a_file_that_was_cut_or_overwritten_is_refused_or_read_but_never_panics() {
    let whole = fs::read(filled().path()).unwrap();
    let random = |seed: usize| (seed.wrapping_mul(2_654_435_761) >> 7) % whole.len();
    for seed in 1..60 {
        let data = Data::new();
        fs::write(data.path(), &whole).unwrap();
        let file = fs::OpenOptions::new().write(true).open(data.path()).unwrap();
        if seed % 3 == 0 {
            file.set_len(random(seed) as u64).unwrap();
        } else {
            file.write_all_at(&[0xA5; 64], random(seed) as u64).unwrap();
        }
        // Reading may go well: most of a small file is free space.
        if let Ok(store) = RedbStore::open(&data.path(), StoreOptions::default()) {
            store.credentials().ok();
            store.unfinished_executions().ok();
            commit(&store, vec![insert(2, &profile_id(1), Status::Pending)]).ok();
        }
    }
}
