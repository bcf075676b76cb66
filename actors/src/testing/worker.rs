//! Workers that do what the test says.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::domain::Usage;
use crate::ports::{
    LaunchError, LaunchedWorker, LlmAsk, LlmReply, OutputStream, RunEnd, RunEvent, RunOutcome, RunRequest, RunToken,
    WorkerGone, WorkerInfo, WorkerLauncher, WorkerLink,
};

/// Starts scripted workers and hands every run that reaches one to the test. Cheap to clone.
#[derive(Clone)]
pub struct ScriptedLauncher {
    shared: Arc<Shared>,
}

struct Shared {
    runs: mpsc::UnboundedSender<ScriptedRun>,
    failing: Mutex<Option<String>>,
    launched: AtomicUsize,
    alive: AtomicUsize,
    obeys: Mutex<bool>,
}

/// One run that a worker was asked for. The test says what comes of it.
pub struct ScriptedRun {
    /// What was asked.
    pub request: RunRequest,
    /// Which worker it reached: its slot.
    pub slot: u32,
    /// Which of all that were started in any slot, from 1.
    pub launch: usize,
    worker: Arc<Worker>,
    answers: mpsc::UnboundedReceiver<(u32, Vec<LlmReply>)>,
}

/// A run on a worker.
struct Running {
    events: mpsc::UnboundedSender<RunEvent>,
    /// Of the batch that is being answered.
    replies: Vec<LlmReply>,
    answers: mpsc::UnboundedSender<(u32, Vec<LlmReply>)>,
}

struct Worker {
    slot: u32,
    launch: usize,
    shared: Arc<Shared>,
    running: Mutex<HashMap<RunToken, Running>>,
    exit: Mutex<Option<oneshot::Sender<String>>>,
}

/// The server's end: dropping it ends the worker, whoever else still looks at it.
struct Link(Arc<Worker>);

