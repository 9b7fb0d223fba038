//! Sixteen weight rows by one activation block, unpacked so that each lane holds a row: what fast products read.
//!
//! Each format unpacks its own bytes ([`Tiled`]), wherever they lie ([`SixteenRows`]); the products (`cpu/matmul.rs`)
//! see no bytes.

use super::BlockScheme;
use super::order::SixteenRows;
use crate::simd::Simd;

/// Values of a row in a tile: those that share an activation scale.
pub(crate) const TILE_VALUES: usize = 256;

/// The tile. What a format has no use for stays as it is.
#[repr(align(64))]
pub(crate) struct Tile {
    /// `quants[c]`: lane = row, its four bytes = the stored quants of values `4c..4c + 4`. Products that need the quants
    /// of a tile once take them from [`Tiled::span`] instead.
    pub quants: [[i32; 16]; TILE_VALUES / 4],
    /// Scaled formats: the f16 scales of each group of 32.
    pub scales: [[f32; 16]; 8],
    /// Scaled formats: the minima of each group of 32.
    pub mins: [[f32; 16]; 8],
    /// Super-block formats: the integer scales of each group.
    pub integer_scales: [[i32; 16]; 16],
    /// Super-block formats with an offset: the integer scales of groups `2p` (low 16 bits) and `2p + 1` (high).
    pub integer_scale_pairs: [[i32; 16]; 8],
    /// Super-block formats: the integer minima of groups `2p` (low 16 bits) and `2p + 1` (high).
    pub integer_min_pairs: [[i32; 16]; 4],
    /// Super-block formats: the factor of the scales.
    pub d: [f32; 16],
    /// Super-block formats: the factor of the minima.
    pub min: [f32; 16],
}

impl Tile {
    pub fn new() -> Tile {
        Tile {
            quants: [[0; 16]; TILE_VALUES / 4],
            scales: [[0.0; 16]; 8],
            mins: [[0.0; 16]; 8],
            integer_scales: [[0; 16]; 16],
            integer_scale_pairs: [[0; 16]; 8],
            integer_min_pairs: [[0; 16]; 4],
            d: [0.0; 16],
            min: [0.0; 16],
        }
    }
}

/// A format with blocks, as tiles. `rows` below are, of each row, the bytes of `groups` blocks of 32 values, or of one
/// super-block.
pub(crate) trait Tiled {
    /// Its scheme in the table.
    const SCHEME: &'static BlockScheme;
    /// Whether a block is a super-block of 256.
    const SUPER: bool;
    /// Four values of each row a word; what is unpacked at once: some whole groups.
    type Span<I: Copy>: AsRef<[I]>;
    /// Words of a span.
    const SPAN: usize = if Self::SUPER { 16 } else { 8 };
    /// Words of a group.
    const WORDS: usize = Self::SCHEME.group / 4;

    /// The group that run `i` of span `s` holds.
    #[inline(always)]
    fn group(s: usize, i: usize) -> usize {
        s * (Self::SPAN / Self::WORDS) + i
    }

    /// Fills the tile's scales and minima.
    fn head<S: Simd, R: SixteenRows>(simd: S, rows: R, groups: usize, tile: &mut Tile);

    /// The stored quants of span `s`.
    fn span<S: Simd, R: SixteenRows>(simd: S, rows: R, s: usize) -> Self::Span<S::I>;
}

impl Tile {
    /// Unpacks everything.
    #[inline(always)]
    pub fn fill<S: Simd, T: Tiled, R: SixteenRows>(&mut self, simd: S, rows: R, groups: usize) {
        T::head(simd, rows, groups, self);
        for s in 0..groups * T::WORDS / T::SPAN {
            let span = T::span(simd, rows, s);
            for (i, run) in span.as_ref().chunks_exact(T::WORDS).enumerate() {
                let first = T::group(s, i) * T::WORDS;
                for (quants, out) in run.iter().zip(&mut self.quants[first..first + T::WORDS]) {
                    simd.istore(*quants, out);
                }
            }
        }
    }
}

/// Sixteen bytes of nibbles a lane: values `0..16` are the low ones, `16..32` the high.
#[inline(always)]
pub(super) fn nibbles<S: Simd>(simd: S, bytes: [S::I; 4]) -> [S::I; 8] {
    let mask = simd.isplat(0x0f0f_0f0f);
    let [a, b, c, d] = bytes;
    [
        simd.and(a, mask),
        simd.and(b, mask),
        simd.and(c, mask),
        simd.and(d, mask),
        simd.and(simd.shr(a, 4), mask),
        simd.and(simd.shr(b, 4), mask),
        simd.and(simd.shr(c, 4), mask),
        simd.and(simd.shr(d, 4), mask),
    ]
}

/// Adds bit `i` of each lane's word to value `i` as its fifth bit.
#[inline(always)]
pub(super) fn add_fifth_bits<S: Simd>(simd: S, word: S::I, mut quants: [S::I; 8]) -> [S::I; 8] {
    for (c, quants) in quants.iter_mut().enumerate() {
        let four = simd.and(simd.shr(word, 4 * c as u32), simd.isplat(0xf));
        // Copies 7 bits apart: bit i of the four comes to lie at bit 8i, and no two meet.
        let spread = simd.imul(four, simd.isplat(1 | 1 << 7 | 1 << 14 | 1 << 21));
        let bits = simd.and(spread, simd.isplat(0x0101_0101));
        *quants = simd.or(*quants, simd.shl(bits, 4));
    }
    quants
}
