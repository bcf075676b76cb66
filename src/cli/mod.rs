//! The command line: one file a command.

mod completions;
mod demo;
mod doctor;
mod health;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::worker::guard::{self, GuardArgs, confine};

/// The trust boundary between AI agents and infrastructure: agents run scripts, people keep the secrets.
#[derive(Debug, Parser)]
#[command(name = "airlock", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<serve::ServeArgs>),
    /// Show the whole story on a temporary instance: a secret goes in, a script uses it, and it does not come out
    Demo(demo::DemoArgs),
    /// Show which layers of the sandbox are in force here, and what would turn the others on
    Doctor(doctor::DoctorArgs),
    /// Ask a running server whether it answers; for health checks of containers
    Health(health::HealthArgs),
    /// Print a completion script for a shell, as in: airlock completions bash > /etc/bash_completion.d/airlock
    Completions(completions::CompletionsArgs),
    /// The process beside untrusted code; started by the server
    #[command(hide = true)]
    Worker(GuardArgs),
    /// Confines itself, then runs a program; started by the worker
    #[command(hide = true)]
    Confine(confine::ConfineArgs),
}

/// Parses the arguments and runs the command. Errors are sentences on standard error.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(*args),
        Command::Demo(args) => demo::run(&args),
        Command::Doctor(args) => match doctor::run(args) {
            Ok(false) => return ExitCode::FAILURE,
            done => done.map(drop),
        },
        Command::Health(args) => health::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Worker(args) => return guard::run_cli(args),
        Command::Confine(args) => return confine::run_cli(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is what a command line prints its errors to")]
fn complain(error: &anyhow::Error) {
    eprintln!("airlock: {error:#}");
}
