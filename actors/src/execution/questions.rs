//! What an Execution does about its LLM: it scrubs what the script asks, writes it down, takes answers, and gives them to the
//! script. When is decided by the rules (`waits`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use tokio::sync::oneshot;

use super::actor::Execution;
use super::awaiting::{WRITE_RETRY, commit_until_stored};
use super::machine::{Event, State, StopReason};
use super::steady::until;
use super::waits::{Batch, Note, Question};
use crate::domain::{LlmEnd, LlmExchange, LlmRequestId, Status};
use crate::ports::{LlmAsk, LlmReply, Write};
use crate::runtime::Mailbox;
use crate::sanitizer::{Counts, Redactor};
use crate::schema;
use crate::worker_pool::{Reenter, Reentered, RunningSlot, WorkerPool};

/// Most requests that one execution makes.
pub(crate) const MAX_REQUESTS: u32 = 10_000;
/// Prompts up to this size are scrubbed on the actor's own thread.
const SCRUB_INLINE_BYTES: usize = 16 * 1024;

/// An answer to a request.
pub(crate) struct Respond {
    /// Which.
    pub(crate) id: LlmRequestId,
    /// What the agent says. It fits the schema.
    pub(crate) text: String,
    /// Told once it is on disk.
    pub(crate) told: oneshot::Sender<Result<Status, NotTaken>>,
}

/// Why an answer was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// There is another one already.
    AnsweredOtherwise,
    /// Its time was up.
    TimedOut,
    /// It is not awaited.
    NotAwaited,
}

/// What the agent answered and what is being written down.
struct Answering {
    text: String,
    told: Vec<oneshot::Sender<Result<Status, NotTaken>>>,
}

/// An Execution's dealings with its LLM.
#[derive(Default)]
pub(super) struct Questions {
    /// Asked and not scrubbed yet: one batch after the other, so that the numbers are in the order of the asking.
    raw: VecDeque<(u32, Vec<LlmAsk>)>,
    scrubbing: bool,
    /// The script stands still, so many batches having been answered; not told yet, since what it asked is being scrubbed.
    paused: Option<u32>,
    /// How many were asked in this attempt.
    asked: u32,
    /// How many had been asked in earlier attempts.
    recorded: u32,
    /// Of batches that are not on disk yet.
    to_store: HashMap<u32, Vec<LlmExchange>>,
    /// Not asked, because that was too much: told in place of an answer.
    refused: HashMap<LlmRequestId, LlmReply>,
    answering: HashMap<LlmRequestId, Answering>,
    /// What was scrubbed from prompts.
    pub(super) counts: Counts,
}

impl Questions {
    pub(super) fn new(recorded: u32) -> Self {
        Self { recorded, ..Self::default() }
    }
}

impl Execution {
    pub(super) fn on_asked(&mut self, batch: u32, asks: Vec<LlmAsk>, context: &mut Context<Self>) {
        self.questions.raw.push_back((batch, asks));
        self.scrub_next(context);
    }

    /// The worker says that the script stands still.
    pub(super) fn on_paused(&mut self, answered: u32, context: &mut Context<Self>) {
        // After what it asked before.
        if self.questions.scrubbing {
            self.questions.paused = Some(answered);
        } else {
            self.apply(Event::Paused(answered), context);
        }
    }

    fn scrub_next(&mut self, context: &mut Context<Self>) {
        if self.questions.scrubbing || !matches!(self.state, State::Running(_)) {
            return;
        }
        let Some((batch, asks)) = self.questions.raw.pop_front() else { return };
        let Some(redactor) = self.redactor() else { return };
        self.questions.scrubbing = true;
        let scrubbing = scrub(asks, redactor);
        context.spawn(scrubbing.into_actor(self).map(move |scrubbed, execution, context| {
            execution.questions.scrubbing = false;
            match scrubbed {
                Some((asks, counts)) => {
                    execution.questions.counts.merge(counts);
                    execution.take_questions(batch, asks, context);
                }
                // Failing closed: what could not be scrubbed is not shown.
                None => execution.apply(Event::Lost, context),
            }
            execution.scrub_next(context);
            if !execution.questions.scrubbing
                && let Some(answered) = execution.questions.paused.take()
            {
                execution.apply(Event::Paused(answered), context);
            }
        }));
    }

