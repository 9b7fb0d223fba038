//! Formats with blocks by quantised activations: exact integer sums, a weight row in each lane.

use super::super::operand::{Operand, QuantizedBlock};
use super::{GROUP, Weights};
use crate::quant::order::SixteenRows;
use crate::quant::tile::{TILE_VALUES, Tile, Tiled};
use crate::simd::{Kernel, Lanes, Simd};
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
        let BlockProduct {
            weights,
            rows,
            tile,
            out,
            ..
        } = self;
        let in_file_order = weights.lanes_in_file_order();
        out.fill([0.0; GROUP]);
        for b in 0..weights.cols.div_ceil(TILE_VALUES) {
            let stretch = Stretch::of::<T>(&weights, b);
            let groups = stretch.groups;
            let x = self.operand.quantized(T::SUPER, b);
            if in_file_order.is_none() && rows.len() <= rows_span_by_span::<S, T>() {
                let (part, ahead) = weights.interleaved_part(stretch.offset, stretch.len);
                let spans = Spans {
                    simd,
                    rows: part,
                    ahead,
                    tile,
                    groups,
                    format: self.format,
                };
                by_fours(spans, x, rows, out);
            } else {
                stretch.unpack::<S, T>(simd, &weights, in_file_order.as_ref(), tile);
                let whole = Whole {
                    simd,
                    tile,
                    groups,
                    format: self.format,
                };
                by_fours(whole, x, rows, out);
            }
        }
    }
}

/// A tile's width of sixteen weight rows.
pub(super) struct Stretch {
    /// Bytes of each row.
    offset: usize,
    len: usize,
    pub groups: usize,
}

impl Stretch {
    /// The one of tile `b`.
    #[inline(always)]
    pub fn of<T: Tiled>(weights: &Weights, b: usize) -> Stretch {
        let tile_bytes = weights.row_bytes * TILE_VALUES / weights.cols;
        let offset = b * tile_bytes;
        Stretch {
            offset,
            len: tile_bytes.min(weights.row_bytes - offset),
            groups: (weights.cols - b * TILE_VALUES).min(TILE_VALUES) / T::SCHEME.group,
        }
    }

    /// Fills the tile from where the weights lie: `in_file_order`, else interleaved.
    #[inline(always)]
    pub fn unpack<S: Simd, T: Tiled>(
        &self,
        simd: S,
        weights: &Weights,
        in_file_order: Option<&Lanes>,
        tile: &mut Tile,
    ) {
        if let Some(lanes) = in_file_order {
            simd.prefetch(weights.next_group(self.offset, self.len));
            let part = lanes.part(self.offset, self.len);
            tile.fill::<S, T, _>(simd, part, self.groups);
        } else {
            let (part, ahead) = weights.interleaved_part(self.offset, self.len);
            simd.prefetch(ahead);
            tile.fill::<S, T, _>(simd, part, self.groups);
        }
    }
}

/// Up to how many rows it pays to unpack weights into registers again for every four, instead of once into a tile.
/// (Measured: 4-bit formats lose nothing up to 64 rows and gain 5 to 15 % at 8 and 16, the others lose from 12 on.)
const fn rows_span_by_span<S: Simd, T: Tiled>() -> usize {
    match (S::WIDE, T::SCHEME.most) {
        (true, 15) => 32,
        (true, _) => 8,
        (false, _) => 4,
    }
}

/// Weights that meet some rows of activations at once: `out[m] += ...`, one activation block's share.
trait MeetRows {
    fn meet<const M: usize>(&mut self, x: [&QuantizedBlock; M], out: &mut [[f32; GROUP]]);
}

