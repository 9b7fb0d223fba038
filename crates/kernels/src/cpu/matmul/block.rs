//! Formats with blocks by quantised activations: exact integer sums, a weight row in each lane.

use super::super::operand::{Operand, QuantizedBlock};
use super::{GROUP, Weights};
use crate::quant::tile::{TILE_VALUES, Tile, Tiled};
use crate::simd::{Kernel, Simd};
use std::marker::PhantomData;

/// The product of a format with blocks.
pub(super) struct BlockProduct<'a, T> {
    pub weights: Weights<'a>,
    pub operand: &'a Operand<'a>,
    pub rows: &'a [u32],
    pub tile: &'a mut Tile,
    pub out: &'a mut [[f32; GROUP]],
    pub format: PhantomData<T>,
}

impl<T: Tiled> Kernel for BlockProduct<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Weights {
            cols, row_bytes, ..
        } = self.weights;
        let rows_bytes = self.weights.lanes();
        let tile_bytes = row_bytes * TILE_VALUES / cols;
        let tile = self.tile;
        self.out.fill([0.0; GROUP]);
        for b in 0..cols.div_ceil(TILE_VALUES) {
            let lanes = rows_bytes.part(b * tile_bytes, tile_bytes);
            simd.prefetch(self.weights.next_group(b * tile_bytes, lanes.len()));
            let groups = (cols - b * TILE_VALUES).min(TILE_VALUES) / 32;
            T::load(simd, &lanes, groups, tile);
            let x = self.operand.quantized(T::SUPER, b);
            let (rows, rest) = self.rows.as_chunks::<4>();
            let (outs, rest_outs) = self.out.as_chunks_mut::<4>();
            for (rows, out) in rows.iter().zip(outs) {
                let [a, b, c, d] = *rows;
                let [a, b, c, d] = [
                    &x[a as usize],
                    &x[b as usize],
                    &x[c as usize],
                    &x[d as usize],
                ];
                if S::WIDE {
                    meet::<S, T, 4>(simd, tile, groups, [a, b, c, d], out);
                } else {
                    let (first, second) = out.split_at_mut(2);
                    meet::<S, T, 2>(simd, tile, groups, [a, b], first);
                    meet::<S, T, 2>(simd, tile, groups, [c, d], second);
                }
            }
            for (r, out) in rest.iter().zip(rest_outs.chunks_exact_mut(1)) {
                meet::<S, T, 1>(simd, tile, groups, [&x[*r as usize]], out);
            }
        }
    }
}

/// A tile meets `M` rows of activations: `out[m] += ...`, one activation block's share.
#[inline(always)]
fn meet<S: Simd, T: Tiled, const M: usize>(
    simd: S,
    tile: &Tile,
    groups: usize,
    x: [&QuantizedBlock; M],
    out: &mut [[f32; GROUP]],
) {
    if T::SUPER {
        meet_super::<S, T, M>(simd, tile, x, out);
    } else {
        meet_scaled::<S, T, M>(simd, tile, groups, x, out);
    }
}

/// The exact dot products of group `g` with the stored quants' offset taken off.
#[inline(always)]
fn group_dots<S: Simd, T: Tiled, const M: usize>(
    simd: S,
    tile: &Tile,
    g: usize,
    x: [&QuantizedBlock; M],
) -> [S::I; M] {
    let words = T::SCHEME.group / 4;
    let mut dots = [simd.isplat(0); M];
    if T::SCHEME.offset != 0 {
        for m in 0..M {
            let sum = if words == 8 {
                x[m].sums_32[g]
            } else {
                x[m].sums_16[g]
            };
            dots[m] = simd.isplat(-T::SCHEME.offset * sum);
        }
    }
    for c in g * words..(g + 1) * words {
        let w = simd.iload(&tile.quants[c]);
        for m in 0..M {
            let a = simd.isplat(i32::from_le_bytes(x[m].quants.as_chunks::<4>().0[c]));
            dots[m] = if T::SCHEME.offset == 128 {
                simd.dot8(dots[m], w, a)
            } else {
                simd.dot7(dots[m], w, a)
            };
        }
    }
    dots
}

#[inline(always)]
fn meet_scaled<S: Simd, T: Tiled, const M: usize>(
    simd: S,
    tile: &Tile,
    groups: usize,
    x: [&QuantizedBlock; M],
    out: &mut [[f32; GROUP]],
) {
    let mut acc = [simd.splat(0.0); M];
    for m in 0..M {
        acc[m] = simd.load(&out[m]);
    }
    for g in 0..groups {
        let dots = group_dots::<S, T, M>(simd, tile, g, x);
        let scale = simd.load(&tile.scales[g]);
        for m in 0..M {
            let of_x = simd.splat(x[m].scales[g]);
            acc[m] = simd.fma(scale, simd.mul(of_x, simd.to_f32(dots[m])), acc[m]);
            if T::SCHEME.has_min {
                let sum = simd.splat(x[m].scaled_sums_32[g]);
                acc[m] = simd.fma(simd.load(&tile.mins[g]), sum, acc[m]);
            }
        }
    }
    for m in 0..M {
        simd.store(acc[m], &mut out[m]);
    }
}

#[inline(always)]
fn meet_super<S: Simd, T: Tiled, const M: usize>(
    simd: S,
    tile: &Tile,
    x: [&QuantizedBlock; M],
    out: &mut [[f32; GROUP]],
) {
    let mut scaled = [simd.isplat(0); M];
    for g in 0..TILE_VALUES / T::SCHEME.group {
        let dots = group_dots::<S, T, M>(simd, tile, g, x);
        let scale = simd.iload(&tile.integer_scales[g]);
        for m in 0..M {
            scaled[m] = simd.iadd(scaled[m], simd.imul(scale, dots[m]));
        }
    }
    let d = simd.load(&tile.d);
    for m in 0..M {
        let scale = simd.mul(d, simd.splat(x[m].scales[0]));
        let mut acc = simd.fma(scale, simd.to_f32(scaled[m]), simd.load(&out[m]));
        if T::SCHEME.has_min {
            let mut minima = simd.isplat(0);
            for (mins, sums) in tile.integer_min_pairs.iter().zip(x[m].sum_pairs) {
                minima = simd.dot16(minima, simd.iload(mins), simd.isplat(sums));
            }
            let factor = simd.mul(simd.load(&tile.min), simd.splat(-x[m].scales[0]));
            acc = simd.fma(factor, simd.to_f32(minima), acc);
        }
        simd.store(acc, &mut out[m]);
    }
}
