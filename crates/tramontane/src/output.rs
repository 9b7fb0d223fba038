//! Files that are whole or not there: written under a hidden name in the same folder, flushed, then renamed.
//!
//! A first Ctrl-C removes what is hidden and ends the program.

use crate::load::bytes;
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The hidden files there are, for Ctrl-C to remove.
#[derive(Clone, Debug, Default)]
pub struct HiddenFiles(Arc<Mutex<Vec<PathBuf>>>);

impl HiddenFiles {
    fn change(&self, change: impl FnOnce(&mut Vec<PathBuf>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Makes Ctrl-C remove them and end the program. Once for the whole program.
    pub fn remove_on_ctrl_c(&self) -> Result<()> {
        let files = self.clone();
        ctrlc::set_handler(move || {
            files.change(|paths| {
                for path in paths.iter() {
                    let _ = fs::remove_file(path);
                }
            });
            eprintln!("interrupted: what was not whole is gone");
            // 128 + SIGINT, as shells expect of a program that was interrupted.
            std::process::exit(130);
        })?;
        Ok(())
    }
}

/// A file that is being written.
pub struct Output {
    file: File,
    hidden: PathBuf,
    all_hidden: HiddenFiles,
    target: PathBuf,
}

/// Nothing is at `path`, or it may be replaced.
pub fn check_free(path: &Path, force: bool) -> Result<()> {
    if path.is_dir() {
        bail!("{} is a directory\nGive the name of a file", path.display());
    }
    if !force && path.symlink_metadata().is_ok() {
        bail!(
            "{} is there already\nGive another name, or --force to replace it",
            path.display()
        );
    }
    Ok(())
}

/// The folder of `path` exists and has room for `needed` bytes.
pub fn check_room(path: &Path, needed: u64) -> Result<()> {
    let folder = folder(path);
    if !folder.is_dir() {
        bail!("there is no folder {}\nMake it first", folder.display());
    }
    match free_space(&folder) {
        Some(free) if free < needed => bail!(
            "not enough room in {}: {} are needed, {} are free\nFree some, or choose another disk",
            folder.display(),
            bytes(needed),
            bytes(free)
        ),
        _ => Ok(()),
    }
}

/// A bar on a terminal, for `total` bytes.
pub fn bar(verb: &str, quiet: bool, total: u64) -> ProgressBar {
    if quiet || !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total);
    let template = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}";
    if let Ok(style) = ProgressStyle::with_template(&format!("{verb} {template}")) {
        bar.set_style(style);
    }
    bar
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(unix)]
fn free_space(folder: &Path) -> Option<u64> {
    let facts = rustix::fs::statvfs(folder).ok()?;
    facts.f_bavail.checked_mul(facts.f_frsize)
}

#[cfg(not(unix))]
fn free_space(_folder: &Path) -> Option<u64> {
    None
}

impl Output {
    /// A hidden file beside `target`.
    pub fn create(target: &Path, all_hidden: &HiddenFiles) -> Result<Output> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = folder(target).join(format!(".{name}.{}.tmp", std::process::id()));
        all_hidden.change(|paths| paths.push(path.clone()));
        let file = File::create(&path);
        let file = file.with_context(|| format!("cannot write in {}", folder(target).display()))?;
        Ok(Output {
            file,
            hidden: path,
            all_hidden: all_hidden.clone(),
            target: target.to_owned(),
        })
    }

    /// Lets the file appear under its name.
    pub fn show(mut self, force: bool) -> Result<()> {
        let shown = || format!("cannot write {}", self.target.display());
        self.file.flush().with_context(shown)?;
        self.file.sync_all().with_context(shown)?;
        check_free(&self.target, force)?;
        fs::rename(&self.hidden, &self.target).with_context(shown)?;
        // The new name lasts when the folder is on the disk too; where folders cannot be opened, nothing is to be done.
        if let Ok(folder) = File::open(folder(&self.target)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // After a rename there is nothing left under that name.
        let _ = fs::remove_file(&self.hidden);
        self.all_hidden
            .change(|paths| paths.retain(|path| *path != self.hidden));
    }
}
