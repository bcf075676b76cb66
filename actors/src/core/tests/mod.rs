//! The whole core on a memory store, with scripted workers and paused time.

mod edges;
mod life;
mod llm;
mod races;
mod world;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::Arbiter;
use zeroize::Zeroizing;

use super::*;
use crate::crypto::{Keyring, PasswordCost};
use crate::domain::{ErrorType, RunLimits, Status};
use crate::ports::{OutputStream, Store, StoreError};
use crate::sessions::SessionLife;
use crate::testing::{FakeClock, MemoryStore, ScriptedLauncher, SeededEntropy};
use world::{POOL, RETENTION, World, about, copy};

#[actix::test]
async fn a_script_runs_with_its_values_and_shows_none_of_them() {
    tokio::time::pause();
    let mut world = World::new().await;
    let agent = world.profile("KEY", "hunter2-hunter2").await;
    let accepted = world.submit(&agent, "print(settings['KEY'])").await.unwrap();
    assert_eq!(accepted.record.status, Status::Pending);
    let run = world.runs.recv().await.expect("a run");
    assert_eq!(world.status(&accepted).await, Status::Running);
    let settings: Vec<_> = run.request.settings.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(settings, [("KEY", "hunter2-hunter2")]);
    run.print(OutputStream::Stdout, "it is hunter2-");
    run.print(OutputStream::Stdout, "hunter2\n");
    run.print(OutputStream::Stderr, "hunter2-hunter2!");
    run.complete(Some(r#"{"key":"hunter2-hunter2"}"#));
    let view = world.finished(&accepted).await;
    assert_eq!(view.record.status, Status::Completed);
    let output = view.output.expect("finished ones have an output");
    assert_eq!(output.stdout, "it is [REDACTED]\n");
    assert_eq!(output.stderr, "[REDACTED]!");
    assert_eq!(output.result.as_deref(), Some(r#"{"key":"[REDACTED]"}"#));
    assert_eq!(view.record.redactions.iter().map(|row| row.count).sum::<u64>(), 3);
    assert_eq!(view.record.usage.map(|usage| usage.cpu_ms), Some(3));
    assert!(view.record.environment.is_some());
    // With a slot at hand one write says `running`; the end is the second.
    assert_eq!(world.store.statuses(&view.record.id), [Status::Running, Status::Completed]);
    assert_eq!(world.core.execution(&view.record.id).await.unwrap().unwrap().record, view.record);
}

#[actix::test]
async fn who_may_not_run_is_told_why_in_the_order_of_the_contract() {
    tokio::time::pause();
    let world = World::new().await;
    let wrong = Secret::new("wrong".to_owned());
    let nobody = ProfileId::generate(&SeededEntropy::new(9));
    assert!(matches!(world.submit(&(nobody, wrong.clone()), "1").await, Err(SubmitError::UnknownProfile)));
    let unlocked = world.core.create_profile(String::new()).await.unwrap();
    assert!(matches!(world.submit(&(unlocked.id, wrong.clone()), "1").await, Err(SubmitError::Unlocked)));
    let (id, secret) = world.profile("KEY", "v").await;
    assert!(matches!(world.submit(&(id.clone(), wrong), "1").await, Err(SubmitError::WrongHash)));
    let expiry = FakeClock::epoch() + Duration::from_secs(100);
    let change = ProfileChange { expires_at: Some(Some(expiry)), ..ProfileChange::default() };
    world.core.update_profile(&id, change).await.unwrap();
    assert!(world.submit(&(id.clone(), secret.clone()), "1").await.is_ok());
    tokio::time::sleep(Duration::from_secs(101)).await;
    assert!(matches!(world.submit(&(id.clone(), secret.clone()), "1").await, Err(SubmitError::Expired)));
    world.core.revoke_profile(&id).await.unwrap();
    assert!(matches!(world.submit(&(id, secret), "1").await, Err(SubmitError::Revoked)));
}

#[actix::test]
async fn a_new_key_ends_the_old_one_at_once() {
    tokio::time::pause();
    let world = World::new().await;
    let (id, old) = world.profile("KEY", "v").await;
    assert!(world.submit(&(id.clone(), old.clone()), "1").await.is_ok());
    let (_, new) = world.core.regenerate_key(&id).await.unwrap();
    assert!(matches!(world.submit(&(id.clone(), old), "1").await, Err(SubmitError::WrongHash)));
    assert!(world.submit(&(id, new), "1").await.is_ok());
}

#[actix::test]
async fn past_the_slots_executions_wait_and_past_the_queue_they_are_refused() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let mut views = Vec::new();
    for _ in 0..5 {
        views.push(world.submit(&agent, "1").await.unwrap());
    }
    assert!(matches!(world.submit(&agent, "1").await, Err(SubmitError::QueueFull { .. })));
    let (first, second) = (world.runs.recv().await.unwrap(), world.runs.recv().await.unwrap());
    assert!(world.runs.try_recv().is_err(), "a third script was started on two slots");
    assert_eq!(world.status(&views[2]).await, Status::Pending);
    first.complete(None);
    let third = world.runs.recv().await.unwrap();
    assert_eq!(third.request.execution_id, views[2].record.id);
    for run in [second, third] {
        run.complete(None);
    }
    for _ in 3..5 {
        world.runs.recv().await.unwrap().complete(None);
    }
    for view in &views {
        assert_eq!(world.finished(view).await.record.status, Status::Completed);
    }
    let waited = world.store.statuses(&views[4].record.id);
    assert_eq!(waited, [Status::Pending, Status::Running, Status::Completed]);
}

#[actix::test]
async fn a_script_past_its_time_is_ended_and_what_it_printed_is_kept() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let accepted = world.submit(&agent, "1").await.unwrap();
    let run = world.runs.recv().await.unwrap();
    run.print(OutputStream::Stdout, "so far");
    let view = world.finished(&accepted).await;
    assert_eq!((view.record.status, view.record.error_type), (Status::Timeout, Some(ErrorType::ScriptTimeout)));
    assert!(about(view.record.execution_time_ms, 60_000));
    let output = view.output.unwrap();
    assert_eq!(output.stdout, "so far");
    assert!(output.error.as_deref().unwrap().contains("longer than its 60 s"));
}

#[actix::test]
async fn a_worker_that_does_not_end_a_script_is_ended_itself() {
    tokio::time::pause();
    let mut world = World::new().await;
    world.launcher.ignore_kill();
    let agent = world.profile("KEY", "v").await;
    let accepted = world.submit(&agent, "1").await.unwrap();
    let run = world.runs.recv().await.unwrap();
    let view = world.finished(&accepted).await;
    assert_eq!(view.record.status, Status::Timeout);
    assert!(about(view.record.execution_time_ms, 70_000), "the grace is ten seconds");
    drop(run);
    let next = world.submit(&agent, "2").await.unwrap();
    world.runs.recv().await.unwrap().complete(None);
    assert_eq!(world.finished(&next).await.record.status, Status::Completed);
}

#[actix::test]
async fn a_worker_that_dies_takes_its_executions_and_is_replaced() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let accepted = world.submit(&agent, "1").await.unwrap();
    world.runs.recv().await.unwrap().lose_worker();
    let view = world.finished(&accepted).await;
    assert_eq!((view.record.status, view.record.error_type), (Status::Error, Some(ErrorType::WorkerLost)));
    let next = world.submit(&agent, "2").await.unwrap();
    world.runs.recv().await.unwrap().complete(None);
    assert_eq!(world.finished(&next).await.record.status, Status::Completed);
}

#[actix::test]
async fn two_profiles_never_share_a_worker() {
    tokio::time::pause();
    let mut world = World::new().await;
    let (a, b) = (world.profile("A", "1").await, world.profile("B", "2").await);
    let (of_a, of_b) = (world.submit(&a, "a").await.unwrap(), world.submit(&b, "b").await.unwrap());
    let [first, second] = world.runs_of([&of_a, &of_b]).await;
    assert_ne!(first.slot, second.slot);
    first.complete(None);
    second.complete(None);
    for _ in 0..4 {
        let accepted = world.submit(&a, "a").await.unwrap();
        let run = world.runs.recv().await.unwrap();
        assert_eq!(run.slot, first.slot);
        run.complete(None);
        world.finished(&accepted).await;
    }
}

#[actix::test]
async fn revoking_a_profile_cancels_what_runs_and_what_waits_for_it() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let mut views = Vec::new();
    for _ in 0..3 {
        views.push(world.submit(&agent, "1").await.unwrap());
    }
    let _runs = (world.runs.recv().await.unwrap(), world.runs.recv().await.unwrap());
    world.core.revoke_profile(&agent.0).await.unwrap();
    for view in &views {
        let view = world.finished(view).await;
        assert_eq!((view.record.status, view.record.error_type), (Status::Cancelled, Some(ErrorType::Cancelled)));
    }
    assert!(world.runs.try_recv().is_err(), "what waited was started all the same");
}

