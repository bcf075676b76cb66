//! What belongs to an execution, keys of submissions, and removing both.

use airlock_actors::domain::{ExecutionId, IdempotencyRecord, LlmEnd, LlmExchange, LlmRequestId, Status};
use airlock_actors::ports::{ExecutionQuery, Store, StoreError, Write};

use super::{Data, at, commit, execution, execution_id, finish, insert, profile_id};

fn exchange(number: u32, prompt: &str) -> LlmExchange {
    LlmExchange {
        id: LlmRequestId(number),
        prompt: prompt.to_owned(),
        model: "default".to_owned(),
        schema: Some("{}".to_owned()),
        asked_at: at(1),
        deadline: at(301),
        end: None,
    }
}

fn put(of: &ExecutionId, exchange: LlmExchange) -> Write {
    Write::PutExchange { execution_id: of.clone(), exchange }
}

fn key(owner: u64, hash: u8, second: i64) -> IdempotencyRecord {
    IdempotencyRecord {
        profile_id: profile_id(owner),
        key_hash: [hash; 32],
        body_hash: [hash ^ 0xff; 32],
        execution_id: execution_id(1),
        created_at: at(second),
    }
}

#[test]
fn exchanges_are_an_executions_own_in_order_and_bounded() {
    let data = Data::new();
    let store = data.open();
    let owner = profile_id(1);
    let (one, two) = (execution_id(1), execution_id(2));
    commit(&store, vec![insert(1, &owner, Status::Pending), insert(2, &owner, Status::Pending)]).unwrap();
    // 300: the order is that of numbers, not of their digits or bytes.
    let numbers = [2, 300, 1, 10];
    commit(&store, numbers.map(|number| put(&one, exchange(number, "0123456789"))).to_vec()).unwrap();
    commit(&store, vec![put(&two, exchange(1, "another's"))]).unwrap();
    let ended = LlmExchange { end: Some((LlmEnd::Answered("x".to_owned()), at(5))), ..exchange(2, "0123456789") };
    commit(&store, vec![put(&one, ended.clone())]).unwrap();
    store.close();
    let store = data.open();
    let all = store.exchanges(&one, usize::MAX).unwrap();
    assert_eq!(all.iter().map(|exchange| exchange.id.0).collect::<Vec<_>>(), [1, 2, 10, 300]);
    assert_eq!(all[1], ended);
    assert_eq!(store.exchange(&one, LlmRequestId(2)).unwrap(), Some(ended));
    assert_eq!(store.exchange(&one, LlmRequestId(3)).unwrap(), None);
    // Each has 19 bytes, one of them 20.
    for (most, count) in [(0, 1), (18, 1), (19, 2), (38, 2), (39, 3), (1000, 4)] {
        assert_eq!(store.exchanges(&one, most).unwrap().len(), count, "up to {most} bytes");
    }
}

/// ST-9
#[test]
fn nobody_asks_for_an_execution_that_is_not_there() {
    let data = Data::new();
    let store = data.open();
    let asked = commit(&store, vec![put(&execution_id(1), exchange(1, "?"))]);
    assert!(matches!(asked, Err(StoreError::Failed(_))), "{asked:?}");
    assert_eq!(store.exchange(&execution_id(1), LlmRequestId(1)).unwrap(), None);
}

