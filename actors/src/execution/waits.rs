//! What a running script waits for: the part of the rules that is about its LLM. Pure, as all of them.
//!
//! A batch of questions is written down, shown, answered one by one (each answer written down before it is acknowledged), and
//! delivered as a whole. Writes follow each other one at a time. Between the script's standing still and the delivery that ends
//! it, the execution has no running slot and its clock stands.
//!
//! ```text
//! question: asked ──noted──▶ open ──answer or time-out──▶ settling ──noted──▶ settled     batch: all settled ──▶ delivered
//! slot:     held ──paused──▶ free ──a batch is settled──▶ wanted ──granted──▶ held, all settled batches are delivered
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::machine::Effect;
use crate::domain::{LlmRequestId, Status};

/// The running clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// The script runs until its deadline at the most.
    Runs { since: Timestamp, deadline: Timestamp },
    /// It stands still.
    Stands,
}

/// The running slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Held,
    Free,
    /// Asked for again.
    Wanted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody has ended it.
    Open,
    /// Its end is being written down.
    Settling,
    /// Its end is on disk.
    Settled,
}

/// A question, for the rules: what it says is the actor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) id: LlmRequestId,
    pub(super) deadline: Timestamp,
    stage: Stage,
}

impl Question {
    /// One that nobody has answered.
    pub(super) fn new(id: LlmRequestId, deadline: Timestamp) -> Self {
        Self { id, deadline, stage: Stage::Open }
    }

    /// One that was answered in an earlier attempt, or is refused.
    pub(super) fn answered_before(id: LlmRequestId, deadline: Timestamp) -> Self {
        Self { id, deadline, stage: Stage::Settled }
    }
}

/// Questions that were asked together and are answered together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    /// The worker's number of it.
    pub(super) number: u32,
    pub(super) questions: Vec<Question>,
    /// On disk, and so shown and answerable.
    noted: bool,
}

impl Batch {
    pub(super) fn new(number: u32, questions: Vec<Question>) -> Self {
        Self { number, questions, noted: false }
    }

    fn is_settled(&self) -> bool {
        self.questions.iter().all(|question| question.stage == Stage::Settled)
    }
}

/// Something to write down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// A batch was asked.
    Asked(u32),
    /// A question has its end.
    Settled(LlmRequestId),
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waits {
    pub(super) clock: Clock,
    pub(super) slot: Slot,
    /// Running time before the clock last began to run.
    used: Duration,
    batches: Vec<Batch>,
    /// Batches that were delivered.
    delivered: u32,
    noting: Option<Note>,
    to_note: VecDeque<Note>,
}

impl Waits {
    /// A script that has just been started.
    pub(super) fn started(now: Timestamp, deadline: Timestamp) -> Self {
        Self {
            clock: Clock::Runs { since: now, deadline },
            slot: Slot::Held,
            used: Duration::ZERO,
            batches: Vec::new(),
            delivered: 0,
            noting: None,
            to_note: VecDeque::new(),
        }
    }

    /// Running time used until `now`.
    pub(super) fn ran(&self, now: Timestamp) -> Duration {
        let (used, since) = self.clock();
        since.map_or(used, |since| used + between(since, now))
    }

    /// Running time before the clock last began to run, and since when it runs.
    pub(super) fn clock(&self) -> (Duration, Option<Timestamp>) {
        match self.clock {
            Clock::Runs { since, .. } => (self.used, Some(since)),
            Clock::Stands => (self.used, None),
        }
    }

    /// True when the timer that was armed for this moment is the clock's.
    pub(super) fn is_up(&self, of: Timestamp) -> bool {
        matches!(self.clock, Clock::Runs { deadline, .. } if deadline == of)
    }

    /// True while somebody may answer it.
    pub(super) fn awaits(&self, id: LlmRequestId) -> bool {
        self.open().any(|question| question.id == id)
    }

    /// True while its end is being written down.
    pub(super) fn settles(&self, id: LlmRequestId) -> bool {
        let mut all = self.batches.iter().flat_map(|batch| &batch.questions);
        all.any(|question| question.id == id && question.stage == Stage::Settling)
    }

    /// Open questions that are on disk, oldest first.
    pub(super) fn open(&self) -> impl Iterator<Item = &Question> {
        let noted = self.batches.iter().filter(|batch| batch.noted);
        noted.flat_map(|batch| &batch.questions).filter(|question| question.stage == Stage::Open)
    }

    /// The status once `note` is on disk.
    pub(super) fn status_after(&self, note: Note) -> Status {
        let open = self.batches.iter().filter(|batch| batch.noted || note == Note::Asked(batch.number));
        let open = open.flat_map(|batch| &batch.questions).any(|question| question.stage == Stage::Open);
        if open { Status::AwaitingLlm } else { Status::Running }
    }

