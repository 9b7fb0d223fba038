//! Storage formats of weights: one file a format, and the table of all of them.

use crate::KernelError;

/// A storage format of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// 32 int8, one f16 scale.
    Q8_0,
    /// 32 4-bit, one f16 scale, offset 8.
    Q4_0,
    /// 32 4-bit, f16 scale and minimum.
    Q4_1,
    /// 32 5-bit, one f16 scale, offset 16.
    Q5_0,
    /// 32 5-bit, f16 scale and minimum.
    Q5_1,
    /// 256 4-bit, 6-bit scales and minima a 32.
    Q4K,
    /// 256 5-bit, 6-bit scales and minima a 32.
    Q5K,
    /// 256 6-bit, int8 scales a 16.
    Q6K,
}

impl Format {
    /// The name users know.
    pub fn name(self) -> &'static str {
        unimplemented!()
    }
    /// Bytes of a row of `cols` values.
    pub fn row_bytes(self, cols: usize) -> Result<usize, KernelError> {
        let _ = cols;
        unimplemented!()
    }
    /// All values of whole blocks as f32.
    pub fn dequantize(self, bytes: &[u8], out: &mut [f32]) {
        let _ = (bytes, out);
        unimplemented!()
    }
    /// Whether a scale (quantised formats) or a value (plain ones) is NaN or infinite.
    pub fn has_non_finite(self, bytes: &[u8]) -> bool {
        let _ = bytes;
        unimplemented!()
    }
}
