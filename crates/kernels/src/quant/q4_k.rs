//! Q4_K: 256 values a block in 8 groups of 32: f16 `d` and `dmin`, 12 bytes of 6-bit scales and minima, 128 bytes of
//! 4-bit quants (each 32 bytes: one group low, the next high). `x = d · scale · q − dmin · min`.

use super::order::SixteenRows;
use super::tile::{Tile, Tiled, nibbles};
use super::{Block, BlockScheme, Scheme, Spec, fit, half_at, put_half};
use crate::simd::Simd;

pub(super) const SPEC: Spec = Spec {
    name: "Q4_K",
    gguf_id: 12,
    safetensors: None,
    values: 256,
    bytes: 144,
    scheme: Scheme::Super(SCHEME),
};

const SCHEME: BlockScheme = BlockScheme {
    unpack,
    pack,
    fit: fit::grouped,
    offset: 0,
    most: 15,
    group: 32,
    has_min: true,
    factors_at: &[0, 2],
};

fn unpack(bytes: &[u8], block: &mut Block) {
    unpack_head(bytes, block);
    let pairs = block.quants.chunks_exact_mut(64);
    for (quants, bytes) in pairs.zip(bytes[16..144].chunks_exact(32)) {
        for (i, byte) in bytes.iter().enumerate() {
            quants[i] = byte & 15;
            quants[32 + i] = byte >> 4;
        }
    }
}

/// `d`, `dmin` and the 8 scales and minima, as Q4_K and Q5_K both begin.
///
/// Groups 0..4: the low 6 bits of bytes 0..4 (scales) and 4..8 (minima). Groups 4..8: low and high nibbles of bytes
/// 8..12, with the upper two bits of bytes 0..8 on top.
pub(super) fn unpack_head(bytes: &[u8], block: &mut Block) {
    block.d = half_at(bytes, 0);
    block.min = half_at(bytes, 2);
    let packed = &bytes[4..16];
    for g in 0..4 {
        let (scale, min, high) = (packed[g], packed[4 + g], packed[8 + g]);
        block.scales[g] = i32::from(scale & 63);
        block.mins[g] = i32::from(min & 63);
        block.scales[4 + g] = i32::from(high & 15 | scale >> 6 << 4);
        block.mins[4 + g] = i32::from(high >> 4 | min >> 6 << 4);
    }
}

fn pack(block: &Block, bytes: &mut [u8]) {
    pack_head(block, bytes);
    for (quants, bytes) in block
        .quants
        .chunks_exact(64)
        .zip(bytes[16..144].chunks_exact_mut(32))
    {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = quants[i] & 15 | quants[32 + i] << 4;
        }
    }
}

/// The inverse of [`unpack_head`].
pub(super) fn pack_head(block: &Block, bytes: &mut [u8]) {
    put_half(bytes, 0, block.d);
    put_half(bytes, 2, block.min);
    let (scales, mins) = (block.scales.map(|s| s as u8), block.mins.map(|m| m as u8));
    for g in 0..4 {
        bytes[4 + g] = scales[g] | scales[4 + g] >> 4 << 6;
        bytes[8 + g] = mins[g] | mins[4 + g] >> 4 << 6;
        bytes[12 + g] = scales[4 + g] & 15 | mins[4 + g] << 4;
    }
}

/// The format as tiles.
pub(crate) struct Q4K;

impl Tiled for Q4K {
    const SCHEME: &'static BlockScheme = &SCHEME;
    const SUPER: bool = true;
    type Span<I: Copy> = [I; 16];

    #[inline(always)]
    fn head<S: Simd, R: SixteenRows>(simd: S, rows: R, _groups: usize, tile: &mut Tile) {
        load_head(simd, rows, tile);
    }

    #[inline(always)]
    fn span<S: Simd, R: SixteenRows>(simd: S, rows: R, s: usize) -> [S::I; 16] {
        let [a, b, c, d, i, j, k, l] = nibbles(simd, rows.words(simd, 16 + 32 * s));
        let [e, f, g, h, m, n, o, p] = nibbles(simd, rows.words(simd, 32 + 32 * s));
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }
}

/// [`unpack_head`] for sixteen rows: the same bits, four groups to a word.
#[inline(always)]
pub(super) fn load_head<S: Simd, R: SixteenRows>(simd: S, rows: R, tile: &mut Tile) {
    simd.store(rows.halves(simd, 0), &mut tile.d);
    simd.store(rows.halves(simd, 2), &mut tile.min);
    let [_, scales, mins, high] = rows.words(simd, 0);
    let (six, four) = (simd.isplat(0x3f3f_3f3f), simd.isplat(0x0f0f_0f0f));
    let (two, byte) = (simd.isplat(0x3030_3030), simd.isplat(0xff));
    let scales = [
        simd.and(scales, six),
        simd.or(simd.and(high, four), simd.and(simd.shr(scales, 2), two)),
    ];
    let mins = [
        simd.and(mins, six),
        simd.or(
            simd.and(simd.shr(high, 4), four),
            simd.and(simd.shr(mins, 2), two),
        ),
    ];
    for word in 0..2 {
        for g in 0..4 {
            let scale = simd.and(simd.shr(scales[word], 8 * g as u32), byte);
            simd.istore(scale, &mut tile.integer_scales[4 * word + g]);
        }
        // Minima 0, 1 and 2, 3 of the word, each pair as two 16-bit halves.
        let (m, upper) = (mins[word], simd.isplat(0xff_0000));
        let first = simd.or(simd.and(m, byte), simd.and(simd.shl(m, 8), upper));
        let m = simd.shr(m, 16);
        let second = simd.or(simd.and(m, byte), simd.and(simd.shl(m, 8), upper));
        simd.istore(first, &mut tile.integer_min_pairs[2 * word]);
        simd.istore(second, &mut tile.integer_min_pairs[2 * word + 1]);
    }
}
