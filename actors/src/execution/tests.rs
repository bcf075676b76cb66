//! Properties of the rules, over random sequences of events. What the actor makes of them is tested with the whole core.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::machine::{Effect, Event, Slot, State, StopReason, Verdict};
use crate::testing::FakeClock;

const TIMEOUT: Duration = Duration::from_secs(60);

fn now() -> Timestamp {
    FakeClock::epoch()
}

fn deadline() -> Timestamp {
    now() + TIMEOUT
}

fn any_event() -> impl Strategy<Value = Event> {
    let reasons = [StopReason::Timeout, StopReason::Revoked, StopReason::Expired, StopReason::Shutdown];
    prop_oneof![
        3 => Just(Event::Stored),
        1 => Just(Event::NotStored),
        2 => Just(Event::Granted),
        1 => Just(Event::NoWorker),
        1 => Just(Event::Draining),
        2 => Just(Event::Prepared),
        1 => Just(Event::Ended),
        1 => Just(Event::Lost),
        1 => Just(Event::Deadline(deadline())),
        1 => Just(Event::Deadline(now())),
        1 => Just(Event::KillOverdue),
        1 => proptest::sample::select(reasons.to_vec()).prop_map(Event::Stop),
    ]
}

fn any_start() -> impl Strategy<Value = State> {
    proptest::sample::select(vec![
        State::Accepting { claimed: true, slot: Slot::Granted, stopped: None },
        State::Accepting { claimed: false, slot: Slot::Awaited, stopped: None },
        State::Pending,
    ])
}

/// The state after all events, and all effects in order.
fn run(mut state: State, events: &[Event]) -> (State, Vec<Effect>) {
    let mut all = Vec::new();
    for event in events {
        let (next, effects) = state.step(*event, now(), TIMEOUT);
        state = next;
        all.extend(effects);
    }
    (state, all)
}

fn count(effects: &[Effect], wanted: impl Fn(&Effect) -> bool) -> usize {
    effects.iter().filter(|effect| wanted(effect)).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_happened_before_the_world_can_bring_every_execution_to_its_end(
        start in any_start(), events in proptest::collection::vec(any_event(), 0..20),
    ) {
        let (state, _) = run(start, &events);
        // What the world still owes in each state: a write comes back, a slot comes, values come, a script ends.
        let owed = [Event::Stored, Event::Granted, Event::Stored, Event::Prepared, Event::Ended, Event::Stored];
        let (state, _) = run(state, &owed);
        prop_assert_eq!(state, State::Final);
    }

    #[test]
    fn a_worker_that_never_answers_does_not_hold_an_execution_up(
        start in any_start(), events in proptest::collection::vec(any_event(), 0..20),
    ) {
        let (state, _) = run(start, &events);
        let silent = [
            Event::Stored, Event::Granted, Event::Stored, Event::Prepared, Event::Deadline(deadline()),
            Event::KillOverdue, Event::KillOverdue, Event::Stored,
        ];
        let (state, _) = run(state, &silent);
        prop_assert_eq!(state, State::Final);
    }

    #[test]
    fn a_script_starts_once_at_most_and_never_before_it_is_on_disk_as_running(
        start in any_start(), events in proptest::collection::vec(any_event(), 0..30),
    ) {
        let (_, effects) = run(start, &events);
        prop_assert!(count(&effects, |effect| matches!(effect, Effect::Start(_))) <= 1);
        prop_assert!(count(&effects, |effect| matches!(effect, Effect::Finish(_))) <= 1);
        prop_assert!(count(&effects, |effect| *effect == Effect::Acknowledge) <= 1);
        prop_assert!(count(&effects, |effect| *effect == Effect::Retire) <= 1);
        let started = effects.iter().position(|effect| matches!(effect, Effect::Start(_)));
        if let (Some(started), State::Pending | State::Accepting { claimed: false, .. }) = (started, start) {
            let claimed = effects.iter().position(|effect| *effect == Effect::StoreClaim);
            prop_assert!(claimed.is_some_and(|claimed| claimed < started));
        }
    }

    #[test]
    fn a_final_state_is_never_left(events in proptest::collection::vec(any_event(), 0..20)) {
        let (state, effects) = run(State::Final, &events);
        prop_assert_eq!((state, effects), (State::Final, Vec::new()));
    }

    #[test]
    fn what_was_told_to_end_ends_for_that_reason_whatever_the_worker_says(
        reason in proptest::sample::select(vec![StopReason::Revoked, StopReason::Expired]),
        events in proptest::collection::vec(any_event(), 0..12),
    ) {
        let stopping = State::Stopping { reason, abandoned: false };
        let (_, effects) = run(stopping, &events);
        for effect in effects {
            if let Effect::Finish(verdict) = effect {
                prop_assert_eq!(verdict, Verdict::Stopped(reason));
            }
        }
    }
}

#[test]
fn a_timer_of_another_deadline_does_nothing() {
    let running = State::Running { deadline: deadline() };
    assert_eq!(running.step(Event::Deadline(now()), now(), TIMEOUT), (running, Vec::new()));
    let (state, effects) = running.step(Event::Deadline(deadline()), now(), TIMEOUT);
    assert_eq!(state, State::Stopping { reason: StopReason::Timeout, abandoned: false });
    assert_eq!(effects, [Effect::Kill]);
}

#[test]
fn a_stop_before_the_worker_heard_of_it_needs_no_worker() {
    let (state, effects) = State::Starting.step(Event::Stop(StopReason::Revoked), now(), TIMEOUT);
    assert_eq!(state, State::Finishing);
    assert_eq!(effects, [Effect::Finish(Verdict::Stopped(StopReason::Revoked))]);
}

#[test]
fn what_the_pool_says_while_the_record_is_being_written_is_not_lost() {
    let accepting = State::Accepting { claimed: false, slot: Slot::Awaited, stopped: None };
    let (state, effects) = run(accepting, &[Event::NoWorker, Event::Stored]);
    assert_eq!(state, State::Finishing);
    assert!(effects.contains(&Effect::Finish(Verdict::NoWorker)));
    let (state, effects) = run(accepting, &[Event::Draining, Event::Stored]);
    assert_eq!(state, State::Final);
    assert!(effects.contains(&Effect::Acknowledge) && effects.contains(&Effect::Retire));
}

#[test]
fn a_shutdown_leaves_pending_what_was_not_claimed() {
    let (state, effects) = State::Pending.step(Event::Stop(StopReason::Shutdown), now(), TIMEOUT);
    assert_eq!((state, effects), (State::Final, vec![Effect::Retire]));
    let claimed = State::Accepting { claimed: true, slot: Slot::Granted, stopped: None };
    let (_, effects) = run(claimed, &[Event::Stop(StopReason::Shutdown), Event::Stored]);
    assert!(effects.contains(&Effect::Finish(Verdict::Stopped(StopReason::Shutdown))));
}