    /// Numbers the questions of a batch and compares them with what was asked in an earlier attempt.
    fn take_questions(&mut self, batch: u32, asks: Vec<Scrubbed>, context: &mut Context<Self>) {
        let now = self.parts.clock.now();
        let deadline = now.saturating_add(self.llm_timeout()).unwrap_or(jiff::Timestamp::MAX);
        let (mut questions, mut to_store) = (Vec::new(), Vec::new());
        for ask in asks {
            self.questions.asked = self.questions.asked.saturating_add(1);
            let id = LlmRequestId(self.questions.asked);
            let Scrubbed { prompt, model, schema, problem } = ask;
            let problem = if id.0 > MAX_REQUESTS { Some(too_many()) } else { problem };
            let is_replayed = id.0 <= self.questions.recorded;
            let before = if is_replayed { self.parts.store.exchange(&self.record.id, id) } else { Ok(None) };
            match (before, problem) {
                (Ok(Some(before)), None)
                    if (&before.prompt, &before.model, &before.schema) == (&prompt, &model, &schema) =>
                {
                    questions.push(match before.end {
                        Some(_) => Question::answered_before(id, before.deadline),
                        None => Question::new(id, before.deadline),
                    });
                }
                // What is refused is in no record: neither was it the first time.
                (Ok(None), Some(problem)) => {
                    self.questions.refused.insert(id, problem);
                    questions.push(Question::answered_before(id, deadline));
                }
                (Ok(None), None) if !is_replayed => {
                    questions.push(Question::new(id, deadline));
                    to_store.push(LlmExchange { id, prompt, model, schema, asked_at: now, deadline, end: None });
                }
                (Ok(_), _) => return self.apply(Event::Stop(StopReason::Diverged), context),
                (Err(error), _) => {
                    tracing::error!(%error, "could not read what an execution had asked");
                    return self.apply(Event::Stop(StopReason::Diverged), context);
                }
            }
        }
        self.questions.to_store.insert(batch, to_store);
        self.apply(Event::Asked(Batch::new(batch, questions)), context);
    }

    /// Writes a batch, or the end of a question, with the record as it is then.
    pub(super) fn note(&mut self, note: Note, context: &mut Context<Self>) {
        let State::Running(waits) = &self.state else { return };
        self.record.status = waits.status_after(note);
        self.record.llm_deadline = waits.first_deadline_after(note);
        self.record.ran_ms = u64::try_from(waits.ran(self.steady.now()).as_millis()).unwrap_or(u64::MAX);
        let execution_id = &self.record.id;
        let put = |exchange| Write::PutExchange { execution_id: execution_id.clone(), exchange };
        let mut writes: Vec<Write> = match note {
            Note::Asked(batch) => {
                let exchanges = self.questions.to_store.remove(&batch).unwrap_or_default();
                self.record.llm_requests = self.record.llm_requests.max(self.questions.asked);
                exchanges.into_iter().map(put).collect()
            }
            Note::Settled(id) => {
                let answer = self.questions.answering.get(&id).map(|answering| answering.text.clone());
                let end = answer.map_or(LlmEnd::TimedOut, LlmEnd::Answered);
                let now = self.parts.clock.now();
                match self.parts.store.exchange(&self.record.id, id) {
                    Ok(exchange) => exchange.map(|old| put(LlmExchange { end: Some((end, now)), ..old })),
                    Err(error) => {
                        tracing::error!(%error, "could not read a question, trying again");
                        context.run_later(WRITE_RETRY, move |execution, context| execution.note(note, context));
                        return;
                    }
                }
                .into_iter()
                .collect()
            }
        };
        writes.push(Write::UpdateExecution(self.record.clone()));
        let store = self.parts.store.clone();
        let storing = async move { commit_until_stored(&*store, writes).await };
        context.spawn(storing.into_actor(self).map(|stored, execution, context| match stored {
            Ok(()) => execution.apply(Event::Noted, context),
            // It can't go on, and what is on disk is what it had: the next start ends it.
            Err(_) => execution.apply(Event::Stop(StopReason::Shutdown), context),
        }));
    }

    /// Has a question time out when nobody answers it.
    pub(super) fn await_answer(&self, id: LlmRequestId, deadline: jiff::Timestamp, context: &mut Context<Self>) {
        let wait = until(deadline, self.parts.clock.now());
        context.run_later(wait, move |execution, context| execution.apply(Event::QuestionEnded(id), context));
    }

    /// An answer of the agent.
    pub(super) fn on_respond(&mut self, respond: Respond, context: &mut Context<Self>) {
        let Respond { id, text, told } = respond;
        if let Some(answering) = self.questions.answering.get_mut(&id) {
            if answering.text == text {
                answering.told.push(told);
            } else {
                let _ = told.send(Err(NotTaken::AnsweredOtherwise));
            }
            return;
        }
        if matches!(&self.state, State::Running(waits) if waits.awaits(id)) {
            self.questions.answering.insert(id, Answering { text, told: vec![told] });
            return self.apply(Event::QuestionEnded(id), context);
        }
        if matches!(&self.state, State::Running(waits) if waits.settles(id)) {
            // By its time-out, or it would be among those that are being answered.
            let _ = told.send(Err(NotTaken::TimedOut));
            return;
        }
        let answer = match self.parts.store.exchange(&self.record.id, id).ok().flatten().and_then(|one| one.end) {
            Some((LlmEnd::Answered(before), _)) if before == text => Ok(self.record.status),
            Some((LlmEnd::Answered(_), _)) => Err(NotTaken::AnsweredOtherwise),
            Some((LlmEnd::TimedOut, _)) => Err(NotTaken::TimedOut),
            None => Err(NotTaken::NotAwaited),
        };
        let _ = told.send(answer);
    }

