//! Formats with blocks on a tile unit: it gives the exact integer sums of up to sixteen activation rows at once, which the
//! lanes then scale as in `block`, so that every bit is the same.

use super::super::operand::QuantizedBlock;
use super::super::tile_unit::{
    Dots, GROUPS, PANEL_ROWS, Planes, Quants, ReadyUnit, STEP_WORDS, TileUnit,
};
use super::GROUP;
use super::block::{BlockProduct, Stretch, Sums, blocks_of, start_dots};
use crate::quant::tile::{TILE_VALUES, Tile, Tiled};
use crate::simd::{Kernel, Simd};

/// From how many rows on the unit is worth its while. (Measured once, on kernels like these on a Sapphire Rapids machine,
/// never on these: folded scales win 20 % at 8 rows; without folding 8 rows are a draw and 16 win by half.)
#[cfg(target_arch = "x86_64")]
pub(super) const fn least_rows<T: Tiled>() -> usize {
    if folds::<T>() { 8 } else { 16 }
}

/// Whether a super-block's integer scales can be multiplied into its quants: scales of six bits, no offset. A scale's
/// lower three bits and its upper three times a quant are each at most 7 · 31, so two planes of unsigned bytes hold the
/// products, and the unit sums over a whole tile: twice as much a step, and two sums to scale instead of eight.
const fn folds<T: Tiled>() -> bool {
    T::SUPER && T::SCHEME.offset == 0 && T::SCHEME.most <= 31
}

/// The product of a format with blocks, by a tile unit and lanes.
pub(super) struct TileProduct<'a, T, U> {
    pub product: BlockProduct<'a, T>,
    pub unit: U,
    pub scratch: &'a mut Scratch,
}

/// What the unit reads and writes.
pub(crate) struct Scratch {
    /// A panel of rows that do not follow one another.
    rows: [QuantizedBlock; PANEL_ROWS],
    planes: Planes,
    /// Of each group; of each plane, if scales are folded.
    dots: [Dots; 16],
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch {
            rows: [QuantizedBlock::ZERO; PANEL_ROWS],
            planes: Planes([[[0; 16]; TILE_VALUES / 4]; 2]),
            dots: [Dots::ZERO; 16],
        }
    }
}

impl<T: Tiled, U: TileUnit> Kernel for TileProduct<'_, T, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let BlockProduct {
            weights,
            operand,
            rows,
            tile,
            out,
            ..
        } = self.product;
        let scratch = self.scratch;
        out.fill([0.0; GROUP]);
        if rows.is_empty() {
            return;
        }
        // Panels of one height, as few as can be: the unit's time follows it.
        let height = rows.len().div_ceil(rows.len().div_ceil(PANEL_ROWS));
        let words = if folds::<T>() { STEP_WORDS } else { T::WORDS };
        // SAFETY: the only place that makes a unit ready for a kernel, and no kernel runs another.
        let unit = unsafe { self.unit.ready(height, words) };
        let in_file_order = weights.lanes_in_file_order();
        for b in 0..weights.cols.div_ceil(TILE_VALUES) {
            let stretch = Stretch::of::<T>(&weights, b);
            stretch.unpack::<S, T>(simd, &weights, in_file_order.as_ref(), tile);
            if folds::<T>() {
                fold_scales::<S, T>(simd, tile, &mut scratch.planes);
            }
            let x = operand.quantized(T::SUPER, b);
            for (rows, out) in rows.chunks(height).zip(out.chunks_mut(height)) {
                let panel = panel(x, rows, height, &mut scratch.rows);
                if folds::<T>() {
                    unit.planes(panel, &scratch.planes, &mut scratch.dots);
                } else {
                    for first in (0..stretch.groups).step_by(GROUPS) {
                        let dots = &mut scratch.dots[first..first + GROUPS];
                        unit.groups(panel, &tile.quants, first, dots);
                    }
                }
                scale::<S, T>(simd, tile, stretch.groups, &scratch.dots, x, rows, out);
            }
        }
    }
}

