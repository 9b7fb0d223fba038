//! Prepared copies of weights: where they are kept, whose they are, and their use at a start. What is in them is the model
//! crate's.
//!
//! A copy is found by its source's key: each file's length, time of change and samples of its bytes, and the version of the
//! order the copy is in. So a source that changed has no copy, and nothing is read through to find that out.

use crate::hub;
use anyhow::{Context, Result};
use kernels::{Bytes, LAYOUT_VERSION};
use model::Checkpoint;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::UNIX_EPOCH;

/// How the files are named, after the key.
pub const ENDING: &str = "safetensors";
/// Samples of a file that are part of its key, and bytes of each. The first holds the header's beginning.
const SAMPLES: usize = 64;
const SAMPLE_BYTES: usize = 4096;

/// The folder of all copies: `tramontane/prepared` in the user's cache.
///
/// Errors: there is no home.
pub fn folder() -> Result<PathBuf> {
    Ok(hub::user_cache()?.join("tramontane").join("prepared"))
}

/// What a checkpoint's files are known by, as hexadecimal digits.
///
/// Cost: 256 KiB of each file are read. Errors: a file cannot be read.
pub fn key(checkpoint: &Checkpoint) -> Result<String> {
    let mut digest = Sha256::new();
    digest.update(LAYOUT_VERSION.to_le_bytes());
    for path in &checkpoint.files {
        digest.update(key_of_file(path)?);
    }
    Ok(digest
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect())
}

fn key_of_file(path: &Path) -> Result<Vec<u8>> {
    let reading = || format!("cannot read {}", path.display());
    let facts = fs::metadata(path).with_context(reading)?;
    let changed = facts.modified().ok();
    let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let mut digest = Sha256::new();
    digest.update(facts.len().to_le_bytes());
    digest.update(changed.map_or(0, |time| time.as_nanos()).to_le_bytes());
    let file = Bytes::map(path)?;
    let all = file.as_slice();
    let room = all.len().saturating_sub(SAMPLE_BYTES);
    for sample in 0..SAMPLES {
        let start = (room as u128 * sample as u128 / (SAMPLES - 1) as u128) as usize;
        digest.update(&all[start..all.len().min(start + SAMPLE_BYTES)]);
    }
    Ok(digest.finalize().to_vec())
}

/// Where the copy of a checkpoint with this key is, or would be.
///
/// Errors: there is no home.
pub fn path(key: &str) -> Result<PathBuf> {
    Ok(folder()?.join(format!("{key}.{ENDING}")))
}

/// A copy in use.
pub struct Attached {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// Lets `checkpoint` use its prepared copy, if there is one. One that cannot be used is told, and the weights are read from
/// their source.
pub fn attach(checkpoint: &mut Checkpoint) -> Option<Attached> {
    find_and_attach(checkpoint).unwrap_or_else(|error| {
        eprintln!(
            "note: the prepared copy is not used: {error:#}\n\
             The weights are put in order as they are used; `tramontane prepare` writes the copy anew"
        );
        None
    })
}

fn find_and_attach(checkpoint: &mut Checkpoint) -> Result<Option<Attached>> {
    let on_disk = checkpoint.files.iter().all(|path| path.is_file());
    if !on_disk || !folder().is_ok_and(|folder| folder.is_dir()) {
        return Ok(None);
    }
    let key = key(checkpoint)?;
    let path = path(&key)?;
    let Ok(facts) = fs::metadata(&path) else {
        return Ok(None);
    };
    let (told, place) = (AtomicBool::new(false), path.clone());
    let on_damage = move || {
        if !told.swap(true, Relaxed) {
            eprintln!(
                "note: {} is damaged; what is damaged is taken from the model itself\n\
                 `tramontane prepare` writes the copy anew",
                place.display()
            );
        }
    };
    checkpoint.use_prepared(&path, &key, Arc::new(on_damage))?;
    let bytes = facts.len();
    Ok(Some(Attached { path, bytes }))
}
