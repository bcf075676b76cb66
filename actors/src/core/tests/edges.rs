//! The moments between: a stop while something is under way, a clock that is set, a record that goes while it is read.

use std::time::Duration;

use super::life::{crash, submit, until_awaited};
use super::*;
use crate::domain::{LlmRequestId, ProfileStatus};
use crate::ports::{LlmReply, Write};

const FIRST: LlmRequestId = LlmRequestId(1);
const SECOND: LlmRequestId = LlmRequestId(2);

#[actix::test]
async fn a_question_that_was_refused_is_refused_again_in_a_replay() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let id = submit(&world, &agent, None, true).await;
    for attempt in 1..=2 {
        let mut run = world.runs.recv().await.expect("a run");
        run.ask_with_schema(1, &["a"], Some(r#"{"type": 7}"#));
        let (_, replies) = run.answered().await.expect("a refusal");
        assert!(matches!(replies.as_slice(), [LlmReply::Invalid(_)]), "attempt {attempt}: {replies:?}");
        run.ask(2, &["b"]);
        if attempt == 1 {
            until_awaited(&world, &id).await;
            world.core.respond(&id, Some(SECOND), "B".to_owned()).await.unwrap();
            world = crash(&world).await;
        } else {
            assert_eq!(run.answered().await, Some((2, vec![LlmReply::Text("B".to_owned())])));
        }
    }
}

#[actix::test]
async fn a_replay_that_is_refused_what_it_was_asked_before_has_diverged() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let id = submit(&world, &agent, None, true).await;
    let run = world.runs.recv().await.expect("a run");
    run.ask(1, &["a"]);
    until_awaited(&world, &id).await;
    let mut world = crash(&world).await;
    let run = world.runs.recv().await.expect("a run");
    run.ask_with_schema(1, &["a"], Some(r#"{"type": 7}"#));
    let view = world.core.wait_settled(&id, Duration::from_secs(9)).await.unwrap().unwrap();
    assert_eq!(view.record.error_type, Some(ErrorType::ReplayDiverged));
}

/// Whoever is told that nothing is awaited would not send the answer again, and that answer may be on disk.
#[actix::test]
async fn an_answer_that_a_shutdown_overtakes_is_to_be_sent_again() {
    tokio::time::pause();
    for replay in [true, false] {
        let (mut world, agent) = World::with_agent().await;
        let id = submit(&world, &agent, None, replay).await;
        let run = world.runs.recv().await.expect("a run");
        run.ask(1, &["?"]);
        until_awaited(&world, &id).await;
        world.store.fail_with(Some(StoreError::Closed));
        let told = world.core.respond(&id, Some(FIRST), "x".to_owned()).await;
        assert!(matches!(told, Err(RespondError::Unavailable(_))), "replay {replay}: {told:?}");
    }
}

#[actix::test]
async fn an_answer_is_too_late_once_the_time_is_up_though_that_is_not_on_disk_yet() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let id = submit(&world, &agent, None, false).await;
    let run = world.runs.recv().await.expect("a run");
    run.ask(1, &["one", "other"]);
    run.pause(0);
    until_awaited(&world, &id).await;
    while world.core.readiness().await.paused == 0 {
        tokio::task::yield_now().await;
    }
    world.store.fail_with(Some(StoreError::Full));
    tokio::time::sleep(Duration::from_secs(310)).await;
    for request in [FIRST, SECOND] {
        let told = world.core.respond(&id, Some(request), "x".to_owned()).await;
        assert!(matches!(&told, Err(RespondError::TimedOut(of)) if *of == request), "{request}: {told:?}");
    }
}

#[actix::test]
async fn who_cancels_while_the_disk_is_full_is_told_so_and_it_ends_once_there_is_room() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let accepted = world.submit(&agent, "1").await.unwrap();
    let _run = world.runs.recv().await.expect("a run");
    world.store.fail_with(Some(StoreError::Full));
    let told = world.core.cancel(&accepted.record.id).await;
    assert!(matches!(told, Err(EndError::Unavailable(Unavailable::Store(StoreError::Full)))), "{told:?}");
    world.store.fail_with(None);
    assert_eq!(world.finished(&accepted).await.record.status, Status::Cancelled);
}

/// The crash came after the profile's end was on disk and before its executions' was.
#[actix::test]
async fn what_waited_for_a_profile_that_has_ended_is_never_claimed_after_a_crash() {
    tokio::time::pause();
    for status in [ProfileStatus::Revoked, ProfileStatus::Expired, ProfileStatus::Locked] {
        let (world, agent) = World::with_agent().await;
        let mut views = Vec::new();
        for _ in 0..3 {
            views.push(world.submit(&agent, "1").await.unwrap());
        }
        let store = Arc::new(MemoryStore::default());
        copy(&world.store, &store).await;
        let mut profile = store.profiles().unwrap().remove(0);
        match status {
            ProfileStatus::Revoked => profile.revoked = true,
            ProfileStatus::Expired => profile.expires_at = Some(FakeClock::epoch()),
            _ => profile.suspended = true,
        }
        store.commit(vec![Write::PutProfile(profile)]).await.unwrap();
        let mut after = World::on(store, POOL).await;
        let waited = &views[2].record.id;
        let view = after.finished(&views[2]).await;
        assert_eq!(view.record.status, Status::Cancelled, "{status:?}");
        assert!(!after.store.statuses(waited).contains(&Status::Running), "{status:?}: it was claimed");
        assert_eq!((view.record.attempts, view.record.started_at), (0, None), "{status:?}");
        assert!(after.runs.try_recv().is_err(), "{status:?}: it ran");
    }
}

