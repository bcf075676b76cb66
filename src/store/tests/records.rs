//! Every kind of record comes back as it was written, also from a file that was closed and opened again.

use airlock_actors::domain::{CredentialName, ErrorType, Redaction, Status, Usage};
use airlock_actors::ports::{SessionRecord, Store, StoreError, Write};

use super::{Data, commit, credential, execution, execution_id, finish, insert, output, profile, profile_id, sealed};

fn name(text: &str) -> CredentialName {
    text.parse().unwrap()
}

fn session(hash: u8) -> SessionRecord {
    SessionRecord { token_hash: [hash; 32], created_at: super::at(1), last_seen_at: super::at(2) }
}

#[test]
fn a_new_store_is_empty() {
    let data = Data::new();
    let store = data.open();
    assert_eq!(store.credentials().unwrap(), []);
    assert_eq!(store.profiles().unwrap(), []);
    assert_eq!(store.sessions().unwrap(), []);
    assert_eq!(store.key_check().unwrap(), None);
    assert_eq!(store.admin_password().unwrap(), None);
    assert_eq!(store.execution(&execution_id(1)).unwrap(), None);
    assert_eq!(store.execution_output(&execution_id(1)).unwrap(), None);
    assert_eq!(store.execution_script(&execution_id(1)).unwrap(), None);
    assert_eq!(store.unfinished_executions().unwrap(), []);
}

#[test]
fn all_is_there_after_reopening() {
    let data = Data::new();
    let mut full = execution(1, &profile_id(1), Status::Error);
    full.error_type = Some(ErrorType::Python("ValueError".to_owned()));
    full.usage = Some(Usage { cpu_ms: 12, max_rss_bytes: 1 << 25 });
    full.environment = Some("ab".repeat(32));
    full.redactions =
        vec![Redaction { field: "stdout".to_owned(), credential: name("A"), form: "literal".to_owned(), count: 2 }];
    let store = data.open();
    commit(
        &store,
        vec![
            Write::PutCredential(credential("B", b"old")),
            Write::PutCredential(credential("B", b"new")),
            Write::PutCredential(credential("A", b"other")),
            Write::PutCredential(credential("GONE", b"gone")),
            Write::DeleteCredential(name("GONE")),
            Write::DeleteCredential(name("NEVER_WAS")),
            Write::PutProfile(profile(1)),
            Write::PutProfile(profile(2)),
            Write::DeleteProfile(profile_id(2)),
            Write::PutKeyCheck(sealed(b"check")),
            Write::PutAdminPassword("$argon2id$old".to_owned()),
            Write::PutAdminPassword("$argon2id$new".to_owned()),
            Write::PutSession(session(1)),
            Write::PutSession(session(2)),
            Write::DeleteSession([1; 32]),
            insert(1, &profile_id(1), Status::Pending),
            Write::FinishExecution { record: full.clone(), output: output("out") },
        ],
    )
    .unwrap();
    store.close();
    let store = data.open();
    assert_eq!(store.credentials().unwrap(), [credential("A", b"other"), credential("B", b"new")]);
    assert_eq!(store.profiles().unwrap(), [profile(1)]);
    assert_eq!(store.key_check().unwrap(), Some(sealed(b"check")));
    assert_eq!(store.admin_password().unwrap().as_deref(), Some("$argon2id$new"));
    assert_eq!(store.sessions().unwrap(), [session(2)]);
    assert_eq!(store.execution(&full.id).unwrap().as_ref(), Some(&full));
    assert_eq!(store.execution_output(&full.id).unwrap(), Some((*output("out")).clone()));
    assert_eq!(store.execution_script(&full.id).unwrap().as_deref(), Some("print(1)"));
}

/// ST-3, and that a batch is refused as a whole.
#[test]
fn a_final_record_never_changes_again() {
    let data = Data::new();
    let store = data.open();
    let owner = profile_id(1);
    commit(&store, vec![insert(1, &owner, Status::Pending), finish(1, &owner, Status::Completed)]).unwrap();
    let regressions = [
        Write::UpdateExecution(execution(1, &owner, Status::Running)),
        finish(1, &owner, Status::Cancelled),
        insert(1, &owner, Status::Pending),
    ];
    for regression in regressions {
        let batch = vec![Write::PutCredential(credential("A", b"a")), regression];
        assert!(matches!(commit(&store, batch), Err(StoreError::Failed(_))));
    }
    assert_eq!(store.execution(&execution_id(1)).unwrap().unwrap().status, Status::Completed);
    assert_eq!(store.credentials().unwrap(), [], "a part of a refused batch was written");
}

/// ST-4
#[test]
fn an_output_comes_with_a_final_status_and_only_then() {
    let data = Data::new();
    let store = data.open();
    let owner = profile_id(1);
    commit(&store, vec![insert(1, &owner, Status::Pending)]).unwrap();
    for write in [
        insert(2, &owner, Status::Completed),
        finish(1, &owner, Status::Running),
        Write::UpdateExecution(execution(1, &owner, Status::Timeout)),
    ] {
        assert!(matches!(commit(&store, vec![write]), Err(StoreError::Failed(_))));
    }
    assert_eq!(store.execution(&execution_id(1)).unwrap().unwrap().status, Status::Pending);
}

#[test]
fn an_execution_that_was_never_inserted_cannot_go_on_or_end() {
    let data = Data::new();
    let store = data.open();
    let owner = profile_id(1);
    for write in [Write::UpdateExecution(execution(1, &owner, Status::Running)), finish(1, &owner, Status::Completed)] {
        assert!(matches!(commit(&store, vec![write]), Err(StoreError::Failed(_))));
    }
}

/// ST-6
#[test]
fn the_current_record_can_be_written_again() {
    let data = Data::new();
    let store = data.open();
    let owner = profile_id(1);
    let life = [
        insert(1, &owner, Status::Pending),
        Write::UpdateExecution(execution(1, &owner, Status::Running)),
        finish(1, &owner, Status::Completed),
    ];
    for write in life {
        for _ in 0..2 {
            commit(&store, vec![write.clone()]).unwrap();
        }
    }
    assert_eq!(store.execution_output(&execution_id(1)).unwrap().unwrap().stdout, "1\n");
}

#[test]
fn an_empty_batch_is_nothing_to_do() {
    let data = Data::new();
    commit(&data.open(), Vec::new()).unwrap();
}

#[test]
fn a_closed_store_says_so() {
    let data = Data::new();
    let store = data.open();
    store.close();
    store.close();
    let write = Write::PutCredential(credential("A", b"a"));
    assert!(matches!(commit(&store, vec![write]), Err(StoreError::Closed)));
    assert!(matches!(store.credentials(), Err(StoreError::Closed)));
}