#[actix::test]
async fn expiry_cancels_what_runs_at_the_moment_it_passes() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let expiry = world.core.now() + Duration::from_secs(10);
    let change = ProfileChange { expires_at: Some(Some(expiry)), ..ProfileChange::default() };
    world.core.update_profile(&agent.0, change).await.unwrap();
    let accepted = world.submit(&agent, "1").await.unwrap();
    let _run = world.runs.recv().await.unwrap();
    let view = world.finished(&accepted).await;
    assert_eq!(view.record.status, Status::Cancelled);
    let late = view.record.completed_at.unwrap().as_millisecond() - expiry.as_millisecond();
    assert!((0..10).contains(&late), "{late} ms late");
}

#[actix::test]
async fn after_a_crash_what_waited_runs_and_what_ran_is_interrupted() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let mut views = Vec::new();
    for _ in 0..3 {
        views.push(world.submit(&agent, "1").await.unwrap());
    }
    let _running = (world.runs.recv().await.unwrap(), world.runs.recv().await.unwrap());
    // The crash: a new core on what is on disk, while the old one never gets to write again.
    world.store.fail_with(Some(StoreError::Closed));
    let store = Arc::new(MemoryStore::default());
    copy(&world.store, &store).await;
    let mut after = World::on(store, POOL).await;
    for view in &views[..2] {
        let view = after.finished(view).await;
        assert_eq!((view.record.status, view.record.error_type), (Status::Error, Some(ErrorType::Interrupted)));
        assert!(view.output.unwrap().error.as_deref().unwrap().contains("may have had effects"));
    }
    after.runs.recv().await.unwrap().complete(None);
    assert_eq!(after.finished(&views[2]).await.record.status, Status::Completed);
    assert!(after.runs.try_recv().is_err(), "what was running was started again");
}

