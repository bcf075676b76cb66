//! The guard's loop: one epoll over the server's pipes, the fork server's socket, signals, and three descriptors of each
//! running execution. Every turn takes a bounded share of each, so that a flood on one delays no other.

mod accounts;
mod questions;
mod source;
mod turnover;

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use airlock_actors::domain::egress::HostPolicy;
use airlock_actors::domain::{ErrorType, Usage};
use airlock_actors::ports::{OutputStream, RunToken};
use nix::fcntl::{OFlag, open};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::Signal;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use zeroize::Zeroizing;

use self::source::Source;
pub(super) use self::source::egress_event;
use super::channel::Incoming;
use super::confine::rlimits::MOST_PROCESSES;
use super::descendants;
use super::egress::{Egress, EgressConfig};
use super::execution::{Execution, Phase, failure, verdict_of_report};
use super::forkserver::{ForkServer, Message};
use super::uplink::Uplink;
use super::{GuardArgs, keeper, say};
use crate::worker::cgroup::group::{Group, Groups};
use crate::worker::protocol::{Ended, FromGuard, Outcome, Piece, Run, ToGuard, decode};
use crate::worker::tree::TreeRemoval;

const EVENTS_PER_TURN: usize = 128;
const SCRATCH_BYTES: usize = 64 * 1024;
/// Entries removed of a temporary folder before others get their turn.
const REMOVALS_PER_TURN: usize = 200;
/// While a script runs, forking the next process ahead would take the processor, and the fork server, from it.
const REFILL_AFTER: Duration = Duration::from_millis(4);
/// When the kernel has not yet let go of what was in a control group.
const RETRY_GROUPS_AFTER: Duration = Duration::from_millis(10);
/// When processes can't be forked, or die waiting.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A run that no process was there for yet: its frame as it came, wiped when dropped.
struct Queued {
    token: RunToken,
    frame: Zeroizing<Vec<u8>>,
}

/// The guard, once its fork server is ready.
pub(super) struct Guard {
    epoll: Epoll,
    signals: SignalFd,
    fork_server: ForkServer,
    tmp_root: PathBuf,
    /// The same without links in it, as the kernel tells paths.
    tmp_path: PathBuf,
    tmp_folder: OwnedFd,
    own_user: bool,
    forked_ahead: usize,
    scratch: Zeroizing<Vec<u8>>,
    executions: HashMap<u64, Execution>,
    /// Their numbers by process, of those that the fork server has not said the end of.
    by_pid: HashMap<Pid, u64>,
    /// Numbers of those that wait for a script, oldest first.
    waiting: VecDeque<u64>,
    /// How many were asked for and are not there yet.
    forking: usize,
    last_fork: u64,
    queue: VecDeque<Queued>,
    by_token: HashMap<RunToken, u64>,
    /// Numbers of those that are gone; what they started may not be.
    gone: Vec<u64>,
    /// Where each process gets a control group of its own, if anywhere; and the groups of those that are gone.
    groups: Option<Groups>,
    groups_left: Vec<Group>,
    /// Removals of folders whose executions were reported.
    removals: Vec<TreeRemoval>,
    /// When to fork ahead again.
    refill_at: Option<Instant>,
    /// Numbers of those that are measured, in the order in which they get their turn; and when the next turn is.
    measured: VecDeque<u64>,
    measure_at: Option<Instant>,
    /// Decides on connections; `None` where the kernel can't ask it, and scripts have no network.
    egress: Option<Egress>,
    /// The user's limit of processes as running executions were told.
    processes_told: u64,
    ended: bool,
}

