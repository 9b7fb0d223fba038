//! The operations a device offers to the model: what is computed, never how.
//!
//! Every operation is defined, bit for bit, by `reference.rs`; any other implementation must give the same bits
//! (`tests/conformance.rs` checks each). This file knows no model: `hidden_size` and friends are the caller's words.
//!
//! Conventions: activations are row-major `[rows, cols]` in f32 ([`Rows`]); a weight [`Matrix`] is `[out, in]`, so a
//! product is `y = x · wᵀ`. Shapes that disagree are bugs of the caller and panic with the names of the dimensions.

use crate::cache::{AttentionPlan, AttentionShape, Cache, CacheLayout};
use crate::matrix::Matrix;
use crate::rows::{Columns, Rows};
use std::ops::Range;

/// How the two lanes of a rotated pair lie in a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// Pair `i` is lanes `2i, 2i + 1` (Mistral's own order; GGUF "norm").
    Interleaved,
    /// Pair `i` is lanes `i, i + dim/2` (Hugging Face's order for Llama-shaped models; GGUF "neox").
    HalfSplit,
}

/// Cosines and sines of one step's positions: both `[rows, dim / 2]`.
pub struct RotaryTable {
    /// Cosines, times the model's attention factor.
    pub cos: Rows,
    /// Sines, times the model's attention factor.
    pub sin: Rows,
}

/// What fills one row of a batch before the first layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowInput {
    /// Row `id` of the embedding table.
    Token(u32),
    /// Row `index` of the step's own embedding rows (images).
    Embedding(u32),
}

/// How router logits become expert weights: softmax over all experts, the `experts_per_token` largest (ties: the lower
/// index), renormalised over those if `renormalise`, times `scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouterRule {
    /// Experts chosen for a token.
    pub experts_per_token: usize,
    /// Divide the chosen weights by their sum (+ 1e-20).
    pub renormalise: bool,
    /// `routed_scaling_factor`.
    pub scale: f32,
}

/// The experts chosen for each row, best first, with their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Routing {
    /// `[rows, experts_per_token]`, in rank order.
    pub experts: Vec<u32>,
    /// `[rows, experts_per_token]`, beside `experts`.
    pub weights: Vec<f32>,
    /// Experts a row.
    pub experts_per_token: usize,
}

impl Routing {
    /// How many different experts were chosen.
    pub fn distinct(&self) -> usize {
        let mut chosen = self.experts.clone();
        chosen.sort_unstable();
        chosen.dedup();
        chosen.len()
    }
}

impl Routing {
    /// Room for the choices of `rows` rows.
    pub(crate) fn unset(rows: usize, experts_per_token: usize) -> Routing {
        Routing {
            experts: vec![0; rows * experts_per_token],
            weights: vec![0.0; rows * experts_per_token],
            experts_per_token,
        }
    }

    /// The experts and weights of one row, best first.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let at = row * self.experts_per_token..(row + 1) * self.experts_per_token;
        let weights = self.weights[at.clone()].iter().copied();
        self.experts[at].iter().copied().zip(weights)
    }

    /// Where the choices of one row go.
    pub(crate) fn row_mut(&mut self, row: usize) -> (&mut [u32], &mut [f32]) {
        let at = row * self.experts_per_token..(row + 1) * self.experts_per_token;
        (&mut self.experts[at.clone()], &mut self.weights[at])
    }
}

/// The three matrices of one SwiGLU feed-forward: `down · (silu(gate · x) ⊙ (up · x))`.
#[derive(Clone, Debug)]
pub struct FeedForward {
    /// `[intermediate_size, hidden_size]`
    pub gate: Matrix,
    /// `[intermediate_size, hidden_size]`
    pub up: Matrix,
    /// `[hidden_size, intermediate_size]`
    pub down: Matrix,
}

/// Attention in which every row of a range sees every row of it (an image's patches).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FullAttention {
    /// Heads of queries, keys and values alike.
    pub num_heads: usize,
    /// Lanes of a head.
    pub head_dim: usize,
    /// Factor on every score before the softmax; above 0.
    pub scale: f32,
    /// Whether queries, keys, values and softmax weights are rounded to bf16 before they are multiplied.
    pub rounded: bool,
}

/// A device. Object-safe; methods take `&self`, so one backend serves the whole process.
pub trait Backend: Send + Sync {
    /// One line for start-up: device, instruction set, threads.
    fn describe(&self) -> String;

    /// Zeroed activations.
    fn rows(&self, rows: usize, cols: usize) -> Rows;

    /// Activations with the given contents, row-major.
    fn upload(&self, rows: usize, cols: usize, values: &[f32]) -> Rows;

    /// The contents, row-major.
    fn download(&self, x: &Rows) -> Vec<f32>;

