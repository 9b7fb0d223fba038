//! Q5_1: 32 values a block: f16 scale and minimum, then fifth bits and nibbles as in Q5_0. `x = d · q + min`.

use super::q5_0::unpack_quants;
use super::{Block, BlockScheme, Scheme, Spec, half_at};

pub(super) const SPEC: Spec = Spec {
    name: "Q5_1",
    gguf_id: 7,
    safetensors: None,
    values: 32,
    bytes: 24,
    scheme: Scheme::Scaled(BlockScheme {
        unpack,
        offset: 0,
        group: 32,
        has_min: true,
        factors_at: &[0, 2],
    }),
};

fn unpack(bytes: &[u8], block: &mut Block) {
    block.d = half_at(bytes, 0);
    block.min = half_at(bytes, 2);
    unpack_quants(&bytes[4..8], &bytes[8..24], block);
}
