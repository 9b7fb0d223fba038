//! F16: two bytes a value, IEEE half precision, little-endian.

use super::{Scheme, Spec, half_at};

pub(super) const SPEC: Spec = Spec {
    name: "F16",
    gguf_id: 1,
    safetensors: Some("F16"),
    values: 1,
    bytes: 2,
    scheme: Scheme::Plain { read },
};

fn read(b: &[u8]) -> f32 {
    half_at(b, 0)
}
