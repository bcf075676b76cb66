//! The Python fork server: how it is started, and the messages over its control socket, which `forkserver.py` describes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{IoSliceMut, Seek as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recv, recvmsg, sendmsg,
    socketpair,
};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::json;

use super::confine::Report;
use super::confine::landlock::{READABLE, existing, kernel_abi};
use super::confine::layers::Layer;
use super::{GuardArgs, egress};

const BOOTSTRAP: &str = include_str!("../python/bootstrap.py");

/// The runtime's modules in the order in which they need each other.
const MODULES: &[(&str, &str)] = &[
    ("_airlock_landlock", include_str!("../python/landlock.py")),
    ("_airlock_serialise", include_str!("../python/serialise.py")),
    ("_airlock_channel", include_str!("../python/channel.py")),
    ("_airlock_llm", include_str!("../python/llm.py")),
    ("airlock", include_str!("../python/sdk.py")),
    ("_airlock_report", include_str!("../python/report.py")),
    ("_airlock_runner", include_str!("../python/runner.py")),
    ("_airlock_process", include_str!("../python/process.py")),
    ("_airlock_native", include_str!("../python/native.py")),
    ("_airlock_network", include_str!("../python/network.py")),
    ("_airlock_preload", include_str!("../python/preload.py")),
    ("_airlock_forkserver", include_str!("../python/forkserver.py")),
];

/// The fork server's loop, `native/`, as `build.rs` compiled it.
const NATIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/native.so"));

// Descriptors of the fork server.
const BUNDLE_FD: i32 = 3;
const CONTROL_FD: i32 = 4;
const NATIVE_FD: i32 = 5;
/// The last: `airlock confine` closes what comes after it.
const REPORT_FD: i32 = 6;
/// Where descriptors are put while they change places.
const OUT_OF_THE_WAY: i32 = 64;

const MAX_DATAGRAM_BYTES: usize = 64 * 1024;
/// Imports of a cold Python on a busy machine take seconds.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The newest Landlock ABI that the runtime's nested domain was written for.
const NEWEST_ABI: u32 = 7;

/// What the fork server, and all below it, is confined by.
pub(crate) struct Confinement {
    /// In words.
    pub(crate) layers: Vec<Layer>,
    /// Where calls wait that the guard answers; `None` where the kernel can't: then they are refused.
    pub(crate) listener: Option<OwnedFd>,
}

/// What the fork server said of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Ready {
    /// Version of Python.
    pub(crate) python: String,
    /// Digest of interpreter and packages.
    pub(crate) environment: String,
}

/// What the fork server says while it works. `fork`: the number a process was asked for under.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// There is such a process, and it waits for its script.
    Forked { fork: u64, pid: Pid },
    /// There is not, and why.
    ForkFailed { fork: u64, error: Errno },
    /// It has ended and was reaped.
    Exited { pid: Pid, status: i32, cpu_ms: u64, max_rss_bytes: u64 },
}

/// What it says before that.
enum Start {
    Ready(Ready),
    Fatal(String),
}

