//! The server's end of the frames to and from one guard. The guard lives with untrusted code, so what comes is held to what
//! each run may send, and a guard that goes beyond is reported to be killed (WK-1, WK-6).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use airlock_actors::domain::{ErrorType, RunLimits, Usage};
use airlock_actors::ports::{
    EgressSeen, LlmAsk, LlmReply, OutputStream, OutputTail, RunEnd, RunEvent, RunOutcome, RunRequest, RunToken,
    WorkerGone, WorkerLink,
};
use tokio::sync::{Notify, mpsc, oneshot};
use zeroize::Zeroizing;

use crate::worker::protocol::{
    Ask, Bytes, Ended, FrameError, FromGuard, MAX_EGRESS_ENTRIES, MAX_EGRESS_HOST_BYTES, MAX_OPEN_ASKS, MAX_OPEN_BYTES,
    MAX_REPORT_BYTES, Outcome, Piece, Reply, Run, ToGuard, decode, encode, half_of_output,
};

/// A frame on its way to the guard.
pub(super) type Frame = Zeroizing<Vec<u8>>;

/// The way to one guard.
pub(super) struct LocalLink {
    runs: Arc<Runs>,
    to_guard: mpsc::UnboundedSender<Frame>,
    /// Tells whoever watches the process to end it.
    destroy: Arc<Notify>,
    /// Tells, by being dropped, that nobody uses the worker any more.
    _in_use: oneshot::Sender<()>,
}

impl LocalLink {
    pub(super) fn new(
        runs: Arc<Runs>,
        to_guard: mpsc::UnboundedSender<Frame>,
        destroy: Arc<Notify>,
        in_use: oneshot::Sender<()>,
    ) -> Self {
        Self { runs, to_guard, destroy, _in_use: in_use }
    }
}

impl WorkerLink for LocalLink {
    fn run(&self, request: RunRequest) -> Result<mpsc::UnboundedReceiver<RunEvent>, WorkerGone> {
        let settings = request.settings.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        let frame = encode(&ToGuard::Run(Run {
            token: request.token,
            execution_id: request.execution_id.as_str(),
            script: &request.script,
            settings,
            limits: request.limits,
            allowed_hosts: request.allowed_hosts.as_deref().map(|hosts| hosts.iter().map(String::as_str).collect()),
        }));
        let (events, receiver) = mpsc::unbounded_channel();
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                // Nobody waits yet: the receiver is still here.
                let _ = events.send(RunEvent::Ended(Box::new(refused(&error))));
                return Ok(receiver);
            }
        };
        self.runs.open(request.token, request.limits, events)?;
        self.to_guard.send(frame).map_err(|_| WorkerGone)?;
        Ok(receiver)
    }

    fn kill(&self, token: RunToken) {
        self.tell(&ToGuard::Kill(token));
    }

    fn answer(&self, token: RunToken, batch: u32, index: u32, last: bool, reply: &LlmReply) {
        if last {
            self.runs.answered(token, batch);
        }
        let reply = match reply {
            LlmReply::Text(text) => Reply::Text(text),
            LlmReply::TimedOut(text) => Reply::TimedOut(text),
            LlmReply::Refused(text) => Reply::Refused(text),
            LlmReply::Invalid(text) => Reply::Invalid(text),
        };
        self.tell(&ToGuard::Answer { token, batch, index, last, reply });
    }

    fn shutdown(&self) {
        self.tell(&ToGuard::Shutdown);
    }

    fn destroy(&self) {
        self.destroy.notify_one();
    }
}

impl LocalLink {
    fn tell(&self, message: &ToGuard<'_>) {
        if let Ok(frame) = encode(message) {
            // A guard that is gone needs no telling.
            let _ = self.to_guard.send(frame);
        }
    }
}

/// The end of a run that does not fit a frame.
fn refused(error: &FrameError) -> RunEnd {
    let error = format!("WorkerUnavailable: the script and its settings are too large together: {error}");
    RunEnd {
        outcome: RunOutcome::Failed { error_type: ErrorType::WorkerUnavailable, error, traceback: None },
        result: None,
        stdout_tail: None,
        stderr_tail: None,
        usage: Usage::default(),
        egress: Vec::new(),
    }
}

/// The runs that a guard was given and has not ended.
#[derive(Default)]
pub(super) struct Runs {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    open: HashMap<RunToken, OpenRun>,
    gone: bool,
}

