//! The confinement that everything below a guard runs under, applied once by `airlock confine` to itself before it becomes
//! the fork server's Python: filters and domains are inherited by every fork.
//!
//! | layer | file |
//! | --- | --- |
//! | no new privileges, no set-uid, no core dumps | [`rlimits`] and here |
//! | Landlock: what may be read, executed and written | [`landlock`] |
//! | seccomp: system calls nobody needs here, and those that the guard answers | [`seccomp`], its rules in [`rules`] |
//!
//! Each execution adds a Landlock domain of its own after the fork (`python/landlock.py`). Which hosts may be reached is
//! decided outside, by the guard (`guard/egress`): what reports the layers hands it the listener.

pub mod landlock;
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

/// What became of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layer {
    /// In force, in words such as `landlock (ABI 7)`.
    Active(String),
    /// Not in force: which and why.
    Missing(String),
}

impl Layer {
    /// As `WorkerInfo::layers` names it.
    pub fn describe(&self) -> String {
        match self {
            Self::Active(what) => what.clone(),
            Self::Missing(what) => format!("degraded: {what}"),
        }
    }
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
    let (layers, listener) = apply(&args);
    let missing = layers.iter().filter_map(|layer| match layer {
        Layer::Missing(what) => Some(what.as_str()),
        Layer::Active(_) => None,
    });
    let missing = missing.collect::<Vec<_>>().join("; ");
    if !missing.is_empty() && !args.allow_degraded {
        let sentence = format!(
            "the sandbox is not complete here: {missing}. Run Airlock on a kernel with Landlock (5.13 or later) and seccomp, \
             or accept a weaker sandbox with --allow-degraded-sandbox"
        );
        reporter.send(&Report::Failed(sentence), None);
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

/// Applies every layer in the order in which none hinders the next. Returns the listener for the guard, too.
fn apply(args: &ConfineArgs) -> (Vec<Layer>, Option<OwnedFd>) {
    let mut layers = vec![no_new_privileges(), rlimits::for_everything(), landlock::restrict(&args.read, &args.write)];
    let (asking, listener) = seccomp::install_asking();
    layers.push(asking);
    // Last: the filter refuses system calls that the other layers need.
    layers.push(seccomp::install_refusing());
    (layers, listener)
}

fn no_new_privileges() -> Layer {
    // The fork server must not outlive the guard. Set here, after the guard's own fork, since a fork clears it.
    if let Err(error) = prctl::set_pdeathsig(Signal::SIGKILL) {
        return Layer::Missing(format!("no signal at the guard's end: {error}"));
    }
    match prctl::set_no_new_privs() {
        Ok(()) => Layer::Active("no_new_privs".to_owned()),
        Err(error) => Layer::Missing(format!("no_new_privs: {error}")),
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