/// A process to be forked: its number, folder, and the descriptors that it is given.
struct Request {
    message: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// The guard's view of the fork server.
pub(crate) struct ForkServer {
    pid: Pid,
    control: OwnedFd,
    /// Requests that the socket had no room for.
    waiting: VecDeque<Request>,
}

impl ForkServer {
    /// Starts it confined, and waits until it is ready. Returns it, what it said, and its confinement.
    pub(crate) fn start(args: &GuardArgs) -> Result<(Self, Ready, Confinement), String> {
        let (control, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(failed("a socket"))?;
        let (report, report_theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .map_err(failed("a socket"))?;
        let read = readable(args);
        let mut child = command(args, &read)?;
        let bundle = in_memory(bundle(&read, &args.tmp_root).as_bytes())?;
        let native = in_memory(NATIVE)?;
        pass_descriptors(&mut child, [&bundle, &theirs, &native, &report_theirs].map(AsRawFd::as_raw_fd));
        let child = child.spawn().map_err(|error| format!("the fork server can't be started: {error}"))?;
        drop((bundle, theirs, native, report_theirs));
        let pid = i32::try_from(child.id()).map(Pid::from_raw).map_err(|_| "an impossible process id".to_owned())?;
        let confinement = confinement(&report)?;
        let server = Self { pid, control, waiting: VecDeque::new() };
        let ready = server.wait_until_ready(args, confinement.listener.as_ref())?;
        Ok((server, ready, confinement))
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Its control socket.
    pub(crate) fn control(&self) -> &OwnedFd {
        &self.control
    }

    /// Calls of the fork server that ask the guard are answered meanwhile.
    fn wait_until_ready(&self, args: &GuardArgs, listener: Option<&OwnedFd>) -> Result<Ready, String> {
        let python = args.python.display();
        let until = Instant::now() + START_TIMEOUT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let descriptors = [Some(&self.control), listener].into_iter().flatten().map(|one| one.as_fd());
            let mut waited = descriptors.map(|one| PollFd::new(one, PollFlags::POLLIN)).collect::<Vec<_>>();
            let patience = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            match poll(&mut waited, patience) {
                Ok(0) => return Err(format!("{python} did not get ready within {} s", START_TIMEOUT.as_secs())),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(failed("poll")(error)),
            }
            let ready = |index: usize| waited.get(index).and_then(PollFd::any).unwrap_or(false);
            if ready(0) {
                break;
            }
            if let Some(listener) = listener.filter(|_| ready(1)) {
                egress::answer_fork_server(listener);
            }
        }
        match self.datagram() {
            Ok(Some(datagram)) => match parse_start(&datagram) {
                Some(Start::Ready(ready)) => Ok(ready),
                Some(Start::Fatal(why)) => Err(why),
                None => Err(format!("{python} answered something unexpected instead of being ready")),
            },
            Ok(None) => Err(format!("{python} answered something unexpected instead of being ready")),
            Err(why) => Err(format!("{python} ended before it was ready ({why}); the log has what it printed")),
        }
    }

    /// Asks for a process. `descriptors`: channel, standard output and error, and the ways into its control groups.
    pub(crate) fn fork(&mut self, fork: u64, folder: &Path, descriptors: Vec<OwnedFd>) -> Result<(), String> {
        let message = [&fork.to_le_bytes(), folder.as_os_str().as_bytes()].concat();
        self.waiting.push_back(Request { message, descriptors });
        self.flush().map(drop)
    }

    /// Sends requests that wait; true when none is left.
    pub(crate) fn flush(&mut self) -> Result<bool, String> {
        while let Some(request) = self.waiting.front() {
            let descriptors = request.descriptors.iter().map(AsRawFd::as_raw_fd).collect::<Vec<_>>();
            let message = [std::io::IoSlice::new(&request.message)];
            let rights = [ControlMessage::ScmRights(&descriptors)];
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match sendmsg::<()>(self.control.as_raw_fd(), &message, &rights, flags, None) {
                Ok(_) => drop(self.waiting.pop_front()),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(false),
                Err(error) => return Err(format!("the fork server can't be reached: {error}")),
            }
        }
        Ok(true)
    }

    /// The next message, if there is one. An error means that the fork server is gone or not itself.
    pub(crate) fn receive(&self) -> Result<Option<Message>, String> {
        let Some(datagram) = self.datagram()? else { return Ok(None) };
        let message = parse(&datagram).ok_or_else(|| "the fork server sent something unexpected".to_owned())?;
        Ok(Some(message))
    }

    fn datagram(&self) -> Result<Option<Vec<u8>>, String> {
        let mut buffer = [0; MAX_DATAGRAM_BYTES];
        let count = loop {
            match recv(self.control.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Err("the fork server closed its socket".to_owned()),
                Ok(count) => break count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(error) => return Err(format!("the fork server can't be heard: {error}")),
            }
        };
        Ok(buffer.get(..count).map(<[u8]>::to_vec))
    }
}

fn parse_start(datagram: &[u8]) -> Option<Start> {
    let (kind, rest) = datagram.split_first()?;
    match kind {
        b'R' => serde_json::from_slice(rest).ok().map(Start::Ready),
        b'F' => Some(Start::Fatal(String::from_utf8_lossy(rest).into_owned())),
        _ => None,
    }
}

fn parse(datagram: &[u8]) -> Option<Message> {
    let (kind, rest) = datagram.split_first()?;
    match kind {
        b'P' => {
            let (fork, pid) = number(rest)?;
            Some(Message::Forked { fork, pid: process(pid.try_into().ok()?)? })
        }
        b'N' => {
            let (fork, error) = number(rest)?;
            let error = Errno::from_raw(i32::from_le_bytes(error.try_into().ok()?));
            Some(Message::ForkFailed { fork, error })
        }
        b'X' => {
            let (pid, rest) = rest.split_first_chunk()?;
            let (status, rest) = rest.split_first_chunk()?;
            let (cpu_us, rest) = number(rest)?;
            let (max_rss_bytes, rest) = number(rest)?;
            let cpu_ms = cpu_us.saturating_add(500) / 1000;
            let status = i32::from_le_bytes(*status);
            let pid = process(*pid)?;
            rest.is_empty().then_some(Message::Exited { pid, status, cpu_ms, max_rss_bytes })
        }
        _ => None,
    }
}

fn process(bytes: [u8; 4]) -> Option<Pid> {
    let pid = i32::from_le_bytes(bytes);
    (pid > 0).then(|| Pid::from_raw(pid))
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), rest))
}

