//! Every operation in safe, scalar, single-threaded code: **the numeric definition**. Other backends must give these
//! bits; none of them may be consulted here.
//!
//! In the order of `backend.rs`. Products, attention and routing have files of their own below `reference/`. What is
//! plain arithmetic on one row (`rms_norm_row`, `rotate_row`, ...) is shared with the other backends where a faster form
//! would gain nothing.

mod attention;
pub(crate) mod full_attention;
pub(crate) mod lanes;
pub(crate) mod powers;
pub(crate) mod product;
pub(crate) mod routing;

use crate::backend::{
    Backend, FeedForward, FullAttention, Pairing, RotaryTable, RouterRule, Routing, RowInput,
};
use crate::cache::{AttentionPlan, AttentionShape, Cache, CacheLayers, CacheLayout};
use crate::float::f32_to_bf16;
use crate::math::{gelu, silu};
use crate::matrix::Matrix;
use crate::rows::{Columns, Rows};
use crate::shapes;
use std::ops::Range;

/// The slow, readable backend that defines the numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

impl Backend for Reference {
    fn describe(&self) -> String {
        "reference (scalar, one thread)".to_owned()
    }

    fn rows(&self, rows: usize, cols: usize) -> Rows {
        Rows::zeroed(rows, cols)
    }

    fn upload(&self, rows: usize, cols: usize, values: &[f32]) -> Rows {
        Rows::from_slice(rows, cols, values)
    }

    fn download(&self, x: &Rows) -> Vec<f32> {
        x.data().to_vec()
    }

    fn new_cache(&self, layout: CacheLayout, num_pages: usize) -> Cache {
        Cache::zeroed(layout, num_pages)
    }

    fn embed(
        &self,
        inputs: &[RowInput],
        table: &Matrix,
        embeddings: Option<&Rows>,
        out: &mut Rows,
    ) {
        shapes::embed(inputs, table, embeddings, out);
        for (r, input) in inputs.iter().enumerate() {
            embed_row(*input, table, embeddings, out.row_mut(r));
        }
    }

    fn rms_norm(
        &self,
        x: &Rows,
        from: Columns,
        weight: &[f32],
        eps: f32,
        out: &mut Rows,
        to: Columns,
    ) {
        shapes::rms_norm(x, from, weight, out, to);
        for r in 0..x.rows() {
            for head in 0..from.heads {
                let (x, out) = (
                    &x.row(r)[from.head(head)],
                    &mut out.row_mut(r)[to.head(head)],
                );
                let factor = rms_factor(lanes::dot(x, x), x.len(), eps);
                for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                    *out = x * factor * weight;
                }
            }
        }
    }

    fn project(&self, x: &Rows, weights: &[&Matrix], outs: &mut [&mut Rows]) {
        shapes::project(x, weights, outs);
        for (weight, out) in weights.iter().zip(outs) {
            for r in 0..x.rows() {
                product::product(x.row(r), weight, out.row_mut(r));
            }
        }
    }

    fn project_heads(
        &self,
        x: &Rows,
        from: Columns,
        weights: &[Matrix],
        out: &mut Rows,
        to: Columns,
    ) {
        shapes::project_heads(x, from, weights, out, to);
        for r in 0..x.rows() {
            for (head, weight) in weights.iter().enumerate() {
                let (x, out) = (
                    &x.row(r)[from.head(head)],
                    &mut out.row_mut(r)[to.head(head)],
                );
                product::product(x, weight, out);
            }
        }
    }

    fn copy_columns(&self, x: &Rows, from: Columns, out: &mut Rows, to: Columns) {
        shapes::copy_columns(x, from, out, to);
        for r in 0..x.rows() {
            for head in 0..from.heads {
                out.row_mut(r)[to.head(head)].copy_from_slice(&x.row(r)[from.head(head)]);
            }
        }
    }

    fn rotate(&self, x: &mut Rows, columns: Columns, table: &RotaryTable, pairing: Pairing) {
        shapes::rotate(x, columns, table);
        for r in 0..x.rows() {
            let (cos, sin) = (table.cos.row(r), table.sin.row(r));
            rotate_row(x.row_mut(r), columns, cos, sin, pairing);
        }
    }

    fn scale_rows(&self, x: &mut Rows, factors: &[f32]) {
        shapes::scale_rows(x, factors);
        for (r, factor) in factors.iter().enumerate() {
            x.row_mut(r).iter_mut().for_each(|x| *x *= factor);
        }
    }

    fn write_cache(&self, x: &Rows, layer: usize, slots: &[u32], cache: &mut Cache) {
        shapes::write_cache(x, layer, slots, cache);
        for (r, slot) in slots.iter().enumerate() {
            write_slot(x.row(r), layer, *slot as usize, cache);
        }
    }

    fn attention(
        &self,
        q: &Rows,
        cache: &Cache,
        layer: usize,
        plan: &AttentionPlan,
        shape: &AttentionShape,
        out: &mut Rows,
    ) {
        shapes::attention(q, cache, layer, plan, shape, out);
        for r in 0..q.rows() {
            attention::attention_row(q.row(r), cache, layer, plan, r, shape, out.row_mut(r));
        }
    }

    fn full_attention(
        &self,
        q: &Rows,
        k: &Rows,
        v: &Rows,
        ranges: &[Range<usize>],
        shape: &FullAttention,
        out: &mut Rows,
    ) {
        shapes::full_attention(q, k, v, ranges, shape, out);
        for range in ranges {
            full_attention::full_attention(q, k, v, range.clone(), shape, out);
        }
    }

    fn gelu(&self, x: &mut Rows) {
        x.data_mut().iter_mut().for_each(|x| *x = gelu(*x));
    }

    fn add(&self, x: &mut Rows, y: &Rows) {
        shapes::add(x, y);
        x.data_mut()
            .iter_mut()
            .zip(y.data())
            .for_each(|(x, y)| *x += y);
    }

    fn feed_forward(&self, x: &Rows, weights: &FeedForward, out: &mut Rows) {
        shapes::feed_forward(x, weights, out);
        for r in 0..x.rows() {
            feed_forward_row(x.row(r), weights, out.row_mut(r));
        }
    }

    fn route(&self, logits: &Rows, rule: RouterRule) -> Routing {
        shapes::route(logits, rule);
        let mut routing = Routing::unset(logits.rows(), rule.experts_per_token);
        for r in 0..logits.rows() {
            let (experts, weights) = routing.row_mut(r);
            routing::route_row(logits.row(r), rule, experts, weights);
        }
        routing
    }

    fn experts(
        &self,
        x: &Rows,
        routing: &Routing,
        experts: &[FeedForward],
        shared: Option<&FeedForward>,
        out: &mut Rows,
    ) {
        shapes::experts(x, routing, experts, shared, out);
        let mut y = vec![0.0; out.cols()];
        for r in 0..x.rows() {
            let out = out.row_mut(r);
            out.fill(0.0);
            for (expert, weight) in routing.row(r) {
                feed_forward_row(x.row(r), &experts[expert as usize], &mut y);
                out.iter_mut()
                    .zip(&y)
                    .for_each(|(out, y)| *out = weight.mul_add(*y, *out));
            }
            if let Some(shared) = shared {
                feed_forward_row(x.row(r), shared, &mut y);
                out.iter_mut().zip(&y).for_each(|(out, y)| *out += y);
            }
        }
    }

    fn reduce(&self, _x: &mut Rows) {}

    fn gather(&self, x: &Rows, indices: &[u32], out: &mut Rows) {
        shapes::gather(x, indices, out);
        for (r, index) in indices.iter().enumerate() {
            out.row_mut(r).copy_from_slice(x.row(*index as usize));
        }
    }
}

