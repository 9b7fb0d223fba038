//! `completions`: what a shell needs to complete commands and flags. It is generated from the command line's own
//! definition, so that it cannot lag behind.

use crate::args::{Cli, CompletionsArgs};
use anyhow::Result;
use clap::CommandFactory;
use std::io::{self, Write};

/// How each shell is told.
pub const HELP: &str = "Examples:
  tramontane completions bash > ~/.local/share/bash-completion/completions/tramontane
  tramontane completions zsh > ~/.zfunc/_tramontane      (a folder in $fpath)
  tramontane completions fish > ~/.config/fish/completions/tramontane.fish";

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tramontane", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}
