//! Attention of one row, all heads, over the pages of its sequence. This is the definition.
//!
//! One online softmax a head: pages of 64 in order, within a page the keys in order. Slots past what a row sees are
//! never read. Where a BF16 cache has one KV head for all, queries and weights are rounded to bf16 too
//! ([`AttentionShape::rounds`]): each block of [`BLOCK_SIZE`] slots has a softmax of its own, joined in order.

use super::lanes;
use super::powers::{Gathered, Terms};
use crate::cache::{AttentionPlan, AttentionShape, BLOCK_SIZE, Cache, PAGE_SIZE};
use crate::math::exp;
use std::f32::consts::LOG2_E;

/// `out[h]` for every head of plan row `r`: `q: [num_heads * key_dim]`, `out: [num_heads * value_dim]`.
pub(crate) fn attention_row(
    q: &[f32],
    cache: &Cache,
    layer: usize,
    plan: &AttentionPlan,
    r: usize,
    shape: &AttentionShape,
    out: &mut [f32],
) {
    let row = plan.rows[r];
    let slot = |token: usize| {
        let page = plan.pages[row.first_page + token / PAGE_SIZE] as usize;
        cache.slot(layer, page * PAGE_SIZE + token % PAGE_SIZE)
    };
    let cached: Vec<Vec<f32>> = (0..row.visible).map(slot).collect();
    let columns = |first: usize, len: usize| -> Vec<&[f32]> {
        cached.iter().map(|row| &row[first..first + len]).collect()
    };
    let heads_per_kv_head = shape.num_heads / shape.num_kv_heads;
    let rounds = shape.rounds(cache.layout.kv_type);
    for head in 0..shape.num_heads {
        let kv_head = head / heads_per_kv_head;
        let keys = columns(kv_head * shape.key_dim, shape.key_dim);
        let values = columns(
            shape.value_start + kv_head * shape.value_dim,
            shape.value_dim,
        );
        let q = &q[head * shape.key_dim..][..shape.key_dim];
        let out = &mut out[head * shape.value_dim..][..shape.value_dim];
        if rounds {
            rounded_head(q, &keys, &values, shape.scale, out);
        } else {
            exact_head(q, &keys, &values, shape.scale, out);
        }
    }
}

/// One head, in f32.
fn exact_head(q: &[f32], keys: &[&[f32]], values: &[&[f32]], scale: f32, out: &mut [f32]) {
    let mut softmax = OnlineSoftmax::new(out.len());
    for (keys, values) in keys.chunks(PAGE_SIZE).zip(values.chunks(PAGE_SIZE)) {
        let scores: Vec<f32> = keys.iter().map(|key| scale * lanes::dot(q, key)).collect();
        softmax.page(&scores, values.iter().copied());
    }
    softmax.finish(out);
}

/// One head, its query and weights as bf16.
fn rounded_head(q: &[f32], keys: &[&[f32]], values: &[&[f32]], scale: f32, out: &mut [f32]) {
    let terms = Terms { rounded: true };
    // Scores become powers of two.
    let scaled: Vec<f32> = q.iter().map(|x| x * (scale * LOG2_E)).collect();
    let query = terms.factors(&scaled);
    let blocks = keys.chunks(BLOCK_SIZE).zip(values.chunks(BLOCK_SIZE));
    let parts = blocks.map(|(keys, values)| Gathered::new(&query, keys, values, PAGE_SIZE, &terms));
    if let Some(all) = parts.reduce(Gathered::join) {
        out.copy_from_slice(&all.means());
    }
}

/// The state of one head between pages.
struct OnlineSoftmax {
    /// Largest score so far.
    max: f32,
    /// Sum of `exp(score − max)` so far.
    sum: f32,
    /// Sum of `exp(score − max) · value` so far.
    acc: Vec<f32>,
}

impl OnlineSoftmax {
    fn new(value_dim: usize) -> OnlineSoftmax {
        OnlineSoftmax {
            max: f32::NEG_INFINITY,
            sum: 0.0,
            acc: vec![0.0; value_dim],
        }
    }

    fn page<'a>(&mut self, scores: &[f32], values: impl Iterator<Item = &'a [f32]>) {
        let page_max = lanes::max(scores);
        let max = if page_max > self.max {
            page_max
        } else {
            self.max
        };
        let correction = exp(self.max - max);
        let weights: Vec<f32> = scores.iter().map(|s| exp(s - max)).collect();
        self.max = max;
        self.sum = self.sum.mul_add(correction, lanes::sum(&weights));
        self.acc.iter_mut().for_each(|a| *a *= correction);
        for (weight, value) in weights.iter().zip(values) {
            for (acc, v) in self.acc.iter_mut().zip(value) {
                *acc = weight.mul_add(*v, *acc);
            }
        }
    }

    fn finish(&self, out: &mut [f32]) {
        for (out, acc) in out.iter_mut().zip(&self.acc) {
            *out = acc / self.sum;
        }
    }
}
