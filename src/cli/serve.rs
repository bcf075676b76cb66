//! `airlock serve`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Settings;
use crate::{app, telemetry};

/// How to serve.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// TOML file with settings; the names are those of the flags without the dashes in front
    #[arg(long, env = "AIRLOCK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(args: ServeArgs) -> anyhow::Result<()> {
    let from_file = args.config.as_deref().map(Settings::from_file).transpose()?.unwrap_or_default();
    let config = args.settings.or(from_file).settle()?;
    telemetry::start(&config.log, config.log_format)?;
    app::serve(config, announce, stop_signal)
}

/// The one line on standard output, for whoever started this and waits for it to be up.
fn announce(address: SocketAddr) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "listening on http://{address}").and_then(|()| out.flush());
}

/// Resolves at the first SIGTERM or SIGINT. A second one ends the process at once.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::warn!("told to stop a second time: stopping at once; running scripts will be interrupted");
            std::process::exit(130);
        });
    })
}
