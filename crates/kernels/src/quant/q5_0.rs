//! Q5_0: 32 values a block: an f16 scale, 32 fifth bits, 16 bytes of low nibbles (value `i` low, value `16 + i` high).
//! `x = d · (q − 16)`.

use super::{Block, BlockScheme, Scheme, Spec, half_at};

pub(super) const SPEC: Spec = Spec {
    name: "Q5_0",
    gguf_id: 6,
    safetensors: None,
    values: 32,
    bytes: 22,
    scheme: Scheme::Scaled(BlockScheme {
        unpack,
        offset: 16,
        group: 32,
        has_min: false,
        factors_at: &[0],
    }),
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