/// Rows meet the weights four at a time, and those that are left together.
#[inline(always)]
fn by_fours(
    mut weights: impl MeetRows,
    x: &[QuantizedBlock],
    rows: &[u32],
    out: &mut [[f32; GROUP]],
) {
    let (fours, rest) = rows.as_chunks::<4>();
    let (outs, rest_out) = out.as_chunks_mut::<4>();
    for (rows, out) in fours.iter().zip(outs) {
        weights.meet(blocks_of(x, rows), out);
    }
    match *rest {
        [a] => weights.meet(blocks_of(x, &[a]), rest_out),
        [a, b] => weights.meet(blocks_of(x, &[a, b]), rest_out),
        [a, b, c] => weights.meet(blocks_of(x, &[a, b, c]), rest_out),
        _ => {}
    }
}

/// The activation blocks of these rows.
#[inline(always)]
pub(super) fn blocks_of<'a, const M: usize>(
    x: &'a [QuantizedBlock],
    rows: &[u32; M],
) -> [&'a QuantizedBlock; M] {
    let mut blocks = [&x[rows[0] as usize]; M];
    for (block, row) in blocks.iter_mut().zip(rows) {
        *block = &x[*row as usize];
    }
    blocks
}

/// Weights that are unpacked in registers, a span at a time, for whoever meets them.
struct Spans<'a, S, T, R> {
    simd: S,
    rows: R,
    /// Asked for while the first rows meet the weights.
    ahead: &'a [u8],
    /// Its head is used.
    tile: &'a mut Tile,
    groups: usize,
    format: PhantomData<T>,
}

impl<S: Simd, T: Tiled, R: SixteenRows> MeetRows for Spans<'_, S, T, R> {
    #[inline(always)]
    fn meet<const M: usize>(&mut self, x: [&QuantizedBlock; M], out: &mut [[f32; GROUP]]) {
        let (simd, groups) = (self.simd, self.groups);
        let ahead = std::mem::take(&mut self.ahead);
        T::head(simd, self.rows, groups, self.tile);
        let mut sums = Sums::<S, T, M>::load(simd, out);
        let spans = groups * T::WORDS / T::SPAN;
        let ahead_a_span = ahead.len() / spans.max(1);
        for s in 0..spans {
            simd.prefetch(&ahead[s * ahead_a_span..][..ahead_a_span]);
            let span = T::span(simd, self.rows, s);
            for (i, run) in span.as_ref().chunks_exact(T::WORDS).enumerate() {
                sums.meet(self.tile, Unpacked::<S>(run), T::group(s, i), x);
            }
        }
        sums.finish(self.tile, x, out);
    }
}

/// A full tile.
struct Whole<'a, S, T> {
    simd: S,
    tile: &'a Tile,
    groups: usize,
    format: PhantomData<T>,
}

impl<S: Simd, T: Tiled> Whole<'_, S, T> {
    #[inline(always)]
    fn meet_at_once<const M: usize>(&self, x: [&QuantizedBlock; M], out: &mut [[f32; GROUP]]) {
        let mut sums = Sums::<S, T, M>::load(self.simd, out);
        for g in 0..self.groups {
            let run = &self.tile.quants[g * T::WORDS..][..T::WORDS];
            sums.meet(self.tile, InTile(run), g, x);
        }
        sums.finish(self.tile, x, out);
    }
}

impl<S: Simd, T: Tiled> MeetRows for Whole<'_, S, T> {
    #[inline(always)]
    fn meet<const M: usize>(&mut self, x: [&QuantizedBlock; M], out: &mut [[f32; GROUP]]) {
        if S::WIDE {
            return self.meet_at_once(x, out);
        }
        let ((twos, rest), (outs, rest_out)) = (x.as_chunks::<2>(), out.as_chunks_mut::<2>());
        for (x, out) in twos.iter().zip(outs) {
            self.meet_at_once(*x, out);
        }
        for x in rest {
            self.meet_at_once([*x], rest_out);
        }
    }
}

/// The quants of a group, four values of each row a word.
trait Run<S: Simd>: Copy {
    fn word(self, simd: S, c: usize) -> S::I;
}

/// In registers.
#[derive(Clone, Copy)]
struct Unpacked<'a, S: Simd>(&'a [S::I]);

