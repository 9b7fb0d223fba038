//! Products of sixteen weight rows with some rows of activations, for each family of formats.
//!
//! Written once over [`Simd`]. Quantised and bf16 products keep a weight row in each lane: a stretch of sixteen rows is
//! unpacked into a tile once and meets every activation row. F32 and F16 keep a `k mod 16` in each lane, as their
//! definition asks. The definition is `reference/product.rs`.

use super::isa::Unit;
use super::operand::{Operand, QuantizedBlock, SplitStep};
use crate::matrix::Matrix;
use crate::quant::tile::{TILE_VALUES, Tile, Tiled};
use crate::quant::{Format, with_block_format};
use crate::reference::product::BF16_STEP;
use crate::simd::{Kernel, Lanes, Simd};
use std::marker::PhantomData;

/// Weight rows of one product.
pub(crate) const GROUP: usize = 16;

/// `out[i][lane] = operand.rows[rows[i]] · weight[first_row + lane]`; lanes past the last weight row hold anything.
pub(crate) fn product(
    unit: Unit,
    weight: &Matrix,
    first_row: usize,
    operand: &Operand,
    rows: &[u32],
    out: &mut [[f32; GROUP]],
) {
    assert_eq!(rows.len(), out.len(), "product: rows, out");
    let weights = Weights::new(weight, first_row);
    match weight.format() {
        Format::F32 => unit.run(PlainProduct::<F32> {
            weights,
            operand,
            rows,
            out,
            plain: PhantomData,
        }),
        Format::F16 => unit.run(PlainProduct::<F16> {
            weights,
            operand,
            rows,
            out,
            plain: PhantomData,
        }),
        Format::Bf16 => unit.run_flushed(Bf16Product {
            weights,
            operand,
            rows,
            out,
        }),
        format => with_block_format!(format, T => {
            unit.run(BlockProduct::<T> { weights, operand, rows, out, format: PhantomData })
        }, plain => unreachable!("the arms above")),
    }
}

/// Sixteen rows of a matrix; past its end, the last row again.
struct Weights<'a> {
    bytes: &'a [u8],
    cols: usize,
    row_bytes: usize,
    /// Where each row begins.
    starts: [usize; GROUP],
}

impl<'a> Weights<'a> {
    fn new(weight: &'a Matrix, first_row: usize) -> Weights<'a> {
        let row_bytes = weight.row_bytes();
        let row = |lane: usize| (first_row + lane).min(weight.rows() - 1);
        Weights {
            bytes: weight.bytes(),
            cols: weight.cols(),
            row_bytes,
            starts: std::array::from_fn(|lane| row(lane) * row_bytes),
        }
    }

    #[inline(always)]
    fn row(&self, lane: usize) -> &'a [u8] {
        &self.bytes[self.starts[lane]..][..self.row_bytes]
    }

    #[inline(always)]
    fn lanes(&self) -> Lanes<'a> {
        Lanes::new(self.bytes, &self.starts, self.row_bytes)
    }

    /// The last bytes of each row, from `offset`, padded with zeros.
    #[cold]
    fn padded<const N: usize>(&self, offset: usize) -> [[u8; N]; GROUP] {
        let mut padded = [[0u8; N]; GROUP];
        for (lane, padded) in padded.iter_mut().enumerate() {
            let rest = &self.row(lane)[offset..];
            padded[..rest.len()].copy_from_slice(rest);
        }
        padded
    }

    /// What to have ready while bytes `offset..offset + len` of these rows are at work: as many bytes of the rows that
    /// follow, in the order of memory, so that by the next group all of it has been asked for. (1.4x to 2x on weights
    /// that come from memory: sixteen rows at once are more streams than the hardware follows.)
    #[inline(always)]
    fn next_group(&self, offset: usize, len: usize) -> &'a [u8] {
        let first = self.starts[GROUP - 1] + self.row_bytes + offset * GROUP;
        self.bytes.get(first..first + len * GROUP).unwrap_or(&[])
    }
}

