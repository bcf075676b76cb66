//! Stand-in for the command line: the two hidden subcommands of a worker.

use std::process::ExitCode;

use airlock::worker::guard::{self, GuardArgs, confine};
use clap::Parser;

#[derive(Parser)]
enum Command {
    Worker(GuardArgs),
    Confine(confine::ConfineArgs),
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Worker(args) => guard::run_cli(args),
        Command::Confine(args) => confine::run_cli(args),
    }
}
