//! bf16 weights by activations in two bf16 parts, a weight row in each lane, summed as a tile unit sums.

use super::super::operand::{Operand, SplitStep};
use super::{GROUP, Weights};
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

impl Kernel for Bf16Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        const STEP_BYTES: usize = 2 * BF16_STEP;
        let rows_bytes = self.weights.lanes();
        let tile = self.tile;
        self.out.fill([0.0; GROUP]);
        for s in 0..self.weights.cols.div_ceil(BF16_STEP) {
            let lanes = rows_bytes.part(s * STEP_BYTES, STEP_BYTES);
            simd.prefetch(self.weights.next_group(s * STEP_BYTES, lanes.len()));
            if lanes.len() == STEP_BYTES {
                tile.load(simd, &lanes);
            } else {
                let padded = self.weights.padded::<STEP_BYTES>(s * STEP_BYTES);
                let starts = std::array::from_fn(|lane| lane * STEP_BYTES);
                tile.load(
                    simd,
                    &Lanes::new(padded.as_flattened(), &starts, STEP_BYTES),
                );
            }
            let x = self.operand.split(s);
            let (rows, rest) = self.rows.as_chunks::<2>();
            let (outs, rest_outs) = self.out.as_chunks_mut::<2>();
            for (rows, out) in rows.iter().zip(outs) {
                let [a, b] = *rows;
                tile.meet(simd, [&x[a as usize], &x[b as usize]], out);
            }
            for (r, out) in rest.iter().zip(rest_outs.chunks_exact_mut(1)) {
                tile.meet(simd, [&x[*r as usize]], out);
            }
        }
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
    fn load<S: Simd>(&mut self, simd: S, lanes: &Lanes) {
        for quarter in 0..4 {
            let pairs = simd.transpose(lanes.at(16 * quarter));
            for (c, pair) in pairs.into_iter().enumerate() {
                let even = simd.from_bits(simd.shl(pair, 16));
                let odd = simd.from_bits(simd.and(pair, simd.isplat(0xffff_0000u32 as i32)));
                simd.store(even, &mut self.even[4 * quarter + c]);
                simd.store(odd, &mut self.odd[4 * quarter + c]);
            }
        }
    }

    #[inline(always)]
    fn meet<S: Simd, const M: usize>(&self, simd: S, x: [&SplitStep; M], out: &mut [[f32; GROUP]]) {
        // Chains: even and odd k of the high part, even and odd k of the low part.
        let mut chains = [[simd.splat(0.0); 4]; M];
        for c in 0..BF16_STEP / 2 {
            let (even, odd) = (simd.load(&self.even[c]), simd.load(&self.odd[c]));
            for m in 0..M {
                let [e_high, o_high, e_low, o_low] = chains[m];
                let (high, low) = (&x[m].high, &x[m].low);
                chains[m] = [
                    simd.fma_flushed(even, simd.splat(high[2 * c]), e_high),
                    simd.fma_flushed(odd, simd.splat(high[2 * c + 1]), o_high),
                    simd.fma_flushed(even, simd.splat(low[2 * c]), e_low),
                    simd.fma_flushed(odd, simd.splat(low[2 * c + 1]), o_low),
                ];
            }
        }
        for m in 0..M {
            let [e_high, o_high, e_low, o_low] = chains[m];
            let total = simd.add_flushed(simd.load(&out[m]), simd.add_flushed(e_high, o_high));
            let total = simd.add_flushed(total, simd.add_flushed(e_low, o_low));
            simd.store(total, &mut out[m]);
        }
    }
}