/// The activations of these rows, one after another: where they lie if they do so there, else copied. Of `height` blocks
/// those past `rows` hold anything.
#[inline(always)]
fn panel<'a>(
    x: &'a [QuantizedBlock],
    rows: &[u32],
    height: usize,
    copies: &'a mut [QuantizedBlock; PANEL_ROWS],
) -> &'a [QuantizedBlock] {
    let first = rows[0] as usize;
    let mut follow = rows.len() == height;
    for (i, row) in rows.iter().enumerate() {
        follow &= *row as usize == first + i;
    }
    if follow {
        return &x[first..first + height];
    }
    for (copy, row) in copies.iter_mut().zip(rows) {
        copy.quants = x[*row as usize].quants;
    }
    &copies[..height]
}

/// Multiplies the integer scales into the quants: their lower three bits in the first plane, the upper in the second.
#[inline(always)]
fn fold_scales<S: Simd, T: Tiled>(simd: S, tile: &Tile, planes: &mut Planes) {
    let three_bits = simd.isplat(0x0007_0007);
    let [low_plane, high_plane]: &mut [Quants; 2] = &mut planes.0;
    for g in 0..TILE_VALUES / T::SCHEME.group {
        let scale = simd.iload(&tile.integer_scales[g]);
        let halves = simd.or(scale, simd.shl(scale, 16));
        let low = simd.and(halves, three_bits);
        let high = simd.and(simd.shr(halves, 3), three_bits);
        for c in g * T::WORDS..(g + 1) * T::WORDS {
            let quants = simd.iload(&tile.quants[c]);
            simd.istore(simd.scale_bytes(quants, low), &mut low_plane[c]);
            simd.istore(simd.scale_bytes(quants, high), &mut high_plane[c]);
        }
    }
}

/// The panel's dots join the results of its rows.
#[inline(always)]
fn scale<S: Simd, T: Tiled>(
    simd: S,
    tile: &Tile,
    groups: usize,
    dots: &[Dots; 16],
    x: &[QuantizedBlock],
    rows: &[u32],
    out: &mut [[f32; GROUP]],
) {
    let (fours, rest) = rows.as_chunks::<4>();
    let (outs, rest_outs) = out.as_chunks_mut::<4>();
    for (i, (rows, out)) in fours.iter().zip(outs).enumerate() {
        scale_rows::<S, T, 4>(simd, tile, groups, dots, 4 * i, blocks_of(x, rows), out);
    }
    let first = rows.len() - rest.len();
    for (i, (row, out)) in rest.iter().zip(rest_outs.chunks_exact_mut(1)).enumerate() {
        let x = blocks_of(x, &[*row]);
        scale_rows::<S, T, 1>(simd, tile, groups, dots, first + i, x, out);
    }
}

/// Rows `first..first + M` of a panel.
#[inline(always)]
fn scale_rows<S: Simd, T: Tiled, const M: usize>(
    simd: S,
    tile: &Tile,
    groups: usize,
    dots: &[Dots; 16],
    first: usize,
    x: [&QuantizedBlock; M],
    out: &mut [[f32; GROUP]],
) {
    let mut sums = Sums::<S, T, M>::load(simd, out);
    if folds::<T>() {
        for m in 0..M {
            let low = simd.iload(&dots[0].0[first + m]);
            let high = simd.iload(&dots[1].0[first + m]);
            sums.scaled[m] = simd.iadd(low, simd.shl(high, 3));
        }
    } else {
        for g in 0..groups {
            let mut with_offset = start_dots::<S, T, M>(simd, g, x);
            for (sum, dots) in with_offset.iter_mut().zip(&dots[g].0[first..first + M]) {
                *sum = simd.iadd(*sum, simd.iload(dots));
            }
            sums.add(tile, g, with_offset, x);
        }
    }
    sums.finish(tile, x, out);
}

