//! Cached rows in one byte a value: int8 with a scale for every 32, quantised as activations are
//! (`reference::product::quantize`) and read back as `scale · q`, rounded once.

use super::PAGE_SIZE;
use crate::reference::product::quantize;
use std::ops::Range;

/// Values that share a scale; the last of a row may be fewer.
pub(crate) const GROUP: usize = 32;

/// The slots of one layer.
#[derive(Clone, Debug)]
pub(crate) struct EightBits {
    row_width: usize,
    /// `[slots, row_width]`
    quants: Vec<i8>,
    /// `[slots, groups of a row]`
    scales: Vec<f32>,
}

impl EightBits {
    pub fn zeroed(num_pages: usize, row_width: usize) -> EightBits {
        let slots = num_pages * PAGE_SIZE;
        EightBits {
            row_width,
            quants: vec![0; slots * row_width],
            scales: vec![0.0; slots * row_width.div_ceil(GROUP)],
        }
    }

    /// Bytes of one row.
    pub fn row_bytes(row_width: usize) -> usize {
        row_width + size_of::<f32>() * row_width.div_ceil(GROUP)
    }

    /// Stores a whole row.
    pub fn write(&mut self, slot: usize, x: &[f32]) {
        let groups = self.row_width.div_ceil(GROUP);
        let quants = &mut self.quants[slot * self.row_width..][..self.row_width];
        let scales = &mut self.scales[slot * groups..][..groups];
        let blocks = quants.chunks_mut(GROUP).zip(scales);
        for ((quants, scale), block) in blocks.zip(quantize(x, GROUP)) {
            *scale = block.scale;
            for (stored, quant) in quants.iter_mut().zip(block.quants) {
                *stored = quant as i8;
            }
        }
    }

    /// Columns `columns` of a row into the same columns of `out`.
    #[inline(always)]
    pub fn read(&self, slot: usize, columns: Range<usize>, out: &mut [f32]) {
        let groups = self.row_width.div_ceil(GROUP);
        let quants = &self.quants[slot * self.row_width..][..self.row_width];
        let scales = &self.scales[slot * groups..][..groups];
        let mut first = columns.start;
        while first < columns.end {
            let group = first / GROUP;
            let end = columns.end.min((group + 1) * GROUP);
            let scale = scales[group];
            for (out, quant) in out[first..end].iter_mut().zip(&quants[first..end]) {
                *out = scale * f32::from(*quant);
            }
            first = end;
        }
    }

    /// Makes every value NaN.
    pub fn poison(&mut self) {
        self.scales.fill(f32::NAN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_within_half_a_step_of_its_group() {
        let mut rows = EightBits::zeroed(1, 70);
        let x: Vec<f32> = (0..70).map(|i| (i as f32 - 31.0) * 1.7).collect();
        rows.write(3, &x);
        let mut out = vec![0.0; 70];
        rows.read(3, 0..70, &mut out);
        for (group, (x, out)) in x.chunks(GROUP).zip(out.chunks(GROUP)).enumerate() {
            let largest = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            for (x, out) in x.iter().zip(out) {
                assert!(
                    (x - out).abs() <= 0.5001 * largest / 127.0,
                    "group {group}: {x}, {out}"
                );
            }
        }
        // A part is the same values, and nothing beside it is touched.
        let mut part = vec![7.0; 70];
        rows.read(3, 30..66, &mut part);
        assert_eq!(part[30..66], out[30..66]);
        assert!(part[..30].iter().chain(&part[66..]).all(|x| *x == 7.0));
        assert_eq!(EightBits::row_bytes(320), 360);
    }

    #[test]
    fn what_is_not_finite_spoils_its_group_and_no_other() {
        let mut rows = EightBits::zeroed(1, 64);
        let mut x = vec![1.0; 64];
        x[40] = f32::INFINITY;
        rows.write(0, &x);
        let mut out = vec![0.0; 64];
        rows.read(0, 0..64, &mut out);
        assert!(out[..32].iter().all(|x| *x == 1.0) && out[32..].iter().all(|x| x.is_nan()));
    }
}
