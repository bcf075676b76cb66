//! The confinement that everything below a guard runs under, applied once by `airlock confine` to itself before it becomes
//! the fork server's Python: filters and domains are inherited by every fork.
//!
//! | layer | file |
//! | --- | --- |
//! | the table of all layers | [`layers`] |
//! | namespaces, where they can be had | [`namespaces`] |
//! | a file tree of their own, where those can | [`mounts`] |
//! | no capabilities | [`capabilities`] |
//! | no new privileges, no set-uid, no core dumps | [`rlimits`] and here |
//! | Landlock: what may be read, executed and written | [`landlock`] |
//! | seccomp: system calls nobody needs here, and those that the guard answers | [`seccomp`], its rules in [`rules`] |
//!
//! Each execution adds a Landlock domain of its own after the fork (`python/landlock.py`). Which hosts may be reached is
//! decided outside, by the guard (`guard/egress`): what reports the layers hands it the listener.

pub(crate) mod capabilities;
pub mod landlock;
pub mod layers;
mod mounts;
mod namespaces;
pub mod rlimits;
pub mod rules;
pub mod seccomp;

use std::ffi::OsString;
use std::io::{IoSlice, Write as _};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde::{Deserialize, Serialize};

use self::layers::Layer;

/// `airlock confine`: applies the confinement to itself, then becomes another program.
#[derive(Debug, clap::Args)]
pub struct ConfineArgs {
    /// A file or folder that may be read and executed; those that don't exist are left out.
    #[arg(long = "read", value_name = "PATH")]
    pub read: Vec<PathBuf>,
    /// A folder that may be written in.
    #[arg(long = "write", value_name = "PATH")]
    pub write: Vec<PathBuf>,
    /// Go on when a layer can't be applied.
    #[arg(long)]
    pub allow_degraded: bool,
    /// Descriptor of the socket that the outcome is sent to, a packet a report.
    #[arg(long, value_name = "FD")]
    pub report_fd: Option<RawFd>,
    /// The program to become, and its arguments.
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}

/// What `airlock confine` tells the guard before it becomes the other program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The layers; the program follows.
    Confined(Vec<Layer>),
    /// It did not come to that: a sentence.
    Failed(String),
}

/// Entry of the hidden subcommand. Returns only when it failed.
#[expect(clippy::needless_pass_by_value, reason = "the command line has no further use for it")]
pub fn run_cli(args: ConfineArgs) -> ExitCode {
    let mut reporter = Reporter(args.report_fd);
    if let Err(why) = clean_up(args.report_fd) {
        reporter.send(&Report::Failed(why), None);
        return ExitCode::FAILURE;
    }
    let (layers, listener) = match apply(&args) {
        Ok(applied) => applied,
        Err(why) => {
            reporter.send(&Report::Failed(why), None);
            return ExitCode::FAILURE;
        }
    };
    if let Some(why) = layers::refusal(&layers)
        && !args.allow_degraded
    {
        reporter.send(&Report::Failed(why), None);
        return ExitCode::FAILURE;
    }
    let Some((program, arguments)) = args.command.split_first() else { return ExitCode::FAILURE };
    reporter.send(&Report::Confined(layers), listener.as_ref());
    // Closed at exec, as the kernel made it: what runs inside never has it.
    let error = Command::new(program).args(arguments).exec();
    reporter.send(&Report::Failed(format!("{} can't be started: {error}", PathBuf::from(program).display())), None);
    ExitCode::FAILURE
}

