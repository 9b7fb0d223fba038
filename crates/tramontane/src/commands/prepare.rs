//! `prepare`: a copy of a model's weights as products read them, which later starts map.

use crate::args::ModelArgs;
use crate::load::{self, bytes};
use crate::output::{self, HiddenFiles, Output};
use crate::prepared;
use anyhow::{Context, Result, bail};
use clap::Args;
use model::{Checkpoint, PreparedPlan};
use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Instant;

/// Shown below `--help`.
pub const HELP: &str = "Without a copy, weights are put in order in memory as they are used: a start's first requests are slower, and the
memory is the program's own. With one they are mapped: nothing is copied, and the system can drop and read them again.
It takes as much room on disk as the weights, in the user's cache (XDG_CACHE_HOME), and is used by every later start
until the model's files change.

Examples:
  tramontane prepare -m model.gguf
  tramontane prepare --list
  tramontane prepare -m model.gguf --remove
  tramontane prepare --remove-all";

/// `prepare`.
#[derive(Args, Debug, Clone)]
pub struct PrepareArgs {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Remove the model's copy
    #[arg(long, conflicts_with_all = ["list", "remove_all"])]
    pub remove: bool,
    /// List the copies there are: size and path
    #[arg(long, conflicts_with = "remove_all")]
    pub list: bool,
    /// Remove all copies, those of models that are gone or have changed too
    #[arg(long)]
    pub remove_all: bool,
}

/// Writes, lists or removes copies. The path of what was written, or a line for each copy, goes to stdout.
pub fn run(args: &PrepareArgs) -> Result<()> {
    if args.list {
        return list();
    }
    if args.remove_all {
        return copies()?.into_iter().try_for_each(|(path, _)| remove(path));
    }
    let checkpoint = load::checkpoint(&args.model)?;
    if load::named(&args.model).is_none() {
        bail!(
            "{} is part of the program, and small: there is nothing to prepare\nName a model with -m",
            load::BUILT_IN
        );
    }
    let key = prepared::key(&checkpoint)?;
    let path = prepared::path(&key)?;
    if !args.remove {
        return write(args, &checkpoint, &key, path);
    }
    if !path.is_file() {
        bail!(
            "there is no prepared copy of {}\n`tramontane prepare --list` shows those there are",
            checkpoint.path.display()
        );
    }
    remove(path)
}

fn write(args: &PrepareArgs, checkpoint: &Checkpoint, key: &str, path: PathBuf) -> Result<()> {
    let (start, plan) = (Instant::now(), PreparedPlan::new(checkpoint, key)?);
    let folder = prepared::folder()?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    output::check_room(&path, plan.bytes())?;
    let cpu = load::cpu(&args.model)?;
    let bar = output::bar("preparing", args.model.quiet, plan.bytes());
    let hidden = HiddenFiles::default();
    hidden.remove_on_ctrl_c()?;
    let mut output = Output::create(&path, &hidden)?;
    let wrote = plan.write(&cpu, &mut output, &|bytes| bar.inc(bytes));
    wrote.with_context(|| format!("cannot write {}", path.display()))?;
    bar.set_message("flushing");
    // Whatever is there is this model's, whole or damaged.
    output.show(true)?;
    bar.finish_and_clear();
    if !args.model.quiet {
        eprintln!(
            "{} in {:.1} s; every later start of this model maps it",
            bytes(plan.bytes()),
            start.elapsed().as_secs_f64()
        );
    }
    writeln!(stdout(), "{}", path.display())?;
    Ok(())
}

/// The copies there are, with their sizes.
fn copies() -> Result<Vec<(PathBuf, u64)>> {
    let Ok(entries) = fs::read_dir(prepared::folder()?) else {
        return Ok(Vec::new());
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let copies = paths.filter(|path| path.extension().is_some_and(|end| end == prepared::ENDING));
    let sized = copies.filter_map(|path| Some((path.clone(), fs::metadata(path).ok()?.len())));
    Ok(sized.collect())
}

fn list() -> Result<()> {
    let mut out = stdout().lock();
    for (path, size) in copies()? {
        writeln!(out, "{:>10}  {}", bytes(size), path.display())?;
    }
    Ok(())
}

fn remove(path: PathBuf) -> Result<()> {
    let size = fs::metadata(&path).map_or(0, |facts| facts.len());
    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    writeln!(
        stdout(),
        "removed {}: {} freed",
        path.display(),
        bytes(size)
    )?;
    Ok(())
}
