//! F32: four bytes a value, little-endian.

use super::{Scheme, Spec};

pub(super) const SPEC: Spec = Spec {
    name: "F32",
    gguf_id: 0,
    safetensors: Some("F32"),
    values: 1,
    bytes: 4,
    scheme: Scheme::Plain { read, write },
};

fn read(b: &[u8]) -> f32 {
    f32::from_le_bytes([b[0], b[1], b[2], b[3]])
}

fn write(x: f32, b: &mut [u8]) {
    b.copy_from_slice(&x.to_le_bytes());
}