fn failed(what: &'static str) -> impl Fn(Errno) -> String {
    move |error| format!("{what} can't be made: {error}")
}

/// What may be read and executed: the same list for the shared domain and for each execution's.
fn readable(args: &GuardArgs) -> Vec<String> {
    let everywhere = READABLE.iter().map(|rule| Path::new(rule.path));
    let paths = existing(everywhere.chain(args.read.iter().map(AsRef::as_ref)));
    paths.into_iter().filter_map(|path| path.into_os_string().into_string().ok()).collect()
}

fn command(args: &GuardArgs, read: &[String]) -> Result<Command, String> {
    // By its own link: the binary's path may be one that the worker's user can't walk.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("airlock").arg("confine").arg("--report-fd").arg(REPORT_FD.to_string());
    for path in read {
        command.arg("--read").arg(path);
    }
    command.arg("--write").arg(&args.tmp_root);
    if args.allow_degraded {
        command.arg("--allow-degraded");
    }
    // Not -I, which would ignore PYTHONHASHSEED.
    command.arg("--").arg(&args.python).args(["-s", "-B", "-c", BOOTSTRAP]);
    command.env_clear().envs([
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("PYTHONHASHSEED", "0"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONNOUSERSITE", "1"),
    ]);
    command.env("HOME", &args.tmp_root).env("TMPDIR", &args.tmp_root).current_dir(&args.tmp_root);
    // Standard output is the guard's line to the server: nobody else may have it.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    Ok(command)
}

fn pass_descriptors(command: &mut Command, descriptors: [i32; 4]) {
    let pass = move || {
        // Out of each other's way first; the copies close at exec, those in their final places do not.
        let mut moved = descriptors;
        for descriptor in &mut moved {
            // SAFETY: plain system call on descriptors that the parent keeps open until after the spawn.
            *descriptor = unsafe { libc::fcntl(*descriptor, libc::F_DUPFD_CLOEXEC, OUT_OF_THE_WAY) };
        }
        for (descriptor, place) in moved.into_iter().zip([BUNDLE_FD, CONTROL_FD, NATIVE_FD, REPORT_FD]) {
            // SAFETY: as above; what was at `place` in this child is not used by it any more.
            if descriptor < 0 || unsafe { libc::dup2(descriptor, place) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: the closure makes only system calls that are safe after a fork, and allocates nothing.
    unsafe { command.pre_exec(pass) };
}

/// What the bootstrap reads: the modules, and how the fork server is to be set up.
fn bundle(read: &[String], tmp_root: &Path) -> String {
    json!({
        "modules": MODULES,
        "config": {
            "control_fd": CONTROL_FD,
            "native_fd": NATIVE_FD,
            "landlock_abi": kernel_abi().min(NEWEST_ABI),
            "read_paths": read,
            "tmp_root": tmp_root,
        },
    })
    .to_string()
}

/// A file in memory: one on disk could be changed.
fn in_memory(content: &[u8]) -> Result<OwnedFd, String> {
    let descriptor = memfd_create(c"airlock", MFdFlags::MFD_CLOEXEC).map_err(failed("a file in memory"))?;
    let mut file = File::from(descriptor);
    let written = file.write_all(content).and_then(|()| file.rewind());
    written.map_err(|error| format!("a file in memory can't be written: {error}"))?;
    Ok(file.into())
}

/// What `airlock confine` reports before it becomes Python, and the listener that comes along.
fn confinement(report: &OwnedFd) -> Result<Confinement, String> {
    let mut listener = None;
    let mut layers = Err("the confinement ended without a word; the log has what it printed".to_owned());
    let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
    loop {
        let mut space = cmsg_space!(RawFd);
        let mut packet = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let received = match recvmsg::<()>(report.as_raw_fd(), &mut packet, Some(&mut space), flags) {
            Err(Errno::EINTR) => continue,
            received => received.map_err(|error| format!("the confinement can't be heard: {error}"))?,
        };
        let count = received.bytes;
        for message in received.cmsgs().map_err(|error| format!("the confinement can't be heard: {error}"))? {
            if let ControlMessageOwned::ScmRights(descriptors) = message {
                for descriptor in descriptors {
                    // SAFETY: the kernel has just made it, for this process, and it is named nowhere else.
                    listener = Some(unsafe { OwnedFd::from_raw_fd(descriptor) });
                }
            }
        }
        // It became Python, or ended.
        if count == 0 {
            return layers.map(|layers| Confinement { layers, listener });
        }
        layers = match serde_json::from_slice(buffer.get(..count).unwrap_or_default()) {
            Ok(Report::Confined(layers)) => Ok(layers),
            Ok(Report::Failed(why)) => Err(why),
            Err(_) => Err("the confinement sent something unexpected".to_owned()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_fork_server_says_is_read() {
        let forked = [b"P".as_slice(), &7u64.to_le_bytes(), &99u32.to_le_bytes()].concat();
        assert_eq!(parse(&forked), Some(Message::Forked { fork: 7, pid: Pid::from_raw(99) }));
        let failed = [b"N".as_slice(), &7u64.to_le_bytes(), &12i32.to_le_bytes()].concat();
        assert_eq!(parse(&failed), Some(Message::ForkFailed { fork: 7, error: Errno::ENOMEM }));
        let numbers = [1500u64.to_le_bytes(), 4096u64.to_le_bytes()].concat();
        let exited = [b"X".as_slice(), &99u32.to_le_bytes(), &9u32.to_le_bytes(), &numbers].concat();
        let pid = Pid::from_raw(99);
        assert_eq!(parse(&exited), Some(Message::Exited { pid, status: 9, cpu_ms: 2, max_rss_bytes: 4096 }));
    }

    #[test]
    fn what_it_does_not_say_is_refused() {
        let of_nobody = [b"P".as_slice(), &7u64.to_le_bytes(), &0u32.to_le_bytes()].concat();
        let too_long = [b"P".as_slice(), &7u64.to_le_bytes(), &1u64.to_le_bytes()].concat();
        for datagram in [b"".as_slice(), b"P", b"X1234567", b"?12345678", &of_nobody, &too_long] {
            assert_eq!(parse(datagram), None, "{datagram:?}");
        }
    }
}
