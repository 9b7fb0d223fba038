//! F16: two bytes a value, IEEE half precision, little-endian.

use super::{Scheme, Spec, half_at, put_half};

pub(super) const SPEC: Spec = Spec {
    name: "F16",
    gguf_id: 1,
    safetensors: Some("F16"),
    values: 1,
    bytes: 2,
    scheme: Scheme::Plain { read, write },
};

fn read(b: &[u8]) -> f32 {
    half_at(b, 0)
}

fn write(x: f32, b: &mut [u8]) {
    put_half(b, 0, x);
}