/// The product of a format with blocks.
struct BlockProduct<'a, T> {
    weights: Weights<'a>,
    operand: &'a Operand<'a>,
    rows: &'a [u32],
    out: &'a mut [[f32; GROUP]],
    format: PhantomData<T>,
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
        let mut tile = Tile::new();
        self.out.fill([0.0; GROUP]);
        for b in 0..cols.div_ceil(TILE_VALUES) {
            let lanes = rows_bytes.part(b * tile_bytes, tile_bytes);
            simd.prefetch(self.weights.next_group(b * tile_bytes, lanes.len()));
            let groups = (cols - b * TILE_VALUES).min(TILE_VALUES) / 32;
            T::load(simd, &lanes, groups, &mut tile);
            let x = self.operand.quantized(b);
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
                    meet::<S, T, 4>(simd, &tile, groups, [a, b, c, d], out);
                } else {
                    let (first, second) = out.split_at_mut(2);
                    meet::<S, T, 2>(simd, &tile, groups, [a, b], first);
                    meet::<S, T, 2>(simd, &tile, groups, [c, d], second);
                }
            }
            for (r, out) in rest.iter().zip(rest_outs.chunks_exact_mut(1)) {
                meet::<S, T, 1>(simd, &tile, groups, [&x[*r as usize]], out);
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
    let mut t = [simd.splat(0.0); M];
    for g in 0..groups {
        let dots = group_dots::<S, T, M>(simd, tile, g, x);
        let scale = simd.load(&tile.scales[g]);
        for m in 0..M {
            t[m] = simd.fma(scale, simd.to_f32(dots[m]), t[m]);
            if T::SCHEME.has_min {
                let sum = simd.splat(x[m].sums_32[g] as f32);
                t[m] = simd.fma(simd.load(&tile.mins[g]), sum, t[m]);
            }
        }
    }
    for m in 0..M {
        let acc = simd.fma(simd.splat(x[m].scale), t[m], simd.load(&out[m]));
        simd.store(acc, &mut out[m]);
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
        let scale = simd.mul(d, simd.splat(x[m].scale));
        let mut acc = simd.fma(scale, simd.to_f32(scaled[m]), simd.load(&out[m]));
        if T::SCHEME.has_min {
            let mut minima = simd.isplat(0);
            for (mins, sums) in tile.integer_min_pairs.iter().zip(x[m].sum_pairs) {
                minima = simd.dot16(minima, simd.iload(mins), simd.isplat(sums));
            }
            let factor = simd.mul(simd.load(&tile.min), simd.splat(-x[m].scale));
            acc = simd.fma(factor, simd.to_f32(minima), acc);
        }
        simd.store(acc, &mut out[m]);
    }
}

/// The product of bf16 weights; runs with subnormals as zeros.
struct Bf16Product<'a> {
    weights: Weights<'a>,
    operand: &'a Operand<'a>,
    rows: &'a [u32],
    out: &'a mut [[f32; GROUP]],
}

/// 32 values of sixteen weight rows, widened: lane = row.
struct Bf16Tile {
    even: [[f32; 16]; BF16_STEP / 2],
    odd: [[f32; 16]; BF16_STEP / 2],
}

impl Kernel for Bf16Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        const STEP_BYTES: usize = 2 * BF16_STEP;
        let rows_bytes = self.weights.lanes();
        let mut tile = Bf16Tile {
            even: [[0.0; 16]; 16],
            odd: [[0.0; 16]; 16],
        };
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

/// F32 or F16 weights, sixteen at a time.
trait Plain {
    /// Sixteen values.
    type Bytes: Copy;
    fn split(row: &[u8]) -> (&[Self::Bytes], &[u8]);
    fn load<S: Simd>(simd: S, bytes: &Self::Bytes) -> S::F;
    /// Fewer than sixteen, the rest zeros.
    fn load_part<S: Simd>(simd: S, bytes: &[u8]) -> S::F;
}

struct F32;

impl Plain for F32 {
    type Bytes = [u8; 64];
    #[inline(always)]
    fn split(row: &[u8]) -> (&[[u8; 64]], &[u8]) {
        row.as_chunks()
    }
    #[inline(always)]
    fn load<S: Simd>(simd: S, bytes: &[u8; 64]) -> S::F {
        simd.from_bits(simd.iload_bytes(bytes))
    }
    #[inline(always)]
    fn load_part<S: Simd>(simd: S, bytes: &[u8]) -> S::F {
        let mut whole = [0; 64];
        whole[..bytes.len()].copy_from_slice(bytes);
        F32::load(simd, &whole)
    }
}

