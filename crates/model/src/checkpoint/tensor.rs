//! A tensor as a file lists it: name, storage, shape and bytes, all checked against the file.

use crate::ModelError;
use kernels::{Bytes, Format};
use std::path::Path;

/// Most tensors one checkpoint may list; the largest known has 56,313.
pub(crate) const MOST_TENSORS: usize = 1 << 18;

/// Most dimensions of a tensor.
pub(crate) const MOST_DIMS: usize = 8;

/// How a tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A format the kernels compute with.
    Known(Format),
    /// A format they do not, by its name.
    Unsupported(&'static str),
}

impl Storage {
    /// The name users know.
    pub fn name(self) -> &'static str {
        match self {
            Storage::Known(format) => format.name(),
            Storage::Unsupported(name) => name,
        }
    }
}

/// One tensor of a checkpoint.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its name in the file.
    pub name: String,
    /// How it is stored.
    pub storage: Storage,
    /// Its dimensions, slowest first (row-major), also for GGUF, which lists them the other way round.
    pub shape: Vec<usize>,
    /// Its bytes, in the mapped file.
    pub data: Bytes,
    /// Which file of the checkpoint holds it.
    pub file: usize,
}

impl Tensor {
    /// Values it holds.
    pub fn num_values(&self) -> u64 {
        self.shape.iter().map(|dim| *dim as u64).product()
    }
}

/// The number of values of a shape, if it can be counted at all.
pub(crate) fn checked_values(shape: &[u64]) -> Option<u64> {
    // A zero must not hide an overflow beside it.
    let values = shape
        .iter()
        .try_fold(1_u64, |n, dim| n.checked_mul((*dim).max(1)))?;
    if values > 1 << 60 {
        return None;
    }
    Some(if shape.contains(&0) { 0 } else { values })
}

/// A shape as people read it.
pub(crate) fn show_shape<T: std::fmt::Display>(shape: &[T]) -> String {
    let dims: Vec<_> = shape.iter().map(ToString::to_string).collect();
    format!("[{}]", dims.join(", "))
}

/// A name from a file, cut short and without control characters, fit for a message.
pub(crate) fn show_name(name: &str) -> String {
    let mut shown: String = name
        .chars()
        .take(120)
        .flat_map(char::escape_debug)
        .collect();
    if name.chars().nth(120).is_some() {
        shown.push_str("...");
    }
    shown
}

/// An error about one file of a checkpoint.
pub(crate) fn file_error(path: &Path, what: impl Into<String>) -> ModelError {
    ModelError::File {
        path: path.to_owned(),
        what: what.into(),
    }
}

/// Checks that no two byte ranges overlap. `ranges` are `(start, end, index)`; `name` gives a tensor's name.
pub(crate) fn check_overlaps<'a>(
    path: &Path,
    mut ranges: Vec<(u64, u64, usize)>,
    name: impl Fn(usize) -> &'a str,
) -> Result<(), ModelError> {
    ranges.retain(|(start, end, _)| start < end);
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        let ((start, end, first), (next, next_end, second)) = (pair[0], pair[1]);
        if next < end {
            return Err(file_error(
                path,
                format!(
                    "tensors {} (bytes {start} to {end}) and {} (bytes {next} to {next_end}) overlap",
                    show_name(name(first)),
                    show_name(name(second))
                ),
            ));
        }
    }
    Ok(())
}
