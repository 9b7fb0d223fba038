//! Q4_0: 32 values a block: an f16 scale, 16 bytes of 4-bit quants (value `i` low, value `16 + i` high).
//! `x = d · (q − 8)`.

use super::order::SixteenRows;
use super::tile::{Tile, Tiled, nibbles};
use super::{Block, BlockScheme, Scheme, Spec, fit, half_at, put_half};
use crate::simd::Simd;

pub(super) const SPEC: Spec = Spec {
    name: "Q4_0",
    gguf_id: 2,
    safetensors: None,
    values: 32,
    bytes: 18,
    scheme: Scheme::Scaled(SCHEME),
};

const SCHEME: BlockScheme = BlockScheme {
    unpack,
    pack,
    fit: fit::scaled,
    offset: 8,
    most: 15,
    group: 32,
    has_min: false,
    factors_at: &[0],
};

fn unpack(bytes: &[u8], block: &mut Block) {
    block.d = half_at(bytes, 0);
    for (i, byte) in bytes[2..18].iter().enumerate() {
        block.quants[i] = byte & 15;
        block.quants[16 + i] = byte >> 4;
    }
}

fn pack(block: &Block, bytes: &mut [u8]) {
    put_half(bytes, 0, block.d);
    pack_nibbles(block, &mut bytes[2..18]);
}

/// The low four bits of 32 quants: value `i` low, value `16 + i` high.
pub(super) fn pack_nibbles(block: &Block, bytes: &mut [u8]) {
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = block.quants[i] & 15 | block.quants[16 + i] << 4;
    }
}

/// The format as tiles.
pub(crate) struct Q4_0;

impl Tiled for Q4_0 {
    const SCHEME: &'static BlockScheme = &SCHEME;
    const SUPER: bool = false;
    type Span<I: Copy> = [I; 8];

    #[inline(always)]
    fn head<S: Simd, R: SixteenRows>(simd: S, rows: R, groups: usize, tile: &mut Tile) {
        for g in 0..groups {
            simd.store(rows.halves(simd, g * SPEC.bytes), &mut tile.scales[g]);
        }
    }

    #[inline(always)]
    fn span<S: Simd, R: SixteenRows>(simd: S, rows: R, s: usize) -> [S::I; 8] {
        nibbles(simd, rows.words(simd, s * SPEC.bytes + 2))
    }
}
