//! Rebuilds `fixtures/` by the scripts that lie in it, in a virtual environment with the pinned packages.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes the environment in `target/golden`, then runs every `fixtures/make_*.py`. A change in a golden file is a commit
/// of its own that says why.
pub fn run(root: &Path) -> Result<()> {
    let fixtures = root.join("fixtures");
    let environment = root.join("target").join("golden");
    let python = environment.join("bin").join("python");
    if !python.exists() {
        call(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(&environment),
        )?;
    }
    let requirements = fixtures.join("requirements.txt");
    call(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "-r"])
            .arg(requirements),
    )?;

    let mut scripts: Vec<_> = fs::read_dir(&fixtures)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_script(path))
        .collect();
    scripts.sort();
    for script in scripts {
        println!("{}", script.display());
        call(Command::new(&python).arg(script).current_dir(root))?;
    }
    Ok(())
}

fn is_script(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.starts_with("make_") && name.ends_with(".py")
}

fn call(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}
