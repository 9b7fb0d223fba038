//! A tensor to be written: where its rows come from, and their bytes.

use super::ALIGNMENT;
use crate::ModelError;
use kernels::{Bytes, Format, Matrix};
use std::ops::Range;

/// A tensor to be written. Its rows can be asked for in any order and from several threads.
#[derive(Clone, Debug)]
pub struct PlannedTensor {
    /// Its name.
    pub name: String,
    /// Its dimensions, slowest first.
    pub shape: Vec<usize>,
    /// How it is stored.
    pub format: Format,
    /// Where its rows come from: one after the other, all of the same shape.
    pub(super) matrices: Vec<Matrix>,
    pub(super) order: Order,
}

/// In which order a matrix's rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As they are.
    AsIs,
    /// In every `head` rows, those from `start` on, `dim` of them, come in two halves that are dealt out in turn: a
    /// rotated pair of lanes lies side by side then.
    Dealt {
        head: usize,
        start: usize,
        dim: usize,
    },
}

impl Order {
    /// The row of the source that is written as row `row`.
    fn source(self, row: usize) -> usize {
        let Order::Dealt { head, start, dim } = self else {
            return row;
        };
        let within = row % head;
        if within < start || within >= start + dim {
            return row;
        }
        let lane = within - start;
        row - lane + lane % 2 * (dim / 2) + lane / 2
    }
}

/// Numbers as a matrix of one row.
#[expect(clippy::expect_used, reason = "four bytes were made of each value")]
fn one_row(values: &[f32]) -> Matrix {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let matrix = Matrix::new(Format::F32, 1, values.len(), Bytes::from(bytes));
    matrix.expect("as many bytes as the values have")
}

impl PlannedTensor {
    /// A vector: always F32.
    pub(super) fn vector(name: String, values: &[f32]) -> PlannedTensor {
        PlannedTensor {
            name,
            shape: vec![values.len()],
            format: Format::F32,
            matrices: vec![one_row(values)],
            order: Order::AsIs,
        }
    }

    /// Rows of all its matrices together.
    pub fn rows(&self) -> usize {
        self.matrices.iter().map(Matrix::rows).sum()
    }

    /// Values of a row.
    pub fn cols(&self) -> usize {
        self.matrices.first().map_or(0, Matrix::cols)
    }

    /// Bytes of a row, as written.
    pub fn row_bytes(&self) -> usize {
        // The format was chosen to fit the row.
        self.cols() / self.format.block_values() * self.format.block_bytes()
    }

    /// Its bytes in the file.
    pub fn bytes(&self) -> u64 {
        self.rows() as u64 * self.row_bytes() as u64
    }

    /// The same with what comes after it, up to the next tensor.
    pub fn padded_bytes(&self) -> u64 {
        self.bytes().next_multiple_of(ALIGNMENT)
    }

    /// Writes rows `rows` into `out`. What is already stored in the right format is copied byte by byte.
    ///
    /// Errors: a value that is not finite, or too large for the format. Panics unless `out` has the rows' bytes.
    pub fn write_rows(&self, rows: Range<usize>, out: &mut [u8]) -> Result<(), ModelError> {
        assert_eq!(
            out.len(),
            rows.len() * self.row_bytes(),
            "bytes of rows {rows:?}"
        );
        if out.is_empty() {
            return Ok(());
        }
        let each = self.matrices[0].rows();
        let mut values = vec![0.0; self.cols()];
        for (row, out) in rows.zip(out.chunks_exact_mut(self.row_bytes())) {
            let matrix = &self.matrices[row / each];
            let at = self.order.source(row % each) * matrix.row_bytes();
            let source = &matrix.bytes()[at..at + matrix.row_bytes()];
            if matrix.format() == self.format {
                out.copy_from_slice(source);
            } else {
                matrix.format().dequantize(source, &mut values);
                if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                    return Err(
                        self.wrong(row, &format!("holds {value}: the checkpoint is damaged"))
                    );
                }
                self.format.quantize(&values, out);
            }
            if self.format.has_non_finite(out) {
                let what = format!(
                    "holds a value that is not finite, or too large for {}: use bf16 or f32",
                    self.format.name()
                );
                return Err(self.wrong(row, &what));
            }
        }
        Ok(())
    }

    fn wrong(&self, row: usize, what: &str) -> ModelError {
        ModelError::Step(format!("tensor {}: row {row} {what}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(format: Format, matrix: Matrix, order: Order) -> PlannedTensor {
        PlannedTensor {
            name: "x".to_owned(),
            shape: vec![matrix.rows(), matrix.cols()],
            format,
            matrices: vec![matrix],
            order,
        }
    }

    #[test]
    fn halves_are_dealt_out_in_turn_head_by_head() {
        let bytes: Vec<u8> = (0..14).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let matrix = Matrix::new(Format::F32, 14, 1, Bytes::from(bytes)).unwrap();
        let order = Order::Dealt {
            head: 7,
            start: 1,
            dim: 6,
        };
        let tensor = plan(Format::F32, matrix, order);
        let mut bytes = vec![0; 56];
        tensor.write_rows(0..14, &mut bytes).unwrap();
        let mut got = vec![0.0; 14];
        Format::F32.dequantize(&bytes, &mut got);
        let expected = [0, 1, 4, 2, 5, 3, 6, 7, 8, 11, 9, 12, 10, 13].map(|i| i as f32);
        assert_eq!(got, expected);
    }

    #[test]
    fn what_a_format_cannot_hold_is_an_error() {
        for (value, format) in [
            (f32::NAN, Format::Q8_0),
            (f32::INFINITY, Format::F32),
            (1e6, Format::F16),
        ] {
            let tensor = plan(format, one_row(&[value; 32]), Order::AsIs);
            let mut bytes = vec![0; tensor.row_bytes()];
            let error = tensor.write_rows(0..1, &mut bytes).unwrap_err().to_string();
            assert!(error.contains("tensor x: row 0"), "{error}");
        }
    }
}
