//! Q6_K: 256 values a block in 16 groups of 16: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 int8 scales,
//! an f16 `d`. `x = d · scale · (q − 32)`.
//!
//! Each half of 128 values has 64 bytes of nibbles (values 0..64 low, 64..128 high) and 32 bytes of pairs (values
//! 0..32 in the lowest two bits, 32..64 in the next, and so on).

use super::order::SixteenRows;
use super::tile::{Tile, Tiled};
use super::{Block, BlockScheme, Scheme, Spec, fit, half_at, put_half};
use crate::simd::Simd;

pub(super) const SPEC: Spec = Spec {
    name: "Q6_K",
    gguf_id: 14,
    safetensors: None,
    values: 256,
    bytes: 210,
    scheme: Scheme::Super(SCHEME),
};

const SCHEME: BlockScheme = BlockScheme {
    unpack,
    pack,
    fit: fit::grouped,
    offset: 32,
    most: 63,
    group: 16,
    has_min: false,
    factors_at: &[208],
};

fn unpack(bytes: &[u8], block: &mut Block) {
    let (nibbles, pairs) = (&bytes[..128], &bytes[128..192]);
    for (i, quant) in block.quants.iter_mut().enumerate() {
        let (half, within) = (i / 128, i % 128);
        let nibble = nibbles[64 * half + within % 64] >> (within / 64 * 4) & 15;
        let pair = pairs[32 * half + within % 32] >> (within / 32 * 2) & 3;
        *quant = nibble | pair << 4;
    }
    for (scale, byte) in block.scales.iter_mut().zip(&bytes[192..208]) {
        *scale = i32::from(*byte as i8);
    }
    block.d = half_at(bytes, 208);
}

fn pack(block: &Block, bytes: &mut [u8]) {
    bytes[..192].fill(0);
    for (i, quant) in block.quants.iter().enumerate() {
        let (half, within) = (i / 128, i % 128);
        bytes[64 * half + within % 64] |= (quant & 15) << (within / 64 * 4);
        bytes[128 + 32 * half + within % 32] |= quant >> 4 << (within / 32 * 2);
    }
    for (byte, scale) in bytes[192..208].iter_mut().zip(block.scales) {
        *byte = scale as i8 as u8;
    }
    put_half(bytes, 208, block.d);
}

/// The format as tiles.
pub(crate) struct Q6K;

impl Tiled for Q6K {
    const SCHEME: &'static BlockScheme = &SCHEME;
    const SUPER: bool = true;
    type Span<I: Copy> = [I; 16];

    /// A span is a quarter of each half: 16 values 32 apart, four times.
    #[inline(always)]
    fn group(s: usize, i: usize) -> usize {
        8 * (s / 2) + s % 2 + 2 * i
    }

    #[inline(always)]
    fn head<S: Simd, R: SixteenRows>(simd: S, rows: R, _groups: usize, tile: &mut Tile) {
        simd.store(rows.halves(simd, 208), &mut tile.d);
        let low_half = simd.isplat(0xffff);
        for (c, four) in rows.words(simd, 192).into_iter().enumerate() {
            let mut scales = [four; 4];
            for (b, scale) in scales.iter_mut().enumerate() {
                *scale = simd.sra(simd.shl(four, 24 - 8 * b as u32), 24);
                simd.istore(*scale, &mut tile.integer_scales[4 * c + b]);
            }
            for (p, pair) in scales.as_chunks::<2>().0.iter().enumerate() {
                let pair = simd.or(simd.and(pair[0], low_half), simd.shl(pair[1], 16));
                simd.istore(pair, &mut tile.integer_scale_pairs[2 * c + p]);
            }
        }
    }

    #[inline(always)]
    fn span<S: Simd, R: SixteenRows>(simd: S, rows: R, s: usize) -> [S::I; 16] {
        let (nibble, pair) = (simd.isplat(0x0f0f_0f0f), simd.isplat(0x3030_3030));
        let (half, quarter) = (s / 2, s % 2);
        let pairs = rows.words(simd, 128 + 32 * half + 16 * quarter);
        let first = rows.words(simd, 64 * half + 16 * quarter);
        let second = rows.words(simd, 64 * half + 32 + 16 * quarter);
        let mut quants = [nibble; 16];
        for c in 0..4 {
            let (p, a, b) = (pairs[c], first[c], second[c]);
            let parts = [
                (a, simd.shl(p, 4)),
                (b, simd.shl(p, 2)),
                (simd.shr(a, 4), p),
                (simd.shr(b, 4), simd.shr(p, 2)),
            ];
            for (i, (n, p)) in parts.into_iter().enumerate() {
                quants[4 * i + c] = simd.or(simd.and(n, nibble), simd.and(p, pair));
            }
        }
        quants
    }
}
