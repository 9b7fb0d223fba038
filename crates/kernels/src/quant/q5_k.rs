//! Q5_K: as Q4_K, with 32 bytes of fifth bits before the nibbles (bit `g` of byte `i`: value `i` of group `g`).

use super::q4_k::unpack_head;
use super::{Block, BlockScheme, Scheme, Spec};

pub(super) const SPEC: Spec = Spec {
    name: "Q5_K",
    gguf_id: 13,
    safetensors: None,
    values: 256,
    bytes: 176,
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
    let fifth = &bytes[16..48];
    for (pair, nibbles) in bytes[48..176].chunks_exact(32).enumerate() {
        for i in 0..32 {
            let bits = fifth[i] >> (2 * pair);
            block.quants[64 * pair + i] = nibbles[i] & 15 | (bits & 1) << 4;
            block.quants[64 * pair + 32 + i] = nibbles[i] >> 4 | (bits & 2) << 3;
        }
    }
}
