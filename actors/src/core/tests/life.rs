//! What outlives an execution: replays, keys, and what is removed in the end.

use std::time::Duration;

use super::*;
use crate::domain::{ExecutionId, LlmRequestId, OnRestart};
use crate::ports::LlmReply;

pub(super) async fn submit(
    world: &World,
    (profile_id, secret): &(ProfileId, Secret),
    key: Option<&str>,
    replay: bool,
) -> ExecutionId {
    let script = "llm.complete('?')";
    let submission = Submission {
        profile_id: profile_id.clone(),
        script: script.into(),
        hash: Some(world::sign(secret, script)),
        timeout_s: 60,
        llm_timeout_s: 300,
        on_restart: if replay { OnRestart::Replay } else { OnRestart::Fail },
        idempotency_key: key.map(str::to_owned),
    };
    world.core.submit(submission).await.unwrap().record.id
}

pub(super) async fn until_awaited(world: &World, id: &ExecutionId) {
    while world.core.execution(id).await.unwrap().unwrap().awaited.is_empty() {
        tokio::task::yield_now().await;
    }
}

/// Starts another core on what is on the disk now; the first goes on and is not looked at any more.
pub(super) async fn crash(world: &World) -> World {
    let next = Arc::new(MemoryStore::default());
    copy(&world.store, &next).await;
    World::on(next, POOL).await
}

#[actix::test]
async fn a_replay_that_keeps_being_interrupted_is_given_up() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let id = submit(&world, &agent, None, true).await;
    for attempt in 1..=5 {
        let run = world.runs.recv().await.expect("a run");
        let record = world.core.execution(&id).await.unwrap().unwrap().record;
        assert_eq!((record.status, record.attempts), (Status::Running, attempt));
        drop(run);
        world = crash(&world).await;
    }
    let record = world.core.execution(&id).await.unwrap().unwrap().record;
    assert_eq!((record.status, record.error_type), (Status::Error, Some(ErrorType::Interrupted)));
}

#[actix::test]
async fn a_replay_compares_what_is_asked_with_what_was_asked() {
    tokio::time::pause();
    for same in [true, false] {
        let (mut world, agent) = World::with_agent().await;
        let id = submit(&world, &agent, None, true).await;
        let run = world.runs.recv().await.expect("a run");
        run.ask(1, &["a", "b"]);
        until_awaited(&world, &id).await;
        world.core.respond(&id, Some(LlmRequestId(2)), "B".to_owned()).await.unwrap();
        let mut world = crash(&world).await;
        let mut run = world.runs.recv().await.expect("a run");
        run.ask(1, if same { &["a", "b"] } else { &["b", "a"] });
        if !same {
            let view = world.core.wait_settled(&id, Duration::from_secs(9)).await.unwrap().unwrap();
            assert_eq!(view.record.error_type, Some(ErrorType::ReplayDiverged));
            continue;
        }
        until_awaited(&world, &id).await;
        assert_eq!(world.core.execution(&id).await.unwrap().unwrap().awaited, [LlmRequestId(1)]);
        world.core.respond(&id, None, "A".to_owned()).await.unwrap();
        let text = |text: &str| LlmReply::Text(text.to_owned());
        assert_eq!(run.answered().await, Some((1, vec![text("A"), text("B")])));
    }
}

#[actix::test]
async fn a_key_is_good_for_a_day_and_then_forgotten() {
    tokio::time::pause();
    let world = World::on(Arc::default(), crate::worker_pool::PoolConfig { max_queue: 50, ..POOL }).await;
    let agent = world.profile("KEY", "v").await;
    let first = submit(&world, &agent, Some("k"), false).await;
    tokio::time::sleep(Duration::from_secs(24 * 3600 - 1)).await;
    assert_eq!(submit(&world, &agent, Some("k"), false).await, first);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = submit(&world, &agent, Some("k"), false).await;
    assert_ne!(second, first);
    assert_eq!(submit(&world, &agent, Some("k"), false).await, second);
    tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
    assert!(world.store.idempotency_before(world.core.now(), 9).unwrap().is_empty(), "an old key is kept");
}

#[actix::test]
async fn a_submission_that_fails_leaves_no_key() {
    tokio::time::pause();
    let (world, agent) = World::with_agent().await;
    world.store.fail_with(Some(StoreError::Full));
    let script = "llm.complete('?')";
    let failed = world.core.submit(Submission {
        profile_id: agent.0.clone(),
        script: script.into(),
        hash: Some(world::sign(&agent.1, script)),
        timeout_s: 60,
        llm_timeout_s: 300,
        on_restart: OnRestart::Fail,
        idempotency_key: Some("k".to_owned()),
    });
    assert!(failed.await.is_err());
    world.store.fail_with(None);
    let id = submit(&world, &agent, Some("k"), false).await;
    assert!(world.core.execution(&id).await.unwrap().is_some());
}

#[actix::test]
async fn what_is_too_old_or_too_much_is_removed_and_what_is_live_never() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let live = submit(&world, &agent, None, false).await;
    let _run = world.runs.recv().await.expect("a run");
    let mut finished = Vec::new();
    for _ in 0..250 {
        let id = submit(&world, &agent, None, false).await;
        let mut run = world.runs.recv().await.expect("a run");
        run.ask(1, &["?"]);
        until_awaited(&world, &id).await;
        world.core.respond(&id, None, "x".to_owned()).await.unwrap();
        run.answered().await.expect("an answer");
        run.complete(None);
        world.core.wait_settled(&id, Duration::from_secs(9)).await.unwrap();
        while !world.core.execution(&id).await.unwrap().unwrap().record.status.is_final() {
            world.core.wait_execution(&id, Duration::from_secs(1)).await.unwrap();
        }
        finished.push(id);
        // Ids sort by time.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let year = Duration::from_secs(365 * 24 * 3600);
    let kept = |world: &World| finished.iter().filter(|id| world.store.execution(id).unwrap().is_some()).count();
    assert_eq!(world.core.tidy(Retention { age: year, executions: 251 }).await.unwrap(), 0);
    // The oldest go first, with all that is theirs; the live one stays though it is the oldest of all.
    assert_eq!(world.core.tidy(Retention { age: year, executions: 101 }).await.unwrap(), 150);
    assert_eq!(kept(&world), 100);
    assert!(
        world.store.execution(&finished[149]).unwrap().is_none()
            && world.store.execution(&finished[150]).unwrap().is_some()
    );
    assert!(world.store.exchange(&finished[149], LlmRequestId(1)).unwrap().is_none());
    assert!(world.store.exchange(&finished[150], LlmRequestId(1)).unwrap().is_some());
    let age = Duration::from_secs(3600);
    assert_eq!(world.core.tidy(Retention { age, executions: 1000 }).await.unwrap(), 0);
    // The live one ends by its deadline, and is kept from then on.
    while !world.core.execution(&live).await.unwrap().unwrap().record.status.is_final() {
        world.core.wait_execution(&live, Duration::from_secs(1)).await.unwrap();
    }
    tokio::time::sleep(age - Duration::from_secs(5)).await;
    assert_eq!(world.core.tidy(Retention { age, executions: 1000 }).await.unwrap(), 100);
    assert!(world.store.execution(&live).unwrap().is_some());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.core.tidy(Retention { age, executions: 1000 }).await.unwrap(), 1);
    assert!(world.store.execution(&live).unwrap().is_none());
}
