//! `airlock completions`.

use clap::CommandFactory;
use clap_complete::Shell;

/// What to print.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// Which shell's
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    clap_complete::generate(args.shell, &mut super::Cli::command(), "airlock", &mut std::io::stdout());
    Ok(())
}
