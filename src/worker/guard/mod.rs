//! The guard, `airlock worker`: lives with untrusted code, and holds it.
//!
//! ```text
//! server ─▶ keeper ─▶ guard ─▶ fork server ─▶ a process for each execution ─▶ what its script starts
//! ```
//!
//! One thread, one epoll; nothing in it waits for anybody. The guard is outside the confinement that everything below it
//! is under ([`confine`]): it must signal and limit what is inside. It holds scripts and settings only on their way through.
//!
//! - `keeper`, `descendants`: that nothing outlives the guard, or its execution;
//! - `forkserver`: starts Python and asks it for processes;
//! - `execution`, `channel`, `asking`, `capture`: one process, what it reports, asks its LLM, prints;
//! - `freeze`: an execution that waits for its LLM stands still;
//! - `accounting`: what an execution uses as a whole;
//! - `egress`: which hosts it reaches;
//! - `supervise`: the loop over all of these; `uplink`: the pipes to the server.

mod accounting;
mod asking;
mod capture;
mod channel;
pub mod confine;
mod descendants;
mod egress;
mod execution;
mod forkserver;
mod freeze;
mod keeper;
mod oom;
mod supervise;
mod uplink;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use nix::sys::prctl;

use self::confine::capabilities;
use self::confine::layers::{self, Layer};
use self::confine::rlimits::{no_core_dumps, open_files_to_hard_limit};
use self::forkserver::ForkServer;
use self::supervise::Guard;
use self::uplink::Uplink;
use super::cgroup::Hierarchy;
use super::cgroup::group::Groups;
use super::protocol::{FromGuard, Ready};

/// `airlock worker`: not for people; the server starts it, speaks first, and gives it a user of its own.
#[derive(Debug, Clone, clap::Args)]
pub struct GuardArgs {
    /// The Python that scripts run on.
    #[arg(long, value_name = "PATH")]
    pub python: PathBuf,
    /// A folder or file of that Python, to read and execute; may be given often.
    #[arg(long = "read", value_name = "PATH")]
    pub read: Vec<PathBuf>,
    /// The worker's temporary folder: it exists, and its user may write in it.
    #[arg(long, value_name = "PATH")]
    pub tmp_root: PathBuf,
    /// No one else uses this user.
    #[arg(long)]
    pub own_user: bool,
    /// How many processes wait, forked ahead.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub forked_ahead: usize,
    /// Go on when a layer of the sandbox can't be applied.
    #[arg(long)]
    pub allow_degraded: bool,
    /// The port that the server listens on: scripts don't reach it on this machine.
    #[arg(long, value_name = "PORT")]
    pub server_port: Option<u16>,
    /// A folder in which control groups for executions can be made; may be given for several trees.
    #[arg(long = "cgroup", value_name = "VERSION:CONTROLLERS:FOLDER")]
    pub cgroups: Vec<Hierarchy>,
    /// Why there is none.
    #[arg(long, value_name = "WHY")]
    pub no_cgroups: Option<String>,
    /// A name server to ask for scripts, in place of the machine's; may be given often.
    #[arg(long = "name-server", value_name = "ADDRESS")]
    pub name_servers: Vec<std::net::SocketAddr>,
}

/// Entry of the hidden subcommand. Call it before any thread is started.
#[expect(clippy::needless_pass_by_value, reason = "the command line has no further use for it")]
pub fn run_cli(args: GuardArgs) -> ExitCode {
    if let Err(why) = harden().and_then(|()| keeper::split()) {
        say(&why);
        return ExitCode::FAILURE;
    }
    let outcome = serve(&args);
    descendants::kill_all();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&why);
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &GuardArgs) -> Result<(), String> {
    oom::begin();
    let mut uplink = Uplink::new().map_err(|error| format!("standard input and output can't be used: {error}"))?;
    let started = ForkServer::start(args).and_then(|(fork_server, ready, confinement)| {
        let (groups, of_groups) = groups(args);
        let layers = [own_layers(args), vec![of_groups], confinement.layers].concat();
        if let Some(why) = layers::refusal(&layers).filter(|_| !args.allow_degraded) {
            return Err(why);
        }
        let guard = Guard::new(args, fork_server, confinement.listener, groups)?;
        let layers = layers::described(&layers);
        Ok((guard, Ready { python: ready.python, environment: ready.environment, layers }))
    });
    match started {
        Ok((mut guard, ready)) => {
            uplink.send(&FromGuard::Ready(ready));
            guard.run(uplink)
        }
        Err(why) => {
            uplink.send(&FromGuard::Fatal(why.clone()));
            let _ = uplink.flush();
            Err(why)
        }
    }
}

/// What nobody but the guard itself may change or look into.
fn harden() -> Result<(), String> {
    let why = |what: &'static str| move |error: nix::Error| format!("the guard can't {what}: {error}");
    // SAFETY: no descriptor above the standard ones is used by this process yet.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
    nix::errno::Errno::result(closed).map_err(why("close inherited descriptors"))?;
    prctl::set_dumpable(false).map_err(why("hide its memory"))?;
    prctl::set_no_new_privs().map_err(why("give up new privileges"))?;
    capabilities::drop_all().map_err(why("give up its capabilities"))?;
    no_core_dumps().map_err(why("switch core dumps off"))?;
    open_files_to_hard_limit().map_err(why("raise its limit of open files"))
}

/// The layers that are not applied by `airlock confine`.
fn own_layers(args: &GuardArgs) -> Vec<Layer> {
    let user = nix::unistd::geteuid();
    let user = match args.own_user {
        true => Layer::active(layers::OWN_USER, format!("user {user}")),
        false => Layer::missing(layers::OWN_USER, format!("scripts run as the server's user {user}")),
    };
    let accounting = match accounting::works() {
        true => Layer::active(layers::ACCOUNTING, ""),
        false => Layer::missing(layers::ACCOUNTING, "the guard does not see its own processes in /proc"),
    };
    vec![user, accounting]
}

/// Where control groups can be made, if they can.
fn groups(args: &GuardArgs) -> (Option<Groups>, Layer) {
    let groups = match &args.no_cgroups {
        Some(why) => Err(why.clone()),
        None if args.cgroups.is_empty() => Err("the server made none".to_owned()),
        None => Groups::new(&args.cgroups),
    };
    match groups {
        Ok(groups) => {
            let layer = Layer::active(layers::CGROUPS, groups.summary());
            (Some(groups), layer)
        }
        Err(why) => (None, Layer::missing(layers::CGROUPS, why)),
    }
}

/// A line for the server's log.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
