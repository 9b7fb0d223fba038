//! Q5_1: 32 values a block: f16 scale and minimum, then fifth bits and nibbles as in Q5_0. `x = d · q + min`.

use super::order::SixteenRows;
use super::q4_1::scales_and_mins;
use super::q5_0::{pack_quants, unpack_quants};
use super::tile::{Tile, Tiled, add_fifth_bits, nibbles};
use super::{Block, BlockScheme, Scheme, Spec, fit, half_at, put_half};
use crate::simd::Simd;

pub(super) const SPEC: Spec = Spec {
    name: "Q5_1",
    gguf_id: 7,
    safetensors: None,
    values: 32,
    bytes: 24,
    scheme: Scheme::Scaled(SCHEME),
};

const SCHEME: BlockScheme = BlockScheme {
    unpack,
    pack,
    fit: fit::scaled,
    offset: 0,
    most: 31,
    group: 32,
    has_min: true,
    factors_at: &[0, 2],
};

fn unpack(bytes: &[u8], block: &mut Block) {
    block.d = half_at(bytes, 0);
    block.min = half_at(bytes, 2);
    unpack_quants(&bytes[4..8], &bytes[8..24], block);
}

fn pack(block: &Block, bytes: &mut [u8]) {
    put_half(bytes, 0, block.d);
    put_half(bytes, 2, block.min);
    pack_quants(block, &mut bytes[4..24]);
}

/// The format as tiles.
pub(crate) struct Q5_1;

impl Tiled for Q5_1 {
    const SCHEME: &'static BlockScheme = &SCHEME;
    const SUPER: bool = false;
    type Span<I: Copy> = [I; 8];

    #[inline(always)]
    fn head<S: Simd, R: SixteenRows>(simd: S, rows: R, groups: usize, tile: &mut Tile) {
        scales_and_mins(simd, rows, SPEC.bytes, groups, tile);
    }

    #[inline(always)]
    fn span<S: Simd, R: SixteenRows>(simd: S, rows: R, s: usize) -> [S::I; 8] {
        let at = s * SPEC.bytes;
        let quants = nibbles(simd, rows.words(simd, at + 8));
        add_fifth_bits(simd, rows.word(simd, at + 4), quants)
    }
}
