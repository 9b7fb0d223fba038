//! What can go wrong in numbers and memory.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A file could not be opened or mapped.
    #[error("cannot map {}: {source}; check that the file exists and is readable", path.display())]
    Map {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A row is not a whole number of blocks.
    #[error("a row of {cols} values cannot be stored as {format}: expected a multiple of {block}")]
    RowBlocks {
        /// Storage format.
        format: &'static str,
        /// Values in the row.
        cols: usize,
        /// Values in a block.
        block: usize,
    },
    /// The bytes given are not a matrix of that shape.
    #[error("a {format} matrix of {rows} x {cols} needs {expected:?} bytes, got {got}")]
    MatrixBytes {
        /// Storage format.
        format: &'static str,
        /// Rows asked for.
        rows: usize,
        /// Columns asked for.
        cols: usize,
        /// Bytes that shape takes (none: more than this machine can address).
        expected: Option<usize>,
        /// Bytes given.
        got: usize,
    },
    /// Prepared weights that are not those of their matrix.
    #[error(
        "prepared weights: a {format} matrix of {rows} rows needs {expected} bytes of {what}, got {got}; prepare the model again"
    )]
    PreparedBytes {
        /// Storage format.
        format: &'static str,
        /// Rows of the matrix.
        rows: usize,
        /// Which bytes.
        what: &'static str,
        /// Bytes that shape takes.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// An instruction set was asked for that this machine or build does not have.
    #[error("--isa {asked} is not available here: this machine offers {available}")]
    Isa {
        /// What was asked for.
        asked: String,
        /// What there is.
        available: String,
    },
}
