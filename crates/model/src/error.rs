//! What can go wrong with a checkpoint or in a step.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file of the checkpoint is not what it should be.
    #[error("{}: {what}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong: expected, got, and what to do.
        what: String,
    },
    /// A step was asked for something impossible, or its result is not finite.
    #[error("{0}")]
    Step(String),
    /// Bytes or numbers underneath.
    #[error(transparent)]
    Kernel(#[from] kernels::KernelError),
}
