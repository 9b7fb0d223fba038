//! The product that images are made of: rows of words, one word at a time, by words that lie in lanes.
//!
//! A word is an f32, or two bf16 that are multiplied with two others in one step. `G` registers of lanes meet `M` rows,
//! and every sum is one chain along the words: the order of `reference::product::dot_pairs` and of plain f32 chains.

use super::elementwise::RowWords;
use super::isa::Unit;
use crate::simd::Simd;

/// One word of each lane.
pub(super) type Words<const G: usize> = [[i32; 16]; G];
/// One value of each lane.
pub(super) type Values<const G: usize> = [[f32; 16]; G];

/// Lays rows times `scale` into the lanes, a row a lane; the lanes past the last row are zeros.
pub(super) fn lay_in_lanes<'a, const G: usize>(
    unit: Unit,
    rows: impl Iterator<Item = &'a [f32]>,
    scale: f32,
    rounded: bool,
    lanes: &mut [Words<G>],
) {
    lanes.fill([[0; 16]; G]);
    let mut words = vec![0; lanes.len()];
    for (lane, x) in rows.enumerate() {
        unit.run(RowWords {
            x,
            scale,
            rounded,
            words: &mut words,
        });
        for (lanes, word) in lanes.iter_mut().zip(&words) {
            lanes[lane / 16][lane % 16] = *word;
        }
    }
}

/// What the sums begin with.
#[derive(Clone, Copy)]
pub(super) enum Begin<'a, const G: usize> {
    Zero,
    /// What is there.
    There,
    /// What is there, times this.
    Times(&'a Values<G>),
}

/// `out[m] = begin + Σ rows[m][c] · lanes[c]`, for `M` rows that begin `stride` words apart. Lanes too narrow for that
/// many registers take `FEW` rows at a time, a divisor of `M`.
#[inline(always)]
pub(super) fn meet<S: Simd, const PAIRS: bool, const G: usize, const M: usize, const FEW: usize>(
    simd: S,
    rows: &[i32],
    stride: usize,
    lanes: &[Words<G>],
    begin: Begin<G>,
    out: &mut [Values<G>],
) {
    if S::WIDE {
        rows_meet::<S, PAIRS, G, M>(simd, rows, stride, lanes, begin, out);
    } else {
        for (i, out) in out.chunks_exact_mut(FEW).enumerate() {
            let rows = &rows[i * FEW * stride..];
            rows_meet::<S, PAIRS, G, FEW>(simd, rows, stride, lanes, begin, out);
        }
    }
}

#[inline(always)]
fn rows_meet<S: Simd, const PAIRS: bool, const G: usize, const M: usize>(
    simd: S,
    rows: &[i32],
    stride: usize,
    lanes: &[Words<G>],
    begin: Begin<G>,
    out: &mut [Values<G>],
) {
    let mut acc = [[simd.splat(0.0); G]; M];
    for m in 0..M {
        for g in 0..G {
            acc[m][g] = match begin {
                Begin::Zero => simd.splat(0.0),
                Begin::There => simd.load(&out[m][g]),
                Begin::Times(factor) => {
                    let (there, factor) = (simd.load(&out[m][g]), simd.load(&factor[g]));
                    simd.fma(there, factor, simd.splat(0.0))
                }
            };
        }
    }
    let acc = sums::<S, PAIRS, G, M>(simd, rows, stride, lanes, acc);
    for m in 0..M {
        for g in 0..G {
            simd.store(acc[m][g], &mut out[m][g]);
        }
    }
}

/// `acc[m] + Σ rows[m][c] · lanes[c]`, in registers.
#[inline(always)]
pub(super) fn sums<S: Simd, const PAIRS: bool, const G: usize, const M: usize>(
    simd: S,
    rows: &[i32],
    stride: usize,
    lanes: &[Words<G>],
    mut acc: [[S::F; G]; M],
) -> [[S::F; G]; M] {
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
    acc
}
