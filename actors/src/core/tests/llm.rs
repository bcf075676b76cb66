//! Pauses, with scripted workers and paused time: every deadline.

use std::time::Duration;

use super::*;
use crate::domain::{ExecutionId, ExecutionView, LlmEnd, LlmRequestId};
use crate::ports::LlmReply;
use crate::testing::ScriptedRun;

pub(super) const FIRST: LlmRequestId = LlmRequestId(1);

pub(super) fn text(reply: &str) -> LlmReply {
    LlmReply::Text(reply.to_owned())
}

/// Waits until the execution has this status.
pub(super) async fn until(world: &World, id: &ExecutionId, status: Status) -> ExecutionView {
    loop {
        let view = world.core.execution(id).await.unwrap().expect("it exists");
        if view.record.status == status {
            return view;
        }
        assert!(!view.record.status.is_final(), "{:?} and not {status:?}", view.record.status);
        world.core.wait_execution(id, Duration::from_secs(7200)).await.unwrap();
        // What is awaited is answered at once: let time pass.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A script that has asked one thing and stands still.
pub(super) async fn paused(world: &mut World, agent: &(ProfileId, Secret)) -> (ExecutionId, ScriptedRun) {
    let accepted = world.submit(agent, "llm.complete('?')").await.unwrap();
    let run = world.runs.recv().await.expect("a run");
    run.ask(1, &["?"]);
    run.pause(0);
    let id = accepted.record.id;
    until(world, &id, Status::AwaitingLlm).await;
    // Its slot is back.
    while world.core.readiness().await.paused == 0 {
        tokio::task::yield_now().await;
    }
    (id, run)
}

#[actix::test]
async fn a_paused_script_holds_no_slot_and_takes_one_to_go_on() {
    tokio::time::pause();
    let mut world = World::on(Arc::default(), crate::worker_pool::PoolConfig { max_running: 1, ..POOL }).await;
    let agent = world.profile("KEY", "v").await;
    let (id, mut run) = paused(&mut world, &agent).await;
    let ready = world.core.readiness().await;
    assert_eq!((ready.running, ready.paused), (0, 1));
    // Another runs in its place.
    let other = world.submit(&agent, "other").await.unwrap();
    let other_run = world.runs.recv().await.expect("a run");
    assert_eq!(world.core.respond(&id, None, "x".to_owned()).await.unwrap(), Status::Running);
    assert!(run.try_answered().is_none(), "it goes on without a slot");
    other_run.complete(None);
    world.finished(&other).await;
    assert_eq!(run.answered().await, Some((1, vec![text("x")])));
    let ready = world.core.readiness().await;
    assert_eq!((ready.running, ready.paused), (1, 0));
    run.complete(Some("1"));
    until(&world, &id, Status::Completed).await;
}

#[actix::test]
async fn beyond_what_may_be_paused_a_script_keeps_its_slot() {
    tokio::time::pause();
    let pool = crate::worker_pool::PoolConfig { max_running: 1, max_paused: 0, ..POOL };
    let mut world = World::on(Arc::default(), pool).await;
    let agent = world.profile("KEY", "v").await;
    let accepted = world.submit(&agent, "1").await.unwrap();
    let mut run = world.runs.recv().await.expect("a run");
    run.ask(1, &["?"]);
    run.pause(0);
    until(&world, &accepted.record.id, Status::AwaitingLlm).await;
    let ready = world.core.readiness().await;
    assert_eq!((ready.running, ready.paused), (1, 0));
    // Its time does not count all the same.
    tokio::time::sleep(Duration::from_secs(200)).await;
    world.core.respond(&accepted.record.id, None, "x".to_owned()).await.unwrap();
    assert_eq!(run.answered().await, Some((1, vec![text("x")])));
    run.complete(None);
    until(&world, &accepted.record.id, Status::Completed).await;
}

#[actix::test]
async fn the_running_time_goes_on_where_it_stopped_and_ends_at_its_deadline() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let accepted = world.submit(&agent, "1").await.unwrap();
    let mut run = world.runs.recv().await.expect("a run");
    tokio::time::sleep(Duration::from_secs(25)).await;
    run.ask(1, &["?"]);
    run.pause(0);
    until(&world, &accepted.record.id, Status::AwaitingLlm).await;
    tokio::time::sleep(Duration::from_secs(299)).await;
    assert_eq!(world.status(&accepted).await, Status::AwaitingLlm);
    world.core.respond(&accepted.record.id, None, "x".to_owned()).await.unwrap();
    run.answered().await.expect("an answer");
    let resumed = tokio::time::Instant::now();
    let view = until(&world, &accepted.record.id, Status::Timeout).await;
    let after = resumed.elapsed().as_millis();
    assert!((34_900..35_100).contains(&after), "it had 35 s left and got {after} ms");
    assert!(
        about(view.record.execution_time_ms.map(|ms| ms + 50), 60_000 + 40)
            || about(view.record.execution_time_ms, 60_000)
    );
}

#[actix::test]
async fn a_question_times_out_at_its_deadline_and_not_before() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let (id, mut run) = paused(&mut world, &agent).await;
    let asked = world.store.exchange(&id, FIRST).unwrap().unwrap();
    assert_eq!(asked.deadline, asked.asked_at + Duration::from_secs(300));
    assert_eq!(world.core.execution(&id).await.unwrap().unwrap().record.llm_deadline, Some(asked.deadline));
    tokio::time::sleep(Duration::from_millis(299_900)).await;
    assert!(run.try_answered().is_none());
    let (batch, replies) = run.answered().await.expect("the time-out");
    assert_eq!(batch, 1);
    assert!(matches!(replies.as_slice(), [LlmReply::TimedOut(why)] if why.contains("300 s")), "{replies:?}");
    let late = world.core.respond(&id, Some(FIRST), "x".to_owned()).await;
    assert!(matches!(late, Err(RespondError::TimedOut(FIRST))), "{late:?}");
    let end = world.store.exchange(&id, FIRST).unwrap().unwrap().end;
    assert_eq!(end.map(|(end, _)| end), Some(LlmEnd::TimedOut));
    run.complete(None);
    let view = until(&world, &id, Status::Completed).await;
    assert_eq!(view.record.llm_deadline, None);
}

