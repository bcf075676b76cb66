//! One execution's process as the guard sees it, from the request to fork it to the removal of its folder.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use airlock_actors::domain::{ErrorType, RunLimits, Usage};
use airlock_actors::ports::RunToken;
use nix::errno::Errno;
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::Pid;

use super::accounting::space::Folder;
use super::accounting::{ALWAYS_THERE, Meter, beyond_cpu, beyond_memory, explained};
use super::capture::{self, Capture};
use super::channel::{Channel, Report};
use super::confine::rlimits::{ExecutionLimit, for_execution};
use super::{descendants, freeze, oom};
use crate::worker::cgroup::group::{Group, Groups};
use crate::worker::protocol::{Outcome, Reply, Run};
use crate::worker::tree::TreeRemoval;

/// Where a process is in its life. It only goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The fork server was asked for it.
    Forking,
    /// Forked ahead; waits for its script.
    Waiting,
    /// Its script runs.
    Running,
    /// It was killed, or ends by itself; the fork server has not said so yet.
    Ending,
    /// It is gone; what it started may not be.
    Gone,
}

/// A process and all that belongs to it.
pub(crate) struct Execution {
    pub(crate) phase: Phase,
    /// Which run it was given, and what that may use.
    pub(crate) run: Option<(RunToken, RunLimits)>,
    /// How the run ended, once that is decided: the first verdict stays.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) usage: Usage,
    pub(crate) channel: Channel,
    pub(crate) stdout: Capture,
    pub(crate) stderr: Capture,
    /// Its temporary folder, in the worker's.
    pub(crate) folder: String,
    /// The removal of that folder, once it has begun.
    pub(crate) removal: Option<TreeRemoval>,
    removal_began: Option<Instant>,
    /// Its control group, where the worker has some; or why it has none.
    group: Option<Result<Group, String>>,
    /// What it was seen to use.
    meter: Meter,
    /// Stands still with all its processes, waiting for its LLM.
    frozen: bool,
    /// Process and the descriptor that names it whatever becomes of the number.
    process: Option<(Pid, OwnedFd)>,
}