#[cfg(test)]
mod tests {
    use super::super::super::Cpu;
    use super::super::super::isa::Isa;
    use super::super::super::operand::{Forms, Operand};
    use super::super::super::tile_unit::Exact;
    use super::super::Weights;
    use super::*;
    use crate::matrix::Matrix;
    use crate::memory::Bytes;
    use crate::quant::{Format, Scheme, with_block_format};
    use crate::reference::product;
    use std::marker::PhantomData;

    /// Factors: ordinary ones, the nastiest finite ones, and some that are not finite.
    #[derive(Clone, Copy, Debug)]
    enum Factors {
        Ordinary,
        Extreme,
        NotFinite,
    }

    struct Random(u32);

    impl Random {
        fn byte(&mut self) -> u8 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 24) as u8
        }

        fn value(&mut self) -> f32 {
            f32::from(self.byte()) - f32::from(self.byte()) + f32::from(self.byte()) / 256.0
        }

        fn factor(&mut self, kind: Factors) -> u16 {
            const EXTREME: [u16; 8] = [0x7bff, 0xfbff, 0x0001, 0x83ff, 0, 0x8000, 0x3c00, 0xb800];
            const NOT_FINITE: [u16; 4] = [0x7c00, 0xfc00, 0x7e01, 0x3c00];
            match kind {
                Factors::Extreme => EXTREME[usize::from(self.byte() % 8)],
                Factors::NotFinite if self.byte() < 5 => NOT_FINITE[usize::from(self.byte() % 4)],
                _ => half::f16::from_f32(self.value() / 4096.0).to_bits(),
            }
        }

        /// Every fourth matrix has all bits of its quants and integer scales set.
        fn weights(&mut self, format: Format, rows: usize, cols: usize, kind: Factors) -> Matrix {
            let full = self.byte() < 64;
            let len = format.row_bytes(cols).unwrap() * rows;
            let mut bytes: Vec<u8> = (0..len)
                .map(|_| if full { 0xff } else { self.byte() })
                .collect();
            let (Scheme::Scaled(scheme) | Scheme::Super(scheme)) = &format.spec().scheme else {
                panic!("a format with blocks");
            };
            for block in bytes.chunks_exact_mut(format.block_bytes()) {
                for at in scheme.factors_at {
                    block[*at..at + 2].copy_from_slice(&self.factor(kind).to_le_bytes());
                }
            }
            Matrix::new(format, rows, cols, Bytes::from(bytes)).unwrap()
        }

        /// Rows of every kind: ordinary, large beside small, nothing, not finite.
        fn activations(&mut self, row: usize, cols: usize) -> Vec<f32> {
            let mut x: Vec<f32> = (0..cols).map(|_| self.value()).collect();
            match row % 5 {
                1 => x.iter_mut().step_by(3).for_each(|x| *x *= 1e-6),
                2 => x.fill(0.0),
                3 => x[row % cols] = [f32::NAN, f32::INFINITY][row % 2],
                _ => {}
            }
            x
        }
    }

    const NUM_ROWS: usize = 89;

    /// The product of these rows by `unit`, each as wide as `weight` has rows.
    fn by_unit<U: TileUnit>(
        cpu: &Cpu,
        unit: U,
        weight: &Matrix,
        operand: &Operand,
        rows: &[u32],
    ) -> Vec<Vec<f32>> {
        let (mut scratch, mut tile) = (Scratch::new(), Tile::new());
        let mut results = vec![Vec::new(); rows.len()];
        for first in (0..weight.rows()).step_by(GROUP) {
            let mut out = vec![[7.0; GROUP]; rows.len()];
            with_block_format!(weight.format(), T => {
                let product = BlockProduct {
                    weights: Weights::new(weight, first),
                    operand,
                    rows,
                    tile: &mut tile,
                    out: &mut out,
                    format: PhantomData::<T>,
                };
                cpu.unit.run(TileProduct { product, unit, scratch: &mut scratch });
            }, plain => unreachable!("formats with blocks only"));
            for (result, out) in results.iter_mut().zip(&out) {
                result.extend(&out[..GROUP.min(weight.rows() - first)]);
            }
        }
        results
    }

    fn assert_same(found: &[f32], golden: &[f32], what: &str) {
        assert_eq!(found.len(), golden.len(), "{what}");
        for (i, (f, g)) in found.iter().zip(golden).enumerate() {
            let same = f.to_bits() == g.to_bits() || f.is_nan() && g.is_nan();
            assert!(same, "{what}: value {i} is {f:?}, the reference has {g:?}");
        }
    }

    /// Every number of rows from 1 to 70, following one another and scattered, weights in both orders.
    fn compare<U: TileUnit>(cpu: &Cpu, unit: U, counts: impl Iterator<Item = usize> + Clone) {
        let mut compared = 0;
        for format in Format::ALL.into_iter().filter(|f| f.block_values() > 1) {
            let shapes = match format.block_values() {
                32 => [(17, 288), (5, 96), (33, 512)],
                _ => [(17, 256), (1, 512), (33, 768)],
            };
            for ((out, cols), kind) in
                shapes
                    .into_iter()
                    .zip([Factors::Extreme, Factors::NotFinite, Factors::Ordinary])
            {
                let mut random = Random(cols as u32 + format as u32);
                let in_file_order = random.weights(format, out, cols, kind);
                let interleaved = in_file_order.slice_rows(0..out);
                cpu.interleave(&interleaved);
                assert!(interleaved.interleaved().is_some());
                let x: Vec<Vec<f32>> = (0..NUM_ROWS)
                    .map(|row| random.activations(row, cols))
                    .collect();
                let golden: Vec<Vec<f32>> = x
                    .iter()
                    .map(|x| {
                        let mut golden = vec![0.0; out];
                        product::product(x, &in_file_order, &mut golden);
                        golden
                    })
                    .collect();
                let rows = x.iter().map(Vec::as_slice).collect();
                let forms = Forms::of([format]);
                let operand = Operand::new(cpu.unit, &cpu.threads, &cpu.blocks, rows, forms);
                for count in counts.clone() {
                    let first = (NUM_ROWS - count) as u32 / 2;
                    let following: Vec<u32> = (first..first + count as u32).collect();
                    let scattered: Vec<u32> =
                        (0..count as u32).map(|i| (37 * i + 5) % 89).collect();
                    let pairs = [(&following, &interleaved), (&scattered, &in_file_order)];
                    for (rows, weight) in pairs {
                        let found = by_unit(cpu, unit, weight, &operand, rows);
                        for (found, row) in found.iter().zip(rows) {
                            let what = format!(
                                "{}, {kind:?} {} [{out}, {cols}], row {row} of {count}",
                                cpu.isa().name(),
                                format.name()
                            );
                            assert_same(found, &golden[*row as usize], &what);
                            compared += found.len();
                        }
                    }
                }
            }
        }
        println!("{compared} values on the lanes of {}", cpu.isa().name());
        assert!(compared > 1000);
    }

    #[test]
    fn panels_give_the_bits_of_the_reference_as_the_unit_is_described() {
        let fastest = Cpu::new(None, Some(1)).unwrap();
        compare(&fastest, Exact, 1..=70);
        let scalar = Cpu::new(Some(Isa::Scalar), Some(1)).unwrap();
        compare(&scalar, Exact, [1, 6, 16, 17, 35].into_iter());
    }

    #[test]
    fn panels_give_the_bits_of_the_reference_on_the_unit_itself() {
        #[cfg(target_arch = "x86_64")]
        if let Some(amx) = super::super::super::amx::Amx::detect() {
            let cpu = Cpu::new(Some(Isa::Amx), Some(1)).unwrap();
            return compare(&cpu, amx, 1..=70);
        }
        println!("skipped: amx (this machine does not have it)");
    }
}