impl<S: Simd> Run<S> for Unpacked<'_, S> {
    #[inline(always)]
    fn word(self, _: S, c: usize) -> S::I {
        self.0[c]
    }
}

/// In a tile.
#[derive(Clone, Copy)]
struct InTile<'a>(&'a [[i32; GROUP]]);

impl<S: Simd> Run<S> for InTile<'_> {
    #[inline(always)]
    fn word(self, simd: S, c: usize) -> S::I {
        simd.iload(&self.0[c])
    }
}

/// What the dot products of group `g` begin at, so that the stored quants' offset is taken off. (Super-blocks take it off
/// all groups at once, in [`Sums::finish`].)
#[inline(always)]
pub(super) fn start_dots<S: Simd, T: Tiled, const M: usize>(
    simd: S,
    g: usize,
    x: [&QuantizedBlock; M],
) -> [S::I; M] {
    let mut dots = [simd.isplat(0); M];
    if !T::SUPER && T::SCHEME.offset != 0 {
        for m in 0..M {
            dots[m] = simd.isplat(-T::SCHEME.offset * x[m].sums_32[g]);
        }
    }
    dots
}

/// Four quants of a row's group, in each lane.
#[inline(always)]
fn four_quants<S: Simd, T: Tiled>(simd: S, x: &QuantizedBlock, g: usize, c: usize) -> S::I {
    let quants = x.quants.as_chunks::<4>().0[g * T::WORDS + c];
    simd.isplat(i32::from_le_bytes(quants))
}

/// How many words of pairs of products (each at most 2 · most · 127) can be summed in an i16.
const fn words_in_halves<T: Tiled>() -> usize {
    let words = i16::MAX as usize / (2 * T::SCHEME.most as usize * 127);
    if words < T::WORDS { words } else { T::WORDS }
}

/// Adds to `sums` the exact dot products of group `g`, each times what both halves of `factor` hold.
#[inline(always)]
fn add_dots_in_halves<S: Simd, T: Tiled, Q: Run<S>, const M: usize>(
    simd: S,
    run: Q,
    g: usize,
    x: [&QuantizedBlock; M],
    factor: S::I,
    sums: &mut [S::I; M],
) {
    for first in (0..T::WORDS).step_by(words_in_halves::<T>()) {
        let mut halves = [simd.isplat(0); M];
        for c in first..first + words_in_halves::<T>() {
            let w = run.word(simd, c);
            for m in 0..M {
                let pairs = simd.pairs(w, four_quants::<S, T>(simd, x[m], g, c));
                halves[m] = if c == first {
                    pairs
                } else {
                    simd.add_halves(halves[m], pairs)
                };
            }
        }
        for m in 0..M {
            sums[m] = simd.dot16(sums[m], halves[m], factor);
        }
    }
}

/// The exact dot products of group `g` from there.
#[inline(always)]
fn group_dots<S: Simd, T: Tiled, Q: Run<S>, const M: usize>(
    simd: S,
    run: Q,
    g: usize,
    x: [&QuantizedBlock; M],
) -> [S::I; M] {
    let mut dots = start_dots::<S, T, M>(simd, g, x);
    if S::SUMS_IN_HALVES && T::SCHEME.most < 128 {
        add_dots_in_halves::<S, T, Q, M>(simd, run, g, x, simd.isplat(0x1_0001), &mut dots);
        return dots;
    }
    for c in 0..T::WORDS {
        let w = run.word(simd, c);
        for m in 0..M {
            let a = four_quants::<S, T>(simd, x[m], g, c);
            dots[m] = if T::SCHEME.offset == 128 {
                simd.dot8(dots[m], w, a)
            } else {
                simd.dot7(dots[m], w, a)
            };
        }
    }
    dots
}

/// What `M` rows have summed up so far, by the definition of the format's family.
pub(super) struct Sums<S: Simd, T, const M: usize> {
    simd: S,
    /// Results so far.
    acc: [S::F; M],
    /// Super-blocks: the block's exact sum so far.
    pub scaled: [S::I; M],
    format: PhantomData<T>,
}

