//! The `tramontane` binary: what was typed becomes a command. Results go to stdout, all else to stderr.
#![expect(clippy::print_stderr, reason = "what is not a result goes to stderr")]

mod api;
mod app;
mod args;
mod commands;
mod error;
mod generate;
mod grammar;
mod hub;
mod interrupt;
mod load;
mod machine;
mod output;
mod plan;
mod prepared;
mod sampling;
mod screen;
mod vision;
mod words;

use args::{Cli, Command};
use clap::Parser;
use std::io::ErrorKind;
use std::process::ExitCode;

/// Exit codes: 0 done, 1 the work failed, 2 wrong usage (clap's).
fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => commands::run::run(&args),
        Command::Serve(args) => commands::serve::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Tokenize(args) => commands::tokenize::run(&args),
        Command::Score(args) => commands::score::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Pull(args) => commands::pull::run(&args),
        Command::Quantize(args) => commands::quantize::run(&args),
        Command::Prepare(args) => commands::prepare::run(&args),
        Command::List(args) => commands::list::run(&args),
        Command::Rm(args) => commands::rm::run(&args),
        Command::Completions(args) => commands::completions::run(&args),
        Command::Man(args) => commands::man::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the results has seen enough (`tramontane ... | head`).
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
    })
}