struct OpenRun {
    events: mpsc::UnboundedSender<RunEvent>,
    limits: RunLimits,
    stdout: Stream,
    stderr: Stream,
    result: Vec<u8>,
    /// Number of the last batch of questions.
    asked: u32,
    /// Open batches with their number of questions, and bytes.
    open_asks: Vec<(u32, usize, usize)>,
}

#[derive(Default)]
struct Stream {
    head_bytes: u64,
    tail: Vec<u8>,
}

/// A guard broke the protocol; in words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guard {0}")]
pub(super) struct Violation(pub(super) String);

fn violation<T>(what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation(what.into()))
}

impl Runs {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics between two changes that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(
        &self,
        token: RunToken,
        limits: RunLimits,
        events: mpsc::UnboundedSender<RunEvent>,
    ) -> Result<(), WorkerGone> {
        let mut inner = self.lock();
        if inner.gone {
            return Err(WorkerGone);
        }
        let (stdout, stderr) = Default::default();
        let run = OpenRun { events, limits, stdout, stderr, result: Vec::new(), asked: 0, open_asks: Vec::new() };
        inner.open.insert(token, run);
        Ok(())
    }

    fn answered(&self, token: RunToken, batch: u32) {
        if let Some(run) = self.lock().open.get_mut(&token) {
            run.open_asks.retain(|(open, ..)| *open != batch);
        }
    }

    /// The worker is gone with all that ran on it: their channels close.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.gone = true;
        inner.open.clear();
    }

    /// Takes one frame's payload.
    pub(super) fn take(&self, payload: &[u8]) -> Result<(), Violation> {
        match decode::<FromGuard<'_>>(payload) {
            Ok(FromGuard::Part(token, piece, Bytes(bytes))) => {
                let mut inner = self.lock();
                let Some(run) = inner.open.get_mut(&token) else { return violation("sent a part of an unknown run") };
                run.part(piece, bytes)
            }
            Ok(FromGuard::Asked(token, batch, asks)) => {
                let mut inner = self.lock();
                let Some(run) = inner.open.get_mut(&token) else { return violation("asked for an unknown run") };
                run.ask(batch, &asks)
            }
            Ok(FromGuard::Paused(token, answered)) => {
                let inner = self.lock();
                let Some(run) = inner.open.get(&token) else { return violation("paused an unknown run") };
                let _ = run.events.send(RunEvent::Paused(answered));
                Ok(())
            }
            Ok(FromGuard::Ended(ended)) => {
                let run = self.lock().open.remove(&ended.token);
                let Some(run) = run else { return violation("ended an unknown run") };
                run.end(*ended)
            }
            Ok(FromGuard::Ready(_) | FromGuard::Fatal(_)) => violation("introduced itself twice"),
            Err(error) => violation(format!("sent {error}")),
        }
    }
}

impl OpenRun {
    fn part(&mut self, piece: Piece, bytes: &[u8]) -> Result<(), Violation> {
        let half = half_of_output(&self.limits);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        match piece {
            Piece::Head(stream) => {
                let state = self.stream(stream);
                state.head_bytes = state.head_bytes.saturating_add(length);
                // A stream of which nothing was dropped comes as a head as a whole.
                if state.head_bytes > half.saturating_mul(2) {
                    return violation("sent more output than a run may have");
                }
                // Whoever waited may have gone.
                let _ = self.events.send(RunEvent::Output(stream, bytes.to_vec()));
                Ok(())
            }
            Piece::Tail(stream) => collect(&mut self.stream(stream).tail, bytes, half, "output"),
            Piece::Result => {
                let limit = self.limits.result_bytes;
                collect(&mut self.result, bytes, limit, "of a result")
            }
        }
    }

    fn ask(&mut self, batch: u32, asks: &[Ask<&str>]) -> Result<(), Violation> {
        let bytes: usize = asks.iter().map(Ask::bytes).sum();
        let open = self.open_asks.iter().fold((0, 0), |(asks, bytes), (_, a, b)| (asks + a, bytes + b));
        let in_order = self.asked.checked_add(1) == Some(batch);
        if !in_order || asks.is_empty() || open.0 + asks.len() > MAX_OPEN_ASKS || open.1 + bytes > MAX_OPEN_BYTES {
            return violation("asked for more than a run may have open");
        }
        self.asked = batch;
        self.open_asks.push((batch, asks.len(), bytes));
        let asks = asks.iter().map(|ask| LlmAsk {
            prompt: ask.prompt.to_owned(),
            model: ask.model.to_owned(),
            schema: ask.schema.map(str::to_owned),
        });
        let _ = self.events.send(RunEvent::Asked(batch, asks.collect()));
        Ok(())
    }

