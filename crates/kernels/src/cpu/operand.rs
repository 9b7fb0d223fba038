//! Activations made ready for products: quantised, or split into two bf16 parts, once for all weights they meet.
//!
//! Blocks are stored block by block, all rows of a block together, so that one tile of weights meets its activations in
//! one run of memory.

use super::isa::Unit;
use super::shared::Shared;
use super::threads::Threads;
use crate::float::split_bf16;
use crate::math::ROUNDER;
use crate::quant::tile::TILE_VALUES;
use crate::quant::{Format, Scheme};
use crate::reference::product::{
    BF16_STEP, SCALED_ACTIVATIONS, SMALLEST_ACTIVATION, SUPER_ACTIVATIONS,
};
use crate::simd::{Kernel, Simd};
use crate::spare::{Lent, Spare};

/// A tile's width of one row's activations (padded with zeros), quantised, and their sums.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct QuantizedBlock {
    /// int8, as bits.
    pub quants: [u8; TILE_VALUES],
    /// Sums of 32.
    pub sums_32: [i32; 8],
    /// Sums `2p` (low 16 bits) and `2p + 1` (high) of 16.
    pub sum_pairs_16: [i32; 8],
    /// The same of 32.
    pub sum_pairs_32: [i32; 4],
    /// Sums of 32, times their scale.
    pub scaled_sums_32: [f32; 8],
    /// A scale for each 32; all the same where 256 share one.
    pub scales: [f32; TILE_VALUES / SCALED_ACTIVATIONS],
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
    /// Quantised with a scale every 32.
    scaled: bool,
    /// Quantised with a scale every 256.
    super_blocks: bool,
    split: bool,
}

impl Forms {
    /// What products with these formats read.
    pub fn of(formats: impl IntoIterator<Item = Format>) -> Forms {
        let mut forms = Forms::default();
        for format in formats {
            match format.spec().scheme {
                Scheme::Plain { .. } => forms.split |= format == Format::Bf16,
                Scheme::Scaled(_) => forms.scaled = true,
                Scheme::Super(_) => forms.super_blocks = true,
            }
        }
        forms
    }
}

/// Rows of activations in every form that is needed.
pub(crate) struct Operand<'a> {
    /// The rows as they are; they may differ in length.
    pub rows: Vec<&'a [f32]>,
    scaled: Lent<QuantizedBlock>,
    super_blocks: Lent<QuantizedBlock>,
    split: Lent<SplitStep>,
}

/// Buffers for the forms.
#[derive(Default)]
pub(crate) struct Blocks {
    quantized: Spare<QuantizedBlock>,
    split: Spare<SplitStep>,
}

impl<'a> Operand<'a> {
    /// Makes the forms, a few rows a task.
    pub fn new(
        unit: Unit,
        threads: &Threads,
        blocks: &Blocks,
        rows: Vec<&'a [f32]>,
        forms: Forms,
    ) -> Operand<'a> {
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let num = |wanted: bool, size: usize| {
            if wanted {
                longest.div_ceil(size) * rows.len()
            } else {
                0
            }
        };
        // What a row has is filled below; what it has not is not read.
        let quantized = |len| blocks.quantized.take(len, QuantizedBlock::ZERO);
        let mut scaled = quantized(num(forms.scaled, TILE_VALUES));
        let mut super_blocks = quantized(num(forms.super_blocks, TILE_VALUES));
        let mut split = blocks
            .split
            .take(num(forms.split, BF16_STEP), SplitStep::ZERO);
        if forms.scaled || forms.super_blocks || forms.split {
            let (scaled, super_blocks) = (Shared::new(&mut scaled), Shared::new(&mut super_blocks));
            let split = Shared::new(&mut split);
            let rows_per_task = (16_384 / longest.max(1)).max(1);
            threads.run(rows.len().div_ceil(rows_per_task), |task| {
                let first = task * rows_per_task;
                for r in first..(first + rows_per_task).min(rows.len()) {
                    unit.run(Prepare {
                        rows: &rows,
                        r,
                        forms,
                        scaled: &scaled,
                        super_blocks: &super_blocks,
                        split: &split,
                    });
                }
            });
        }
        Operand {
            rows,
            scaled,
            super_blocks,
            split,
        }
    }

    /// Block `b` of all rows, quantised for weights with or without super-blocks.
    pub fn quantized(&self, for_super_blocks: bool, b: usize) -> &[QuantizedBlock] {
        let blocks = if for_super_blocks {
            &self.super_blocks
        } else {
            &self.scaled
        };
        &blocks[b * self.rows.len()..][..self.rows.len()]
    }

    /// Step `s` of all rows.
    pub fn split(&self, s: usize) -> &[SplitStep] {
        &self.split[s * self.rows.len()..][..self.rows.len()]
    }
}

impl QuantizedBlock {
    pub const ZERO: QuantizedBlock = QuantizedBlock {
        quants: [0; TILE_VALUES],
        sums_32: [0; 8],
        sum_pairs_16: [0; 8],
        sum_pairs_32: [0; 4],
        scaled_sums_32: [0.0; 8],
        scales: [0.0; TILE_VALUES / SCALED_ACTIVATIONS],
    };

