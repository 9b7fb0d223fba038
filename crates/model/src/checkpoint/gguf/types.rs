//! The tensor types of ggml: number, name, values and bytes a block.
//!
//! The table is longer than what the kernels compute with, so that other tensors can be listed and named.
//! Source: ggml's `ggml.h` and `ggml-common.h`.

use crate::checkpoint::tensor::Storage;
use kernels::Format;

/// One tensor type.
pub(super) struct GgmlType {
    pub(super) id: u32,
    pub(super) name: &'static str,
    pub(super) block: u64,
    pub(super) block_bytes: u64,
}

const fn row(id: u32, name: &'static str, block: u64, block_bytes: u64) -> GgmlType {
    GgmlType {
        id,
        name,
        block,
        block_bytes,
    }
}

const TYPES: &[GgmlType] = &[
    row(0, "F32", 1, 4),
    row(1, "F16", 1, 2),
    row(2, "Q4_0", 32, 18),
    row(3, "Q4_1", 32, 20),
    row(6, "Q5_0", 32, 22),
    row(7, "Q5_1", 32, 24),
    row(8, "Q8_0", 32, 34),
    row(9, "Q8_1", 32, 36),
    row(10, "Q2_K", 256, 84),
    row(11, "Q3_K", 256, 110),
    row(12, "Q4_K", 256, 144),
    row(13, "Q5_K", 256, 176),
    row(14, "Q6_K", 256, 210),
    row(15, "Q8_K", 256, 292),
    row(16, "IQ2_XXS", 256, 66),
    row(17, "IQ2_XS", 256, 74),
    row(18, "IQ3_XXS", 256, 98),
    row(19, "IQ1_S", 256, 50),
    row(20, "IQ4_NL", 32, 18),
    row(21, "IQ3_S", 256, 110),
    row(22, "IQ2_S", 256, 82),
    row(23, "IQ4_XS", 256, 136),
    row(24, "I8", 1, 1),
    row(25, "I16", 1, 2),
    row(26, "I32", 1, 4),
    row(27, "I64", 1, 8),
    row(28, "F64", 1, 8),
    row(29, "IQ1_M", 256, 56),
    row(30, "BF16", 1, 2),
    row(34, "TQ1_0", 256, 54),
    row(35, "TQ2_0", 256, 66),
    row(39, "MXFP4", 32, 17),
    row(40, "NVFP4", 64, 36),
];

/// The type with that number.
pub(super) fn by_id(id: u32) -> Option<&'static GgmlType> {
    TYPES.iter().find(|kind| kind.id == id)
}

/// Names of the types the kernels compute with.
pub(super) fn supported() -> String {
    let names: Vec<_> = TYPES
        .iter()
        .filter(|kind| Format::from_gguf(kind.id).is_some())
        .map(|kind| kind.name)
        .collect();
    names.join(", ")
}

impl GgmlType {
    /// What the kernels make of it.
    pub(super) fn storage(&self) -> Storage {
        match Format::from_gguf(self.id) {
            Some(format) => Storage::Known(format),
            None => Storage::Unsupported(self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supported_types_agree_with_the_kernels() {
        let mut known = 0;
        for kind in TYPES {
            if let Some(format) = Format::from_gguf(kind.id) {
                known += 1;
                assert_eq!(format.name().to_uppercase(), kind.name);
                let cols = kind.block as usize * 3;
                assert_eq!(
                    format.row_bytes(cols).unwrap(),
                    kind.block_bytes as usize * 3,
                    "{}",
                    kind.name
                );
            }
        }
        assert_eq!(known, 11, "{}", supported());
    }
}
