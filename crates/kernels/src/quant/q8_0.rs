//! Q8_0: 32 values a block: an f16 scale, 32 int8. `x = d · q`.
//!
//! The quants are offset by 128 when unpacked, so that they are never negative.

use super::order::SixteenRows;
use super::tile::{Tile, Tiled};
use super::{Block, BlockScheme, Scheme, Spec, half_at, put_half};
use crate::float::{f16_to_f32, f32_to_f16};
use crate::simd::Simd;

pub(super) const SPEC: Spec = Spec {
    name: "Q8_0",
    gguf_id: 8,
    safetensors: None,
    values: 32,
    bytes: 34,
    scheme: Scheme::Scaled(SCHEME),
};

const SCHEME: BlockScheme = BlockScheme {
    unpack,
    pack,
    fit,
    offset: 128,
    most: 255,
    group: 32,
    has_min: false,
    factors_at: &[0],
};

fn unpack(bytes: &[u8], block: &mut Block) {
    block.d = half_at(bytes, 0);
    for (quant, byte) in block.quants.iter_mut().zip(&bytes[2..34]) {
        *quant = byte ^ 0x80;
    }
}

/// The least scale that reaches every value, as all converters write this format.
fn fit(values: &[f32], _: &BlockScheme, block: &mut Block) {
    let most = values.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let scale = most / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    block.d = f16_to_f32(f32_to_f16(scale));
    for (quant, x) in block.quants.iter_mut().zip(values) {
        *quant = ((x * inverse).round() as i8 as u8) ^ 0x80;
    }
}

fn pack(block: &Block, bytes: &mut [u8]) {
    put_half(bytes, 0, block.d);
    for (byte, quant) in bytes[2..34].iter_mut().zip(block.quants) {
        *byte = quant ^ 0x80;
    }
}

/// The format as tiles.
pub(crate) struct Q8_0;

impl Tiled for Q8_0 {
    const SCHEME: &'static BlockScheme = &SCHEME;
    const SUPER: bool = false;
    type Span<I: Copy> = [I; 8];

    #[inline(always)]
    fn head<S: Simd, R: SixteenRows>(simd: S, rows: R, groups: usize, tile: &mut Tile) {
        for g in 0..groups {
            simd.store(rows.halves(simd, g * SPEC.bytes), &mut tile.scales[g]);
        }
    }

    #[inline(always)]
    fn span<S: Simd, R: SixteenRows>(simd: S, rows: R, s: usize) -> [S::I; 8] {
        let sign = simd.isplat(i32::from_ne_bytes([0x80; 4]));
        let [a, b, c, d] = rows.words(simd, s * SPEC.bytes + 2);
        let [e, f, g, h] = rows.words(simd, s * SPEC.bytes + 18);
        let mut quants = [a, b, c, d, e, f, g, h];
        for quants in &mut quants {
            *quants = simd.xor(*quants, sign);
        }
        quants
    }
}