#[actix::test]
async fn a_write_that_fails_is_no_acknowledgement_and_nothing_runs() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    world.store.fail_with(Some(StoreError::Full));
    let refused = world.submit(&agent, "1").await;
    assert!(matches!(refused, Err(SubmitError::Unavailable(Unavailable::Store(StoreError::Full)))));
    let problems = world.core.readiness().await.problems;
    assert_eq!(problems, ["the disk that holds the data folder is full: make space on it"]);
    world.store.fail_with(None);
    assert!(world.core.readiness().await.problems.is_empty());
    assert!(world.runs.try_recv().is_err());
    let accepted = world.submit(&agent, "2").await.unwrap();
    world.runs.recv().await.unwrap().complete(None);
    assert_eq!(world.finished(&accepted).await.record.status, Status::Completed);
}

#[actix::test]
async fn a_final_record_waits_for_the_disk_and_is_not_lost() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let accepted = world.submit(&agent, "1").await.unwrap();
    let run = world.runs.recv().await.unwrap();
    world.store.fail_with(Some(StoreError::Full));
    run.complete(Some("42"));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.status(&accepted).await, Status::Running, "shown before it was on disk");
    world.store.fail_with(None);
    assert_eq!(world.finished(&accepted).await.output.unwrap().result.as_deref(), Some("42"));
}