impl Execution {
    /// Everything for a new process, the one of number `fork`: the guard's side, and the descriptors that the process is given.
    pub(crate) fn prepare(
        tmp_root: &OwnedFd,
        groups: Option<&Groups>,
        fork: u64,
    ) -> Result<(Self, Vec<OwnedFd>), String> {
        let why = |what: &'static str| move |error: std::io::Error| format!("{what} can't be made: {error}");
        // A name that a sibling can't guess: same user, so it could change the modes of a folder that it can name.
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| format!("no randomness: {error}"))?;
        let folder = hex::encode(random);
        mkdirat(tmp_root, folder.as_str(), Mode::S_IRWXU).map_err(Into::into).map_err(why("a temporary folder"))?;
        let (channel, channel_theirs) = Channel::new().map_err(Into::into).map_err(why("a channel"))?;
        let (stdout, stdout_theirs) = capture::pipe().map_err(why("a pipe"))?;
        let (stderr, stderr_theirs) = capture::pipe().map_err(why("a pipe"))?;
        let mut descriptors = vec![channel_theirs, stdout_theirs, stderr_theirs];
        let group = groups.map(|groups| {
            let (group, entries) = groups.make(&format!("execution-{fork}"))?;
            descriptors.extend(entries);
            Ok(group)
        });
        let execution = Self {
            phase: Phase::Forking,
            run: None,
            outcome: None,
            usage: Usage::default(),
            channel,
            stdout: Capture::new(stdout),
            stderr: Capture::new(stderr),
            folder,
            removal: None,
            removal_began: None,
            group,
            meter: Meter::default(),
            frozen: false,
            process: None,
        };
        Ok((execution, descriptors))
    }

    /// Its folder's path.
    pub(crate) fn folder_path(&self, tmp_root: &Path) -> std::path::PathBuf {
        tmp_root.join(&self.folder)
    }

    /// The fork server forked it.
    pub(crate) fn forked(&mut self, pid: Pid) -> Result<(), Errno> {
        // SAFETY: plain system call; the descriptor it returns is nobody else's.
        let descriptor = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
        let descriptor = i32::try_from(descriptor).map_err(|_| Errno::EBADF)?;
        // SAFETY: as above.
        self.process = Some((pid, unsafe { OwnedFd::from_raw_fd(descriptor) }));
        self.phase = Phase::Waiting;
        Ok(())
    }

    /// Limits it to `run.limits`, and hands it its script. `processes`: as in [`for_execution`].
    pub(crate) fn start(&mut self, run: &Run<'_>, processes: Option<u64>) -> Result<(), String> {
        self.run = Some((run.token, run.limits));
        self.phase = Phase::Running;
        for limit in for_execution(&run.limits, processes) {
            self.limit(limit).map_err(|error| format!("{:?} can't be limited: {error}", limit.resource))?;
        }
        if let Some(group) = &self.group {
            // The interpreter's own memory comes on top, as it does for samples.
            group.as_ref().map_err(Clone::clone)?.limit(&run.limits, ALWAYS_THERE)?;
        }
        let half = crate::worker::protocol::half_of_output(&run.limits);
        self.stdout.limit(half);
        self.stderr.limit(half);
        self.channel.start(run)?;
        Ok(())
    }

    /// Sets one limit of its process.
    pub(crate) fn limit(&self, limit: ExecutionLimit) -> Result<(), Errno> {
        let Some((pid, _)) = &self.process else { return Err(Errno::ESRCH) };
        let value = libc::rlimit { rlim_cur: limit.soft.min(limit.hard), rlim_max: limit.hard };
        // SAFETY: `value` outlives the call and no old value is asked for.
        let set = unsafe { libc::prlimit(pid.as_raw(), limit.resource as _, &value, std::ptr::null_mut()) };
        Errno::result(set).map(drop)
    }

    /// Has it stand still, if it said that it only waits: then how many of its batches were answered.
    pub(crate) fn pause(&mut self) -> Option<u32> {
        if self.phase != Phase::Running {
            return None;
        }
        let answered = self.channel.asking.take_idle()?;
        let (pid, _) = self.process.as_ref()?;
        self.frozen = true;
        if !freeze::freeze(*pid) {
            let text = "ProcessDied: the script starts processes without end while it waits for its LLM".to_owned();
            self.end(failure(ErrorType::ProcessDied, text));
            return None;
        }
        Some(answered)
    }

    /// Passes an answer on; with the last of a batch it goes on.
    pub(crate) fn answer(&mut self, batch: u32, index: u32, last: bool, reply: &Reply<'_>) {
        if self.phase != Phase::Running {
            return;
        }
        self.channel.answer(batch, index, last, reply);
        if last {
            self.channel.asking.answered(batch);
            if let (true, Some((pid, _))) = (std::mem::take(&mut self.frozen), &self.process) {
                freeze::thaw(*pid);
            }
        }
    }

    /// Its process, while there is one.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.process.as_ref().map(|(pid, _)| *pid)
    }

    /// Decides how it ended, unless that is decided, and kills it with its process group. What else it started becomes the
    /// guard's own when it is gone.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
        if self.phase == Phase::Running {
            self.phase = Phase::Ending;
        }
        self.kill();
    }

    /// The same for one that may be starting processes at this moment: they are stopped first.
    pub(crate) fn end_by_force(&mut self, outcome: Outcome) {
        // Stopped, it can't end by itself: its number stays its own.
        if let Some((pid, _)) = &self.process
            && self.signal(libc::SIGSTOP, 0).is_ok()
        {
            descendants::kill_tree(*pid);
        }
        self.end(outcome);
    }

    /// Kills its process with its group.
    pub(crate) fn kill(&self) {
        const WHOLE_GROUP: libc::c_uint = 1 << 2;
        // Kernels before 6.9 know no groups here: then what the script started becomes the guard's, and is killed there.
        let _ = self.signal(libc::SIGKILL, WHOLE_GROUP);
        let _ = self.signal(libc::SIGKILL, 0);
    }

    fn signal(&self, signal: libc::c_int, flags: libc::c_uint) -> Result<(), Errno> {
        let Some((_, descriptor)) = &self.process else { return Err(Errno::ESRCH) };
        let nothing = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: plain system call on a descriptor that is open; no signal information is passed.
        let sent =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor.as_raw_fd(), signal, nothing, flags) };
        Errno::result(sent).map(drop)
    }

    /// Its outcome, if its control group was at its limit of memory and the kernel killed for that.
    pub(crate) fn out_of_memory(&self) -> Option<Outcome> {
        let (Some(Ok(group)), Some((_, limits))) = (&self.group, &self.run) else { return None };
        group.out_of_memory().then(|| beyond_memory(limits))
    }

    /// Its control group, to be removed.
    pub(crate) fn take_group(&mut self) -> Option<Group> {
        self.group.take().and_then(Result::ok)
    }

    /// Adds up what it uses, and ends it if that is beyond its limits. `tmp_root`: the worker's temporary folder.
    pub(crate) fn measure(&mut self, tmp_root: &OwnedFd) {
        if self.frozen {
            // It uses no more than it did when it stopped.
            return;
        }
        if let Some(outcome) = self.out_of_memory() {
            self.end_by_force(outcome);
            return;
        }
        let (Some((pid, _)), Some((_, limits))) = (&self.process, &self.run) else { return };
        let folder = Folder { parent: tmp_root, name: &self.folder };
        let memory_held = matches!(&self.group, Some(Ok(group)) if group.holds_memory());
        if let Some(outcome) = self.meter.sample(*pid, folder, limits, memory_held) {
            self.end_by_force(outcome);
        }
    }

    /// Its process has ended with `status`, as of wait(2).
    pub(crate) fn exited(&mut self, status: i32, usage: Usage) {
        self.usage = Usage {
            cpu_ms: usage.cpu_ms.max(self.meter.cpu_ms),
            max_rss_bytes: usage.max_rss_bytes.max(self.meter.memory_bytes),
        };
        self.phase = Phase::Gone;
        // What names a process that is gone.
        self.process = None;
        if let Some((_, limits)) = &self.run {
            // The machine's own counter, where there is no better, also counts what others were killed for.
            let counted = || self.group.as_ref().and_then(|group| group.as_ref().ok()?.killed_for_memory());
            let killed = || counted().unwrap_or_else(oom::killed_since_last_asked);
            let of_status = || verdict_of_status(status, &usage, limits, killed);
            let verdict = self.out_of_memory().unwrap_or_else(of_status);
            self.outcome.get_or_insert(verdict);
        }
    }

    /// True when the removal of its folder has gone on for longer than its report should wait.
    pub(crate) fn removal_takes_long(&self) -> bool {
        self.removal_began.is_some_and(|began| began.elapsed() > PATIENCE_WITH_REMOVAL)
    }

    /// Removes its folder, about `budget` entries of it; true when it is gone.
    pub(crate) fn remove_folder(&mut self, tmp_root: &OwnedFd, budget: usize) -> std::io::Result<bool> {
        if self.removal.is_none() {
            self.removal_began = Some(Instant::now());
            self.removal = Some(TreeRemoval::new(tmp_root.try_clone()?, OsStr::new(&self.folder)));
        }
        self.removal.as_mut().map_or(Ok(true), |removal| removal.step(budget))
    }
}

