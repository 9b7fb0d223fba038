//! The bytes of the model that is part of the program: `models/mini`. A crate of its own, so that 27 MiB are not compiled
//! again with every change of the program. It must not know what they mean.

/// Puts bytes where values of any type may lie.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

static ALIGNED: &Aligned<[u8]> =
    &Aligned(*include_bytes!("../../../models/mini/model.safetensors"));

/// Weights, text model and vision tower: `model.safetensors`, aligned to 64 bytes.
pub static WEIGHTS: &[u8] = &ALIGNED.0;
/// `config.json`
pub static CONFIG: &[u8] = include_bytes!("../../../models/mini/config.json");
/// Vocabulary: `tekken.json`
pub static TEKKEN: &[u8] = include_bytes!("../../../models/mini/tekken.json");
/// How to draw tokens: `generation_config.json`
pub static GENERATION_CONFIG: &[u8] = include_bytes!("../../../models/mini/generation_config.json");