#[actix::test]
async fn what_is_accepted_while_a_drain_begins_is_drained_too() {
    tokio::time::pause();
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..300 {
        let (world, agent) = World::with_agent().await;
        let core = world.core.clone();
        let draining = async {
            for _ in 0..round % 30 {
                tokio::task::yield_now().await;
            }
            core.drain(Duration::from_secs(1)).await;
        };
        let (submitted, ()) = tokio::join!(world.submit(&agent, "1"), draining);
        match submitted {
            Ok(view) => {
                // Nobody lets it come to its end, so it was ended.
                accepted += 1;
                assert_eq!(world.status(&view).await, Status::Error, "round {round}: it was left behind");
            }
            Err(SubmitError::Unavailable(Unavailable::Draining)) => refused += 1,
            Err(other) => panic!("round {round}: {other}"),
        }
        assert_eq!(world.launcher.alive(), 0, "round {round}");
    }
    assert!(accepted > 10 && refused > 10, "{accepted} accepted, {refused} refused: they did not race");
}

#[actix::test]
async fn a_clock_that_is_set_takes_no_running_time_and_gives_none() {
    tokio::time::pause();
    for seconds in [3600, -3600] {
        let (mut world, agent) = World::with_agent().await;
        let id = submit(&world, &agent, None, false).await;
        let mut run = world.runs.recv().await.expect("a run");
        tokio::time::sleep(Duration::from_secs(10)).await;
        world.clock.set_by(seconds);
        run.ask(1, &["?"]);
        run.pause(0);
        until_awaited(&world, &id).await;
        while world.core.readiness().await.paused == 0 {
            tokio::task::yield_now().await;
        }
        world.core.respond(&id, Some(FIRST), "x".to_owned()).await.unwrap();
        run.answered().await.expect("an answer");
        let resumed = tokio::time::Instant::now();
        world.clock.set_by(seconds);
        while !world.core.execution(&id).await.unwrap().unwrap().record.status.is_final() {
            world.core.wait_execution(&id, Duration::from_secs(1)).await.unwrap();
        }
        let after = resumed.elapsed().as_millis();
        assert!((49_900..50_100).contains(&after), "set by {seconds} s: it had 50 s left and got {after} ms");
        let record = world.core.execution(&id).await.unwrap().unwrap().record;
        assert_eq!(record.error_type, Some(ErrorType::ScriptTimeout));
        assert!(about(record.execution_time_ms, 60_000), "set by {seconds} s: {:?}", record.execution_time_ms);
    }
}

#[actix::test]
async fn a_date_that_a_clock_jumps_over_ends_what_runs_within_a_minute() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let expiry = world.core.now() + Duration::from_secs(7200);
    let change = ProfileChange { expires_at: Some(Some(expiry)), ..ProfileChange::default() };
    world.core.update_profile(&agent.0, change).await.unwrap();
    let id = submit(&world, &agent, None, false).await;
    let run = world.runs.recv().await.expect("a run");
    run.ask(1, &["?"]);
    run.pause(0);
    until_awaited(&world, &id).await;
    // As when the machine slept.
    world.clock.set_by(7200);
    tokio::time::sleep(Duration::from_secs(61)).await;
    let view = world.core.execution(&id).await.unwrap().unwrap();
    assert_eq!(view.record.status, Status::Cancelled);
    assert!(view.output.unwrap().error.as_deref().unwrap().contains("expired"));
}

#[actix::test]
async fn an_execution_that_is_removed_while_it_is_read_is_not_there() {
    tokio::time::pause();
    for detail in [false, true] {
        let (mut world, agent) = World::with_agent().await;
        let accepted = world.submit(&agent, "1").await.unwrap();
        world.runs.recv().await.expect("a run").complete(Some("42"));
        world.finished(&accepted).await;
        let id = &accepted.record.id;
        world.store.prune_before_output();
        if detail {
            assert!(world.core.execution_detail(id).await.unwrap().is_none());
        } else {
            let read = world.core.execution(id).await.unwrap();
            assert!(read.is_none(), "a result of 42 is shown as none: {read:?}");
        }
    }
}

/// Else it would be on disk as running with nobody to run it, and a client that repeats its key would wait for it for ever.
#[actix::test]
async fn a_submission_that_is_on_disk_is_accepted_whatever_the_disk_says() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    world.store.fail_once_after_writing();
    let id = submit(&world, &agent, Some("k"), false).await;
    world.runs.recv().await.expect("a run").complete(None);
    let view = world.core.wait_settled(&id, Duration::from_secs(9)).await.unwrap().unwrap();
    assert_eq!(view.record.status, Status::Completed);
    assert_eq!(submit(&world, &agent, Some("k"), false).await, id);
}
