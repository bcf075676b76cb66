//! Properties of the rules, over random sequences of events. What the actor makes of them is tested with the whole core.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::machine::{Effect, Event, Slot, State, StopReason, Terms, Verdict};
use super::waits::{Batch, Note, Question, Waits};
use crate::domain::{LlmRequestId, Status};
use crate::testing::FakeClock;

const TIMEOUT: Duration = Duration::from_secs(60);
const TERMS: Terms = Terms { timeout: TIMEOUT, replay: false };

fn now() -> Timestamp {
    FakeClock::epoch()
}

fn deadline() -> Timestamp {
    now() + TIMEOUT
}

fn any_event() -> impl Strategy<Value = Event> {
    let reasons = [
        StopReason::Timeout,
        StopReason::Revoked,
        StopReason::Expired,
        StopReason::Cancelled,
        StopReason::Diverged,
        StopReason::Shutdown,
    ];
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
        2 => (1u32..4, 1u32..4).prop_map(|(number, count)| Event::Asked(batch(number, count))),
        3 => Just(Event::Noted),
        3 => (1u32..10).prop_map(|number| Event::QuestionEnded(LlmRequestId(number))),
        2 => (0u32..3).prop_map(Event::Paused),
        2 => Just(Event::SlotTaken),
        1 => proptest::sample::select(reasons.to_vec()).prop_map(Event::Stop),
    ]
}

/// Questions 1, 2 … of batch 1, and so on: no two batches share one.
fn batch(number: u32, count: u32) -> Batch {
    let id = |index| LlmRequestId((number - 1) * 3 + index + 1);
    Batch::new(number, (0..count).map(|index| Question::new(id(index), deadline())).collect())
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
        let (next, effects) = state.step(event.clone(), now(), TERMS);
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
        let begun = [Event::Stored, Event::Granted, Event::Stored, Event::Prepared];
        // Its questions time out, and it gets its slot again.
        let out_of_time = (1..10).flat_map(|number| [Event::Noted, Event::QuestionEnded(LlmRequestId(number))]);
        let out_of_time = std::iter::repeat_n(out_of_time, 20).flatten();
        let silent = [
            Event::SlotTaken, Event::Deadline(deadline()), Event::KillOverdue, Event::KillOverdue, Event::Stored,
        ];
        let events: Vec<Event> = begun.into_iter().chain(out_of_time).chain(silent).collect();
        let (state, _) = run(state, &events);
        prop_assert_eq!(state, State::Final);
    }

    #[test]
    fn a_script_starts_once_at_most_and_never_before_it_is_on_disk_as_running(
        start in any_start(), events in proptest::collection::vec(any_event(), 0..30),
    ) {
        let (_, effects) = run(start.clone(), &events);
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
    let running = State::Running(Waits::started(now(), deadline()));
    assert_eq!(running.clone().step(Event::Deadline(now()), now(), TERMS), (running.clone(), Vec::new()));
    let (state, effects) = running.step(Event::Deadline(deadline()), now(), TERMS);
    assert_eq!(state, State::Stopping { reason: StopReason::Timeout, abandoned: false });
    assert_eq!(effects, [Effect::Kill]);
}

#[test]
fn a_stop_before_the_worker_heard_of_it_needs_no_worker() {
    let (state, effects) = State::Starting.step(Event::Stop(StopReason::Revoked), now(), TERMS);
    assert_eq!(state, State::Finishing);
    assert_eq!(effects, [Effect::Finish(Verdict::Stopped(StopReason::Revoked))]);
}

#[test]
fn what_the_pool_says_while_the_record_is_being_written_is_not_lost() {
    let accepting = State::Accepting { claimed: false, slot: Slot::Awaited, stopped: None };
    let (state, effects) = run(accepting.clone(), &[Event::NoWorker, Event::Stored]);
    assert_eq!(state, State::Finishing);
    assert!(effects.contains(&Effect::Finish(Verdict::NoWorker)));
    let (state, effects) = run(accepting, &[Event::Draining, Event::Stored]);
    assert_eq!(state, State::Final);
    assert!(effects.contains(&Effect::Acknowledge) && effects.contains(&Effect::Retire));
}

