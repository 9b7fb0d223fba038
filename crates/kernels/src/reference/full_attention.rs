//! Attention without a mask, within one range of rows. This is the definition.
//!
//! One online softmax a row and head: keys in tiles of 128 in order, within a tile one by one. Weights are powers of two
//! above a shift that follows the largest score only when it must. Rounded attention (bf16 models) multiplies bf16 values as the dot product of bf16 pairs does (VDPBF16PS): of each pair first the second
//! product, then the first, each by a fused multiply-add, subnormals as zeros.

use super::lanes;
use super::product::{add_pairs, fma_flushed};
use crate::backend::FullAttention;
use crate::float::{bf16_to_f32, f32_to_bf16};
use crate::math::exp2;
use crate::rows::Rows;
use std::f32::consts::LOG2_E;
use std::ops::Range;

/// Keys that share a step of the online softmax.
pub(crate) const KEY_TILE: usize = 128;
/// How far scores (in powers of two) may rise above the shift before it follows: weights are at most 256.
pub(crate) const SLACK: f32 = 8.0;

/// All rows and heads of `range`.
pub(crate) fn full_attention(
    q: &Rows,
    k: &Rows,
    v: &Rows,
    range: Range<usize>,
    shape: &FullAttention,
    out: &mut Rows,
) {
    let terms = Terms {
        rounded: shape.rounded,
    };
    for head in 0..shape.num_heads {
        let columns = head * shape.head_dim..(head + 1) * shape.head_dim;
        let of = |rows: &Rows, scale: f32| -> Vec<Vec<f32>> {
            let row = |r| rows.row(r)[columns.clone()].iter().map(|x| x * scale);
            let factors = |r| terms.factors(&row(r).collect::<Vec<f32>>());
            range.clone().map(factors).collect()
        };
        let (keys, values) = (of(k, 1.0), of(v, 1.0));
        // Scores become powers of two.
        let queries = of(q, shape.scale * LOG2_E);
        for (r, q) in range.clone().zip(&queries) {
            let row = attention_row(q, &keys, &values, &terms);
            out.row_mut(r)[columns.clone()].copy_from_slice(&row);
        }
    }
}

/// One row, one head.
fn attention_row(q: &[f32], keys: &[Vec<f32>], values: &[Vec<f32>], terms: &Terms) -> Vec<f32> {
    let (mut shift, mut sum, mut acc) = (f32::NEG_INFINITY, 0f32, vec![0f32; q.len()]);
    for (keys, values) in keys.chunks(KEY_TILE).zip(values.chunks(KEY_TILE)) {
        let scores: Vec<f32> = keys.iter().map(|key| terms.dot(q, key, 0.0)).collect();
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
            let column: Vec<f32> = values.iter().map(|value| value[d]).collect();
            let before = terms.fused(*acc, correction, 0.0);
            *acc = terms.dot(&weights, &column, before);
        }
    }
    acc.iter().map(|acc| acc / sum).collect()
}

/// How the terms of a sum are multiplied and added.
struct Terms {
    rounded: bool,
}

impl Terms {
    /// The values as they are multiplied.
    fn factors(&self, x: &[f32]) -> Vec<f32> {
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
