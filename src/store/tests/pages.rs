//! Listings: every filter, with pages and cursors at their boundaries.

use airlock_actors::domain::{ExecutionId, ProfileId, Status};
use airlock_actors::ports::{ExecutionQuery, Store, Write};

use super::{Data, RedbStore, commit, execution, execution_id, finish, insert, profile_id};

const EXECUTIONS: u32 = 60;

fn profile_of(number: u32) -> ProfileId {
    profile_id(u64::from(number % 3))
}

/// Five of seven statuses in use; every third execution belongs to the same profile.
fn status_of(number: u32) -> Status {
    match number % 5 {
        0 => Status::Pending,
        1 => Status::Running,
        2 => Status::AwaitingLlm,
        3 => Status::Completed,
        _ => Status::Cancelled,
    }
}

fn filled(data: &Data) -> RedbStore {
    let store = data.open();
    let mut batch = Vec::new();
    for number in 0..EXECUTIONS {
        let (owner, status) = (profile_of(number), status_of(number));
        batch.push(insert(number, &owner, Status::Pending));
        batch.push(if status.is_final() {
            finish(number, &owner, status)
        } else {
            Write::UpdateExecution(execution(number, &owner, status))
        });
    }
    commit(&store, batch).unwrap();
    store
}

fn ids(store: &RedbStore, query: &ExecutionQuery) -> Vec<ExecutionId> {
    store.list_executions(query).unwrap().into_iter().map(|record| record.id).collect()
}

/// All filters: none, each profile (and one without executions), each status, and both.
fn filters() -> Vec<(Option<u64>, Option<Status>)> {
    let profiles = [None, Some(0), Some(1), Some(2), Some(77)];
    let statuses = || [None].into_iter().chain(Status::ALL.map(Some));
    profiles.into_iter().flat_map(|profile| statuses().map(move |status| (profile, status))).collect()
}

#[test]
fn pages_of_every_size_put_together_are_the_listing() {
    let data = Data::new();
    let store = filled(&data);
    for (profile, status) in filters() {
        let profile_id = profile.map(profile_id);
        let expected: Vec<_> = (0..EXECUTIONS)
            .rev()
            .filter(|&number| profile_id.as_ref().is_none_or(|id| *id == profile_of(number)))
            .filter(|&number| status.is_none_or(|status| status == status_of(number)))
            .map(execution_id)
            .collect();
        let exact = expected.len();
        for limit in [1, 2, 7, exact.max(2) - 1, exact.max(1), exact + 1, usize::MAX] {
            let mut query = ExecutionQuery { profile_id: profile_id.clone(), status, before: None, limit };
            let mut listed = Vec::new();
            loop {
                let page = ids(&store, &query);
                assert!(page.len() <= limit);
                let Some(last) = page.last() else { break };
                query.before = Some(last.clone());
                listed.extend(page);
            }
            assert_eq!(listed, expected, "{profile:?} {status:?} by {limit}");
        }
    }
}

#[test]
fn a_page_of_none_is_empty() {
    let data = Data::new();
    let store = filled(&data);
    for (profile, status) in filters() {
        let query = ExecutionQuery { profile_id: profile.map(profile_id), status, before: None, limit: 0 };
        assert_eq!(ids(&store, &query), []);
    }
}

#[test]
fn a_cursor_need_not_be_an_execution_or_pass_the_filter() {
    let data = Data::new();
    let store = filled(&data);
    let page = |before, status| {
        ids(&store, &ExecutionQuery { profile_id: None, status, before: Some(execution_id(before)), limit: 2 })
    };
    assert_eq!(page(EXECUTIONS + 9, None), [execution_id(59), execution_id(58)]);
    // 59 is cancelled; of the completed ones before it 58 is the newest.
    assert_eq!(page(59, Some(Status::Completed)), [execution_id(58), execution_id(53)]);
    assert_eq!(page(0, None), []);
}

#[test]
fn the_unfinished_are_listed_oldest_first() {
    let data = Data::new();
    let store = filled(&data);
    let listed: Vec<_> = store.unfinished_executions().unwrap().into_iter().map(|record| record.id).collect();
    let expected: Vec<_> = (0..EXECUTIONS).filter(|&number| !status_of(number).is_final()).map(execution_id).collect();
    assert_eq!(listed, expected);
}