    fn stream(&mut self, stream: OutputStream) -> &mut Stream {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        }
    }

    fn end(self, ended: Ended) -> Result<(), Violation> {
        let outcome = match ended.outcome {
            Outcome::Completed => RunOutcome::Completed,
            Outcome::Killed => RunOutcome::Killed,
            Outcome::Failed { error_type, error, traceback } => {
                let length = error_type.as_str().len() + error.len() + traceback.as_deref().map_or(0, str::len);
                if length > MAX_REPORT_BYTES {
                    return violation("sent a longer report than a run may have");
                }
                RunOutcome::Failed { error_type, error, traceback }
            }
        };
        let fits = |seen: &EgressSeen| {
            let reason = seen.refusal.as_deref().map_or(0, str::len);
            seen.host.len().max(reason) <= MAX_EGRESS_HOST_BYTES
        };
        if ended.egress.len() > MAX_EGRESS_ENTRIES || !ended.egress.iter().all(fits) {
            return violation("told of more hosts than a run may have");
        }
        let result = match (ended.has_result, String::from_utf8(self.result)) {
            (true, Ok(result)) => Some(result),
            (false, Ok(nothing)) if nothing.is_empty() => None,
            _ => return violation("sent a result that is none"),
        };
        let tail = |dropped: Option<u64>, stream: Stream| {
            dropped.map(|dropped_bytes| OutputTail { dropped_bytes, bytes: stream.tail })
        };
        let end = RunEnd {
            outcome,
            result,
            stdout_tail: tail(ended.stdout_dropped, self.stdout),
            stderr_tail: tail(ended.stderr_dropped, self.stderr),
            usage: ended.usage,
            egress: ended.egress,
        };
        let _ = self.events.send(RunEvent::Ended(Box::new(end)));
        Ok(())
    }
}

