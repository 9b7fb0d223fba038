//! The product that images are made of: rows of words, one word at a time, by words that lie in lanes.
//!
//! A word is an f32, or two bf16 that are multiplied with two others in one step. `G` registers of lanes meet `M` rows,
//! and every sum is one chain along the words: the order of `reference::product::dot_pairs` and of plain f32 chains.

use crate::simd::Simd;

/// One word of each lane.
pub(super) type Words<const G: usize> = [[i32; 16]; G];
/// One value of each lane.
pub(super) type Values<const G: usize> = [[f32; 16]; G];

/// `out[m] = Σ rows[m][c] · lanes[c]`, for `M` rows that begin `stride` words apart; with `correction`, added to
/// `out[m] · correction`. Lanes too narrow for that many registers take `FEW` rows at a time, a divisor of `M`.
#[inline(always)]
pub(super) fn meet<S: Simd, const PAIRS: bool, const G: usize, const M: usize, const FEW: usize>(
    simd: S,
    rows: &[i32],
    stride: usize,
    lanes: &[Words<G>],
    correction: Option<&Values<G>>,
    out: &mut [Values<G>],
) {
    if S::WIDE {
        rows_meet::<S, PAIRS, G, M>(simd, rows, stride, lanes, correction, out);
    } else {
        for (i, out) in out.chunks_exact_mut(FEW).enumerate() {
            let rows = &rows[i * FEW * stride..];
            rows_meet::<S, PAIRS, G, FEW>(simd, rows, stride, lanes, correction, out);
        }
    }
}

#[inline(always)]
fn rows_meet<S: Simd, const PAIRS: bool, const G: usize, const M: usize>(
    simd: S,
    rows: &[i32],
    stride: usize,
    lanes: &[Words<G>],
    correction: Option<&Values<G>>,
    out: &mut [Values<G>],
) {
    let mut acc = [[simd.splat(0.0); G]; M];
    if let Some(correction) = correction {
        for m in 0..M {
            for g in 0..G {
                let (before, by) = (simd.load(&out[m][g]), simd.load(&correction[g]));
                acc[m][g] = simd.fma(before, by, simd.splat(0.0));
            }
        }
    }
    let mut of = [rows; M];
    for m in 0..M {
        of[m] = &rows[m * stride..][..lanes.len()];
    }
    for (c, words) in lanes.iter().enumerate() {
        let mut b = [simd.isplat(0); G];
        for g in 0..G {
            b[g] = simd.iload(&words[g]);
        }
        for m in 0..M {
            let a = simd.isplat(of[m][c]);
            for g in 0..G {
                acc[m][g] = if PAIRS {
                    simd.dot_bf16(acc[m][g], a, b[g])
                } else {
                    simd.fma(simd.from_bits(a), simd.from_bits(b[g]), acc[m][g])
                };
            }
        }
    }
    for m in 0..M {
        for g in 0..G {
            simd.store(acc[m][g], &mut out[m][g]);
        }
    }
}
