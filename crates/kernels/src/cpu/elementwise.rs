//! Operations on single rows: normalisation, SwiGLU, the router's softmax. Definitions in `reference.rs`.

use super::matmul::GROUP;
use crate::float::pair_bf16;
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

/// One row times `scale` as words: pairs of bf16 (the last padded with zero), or f32.
pub(crate) struct RowWords<'a> {
    pub x: &'a [f32],
    pub scale: f32,
    pub rounded: bool,
    /// As many as the row has.
    pub words: &'a mut [i32],
}

impl Kernel for RowWords<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        if !self.rounded {
            for (x, word) in self.x.iter().zip(self.words) {
                *word = (x * self.scale).to_bits() as i32;
            }
            return;
        }
        let (pairs, rest) = self.x.as_chunks::<2>();
        for ([low, high], word) in pairs.iter().zip(&mut *self.words) {
            *word = pair_bf16(low * self.scale, high * self.scale);
        }
        if let ([low], Some(word)) = (rest, self.words.last_mut()) {
            *word = pair_bf16(low * self.scale, 0.0);
        }
    }
}

/// Two rows side by side as words: `second[d]` beside `first[d]`, as bf16.
pub(crate) struct PairRows<'a> {
    pub first: &'a [f32],
    pub second: &'a [f32],
    pub words: &'a mut [i32],
}

impl Kernel for PairRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        for ((low, high), word) in self.first.iter().zip(self.second).zip(self.words) {
            *word = pair_bf16(*low, *high);
        }
    }
}

/// `silu(gate) ⊙ up` as pairs of bf16, two registers of values a row.
pub(crate) struct SwiGluPairs<'a> {
    pub gate: &'a [[[f32; GROUP]; 2]],
    pub up: &'a [[[f32; GROUP]; 2]],
    pub words: &'a mut [[i32; GROUP]],
}

impl Kernel for SwiGluPairs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for ((gate, up), words) in self.gate.iter().zip(self.up).zip(self.words) {
            let mut product = [[0.0; GROUP]; 2];
            for (g, product) in product.iter_mut().enumerate() {
                let gate = simd.silu(simd.load(&gate[g]));
                simd.store(simd.mul(gate, simd.load(&up[g])), product);
            }
            let pairs = product.as_flattened().as_chunks::<2>().0;
            for ([low, high], word) in pairs.iter().zip(words) {
                *word = pair_bf16(*low, *high);
            }
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