/// One row of the batch before the first layer.
pub(crate) fn embed_row(
    input: RowInput,
    table: &Matrix,
    embeddings: Option<&Rows>,
    out: &mut [f32],
) {
    match (input, embeddings) {
        (RowInput::Token(id), _) => table.format().dequantize(table.row(id as usize), out),
        (RowInput::Embedding(index), Some(rows)) => out.copy_from_slice(rows.row(index as usize)),
        (RowInput::Embedding(_), None) => unreachable!("shapes::embed asks for the embeddings"),
    }
}

/// `1 / sqrt(mean + eps)` from a sum of squares.
pub(crate) fn rms_factor(sum_of_squares: f32, count: usize, eps: f32) -> f32 {
    1.0 / (sum_of_squares / count as f32 + eps).sqrt()
}

/// Rotates one row: products and sums rounded one by one, none fused.
pub(crate) fn rotate_row(
    x: &mut [f32],
    columns: Columns,
    cos: &[f32],
    sin: &[f32],
    pairing: Pairing,
) {
    let half = columns.width / 2;
    for head in 0..columns.heads {
        let x = &mut x[columns.head(head)];
        for i in 0..half {
            let (first, second) = match pairing {
                Pairing::Interleaved => (2 * i, 2 * i + 1),
                Pairing::HalfSplit => (i, i + half),
            };
            let (a, b) = (x[first], x[second]);
            x[first] = a * cos[i] - b * sin[i];
            x[second] = a * sin[i] + b * cos[i];
        }
    }
}

/// Writes one token's row of one layer.
pub(crate) fn write_slot(x: &[f32], layer: usize, slot: usize, cache: &mut Cache) {
    let at = slot * x.len()..(slot + 1) * x.len();
    match &mut cache.layers {
        CacheLayers::F32(layers) => layers[layer][at].copy_from_slice(x),
        CacheLayers::Bf16(layers) => {
            for (stored, x) in layers[layer][at].iter_mut().zip(x) {
                *stored = f32_to_bf16(*x);
            }
        }
        CacheLayers::Q8(layers) => layers[layer].write(slot, x),
    }
}

/// `down · (silu(gate · x) ⊙ (up · x))` of one row.
fn feed_forward_row(x: &[f32], weights: &FeedForward, out: &mut [f32]) {
    let mut gate = vec![0.0; weights.gate.rows()];
    let mut up = vec![0.0; weights.up.rows()];
    product::product(x, &weights.gate, &mut gate);
    product::product(x, &weights.up, &mut up);
    for (gate, up) in gate.iter_mut().zip(&up) {
        *gate = silu(*gate) * up;
    }
    product::product(&gate, &weights.down, out);
}
