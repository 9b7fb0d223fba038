//! Q5_1: 32 values a block: f16 scale and minimum, then fifth bits and nibbles as in Q5_0. `x = d · q + min`.

use super::q5_0::{pack_quants, unpack_quants};
use super::tile::{Tile, Tiled, add_fifth_bits, nibbles, store, words};
use super::{Block, BlockScheme, Scheme, Spec, fit, half_at, put_half};
use crate::simd::{Lanes, Simd};

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

    #[inline(always)]
    fn load<S: Simd>(simd: S, lanes: &Lanes, groups: usize, tile: &mut Tile) {
        for g in 0..groups {
            let at = g * SPEC.bytes;
            simd.store(lanes.halves(simd, at), &mut tile.scales[g]);
            simd.store(lanes.halves(simd, at + 2), &mut tile.mins[g]);
            let mut quants = nibbles(simd, simd.transpose(lanes.at(at + 8)));
            add_fifth_bits(simd, words(simd, lanes, at + 4), &mut quants);
            store(simd, quants, tile, 8 * g);
        }
    }
}