impl Guard {
    /// `listener`: where calls wait for [`Egress`]. `groups`: where control groups are made.
    pub(super) fn new(
        args: &GuardArgs,
        fork_server: ForkServer,
        listener: Option<OwnedFd>,
        groups: Option<Groups>,
    ) -> Result<Self, String> {
        let why = |what: &'static str| move |error: nix::Error| format!("{what}: {error}");
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let tmp_folder =
            open(&args.tmp_root, flags, Mode::empty()).map_err(why("the temporary folder can't be opened"))?;
        let tmp_path = std::fs::read_link(format!("/proc/self/fd/{}", tmp_folder.as_raw_fd()))
            .map_err(|error| format!("the temporary folder's path can't be read: {error}"))?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(why("no epoll"))?;
        let signals = SignalFd::with_flags(&keeper::signals(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(why("no signal descriptor"))?;
        let config = EgressConfig {
            server_port: args.server_port,
            name_servers: args.name_servers.clone(),
            fork_server: fork_server.pid().as_raw(),
        };
        let egress = listener.map(|listener| Egress::new(listener, &config, &epoll)).transpose()?;
        Ok(Self {
            epoll,
            egress,
            signals,
            fork_server,
            tmp_root: args.tmp_root.clone(),
            tmp_path,
            tmp_folder,
            own_user: args.own_user,
            forked_ahead: args.forked_ahead.max(1),
            scratch: Zeroizing::new(vec![0; SCRATCH_BYTES]),
            executions: HashMap::new(),
            by_pid: HashMap::new(),
            waiting: VecDeque::new(),
            forking: 0,
            last_fork: 0,
            queue: VecDeque::new(),
            by_token: HashMap::new(),
            gone: Vec::new(),
            groups,
            groups_left: Vec::new(),
            removals: Vec::new(),
            refill_at: None,
            measured: VecDeque::new(),
            measure_at: None,
            processes_told: 0,
            ended: false,
        })
    }

    /// Until the server wants it to end or is gone: fine. Or until something is wrong here: an error.
    pub(super) fn run(&mut self, mut uplink: Uplink) -> Result<(), String> {
        self.watch(uplink.input(), Source::Server, EpollFlags::EPOLLIN)?;
        let control = self.fork_server.control().try_clone().map_err(|error| error.to_string())?;
        self.watch(&control, Source::ForkServer, EpollFlags::EPOLLIN)?;
        let signals = self.signals.as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
        self.watch(&signals, Source::Signals, EpollFlags::EPOLLIN)?;
        keeper::guard_listens()?;
        let mut output_watched = false;
        let mut events = [EpollEvent::empty(); EVENTS_PER_TURN];
        while !self.ended {
            self.settle_gone(&mut uplink);
            // First the answers, then what can wait.
            let Ok(all_sent) = uplink.flush() else { return Ok(()) };
            if all_sent == output_watched {
                output_watched = !all_sent;
                match output_watched {
                    true => self.watch(uplink.output(), Source::ToServer, EpollFlags::EPOLLOUT)?,
                    false => drop(self.epoll.delete(uplink.output())),
                }
            }
            self.refill(&mut uplink)?;
            self.measure();
            self.go_on_removing();
            if let Some(egress) = &mut self.egress {
                egress.on_time(&self.epoll);
            }
            let all_asked = self.fork_server.flush()?;
            let count = match self.epoll.wait(&mut events, self.patience(all_asked)) {
                Ok(count) => count,
                Err(nix::Error::EINTR) => 0,
                Err(error) => return Err(format!("epoll: {error}")),
            };
            for event in events.iter().take(count) {
                match Source::unpack(event.data()) {
                    Some(Source::Server) => self.on_server(&mut uplink),
                    Some(Source::ForkServer) => self.on_fork_server(&mut uplink)?,
                    Some(Source::Signals) => self.on_signals()?,
                    Some(Source::Channel(fork)) => self.on_channel(fork, event.events(), &mut uplink),
                    Some(Source::Stream(fork, stream)) => self.on_stream(fork, stream, &mut uplink),
                    Some(Source::Egress(number)) => {
                        if let Some(egress) = &mut self.egress {
                            egress.on_event(number, &self.epoll);
                        }
                    }
                    Some(Source::ToServer) | None => {}
                }
            }
        }
        Ok(())
    }

    fn watch(&self, descriptor: impl AsFd, source: Source, flags: EpollFlags) -> Result<(), String> {
        self.epoll.add(descriptor, EpollEvent::new(flags, source.pack())).map_err(|error| format!("epoll: {error}"))
    }

    /// How long to wait for something to happen.
    fn patience(&self, all_asked: bool) -> EpollTimeout {
        let removing = self.gone.iter().any(|fork| self.executions.get(fork).is_some_and(|one| one.removal.is_some()));
        if removing || !self.removals.is_empty() {
            return EpollTimeout::ZERO;
        }
        let deadline = self.egress.as_ref().and_then(Egress::next_deadline);
        let next = [self.refill_at, self.measure_at, deadline].into_iter().flatten().min();
        let mut wait = next.map(|at| at.saturating_duration_since(Instant::now()));
        if !all_asked {
            wait = Some(Duration::from_millis(1));
        }
        if !self.groups_left.is_empty() {
            wait = Some(wait.map_or(RETRY_GROUPS_AFTER, |wait| wait.min(RETRY_GROUPS_AFTER)));
        }
        wait.map_or(EpollTimeout::NONE, |wait| EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::ZERO))
    }

    fn on_server(&mut self, uplink: &mut Uplink) {
        loop {
            let frame = match uplink.receive(&mut self.scratch) {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(gone) => {
                    say(&format!("the guard ends: {gone}"));
                    self.ended = true;
                    return;
                }
            };
            match decode::<ToGuard<'_>>(&frame) {
                Ok(ToGuard::Run(run)) => {
                    if !self.dispatch(&run, uplink) {
                        let token = run.token;
                        self.queue.push_back(Queued { token, frame });
                    }
                }
                Ok(ToGuard::Kill(token)) => self.kill(token, uplink),
                Ok(ToGuard::Answer { token, batch, index, last, reply }) => {
                    self.answer(token, batch, index, last, &reply);
                }
                Ok(ToGuard::Shutdown) => self.ended = true,
                Err(error) => {
                    say(&format!("the guard ends: the server sent {error}"));
                    self.ended = true;
                }
            }
            if self.ended {
                return;
            }
        }
    }

