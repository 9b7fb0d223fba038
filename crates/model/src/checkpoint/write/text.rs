//! A text model's tensors, with llama.cpp's names and layouts.
//!
//! The weights come as the forward pass takes them, whatever file they were in: latent attention already in its absorbed
//! parts, experts one by one. What differs is the order of rotated rows.

use super::rows::{Order, PlannedTensor};
use super::{Mix, mix};
use crate::checkpoint::names::{Part, Place, gguf_name};
use crate::rope::frequency_divisors;
use crate::{
    AttentionConfig, AttentionWeights, Config, FeedForwardWeights, LayerWeights, RopeScaling,
    Weights,
};
use kernels::{FeedForward, Format, Matrix, Pairing};
use std::collections::BTreeMap;

/// All tensors of a text model.
pub(super) fn tensors(
    config: &Config,
    weights: &Weights,
    mix: &Mix,
    notes: &mut Vec<String>,
) -> Vec<PlannedTensor> {
    let mut plan = Plan {
        config,
        mix,
        tensors: Vec::new(),
        replaced: BTreeMap::new(),
    };
    let whole = Place::default();
    let factors = match &config.rope.scaling {
        RopeScaling::FrequencyFactors(factors) => Some(factors.clone()),
        RopeScaling::Llama3 { .. } => Some(frequency_divisors(&config.rope)),
        _ => None,
    };
    if let Some(factors) = factors {
        plan.vector(Part::RopeFactors, whole, &factors);
    }
    plan.matrix(Part::Embedding, whole, &weights.embed, Order::AsIs);
    plan.vector(Part::OutputNorm, whole, &weights.output_norm);
    if !config.tied_embeddings {
        plan.matrix(Part::Head, whole, &weights.head, Order::AsIs);
    }
    for (layer, weights) in weights.layers.iter().enumerate() {
        plan.layer(Place { layer, expert: 0 }, weights);
    }
    for ((wanted, taken, cols), count) in &plan.replaced {
        notes.push(format!(
            "rows of {cols} values are no multiple of {wanted}'s blocks: {taken} for {count} tensor{}",
            if *count == 1 { "" } else { "s" }
        ));
    }
    plan.tensors
}

struct Plan<'a> {
    config: &'a Config,
    mix: &'a Mix,
    tensors: Vec<PlannedTensor>,
    /// Wanted format, the one taken instead and the row's length: how many tensors.
    replaced: BTreeMap<(&'static str, &'static str, usize), usize>,
}

impl Plan<'_> {
    fn vector(&mut self, part: Part, place: Place, values: &[f32]) {
        let name = gguf_name(part, place);
        self.tensors.push(PlannedTensor::vector(name, values));
    }

    fn matrix(&mut self, part: Part, place: Place, matrix: &Matrix, order: Order) {
        let shape = vec![matrix.rows(), matrix.cols()];
        self.push(part, place, shape, vec![matrix.clone()], order);
    }

    /// Matrices of one shape as one tensor.
    fn stack(&mut self, part: Part, place: Place, matrices: Vec<Matrix>) {
        let shape = vec![matrices.len(), matrices[0].rows(), matrices[0].cols()];
        self.push(part, place, shape, matrices, Order::AsIs);
    }

    fn push(
        &mut self,
        part: Part,
        place: Place,
        shape: Vec<usize>,
        matrices: Vec<Matrix>,
        order: Order,
    ) {
        let (layers, tied) = (self.config.num_layers, self.config.tied_embeddings);
        let wanted = self.mix.wanted(part, tied, place.layer, layers);
        let cols = matrices[0].cols();
        let format = mix::fitting(wanted, cols);
        if format != wanted {
            let key = (wanted.name(), format.name(), cols);
            *self.replaced.entry(key).or_default() += 1;
        }
        self.tensors.push(PlannedTensor {
            name: gguf_name(part, place),
            shape,
            format,
            matrices,
            order,
        });
    }

    fn layer(&mut self, place: Place, weights: &LayerWeights) {
        self.vector(Part::InputNorm, place, &weights.input_norm);
        self.attention(place, &weights.attention);
        self.vector(Part::PostNorm, place, &weights.post_norm);
        match &weights.feed_forward {
            FeedForwardWeights::Dense(dense) => {
                self.feed_forward([Part::Gate, Part::Up, Part::Down], place, dense);
            }
            FeedForwardWeights::Moe {
                router,
                experts,
                shared,
            } => {
                self.tensors.push(PlannedTensor {
                    name: gguf_name(Part::Router, place),
                    shape: vec![router.rows(), router.cols()],
                    format: Format::F32,
                    matrices: vec![router.clone()],
                    order: Order::AsIs,
                });
                let all =
                    |take: fn(&FeedForward) -> &Matrix| experts.iter().map(take).cloned().collect();
                self.stack(Part::ExpertsGate, place, all(|expert| &expert.gate));
                self.stack(Part::ExpertsUp, place, all(|expert| &expert.up));
                self.stack(Part::ExpertsDown, place, all(|expert| &expert.down));
                if let Some(shared) = shared {
                    let parts = [Part::SharedGate, Part::SharedUp, Part::SharedDown];
                    self.feed_forward(parts, place, shared);
                }
            }
        }
    }

    fn feed_forward(&mut self, [gate, up, down]: [Part; 3], place: Place, weights: &FeedForward) {
        self.matrix(gate, place, &weights.gate, Order::AsIs);
        self.matrix(up, place, &weights.up, Order::AsIs);
        self.matrix(down, place, &weights.down, Order::AsIs);
    }

    fn attention(&mut self, place: Place, weights: &AttentionWeights) {
        match weights {
            AttentionWeights::Gqa(weights) => {
                let dim = self.config.rope.dim;
                let rotated = self.rotated(dim, 0);
                self.matrix(Part::Query, place, &weights.q, rotated);
                self.matrix(Part::Key, place, &weights.k, rotated);
                self.matrix(Part::Value, place, &weights.v, Order::AsIs);
                self.matrix(Part::AttentionOutput, place, &weights.output, Order::AsIs);
            }
            AttentionWeights::Mla(weights) => {
                let (nope, rank) = match &self.config.attention {
                    AttentionConfig::Mla(mla) => (mla.qk_nope_head_dim, mla.kv_lora_rank),
                    AttentionConfig::Gqa(_) => (0, 0),
                };
                let dim = self.config.rope.dim;
                self.matrix(Part::QueryA, place, &weights.q_a, Order::AsIs);
                self.vector(Part::QueryANorm, place, &weights.q_a_norm);
                self.matrix(
                    Part::QueryB,
                    place,
                    &weights.q_b,
                    self.rotated(nope + dim, nope),
                );
                self.matrix(
                    Part::KvA,
                    place,
                    &weights.kv_a,
                    self.rotated(rank + dim, rank),
                );
                self.vector(Part::KvANorm, place, &weights.kv_a_norm);
                self.stack(Part::KeyB, place, weights.k_b.clone());
                self.stack(Part::ValueB, place, weights.v_b.clone());
                self.matrix(Part::AttentionOutput, place, &weights.output, Order::AsIs);
            }
        }
    }

    /// The order of rows of which every `head` end in rotated ones from `start` on: GGUFs hold pairs side by side.
    fn rotated(&self, head: usize, start: usize) -> Order {
        match self.config.rope.pairing {
            Pairing::Interleaved => Order::AsIs,
            Pairing::HalfSplit => Order::Dealt {
                head,
                start,
                dim: self.config.rope.dim,
            },
        }
    }
}