#[actix::test]
async fn a_credential_is_kept_while_a_locked_profile_uses_it() {
    tokio::time::pause();
    let world = World::new().await;
    let (id, _) = world.profile("KEY", "v").await;
    let name = CredentialName::from_str("KEY").unwrap();
    let refused = world.core.delete_credential(name.clone()).await;
    assert!(matches!(refused, Err(ConfigError::CredentialInUse { profiles, .. }) if profiles == [id.clone()]));
    world.core.revoke_profile(&id).await.unwrap();
    world.core.delete_credential(name.clone()).await.unwrap();
    assert!(world.core.profile(&id).await.unwrap().credentials.is_empty());
    assert!(matches!(world.core.delete_credential(name).await, Err(ConfigError::UnknownCredential(_))));
}

#[actix::test]
async fn a_profile_is_locked_only_with_all_its_values_and_only_once() {
    tokio::time::pause();
    let world = World::new().await;
    let name = CredentialName::from_str("EMPTY").unwrap();
    let slot = NewCredential { name: name.clone(), description: String::new(), value: None, secret: true };
    world.core.create_slots(vec![slot.clone(), slot]).await.unwrap();
    let profile = world.core.create_profile(String::new()).await.unwrap();
    world.core.attach(&profile.id, vec![name.clone()]).await.unwrap();
    let refused = world.core.lock_profile(&profile.id).await;
    assert!(matches!(refused, Err(ConfigError::MissingValues(names)) if names == [name.clone()]));
    let change = CredentialChange { value: Some(Secret::new("v".into())), ..CredentialChange::default() };
    world.core.update_credential(name.clone(), change).await.unwrap();
    world.core.lock_profile(&profile.id).await.unwrap();
    assert!(matches!(world.core.lock_profile(&profile.id).await, Err(ConfigError::Locked)));
    assert!(matches!(world.core.attach(&profile.id, vec![name.clone()]).await, Err(ConfigError::Locked)));
    assert!(matches!(world.core.detach(&profile.id, vec![name]).await, Err(ConfigError::Locked)));
    assert!(matches!(world.core.delete_profile(&profile.id).await, Err(ConfigError::Locked)));
}

#[actix::test]
async fn another_master_key_is_refused() {
    tokio::time::pause();
    let world = World::new().await;
    let entropy = Arc::new(SeededEntropy::new(1));
    let keyring = Keyring::new(Zeroizing::new([8; 32]), entropy.clone());
    let (launcher, _runs) = ScriptedLauncher::new();
    let ports = CorePorts { keyring, launcher: Arc::new(launcher), ..world.core.inner.ports.clone() };
    let config = CoreConfig {
        pool: POOL,
        limits: RunLimits::DEFAULT,
        sessions: SessionLife { idle: Duration::from_secs(1), absolute: Duration::from_secs(1) },
        password: PasswordCost::danger_next_to_nothing(),
        retention: RETENTION,
    };
    let arbiters = Arbiters { control: Arbiter::current(), executors: vec![Arbiter::current()] };
    assert!(matches!(Core::start(arbiters, config, ports).await, Err(StartError::WrongKey(_))));
}

