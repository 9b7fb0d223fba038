//! What the file system does for the cache: locks between processes, links, free space. The only file here that differs
//! from one system to another.

use super::HubError;
use std::fs::{self, File, TryLockError};
use std::path::Path;

/// A lock between processes, held until dropped. The same kind as the Python library's (`flock`), on the same files.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes a lock if nobody holds it. None: somebody does.
    ///
    /// Errors: the lock file cannot be made.
    pub fn try_take(path: &Path) -> Result<Option<Lock>, HubError> {
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let error = |e| HubError::disk("lock", path, e);
        loop {
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(error)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(error(e)),
                // Somebody may have removed the file between opening and locking: then this lock keeps nobody out.
                Ok(()) if is_still_there(&file, path) => return Ok(Some(Lock { _file: file })),
                Ok(()) => {}
            }
        }
    }
}

#[cfg(unix)]
fn is_still_there(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(named)) => held.dev() == named.dev() && held.ino() == named.ino(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_still_there(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// A folder and those above it.
pub fn make_folder(path: &Path) -> Result<(), HubError> {
    fs::create_dir_all(path).map_err(|e| HubError::disk("make the folder", path, e))
}

/// Makes `link` point to `target`, which is relative to the link's folder. What was there is replaced at once.
#[cfg(unix)]
pub fn link(target: &Path, link: &Path) -> Result<(), HubError> {
    let error = |e| HubError::disk("link", link, e);
    let mut fresh = link.as_os_str().to_owned();
    fresh.push(format!(".{}.tmp", std::process::id()));
    // Left over from a process that was killed.
    let _ = fs::remove_file(&fresh);
    std::os::unix::fs::symlink(target, &fresh).map_err(error)?;
    fs::rename(&fresh, link).map_err(error)
}

/// Makes `link` a second name of the file `target`, which is relative to the link's folder: links need rights here that
/// users lack.
#[cfg(not(unix))]
pub fn link(target: &Path, link: &Path) -> Result<(), HubError> {
    let error = |e| HubError::disk("link", link, e);
    let source = link.parent().unwrap_or(Path::new(".")).join(target);
    let _ = fs::remove_file(link);
    fs::hard_link(&source, link)
        .or_else(|_| fs::copy(&source, link).map(drop))
        .map_err(error)
}

/// Bytes a user may still write where `path` is or will be; none if the system does not say.
#[cfg(unix)]
pub fn free_space(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|folder| folder.exists())?;
    let facts = rustix::fs::statvfs(there).ok()?;
    facts.f_bavail.checked_mul(facts.f_frsize)
}

/// Bytes a user may still write where `path` is or will be; none if the system does not say.
#[cfg(not(unix))]
pub fn free_space(_path: &Path) -> Option<u64> {
    None
}
