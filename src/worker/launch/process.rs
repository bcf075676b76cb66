//! One guard as a child of the server.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc as std_mpsc};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

use super::lease::Lease;
use super::link::{Frame, LocalLink, Runs, Violation};
use crate::worker::cgroup::delegated::Delegated;
use crate::worker::protocol::{FrameReader, FromGuard, Ready, decode};
use crate::worker::tree::remove_tree;

/// How long a guard has to end by itself before it is told by a signal, and then before it is killed.
const GRACE: Duration = Duration::from_secs(5);
const READ_BYTES: usize = 64 * 1024;
const MAX_LOG_LINE_BYTES: usize = 4 * 1024;

/// How to start a guard.
pub(super) struct GuardCommand {
    /// The `airlock` binary, opened by the server: the guard's user may not be able to walk its path.
    pub(super) binary: Arc<File>,
    /// Arguments, the subcommand first.
    pub(super) arguments: Vec<std::ffi::OsString>,
    /// Its user and group; the server's, if `None`.
    pub(super) user: Option<u32>,
    /// Its number, for the log.
    pub(super) slot: u32,
    /// Its temporary folder.
    pub(super) folder: PathBuf,
    /// Given back when the worker is gone.
    pub(super) lease: Lease,
    /// Where it may make control groups; removed when it is gone.
    pub(super) groups: Option<Delegated>,
}

/// A guard that is ready.
pub(super) struct Started {
    pub(super) link: LocalLink,
    pub(super) ready: Ready,
    /// The reason, once it is gone.
    pub(super) exited: oneshot::Receiver<String>,
}

/// Starts a guard and waits for what it says first.
pub(super) async fn start(command: GuardCommand) -> Result<Started, String> {
    let mut child = spawn(&command).await?;
    let (Some(input), Some(mut output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err("the guard has no pipes".to_owned());
    };
    let last_words = Arc::new(Mutex::new(String::new()));
    let log = tokio::spawn(log_lines(errors, command.slot, Arc::clone(&last_words)));
    let runs = Arc::new(Runs::default());
    let (in_use, unused) = oneshot::channel();
    let (broken, breakage) = oneshot::channel();
    let destroy = Arc::new(Notify::new());
    let (exit_sender, exited) = oneshot::channel();
    let GuardCommand { folder, lease, groups, slot, .. } = command;
    tokio::spawn({
        let (runs, destroy) = (Arc::clone(&runs), Arc::clone(&destroy));
        async move {
            let reason = watch(child, unused, breakage, &destroy).await;
            // What it printed last says why.
            let _ = timeout(GRACE, log).await;
            runs.close();
            let last = last_words.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let reason = if last.is_empty() { reason } else { format!("{reason}: {last}") };
            let cleaned = tokio::task::spawn_blocking(move || {
                if let Err(error) = remove_tree(&folder) {
                    tracing::warn!(path = %folder.display(), %error, "a worker's temporary folder stays");
                }
                drop(groups);
                drop(lease);
            });
            let _ = cleaned.await;
            tracing::info!(slot, reason, "worker ended");
            let _ = exit_sender.send(reason);
        }
    });
    let (to_guard, frames) = mpsc::unbounded_channel();
    let link = LocalLink::new(Arc::clone(&runs), to_guard, destroy, in_use);
    let mut reader = FrameReader::default();
    // On any way out of here but the last, the link is dropped, and the worker ended by the task above.
    let ready = introduction(&mut output, &mut reader).await;
    let ready = match ready {
        Ok(ready) => ready,
        Err(why) => {
            drop(link);
            let reason = exited.await.unwrap_or_default();
            return Err(why.unwrap_or(reason));
        }
    };
    tokio::spawn(write_frames(input, frames));
    tokio::spawn(async move {
        if let Err(violation) = read_frames(output, reader, &runs).await {
            let _ = broken.send(violation);
        }
    });
    Ok(Started { link, ready, exited })
}

/// The first frame. An error without a sentence: the guard closed its end, and how it exits says why.
async fn introduction(
    output: &mut (impl AsyncRead + Unpin),
    reader: &mut FrameReader,
) -> Result<Ready, Option<String>> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        if let Some(frame) = reader.next_frame().map_err(|error| Some(error.to_string()))? {
            return match decode::<FromGuard<'_>>(&frame) {
                Ok(FromGuard::Ready(ready)) => Ok(ready),
                Ok(FromGuard::Fatal(why)) => Err(Some(why)),
                _ => Err(Some("the guard did not introduce itself".to_owned())),
            };
        }
        match output.read(&mut buffer).await {
            Ok(0) | Err(_) => return Err(None),
            Ok(count) => reader.push(buffer.get(..count).unwrap_or_default()),
        }
    }
}

async fn read_frames(
    mut output: impl AsyncRead + Unpin,
    mut reader: FrameReader,
    runs: &Runs,
) -> Result<(), Violation> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        while let Some(frame) = reader.next_frame().map_err(|error| Violation(format!("sent {error}")))? {
            runs.take(&frame)?;
        }
        match output.read(&mut buffer).await {
            Ok(0) | Err(_) => return Err(Violation("closed its end".to_owned())),
            Ok(count) => reader.push(buffer.get(..count).unwrap_or_default()),
        }
    }
}

