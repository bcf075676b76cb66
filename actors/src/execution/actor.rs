//! The actor around the rules: it performs effects and turns what comes back into events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, StreamHandler, WrapFuture};
use actix_rt::ArbiterHandle;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::awaiting::{commit_first, commit_until_stored, conclude, wait_for_lease};
use super::directory::{Command, Directory, Seat};
use super::leak::leaked;
use super::live::{LiveOutput, Publisher};
use super::machine::{Effect, Event, KILL_GRACE, Slot, State, Terms, Verdict};
use super::outcome::Remains;
use super::questions::Questions;
use super::steady::{Steady, until};
use super::waits::between;
use crate::core::Unavailable;
use crate::domain::{
    ErrorType, ExecutionOutput, ExecutionRecord, ExecutionView, IdempotencyRecord, Limits, OnRestart, ProfileRecord,
    RunLimits,
};
use crate::ports::{Clock, OutputStream, RunEnd, RunEvent, RunOutcome, RunRequest, RunToken, Store, StoreError, Write};
use crate::profile_registry::ProfileRegistry;
use crate::runtime::Mailbox;
use crate::sanitizer::{Prepare, Redactor, Sanitizer};
use crate::vault::{Resolve, Setting, Vault};
use crate::worker_pool::{Lease, WaitEnd, WorkerPool};

/// What every Execution works with.
pub struct Parts {
    /// Keeps records.
    pub store: Arc<dyn Store>,
    /// Tells deadlines.
    pub clock: Arc<dyn Clock>,
    /// Gives values.
    pub vault: Mailbox<Vault>,
    /// Gives slots again, should the pool have lost its queue.
    pub pool: Mailbox<WorkerPool>,
    /// Hears of leaks.
    pub registry: Mailbox<ProfileRegistry>,
    /// Gives redactors.
    pub sanitizer: Mailbox<Sanitizer>,
    /// Where polls look.
    pub directory: Directory,
    /// The server's default limits.
    pub limits: RunLimits,
    /// Numbers the runs.
    pub tokens: AtomicU64,
}

/// What the pool answered for an execution.
pub enum Ticket {
    /// Run now.
    Granted(Lease),
    /// Wait for it.
    Queued(oneshot::Receiver<Result<Lease, WaitEnd>>),
}

/// Resolves once the execution is on disk, or could not be written.
pub type Accepted = oneshot::Receiver<Result<(), StoreError>>;

/// The first write of an execution that is new.
struct FirstWrite {
    /// Told what came of it.
    told: oneshot::Sender<Result<(), StoreError>>,
    /// Written with the record.
    key: Option<IdempotencyRecord>,
}

/// What a script is given, and how to scrub it out again.
pub(super) struct Prepared {
    settings: Arc<Vec<Setting>>,
    pub(super) redactor: Arc<Redactor>,
}

/// The actor.
pub struct Execution {
    pub(super) parts: Arc<Parts>,
    pub(super) record: ExecutionRecord,
    script: Arc<str>,
    profile: Arc<ProfileRecord>,
    pub(super) state: State,
    pub(super) lease: Option<Lease>,
    queued: Option<oneshot::Receiver<Result<Lease, WaitEnd>>>,
    accepted: Option<oneshot::Sender<Result<(), StoreError>>>,
    /// Written with the first record.
    key: Option<IdempotencyRecord>,
    /// `None` until the values are there.
    pub(super) prepared: Option<Result<Prepared, Unavailable>>,
    /// Running time before the clock last began to run, and since when it runs; `None` until the script is handed to the
    /// worker.
    ran: Option<(Duration, Option<Timestamp>)>,
    pub(super) steady: Steady,
    pub(super) token: RunToken,
    remains: Remains,
    pub(super) questions: Questions,
    publisher: Publisher,
    live: Arc<LiveOutput>,
    output: Option<Arc<ExecutionOutput>>,
    view: watch::Sender<ExecutionView>,
    commands: Option<mpsc::UnboundedReceiver<Command>>,
}

impl Execution {
    /// Starts a new execution on `arbiter`. Its record is not on disk yet; the answer tells when it is.
    pub fn accept(
        arbiter: &ArbiterHandle,
        parts: Arc<Parts>,
        mut record: ExecutionRecord,
        script: Arc<str>,
        profile: Arc<ProfileRecord>,
        ticket: Ticket,
        key: Option<IdempotencyRecord>,
    ) -> Accepted {
        let (told, accepted) = oneshot::channel();
        let claimed = matches!(ticket, Ticket::Granted(_));
        if claimed {
            claim(&mut record, parts.clock.now());
        }
        let slot = if claimed { Slot::Granted } else { Slot::Awaited };
        let state = State::Accepting { claimed, slot, stopped: None };
        Self::start(arbiter, parts, record, script, profile, ticket, state, Some(FirstWrite { told, key }));
        accepted
    }

