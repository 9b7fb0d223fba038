//! F32 and F16 weights by f32 activations, a `k mod 16` in each lane.

use super::super::operand::Operand;
use super::{GROUP, Weights};
use crate::simd::{Kernel, Simd};

/// F32 or F16 weights, sixteen at a time.
pub(super) trait Plain {
    /// Sixteen values.
    type Bytes: Copy;
    fn split(row: &[u8]) -> (&[Self::Bytes], &[u8]);
    fn load<S: Simd>(simd: S, bytes: &Self::Bytes) -> S::F;
    /// Fewer than sixteen, the rest zeros.
    fn load_part<S: Simd>(simd: S, bytes: &[u8]) -> S::F;
}

pub(super) struct F32;

impl Plain for F32 {
    type Bytes = [u8; 64];
    #[inline(always)]
    fn split(row: &[u8]) -> (&[[u8; 64]], &[u8]) {
        row.as_chunks()
    }
    #[inline(always)]
    fn load<S: Simd>(simd: S, bytes: &[u8; 64]) -> S::F {
        simd.from_bits(simd.iload_bytes(bytes))
    }
    #[inline(always)]
    fn load_part<S: Simd>(simd: S, bytes: &[u8]) -> S::F {
        let mut whole = [0; 64];
        whole[..bytes.len()].copy_from_slice(bytes);
        F32::load(simd, &whole)
    }
}

pub(super) struct F16;

impl Plain for F16 {
    type Bytes = [u8; 32];
    #[inline(always)]
    fn split(row: &[u8]) -> (&[[u8; 32]], &[u8]) {
        row.as_chunks()
    }
    #[inline(always)]
    fn load<S: Simd>(simd: S, bytes: &[u8; 32]) -> S::F {
        simd.halves(bytes)
    }
    #[inline(always)]
    fn load_part<S: Simd>(simd: S, bytes: &[u8]) -> S::F {
        let mut whole = [0; 32];
        whole[..bytes.len()].copy_from_slice(bytes);
        simd.halves(&whole)
    }
}

/// The product of F32 or F16 weights.
pub(super) struct PlainProduct<'a, P> {
    pub weights: Weights<'a>,
    pub operand: &'a Operand<'a>,
    pub rows: &'a [u32],
    pub out: &'a mut [[f32; GROUP]],
    #[expect(dead_code, reason = "only its type matters")]
    pub plain: P,
}

impl<P: Plain> Kernel for PlainProduct<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for first in (0..GROUP).step_by(4) {
            let w = [
                self.weights.row(first),
                self.weights.row(first + 1),
                self.weights.row(first + 2),
                self.weights.row(first + 3),
            ];
            let (rows, mut rest) = self.rows.as_chunks::<4>();
            let (outs, mut rest_outs) = self.out.as_chunks_mut::<4>();
            if S::WIDE {
                for (rows, out) in rows.iter().zip(outs) {
                    let x = &self.operand.rows;
                    let [a, b, c, d] = *rows;
                    let x = [x[a as usize], x[b as usize], x[c as usize], x[d as usize]];
                    let accs = plain_dots::<S, P, 4>(simd, w, x);
                    let mut sums = [0.0; 16];
                    let mut all = [simd.splat(0.0); 16];
                    for (i, acc) in all.iter_mut().enumerate() {
                        *acc = accs[i / 4][i % 4];
                    }
                    simd.store(simd.sums(all), &mut sums);
                    for (out, sums) in out.iter_mut().zip(sums.as_chunks::<4>().0) {
                        out[first..first + 4].copy_from_slice(sums);
                    }
                }
            } else {
                (rest, rest_outs) = (self.rows, &mut *self.out);
            }
            for (r, out) in rest.iter().zip(rest_outs) {
                let [accs] = plain_dots::<S, P, 1>(simd, w, [self.operand.rows[*r as usize]]);
                for (i, acc) in accs.into_iter().enumerate() {
                    out[first + i] = simd.sum(acc);
                }
            }
        }
    }
}

/// The lanes of `x[m] · w[n]`, not yet summed.
#[inline(always)]
fn plain_dots<S: Simd, P: Plain, const M: usize>(
    simd: S,
    w: [&[u8]; 4],
    x: [&[f32]; M],
) -> [[S::F; 4]; M] {
    let mut accs = [[simd.splat(0.0); 4]; M];
    let whole = x[0].len() / 16;
    let (mut w_whole, mut w_rest) = ([P::split(w[0]).0; 4], [w[0]; 4]);
    for n in 0..4 {
        let (chunks, rest) = P::split(w[n]);
        (w_whole[n], w_rest[n]) = (&chunks[..whole], rest);
    }
    let (mut x_whole, mut x_rest) = ([x[0].as_chunks::<16>().0; M], [x[0]; M]);
    for m in 0..M {
        let (chunks, rest) = x[m].as_chunks::<16>();
        (x_whole[m], x_rest[m]) = (&chunks[..whole], rest);
    }
    for c in 0..whole {
        let mut x = [simd.splat(0.0); M];
        for m in 0..M {
            x[m] = simd.load(&x_whole[m][c]);
        }
        for n in 0..4 {
            let w = P::load(simd, &w_whole[n][c]);
            for m in 0..M {
                accs[m][n] = simd.fma(w, x[m], accs[m][n]);
            }
        }
    }
    if !x_rest[0].is_empty() {
        for n in 0..4 {
            let w = P::load_part(simd, w_rest[n]);
            for m in 0..M {
                accs[m][n] = simd.fma(w, simd.load_part(x_rest[m]), accs[m][n]);
            }
        }
    }
    accs
}