/// After so long an execution is reported although its folder is not gone yet.
const PATIENCE_WITH_REMOVAL: Duration = Duration::from_secs(6);

/// What the runtime's report of a script under `limits` says.
pub(crate) fn verdict_of_report(report: Report, limits: &RunLimits) -> Outcome {
    let Report { error_type, error, traceback } = report;
    let Some(name) = error_type.or_else(|| error.is_some().then(|| "Error".to_owned())) else {
        return Outcome::Completed;
    };
    let error = error.unwrap_or_else(|| name.clone());
    let error = explained(&name, &error, limits).unwrap_or(error);
    let error_type = match name.as_str() {
        "SandboxFailed" => ErrorType::SandboxFailed,
        "ResultTooLarge" => ErrorType::ResultTooLarge,
        "LlmTimeout" => ErrorType::LlmTimeout,
        "LlmLimit" => ErrorType::LlmLimit,
        _ => ErrorType::Python(name),
    };
    Outcome::Failed { error_type, error, traceback }
}

/// What a process that ended without a report died of.
fn verdict_of_status(status: i32, usage: &Usage, limits: &RunLimits, out_of_memory: impl FnOnce() -> bool) -> Outcome {
    let cpu_used_up = usage.cpu_ms >= limits.cpu_seconds.saturating_mul(1000);
    if libc::WIFSIGNALED(status) {
        return match libc::WTERMSIG(status) {
            libc::SIGXCPU => beyond_cpu(limits),
            libc::SIGKILL if cpu_used_up => beyond_cpu(limits),
            libc::SIGKILL if out_of_memory() => failure(
                ErrorType::MemoryLimit,
                "MemoryLimit: the kernel ended the script because memory had run out; use less at a time".to_owned(),
            ),
            signal => failure(
                ErrorType::ProcessDied,
                format!("ProcessDied: the script's process was ended by {}", name_of_signal(signal)),
            ),
        };
    }
    let code = libc::WEXITSTATUS(status);
    let text = format!(
        "ProcessDied: the script's process ended with exit code {code} before the script was done (os._exit, or its channel \
         to Airlock, descriptor 3, was closed); end a script with sys.exit or by coming to its end"
    );
    failure(ErrorType::ProcessDied, text)
}

