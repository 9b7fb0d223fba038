//! Q5_K: as Q4_K, with 32 bytes of fifth bits before the nibbles (bit `g` of byte `i`: value `i` of group `g`).

use super::order::SixteenRows;
use super::q4_k::{load_head, pack_head, unpack_head};
use super::tile::{Tile, Tiled, nibbles};
use super::{Block, BlockScheme, Scheme, Spec, fit};
use crate::simd::Simd;

pub(super) const SPEC: Spec = Spec {
    name: "Q5_K",
    gguf_id: 13,
    safetensors: None,
    values: 256,
    bytes: 176,
    scheme: Scheme::Super(SCHEME),
};

const SCHEME: BlockScheme = BlockScheme {
    unpack,
    pack,
    fit: fit::grouped,
    offset: 0,
    most: 31,
    group: 32,
    has_min: true,
    factors_at: &[0, 2],
};

fn unpack(bytes: &[u8], block: &mut Block) {
    unpack_head(bytes, block);
    let fifth = &bytes[16..48];
    for (pair, nibbles) in bytes[48..176].chunks_exact(32).enumerate() {
        for i in 0..32 {
            let bits = fifth[i] >> (2 * pair);
            block.quants[64 * pair + i] = nibbles[i] & 15 | (bits & 1) << 4;
            block.quants[64 * pair + 32 + i] = nibbles[i] >> 4 | (bits & 2) << 3;
        }
    }
}

fn pack(block: &Block, bytes: &mut [u8]) {
    pack_head(block, bytes);
    let (fifth, nibbles) = bytes[16..176].split_at_mut(32);
    fifth.fill(0);
    for (pair, nibbles) in nibbles.chunks_exact_mut(32).enumerate() {
        let quants = &block.quants[64 * pair..64 * pair + 64];
        for i in 0..32 {
            let (low, high) = (quants[i], quants[32 + i]);
            nibbles[i] = low & 15 | high << 4;
            fifth[i] |= (low >> 4 | high >> 4 << 1) << (2 * pair);
        }
    }
}

/// The format as tiles.
pub(crate) struct Q5K;

impl Tiled for Q5K {
    const SCHEME: &'static BlockScheme = &SCHEME;
    const SUPER: bool = true;
    type Span<I: Copy> = [I; 16];

    #[inline(always)]
    fn head<S: Simd, R: SixteenRows>(simd: S, rows: R, _groups: usize, tile: &mut Tile) {
        load_head(simd, rows, tile);
    }

    #[inline(always)]
    fn span<S: Simd, R: SixteenRows>(simd: S, rows: R, s: usize) -> [S::I; 16] {
        let bit = simd.isplat(0x1010_1010);
        let mut quants = [bit; 16];
        for half in 0..2 {
            let fifth = rows.words(simd, 16 + 16 * half);
            let nibbles = nibbles(simd, rows.words(simd, 48 + 32 * s + 16 * half));
            for c in 0..4 {
                let bits = simd.shr(fifth[c], 2 * s as u32);
                let (low, high) = (simd.shl(bits, 4), simd.shl(bits, 3));
                quants[4 * half + c] = simd.or(nibbles[c], simd.and(low, bit));
                quants[8 + 4 * half + c] = simd.or(nibbles[4 + c], simd.and(high, bit));
            }
        }
        quants
    }
}
