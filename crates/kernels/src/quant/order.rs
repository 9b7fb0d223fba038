//! The two orders in which a matrix's bytes may lie: as files have them, row after row; and interleaved, sixteen rows
//! side by side, as products read them.
//!
//! Interleaved, a field of `w` bytes at offset `o` of a row's bytes becomes the `16 w` bytes at `16 o` of its sixteen
//! rows' bytes: row 0's, row 1's and so on. Fields are a block's f16 factors, and words of four bytes otherwise. So both
//! orders have the same size, every format is unpacked by the same code from either, and sixteen rows are one run of
//! memory in which every register's worth of bytes is one load.

use super::{Format, Scheme};
use crate::simd::{Kernel, Lanes, Simd};

/// The version of the interleaved order. It goes up whenever a byte comes to lie elsewhere: copies on disk carry it.
pub const LAYOUT_VERSION: u32 = 1;

/// Rows side by side.
pub(crate) const ROWS: usize = 16;

/// The same stretch of sixteen rows, in either order.
pub(crate) trait SixteenRows: Copy {
    /// The f16 at `offset` of each row.
    fn halves<S: Simd>(self, simd: S, offset: usize) -> S::F;
    /// The word at `offset` of each row.
    fn word<S: Simd>(self, simd: S, offset: usize) -> S::I;
    /// The words at `offset`, `offset + 4`, `offset + 8` and `offset + 12` of each row.
    fn words<S: Simd>(self, simd: S, offset: usize) -> [S::I; 4];
}

impl SixteenRows for Lanes<'_> {
    #[inline(always)]
    fn halves<S: Simd>(self, simd: S, offset: usize) -> S::F {
        let mut gathered = [0u8; 32];
        let (to, _) = gathered.as_chunks_mut::<2>();
        for (to, from) in to.iter_mut().zip(self.at::<2>(offset)) {
            *to = *from;
        }
        simd.halves(&gathered)
    }

    #[inline(always)]
    fn word<S: Simd>(self, simd: S, offset: usize) -> S::I {
        let mut gathered = [0; 16];
        for (to, from) in gathered.iter_mut().zip(self.at::<4>(offset)) {
            *to = i32::from_le_bytes(*from);
        }
        simd.iload(&gathered)
    }

    #[inline(always)]
    fn words<S: Simd>(self, simd: S, offset: usize) -> [S::I; 4] {
        simd.transpose(self.at(offset))
    }
}

/// Sixteen rows' interleaved bytes, or a stretch of them.
#[derive(Clone, Copy)]
pub(crate) struct Interleaved<'a>(pub &'a [u8]);

impl<'a> Interleaved<'a> {
    #[inline(always)]
    fn field<const N: usize>(self, offset: usize) -> &'a [u8; N] {
        match self.0[ROWS * offset..].first_chunk() {
            Some(field) => field,
            None => panic!("{N} bytes at {} of {}", ROWS * offset, self.0.len()),
        }
    }
}

impl SixteenRows for Interleaved<'_> {
    #[inline(always)]
    fn halves<S: Simd>(self, simd: S, offset: usize) -> S::F {
        simd.halves(self.field(offset))
    }

    #[inline(always)]
    fn word<S: Simd>(self, simd: S, offset: usize) -> S::I {
        simd.iload_bytes(self.field(offset))
    }

    #[inline(always)]
    fn words<S: Simd>(self, simd: S, offset: usize) -> [S::I; 4] {
        let field: &[u8; 256] = self.field(offset);
        let (words, _) = field.as_chunks::<64>();
        [
            simd.iload_bytes(&words[0]),
            simd.iload_bytes(&words[1]),
            simd.iload_bytes(&words[2]),
            simd.iload_bytes(&words[3]),
        ]
    }
}

/// Whether rows of `cols` values of this format can be interleaved: their products keep a row in each lane, and the rows
/// are whole words.
pub(crate) fn can_interleave(format: Format, cols: usize) -> bool {
    match format.spec().scheme {
        Scheme::Plain { .. } => format == Format::Bf16 && cols.is_multiple_of(32) && cols > 0,
        Scheme::Scaled(_) | Scheme::Super(_) => cols > 0,
    }
}

/// Bytes of `rows` rows, interleaved: what is missing to whole sixteens is filled with the last row.
pub(crate) fn interleaved_len(rows: usize, row_bytes: usize) -> usize {
    rows.next_multiple_of(ROWS) * row_bytes
}

/// Writes sixteen rows interleaved.
pub(crate) struct Interleave<'a> {
    pub format: Format,
    pub rows: Lanes<'a>,
    pub out: &'a mut [u8],
}

impl Kernel for Interleave<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let spec = self.format.spec();
        let (block_bytes, factors) = match &spec.scheme {
            Scheme::Plain { .. } => (self.rows.len(), [].as_slice()),
            Scheme::Scaled(scheme) | Scheme::Super(scheme) => (spec.bytes, scheme.factors_at),
        };
        let is_factor = |at: usize| factors.contains(&(at % block_bytes));
        let mut at = 0;
        while at < self.rows.len() {
            let out = &mut self.out[ROWS * at..];
            let next = factors.iter().copied().find(|f| *f >= at % block_bytes);
            let words_end = at - at % block_bytes + next.unwrap_or(block_bytes);
            if is_factor(at) {
                for (out, half) in out.chunks_exact_mut(2).zip(self.rows.at::<2>(at)) {
                    out.copy_from_slice(half);
                }
                at += 2;
            } else if at + 16 <= words_end {
                for (out, words) in out
                    .chunks_exact_mut(64)
                    .zip(simd.transpose(self.rows.at(at)))
                {
                    let mut lanes = [0; ROWS];
                    simd.istore(words, &mut lanes);
                    for (out, lane) in out.chunks_exact_mut(4).zip(lanes) {
                        out.copy_from_slice(&lane.to_le_bytes());
                    }
                }
                at += 16;
            } else {
                for (out, word) in out.chunks_exact_mut(4).zip(self.rows.at::<4>(at)) {
                    out.copy_from_slice(word);
                }
                at += 4;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::scalar::Scalar;

    /// A field of `w` bytes at `o` lies at `16 o`, row after row.
    #[test]
    fn fields_lie_side_by_side_at_sixteen_times_their_offset() {
        for format in Format::ALL.into_iter().filter(|f| can_interleave(*f, 512)) {
            let row_bytes = format.row_bytes(512).unwrap();
            let byte = |i: usize| (i * 37 + i / 251) as u8;
            let rows: Vec<u8> = (0..ROWS * row_bytes).map(byte).collect();
            let starts = std::array::from_fn(|row| row * row_bytes);
            let mut out = vec![0; ROWS * row_bytes];
            let kernel = Interleave {
                format,
                rows: Lanes::new(&rows, &starts, row_bytes),
                out: &mut out,
            };
            kernel.run(Scalar);
            let factors = match &format.spec().scheme {
                Scheme::Plain { .. } => [].as_slice(),
                Scheme::Scaled(scheme) | Scheme::Super(scheme) => scheme.factors_at,
            };
            let mut at = 0;
            while at < row_bytes {
                let block = format.block_bytes().max(4);
                let width = if factors.contains(&(at % block)) {
                    2
                } else {
                    4
                };
                for row in 0..ROWS {
                    let from = &rows[row * row_bytes + at..][..width];
                    let to = &out[ROWS * at + row * width..][..width];
                    assert_eq!(from, to, "{} row {row}, byte {at}", format.name());
                }
                at += width;
            }
        }
    }
}
