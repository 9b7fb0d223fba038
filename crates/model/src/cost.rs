//! What a step must read from memory at least: the yardstick speed is measured with.

use crate::weights::{AttentionWeights, FeedForwardWeights, Weights};
use kernels::{FeedForward, Matrix};

/// Bytes of a model's weights, by how often a step reads them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeightBytes {
    /// Read once by every step: attention, routers, shared and dense feed-forwards of all layers.
    pub every_step: u64,
    /// All routed experts of all layers.
    pub routed_experts: u64,
    /// Number of routed experts over all layers.
    pub num_routed_experts: u64,
    /// Layers with experts.
    pub num_expert_layers: usize,
    /// The head, read by steps that want logits.
    pub head: u64,
}

impl WeightBytes {
    /// Sums the matrices of `weights`.
    pub fn of(weights: &Weights) -> WeightBytes {
        let mut sum = WeightBytes {
            head: matrix(&weights.head),
            ..WeightBytes::default()
        };
        for layer in &weights.layers {
            sum.every_step += match &layer.attention {
                AttentionWeights::Mla(w) => {
                    let heads = w.k_b.iter().chain(&w.v_b);
                    [&w.q_a, &w.q_b, &w.kv_a, &w.output]
                        .into_iter()
                        .chain(heads)
                        .map(matrix)
                        .sum()
                }
                AttentionWeights::Gqa(w) => [&w.q, &w.k, &w.v, &w.output]
                    .into_iter()
                    .map(matrix)
                    .sum::<u64>(),
            };
            match &layer.feed_forward {
                FeedForwardWeights::Dense(dense) => sum.every_step += feed_forward(dense),
                FeedForwardWeights::Moe {
                    router,
                    experts,
                    shared,
                } => {
                    sum.every_step += matrix(router) + shared.as_ref().map_or(0, feed_forward);
                    sum.routed_experts += experts.iter().map(feed_forward).sum::<u64>();
                    sum.num_routed_experts += experts.len() as u64;
                    sum.num_expert_layers += 1;
                }
            }
        }
        sum
    }

    /// Bytes a step reads if it uses `distinct_experts` experts, counted over all layers.
    pub fn step(&self, distinct_experts: usize, with_head: bool) -> u64 {
        let an_expert = self
            .routed_experts
            .checked_div(self.num_routed_experts)
            .unwrap_or(0);
        self.every_step
            + an_expert * distinct_experts as u64
            + if with_head { self.head } else { 0 }
    }
}

fn matrix(matrix: &Matrix) -> u64 {
    matrix.bytes().len() as u64
}

fn feed_forward(weights: &FeedForward) -> u64 {
    matrix(&weights.gate) + matrix(&weights.up) + matrix(&weights.down)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_reads_the_experts_it_uses_and_the_head_if_asked() {
        let bytes = WeightBytes {
            every_step: 100,
            routed_experts: 80,
            num_routed_experts: 8,
            num_expert_layers: 2,
            head: 7,
        };
        assert_eq!(bytes.step(3, false), 130);
        assert_eq!(bytes.step(0, true), 107);
        assert_eq!(WeightBytes::default().step(0, false), 0);
    }
}
