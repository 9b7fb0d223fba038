//! Q8_0: 32 values a block: an f16 scale, 32 int8. `x = d · q`.
//!
//! The quants are offset by 128 when unpacked, so that they are never negative.

use super::{Block, BlockScheme, Scheme, Spec, half_at};

pub(super) const SPEC: Spec = Spec {
    name: "Q8_0",
    gguf_id: 8,
    safetensors: None,
    values: 32,
    bytes: 34,
    scheme: Scheme::Scaled(BlockScheme {
        unpack,
        offset: 128,
        group: 32,
        has_min: false,
        factors_at: &[0],
    }),
};

fn unpack(bytes: &[u8], block: &mut Block) {
    block.d = half_at(bytes, 0);
    for (quant, byte) in block.quants.iter_mut().zip(&bytes[2..34]) {
        *quant = byte ^ 0x80;
    }
}
