//! `airlock doctor`: which layers of the sandbox are in force here, which are not and why, and what would turn them on.
//!
//! It starts a worker as the server would and asks it, so what it says is what scripts get. Exit status: 0 when all layers of
//! the floor are in force, 1 when one is not, or no worker can be started.

use std::io::Write;

use airlock_actors::ports::{LaunchError, WorkerInfo, WorkerLauncher as _};
use anyhow::Context as _;

use crate::config::Settings;
use crate::sandbox::report;
use crate::worker::launch::{LocalConfig, LocalLauncher};

/// How to look.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Print JSON, as GET /api/admin/doctor answers
    #[arg(long)]
    json: bool,

    /// Python interpreter for scripts [default: as `airlock serve` finds it]
    #[arg(long, env = "AIRLOCK_PYTHON", value_name = "PATH")]
    python: Option<std::path::PathBuf>,

    /// First of the user ids that workers run as when Airlock runs as root [default: 59000]
    #[arg(long, env = "AIRLOCK_WORKER_UID_BASE", value_name = "UID")]
    worker_uid_base: Option<u32>,

    /// Folder for what executions write while they run [default: one in the system's temporary folder]
    #[arg(long, env = "AIRLOCK_TMP_DIR", value_name = "DIR")]
    tmp_dir: Option<std::path::PathBuf>,
}

/// True when scripts may run here.
pub(super) fn run(args: DoctorArgs) -> anyhow::Result<bool> {
    let json = args.json;
    let settings = Settings {
        python: args.python,
        worker_uid_base: args.worker_uid_base,
        tmp_dir: args.tmp_dir,
        ..Settings::default()
    };
    let config = settings.settle()?;
    let config = LocalConfig {
        python: config.python,
        tmp_base: config.tmp_dir,
        uid_base: config.worker_uid_base,
        // Else a layer that is missing would be all there is to see.
        allow_degraded_sandbox: true,
        forked_ahead: 1,
        ..LocalConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let info = runtime.block_on(async {
        let worker = LocalLauncher::new(config)?.launch(0).await?;
        worker.link.shutdown();
        worker.exited.await;
        Ok::<_, LaunchError>(worker.info)
    });
    let info = info.context("no worker can be started here")?;
    let mut out = std::io::stdout().lock();
    match json {
        true => writeln!(out, "{}", String::from_utf8_lossy(&report(&info)))?,
        false => out.write_all(in_words(&info).as_bytes())?,
    }
    Ok(info.degraded().is_empty())
}

fn in_words(info: &WorkerInfo) -> String {
    let mut text = format!("Python {}\n\n", info.python);
    for layer in &info.layers {
        let state = match (layer.active, layer.floor) {
            (true, _) => "active ",
            (false, true) => "MISSING",
            (false, false) => "absent ",
        };
        text += &format!("{state}  {}: {}\n", layer.summary(), layer.does);
        if !layer.active {
            text += &format!("         to turn it on: {}\n", layer.turn_on);
        }
    }
    text += match info.degraded().is_empty() {
        true => "\nScripts can run here: nothing is missing that the sandbox rests on.\n",
        false => {
            "\nA layer is MISSING that the sandbox rests on: `airlock serve` refuses to run scripts here, unless it is told to by \
             --allow-degraded-sandbox.\n"
        }
    };
    text
}

#[cfg(test)]
mod tests {
    use airlock_actors::ports::SandboxLayer;

    use super::*;

    fn layer(name: &str, floor: bool, active: bool) -> SandboxLayer {
        let text = |what: &str| format!("{what} of {name}");
        SandboxLayer {
            name: name.to_owned(),
            does: text("use"),
            floor,
            active,
            detail: text("detail"),
            turn_on: text("need"),
        }
    }

    #[test]
    fn what_is_missing_comes_with_what_would_turn_it_on() {
        let layers = vec![layer("a", true, true), layer("b", true, false), layer("c", false, false)];
        let text = in_words(&WorkerInfo { layers, ..WorkerInfo::default() });
        assert!(text.contains("active   a (detail of a): use of a\nMISSING  b"), "{text}");
        assert!(text.contains("to turn it on: need of b") && text.contains("absent   c"), "{text}");
        assert!(!text.contains("need of a") && text.contains("refuses to run scripts"), "{text}");
    }
}