/// ST-9
#[test]
fn a_removed_execution_leaves_nothing_and_a_live_one_is_not_removed() {
    let data = Data::new();
    let store = data.open();
    let owner = profile_id(1);
    let mut batch = Vec::new();
    for number in 1..=3 {
        let mut running = execution(number, &owner, Status::Running);
        running.llm_requests = 2;
        batch.push(insert(number, &owner, Status::Pending));
        batch.push(Write::UpdateExecution(running.clone()));
        batch.push(put(&running.id, exchange(1, "?")));
        batch.push(put(&running.id, exchange(2, "?")));
    }
    let mut finished = execution(2, &owner, Status::Completed);
    finished.llm_requests = 2;
    batch.push(Write::FinishExecution { record: finished, output: super::output("x") });
    commit(&store, batch).unwrap();
    assert_eq!(store.count_executions().unwrap(), 3);

    let live = commit(&store, vec![Write::DeleteExecution(execution_id(2)), Write::DeleteExecution(execution_id(1))]);
    assert!(matches!(live, Err(StoreError::Failed(_))));
    assert_eq!(store.count_executions().unwrap(), 3, "a part of a refused batch was written");
    for _ in 0..2 {
        commit(&store, vec![Write::DeleteExecution(execution_id(2))]).unwrap();
    }
    let gone = execution_id(2);
    assert_eq!(store.execution(&gone).unwrap(), None);
    assert_eq!(store.execution_script(&gone).unwrap(), None);
    assert_eq!(store.execution_output(&gone).unwrap(), None);
    assert_eq!(store.exchanges(&gone, usize::MAX).unwrap(), []);
    assert_eq!(store.exchanges(&execution_id(1), usize::MAX).unwrap().len(), 2);
    assert_eq!(store.exchanges(&execution_id(3), usize::MAX).unwrap().len(), 2);
    for (profile_id, status) in [(None, None), (Some(owner.clone()), None), (None, Some(Status::Completed))] {
        let query = ExecutionQuery { profile_id, status, before: None, limit: 9 };
        let listed = store.list_executions(&query).unwrap();
        assert!(listed.iter().all(|record| record.id != gone), "it is still listed");
    }
    assert_eq!(store.count_executions().unwrap(), 2);
    // It may come again: nothing of the first is in its way.
    commit(&store, vec![insert(2, &owner, Status::Pending), finish(2, &owner, Status::Error)]).unwrap();
}

#[test]
fn the_oldest_come_in_pages_that_end() {
    let data = Data::new();
    let store = data.open();
    commit(&store, (1..=5).map(|number| insert(number, &profile_id(1), Status::Pending)).collect()).unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.oldest_executions(after.as_ref(), 2).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        seen.extend(page.into_iter().map(|record| record.id));
    }
    assert_eq!(seen, (1..=5).map(execution_id).collect::<Vec<_>>());
}

#[test]
fn keys_are_found_by_profile_and_hash_and_removed_by_age() {
    let data = Data::new();
    let store = data.open();
    let keys = [key(1, 7, 30), key(2, 7, 10), key(1, 8, 20)];
    commit(&store, keys.iter().cloned().map(Write::PutIdempotency).collect()).unwrap();
    store.close();
    let store = data.open();
    for known in &keys {
        assert_eq!(store.idempotency(&known.profile_id, &known.key_hash).unwrap().as_ref(), Some(known));
    }
    assert_eq!(store.idempotency(&profile_id(2), &[8; 32]).unwrap(), None);
    let old = |second, limit| store.idempotency_before(at(second), limit).unwrap();
    assert_eq!(old(10, 9), []);
    assert_eq!(old(11, 9), [keys[1].clone()]);
    assert_eq!(old(99, 2), [keys[1].clone(), keys[2].clone()]);
    commit(&store, old(25, 9).into_iter().map(Write::DeleteIdempotency).collect()).unwrap();
    assert_eq!(old(99, 9), [keys[0].clone()]);
    assert_eq!(store.idempotency(&profile_id(2), &[7; 32]).unwrap(), None);
}

/// ST-10
#[test]
fn a_key_that_is_used_again_is_that_of_the_second_use_and_survives_the_pruning_of_the_first() {
    let data = Data::new();
    let store = data.open();
    let (first, second) = (key(1, 7, 10), IdempotencyRecord { execution_id: execution_id(9), ..key(1, 7, 40) });
    commit(&store, vec![Write::PutIdempotency(first.clone())]).unwrap();
    commit(&store, vec![Write::PutIdempotency(second.clone())]).unwrap();
    let known = || store.idempotency(&profile_id(1), &[7; 32]).unwrap();
    assert_eq!(store.idempotency_before(at(30), 9).unwrap(), [], "the first use is still listed");
    // Who prunes may have looked before the second use.
    commit(&store, vec![Write::DeleteIdempotency(first)]).unwrap();
    assert_eq!(known(), Some(second.clone()));
    assert_eq!(store.idempotency_before(at(41), 9).unwrap(), std::slice::from_ref(&second));
    commit(&store, vec![Write::DeleteIdempotency(second)]).unwrap();
    assert_eq!((known(), store.idempotency_before(at(99), 9).unwrap()), (None, Vec::new()));
}
