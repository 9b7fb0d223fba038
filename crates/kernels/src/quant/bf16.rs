//! BF16: two bytes a value, the upper half of an f32, little-endian.

use super::{Scheme, Spec};
use crate::float::{bf16_to_f32, f32_to_bf16};

pub(super) const SPEC: Spec = Spec {
    name: "BF16",
    gguf_id: 30,
    safetensors: Some("BF16"),
    values: 1,
    bytes: 2,
    scheme: Scheme::Plain { read, write },
};

fn read(b: &[u8]) -> f32 {
    bf16_to_f32(u16::from_le_bytes([b[0], b[1]]))
}

fn write(x: f32, b: &mut [u8]) {
    b.copy_from_slice(&f32_to_bf16(x).to_le_bytes());
}