    /// An empty KV cache of `num_pages` pages; memory is committed as pages are first written.
    fn new_cache(&self, layout: CacheLayout, num_pages: usize) -> Cache;

    /// `out[r] = table[token]`, dequantised, or `embeddings[index]`.
    ///
    /// Shapes: `table: [vocab_size, cols]`, `embeddings: [any, cols]`, `out: [inputs.len(), cols]`.
    fn embed(&self, inputs: &[RowInput], table: &Matrix, embeddings: Option<&Rows>, out: &mut Rows);

    /// `out[r, to] = x[r, from] / sqrt(mean(x[r, from]²) + eps) ⊙ weight`, each head of `from` by itself.
    fn rms_norm(
        &self,
        x: &Rows,
        from: Columns,
        weight: &[f32],
        eps: f32,
        out: &mut Rows,
        to: Columns,
    );

    /// `outs[i] = x · weights[i]ᵀ`: several products of the same rows, in one region.
    ///
    /// Shapes: `x: [rows, in]`, `weights[i]: [out_i, in]`, `outs[i]: [rows, out_i]`.
    fn project(&self, x: &Rows, weights: &[&Matrix], outs: &mut [&mut Rows]);

    /// `out[r, to.head(h)] = x[r, from.head(h)] · weights[h]ᵀ`: one small matrix a head (MLA's absorption).
    ///
    /// Shapes: `weights[h]: [to.width, from.width]`, one a head.
    fn project_heads(
        &self,
        x: &Rows,
        from: Columns,
        weights: &[Matrix],
        out: &mut Rows,
        to: Columns,
    );

    /// `out[r, to] = x[r, from]`, head by head.
    fn copy_columns(&self, x: &Rows, from: Columns, out: &mut Rows, to: Columns);

    /// Rotates pairs of lanes in place: `(a, b) -> (a·cos − b·sin, a·sin + b·cos)`, every head of `columns` alike.
    ///
    /// Shapes: `table.cos: [rows, columns.width / 2]`.
    fn rotate(&self, x: &mut Rows, columns: Columns, table: &RotaryTable, pairing: Pairing);

    /// `x[r, :] *= factors[r]`. Shapes: `factors: [rows]`.
    fn scale_rows(&self, x: &mut Rows, factors: &[f32]);

    /// Writes row `r` of `x` into slot `slots[r]` of `layer`, rounded to the cache's type.
    ///
    /// Shapes: `x: [slots.len(), layout.row_width]`.
    fn write_cache(&self, x: &Rows, layer: usize, slots: &[u32], cache: &mut Cache);

    /// Causal attention over paged rows: for each row of the plan and each head, softmax over the visible slots, walked
    /// page by page in order with one online softmax; where [`AttentionShape::rounds`], bf16 queries and weights, and one
    /// softmax for each [`crate::BLOCK_SIZE`] slots, joined in order.
    ///
    /// Shapes: `q: [rows, num_heads * key_dim]`, `out: [rows, num_heads * value_dim]`.
    fn attention(
        &self,
        q: &Rows,
        cache: &Cache,
        layer: usize,
        plan: &AttentionPlan,
        shape: &AttentionShape,
        out: &mut Rows,
    );

    /// Attention without a mask within each range of rows: keys in tiles of 128 in order, one online softmax.
    ///
    /// Shapes: `q, k, v, out: [rows, num_heads * head_dim]`; `ranges` are not empty and cover all rows, in order.
    fn full_attention(
        &self,
        q: &Rows,
        k: &Rows,
        v: &Rows,
        ranges: &[Range<usize>],
        shape: &FullAttention,
        out: &mut Rows,
    );

    /// `x = x · Φ(x)` elementwise, Φ the normal distribution: GELU in its exact form.
    fn gelu(&self, x: &mut Rows);

    /// `out = x + y`, elementwise into `x`.
    fn add(&self, x: &mut Rows, y: &Rows);

    /// One SwiGLU feed-forward. Shapes: `x, out: [rows, hidden_size]`.
    fn feed_forward(&self, x: &Rows, weights: &FeedForward, out: &mut Rows);

    /// Chooses experts. Shapes: `logits: [rows, num_experts]`.
    fn route(&self, logits: &Rows, rule: RouterRule) -> Routing;

    /// `out[r] = Σ_k routing.weight(r, k) · expert_k(x[r])` in rank order, then `+ shared(x[r])`.
    ///
    /// Shapes: `x, out: [rows, hidden_size]`.
    fn experts(
        &self,
        x: &Rows,
        routing: &Routing,
        experts: &[FeedForward],
        shared: Option<&FeedForward>,
        out: &mut Rows,
    );

    /// Sums partial results over devices: the identity on one.
    fn reduce(&self, x: &mut Rows);

    /// `out[i] = x[indices[i]]`.
    fn gather(&self, x: &Rows, indices: &[u32], out: &mut Rows);
}
