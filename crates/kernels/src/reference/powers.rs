//! The softmax that images use, and text over a BF16 cache of latents: weights are powers of two.
//!
//! Keys come in tiles, in order, within a tile one by one. Weights are powers of two above a shift that follows the
//! largest score only when it must. Rounded, bf16 values are multiplied as the dot product of bf16 pairs does (VDPBF16PS):
//! of each pair first the second product, then the first, each by a fused multiply-add, subnormals as zeros.

use super::lanes;
use super::product::{add_pairs, fma_flushed};
use crate::float::{bf16_to_f32, f32_to_bf16};
use crate::math::exp2;

/// How far scores (in powers of two) may rise above the shift before it follows: weights are at most 256.
pub(crate) const SLACK: f32 = 8.0;

/// What one query has gathered of some values.
pub(super) struct Gathered {
    /// The score whose weight is 1.
    shift: f32,
    /// Sum of weights.
    sum: f32,
    /// Sum of weights times values.
    acc: Vec<f32>,
}

impl Gathered {
    /// Of `values`, by their `keys`; the query's scores are powers of two.
    pub fn new<R: AsRef<[f32]>>(
        query: &[f32],
        keys: &[R],
        values: &[R],
        tile: usize,
        terms: &Terms,
    ) -> Gathered {
        let value_dim = values.first().map_or(0, |value| value.as_ref().len());
        let (mut shift, mut sum, mut acc) = (f32::NEG_INFINITY, 0f32, vec![0f32; value_dim]);
        for (keys, values) in keys.chunks(tile).zip(values.chunks(tile)) {
            let scores: Vec<f32> = keys
                .iter()
                .map(|key| terms.dot(query, key.as_ref(), 0.0))
                .collect();
            let max = lanes::max(&scores);
            let mut correction = 1.0;
            if max > shift + SLACK {
                correction = exp2(shift - max);
                shift = max;
            }
            sum *= correction;
            let mut weights: Vec<f32> = scores.iter().map(|s| exp2(s - shift)).collect();
            for weight in &weights {
                sum += weight;
            }
            weights = terms.factors(&weights);
            for (d, acc) in acc.iter_mut().enumerate() {
                let column: Vec<f32> = values.iter().map(|value| value.as_ref()[d]).collect();
                let before = terms.fused(*acc, correction, 0.0);
                *acc = terms.dot(&weights, &column, before);
            }
        }
        Gathered { shift, sum, acc }
    }

    /// The same query's `self`, then `next`.
    pub fn join(mut self, next: Gathered) -> Gathered {
        let shift = if next.shift > self.shift {
            next.shift
        } else {
            self.shift
        };
        let (before, after) = (exp2(self.shift - shift), exp2(next.shift - shift));
        self.shift = shift;
        self.sum = next.sum.mul_add(after, self.sum * before);
        for (acc, next) in self.acc.iter_mut().zip(&next.acc) {
            *acc = next.mul_add(after, *acc * before);
        }
        self
    }

    /// The weighted means of the values.
    pub fn means(self) -> Vec<f32> {
        self.acc.iter().map(|acc| acc / self.sum).collect()
    }
}

/// How the terms of a sum are multiplied and added.
pub(super) struct Terms {
    pub rounded: bool,
}

impl Terms {
    /// The values as they are multiplied.
    pub fn factors(&self, x: &[f32]) -> Vec<f32> {
        let rounded = |x: &f32| bf16_to_f32(f32_to_bf16(*x));
        if self.rounded {
            x.iter().map(rounded).collect()
        } else {
            x.to_vec()
        }
    }

    fn fused(&self, a: f32, b: f32, c: f32) -> f32 {
        if self.rounded {
            fma_flushed(a, b, c)
        } else {
            a.mul_add(b, c)
        }
    }

    /// `acc + Σ a[k] · b[k]`, one chain.
    fn dot(&self, a: &[f32], b: &[f32], acc: f32) -> f32 {
        if self.rounded {
            return add_pairs(a, b, acc);
        }
        a.iter().zip(b).fold(acc, |acc, (a, b)| a.mul_add(*b, acc))
    }
}
