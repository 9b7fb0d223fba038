//! Q4_1: 32 values a block: f16 scale and minimum, 16 bytes of 4-bit quants (value `i` low, value `16 + i` high).
//! `x = d · q + min`.

use super::order::SixteenRows;
use super::q4_0::pack_nibbles;
use super::tile::{Tile, Tiled, nibbles};
use super::{Block, BlockScheme, Scheme, Spec, fit, half_at, put_half};
use crate::simd::Simd;

pub(super) const SPEC: Spec = Spec {
    name: "Q4_1",
    gguf_id: 3,
    safetensors: None,
    values: 32,
    bytes: 20,
    scheme: Scheme::Scaled(SCHEME),
};

const SCHEME: BlockScheme = BlockScheme {
    unpack,
    pack,
    fit: fit::scaled,
    offset: 0,
    most: 15,
    group: 32,
    has_min: true,
    factors_at: &[0, 2],
};

fn unpack(bytes: &[u8], block: &mut Block) {
    block.d = half_at(bytes, 0);
    block.min = half_at(bytes, 2);
    for (i, byte) in bytes[4..20].iter().enumerate() {
        block.quants[i] = byte & 15;
        block.quants[16 + i] = byte >> 4;
    }
}

fn pack(block: &Block, bytes: &mut [u8]) {
    put_half(bytes, 0, block.d);
    put_half(bytes, 2, block.min);
    pack_nibbles(block, &mut bytes[4..20]);
}

/// The format as tiles.
pub(crate) struct Q4_1;

impl Tiled for Q4_1 {
    const SCHEME: &'static BlockScheme = &SCHEME;
    const SUPER: bool = false;
    type Span<I: Copy> = [I; 8];

    #[inline(always)]
    fn head<S: Simd, R: SixteenRows>(simd: S, rows: R, groups: usize, tile: &mut Tile) {
        scales_and_mins(simd, rows, SPEC.bytes, groups, tile);
    }

    #[inline(always)]
    fn span<S: Simd, R: SixteenRows>(simd: S, rows: R, s: usize) -> [S::I; 8] {
        nibbles(simd, rows.words(simd, s * SPEC.bytes + 4))
    }
}

/// The f16 scale and minimum that blocks of Q4_1 and Q5_1 begin with.
#[inline(always)]
pub(super) fn scales_and_mins<S: Simd, R: SixteenRows>(
    simd: S,
    rows: R,
    block_bytes: usize,
    groups: usize,
    tile: &mut Tile,
) {
    for g in 0..groups {
        let at = g * block_bytes;
        simd.store(rows.halves(simd, at), &mut tile.scales[g]);
        simd.store(rows.halves(simd, at + 2), &mut tile.mins[g]);
    }
}
