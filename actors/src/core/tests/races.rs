//! Every pair that can race, hundreds of times, each a little earlier or later than the time before.

use std::time::Duration;

use super::llm::{FIRST, paused, text, until};
use super::*;
use crate::domain::ExecutionId;
use crate::ports::LlmReply;

/// Rounds of each pair.
const ROUNDS: usize = 300;

/// Comes later in some rounds than in others: within them all, before and after whatever it races with.
async fn later(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

fn final_statuses(world: &World, id: &ExecutionId) -> usize {
    world.store.statuses(id).iter().filter(|status| status.is_final()).count()
}

/// Whatever happened, every slot came back.
async fn nothing_is_held(world: &World) {
    while world.core.readiness().await.running > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(world.core.readiness().await.paused, 0);
}

#[actix::test]
async fn an_answer_and_the_time_out_race_and_one_of_them_it_is_for_all() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let (mut answered, mut timed_out) = (0, 0);
    for round in 0..ROUNDS as u64 {
        let (id, mut run) = paused(&mut world, &agent).await;
        // Around the very moment.
        let asked = world.store.exchange(&id, FIRST).unwrap().unwrap();
        let left = Duration::try_from(asked.deadline.duration_since(world.core.now())).unwrap();
        tokio::time::sleep((left + Duration::from_millis(round % 5)).saturating_sub(Duration::from_millis(2))).await;
        let told = world.core.respond(&id, Some(FIRST), "x".to_owned()).await;
        let (_, replies) = run.answered().await.expect("an end");
        match told {
            Ok(_) => {
                assert_eq!(replies, [text("x")], "round {round}");
                answered += 1;
            }
            Err(RespondError::TimedOut(_)) => {
                assert!(matches!(replies.as_slice(), [LlmReply::TimedOut(_)]), "round {round}");
                timed_out += 1;
            }
            Err(other) => panic!("round {round}: {other}"),
        }
        run.complete(None);
        until(&world, &id, Status::Completed).await;
    }
    assert!(answered > 20 && timed_out > 20, "{answered} answered, {timed_out} timed out: they did not race");
}

#[actix::test]
async fn two_answers_race_and_the_script_gets_the_one_that_was_taken() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let mut won = [0, 0];
    for round in 0..ROUNDS {
        let (id, mut run) = paused(&mut world, &agent).await;
        let respond = async |text: &str, turns| {
            later(turns).await;
            world.core.respond(&id, Some(FIRST), text.to_owned()).await
        };
        let (one, other, same) =
            tokio::join!(respond("one", round % 5), respond("other", round / 5 % 5), respond("one", round / 25 % 5));
        let taken = match (&one, &other, &same) {
            (Ok(_), Err(RespondError::AnsweredOtherwise(_)), Ok(_)) => 0,
            (Err(RespondError::AnsweredOtherwise(_)), Ok(_), Err(RespondError::AnsweredOtherwise(_))) => 1,
            all => panic!("round {round}: {all:?}"),
        };
        won[taken] += 1;
        assert_eq!(run.answered().await, Some((1, vec![text(["one", "other"][taken])])));
        run.complete(None);
        until(&world, &id, Status::Completed).await;
    }
    assert!(won.iter().all(|&won| won > 20), "{won:?}: they did not race");
}

#[actix::test]
async fn cancel_and_the_end_race_and_whoever_cancels_is_told_what_came_of_it() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let (mut cancelled, mut completed) = (0, 0);
    for round in 0..ROUNDS {
        let accepted = world.submit(&agent, "1").await.unwrap();
        let (id, run) = (accepted.record.id, world.runs.recv().await.expect("a run"));
        let end = async {
            later(round % 7).await;
            run.complete(None);
        };
        let cancel = async {
            later(round / 7 % 7).await;
            world.core.cancel(&id).await
        };
        let (told, ()) = tokio::join!(cancel, end);
        let status = until_final(&world, &id).await;
        match told {
            Ok(view) => {
                cancelled += 1;
                assert_eq!((view.record.status, status), (Status::Cancelled, Status::Cancelled), "round {round}");
            }
            Err(EndError::Finished(told)) => {
                completed += 1;
                assert_eq!((told, status), (Status::Completed, Status::Completed), "round {round}");
            }
            Err(other) => panic!("round {round}: {other}"),
        }
        assert_eq!(final_statuses(&world, &id), 1, "round {round}");
    }
    assert!(cancelled > 20 && completed > 20, "{cancelled} cancelled, {completed} completed: they did not race");
    nothing_is_held(&world).await;
}

#[actix::test]
async fn cancel_and_an_answer_race_and_what_was_acknowledged_is_on_disk() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let (mut taken, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let (id, _run) = paused(&mut world, &agent).await;
        let cancel = async {
            later(round % 7).await;
            world.core.cancel(&id).await
        };
        let answer = async {
            later(round / 7 % 7).await;
            world.core.respond(&id, None, "x".to_owned()).await
        };
        let (cancelled, answered) = tokio::join!(cancel, answer);
        assert!(cancelled.is_ok(), "round {round}: {cancelled:?}");
        match answered {
            Ok(_) => {
                taken += 1;
                let end = world.store.exchange(&id, FIRST).unwrap().unwrap().end;
                assert!(end.is_some(), "round {round}: an acknowledged answer is lost");
            }
            Err(RespondError::Finished(_) | RespondError::NothingAsked) => refused += 1,
            Err(other) => panic!("round {round}: {other}"),
        }
        assert_eq!(final_statuses(&world, &id), 1, "round {round}");
    }
    assert!(taken > 20 && refused > 20, "{taken} taken, {refused} refused: they did not race");
    nothing_is_held(&world).await;
}