    /// Takes up an execution that was pending when the server last stopped.
    pub fn resume(
        arbiter: &ArbiterHandle,
        parts: Arc<Parts>,
        record: ExecutionRecord,
        script: Arc<str>,
        profile: Arc<ProfileRecord>,
        ticket: Ticket,
    ) {
        Self::start(arbiter, parts, record, script, profile, ticket, State::Pending, None);
    }

    #[expect(clippy::too_many_arguments, reason = "private: the two ways in above have names for the combinations")]
    fn start(
        arbiter: &ArbiterHandle,
        parts: Arc<Parts>,
        record: ExecutionRecord,
        script: Arc<str>,
        profile: Arc<ProfileRecord>,
        ticket: Ticket,
        state: State,
        first: Option<FirstWrite>,
    ) {
        let (accepted, key) = first.map_or((None, None), |FirstWrite { told, key }| (Some(told), key));
        let first = ExecutionView { record: record.clone(), output: None, awaited: Vec::new() };
        let Seat { view, output: live, commands } = parts.directory.enter(first);
        let questions = Questions::new(record.llm_requests);
        let token = RunToken(parts.tokens.fetch_add(1, Ordering::Relaxed));
        let (lease, queued) = match ticket {
            Ticket::Granted(lease) => (Some(lease), None),
            Ticket::Queued(queued) => (None, Some(queued)),
        };
        let output_bytes =
            usize::try_from(limits_of(&parts, &profile.limits, &record).output_bytes).unwrap_or(usize::MAX);
        let steady = Steady::from(parts.clock.now());
        Self::start_in_arbiter(arbiter, move |_| Self {
            parts,
            record,
            script,
            profile,
            state,
            lease,
            queued,
            accepted,
            key,
            prepared: None,
            ran: None,
            steady,
            token,
            remains: Remains { output_bytes, ..Remains::default() },
            questions,
            publisher: Publisher::default(),
            live,
            output: None,
            view,
            commands: Some(commands),
        });
    }

    pub(super) fn apply(&mut self, event: Event, context: &mut Context<Self>) {
        let now = self.steady.now();
        if let State::Running(waits) = &self.state {
            self.ran = Some(waits.clock());
        }
        let timeout = Duration::from_secs(u64::from(self.record.timeout_s));
        let terms = Terms { timeout, replay: self.record.on_restart == OnRestart::Replay };
        let (state, effects) = std::mem::replace(&mut self.state, State::Final).step(event, now, terms);
        self.state = state;
        for effect in effects {
            self.perform(effect, context);
        }
    }

    fn perform(&mut self, effect: Effect, context: &mut Context<Self>) {
        match effect {
            Effect::Acknowledge => {
                if let Some(told) = self.accepted.take() {
                    let _ = told.send(Ok(()));
                }
            }
            Effect::StoreClaim => {
                self.prepare(context);
                claim(&mut self.record, self.parts.clock.now());
                self.store_until_stored(Write::UpdateExecution(self.record.clone()), context);
            }
            Effect::Publish => self.publish(),
            Effect::AwaitValues => {
                if self.prepared.is_some() {
                    self.apply(Event::Prepared, context);
                }
            }
            Effect::Start(deadline) => self.start_script(deadline, context),
            Effect::ArmDeadline(deadline) => self.arm(deadline, context),
            Effect::Note(note) => self.note(note, context),
            Effect::AwaitAnswer(id, deadline) => self.await_answer(id, deadline, context),
            Effect::Acknowledged(id) => self.acknowledged(id),
            Effect::GiveSlotBack => {
                if let Some(lease) = &mut self.lease {
                    lease.pause();
                }
            }
            Effect::TakeSlot => self.take_slot(context),
            Effect::Deliver(batch, ids) => self.deliver(batch, &ids, context),
            Effect::Kill => {
                if let Some(lease) = &self.lease {
                    lease.link().kill(self.token);
                }
                context.run_later(KILL_GRACE, |execution, context| execution.apply(Event::KillOverdue, context));
            }
            Effect::AbandonWorker => {
                tracing::error!("a worker did not end a script in time, ending the worker");
                if let Some(lease) = self.lease.take() {
                    lease.abandon();
                }
                context.run_later(KILL_GRACE, |execution, context| execution.apply(Event::KillOverdue, context));
            }
            Effect::Finish(verdict) => self.finish(verdict, context),
            Effect::Retire => {
                self.parts.directory.leave(&self.record.id);
                actix::ActorContext::stop(context);
            }
        }
    }

