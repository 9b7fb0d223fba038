//! `rm`: models out of the cache, after a question.

use crate::hub::{Cache, Name};
use crate::load::bytes;
use anyhow::{Result, bail};
use clap::Args;
use std::io::{IsTerminal, Write, stderr, stdin, stdout};

/// Shown below `--help`.
pub const HELP: &str = "Examples:
  tramontane rm owner/repo             (all of it, every revision)
  tramontane rm owner/repo:Q4_K_M      (one variant; files other variants use stay)
  tramontane rm owner/repo@v1.0 --yes  (one revision, without asking)";

/// `rm`.
#[derive(Args, Debug, Clone)]
pub struct RmArgs {
    /// Names as `list` shows them: owner/repo, owner/repo:VARIANT or owner/repo@REVISION:VARIANT
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Removes models.
pub fn run(args: &RmArgs) -> Result<()> {
    let cache = Cache::from_env()?;
    // All names are looked up before the first is removed.
    let names: Vec<Name> = args
        .names
        .iter()
        .map(|text| Name::parse(text))
        .collect::<Result<_, _>>()?;
    for name in &names {
        cache.removal(name)?;
    }
    for name in &names {
        let removal = cache.removal(name)?;
        let kept = match removal.kept_bytes {
            0 => String::new(),
            kept => format!(" ({} of it stay, which other models use)", bytes(kept)),
        };
        if !args.yes
            && !agrees(&format!(
                "remove {name} and free {}{kept}?",
                bytes(removal.freed_bytes)
            ))?
        {
            bail!("{name} was not removed\nSay yes to the question, or give --yes");
        }
        cache.remove(&removal)?;
        writeln!(
            stdout(),
            "removed {name}: {} freed{kept}",
            bytes(removal.freed_bytes)
        )?;
    }
    Ok(())
}

/// Asks. Nobody there to answer means no.
fn agrees(question: &str) -> Result<bool> {
    if !stdin().is_terminal() {
        return Ok(false);
    }
    write!(stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}
