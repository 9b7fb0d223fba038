//! bf16 weights by activations in two bf16 parts, a weight row in each lane, summed as a tile unit sums.

use super::super::operand::{Operand, SplitStep};
use super::{GROUP, Weights};
use crate::quant::order::SixteenRows;
use crate::reference::product::BF16_STEP;
use crate::simd::{Kernel, Lanes, Simd};

/// The product of bf16 weights; runs with subnormals as zeros.
pub(super) struct Bf16Product<'a> {
    pub weights: Weights<'a>,
    pub operand: &'a Operand<'a>,
    pub rows: &'a [u32],
    pub tile: &'a mut Bf16Tile,
    pub out: &'a mut [[f32; GROUP]],
}

/// 32 values of sixteen weight rows, widened: lane = row.
pub(super) struct Bf16Tile {
    even: [[f32; 16]; BF16_STEP / 2],
    odd: [[f32; 16]; BF16_STEP / 2],
}

impl Kernel for &mut Bf16Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (tile, out) = (&mut *self.tile, &mut *self.out);
        let product = Bf16Product { tile, out, ..*self };
        product.out.fill([0.0; GROUP]);
        if product.weights.interleaved.is_some() {
            product.run_interleaved(simd);
        } else {
            product.run_in_file_order(simd);
        }
    }
}

/// Bytes of a step of one row.
const STEP_BYTES: usize = 2 * BF16_STEP;

impl Bf16Product<'_> {
    /// Interleaved weights have whole steps.
    #[inline(always)]
    fn run_interleaved<S: Simd>(self, simd: S) {
        for s in 0..self.weights.cols / BF16_STEP {
            let (part, ahead) = self.weights.interleaved_part(s * STEP_BYTES, STEP_BYTES);
            let x = self.operand.split(s);
            simd.prefetch(ahead);
            match (self.rows, &mut *self.out) {
                ([a], out) => words_meet::<S, _, 1>(simd, part, [&x[*a as usize]], out),
                ([a, b], out) => {
                    let x = [&x[*a as usize], &x[*b as usize]];
                    words_meet::<S, _, 2>(simd, part, x, out);
                }
                (rows, out) => {
                    self.tile.load(simd, part);
                    self.tile.meet_rows(simd, x, rows, out);
                }
            }
        }
    }

    #[inline(always)]
    fn run_in_file_order<S: Simd>(self, simd: S) {
        let rows_bytes = self.weights.lanes();
        let tile = self.tile;
        for s in 0..self.weights.cols.div_ceil(BF16_STEP) {
            let lanes = rows_bytes.part(s * STEP_BYTES, STEP_BYTES);
            simd.prefetch(self.weights.next_group(s * STEP_BYTES, lanes.len()));
            if lanes.len() == STEP_BYTES {
                tile.load(simd, lanes);
            } else {
                let padded = self.weights.padded::<STEP_BYTES>(s * STEP_BYTES);
                let starts = std::array::from_fn(|lane| lane * STEP_BYTES);
                let lanes = Lanes::new(padded.as_flattened(), &starts, STEP_BYTES);
                tile.load(simd, lanes);
            }
            tile.meet_rows(simd, self.operand.split(s), self.rows, self.out);
        }
    }
}

/// The even and the odd values of sixteen words.
#[inline(always)]
fn widen<S: Simd>(simd: S, words: S::I) -> (S::F, S::F) {
    let odd = simd.and(words, simd.isplat(0xffff_0000u32 as i32));
    (simd.from_bits(simd.shl(words, 16)), simd.from_bits(odd))
}

/// `M` rows of activations meet a step of weights as it is widened, in registers.
#[inline(always)]
fn words_meet<S: Simd, R: SixteenRows, const M: usize>(
    simd: S,
    rows: R,
    x: [&SplitStep; M],
    out: &mut [[f32; GROUP]],
) {
    let mut chains = [Chains::new(simd); M];
    for quarter in 0..4 {
        for (c, words) in rows.words(simd, 16 * quarter).into_iter().enumerate() {
            let (even, odd) = widen(simd, words);
            for m in 0..M {
                chains[m].add(even, odd, x[m], 4 * quarter + c);
            }
        }
    }
    for m in 0..M {
        chains[m].finish(&mut out[m]);
    }
}

impl Bf16Tile {
    pub fn new() -> Bf16Tile {
        let zeros = [[0.0; 16]; BF16_STEP / 2];
        Bf16Tile {
            even: zeros,
            odd: zeros,
        }
    }

    #[inline(always)]
    fn load<S: Simd, R: SixteenRows>(&mut self, simd: S, rows: R) {
        for quarter in 0..4 {
            for (c, words) in rows.words(simd, 16 * quarter).into_iter().enumerate() {
                let (even, odd) = widen(simd, words);
                simd.store(even, &mut self.even[4 * quarter + c]);
                simd.store(odd, &mut self.odd[4 * quarter + c]);
            }
        }
    }

    #[inline(always)]
    fn meet_rows<S: Simd>(&self, simd: S, x: &[SplitStep], rows: &[u32], out: &mut [[f32; GROUP]]) {
        let (rows, rest) = rows.as_chunks::<2>();
        let (outs, rest_outs) = out.as_chunks_mut::<2>();
        for (rows, out) in rows.iter().zip(outs) {
            let [a, b] = *rows;
            self.meet(simd, [&x[a as usize], &x[b as usize]], out);
        }
        for (r, out) in rest.iter().zip(rest_outs.chunks_exact_mut(1)) {
            self.meet(simd, [&x[*r as usize]], out);
        }
    }

    #[inline(always)]
    fn meet<S: Simd, const M: usize>(&self, simd: S, x: [&SplitStep; M], out: &mut [[f32; GROUP]]) {
        let mut chains = [Chains::new(simd); M];
        for c in 0..BF16_STEP / 2 {
            let (even, odd) = (simd.load(&self.even[c]), simd.load(&self.odd[c]));
            for m in 0..M {
                chains[m].add(even, odd, x[m], c);
            }
        }
        for m in 0..M {
            chains[m].finish(&mut out[m]);
        }
    }
}

/// One row's sums of a step: even and odd k by the high part of the activations, and by the low part.
#[derive(Clone, Copy)]
struct Chains<S: Simd> {
    simd: S,
    high: [S::F; 2],
    low: [S::F; 2],
}

impl<S: Simd> Chains<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let zeros = [simd.splat(0.0); 2];
        Chains {
            simd,
            high: zeros,
            low: zeros,
        }
    }

    /// Adds the products of values `2c` and `2c + 1`.
    #[inline(always)]
    fn add(&mut self, even: S::F, odd: S::F, x: &SplitStep, c: usize) {
        let (simd, [e_high, o_high], [e_low, o_low]) = (self.simd, self.high, self.low);
        self.high = [
            simd.fma_flushed(even, simd.splat(x.high[2 * c]), e_high),
            simd.fma_flushed(odd, simd.splat(x.high[2 * c + 1]), o_high),
        ];
        self.low = [
            simd.fma_flushed(even, simd.splat(x.low[2 * c]), e_low),
            simd.fma_flushed(odd, simd.splat(x.low[2 * c + 1]), o_low),
        ];
    }

    /// Adds what has been summed to the result.
    #[inline(always)]
    fn finish(self, out: &mut [f32; GROUP]) {
        let (simd, [e_high, o_high], [e_low, o_low]) = (self.simd, self.high, self.low);
        let total = simd.add_flushed(simd.load(out), simd.add_flushed(e_high, o_high));
        let total = simd.add_flushed(total, simd.add_flushed(e_low, o_low));
        simd.store(total, out);
    }
}