/// A failure without a traceback.
pub(crate) fn failure(error_type: ErrorType, error: String) -> Outcome {
    Outcome::Failed { error_type, error, traceback: None }
}

fn name_of_signal(signal: i32) -> String {
    let known = nix::sys::signal::Signal::try_from(signal);
    let (name, meaning) = match known {
        Ok(nix::sys::signal::Signal::SIGSEGV) => ("SIGSEGV", " (a crash in a C library)"),
        Ok(nix::sys::signal::Signal::SIGABRT) => ("SIGABRT", " (a C library gave up)"),
        Ok(nix::sys::signal::Signal::SIGSYS) => ("SIGSYS", " (a system call that is never allowed)"),
        Ok(other) => (other.as_str(), ""),
        Err(_) => return format!("signal {signal}"),
    };
    format!("{name}{meaning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(outcome: &Outcome) -> &str {
        match outcome {
            Outcome::Failed { error_type, .. } => error_type.as_str(),
            Outcome::Completed => "completed",
            Outcome::Killed => "killed",
        }
    }

    #[test]
    fn a_status_without_a_report_is_told_by_its_signal_and_cpu_time() {
        let limits = RunLimits { cpu_seconds: 2, ..RunLimits::DEFAULT };
        let verdict = |status, cpu_ms| {
            let usage = Usage { cpu_ms, max_rss_bytes: 0 };
            kind(&verdict_of_status(status, &usage, &limits, || false)).to_owned()
        };
        assert_eq!(verdict(libc::SIGXCPU, 2_000), "CpuLimit");
        assert_eq!(verdict(libc::SIGKILL, 3_000), "CpuLimit");
        assert_eq!(verdict(libc::SIGKILL, 10), "ProcessDied");
        let usage = Usage::default();
        assert_eq!(kind(&verdict_of_status(libc::SIGKILL, &usage, &limits, || true)), "MemoryLimit");
        assert_eq!(verdict(libc::SIGSEGV, 10), "ProcessDied");
        assert_eq!(verdict(34, 10), "ProcessDied");
        assert_eq!(verdict(7 << 8, 10), "ProcessDied");
    }

    #[test]
    fn a_report_names_the_runtimes_own_errors_and_else_the_exception() {
        let limits = &RunLimits::DEFAULT;
        let report = |error_type: Option<&str>, error: Option<&str>| Report {
            error_type: error_type.map(Into::into),
            error: error.map(Into::into),
            traceback: None,
        };
        assert_eq!(verdict_of_report(report(None, None), limits), Outcome::Completed);
        assert_eq!(kind(&verdict_of_report(report(Some("SandboxFailed"), None), limits)), "SandboxFailed");
        assert_eq!(kind(&verdict_of_report(report(Some("NameError"), Some("NameError: x")), limits)), "NameError");
        assert_eq!(kind(&verdict_of_report(report(None, Some("?")), limits)), "Error");
        // Not cut here: the server must see a whole secret to scrub it.
        let long = "é".repeat(70_000);
        assert_eq!(kind(&verdict_of_report(report(Some(&long), None), limits)), long);
    }
}