#[test]
fn a_shutdown_leaves_pending_what_was_not_claimed() {
    let (state, effects) = State::Pending.step(Event::Stop(StopReason::Shutdown), now(), TERMS);
    assert_eq!((state, effects), (State::Final, vec![Effect::Retire]));
    let claimed = State::Accepting { claimed: true, slot: Slot::Granted, stopped: None };
    let (_, effects) = run(claimed, &[Event::Stop(StopReason::Shutdown), Event::Stored]);
    assert!(effects.contains(&Effect::Finish(Verdict::Stopped(StopReason::Shutdown))));
}

#[test]
fn what_is_to_be_replayed_stays_as_it_is_at_a_shutdown_and_has_no_end() {
    let replay = Terms { timeout: TIMEOUT, replay: true };
    let running = State::Running(Waits::started(now(), deadline()));
    let (state, effects) = running.step(Event::Stop(StopReason::Shutdown), now(), replay);
    assert_eq!(effects, [Effect::Kill]);
    assert_eq!(state.step(Event::Ended, now(), replay), (State::Final, vec![Effect::Retire]));
    let (state, effects) = State::Starting.step(Event::Stop(StopReason::Shutdown), now(), replay);
    assert_eq!((state, effects), (State::Final, vec![Effect::Retire]));
}

/// The clock of a script that waits stands, and what it had left it has again.
#[test]
fn time_that_a_script_waits_does_not_count() {
    let at = |seconds: u64| now() + Duration::from_secs(seconds);
    let mut waits = Waits::started(now(), deadline());
    assert_eq!(waits.asked(batch(1, 1)), [Effect::Note(Note::Asked(1))]);
    assert_eq!(waits.status_after(Note::Asked(1)), Status::AwaitingLlm);
    let id = LlmRequestId(1);
    assert_eq!(waits.noted(), [Effect::Publish, Effect::AwaitAnswer(id, deadline())]);
    assert_eq!(waits.paused(0, at(10)), [Effect::GiveSlotBack]);
    assert_eq!(waits.ran(at(5_000)), Duration::from_secs(10));
    assert!(!waits.is_up(deadline()), "its timer still acts");
    assert_eq!(waits.ended(id), [Effect::Note(Note::Settled(id))]);
    assert_eq!(waits.status_after(Note::Settled(id)), Status::Running);
    assert_eq!(waits.noted(), [Effect::Publish, Effect::Acknowledged(id), Effect::TakeSlot]);
    // It waits for a slot: neither does that count.
    assert_eq!(waits.ran(at(6_000)), Duration::from_secs(10));
    let resumed = waits.granted(at(7_000), TIMEOUT);
    assert_eq!(resumed, [Effect::ArmDeadline(at(7_050)), Effect::Deliver(1, vec![id])]);
    assert!(waits.is_up(at(7_050)) && !waits.is_up(deadline()));
    assert_eq!(waits.ran(at(7_020)), Duration::from_secs(30));
    // What it said before it had the answer.
    assert_eq!(waits.paused(0, at(7_021)), []);
}

#[test]
fn what_was_answered_in_an_earlier_attempt_is_delivered_without_a_write() {
    let mut waits = Waits::started(now(), deadline());
    let known = |number| Question::answered_before(LlmRequestId(number), deadline());
    let ids = vec![LlmRequestId(1), LlmRequestId(2)];
    assert_eq!(waits.asked(Batch::new(1, vec![known(1), known(2)])), [Effect::Deliver(1, ids)]);
    let open = Question::new(LlmRequestId(4), deadline());
    assert_eq!(waits.asked(Batch::new(2, vec![known(3), open])), [Effect::Note(Note::Asked(2))]);
}

