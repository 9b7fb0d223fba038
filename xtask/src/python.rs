//! The Python that chores run their checks with: an interpreter that is new enough, and environments that are made again
//! when their requirements change.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NEWEST_MINOR: u32 = 14;

/// A Python of 3.`minor` or newer: the one that PYTHON names, one on the path (the one called `python3` may be older), or
/// one of pyenv's.
pub fn find(minor: u32) -> Result<PathBuf> {
    let given = std::env::var_os("PYTHON").map(PathBuf::from);
    let numbered = (minor..=NEWEST_MINOR).rev();
    let named = numbered.map(|minor| PathBuf::from(format!("python3.{minor}")));
    let versions = std::env::home_dir().map(|home| home.join(".pyenv").join("versions"));
    let pyenv = versions.and_then(|versions| fs::read_dir(versions).ok());
    let pyenv = pyenv
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin").join("python3")));
    let check = format!("import sys, ssl, venv; sys.exit(sys.version_info < (3, {minor}))");
    let works = |python: &PathBuf| {
        let mut command = Command::new(python);
        command
            .args(["-c", &check])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let candidates = given.into_iter().chain([PathBuf::from("python3")]);
    let mut candidates = candidates.chain(named).chain(pyenv);
    candidates.find(works).with_context(|| {
        format!(
            "no Python 3.{minor} or newer with venv was found (python3, python3.{minor} to 3.{NEWEST_MINOR}, \
             ~/.pyenv/versions); install one (Debian: apt-get install python3-venv), or set PYTHON to it"
        )
    })
}

/// The interpreter of the environment at `place`, which `make` makes, again when the file of requirements changes.
pub fn environment(
    place: &Path,
    requirements: &Path,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let interpreter = place.join("bin").join("python");
    let wanted =
        fs::read_to_string(requirements).with_context(|| requirements.display().to_string())?;
    let stamp = place.join("requirements");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(interpreter);
    }
    make(&interpreter)?;
    fs::write(stamp, wanted)?;
    Ok(interpreter)
}