fn collect(into: &mut Vec<u8>, bytes: &[u8], limit: u64, what: &str) -> Result<(), Violation> {
    let length = u64::try_from(into.len().saturating_add(bytes.len())).unwrap_or(u64::MAX);
    if length > limit {
        return violation(format!("sent more {what} than a run may have"));
    }
    into.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::protocol::Ready;

    const TOKEN: RunToken = RunToken(5);

    fn small() -> RunLimits {
        RunLimits { output_bytes: 10, result_bytes: 8, ..RunLimits::DEFAULT }
    }

    fn with_run() -> (Runs, mpsc::UnboundedReceiver<RunEvent>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let runs = Runs::default();
        runs.open(TOKEN, small(), events).expect("not gone");
        (runs, receiver)
    }

    fn send(runs: &Runs, message: &FromGuard<'_>) -> Result<(), Violation> {
        runs.take(encode(message).expect("encodes").get(4..).expect("has a payload"))
    }

    fn part(runs: &Runs, piece: Piece, bytes: &[u8]) -> Result<(), Violation> {
        send(runs, &FromGuard::Part(TOKEN, piece, Bytes(bytes)))
    }

    fn ended(token: RunToken, has_result: bool) -> FromGuard<'static> {
        FromGuard::Ended(Box::new(Ended {
            token,
            outcome: Outcome::Completed,
            has_result,
            stdout_dropped: Some(3),
            stderr_dropped: None,
            usage: Usage::default(),
            egress: Vec::new(),
        }))
    }

    #[test]
    fn parts_are_put_together_and_the_end_closes_the_channel() {
        let (runs, mut events) = with_run();
        part(&runs, Piece::Head(OutputStream::Stderr), b"oops").expect("allowed");
        part(&runs, Piece::Tail(OutputStream::Stdout), b"ta").expect("allowed");
        part(&runs, Piece::Tail(OutputStream::Stdout), b"il").expect("allowed");
        part(&runs, Piece::Result, b"{}").expect("allowed");
        send(&runs, &ended(TOKEN, true)).expect("allowed");
        assert_eq!(events.try_recv(), Ok(RunEvent::Output(OutputStream::Stderr, b"oops".to_vec())));
        let Ok(RunEvent::Ended(end)) = events.try_recv() else { panic!("no end") };
        assert_eq!(end.result.as_deref(), Some("{}"));
        assert_eq!(end.stdout_tail, Some(OutputTail { dropped_bytes: 3, bytes: b"tail".to_vec() }));
        assert_eq!(end.stderr_tail, None);
        assert!(events.blocking_recv().is_none());
    }

    #[test]
    fn more_than_a_run_may_have_is_a_violation() {
        let (runs, _events) = with_run();
        assert!(part(&runs, Piece::Result, b"123456789").is_err());
        let half = usize::try_from(half_of_output(&small())).expect("fits");
        part(&runs, Piece::Head(OutputStream::Stdout), &vec![0; half * 2]).expect("allowed");
        assert!(part(&runs, Piece::Head(OutputStream::Stdout), b"x").is_err());
        part(&runs, Piece::Tail(OutputStream::Stdout), &vec![0; half]).expect("allowed");
        assert!(part(&runs, Piece::Tail(OutputStream::Stdout), b"x").is_err());
    }

    #[test]
    fn hosts_at_the_limit_pass_and_past_it_are_a_violation() {
        let seen = |host: String| EgressSeen {
            host,
            port: None,
            refusal: None,
            count: 1,
            first_ms: 0,
            bytes_sent: None,
            bytes_received: None,
        };
        let longest = "h".repeat(MAX_EGRESS_HOST_BYTES);
        for (egress, allowed) in [
            (vec![seen(longest.clone()); MAX_EGRESS_ENTRIES], true),
            (vec![seen("h".into()); MAX_EGRESS_ENTRIES + 1], false),
            (vec![seen(longest + "h")], false),
        ] {
            let (runs, _events) = with_run();
            let FromGuard::Ended(mut end) = ended(TOKEN, false) else { panic!("no end") };
            end.egress = egress;
            assert_eq!(send(&runs, &FromGuard::Ended(end)).is_ok(), allowed);
        }
    }

    fn ask(prompt: &str) -> Ask<&str> {
        Ask { prompt, model: "default", schema: None }
    }

    /// WK-1
    #[test]
    fn questions_are_in_order_and_no_more_are_open_than_may_be() {
        let (runs, mut events) = with_run();
        let asked = |batch, asks: Vec<Ask<&'static str>>| send(&runs, &FromGuard::Asked(TOKEN, batch, asks));
        asked(1, vec![ask("a"), ask("b")]).expect("allowed");
        assert!(matches!(events.try_recv(), Ok(RunEvent::Asked(1, asks)) if asks.len() == 2));
        assert!(asked(3, vec![ask("c")]).is_err());
        assert!(asked(1, vec![ask("c")]).is_err());
        assert!(asked(2, Vec::new()).is_err());
        asked(2, vec![ask("c"); MAX_OPEN_ASKS - 2]).expect("exactly as many as may be");
        assert!(asked(3, vec![ask("d")]).is_err());
        runs.answered(TOKEN, 1);
        asked(3, vec![ask("d")]).expect("there is room again");
        assert!(send(&runs, &FromGuard::Asked(RunToken(6), 1, vec![ask("x")])).is_err());
        assert!(send(&runs, &FromGuard::Paused(RunToken(6), 0)).is_err());
        send(&runs, &FromGuard::Paused(TOKEN, 1)).expect("allowed");

        let (runs, _events) = with_run();
        let long = "x".repeat(MAX_OPEN_BYTES - 7);
        send(&runs, &FromGuard::Asked(TOKEN, 1, vec![ask(&long)])).expect("exactly as long as may be");
        assert!(send(&runs, &FromGuard::Asked(TOKEN, 2, vec![ask("")])).is_err());
    }

    #[test]
    fn unknown_runs_second_introductions_and_garbage_are_violations() {
        let (runs, _events) = with_run();
        assert!(send(&runs, &ended(RunToken(6), false)).is_err());
        assert!(send(&runs, &FromGuard::Part(RunToken(6), Piece::Result, Bytes(b"1"))).is_err());
        let ready = Ready { python: String::new(), environment: String::new(), layers: vec![] };
        assert!(send(&runs, &FromGuard::Ready(ready)).is_err());
        assert!(runs.take(&[0xff; 20]).is_err());
        send(&runs, &ended(TOKEN, false)).expect("allowed");
        assert!(send(&runs, &ended(TOKEN, false)).is_err(), "an end came twice");
    }

    #[test]
    fn a_worker_that_is_gone_closes_its_runs_and_takes_no_more() {
        let (runs, mut events) = with_run();
        runs.close();
        assert!(events.blocking_recv().is_none());
        let (sender, _receiver) = mpsc::unbounded_channel();
        assert_eq!(runs.open(TOKEN, small(), sender), Err(WorkerGone));
    }
}