/// The world of a running script: it does what the effects say, in any order that a real one could.
#[derive(Default)]
struct Script {
    asked: u32,
    open: BTreeSet<LlmRequestId>,
    acknowledged: BTreeSet<LlmRequestId>,
    delivered: BTreeSet<LlmRequestId>,
    batches_delivered: u32,
    notes_under_way: usize,
    has_slot: bool,
    slot_wanted: bool,
    timer: Option<Timestamp>,
}

impl Script {
    /// Carries effects out; panics when they make no sense.
    fn perform(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Note(_) => {
                    self.notes_under_way += 1;
                    assert_eq!(self.notes_under_way, 1, "two writes at once");
                }
                Effect::AwaitAnswer(id, _) => assert!(self.open.insert(*id), "shown twice"),
                Effect::Acknowledged(id) => {
                    assert!(self.open.remove(id), "an answer to what is not open");
                    assert!(self.acknowledged.insert(*id), "acknowledged twice");
                }
                Effect::GiveSlotBack => {
                    assert!(std::mem::take(&mut self.has_slot), "a slot was given back twice");
                    self.timer = None;
                }
                Effect::TakeSlot => {
                    assert!(!self.has_slot && !self.slot_wanted, "a slot was taken twice");
                    self.slot_wanted = true;
                }
                Effect::ArmDeadline(at) => self.timer = Some(*at),
                Effect::Deliver(_, ids) => {
                    assert!(self.has_slot, "a script goes on without a slot");
                    self.batches_delivered += 1;
                    for id in ids {
                        assert!(self.acknowledged.contains(id), "delivered before it was on disk");
                        assert!(self.delivered.insert(*id), "delivered twice");
                    }
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// EX-6, EX-7: whatever the order of things, no answer is lost, and no timer of an earlier stretch acts.
    #[test]
    fn no_answer_is_lost_and_no_old_timer_acts(steps in proptest::collection::vec((0u8..7, 0u32..12), 0..60)) {
        let mut state = State::Running(Waits::started(now(), deadline()));
        let mut script = Script { has_slot: true, timer: Some(deadline()), ..Script::default() };
        let mut time = now();
        let mut old_timers = vec![];
        // In the end the world pays what it owes.
        let debts = (0..60).flat_map(|_| [(1, 0), (2, 0), (4, 0)]);
        for (step, which) in steps.into_iter().chain(debts) {
            time += Duration::from_millis(1);
            let event = match step {
                0 if script.asked < 4 => {
                    script.asked += 1;
                    Event::Asked(batch(script.asked, 1 + which % 3))
                }
                1 if script.notes_under_way > 0 => {
                    script.notes_under_way = 0;
                    Event::Noted
                }
                // An answer, or a time-out; also of what is not open.
                2 => Event::QuestionEnded(script.open.iter().nth(which as usize % 3).copied().unwrap_or(LlmRequestId(which))),
                3 => Event::Paused(script.batches_delivered.saturating_sub(which % 2)),
                4 if script.slot_wanted => {
                    (script.slot_wanted, script.has_slot) = (false, true);
                    Event::SlotTaken
                }
                5 if !old_timers.is_empty() => Event::Deadline(old_timers[which as usize % old_timers.len()]),
                // Nobody waits for one.
                6 => Event::Granted,
                _ => continue,
            };
            let before = script.timer;
            let (next, effects) = state.step(event, time, TERMS);
            prop_assert!(matches!(next, State::Running(_)), "{:?} ended it", effects);
            state = next;
            script.perform(&effects);
            if before != script.timer {
                old_timers.extend(before);
            }
        }
        prop_assert_eq!(&script.delivered, &script.acknowledged);
        prop_assert!(script.open.is_empty());
        if let Some(deadline) = script.timer {
            let (state, effects) = state.step(Event::Deadline(deadline), time, TERMS);
            prop_assert_eq!(state, State::Stopping { reason: StopReason::Timeout, abandoned: false });
            prop_assert_eq!(effects, vec![Effect::Kill]);
        }
    }
}