impl<S: Simd, T: Tiled, const M: usize> Sums<S, T, M> {
    #[inline(always)]
    pub fn load(simd: S, out: &[[f32; GROUP]]) -> Self {
        let mut acc = [simd.splat(0.0); M];
        for m in 0..M {
            acc[m] = simd.load(&out[m]);
        }
        Sums {
            simd,
            acc,
            scaled: [simd.isplat(0); M],
            format: PhantomData,
        }
    }

    /// Group `g` of the weights meets the rows.
    #[inline(always)]
    fn meet<Q: Run<S>>(&mut self, tile: &Tile, run: Q, g: usize, x: [&QuantizedBlock; M]) {
        let simd = self.simd;
        if T::SUPER && S::SUMS_IN_HALVES {
            let scale = simd.iload(&tile.integer_scales[g]);
            let low = simd.and(scale, simd.isplat(0xffff));
            let factor = simd.or(low, simd.shl(scale, 16));
            add_dots_in_halves::<S, T, Q, M>(simd, run, g, x, factor, &mut self.scaled);
        } else {
            let dots = group_dots::<S, T, Q, M>(simd, run, g, x);
            self.add(tile, g, dots, x);
        }
    }

    /// Adds the exact dots of group `g`.
    #[inline(always)]
    pub fn add(&mut self, tile: &Tile, g: usize, dots: [S::I; M], x: [&QuantizedBlock; M]) {
        let simd = self.simd;
        if T::SUPER {
            let scale = simd.iload(&tile.integer_scales[g]);
            for (scaled, dots) in self.scaled.iter_mut().zip(dots) {
                *scaled = simd.iadd(*scaled, simd.imul(scale, dots));
            }
            return;
        }
        let scale = simd.load(&tile.scales[g]);
        for m in 0..M {
            let scaled = simd.mul(simd.splat(x[m].scales[g]), simd.to_f32(dots[m]));
            self.acc[m] = simd.fma(scale, scaled, self.acc[m]);
            if T::SCHEME.has_min {
                let sum = simd.splat(x[m].scaled_sums_32[g]);
                self.acc[m] = simd.fma(simd.load(&tile.mins[g]), sum, self.acc[m]);
            }
        }
    }

    /// After the last group: super-blocks join the results.
    #[inline(always)]
    pub fn finish(self, tile: &Tile, x: [&QuantizedBlock; M], out: &mut [[f32; GROUP]]) {
        let (simd, mut acc) = (self.simd, self.acc);
        for m in 0..M {
            if T::SUPER {
                let mut scaled = self.scaled[m];
                if T::SCHEME.offset != 0 {
                    let sums = pair_dots(simd, &tile.integer_scale_pairs, &x[m].sum_pairs_16);
                    let offsets = simd.imul(simd.isplat(T::SCHEME.offset), sums);
                    scaled = simd.isub(scaled, offsets);
                }
                let scale = simd.mul(simd.load(&tile.d), simd.splat(x[m].scales[0]));
                acc[m] = simd.fma(scale, simd.to_f32(scaled), acc[m]);
            }
            if T::SUPER && T::SCHEME.has_min {
                let minima = pair_dots(simd, &tile.integer_min_pairs, &x[m].sum_pairs_32);
                let factor = simd.mul(simd.load(&tile.min), simd.splat(-x[m].scales[0]));
                acc[m] = simd.fma(factor, simd.to_f32(minima), acc[m]);
            }
            simd.store(acc[m], &mut out[m]);
        }
    }
}

/// `Σ a · b` over pairs of 16-bit halves, in each lane of `a`.
#[inline(always)]
fn pair_dots<S: Simd, const N: usize>(simd: S, a: &[[i32; GROUP]; N], b: &[i32; N]) -> S::I {
    let mut dots = simd.isplat(0);
    for (a, b) in a.iter().zip(b) {
        dots = simd.dot16(dots, simd.iload(a), simd.isplat(*b));
    }
    dots
}
