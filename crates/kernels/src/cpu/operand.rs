//! Activations made ready for products: quantised, or split into two bf16 parts, once for all weights they meet.
//!
//! Blocks are stored block by block, all rows of a block together, so that one tile of weights meets its activations in
//! one run of memory.

use super::isa::Unit;
use super::shared::Shared;
use super::threads::Threads;
use crate::float::split_bf16;
use crate::quant::{Format, Scheme};
use crate::reference::product::{ACTIVATION_BLOCK, BF16_STEP, SMALLEST_ACTIVATION};
use crate::simd::{Kernel, Simd};

/// 256 quantised activations of one row (padded with zeros) and their sums.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct QuantizedBlock {
    /// int8, as bits.
    pub quants: [u8; ACTIVATION_BLOCK],
    /// Sums of 16.
    pub sums_16: [i32; 16],
    /// Sums of 32.
    pub sums_32: [i32; 8],
    /// Sums `2p` (low 16 bits) and `2p + 1` (high) of 32.
    pub sum_pairs: [i32; 4],
    pub scale: f32,
}

/// 32 activations of one row (padded with zeros) as two bf16 parts.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct SplitStep {
    pub high: [f32; BF16_STEP],
    pub low: [f32; BF16_STEP],
}

/// Which forms of the activations some weights need.
#[derive(Clone, Copy, Default)]
pub(crate) struct Forms {
    quantized: bool,
    split: bool,
}

impl Forms {
    /// What products with these formats read.
    pub fn of(formats: impl IntoIterator<Item = Format>) -> Forms {
        let mut forms = Forms::default();
        for format in formats {
            match format.spec().scheme {
                Scheme::Plain { .. } => forms.split |= format == Format::Bf16,
                Scheme::Scaled(_) | Scheme::Super(_) => forms.quantized = true,
            }
        }
        forms
    }
}

/// Rows of activations in every form that is needed.
pub(crate) struct Operand<'a> {
    /// The rows as they are; they may differ in length.
    pub rows: Vec<&'a [f32]>,
    quantized: Vec<QuantizedBlock>,
    split: Vec<SplitStep>,
}

impl<'a> Operand<'a> {
    /// Makes the forms, a few rows a task.
    pub fn new(unit: Unit, threads: &Threads, rows: Vec<&'a [f32]>, forms: Forms) -> Operand<'a> {
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let num = |wanted: bool, size: usize| {
            if wanted {
                longest.div_ceil(size) * rows.len()
            } else {
                0
            }
        };
        let mut quantized = vec![QuantizedBlock::ZERO; num(forms.quantized, ACTIVATION_BLOCK)];
        let mut split = vec![SplitStep::ZERO; num(forms.split, BF16_STEP)];
        if forms.quantized || forms.split {
            let (quantized, split) = (Shared::new(&mut quantized), Shared::new(&mut split));
            let rows_per_task = (16_384 / longest.max(1)).max(1);
            threads.run(rows.len().div_ceil(rows_per_task), |task| {
                let first = task * rows_per_task;
                for r in first..(first + rows_per_task).min(rows.len()) {
                    unit.run(Prepare {
                        rows: &rows,
                        r,
                        forms,
                        quantized: &quantized,
                        split: &split,
                    });
                }
            });
        }
        Operand {
            rows,
            quantized,
            split,
        }
    }

    /// Block `b` of all rows.
    pub fn quantized(&self, b: usize) -> &[QuantizedBlock] {
        &self.quantized[b * self.rows.len()..][..self.rows.len()]
    }

    /// Step `s` of all rows.
    pub fn split(&self, s: usize) -> &[SplitStep] {
        &self.split[s * self.rows.len()..][..self.rows.len()]
    }
}

impl QuantizedBlock {
    const ZERO: QuantizedBlock = QuantizedBlock {
        quants: [0; ACTIVATION_BLOCK],
        sums_16: [0; 16],
        sums_32: [0; 8],
        sum_pairs: [0; 4],
        scale: 0.0,
    };

    /// The definition is `reference::product::quantize`.
    #[inline(always)]
    fn fill(&mut self, x: &[f32; ACTIVATION_BLOCK]) {
        let mut largest = [0u32; 16];
        for x in x.as_chunks::<16>().0 {
            for (largest, x) in largest.iter_mut().zip(x) {
                *largest = (*largest).max(x.to_bits() & 0x7fff_ffff);
            }
        }
        let largest = f32::from_bits(largest.into_iter().fold(0, u32::max));
        *self = QuantizedBlock::ZERO;
        if !largest.is_finite() {
            self.scale = f32::NAN;
        } else if largest >= SMALLEST_ACTIVATION {
            self.scale = largest / 127.0;
            self.fill_quants(x, 127.0 / largest);
        }
    }

    #[inline(always)]
    fn fill_quants(&mut self, x: &[f32; ACTIVATION_BLOCK], inverse: f32) {
        let sixteens = self.quants.as_chunks_mut::<16>().0.iter_mut();
        for ((quants, x), sum) in sixteens.zip(x.as_chunks::<16>().0).zip(&mut self.sums_16) {
            for (quant, x) in quants.iter_mut().zip(x) {
                let rounded = (x * inverse).round_ties_even() as i32;
                *quant = rounded as u8;
                *sum += rounded;
            }
        }
        for (sum, pair) in self.sums_32.iter_mut().zip(self.sums_16.as_chunks::<2>().0) {
            *sum = pair[0] + pair[1];
        }
        for (pair, sums) in self
            .sum_pairs
            .iter_mut()
            .zip(self.sums_32.as_chunks::<2>().0)
        {
            *pair = sums[0] & 0xffff | sums[1] << 16;
        }
    }
}

impl SplitStep {
    const ZERO: SplitStep = SplitStep {
        high: [0.0; BF16_STEP],
        low: [0.0; BF16_STEP],
    };

    #[inline(always)]
    fn of(x: &[f32; BF16_STEP]) -> SplitStep {
        let mut step = SplitStep::ZERO;
        for (k, x) in x.iter().enumerate() {
            (step.high[k], step.low[k]) = split_bf16(*x);
        }
        step
    }
}

/// Makes the forms of row `r`.
struct Prepare<'a, 'b> {
    rows: &'b [&'a [f32]],
    r: usize,
    forms: Forms,
    quantized: &'b Shared<'b, QuantizedBlock>,
    split: &'b Shared<'b, SplitStep>,
}

impl Kernel for Prepare<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let (row, num_rows) = (self.rows[self.r], self.rows.len());
        if self.forms.quantized {
            for (b, x) in row.chunks(ACTIVATION_BLOCK).enumerate() {
                let mut whole = [0.0; ACTIVATION_BLOCK];
                whole[..x.len()].copy_from_slice(x);
                // SAFETY: each row is prepared by one task (`Operand::new` deals them out), and entries
                // `b · num_rows + r` of different rows differ.
                let block = unsafe { self.quantized.slice(b * num_rows + self.r, 1) };
                block[0].fill(&whole);
            }
        }
        if self.forms.split {
            for (s, x) in row.chunks(BF16_STEP).enumerate() {
                let mut whole = [0.0; BF16_STEP];
                whole[..x.len()].copy_from_slice(x);
                // SAFETY: as above.
                let step = unsafe { self.split.slice(s * num_rows + self.r, 1) };
                step[0] = SplitStep::of(&whole);
            }
        }
    }
}