/// Ends when the link is dropped, which closes the guard's input: to the guard, that is the end.
async fn write_frames(mut input: ChildStdin, mut frames: mpsc::UnboundedReceiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        if input.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// Waits until the guard is gone, and sees to it that it goes when it must. Returns why, in words.
async fn watch(
    mut child: Child,
    unused: oneshot::Receiver<()>,
    breakage: oneshot::Receiver<Violation>,
    destroy: &Notify,
) -> String {
    let (patience, why) = tokio::select! {
        status = child.wait() => return describe(status),
        _ = unused => (GRACE, None),
        () = destroy.notified() => (Duration::ZERO, Some("the guard did not end a script in time".to_owned())),
        broken = breakage => match broken {
            Ok(violation) => (Duration::ZERO, Some(violation.to_string())),
            // The reader ended without a complaint: only at shutdown of the runtime.
            Err(_) => (GRACE, None),
        },
    };
    // A guard that closed its end is about to exit: its status says more.
    let closed = why.as_deref().is_some_and(|why| why.ends_with("closed its end"));
    let patience = if closed { GRACE } else { patience };
    let told = |reason: String| match &why {
        Some(why) if !closed => format!("{why}, so it was ended"),
        _ => reason,
    };
    if let Ok(status) = timeout(patience, child.wait()).await {
        return told(describe(status));
    }
    // The keeper ends everything below it, and then itself.
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if let Ok(status) = timeout(GRACE, child.wait()).await {
        return told(describe(status));
    }
    let _ = child.start_kill();
    told(describe(child.wait().await))
}

fn describe(status: io::Result<std::process::ExitStatus>) -> String {
    match status {
        Ok(status) => format!("the guard ended with {status}"),
        Err(error) => format!("the guard can't be waited for: {error}"),
    }
}

async fn log_lines(mut errors: impl AsyncRead + Unpin, slot: u32, last: Arc<Mutex<String>>) {
    let mut line = Vec::new();
    let mut buffer = vec![0; 4096];
    while let Ok(count) = errors.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        for &byte in buffer.get(..count).unwrap_or_default() {
            if byte == b'\n' {
                log_line(&mut line, slot, &last);
            } else if line.len() < MAX_LOG_LINE_BYTES {
                line.push(byte);
            }
        }
    }
    log_line(&mut line, slot, &last);
}

fn log_line(line: &mut Vec<u8>, slot: u32, last: &Mutex<String>) {
    let text = String::from_utf8_lossy(line).trim_end().to_owned();
    line.clear();
    if !text.is_empty() {
        tracing::warn!(target: "airlock::guard", slot, line = text);
        *last.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

async fn spawn(command: &GuardCommand) -> Result<Child, String> {
    let mut process = Command::new(format!("/proc/self/fd/{}", command.binary.as_raw_fd()));
    process.arg0("airlock").args(&command.arguments).env_clear().current_dir("/").kill_on_drop(true);
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(user) = command.user {
        // With a new user and no list given, the standard library empties the supplementary groups.
        process.uid(user).gid(user);
    }
    let server = std::process::id();
    let group = command.groups.as_ref().and_then(Delegated::entry).map(AsRawFd::as_raw_fd);
    // SAFETY: runs between fork and exec, makes only system calls that are safe there, and allocates nothing.
    unsafe { process.pre_exec(move || become_worker(server, group)) };
    let (done, spawned) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    on_lasting_thread(Box::new(move || {
        let _runtime = runtime.enter();
        let _ = done.send(process.spawn());
    }))?;
    let spawned = spawned.await.map_err(|_| "the thread that starts workers is gone".to_owned())?;
    spawned.map_err(|error| format!("the guard can't be started: {error}"))
}

/// In the child, already as its user.
fn become_worker(server: u32, group: Option<RawFd>) -> io::Result<()> {
    // SAFETY: system calls without pointers, but for one to a constant.
    unsafe {
        if let Some(group) = group {
            // Whether it worked is for the guard to find out: without, it has no control groups.
            libc::write(group, c"0".as_ptr().cast(), 1);
        }
        if libc::setsid() < 0 || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
            return Err(io::Error::last_os_error());
        }
        // The signal is for a death from now on.
        if libc::getppid().cast_unsigned() != server {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
    }
    Ok(())
}

type Job = Box<dyn FnOnce() + Send>;

/// Runs `job` on a thread that lives as long as the process. The signal at the parent's death is one at the death of the
/// *thread* that forked, and threads of a runtime come and go.
fn on_lasting_thread(job: Job) -> Result<(), String> {
    static THREAD: OnceLock<Option<std_mpsc::Sender<Job>>> = OnceLock::new();
    let start = || {
        let (sender, jobs) = std_mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("worker-parent".to_owned());
        thread.spawn(move || jobs.into_iter().for_each(|job| job())).ok().map(|_| sender)
    };
    let sender = THREAD.get_or_init(start).as_ref();
    sender.and_then(|sender| sender.send(job).ok()).ok_or_else(|| "no thread can be started for workers".to_owned())
}
