//! `airlock demo`: the whole story on a temporary instance, told over HTTP as an agent and a person live it.
//!
//! - `instance` starts and ends a server of its own, `client` talks to it and keeps every answer.
//! - `story` holds the acts, `cast` who plays in them, `scripts` what the agent runs.
//! - `show` prints, with the help of `layout`; `verdict` lists what was checked.
//!
//! Invariants: nothing outlives the demo, however it ends, short of `kill -9` (DE-1); no secret is printed, not even one
//! that the server failed to redact (DE-2); the exit code is 0 only if every claim held (DE-3).

mod cast;
mod client;
mod instance;
mod layout;
mod scripts;
mod show;
mod story;
mod verdict;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::cast::Secrets;
use self::instance::Instance;
use self::show::Show;
use self::story::Story;
use self::verdict::Verdict;

/// What there is to know besides.
const HELP: &str = "\
It runs `airlock serve` on a free port of this machine and in a temporary folder, and removes both at the end. Of the \
other AIRLOCK_ variables, that server sees AIRLOCK_WORKER_UID_BASE and AIRLOCK_ALLOW_DEGRADED_SANDBOX. Exits with 0 only if all was right. Colours on a terminal only; NO_COLOR=1 for none.";

/// How to show it.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct DemoArgs {
    /// Python interpreter for scripts, 3.9 or later [default: as `airlock serve` finds it]
    #[arg(long, env = "AIRLOCK_PYTHON", value_name = "PATH")]
    python: Option<PathBuf>,
}

pub(super) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let mut out = std::io::stdout().lock();
    runtime.block_on(perform(args, &mut out, colour))
}

async fn perform(args: &DemoArgs, out: &mut dyn Write, colour: bool) -> anyhow::Result<()> {
    let begin = Instant::now();
    // Before there is anything to clean up.
    let mut signals = Signals::listen()?;
    let secrets = Secrets::draw();
    let mut show = Show::new(out, colour);
    let mut verdict = Verdict::default();
    let mut instance = Instance::new(args.python.as_deref())?;

    let story = Story::new(&mut show, &mut instance, &mut verdict, &secrets)?;
    let told = tokio::select! {
        told = story.tell() => told,
        name = signals.next() => Err(anyhow!("stopped by {name}; the temporary instance is gone")),
    };
    // Whatever happened: the server ends, then its folder goes.
    let ended = instance.stop().await;
    let given = match told {
        Ok(given) => given,
        Err(why) => {
            // Why it came to this is what matters, and not whether cleaning up went well.
            let _ = instance.remove().await;
            return Err(why);
        }
    };
    verdict.that(ended.is_ok(), "The server ended in order when it was told to.");
    let found = instance.search(&secrets.all(&given))?;
    let claim =
        format!("None of the secrets is readable in the data folder ({} files) or in the server's log.", found.files);
    verdict.that(found.places.is_empty(), claim);
    let removed = instance.remove().await;
    verdict.that(removed.is_ok(), "The temporary folder is gone.");

    verdict.show(&mut show, begin.elapsed())?;
    verdict.outcome()?;
    ended.and(removed).context("cleaning up")
}

/// What a person or a supervisor ends a command with.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }
}
