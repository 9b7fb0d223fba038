//! The feed-forward part of a layer: one SwiGLU, or a router with its experts.

use crate::config::{Config, MoeConfig};
use crate::weights::FeedForwardWeights;
use kernels::{Backend, RouterRule, Rows};

/// The feed-forward parts of all layers: their rules, without weights.
pub(crate) struct FeedForwardPart {
    moe: Option<(RouterRule, usize)>,
}

impl FeedForwardPart {
    pub fn new(config: &Config) -> FeedForwardPart {
        let rule = |moe: &MoeConfig| RouterRule {
            experts_per_token: moe.experts_per_token,
            renormalise: moe.renormalise,
            scale: moe.routed_scaling_factor,
        };
        FeedForwardPart {
            moe: config
                .feed_forward
                .moe
                .as_ref()
                .map(|moe| (rule(moe), moe.num_experts)),
        }
    }

    /// `out = feed_forward(x)` of one layer. Returns the number of distinct experts used (0 for a dense layer).
    ///
    /// Shapes: `x, out: [rows, hidden_size]`, `x` normed.
    pub fn forward(
        &self,
        backend: &dyn Backend,
        weights: &FeedForwardWeights,
        x: &Rows,
        out: &mut Rows,
    ) -> usize {
        match (weights, self.moe) {
            (FeedForwardWeights::Dense(weights), _) => {
                backend.feed_forward(x, weights, out);
                0
            }
            (
                FeedForwardWeights::Moe {
                    router,
                    experts,
                    shared,
                },
                Some((rule, num_experts)),
            ) => {
                let mut logits = backend.rows(x.rows(), num_experts);
                backend.project(x, &[router], &mut [&mut logits]);
                let routing = backend.route(&logits, rule);
                backend.experts(x, &routing, experts, shared.as_ref(), out);
                routing.distinct()
            }
            (FeedForwardWeights::Moe { .. }, None) => {
                unreachable!("a layer has experts only if the configuration has")
            }
        }
    }
}
