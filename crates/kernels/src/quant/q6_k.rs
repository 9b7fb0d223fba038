//! Q6_K: 256 values a block in 16 groups of 16: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 int8 scales,
//! an f16 `d`. `x = d · scale · (q − 32)`.
//!
//! Each half of 128 values has 64 bytes of nibbles (values 0..64 low, 64..128 high) and 32 bytes of pairs (values
//! 0..32 in the lowest two bits, 32..64 in the next, and so on).

use super::{Block, BlockScheme, Scheme, Spec, half_at};

pub(super) const SPEC: Spec = Spec {
    name: "Q6_K",
    gguf_id: 14,
    safetensors: None,
    values: 256,
    bytes: 210,
    scheme: Scheme::Super(BlockScheme {
        unpack,
        offset: 32,
        group: 16,
        has_min: false,
        factors_at: &[208],
    }),
};

fn unpack(bytes: &[u8], block: &mut Block) {
    let (nibbles, pairs) = (&bytes[..128], &bytes[128..192]);
    for (i, quant) in block.quants.iter_mut().enumerate() {
        let (half, within) = (i / 128, i % 128);
        let nibble = nibbles[64 * half + within % 64] >> (within / 64 * 4) & 15;
        let pair = pairs[32 * half + within % 32] >> (within / 32 * 2) & 3;
        *quant = nibble | pair << 4;
    }
    for (scale, byte) in block.scales.iter_mut().zip(&bytes[192..208]) {
        *scale = i32::from(*byte as i8);
    }
    block.d = half_at(bytes, 208);
}