    /// EX-1: only ever called for what is on disk.
    fn publish(&self) {
        let awaited = match &self.state {
            State::Running(waits) => waits.open().map(|question| question.id).collect(),
            _ => Vec::new(),
        };
        self.view.send_replace(ExecutionView { record: self.record.clone(), output: self.output.clone(), awaited });
    }

    /// Fetches the values and their redactor; beside the write of the record, not after it.
    fn prepare(&mut self, context: &mut Context<Self>) {
        let (vault, sanitizer) = (self.parts.vault.clone(), self.parts.sanitizer.clone());
        let names = Arc::new(self.profile.credentials.clone());
        let preparing = async move {
            let settings = vault.call(Resolve(names)).await?.map_err(|_| Unavailable::Sealed)?;
            let settings = Arc::new(settings);
            let redactor = sanitizer.call(Prepare(settings.clone())).await??;
            Ok(Prepared { settings, redactor })
        };
        context.spawn(preparing.into_actor(self).map(|prepared, execution, context| {
            execution.prepared = Some(prepared);
            execution.apply(Event::Prepared, context);
        }));
    }

    fn start_script(&mut self, deadline: Timestamp, context: &mut Context<Self>) {
        let (Some(prepared), Some(lease)) = (&self.prepared, &self.lease) else {
            return self.apply(Event::Lost, context);
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return self.not_started(&error.to_string(), context),
        };
        self.record.environment = Some(lease.info().environment.clone());
        let settings = prepared.settings.iter().map(|setting| (setting.name.clone(), setting.value.clone()));
        let request = RunRequest {
            token: self.token,
            execution_id: self.record.id.clone(),
            script: self.script.clone(),
            settings: settings.collect(),
            limits: limits_of(&self.parts, &self.profile.limits, &self.record),
            allowed_hosts: self.profile.allowed_hosts.clone(),
        };
        match lease.link().run(request) {
            Ok(mut events) => {
                let events = futures_util::stream::poll_fn(move |task| events.poll_recv(task));
                context.add_stream(events);
                self.ran = Some((Duration::ZERO, Some(self.steady.now())));
                self.arm(deadline, context);
            }
            Err(_) => self.apply(Event::Lost, context),
        }
    }

    fn arm(&self, deadline: Timestamp, context: &mut Context<Self>) {
        let wait = until(deadline, self.steady.now());
        context.run_later(wait, move |execution, context| execution.apply(Event::Deadline(deadline), context));
    }

    /// Publishes what can be shown of the output, if anybody looks.
    fn show_output(&mut self, context: &mut Context<Self>) {
        let Some(Ok(prepared)) = &self.prepared else { return };
        let captured = [
            (OutputStream::Stdout, self.remains.stdout.as_slice()),
            (OutputStream::Stderr, self.remains.stderr.as_slice()),
        ];
        let half = self.remains.output_bytes / 2;
        if self.publisher.advance(&self.live, &prepared.redactor, half, captured) {
            context.run_later(Duration::ZERO, Self::show_output);
        }
    }

    /// The values can't be had: the script does not run.
    fn not_started(&mut self, why: &str, context: &mut Context<Self>) {
        tracing::error!(error = why, "could not prepare an execution");
        let outcome = RunOutcome::Failed {
            error_type: ErrorType::WorkerUnavailable,
            error: format!("WorkerUnavailable: the credentials could not be read ({why}); the script did not run"),
            traceback: None,
        };
        let (result, stdout_tail, stderr_tail, usage, egress) = Default::default();
        self.remains.end = Some(Box::new(RunEnd { outcome, result, stdout_tail, stderr_tail, usage, egress }));
        self.apply(Event::Ended, context);
    }

    fn store_until_stored(&self, write: Write, context: &mut Context<Self>) {
        let store = self.parts.store.clone();
        let storing = async move { commit_until_stored(&*store, vec![write]).await };
        context.spawn(storing.into_actor(self).map(|stored, execution, context| execution.stored(&stored, context)));
    }

    fn stored(&mut self, stored: &Result<(), StoreError>, context: &mut Context<Self>) {
        match stored {
            Ok(()) => self.apply(Event::Stored, context),
            // What is on disk says what the next start has to do.
            Err(_) => self.perform(Effect::Retire, context),
        }
    }