    /// Hands a run to a process that waits; false if there is none.
    fn dispatch(&mut self, run: &Run<'_>, uplink: &mut Uplink) -> bool {
        let Some(fork) = self.waiting.pop_front() else { return false };
        let running = self.by_token.len() + 1;
        // Where the guard grants each process, the kernel's limit is a last resort: it counts all that the user has, in other
        // containers of the machine too.
        let processes = match &self.egress {
            Some(_) => Some(MOST_PROCESSES),
            None => self.own_user.then(|| self.tell_processes(running, run.limits.processes)),
        };
        let Some(execution) = self.executions.get_mut(&fork) else { return false };
        self.by_token.insert(run.token, fork);
        self.refill_at.get_or_insert_with(|| Instant::now() + REFILL_AFTER);
        let started = execution.start(run, processes);
        let main = execution.pid();
        let started = started.and_then(|()| self.open_egress(fork, main, run)).and_then(|()| self.connect(fork));
        self.begin_to_measure(fork);
        if let Err(why) = started {
            let text = format!("SandboxFailed: {why}; the script was not run");
            if let Some(execution) = self.executions.get_mut(&fork) {
                execution.end(failure(ErrorType::SandboxFailed, text));
            }
        }
        let _ = uplink;
        true
    }

    /// From now on its connections are decided by what its profile allows.
    fn open_egress(&mut self, fork: u64, main: Option<Pid>, run: &Run<'_>) -> Result<(), String> {
        let hosts = run.allowed_hosts.as_ref().map(|hosts| hosts.iter().map(ToString::to_string).collect::<Vec<_>>());
        let policy = HostPolicy::new(hosts.as_deref()).map_err(|error| format!("an entry of allowed_hosts {error}"))?;
        let folder = self.executions.get(&fork).map(|execution| execution.folder_path(&self.tmp_path));
        if let (Some(egress), Some(main), Some(folder)) = (&mut self.egress, main, folder) {
            egress.begin(fork, main.as_raw(), folder, policy, run.limits.processes);
        }
        Ok(())
    }