#[actix::test]
async fn when_no_worker_starts_readiness_says_so_and_those_who_wait_are_told_in_the_end() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let first = world.submit(&agent, "1").await.unwrap();
    world.launcher.fail_with(Some("no python here"));
    world.runs.recv().await.unwrap().lose_worker();
    world.finished(&first).await;
    // The worker that was kept warm takes one more; then there is none.
    let second = world.submit(&agent, "2").await.unwrap();
    world.runs.recv().await.unwrap().lose_worker();
    world.finished(&second).await;
    let third = world.submit(&agent, "3").await.unwrap();
    let told = world.finished(&third).await;
    assert_eq!(told.record.error_type, Some(ErrorType::WorkerUnavailable));
    assert!(world.core.readiness().await.problems.iter().any(|problem| problem.contains("no python here")));
    world.launcher.fail_with(None);
    tokio::time::sleep(Duration::from_secs(31)).await;
    let back = world.submit(&agent, "4").await.unwrap();
    world.runs.recv().await.unwrap().complete(None);
    assert_eq!(world.finished(&back).await.record.status, Status::Completed);
}

#[actix::test]
async fn draining_lets_what_runs_finish_and_leaves_what_waits_on_disk() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let mut views = Vec::new();
    for _ in 0..3 {
        views.push(world.submit(&agent, "1").await.unwrap());
    }
    let [first, _second] = world.runs_of([&views[0], &views[1]]).await;
    let core = world.core.clone();
    let draining = tokio::spawn(async move { core.drain(Duration::from_secs(30)).await });
    tokio::task::yield_now().await;
    assert!(matches!(world.submit(&agent, "4").await, Err(SubmitError::Unavailable(Unavailable::Draining))));
    first.complete(None);
    draining.await.unwrap();
    assert_eq!(world.status(&views[0]).await, Status::Completed);
    assert_eq!(world.status(&views[1]).await, Status::Error);
    assert_eq!(world.status(&views[2]).await, Status::Pending);
    assert_eq!(world.launcher.alive(), 0);
}

#[actix::test]
async fn a_credential_made_again_after_its_deletion_is_scrubbed_like_any_other() {
    tokio::time::pause();
    let mut world = World::new().await;
    for (value, shown) in [("first-value-0001", "[REDACTED...0001]"), ("second-value-0002", "[REDACTED...0002]")] {
        let agent = world.profile("TOKEN", value).await;
        let accepted = world.submit(&agent, "1").await.unwrap();
        let run = world.runs.recv().await.unwrap();
        run.print(OutputStream::Stdout, value);
        run.complete(None);
        assert_eq!(world.finished(&accepted).await.output.unwrap().stdout, shown);
        world.core.revoke_profile(&agent.0).await.unwrap();
        world.core.delete_credential(CredentialName::from_str("TOKEN").unwrap()).await.unwrap();
    }
}

#[actix::test]
async fn what_waited_for_a_profile_that_expired_while_the_server_was_down_does_not_run() {
    tokio::time::pause();
    let (mut world, agent) = World::with_agent().await;
    let mut views = Vec::new();
    for _ in 0..3 {
        views.push(world.submit(&agent, "1").await.unwrap());
    }
    let _running = (world.runs.recv().await.unwrap(), world.runs.recv().await.unwrap());
    let change = ProfileChange {
        expires_at: Some(Some(FakeClock::epoch() + Duration::from_secs(5))),
        ..ProfileChange::default()
    };
    world.core.update_profile(&agent.0, change).await.unwrap();
    world.store.fail_with(Some(StoreError::Closed));
    let store = Arc::new(MemoryStore::default());
    copy(&world.store, &store).await;
    // A later clock: the fake one starts at its epoch again, so the date is moved instead.
    let mut profile = store.profiles().unwrap().remove(0);
    profile.expires_at = Some(FakeClock::epoch());
    store.commit(vec![crate::ports::Write::PutProfile(profile)]).await.unwrap();
    let mut after = World::on(store, POOL).await;
    let view = after.finished(&views[2]).await;
    assert_eq!((view.record.status, view.record.error_type), (Status::Cancelled, Some(ErrorType::Cancelled)));
    assert!(after.runs.try_recv().is_err(), "it was run with the credentials of an expired profile");
}
