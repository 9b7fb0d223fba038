//! Q5_0: 32 values a block: an f16 scale, 32 fifth bits, 16 bytes of low nibbles (value `i` low, value `16 + i` high).
//! `x = d · (q − 16)`.

use super::order::SixteenRows;
use super::q4_0::pack_nibbles;
use super::tile::{Tile, Tiled, add_fifth_bits, nibbles};
use super::{Block, BlockScheme, Scheme, Spec, fit, half_at, put_half};
use crate::simd::Simd;

pub(super) const SPEC: Spec = Spec {
    name: "Q5_0",
    gguf_id: 6,
    safetensors: None,
    values: 32,
    bytes: 22,
    scheme: Scheme::Scaled(SCHEME),
};

const SCHEME: BlockScheme = BlockScheme {
    unpack,
    pack,
    fit: fit::scaled,
    offset: 16,
    most: 31,
    group: 32,
    has_min: false,
    factors_at: &[0],
};

fn unpack(bytes: &[u8], block: &mut Block) {
    block.d = half_at(bytes, 0);
    unpack_quants(&bytes[2..6], &bytes[6..22], block);
}

/// Joins 4 bytes of fifth bits (bit `i` of the word: value `i`) with 16 bytes of nibbles.
pub(super) fn unpack_quants(fifth: &[u8], nibbles: &[u8], block: &mut Block) {
    let fifth = u32::from_le_bytes([fifth[0], fifth[1], fifth[2], fifth[3]]);
    let bit = |i: usize| ((fifth >> i) & 1) as u8;
    for (i, byte) in nibbles.iter().enumerate() {
        block.quants[i] = byte & 15 | bit(i) << 4;
        block.quants[16 + i] = byte >> 4 | bit(16 + i) << 4;
    }
}

fn pack(block: &Block, bytes: &mut [u8]) {
    put_half(bytes, 0, block.d);
    pack_quants(block, &mut bytes[2..22]);
}

/// 4 bytes of fifth bits and 16 of nibbles, as [`unpack_quants`] takes them.
pub(super) fn pack_quants(block: &Block, bytes: &mut [u8]) {
    let bit = |i: usize| u32::from(block.quants[i] >> 4) << i;
    let fifth: u32 = (0..32).map(bit).sum();
    bytes[..4].copy_from_slice(&fifth.to_le_bytes());
    pack_nibbles(block, &mut bytes[4..20]);
}

/// The format as tiles.
pub(crate) struct Q5_0;

impl Tiled for Q5_0 {
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
        let at = s * SPEC.bytes;
        let quants = nibbles(simd, rows.words(simd, at + 6));
        add_fifth_bits(simd, rows.word(simd, at + 2), quants)
    }
}