    /// The definition is `reference::product::quantize`; `N` activations share a scale.
    #[inline(always)]
    fn fill<S: Simd, const N: usize>(&mut self, simd: S, x: &[f32; TILE_VALUES]) {
        let mut rounded = [simd.splat(0.0); TILE_VALUES / 16];
        let runs = x.as_chunks::<N>().0.iter().enumerate();
        for (run, x) in runs {
            let (scale, inverse) = scale_of(simd, x);
            let first = run * (N / SCALED_ACTIVATIONS);
            self.scales[first..first + N / SCALED_ACTIVATIONS].fill(scale);
            for (c, x) in x.as_chunks::<16>().0.iter().enumerate() {
                let at = run * (N / 16) + c;
                rounded[at] = self.round(simd, x, inverse, at);
            }
        }
        let mut sums = [0.0; 16];
        simd.store(simd.sums(rounded), &mut sums);
        // Sums of small integers, exact in f32.
        self.add_up(sums.map(|sum| sum as i32));
    }

    /// Sixteen quants, from value `16 at` on; returned as f32.
    #[inline(always)]
    fn round<S: Simd>(&mut self, simd: S, x: &[f32; 16], inverse: f32, at: usize) -> S::F {
        let rounder = simd.splat(ROUNDER);
        // No inverse: zeros, whatever x is.
        let x = if inverse == 0.0 {
            simd.splat(0.0)
        } else {
            simd.mul(simd.load(x), simd.splat(inverse))
        };
        // Adding the rounder rounds to an integer, ties to even, and leaves its lowest byte in the sum's.
        let shifted = simd.add(x, rounder);
        let mut lanes = [0; 16];
        simd.istore(simd.bits(shifted), &mut lanes);
        let quants = &mut self.quants.as_chunks_mut::<16>().0[at];
        for (quant, lane) in quants.iter_mut().zip(lanes) {
            *quant = lane as u8;
        }
        simd.sub(shifted, rounder)
    }

    /// Fills the sums from the sums of 16.
    #[inline(always)]
    fn add_up(&mut self, sums_16: [i32; 16]) {
        for (sum, pair) in self.sums_32.iter_mut().zip(sums_16.as_chunks::<2>().0) {
            *sum = pair[0] + pair[1];
        }
        for (g, scaled) in self.scaled_sums_32.iter_mut().enumerate() {
            *scaled = self.scales[g] * self.sums_32[g] as f32;
        }
        fill_pairs(&mut self.sum_pairs_16, &sums_16);
        fill_pairs(&mut self.sum_pairs_32, &self.sums_32);
    }
}

/// Two sums a word, each in 16 bits.
#[inline(always)]
fn fill_pairs(pairs: &mut [i32], sums: &[i32]) {
    for (pair, sums) in pairs.iter_mut().zip(sums.as_chunks::<2>().0) {
        *pair = sums[0] & 0xffff | sums[1] << 16;
    }
}

/// The scale of some activations and its inverse, which is 0 where all quants are.
#[inline(always)]
fn scale_of<S: Simd, const N: usize>(simd: S, x: &[f32; N]) -> (f32, f32) {
    let (zero, mask) = (simd.splat(0.0), simd.isplat(i32::MAX));
    let (mut largest, mut finite) = (zero, zero);
    for x in x.as_chunks::<16>().0 {
        let x = simd.load(x);
        largest = simd.larger(simd.from_bits(simd.and(simd.bits(x), mask)), largest);
        // 0 times anything finite stays 0.
        finite = simd.fma(x, zero, finite);
    }
    let mut lanes = [0.0; 16];
    simd.store(largest, &mut lanes);
    let mut most = 0.0;
    for lane in lanes {
        most = if lane > most { lane } else { most };
    }
    if simd.sum(finite) != 0.0 {
        (f32::NAN, 0.0)
    } else if most < SMALLEST_ACTIVATION {
        (0.0, 0.0)
    } else {
        (most / 127.0, 127.0 / most)
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
    scaled: &'b Shared<'b, QuantizedBlock>,
    super_blocks: &'b Shared<'b, QuantizedBlock>,
    split: &'b Shared<'b, SplitStep>,
}

impl Kernel for Prepare<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (row, num_rows) = (self.rows[self.r], self.rows.len());
        if self.forms.scaled || self.forms.super_blocks {
            for (b, x) in row.chunks(TILE_VALUES).enumerate() {
                let mut whole = [0.0; TILE_VALUES];
                whole[..x.len()].copy_from_slice(x);
                let at = b * num_rows + self.r;
                if self.forms.scaled {
                    // SAFETY: each row is prepared by one task (`Operand::new` deals them out), and entries
                    // `b · num_rows + r` of different rows differ.
                    let block = unsafe { self.scaled.slice(at, 1) };
                    block[0].fill::<S, SCALED_ACTIVATIONS>(simd, &whole);
                }
                if self.forms.super_blocks {
                    // SAFETY: as above.
                    let block = unsafe { self.super_blocks.slice(at, 1) };
                    block[0].fill::<S, SUPER_ACTIVATIONS>(simd, &whole);
                }
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
