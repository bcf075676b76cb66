//! The writer under many callers at once.

use std::sync::Arc;

use airlock_actors::domain::Status;
use airlock_actors::ports::{ExecutionQuery, Store, StoreError, Write};

use super::{Data, RedbStore, credential, execution, execution_id, insert, profile_id};

/// All at once, so that they share transactions.
pub(super) async fn commit_all(store: &Arc<RedbStore>, batches: Vec<Vec<Write>>) -> Vec<Result<(), StoreError>> {
    let mut commits = Vec::new();
    for batch in batches {
        let store = Arc::clone(store);
        commits.push(tokio::spawn(async move { store.commit(batch).await }));
    }
    let mut results = Vec::new();
    for commit in commits {
        results.push(commit.await.unwrap());
    }
    results
}

#[tokio::test]
async fn two_hundred_and_fifty_six_callers_all_find_their_write_on_disk() {
    let data = Data::new();
    let store = Arc::new(data.open());
    let batches = (0..256).map(|number| vec![insert(number, &profile_id(1), Status::Pending)]).collect();
    assert!(commit_all(&store, batches).await.iter().all(Result::is_ok));
    store.close();
    let query = ExecutionQuery { limit: usize::MAX, ..ExecutionQuery::default() };
    assert_eq!(data.open().list_executions(&query).unwrap().len(), 256);
}

/// ST-5
#[tokio::test]
async fn one_that_is_refused_takes_no_other_with_it() {
    let data = Data::new();
    let store = Arc::new(data.open());
    let never_inserted = |number| Write::UpdateExecution(execution(number, &profile_id(1), Status::Running));
    let batches = (0..128)
        .map(|number| match number % 16 {
            // Half of this batch is fine; it must go with the rest.
            5 => vec![insert(number, &profile_id(1), Status::Pending), never_inserted(1000 + number)],
            _ => vec![insert(number, &profile_id(1), Status::Pending)],
        })
        .collect();
    let results = commit_all(&store, batches).await;
    for (number, result) in (0..128).zip(results) {
        let refused = number % 16 == 5;
        assert_eq!(result.is_err(), refused, "{number}: {result:?}");
        assert_eq!(store.execution(&execution_id(number)).unwrap().is_none(), refused);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_writes_what_was_accepted_and_refuses_the_rest() {
    let data = Data::new();
    let store = Arc::new(data.open());
    let batches = (0..512).map(|number| vec![insert(number, &profile_id(1), Status::Pending)]).collect();
    let closing = tokio::task::spawn_blocking({
        let store = Arc::clone(&store);
        move || store.close()
    });
    let results = commit_all(&store, batches).await;
    closing.await.unwrap();
    let store = data.open();
    for (number, result) in (0..512).zip(results) {
        assert!(matches!(result, Ok(()) | Err(StoreError::Closed)));
        assert_eq!(store.execution(&execution_id(number)).unwrap().is_some(), result.is_ok());
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_loses_nothing_it_had_handed_over() {
    let data = Data::new();
    let store = Arc::new(data.open());
    let mut commit = store.commit(vec![Write::PutCredential(credential("A", b"a"))]);
    // Polled once, so that the batch is in the queue, and dropped.
    assert!(futures_util::poll!(&mut commit).is_pending());
    drop(commit);
    store.close();
    assert_eq!(data.open().credentials().unwrap().len(), 1);
}
