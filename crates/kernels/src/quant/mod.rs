//! Storage formats of weights: one file a format, and the table of all of them.
//!
//! To add one: write `quant/<name>.rs` beside its siblings, then give it a variant, a row in `TABLE` and, if it has
//! blocks, a line in `with_block_format!`. Nothing outside this folder names a block's bytes.

use crate::KernelError;
use crate::float::{f16_to_f32, f32_to_f16};

mod bf16;
mod f16;
mod f32;
mod fit;
pub(crate) mod order;
pub(crate) mod q4_0;
pub(crate) mod q4_1;
pub(crate) mod q4_k;
pub(crate) mod q5_0;
pub(crate) mod q5_1;
pub(crate) mod q5_k;
pub(crate) mod q6_k;
pub(crate) mod q8_0;
pub(crate) mod tile;

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

/// What the table says of a format.
pub(crate) struct Spec {
    /// The name users know.
    pub name: &'static str,
    /// Type number in a GGUF file (ggml's `enum ggml_type`).
    pub gguf_id: u32,
    /// `dtype` in a safetensors header.
    pub safetensors: Option<&'static str>,
    /// Values in a block.
    pub values: usize,
    /// Bytes of a block.
    pub bytes: usize,
    /// How the bytes become values.
    pub scheme: Scheme,
}

/// The three families of formats; the numeric definition of a product differs between them.
pub(crate) enum Scheme {
    /// Every value stands alone: its bytes, and whether they are NaN or infinite.
    Plain {
        /// The value of `Spec::bytes` bytes.
        read: fn(&[u8]) -> f32,
        /// The nearest value, as such bytes; too large a one becomes infinite.
        write: fn(f32, &mut [u8]),
    },
    /// 32 values share an f16 scale (and minimum): `d · (q − offset) + min`.
    Scaled(BlockScheme),
    /// 256 values: an f16 scale (and minimum) times an integer one for each group:
    /// `d · scale[g] · (q − offset) − min · mins[g]`.
    Super(BlockScheme),
}

/// How a block is taken apart.
pub(crate) struct BlockScheme {
    /// Fills a [`Block`] from `Spec::bytes` bytes.
    pub unpack: fn(&[u8], &mut Block),
    /// The inverse: fills `Spec::bytes` bytes.
    pub pack: fn(&Block, &mut [u8]),
    /// Fills a [`Block`] from `Spec::values` finite values, as near as it can be.
    pub fit: fn(&[f32], &BlockScheme, &mut Block),
    /// Subtracted from every stored quant; stored quants are never negative.
    pub offset: i32,
    /// The largest stored quant.
    pub most: u8,
    /// Values that share one scale.
    pub group: usize,
    /// Whether there is a minimum.
    pub has_min: bool,
    /// Where in the block the f16 factors lie.
    pub factors_at: &'static [usize],
}

/// One block, taken apart.
pub(crate) struct Block {
    /// Stored quants, in order, before the offset is taken off.
    pub quants: [u8; 256],
    /// The scale.
    pub d: f32,
    /// The minimum (its factor, in a super-block).
    pub min: f32,
    /// Integer scales, one a group.
    pub scales: [i32; 16],
    /// Integer minima, one a group.
    pub mins: [i32; 8],
}

impl Block {
    /// A block to unpack into.
    pub fn new() -> Block {
        Block {
            quants: [0; 256],
            d: 0.0,
            min: 0.0,
            scales: [0; 16],
            mins: [0; 8],
        }
    }
}

/// One row a format, in the order of [`Format::ALL`].
const TABLE: [Spec; Format::ALL.len()] = [
    f32::SPEC,
    f16::SPEC,
    bf16::SPEC,
    q8_0::SPEC,
    q4_0::SPEC,
    q4_1::SPEC,
    q5_0::SPEC,
    q5_1::SPEC,
    q4_k::SPEC,
    q5_k::SPEC,
    q6_k::SPEC,
];

/// Evaluates `$body` with `$name` standing for the [`tile::Tiled`] type of a format with blocks, or `$plain`.
macro_rules! with_block_format {
    ($format:expr, $name:ident => $body:expr, plain => $plain:expr) => {
        match $format {
            Format::F32 | Format::F16 | Format::Bf16 => $plain,
            Format::Q8_0 => with_block_format!(@ q8_0::Q8_0, $name, $body),
            Format::Q4_0 => with_block_format!(@ q4_0::Q4_0, $name, $body),
            Format::Q4_1 => with_block_format!(@ q4_1::Q4_1, $name, $body),
            Format::Q5_0 => with_block_format!(@ q5_0::Q5_0, $name, $body),
            Format::Q5_1 => with_block_format!(@ q5_1::Q5_1, $name, $body),
            Format::Q4K => with_block_format!(@ q4_k::Q4K, $name, $body),
            Format::Q5K => with_block_format!(@ q5_k::Q5K, $name, $body),
            Format::Q6K => with_block_format!(@ q6_k::Q6K, $name, $body),
        }
    };
    (@ $module:ident::$type:ident, $name:ident, $body:expr) => {{
        type $name = $crate::quant::$module::$type;
        $body
    }};
}
pub(crate) use with_block_format;