    /// The end of a question is on disk.
    pub(super) fn acknowledged(&mut self, id: LlmRequestId) {
        if let Some(answering) = self.questions.answering.remove(&id) {
            for told in answering.told {
                let _ = told.send(Ok(self.record.status));
            }
        }
    }

    /// Asks the pool for a running slot again.
    pub(super) fn take_slot(&self, context: &mut Context<Self>) {
        if self.lease.as_ref().is_some_and(crate::worker_pool::Lease::has_slot) {
            // It never gave it back: too many were paused.
            context.run_later(Duration::ZERO, |execution, context| execution.apply(Event::SlotTaken, context));
            return;
        }
        let waiting = wait_for_slot(self.parts.pool.clone(), self.record.profile_id.clone());
        context.spawn(waiting.into_actor(self).map(|slot, execution, context| {
            if let Some(lease) = &mut execution.lease {
                lease.resume(slot);
            }
            execution.apply(Event::SlotTaken, context);
        }));
    }

    /// Gives the script the answers to a batch.
    pub(super) fn deliver(&mut self, batch: u32, ids: &[LlmRequestId], context: &mut Context<Self>) {
        for (index, id) in (0u32..).zip(ids) {
            let reply = match self.questions.refused.remove(id) {
                Some(refused) => refused,
                None => match self.parts.store.exchange(&self.record.id, *id) {
                    Ok(Some(LlmExchange { end: Some((LlmEnd::Answered(text), _)), .. })) => LlmReply::Text(text),
                    Ok(_) => LlmReply::TimedOut(self.timed_out(*id)),
                    Err(error) => {
                        tracing::error!(%error, "could not read an answer");
                        return self.apply(Event::Lost, context);
                    }
                },
            };
            let last = usize::try_from(index).is_ok_and(|index| index + 1 == ids.len());
            if let Some(lease) = &self.lease {
                lease.link().answer(self.token, batch, index, last, &reply);
            }
        }
    }

    fn timed_out(&self, id: LlmRequestId) -> String {
        let seconds = self.record.llm_timeout_s;
        format!(
            "no answer to {id} came within {seconds} s; answer POST /executions/ID/respond sooner, or send a larger \
             \"llm_timeout\""
        )
    }

    fn llm_timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.record.llm_timeout_s))
    }

    fn redactor(&self) -> Option<Arc<Redactor>> {
        self.prepared.as_ref().and_then(|prepared| prepared.as_ref().ok()).map(|prepared| prepared.redactor.clone())
    }
}

/// A question that an agent may see.
struct Scrubbed {
    prompt: String,
    model: String,
    schema: Option<String>,
    /// Why it can't be asked.
    problem: Option<LlmReply>,
}

async fn scrub(asks: Vec<LlmAsk>, redactor: Arc<Redactor>) -> Option<(Vec<Scrubbed>, Counts)> {
    let bytes: usize =
        asks.iter().map(|ask| ask.prompt.len() + ask.schema.as_ref().map_or(0, |text| 16 * text.len())).sum();
    if bytes <= SCRUB_INLINE_BYTES {
        return Some(scrub_all(asks, &redactor));
    }
    tokio::task::spawn_blocking(move || scrub_all(asks, &redactor)).await.ok()
}

fn scrub_all(asks: Vec<LlmAsk>, redactor: &Redactor) -> (Vec<Scrubbed>, Counts) {
    let mut counts = Counts::default();
    let scrubbed = asks.into_iter().map(|ask| {
        let prompt = redactor.scrub(&ask.prompt, "prompt", &mut counts);
        let model = redactor.scrub(&ask.model, "prompt", &mut counts);
        let checked = |text: String| {
            let text = redactor.scrub_result(&text, &mut counts).map_err(|_| "it is not JSON".to_owned())?;
            schema::check(&text).map(|()| text)
        };
        match ask.schema.map(checked).transpose() {
            Ok(schema) => Scrubbed { prompt, model, schema, problem: None },
            Err(problem) => {
                let problem = Some(LlmReply::Invalid(format!("the schema can't be used: {problem}")));
                Scrubbed { prompt, model, schema: None, problem }
            }
        }
    });
    (scrubbed.collect(), counts)
}

fn too_many() -> LlmReply {
    LlmReply::Refused(format!("an execution asks its LLM at most {MAX_REQUESTS} times"))
}

/// Waits for a running slot; a pool that lost its queue is asked anew.
async fn wait_for_slot(pool: Mailbox<WorkerPool>, profile: crate::domain::ProfileId) -> RunningSlot {
    loop {
        match pool.call(Reenter { profile: profile.clone() }).await {
            Ok(Reentered::Granted(slot)) => return slot,
            Ok(Reentered::Queued(slot)) => {
                if let Ok(slot) = slot.await {
                    return slot;
                }
            }
            Err(_) => tokio::time::sleep(WRITE_RETRY).await,
        }
    }
}