    /// The deadline of the first open question, once `note` is on disk.
    pub(super) fn first_deadline_after(&self, note: Note) -> Option<Timestamp> {
        let open = self.batches.iter().filter(|batch| batch.noted || note == Note::Asked(batch.number));
        let open = open.flat_map(|batch| &batch.questions).filter(|question| question.stage == Stage::Open);
        open.map(|question| question.deadline).min()
    }

    /// The script asked.
    pub(super) fn asked(&mut self, batch: Batch) -> Vec<Effect> {
        let number = batch.number;
        let known = batch.is_settled();
        self.batches.push(Batch { noted: known, ..batch });
        // Everything was answered in an earlier attempt: that is on disk.
        if known { self.deliver() } else { self.note(Note::Asked(number)) }
    }

    /// A question got its end: an answer, or its time is up. A question that has one already keeps it.
    pub(super) fn ended(&mut self, id: LlmRequestId) -> Vec<Effect> {
        let noted = self.batches.iter_mut().filter(|batch| batch.noted).flat_map(|batch| &mut batch.questions);
        let open = noted.into_iter().find(|question| question.id == id && question.stage == Stage::Open);
        let Some(question) = open else { return Vec::new() };
        question.stage = Stage::Settling;
        self.note(Note::Settled(id))
    }

    fn note(&mut self, note: Note) -> Vec<Effect> {
        if self.noting.is_some() {
            self.to_note.push_back(note);
            return Vec::new();
        }
        self.noting = Some(note);
        vec![Effect::Note(note)]
    }

    /// What was being written is on disk.
    pub(super) fn noted(&mut self) -> Vec<Effect> {
        let mut effects = vec![Effect::Publish];
        match self.noting.take() {
            None => return Vec::new(),
            Some(Note::Asked(number)) => {
                for batch in self.batches.iter_mut().filter(|batch| batch.number == number) {
                    batch.noted = true;
                    let open = batch.questions.iter().filter(|question| question.stage == Stage::Open);
                    effects.extend(open.map(|question| Effect::AwaitAnswer(question.id, question.deadline)));
                }
            }
            Some(Note::Settled(id)) => {
                let all = self.batches.iter_mut().flat_map(|batch| &mut batch.questions);
                for question in all.filter(|question| question.id == id) {
                    question.stage = Stage::Settled;
                }
                effects.push(Effect::Acknowledged(id));
            }
        }
        effects.extend(self.deliver());
        if let Some(next) = self.to_note.pop_front() {
            effects.extend(self.note(next));
        }
        effects
    }

    /// The worker says that the script stands still, so many batches having been delivered.
    pub(super) fn paused(&mut self, delivered: u32, now: Timestamp) -> Vec<Effect> {
        if delivered != self.delivered || self.slot != Slot::Held || self.batches.is_empty() {
            // One that was delivered since has it go on; without any, nothing ever would.
            return Vec::new();
        }
        self.used = self.ran(now);
        (self.clock, self.slot) = (Clock::Stands, Slot::Free);
        vec![Effect::GiveSlotBack]
    }

    /// There is a slot again.
    pub(super) fn granted(&mut self, now: Timestamp, timeout: Duration) -> Vec<Effect> {
        if self.slot != Slot::Wanted {
            return Vec::new();
        }
        let deadline = now.saturating_add(timeout.saturating_sub(self.used)).unwrap_or(Timestamp::MAX);
        (self.clock, self.slot) = (Clock::Runs { since: now, deadline }, Slot::Held);
        let mut effects = vec![Effect::ArmDeadline(deadline)];
        effects.extend(self.deliver());
        effects
    }

    /// Delivers what is settled, or asks for the slot that it takes.
    fn deliver(&mut self) -> Vec<Effect> {
        let settled = |batch: &Batch| batch.noted && batch.is_settled();
        if !self.batches.iter().any(settled) {
            return Vec::new();
        }
        match self.slot {
            Slot::Wanted => Vec::new(),
            Slot::Free => {
                self.slot = Slot::Wanted;
                vec![Effect::TakeSlot]
            }
            Slot::Held => {
                let (ready, rest) = std::mem::take(&mut self.batches).into_iter().partition(settled);
                self.batches = rest;
                let ready: Vec<Batch> = ready;
                self.delivered = self.delivered.saturating_add(u32::try_from(ready.len()).unwrap_or(u32::MAX));
                let ids = |batch: Batch| batch.questions.iter().map(|question| question.id).collect();
                ready.into_iter().map(|batch| Effect::Deliver(batch.number, ids(batch))).collect()
            }
        }
    }
}

pub(super) fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}