    fn finish(&mut self, verdict: Verdict, context: &mut Context<Self>) {
        let mut remains = std::mem::take(&mut self.remains);
        remains.counts = std::mem::take(&mut self.questions.counts);
        let mut record = self.record.clone();
        let (now, steady_now) = (self.parts.clock.now(), self.steady.now());
        record.execution_time_ms = self.ran.map(|(used, since)| {
            let ran = since.map_or(used, |since| used + between(since, steady_now));
            u64::try_from(ran.as_millis()).unwrap_or(u64::MAX)
        });
        let redactor = match self.prepared.take() {
            Some(Ok(prepared)) => prepared.redactor,
            // It was not started, so nothing in `remains` is the script's.
            _ => Arc::new(Redactor::compile(std::iter::empty())),
        };
        let store = self.parts.store.clone();
        let parts = self.parts.clone();
        let finishing = async move {
            let (record, output) = conclude(record, verdict, remains, redactor, now).await;
            if record.suspicious {
                leaked(&parts, &record).await;
            }
            let output = Arc::new(output);
            let write = Write::FinishExecution { record: record.clone(), output: output.clone() };
            (commit_until_stored(&*store, vec![write]).await, record, output)
        };
        context.spawn(finishing.into_actor(self).map(|(stored, record, output), execution, context| {
            execution.record = record;
            execution.output = Some(output);
            execution.stored(&stored, context);
        }));
    }
}

impl Actor for Execution {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if let Some(mut commands) = self.commands.take() {
            context.add_stream(futures_util::stream::poll_fn(move |task| commands.poll_recv(task)));
        }
        if matches!(self.state, State::Accepting { .. }) {
            let insertion = Write::InsertExecution { record: self.record.clone(), script: self.script.clone() };
            let store = self.parts.store.clone();
            let writes = [Some(insertion), self.key.take().map(Write::PutIdempotency)].into_iter().flatten().collect();
            let id = self.record.id.clone();
            let inserting = async move { commit_first(&*store, writes, &id).await };
            context.spawn(inserting.into_actor(self).map(|inserted, execution, context| match inserted {
                Ok(()) => execution.apply(Event::Stored, context),
                Err(error) => {
                    if let Some(told) = execution.accepted.take() {
                        let _ = told.send(Err(error));
                    }
                    execution.apply(Event::NotStored, context);
                }
            }));
        }
        match (&self.lease, &self.state) {
            (Some(_), State::Pending) => self.apply(Event::Granted, context),
            (Some(_), _) => self.prepare(context),
            (None, _) => {}
        }
        if let Some(queued) = self.queued.take() {
            // Dropped with the actor, and its place in the queue with it.
            let waiting = wait_for_lease(self.parts.pool.clone(), self.record.profile_id.clone(), queued);
            context.spawn(waiting.into_actor(self).map(|granted, execution, context| match granted {
                Ok(lease) => {
                    execution.lease = Some(lease);
                    execution.apply(Event::Granted, context);
                }
                Err(WaitEnd::NoWorker(_)) => execution.apply(Event::NoWorker, context),
                Err(WaitEnd::Draining) => execution.apply(Event::Draining, context),
            }));
        }
    }
}

impl StreamHandler<RunEvent> for Execution {
    fn handle(&mut self, event: RunEvent, context: &mut Self::Context) {
        match event {
            RunEvent::Output(stream, bytes) => {
                match stream {
                    OutputStream::Stdout => self.remains.stdout.extend(bytes),
                    OutputStream::Stderr => self.remains.stderr.extend(bytes),
                }
                self.show_output(context);
            }
            RunEvent::Asked(batch, asks) => self.on_asked(batch, asks, context),
            RunEvent::Paused(answered) => self.on_paused(answered, context),
            RunEvent::Ended(end) => {
                self.remains.end = Some(end);
                self.apply(Event::Ended, context);
            }
        }
    }

    fn finished(&mut self, context: &mut Self::Context) {
        self.apply(Event::Lost, context);
    }
}

impl StreamHandler<Command> for Execution {
    fn handle(&mut self, command: Command, context: &mut Self::Context) {
        match command {
            Command::Stop(reason) => self.apply(Event::Stop(reason), context),
            Command::Respond(respond) => self.on_respond(respond, context),
            Command::ShowOutput => {
                self.publisher.begin();
                self.show_output(context);
            }
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

/// Writes down that the script starts.
fn claim(record: &mut ExecutionRecord, now: Timestamp) {
    record.status = crate::domain::Status::Running;
    record.attempts = record.attempts.saturating_add(1);
    record.started_at = Some(now);
    record.deadline = now.checked_add(Duration::from_secs(u64::from(record.timeout_s))).ok();
}

fn limits_of(parts: &Parts, overrides: &Limits, record: &ExecutionRecord) -> RunLimits {
    parts.limits.with(overrides, record.timeout_s)
}