    /// Sends the script, and watches what comes back.
    fn connect(&mut self, fork: u64) -> Result<(), String> {
        let Some(execution) = self.executions.get_mut(&fork) else { return Ok(()) };
        let all_sent = execution.channel.flush();
        let flags = if all_sent { EpollFlags::EPOLLIN } else { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT };
        let Some(execution) = self.executions.get(&fork) else { return Ok(()) };
        self.watch(execution.channel.socket(), Source::Channel(fork), flags)?;
        for (capture, stream) in [(&execution.stdout, OutputStream::Stdout), (&execution.stderr, OutputStream::Stderr)]
        {
            if let Some(pipe) = capture.pipe() {
                self.watch(pipe, Source::Stream(fork, stream), EpollFlags::EPOLLIN)?;
            }
        }
        Ok(())
    }

    fn kill(&mut self, token: RunToken, uplink: &mut Uplink) {
        if let Some(position) = self.queue.iter().position(|queued| queued.token == token) {
            self.queue.remove(position);
            end_unstarted(uplink, token, Outcome::Killed);
        } else if let Some(execution) = self.by_token.get(&token).and_then(|fork| self.executions.get_mut(fork)) {
            execution.end_by_force(Outcome::Killed);
        }
    }

    fn on_fork_server(&mut self, uplink: &mut Uplink) -> Result<(), String> {
        while let Some(message) = self.fork_server.receive()? {
            match message {
                Message::Forked { fork, pid } => {
                    self.forking = self.forking.saturating_sub(1);
                    let Some(execution) = self.executions.get_mut(&fork) else { continue };
                    self.by_pid.insert(pid, fork);
                    // It may be gone already: then its exit is told next.
                    if execution.forked(pid).is_ok() {
                        self.waiting.push_back(fork);
                    }
                }
                Message::ForkFailed { fork, error } => {
                    self.forking = self.forking.saturating_sub(1);
                    if let Some(mut execution) = self.executions.remove(&fork) {
                        self.groups_left.extend(execution.take_group());
                        let _ = execution.remove_folder(&self.tmp_folder, REMOVALS_PER_TURN);
                    }
                    let error = error.desc();
                    say(&format!("a process can't be forked: {error}"));
                    self.refill_at = Some(Instant::now() + RETRY_AFTER);
                    if let Some(queued) = self.queue.pop_front() {
                        let text = format!("WorkerUnavailable: no process can be started: {error}; try again");
                        end_unstarted(uplink, queued.token, failure(ErrorType::WorkerUnavailable, text));
                    }
                }
                Message::Exited { pid, status, cpu_ms, max_rss_bytes } => {
                    self.on_exited(pid, status, Usage { cpu_ms, max_rss_bytes });
                }
            }
        }
        while let Some(queued) = self.queue.pop_front() {
            let started = match decode::<ToGuard<'_>>(&queued.frame) {
                Ok(ToGuard::Run(run)) => self.dispatch(&run, uplink),
                _ => true,
            };
            if !started {
                self.queue.push_front(queued);
                break;
            }
        }
        Ok(())
    }

    fn on_exited(&mut self, pid: Pid, status: i32, usage: Usage) {
        let Some(fork) = self.by_pid.remove(&pid) else { return };
        // What it said last may not have been read yet.
        self.read_channel_to_end(fork);
        let Some(execution) = self.executions.get_mut(&fork) else { return };
        if execution.run.is_none() {
            say(&format!("a process that waited for its script ended with status {status}"));
            self.waiting.retain(|&other| other != fork);
            self.refill_at = Some(Instant::now() + RETRY_AFTER);
        }
        execution.exited(status, usage);
        self.gone.push(fork);
    }

    fn read_channel_to_end(&mut self, fork: u64) {
        while let Some(execution) = self.executions.get_mut(&fork).filter(|one| one.phase == Phase::Running) {
            match execution.channel.take_turn(&mut self.scratch) {
                Incoming::Nothing | Incoming::Closed => return,
                decided => self.decide(fork, decided),
            }
        }
    }

    fn on_channel(&mut self, fork: u64, events: EpollFlags, uplink: &mut Uplink) {
        let Some(execution) = self.executions.get_mut(&fork) else { return };
        if events.contains(EpollFlags::EPOLLOUT) && execution.channel.flush() {
            let reading = &mut EpollEvent::new(EpollFlags::EPOLLIN, Source::Channel(fork).pack());
            let _ = self.epoll.modify(execution.channel.socket(), reading);
        }
        if execution.phase == Phase::Running {
            let incoming = execution.channel.take_turn(&mut self.scratch);
            self.pass_questions_on(fork, uplink);
            self.decide(fork, incoming);
        }
    }

    /// Acts on what came over a channel.
    fn decide(&mut self, fork: u64, incoming: Incoming) {
        let Some(execution) = self.executions.get_mut(&fork) else { return };
        let Some((_, limits)) = execution.run else { return };
        let outcome = match incoming {
            Incoming::Nothing => return,
            // It may still run, but can't tell any more: how its process ends will.
            Incoming::Closed => {
                let _ = self.epoll.delete(execution.channel.socket());
                return;
            }
            // What was killed may have been a child of a script that went on without it.
            Incoming::Done(report) => execution.out_of_memory().unwrap_or_else(|| verdict_of_report(report, &limits)),
            Incoming::Violation(what) => failure(
                ErrorType::ProtocolViolation,
                format!("ProtocolViolation: the script's process sent {what} to Airlock; leave descriptor 3 alone"),
            ),
            Incoming::TooLarge(bytes) => failure(
                ErrorType::ResultTooLarge,
                format!("ResultTooLarge: the result is {bytes} bytes long, more than is allowed; return less"),
            ),
        };
        let _ = self.epoll.delete(execution.channel.socket());
        execution.end(outcome);
    }

    fn on_stream(&mut self, fork: u64, stream: OutputStream, uplink: &mut Uplink) {
        let Some(execution) = self.executions.get_mut(&fork) else { return };
        let Some((token, _)) = execution.run else { return };
        let capture = match stream {
            OutputStream::Stdout => &mut execution.stdout,
            OutputStream::Stderr => &mut execution.stderr,
        };
        // A stream that closes leaves the epoll by itself.
        capture.take_turn(&mut self.scratch, |head| uplink.send_part(token, Piece::Head(stream), head));
    }

    fn on_signals(&mut self) -> Result<(), String> {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if i32::try_from(signal.ssi_signo) == Ok(Signal::SIGTERM as i32) {
                self.ended = true;
            }
        }
        self.reap()
    }

    fn reap(&mut self) -> Result<(), String> {
        let of_fork_server = descendants::reap().into_iter().find(|reaped| reaped.pid == self.fork_server.pid());
        of_fork_server.map_or(Ok(()), |reaped| Err(format!("the fork server ended with status {:#x}", reaped.status)))
    }
}

/// The end of a run that never had a process.
fn end_unstarted(uplink: &mut Uplink, token: RunToken, outcome: Outcome) {
    let ended = Ended {
        token,
        outcome,
        has_result: false,
        stdout_dropped: None,
        stderr_dropped: None,
        usage: Usage::default(),
        egress: Vec::new(),
    };
    uplink.send(&FromGuard::Ended(Box::new(ended)));
}
