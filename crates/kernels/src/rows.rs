//! Activations: row-major `[rows, cols]` f32, opaque to the model, and named column ranges within a row.

use crate::spare::Lent;

/// A row-major matrix of activations on some device. The model moves it between operations and never looks inside;
/// [`crate::Backend::download`] reads it.
#[derive(Debug)]
pub struct Rows {
    rows: usize,
    cols: usize,
    data: Lent<f32>,
}

impl Rows {
    pub(crate) fn zeroed(rows: usize, cols: usize) -> Rows {
        Rows::in_buffer(rows, cols, vec![0.0; rows * cols].into())
    }

    /// Rows that hold what `data` does.
    pub(crate) fn in_buffer(rows: usize, cols: usize, data: Lent<f32>) -> Rows {
        debug_assert_eq!(data.len(), rows * cols);
        Rows { rows, cols, data }
    }

    pub(crate) fn from_slice(rows: usize, cols: usize, values: &[f32]) -> Rows {
        assert_eq!(
            values.len(),
            rows * cols,
            "rows × cols against the number of values"
        );
        Rows {
            rows,
            cols,
            data: values.to_vec().into(),
        }
    }

    /// Number of rows in use.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Changes the number of rows, keeping the memory; contents are then unspecified.
    pub fn set_rows(&mut self, rows: usize) {
        self.data.resize(rows * self.cols, 0.0);
        self.rows = rows;
    }

    pub(crate) fn data(&self) -> &[f32] {
        &self.data
    }

    pub(crate) fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.cols..][..self.cols]
    }

    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.cols..][..self.cols]
    }
}

/// A range of columns that repeats head by head: head `h` is columns `start + h * stride ..` of `width`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// How often the range repeats.
    pub heads: usize,
    /// Columns from one head to the next.
    pub stride: usize,
    /// First column of head 0.
    pub start: usize,
    /// Columns in a head.
    pub width: usize,
}

impl Columns {
    /// One range, `start..start + width`.
    pub fn range(start: usize, width: usize) -> Columns {
        Columns {
            heads: 1,
            stride: width,
            start,
            width,
        }
    }

    /// `heads` ranges of `width`, `stride` apart, the first at `start`.
    pub fn heads(heads: usize, stride: usize, start: usize, width: usize) -> Columns {
        Columns {
            heads,
            stride,
            start,
            width,
        }
    }

    /// The columns of one head.
    pub fn head(&self, head: usize) -> std::ops::Range<usize> {
        let first = self.start + head * self.stride;
        first..first + self.width
    }

    /// One past the last column used.
    pub fn end(&self) -> usize {
        if self.heads == 0 {
            self.start
        } else {
            self.head(self.heads - 1).end
        }
    }
}
