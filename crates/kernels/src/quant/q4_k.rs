//! Q4_K: 256 values a block in 8 groups of 32: f16 `d` and `dmin`, 12 bytes of 6-bit scales and minima, 128 bytes of
//! 4-bit quants (each 32 bytes: one group low, the next high). `x = d · scale · q − dmin · min`.

use super::{Block, BlockScheme, Scheme, Spec, half_at};

pub(super) const SPEC: Spec = Spec {
    name: "Q4_K",
    gguf_id: 12,
    safetensors: None,
    values: 256,
    bytes: 144,
    scheme: Scheme::Super(BlockScheme {
        unpack,
        offset: 0,
        group: 32,
        has_min: true,
        factors_at: &[0, 2],
    }),
};

fn unpack(bytes: &[u8], block: &mut Block) {
    unpack_head(bytes, block);
    let pairs = block.quants.chunks_exact_mut(64);
    for (quants, bytes) in pairs.zip(bytes[16..144].chunks_exact(32)) {
        for (i, byte) in bytes.iter().enumerate() {
            quants[i] = byte & 15;
            quants[32 + i] = byte >> 4;
        }
    }
}

/// `d`, `dmin` and the 8 scales and minima, as Q4_K and Q5_K both begin.
///
/// Groups 0..4: the low 6 bits of bytes 0..4 (scales) and 4..8 (minima). Groups 4..8: low and high nibbles of bytes
/// 8..12, with the upper two bits of bytes 0..8 on top.
pub(super) fn unpack_head(bytes: &[u8], block: &mut Block) {
    block.d = half_at(bytes, 0);
    block.min = half_at(bytes, 2);
    let packed = &bytes[4..16];
    for g in 0..4 {
        let (scale, min, high) = (packed[g], packed[4 + g], packed[8 + g]);
        block.scales[g] = i32::from(scale & 63);
        block.mins[g] = i32::from(min & 63);
        block.scales[4 + g] = i32::from(high & 15 | scale >> 6 << 4);
        block.mins[4 + g] = i32::from(high >> 4 | min >> 6 << 4);
    }
}