#[actix::test]
async fn cancel_and_revocation_race_and_there_is_one_end() {
    tokio::time::pause();
    let mut world = World::new().await;
    for round in 0..ROUNDS {
        let agent = world.profile(&format!("KEY_{round}"), "v").await;
        let (id, _run) = paused(&mut world, &agent).await;
        let cancel = async {
            later(round % 7).await;
            world.core.cancel(&id).await
        };
        let revoke = async {
            later(round / 7 % 7).await;
            world.core.revoke_profile(&agent.0).await
        };
        let (cancelled, revoked) = tokio::join!(cancel, revoke);
        assert!(
            matches!(&cancelled, Ok(_) | Err(EndError::Finished(Status::Cancelled))),
            "round {round}: {cancelled:?}"
        );
        assert!(revoked.is_ok(), "round {round}: {revoked:?}");
        assert_eq!(final_statuses(&world, &id), 1, "round {round}");
    }
    nothing_is_held(&world).await;
}

#[actix::test]
async fn revocation_and_a_submission_race_and_nothing_runs_on() {
    tokio::time::pause();
    let mut world = World::new().await;
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let agent = world.profile(&format!("KEY_{round}"), "v").await;
        let revoke = async {
            later(round % 15).await;
            world.core.revoke_profile(&agent.0).await
        };
        let submit = async {
            later(round / 15 % 15).await;
            world.submit(&agent, "1").await
        };
        let (submitted, revoked) = tokio::join!(submit, revoke);
        assert!(revoked.is_ok(), "round {round}: {revoked:?}");
        match submitted {
            Ok(view) => {
                accepted += 1;
                assert_eq!(until_final(&world, &view.record.id).await, Status::Cancelled, "round {round}");
                assert_eq!(final_statuses(&world, &view.record.id), 1, "round {round}");
            }
            Err(SubmitError::Revoked) => refused += 1,
            Err(other) => panic!("round {round}: {other}"),
        }
        while world.runs.try_recv().is_ok() {}
    }
    assert!(accepted > 20 && refused > 20, "{accepted} accepted, {refused} refused: they did not race");
    nothing_is_held(&world).await;
}

#[actix::test]
async fn expiry_and_a_submission_race_and_nothing_runs_on() {
    tokio::time::pause();
    let mut world = World::new().await;
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let agent = world.profile(&format!("KEY_{round}"), "v").await;
        let expiry = world.core.now() + Duration::from_millis(20);
        let change = ProfileChange { expires_at: Some(Some(expiry)), ..ProfileChange::default() };
        world.core.update_profile(&agent.0, change).await.unwrap();
        // Around the very moment.
        let left = Duration::try_from(expiry.duration_since(world.core.now())).unwrap();
        let early = Duration::from_millis(2).saturating_sub(Duration::from_millis(round as u64 % 4));
        tokio::time::sleep(left.saturating_sub(early)).await;
        later(round / 4 % 15).await;
        match world.submit(&agent, "1").await {
            Ok(view) => {
                accepted += 1;
                let status = until_final(&world, &view.record.id).await;
                let end = world.core.execution(&view.record.id).await.unwrap().unwrap();
                assert_eq!(status, Status::Cancelled, "round {round}");
                assert!(end.output.unwrap().error.as_deref().unwrap().contains("expired"), "round {round}");
            }
            Err(SubmitError::Expired) => refused += 1,
            Err(other) => panic!("round {round}: {other}"),
        }
        while world.runs.try_recv().is_ok() {}
    }
    assert!(accepted > 20 && refused > 20, "{accepted} accepted, {refused} refused: they did not race");
    nothing_is_held(&world).await;
}

#[actix::test]
async fn pruning_and_reading_race_and_what_is_read_is_whole() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let (mut there, mut gone) = (0, 0);
    for round in 0..ROUNDS {
        let accepted = world.submit(&agent, "1").await.unwrap();
        world.runs.recv().await.expect("a run").complete(Some("42"));
        let id = world.finished(&accepted).await.record.id;
        let prune = async {
            later(round % 5).await;
            world.core.tidy(Retention { executions: 0, ..RETENTION }).await
        };
        let read = async {
            later(round / 5 % 5).await;
            let detail = world.core.execution_detail(&id).await.unwrap();
            later(1).await;
            (detail, world.core.execution(&id).await.unwrap())
        };
        let (pruned, (detail, view)) = tokio::join!(prune, read);
        assert_eq!(pruned.ok(), Some(1), "round {round}");
        for view in detail.map(|detail| detail.view).into_iter().chain(view) {
            there += 1;
            let result = view.output.expect("an output").result.clone();
            assert_eq!(result.as_deref(), Some("42"), "round {round}");
        }
        gone += usize::from(world.core.execution(&id).await.unwrap().is_none());
    }
    assert_eq!(gone, ROUNDS);
    assert!(there > 20 && there < 2 * ROUNDS - 20, "read {there} times: they did not race");
}

async fn until_final(world: &World, id: &ExecutionId) -> Status {
    loop {
        let view = world.core.wait_execution(id, Duration::from_secs(100)).await.unwrap().expect("it exists");
        if view.record.status.is_final() {
            return view.record.status;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