#[actix::test]
async fn expiry_cancels_what_is_paused() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let (id, _run) = paused(&mut world, &agent).await;
    let expiry = world.core.now() + Duration::from_secs(10);
    let change = ProfileChange { expires_at: Some(Some(expiry)), ..ProfileChange::default() };
    world.core.update_profile(&agent.0, change).await.unwrap();
    let view = until(&world, &id, Status::Cancelled).await;
    assert!(view.output.unwrap().error.as_deref().unwrap().contains("expired"));
}

#[actix::test]
async fn nothing_is_shown_or_acknowledged_that_is_not_on_disk() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let accepted = world.submit(&agent, "1").await.unwrap();
    let mut run = world.runs.recv().await.expect("a run");
    let id = accepted.record.id.clone();
    world.store.fail_with(Some(StoreError::Full));
    run.ask(1, &["?"]);
    run.pause(0);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(world.status(&accepted).await, Status::Running, "a pause was shown that is not on disk");
    world.store.fail_with(None);
    until(&world, &id, Status::AwaitingLlm).await;
    world.store.fail_with(Some(StoreError::Full));
    let respond = world.core.respond(&id, None, "x".to_owned());
    assert!(tokio::time::timeout(Duration::from_secs(20), respond).await.is_err(), "an answer was acknowledged");
    assert!(run.try_answered().is_none(), "an answer was given to the script that is not on disk");
    world.store.fail_with(None);
    assert_eq!(run.answered().await, Some((1, vec![text("x")])));
    // Whoever does not know whether it was taken sends it again.
    world.core.respond(&id, Some(FIRST), "x".to_owned()).await.unwrap();
}

#[actix::test]
async fn a_late_word_that_it_stands_still_does_not_hold_it_up() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let accepted = world.submit(&agent, "1").await.unwrap();
    let mut run = world.runs.recv().await.expect("a run");
    let id = accepted.record.id;
    run.ask(1, &["?"]);
    until(&world, &id, Status::AwaitingLlm).await;
    world.core.respond(&id, None, "x".to_owned()).await.unwrap();
    run.answered().await.expect("an answer");
    // Sent before the answer arrived, and once with nothing asked at all.
    run.pause(0);
    run.pause(1);
    let view = until(&world, &id, Status::Timeout).await;
    assert!(view.record.execution_time_ms.is_some_and(|ms| ms >= 60_000), "its clock stood still");
}

#[actix::test]
async fn an_execution_asks_no_more_often_than_is_allowed() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let accepted = world.submit(&agent, "1").await.unwrap();
    let mut run = world.runs.recv().await.expect("a run");
    let most = crate::execution::MAX_REQUESTS;
    let prompts = vec!["?"; 100];
    for batch in 1..=most / 100 {
        run.ask(batch, &prompts);
        while world.core.execution(&accepted.record.id).await.unwrap().unwrap().awaited.len() < 100 {
            tokio::task::yield_now().await;
        }
        let ids = (batch - 1) * 100 + 1..=batch * 100;
        let answers = ids.map(|id| world.core.respond(&accepted.record.id, Some(LlmRequestId(id)), "x".to_owned()));
        assert!(futures_util::future::join_all(answers).await.iter().all(Result::is_ok));
        assert_eq!(run.answered().await.expect("answers").1.len(), 100);
    }
    run.ask(most / 100 + 1, &["one too many"]);
    let (_, replies) = run.answered().await.expect("a refusal");
    assert!(matches!(replies.as_slice(), [LlmReply::Refused(why)] if why.contains("10000")), "{replies:?}");
}