impl ScriptedLauncher {
    /// The launcher, and where the runs arrive.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<ScriptedRun>) {
        let (runs, arriving) = mpsc::unbounded_channel();
        let shared = Shared {
            runs,
            failing: Mutex::new(None),
            launched: AtomicUsize::new(0),
            alive: AtomicUsize::new(0),
            obeys: Mutex::new(true),
        };
        (Self { shared: Arc::new(shared) }, arriving)
    }

    /// Makes every launch from now on fail so, or work again.
    pub fn fail_with(&self, reason: Option<&str>) {
        *locked(&self.shared.failing) = reason.map(str::to_owned);
    }

    /// Has workers ignore `kill` and `shutdown`: they end when they are destroyed or their link is dropped.
    pub fn ignore_kill(&self) {
        *locked(&self.shared.obeys) = false;
    }

    /// Workers started so far.
    pub fn launched(&self) -> usize {
        self.shared.launched.load(Ordering::SeqCst)
    }

    /// Workers that have not exited.
    pub fn alive(&self) -> usize {
        self.shared.alive.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl WorkerLauncher for ScriptedLauncher {
    async fn launch(&self, slot: u32) -> Result<LaunchedWorker, LaunchError> {
        tokio::task::yield_now().await;
        if let Some(reason) = locked(&self.shared.failing).clone() {
            return Err(LaunchError(reason));
        }
        let launch = self.shared.launched.fetch_add(1, Ordering::SeqCst) + 1;
        self.shared.alive.fetch_add(1, Ordering::SeqCst);
        let (exit, exited) = oneshot::channel();
        let running = Mutex::new(HashMap::new());
        let worker = Worker { slot, launch, shared: self.shared.clone(), running, exit: Mutex::new(Some(exit)) };
        let link = Arc::new(Link(Arc::new(worker)));
        let info = WorkerInfo { python: "3.11.2".into(), environment: "ab".repeat(32), layers: Vec::new() };
        Ok(LaunchedWorker { link, info, exited: Box::pin(async { exited.await.unwrap_or_else(|_| "dropped".into()) }) })
    }
}

impl Worker {
    fn exit(&self, reason: &str) {
        locked(&self.running).clear();
        if let Some(exit) = locked(&self.exit).take() {
            self.shared.alive.fetch_sub(1, Ordering::SeqCst);
            let _ = exit.send(reason.to_owned());
        }
    }

    fn send(&self, token: RunToken, event: RunEvent) {
        let mut running = locked(&self.running);
        let ended = matches!(event, RunEvent::Ended(_));
        let events = running.get(&token).map(|run| run.events.clone());
        if ended {
            running.remove(&token);
        }
        if let Some(events) = events {
            let _ = events.send(event);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.0.exit("dropped");
    }
}

impl WorkerLink for Link {
    fn run(&self, request: RunRequest) -> Result<mpsc::UnboundedReceiver<RunEvent>, WorkerGone> {
        let worker = &self.0;
        if locked(&worker.exit).is_none() {
            return Err(WorkerGone);
        }
        let (events, receiver) = mpsc::unbounded_channel();
        let (told, answers) = mpsc::unbounded_channel();
        locked(&worker.running).insert(request.token, Running { events, replies: Vec::new(), answers: told });
        let run = ScriptedRun { request, slot: worker.slot, launch: worker.launch, worker: worker.clone(), answers };
        worker.shared.runs.send(run).map_err(|_| WorkerGone)?;
        Ok(receiver)
    }

    fn kill(&self, token: RunToken) {
        if *locked(&self.0.shared.obeys) {
            self.0.send(token, RunEvent::Ended(Box::new(end_of(RunOutcome::Killed, None))));
        }
    }

    fn answer(&self, token: RunToken, batch: u32, index: u32, last: bool, reply: &LlmReply) {
        if let Some(run) = locked(&self.0.running).get_mut(&token) {
            assert_eq!(run.replies.len(), index as usize, "answers of a batch come in order");
            run.replies.push(reply.clone());
            if last {
                let _ = run.answers.send((batch, std::mem::take(&mut run.replies)));
            }
        }
    }

    fn shutdown(&self) {
        if *locked(&self.0.shared.obeys) {
            self.0.exit("asked to");
        }
    }

    fn destroy(&self) {
        self.0.exit("destroyed");
    }
}

impl ScriptedRun {
    /// The script writes.
    pub fn print(&self, stream: OutputStream, text: &str) {
        self.worker.send(self.request.token, RunEvent::Output(stream, text.as_bytes().to_vec()));
    }

    /// The script asks its LLM.
    pub fn ask(&self, batch: u32, prompts: &[&str]) {
        self.ask_with_schema(batch, prompts, None);
    }

    /// The script asks its LLM for answers that fit a schema.
    pub fn ask_with_schema(&self, batch: u32, prompts: &[&str], schema: Option<&str>) {
        let ask = |prompt: &&str| LlmAsk {
            prompt: (*prompt).to_owned(),
            model: "default".to_owned(),
            schema: schema.map(str::to_owned),
        };
        self.worker.send(self.request.token, RunEvent::Asked(batch, prompts.iter().map(ask).collect()));
    }

    /// The script stands still, so many batches having been answered.
    pub fn pause(&self, answered: u32) {
        self.worker.send(self.request.token, RunEvent::Paused(answered));
    }

    /// The next batch that is answered: its number, and what it came to.
    pub async fn answered(&mut self) -> Option<(u32, Vec<LlmReply>)> {
        self.answers.recv().await
    }

    /// What has been answered and not been looked at.
    pub fn try_answered(&mut self) -> Option<(u32, Vec<LlmReply>)> {
        self.answers.try_recv().ok()
    }

    /// The script comes to its end with this result (JSON).
    pub fn complete(&self, result: Option<&str>) {
        self.end(end_of(RunOutcome::Completed, result));
    }

    /// Any end.
    pub fn end(&self, end: RunEnd) {
        self.worker.send(self.request.token, RunEvent::Ended(Box::new(end)));
    }

    /// The worker dies under it.
    pub fn lose_worker(&self) {
        self.worker.exit("lost");
    }
}

fn end_of(outcome: RunOutcome, result: Option<&str>) -> RunEnd {
    RunEnd {
        outcome,
        result: result.map(str::to_owned),
        stdout_tail: None,
        stderr_tail: None,
        egress: Vec::new(),
        usage: Usage { cpu_ms: 3, max_rss_bytes: 30_000_000 },
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