impl Format {
    /// Every format.
    pub const ALL: [Format; 11] = [
        Format::F32,
        Format::F16,
        Format::Bf16,
        Format::Q8_0,
        Format::Q4_0,
        Format::Q4_1,
        Format::Q5_0,
        Format::Q5_1,
        Format::Q4K,
        Format::Q5K,
        Format::Q6K,
    ];

    pub(crate) fn spec(self) -> &'static Spec {
        &TABLE[self as usize]
    }

    /// The name users know (`"Q4_K"`).
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The format with this GGUF type number.
    pub fn from_gguf(id: u32) -> Option<Format> {
        Format::ALL.into_iter().find(|f| f.gguf_id() == id)
    }

    /// The type number in a GGUF file.
    pub fn gguf_id(self) -> u32 {
        self.spec().gguf_id
    }

    /// The format with this safetensors `dtype`.
    pub fn from_safetensors(dtype: &str) -> Option<Format> {
        let stored_as = |f: &Format| f.spec().safetensors == Some(dtype);
        Format::ALL.into_iter().find(stored_as)
    }

    /// Values in a block: 1 for the plain floats.
    pub fn block_values(self) -> usize {
        self.spec().values
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        self.spec().bytes
    }

    /// Bytes of a row of `cols` values.
    ///
    /// Errors: `cols` is not a whole number of blocks, or the bytes would be more than this machine can address.
    pub fn row_bytes(self, cols: usize) -> Result<usize, KernelError> {
        let Spec { values, bytes, .. } = *self.spec();
        (cols / values)
            .checked_mul(bytes)
            .filter(|_| cols.is_multiple_of(values))
            .ok_or(KernelError::RowBlocks {
                format: self.name(),
                cols,
                block: values,
            })
    }

    /// All values of whole blocks as f32. Panics unless `out` has exactly as many as `bytes` hold.
    pub fn dequantize(self, bytes: &[u8], out: &mut [f32]) {
        let spec = self.spec();
        assert!(
            bytes.len().is_multiple_of(spec.bytes)
                && out.len() == bytes.len() / spec.bytes * spec.values,
            "{} bytes of {} against {} values",
            bytes.len(),
            spec.name,
            out.len()
        );
        let blocks = bytes.chunks_exact(spec.bytes);
        let outs = out.chunks_exact_mut(spec.values);
        type Dequantize = fn(&BlockScheme, &Block, &mut [f32]);
        let (scheme, dequantize): (_, Dequantize) = match &spec.scheme {
            Scheme::Plain { read, .. } => {
                return blocks.zip(outs).for_each(|(b, o)| o[0] = read(b));
            }
            Scheme::Scaled(scheme) => (scheme, dequantize_scaled),
            Scheme::Super(scheme) => (scheme, dequantize_super),
        };
        let mut block = Block::new();
        for (bytes, out) in blocks.zip(outs) {
            (scheme.unpack)(bytes, &mut block);
            dequantize(scheme, &block, out);
        }
    }

    /// Whole blocks from finite values: each block by itself, so that the cut into calls does not matter.
    ///
    /// Plain formats round to the nearest. Q8_0's scale just reaches the largest value, as all converters write it. The
    /// others take the scales with the least squared error that a search finds, values weighted by their magnitude. A
    /// value (plain) or scale too large for f16 becomes infinite: [`Format::has_non_finite`] tells.
    ///
    /// Cost: a few hundred operations a value for the searched formats. Panics unless `bytes` is exactly what `values`
    /// take.
    pub fn quantize(self, values: &[f32], bytes: &mut [u8]) {
        let spec = self.spec();
        assert!(
            values.len().is_multiple_of(spec.values)
                && bytes.len() == values.len() / spec.values * spec.bytes,
            "{} values against {} bytes of {}",
            values.len(),
            bytes.len(),
            spec.name
        );
        let blocks = bytes.chunks_exact_mut(spec.bytes);
        let values = values.chunks_exact(spec.values);
        let scheme = match &spec.scheme {
            Scheme::Plain { write, .. } => {
                return values.zip(blocks).for_each(|(v, b)| write(v[0], b));
            }
            Scheme::Scaled(scheme) | Scheme::Super(scheme) => scheme,
        };
        let mut block = Block::new();
        for (values, bytes) in values.zip(blocks) {
            (scheme.fit)(values, scheme, &mut block);
            (scheme.pack)(&block, bytes);
        }
    }

    /// Whether a scale (quantised formats) or a value (plain ones) is NaN or infinite.
    pub fn has_non_finite(self, bytes: &[u8]) -> bool {
        let spec = self.spec();
        let mut blocks = bytes.chunks_exact(spec.bytes);
        match &spec.scheme {
            Scheme::Plain { read, .. } => blocks.any(|b| !read(b).is_finite()),
            Scheme::Scaled(scheme) | Scheme::Super(scheme) => blocks.any(|b| {
                scheme
                    .factors_at
                    .iter()
                    .any(|&at| !half_at(b, at).is_finite())
            }),
        }
    }
}

