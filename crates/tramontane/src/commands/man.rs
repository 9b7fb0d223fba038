//! `man`: the manual pages, generated from the command line's own definition.

use crate::args::{Cli, ManArgs};
use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// How pages are read.
pub const HELP: &str = "Examples:
  tramontane man | man -l -
  tramontane man ~/.local/share/man/man1           (a page a command; then `man tramontane-run`)";

/// Prints the main page, or writes all of them into a folder.
pub fn run(args: &ManArgs) -> Result<()> {
    let mut cli = Cli::command();
    // So that a command's page is named and headed `tramontane-run`.
    cli.build();
    match &args.folder {
        None => Ok(io::stdout().lock().write_all(&page(cli)?)?),
        Some(folder) => write_all(folder, cli),
    }
}

fn write_all(folder: &Path, cli: Command) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let commands: Vec<Command> = cli
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != "help")
        .cloned()
        .collect();
    for command in commands.into_iter().chain([cli]) {
        let name = command.get_display_name().unwrap_or(command.get_name());
        let path = folder.join(format!("{name}.1"));
        let page = page(command)?;
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("{}", path.display());
    }
    Ok(())
}

fn page(command: Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(page)
}
