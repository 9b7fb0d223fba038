//! Weights that lie interleaved in a file already, so that products map them instead of copying.
//!
//! Interleaving never crosses a panel of sixteen rows, so a part of a matrix that is made of whole panels is the same
//! part of what was prepared. Each panel has a checksum, compared when the part is first used. Knows no file.

use crate::KernelError;
use crate::matrix::Matrix;
use crate::memory::Bytes;
use crate::quant::Format;
use crate::quant::order::{self, ROWS};
use std::fmt;
use std::sync::Arc;

/// The interleaved rows of a matrix, with a checksum for every sixteen.
#[derive(Clone)]
pub struct Prepared {
    format: Format,
    rows: usize,
    row_bytes: usize,
    interleaved: Bytes,
    /// A little-endian CRC-32 (ISO-HDLC) a panel.
    checksums: Bytes,
    on_damage: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prepared({} of {})", self.rows, self.format.name())
    }
}

/// Some whole panels of prepared rows.
pub(crate) struct PreparedPart {
    pub interleaved: Bytes,
    checksums: Bytes,
    pub on_damage: Arc<dyn Fn() + Send + Sync>,
}

impl Prepared {
    /// Bytes of the interleaved rows of a matrix and of their checksums; none where products read the file's order.
    pub fn sizes(format: Format, rows: usize, cols: usize) -> Option<(usize, usize)> {
        let row_bytes = format.row_bytes(cols).ok()?;
        let len = rows
            .checked_next_multiple_of(ROWS)?
            .checked_mul(row_bytes)?;
        (order::can_interleave(format, cols) && rows > 0).then(|| (len, 4 * rows.div_ceil(ROWS)))
    }

    /// The prepared form of a matrix. `on_damage` is called, from any thread, when a checksum turns out wrong; the weights
    /// are then taken from their source.
    ///
    /// Errors: other sizes than [`Prepared::sizes`] says.
    pub fn new(
        format: Format,
        rows: usize,
        cols: usize,
        interleaved: Bytes,
        checksums: Bytes,
        on_damage: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Prepared, KernelError> {
        let row_bytes = format.row_bytes(cols)?;
        let (len, checksums_len) = Prepared::sizes(format, rows, cols).unwrap_or((0, 0));
        let wrong = |what, expected, got| KernelError::PreparedBytes {
            format: format.name(),
            rows,
            what,
            expected,
            got,
        };
        if interleaved.len() != len || len == 0 {
            return Err(wrong("weights", len, interleaved.len()));
        }
        if checksums.len() != checksums_len {
            return Err(wrong("checksums", checksums_len, checksums.len()));
        }
        Ok(Prepared {
            format,
            rows,
            row_bytes,
            interleaved,
            checksums,
            on_damage,
        })
    }

    pub(crate) fn check_source(&self, len: usize) -> Result<(), KernelError> {
        let expected = self.rows * self.row_bytes;
        if len == expected {
            return Ok(());
        }
        Err(KernelError::PreparedBytes {
            format: self.format.name(),
            rows: self.rows,
            what: "source",
            expected,
            got: len,
        })
    }

    /// The part for `rows` rows from byte `start` of the source on, if it is made of whole panels.
    pub(crate) fn part(
        &self,
        format: Format,
        row_bytes: usize,
        start: usize,
        rows: usize,
    ) -> Option<PreparedPart> {
        let panel = ROWS * row_bytes;
        let same = format == self.format && row_bytes == self.row_bytes && rows > 0;
        if !same || !start.is_multiple_of(panel) {
            return None;
        }
        let (first, panels) = (start / panel, rows.div_ceil(ROWS));
        let ends_with_all = start / row_bytes + rows == self.rows;
        if !rows.is_multiple_of(ROWS) && !ends_with_all {
            return None;
        }
        Some(PreparedPart {
            interleaved: self.interleaved.slice(start..start + panels * panel),
            checksums: self.checksums.slice(4 * first..4 * (first + panels)),
            on_damage: Arc::clone(&self.on_damage),
        })
    }
}

impl PreparedPart {
    /// Panels it has.
    pub fn panels(&self) -> usize {
        self.checksums.len() / 4
    }

    /// Whether a panel is what was once written. Reads it.
    pub fn is_whole(&self, panel: usize) -> bool {
        let panel_bytes = self.interleaved.len() / self.panels();
        let bytes = &self.interleaved.as_slice()[panel * panel_bytes..][..panel_bytes];
        let (expected, _) = self.checksums.as_slice().as_chunks::<4>();
        checksum(bytes).to_le_bytes() == expected[panel]
    }
}

/// The checksum of a panel.
pub(crate) fn checksum(panel: &[u8]) -> u32 {
    crc32fast::hash(panel)
}

/// Bytes of a panel of `matrix`.
pub(crate) fn panel_bytes(matrix: &Matrix) -> usize {
    ROWS * matrix.row_bytes()
}