fn dequantize_scaled(scheme: &BlockScheme, block: &Block, out: &mut [f32]) {
    for (out, quant) in out.iter_mut().zip(block.quants) {
        let value = block.d * (i32::from(quant) - scheme.offset) as f32;
        *out = if scheme.has_min {
            value + block.min
        } else {
            value
        };
    }
}

fn dequantize_super(scheme: &BlockScheme, block: &Block, out: &mut [f32]) {
    let groups = out.chunks_exact_mut(scheme.group);
    for ((g, out), quants) in groups.enumerate().zip(block.quants.chunks(scheme.group)) {
        let d = block.d * block.scales[g] as f32;
        for (out, quant) in out.iter_mut().zip(quants) {
            let value = d * (i32::from(*quant) - scheme.offset) as f32;
            *out = if scheme.has_min {
                value - block.min * block.mins[g] as f32
            } else {
                value
            };
        }
    }
}

/// The f16 at byte `at`.
fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// Writes an f16 at byte `at`.
fn put_half(bytes: &mut [u8], at: usize, x: f32) {
    bytes[at..at + 2].copy_from_slice(&f32_to_f16(x).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_formats() {
        for (i, format) in Format::ALL.into_iter().enumerate() {
            assert_eq!(format as usize, i);
            assert_eq!(Format::from_gguf(format.gguf_id()), Some(format));
            assert_eq!(
                format.row_bytes(format.block_values()).unwrap(),
                format.block_bytes()
            );
        }
        assert_eq!(Format::from_safetensors("BF16"), Some(Format::Bf16));
        assert_eq!(Format::from_safetensors("F8_E4M3"), None);
        assert_eq!(Format::from_gguf(4), None);
    }

    #[test]
    fn a_row_of_part_of_a_block_is_refused() {
        let message = Format::Q4K.row_bytes(128).unwrap_err().to_string();
        assert!(message.contains("128") && message.contains("Q4_K") && message.contains("256"));
        assert!(Format::F32.row_bytes(usize::MAX).is_err());
    }

    #[test]
    fn packing_is_the_inverse_of_unpacking() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/quant");
        for format in Format::ALL {
            let spec = format.spec();
            let (Scheme::Scaled(scheme) | Scheme::Super(scheme)) = &spec.scheme else {
                continue;
            };
            let name = format!("{}.bin", spec.name.to_lowercase());
            let golden = std::fs::read(folder.join(name)).unwrap();
            assert!(golden.len() >= 64 * spec.bytes);
            for bytes in golden.chunks_exact(spec.bytes) {
                let (mut block, mut again) = (Block::new(), vec![0xff; spec.bytes]);
                (scheme.unpack)(bytes, &mut block);
                assert!(
                    block.quants[..spec.values]
                        .iter()
                        .all(|q| *q <= scheme.most)
                );
                (scheme.pack)(&block, &mut again);
                assert_eq!(again, bytes, "{}", spec.name);
            }
        }
    }

    #[test]
    fn a_scale_that_is_not_finite_is_found_in_every_format() {
        for format in Format::ALL {
            let mut bytes = vec![0u8; format.block_bytes() * 3];
            assert!(!format.has_non_finite(&bytes), "{}", format.name());
            let at = format.block_bytes() * 2
                + match &format.spec().scheme {
                    Scheme::Plain { .. } => 0,
                    Scheme::Scaled(s) | Scheme::Super(s) => s.factors_at[s.factors_at.len() - 1],
                };
            let infinity: &[u8] = match format {
                Format::F32 => &[0, 0, 0x80, 0x7f],
                Format::Bf16 => &[0x80, 0x7f],
                _ => &[0, 0x7c],
            };
            bytes[at..at + infinity.len()].copy_from_slice(infinity);
            assert!(format.has_non_finite(&bytes), "{}", format.name());
        }
    }
}