struct F16;

impl Plain for F16 {
    type Bytes = [u8; 32];
    #[inline(always)]
    fn split(row: &[u8]) -> (&[[u8; 32]], &[u8]) {
        row.as_chunks()
    }
    #[inline(always)]
    fn load<S: Simd>(simd: S, bytes: &[u8; 32]) -> S::F {
        simd.halves(bytes)
    }
    #[inline(always)]
    fn load_part<S: Simd>(simd: S, bytes: &[u8]) -> S::F {
        let mut whole = [0; 32];
        whole[..bytes.len()].copy_from_slice(bytes);
        simd.halves(&whole)
    }
}

/// The product of F32 or F16 weights.
struct PlainProduct<'a, P> {
    weights: Weights<'a>,
    operand: &'a Operand<'a>,
    rows: &'a [u32],
    out: &'a mut [[f32; GROUP]],
    plain: PhantomData<P>,
}

impl<P: Plain> Kernel for PlainProduct<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for first in (0..GROUP).step_by(4) {
            let w = [
                self.weights.row(first),
                self.weights.row(first + 1),
                self.weights.row(first + 2),
                self.weights.row(first + 3),
            ];
            let (rows, mut rest) = self.rows.as_chunks::<4>();
            let (outs, mut rest_outs) = self.out.as_chunks_mut::<4>();
            if S::WIDE {
                for (rows, out) in rows.iter().zip(outs) {
                    let x = &self.operand.rows;
                    let [a, b, c, d] = *rows;
                    let x = [x[a as usize], x[b as usize], x[c as usize], x[d as usize]];
                    let accs = plain_dots::<S, P, 4>(simd, w, x);
                    let mut sums = [0.0; 16];
                    let mut all = [simd.splat(0.0); 16];
                    for (i, acc) in all.iter_mut().enumerate() {
                        *acc = accs[i / 4][i % 4];
                    }
                    simd.store(simd.sums(all), &mut sums);
                    for (out, sums) in out.iter_mut().zip(sums.as_chunks::<4>().0) {
                        out[first..first + 4].copy_from_slice(sums);
                    }
                }
            } else {
                (rest, rest_outs) = (self.rows, &mut *self.out);
            }
            for (r, out) in rest.iter().zip(rest_outs) {
                let [accs] = plain_dots::<S, P, 1>(simd, w, [self.operand.rows[*r as usize]]);
                for (i, acc) in accs.into_iter().enumerate() {
                    out[first + i] = simd.sum(acc);
                }
            }
        }
    }
}

/// The lanes of `x[m] · w[n]`, not yet summed.
#[inline(always)]
fn plain_dots<S: Simd, P: Plain, const M: usize>(
    simd: S,
    w: [&[u8]; 4],
    x: [&[f32]; M],
) -> [[S::F; 4]; M] {
    let mut accs = [[simd.splat(0.0); 4]; M];
    let whole = x[0].len() / 16;
    let (mut w_whole, mut w_rest) = ([P::split(w[0]).0; 4], [w[0]; 4]);
    for n in 0..4 {
        let (chunks, rest) = P::split(w[n]);
        (w_whole[n], w_rest[n]) = (&chunks[..whole], rest);
    }
    let (mut x_whole, mut x_rest) = ([x[0].as_chunks::<16>().0; M], [x[0]; M]);
    for m in 0..M {
        let (chunks, rest) = x[m].as_chunks::<16>();
        (x_whole[m], x_rest[m]) = (&chunks[..whole], rest);
    }
    for c in 0..whole {
        let mut x = [simd.splat(0.0); M];
        for m in 0..M {
            x[m] = simd.load(&x_whole[m][c]);
        }
        for n in 0..4 {
            let w = P::load(simd, &w_whole[n][c]);
            for m in 0..M {
                accs[m][n] = simd.fma(w, x[m], accs[m][n]);
            }
        }
    }
    if !x_rest[0].is_empty() {
        for n in 0..4 {
            let w = P::load_part(simd, w_rest[n]);
            for m in 0..M {
                accs[m][n] = simd.fma(w, simd.load_part(x_rest[m]), accs[m][n]);
            }
        }
    }
    accs
}
