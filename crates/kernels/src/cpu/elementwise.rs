//! Operations on single rows: normalisation, SwiGLU, the router's softmax. Definitions in `reference.rs`.

use super::matmul::GROUP;
use crate::float::f32_to_bf16;
use crate::reference::{lanes, rms_factor};
use crate::simd::{Kernel, Simd};

/// `out = x / sqrt(mean(x²) + eps) ⊙ weight`, of one head of one row.
pub(crate) struct RmsNorm<'a> {
    pub x: &'a [f32],
    pub weight: &'a [f32],
    pub eps: f32,
    pub out: &'a mut [f32],
}

impl Kernel for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (whole, rest) = self.x.as_chunks::<16>();
        let mut squares = simd.splat(0.0);
        for x in whole {
            let x = simd.load(x);
            squares = simd.fma(x, x, squares);
        }
        if !rest.is_empty() {
            let x = simd.load_part(rest);
            squares = simd.fma(x, x, squares);
        }
        let factor = rms_factor(simd.sum(squares), self.x.len(), self.eps);
        for ((out, x), weight) in self.out.iter_mut().zip(self.x).zip(self.weight) {
            *out = x * factor * weight;
        }
    }
}

/// `gate = silu(gate) ⊙ up`.
pub(crate) struct SwiGlu<'a> {
    pub gate: &'a mut [[f32; GROUP]],
    pub up: &'a [[f32; GROUP]],
}

impl Kernel for SwiGlu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (gate, up) in self.gate.iter_mut().zip(self.up) {
            let product = simd.mul(simd.silu(simd.load(gate)), simd.load(up));
            simd.store(product, gate);
        }
    }
}

/// `silu(gate) ⊙ up` as pairs of bf16.
pub(crate) struct SwiGluPairs<'a, const G: usize> {
    pub gate: &'a mut [[f32; GROUP]; G],
    pub up: &'a [[f32; GROUP]; G],
    /// At most half as many as there are values.
    pub words: &'a mut [i32],
}

impl<const G: usize> Kernel for SwiGluPairs<'_, G> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (gate, up) in self.gate.iter_mut().zip(self.up) {
            let product = simd.mul(simd.silu(simd.load(gate)), simd.load(up));
            simd.store(product, gate);
        }
        let pairs = self.gate.as_flattened().as_chunks::<2>().0;
        for ([low, high], word) in pairs.iter().zip(self.words) {
            *word = (u32::from(f32_to_bf16(*low)) | u32::from(f32_to_bf16(*high)) << 16) as i32;
        }
    }
}

/// `x = x · Φ(x)`, in place.
pub(crate) struct Gelu<'a> {
    pub x: &'a mut [f32],
}

impl Kernel for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (whole, rest) = self.x.as_chunks_mut::<16>();
        for x in whole {
            let y = simd.gelu(simd.load(x));
            simd.store(y, x);
        }
        let mut part = [0.0; 16];
        simd.store(simd.gelu(simd.load_part(rest)), &mut part);
        rest.copy_from_slice(&part[..rest.len()]);
    }
}

/// Logits to probabilities, in place.
pub(crate) struct Softmax<'a> {
    pub scores: &'a mut [f32],
}

impl Kernel for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let max = simd.splat(lanes::max(self.scores));
        let (whole, rest) = self.scores.as_chunks_mut::<16>();
        for scores in whole {
            let exp = simd.exp(simd.sub(simd.load(scores), max));
            simd.store(exp, scores);
        }
        let mut part = [0.0; 16];
        simd.store(simd.exp(simd.sub(simd.load_part(rest), max)), &mut part);
        rest.copy_from_slice(&part[..rest.len()]);
        let sum = lanes::sum(self.scores);
        self.scores.iter_mut().for_each(|p| *p /= sum);
    }
}
