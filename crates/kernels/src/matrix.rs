//! A weight matrix: its format, its shape and its bytes, checked once when made.

use crate::KernelError;
use crate::memory::Bytes;
use crate::prepared::PreparedPart;
use crate::quant::{Format, order};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A weight matrix `[rows, cols]` (`[out, in]`), row-major, in one storage format. Cheap to clone: the bytes are shared.
#[derive(Clone, Debug)]
pub struct Matrix {
    format: Format,
    rows: usize,
    cols: usize,
    data: Bytes,
    /// The same weights in the order that products read (`quant/order.rs`), once a backend has made it.
    interleaved: Arc<OnceLock<Bytes>>,
    rounds_activations: bool,
}

impl Matrix {
    /// Wraps `data` as a matrix.
    ///
    /// Errors: `cols` is not a whole number of the format's blocks, or `data` is not exactly `rows` such rows.
    pub fn new(
        format: Format,
        rows: usize,
        cols: usize,
        data: Bytes,
    ) -> Result<Matrix, KernelError> {
        let expected = format.row_bytes(cols)?.checked_mul(rows);
        if expected != Some(data.len()) {
            return Err(KernelError::MatrixBytes {
                format: format.name(),
                rows,
                cols,
                expected,
                got: data.len(),
            });
        }
        Ok(Matrix {
            format,
            rows,
            cols,
            data,
            interleaved: Arc::default(),
            rounds_activations: false,
        })
    }

    /// The same matrix, but a BF16 one's products round activations to bf16 instead of splitting them in two parts:
    /// half the work, and what a run in bf16 does. Other formats stay as they are.
    pub fn rounding_activations(mut self) -> Matrix {
        self.rounds_activations = self.format == Format::Bf16;
        self
    }

    /// Whether its products round activations to bf16.
    pub fn rounds_activations(&self) -> bool {
        self.rounds_activations
    }

    /// The storage format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Rows: the width of a product's result.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns: the width of a product's operand.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        self.data.len().checked_div(self.rows).unwrap_or(0)
    }

    /// The bytes of row `row`.
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        let row_bytes = self.row_bytes();
        &self.bytes()[row * row_bytes..][..row_bytes]
    }

    /// The rows interleaved, if a backend made them so.
    pub(crate) fn interleaved(&self) -> Option<&[u8]> {
        self.interleaved.get().map(Bytes::as_slice)
    }

    /// Bytes of the interleaved rows, if nobody has made them yet and products would read them.
    pub(crate) fn interleaved_len_to_make(&self) -> Option<usize> {
        let wanted = order::can_interleave(self.format, self.cols) && self.rows > 0;
        (wanted && !self.rounds_activations && self.interleaved.get().is_none())
            .then(|| order::interleaved_len(self.rows, self.row_bytes()))
    }

    /// What was prepared of these rows, if it was.
    pub(crate) fn prepared(&self) -> Option<PreparedPart> {
        let (start, prepared) = self.data.prepared()?;
        prepared.part(self.format, self.row_bytes(), start, self.rows)
    }

    /// Keeps the interleaved rows, for all clones of this matrix; the file's own bytes are let go until someone reads
    /// them again.
    pub(crate) fn keep_interleaved(&self, bytes: Bytes) {
        let expected = order::interleaved_len(self.rows, self.row_bytes());
        assert_eq!(bytes.len(), expected, "interleaved bytes");
        // Whoever came first made the same bytes.
        let _ = self.interleaved.set(bytes);
        self.data.let_go();
    }

    /// Has the file's bytes fetched at once, all of which are about to be read.
    pub(crate) fn fetch(&self) {
        self.data.fetch();
    }

    /// All bytes, in the file's order.
    pub fn bytes(&self) -> &[u8] {
        self.data.as_slice()
    }

    /// The rows `range` as a matrix of their own, sharing the bytes.
    pub fn slice_rows(&self, range: Range<usize>) -> Matrix {
        assert!(
            range.start <= range.end && range.end <= self.rows,
            "rows {range:?} of a matrix with {}",
            self.rows
        );
        let row_bytes = self.row_bytes();
        let data = self
            .data
            .slice(range.start * row_bytes..range.end * row_bytes);
        Matrix {
            rows: range.len(),
            data,
            interleaved: Arc::default(),
            ..*self
        }
    }

    /// All values as f32, row-major: for small matrices that are used in another form.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.rows * self.cols];
        self.format.dequantize(self.bytes(), &mut out);
        out
    }

    /// The first row that holds a non-finite scale (quantised formats) or value (plain ones).
    pub fn first_non_finite_row(&self) -> Option<usize> {
        if self.rows == 0 || self.cols == 0 {
            return None;
        }
        self.bytes()
            .chunks_exact(self.row_bytes())
            .position(|row| self.format.has_non_finite(row))
    }
}