/// What the guard's own state must not pass on: signals blocked, and descriptors but those meant for the program (up to the
/// one for reports, which closes when the program begins: that is how the guard learns it).
fn clean_up(report_fd: Option<RawFd>) -> Result<(), String> {
    let why = |what: &'static str| move |error: nix::Error| format!("{what}: {error}");
    SigSet::empty().thread_set_mask().map_err(why("signals can't be unblocked"))?;
    let Some(report_fd) = report_fd else { return Ok(()) };
    // SAFETY: plain system calls; nothing in this process uses the descriptors that are closed.
    let (kept, closed) = unsafe {
        (
            libc::fcntl(report_fd, libc::F_SETFD, libc::FD_CLOEXEC),
            libc::syscall(libc::SYS_close_range, report_fd.cast_unsigned() + 1, u32::MAX, 0u32),
        )
    };
    Errno::result(kept).map_err(why("the descriptor for reports can't be used"))?;
    Errno::result(closed).map_err(why("descriptors can't be closed")).map(drop)
}

/// Why scripts can't run on this kernel, and what to do; `None` if they can. Looks at what the kernel offers, and applies nothing:
/// whether a layer can be applied is seen by the worker that does.
pub fn refusal_of_kernel() -> Option<String> {
    let mut missing = Vec::new();
    if landlock::kernel_abi() == 0 {
        missing.push(Layer::missing(layers::LANDLOCK, "the kernel has none or it is switched off"));
    }
    for (action, layer) in [(libc::SECCOMP_RET_ERRNO, layers::SECCOMP), (libc::SECCOMP_RET_USER_NOTIF, layers::EGRESS)]
    {
        if let Err(error) = seccomp::has(action) {
            missing.push(Layer::missing(layer, error.to_string()));
        }
    }
    layers::refusal(&missing)
}

/// Applies every layer in the order in which none hinders the next. Returns the listener for the guard, too.
fn apply(args: &ConfineArgs) -> Result<(Vec<Layer>, Option<OwnedFd>), String> {
    // First: it needs system calls that the later layers refuse, and gives capabilities that the next one takes.
    let namespaces = namespaces::enter()?;
    let program = args.command.first().map(PathBuf::from).unwrap_or_default();
    let tree = match namespaces.active {
        true => mounts::enter(&args.read, &args.write, &program)?,
        false => Layer::missing(layers::FILE_TREE, "it takes a user namespace"),
    };
    let mut all = vec![namespaces, tree, no_capabilities(), no_new_privileges(), rlimits::for_everything()];
    all.extend(landlock::restrict(&args.read, &args.write));
    let (asking, listener) = seccomp::install_asking();
    all.push(asking);
    // Last: the filter refuses system calls that the other layers need.
    all.push(seccomp::install_refusing());
    Ok((all, listener))
}

fn no_capabilities() -> Layer {
    match capabilities::drop_all() {
        Ok(()) => Layer::active(layers::NO_CAPABILITIES, ""),
        Err(error) => Layer::missing(layers::NO_CAPABILITIES, format!("some stay: {error}")),
    }
}

fn no_new_privileges() -> Layer {
    // The fork server must not outlive the guard. Set here, after the guard's own fork, since a fork clears it.
    if let Err(error) = prctl::set_pdeathsig(Signal::SIGKILL) {
        return Layer::missing(layers::NO_NEW_PRIVS, format!("no signal at the guard's end: {error}"));
    }
    match prctl::set_no_new_privs() {
        Ok(()) => Layer::active(layers::NO_NEW_PRIVS, ""),
        Err(error) => Layer::missing(layers::NO_NEW_PRIVS, error.to_string()),
    }
}

/// Sends reports, each a packet of JSON; the socket closes by itself at `exec`.
struct Reporter(Option<RawFd>);

impl Reporter {
    /// `listener` goes along, for the guard.
    fn send(&mut self, report: &Report, listener: Option<&OwnedFd>) {
        let text = serde_json::to_string(report).unwrap_or_default();
        match self.0 {
            Some(socket) => {
                let descriptors = listener.map(AsRawFd::as_raw_fd);
                let rights = [ControlMessage::ScmRights(descriptors.as_slice())];
                let rights = if descriptors.is_some() { rights.as_slice() } else { &[] };
                let packet = [IoSlice::new(text.as_bytes())];
                let _ = sendmsg::<()>(socket, &packet, rights, MsgFlags::MSG_NOSIGNAL, None);
            }
            None => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
        }
    }
}
