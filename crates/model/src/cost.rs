//! What a step must read from memory at least, and how much it must multiply: the yardsticks speed is measured with.

use crate::config::Config;
use crate::weights::{AttentionWeights, FeedForwardWeights, LayerWeights, Weights};
use kernels::{Arithmetic, AttentionShape, FeedForward, KvType, Matrix};
use std::ops::AddAssign;

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
            sum.every_step += attention(layer).into_iter().map(matrix).sum::<u64>();
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

/// Multiply-accumulates, by what does them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Products {
    /// With weights in formats with blocks.
    pub integer: u64,
    /// With BF16 weights; and half of those of attention that rounds, since it multiplies one part, not two.
    pub bf16: u64,
    /// With F32 and F16 weights, and of attention that rounds nothing.
    pub f32: u64,
}

impl Products {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.integer + self.bf16 + self.f32
    }

    /// How many this arithmetic does.
    pub fn by(&self, arithmetic: Arithmetic) -> u64 {
        match arithmetic {
            Arithmetic::Integer => self.integer,
            Arithmetic::Bf16 => self.bf16,
            Arithmetic::F32 => self.f32,
        }
    }

    fn times(self, n: usize) -> Products {
        let n = n as u64;
        Products {
            integer: self.integer * n,
            bf16: self.bf16 * n,
            f32: self.f32 * n,
        }
    }

    fn add_matrix(&mut self, matrix: &Matrix) {
        let products = (matrix.rows() * matrix.cols()) as u64;
        *match Arithmetic::of(matrix.format()) {
            Arithmetic::Integer => &mut self.integer,
            Arithmetic::Bf16 => &mut self.bf16,
            Arithmetic::F32 => &mut self.f32,
        } += products;
    }

    fn of<'a>(matrices: impl IntoIterator<Item = &'a Matrix>) -> Products {
        let mut sum = Products::default();
        for matrix in matrices {
            sum.add_matrix(matrix);
        }
        sum
    }
}

impl AddAssign for Products {
    fn add_assign(&mut self, other: Products) {
        self.integer += other.integer;
        self.bf16 += other.bf16;
        self.f32 += other.f32;
    }
}

/// What one token multiplies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenProducts {
    /// With the weights of all layers, of the experts those that a token uses.
    pub layers: Products,
    /// With the head, if it wants logits.
    pub head: Products,
    /// With each cached token it sees, in all layers.
    pub attention: Products,
}

impl TokenProducts {
    /// Counts them in `weights`, whose configuration is `config`, with this attention over a cache of this type.
    pub fn of(
        weights: &Weights,
        config: &Config,
        shape: &AttentionShape,
        kv_type: KvType,
    ) -> TokenProducts {
        let experts_per_token = config.feed_forward.moe.as_ref();
        let experts_per_token = experts_per_token.map_or(0, |moe| moe.experts_per_token);
        let mut layers = Products::default();
        for layer in &weights.layers {
            layers += Products::of(attention(layer));
            match &layer.feed_forward {
                FeedForwardWeights::Dense(dense) => layers += Products::of(matrices(dense)),
                FeedForwardWeights::Moe {
                    router,
                    experts,
                    shared,
                } => {
                    layers.add_matrix(router);
                    layers += Products::of(shared.iter().flat_map(matrices));
                    let expert = Products::of(experts.iter().take(1).flat_map(matrices));
                    layers += expert.times(experts_per_token);
                }
            }
        }
        TokenProducts {
            layers,
            head: Products::of([&weights.head]),
            attention: seen(shape, kv_type).times(weights.layers.len()),
        }
    }

    /// Those of a step: `rows` tokens, which see `visible` cached ones all in all, and `logit_rows` rows of logits.
    pub fn step(&self, rows: usize, visible: usize, logit_rows: usize) -> Products {
        let mut sum = self.layers.times(rows);
        sum += self.head.times(logit_rows);
        sum += self.attention.times(visible);
        sum
    }
}

/// Products of a token with one that it sees, in one layer: a score and a share of the sum, for every head.
fn seen(attention: &AttentionShape, kv_type: KvType) -> Products {
    let width = attention.num_heads * (attention.key_dim + attention.value_dim);
    let mut products = Products::default();
    if attention.rounds(kv_type) {
        products.bf16 = width.div_ceil(2) as u64;
    } else {
        products.f32 = width as u64;
    }
    products
}

/// The matrices of a layer's attention.
fn attention(layer: &LayerWeights) -> Vec<&Matrix> {
    match &layer.attention {
        AttentionWeights::Mla(w) => {
            let heads = w.k_b.iter().chain(&w.v_b);
            let whole = [&w.q_a, &w.q_b, &w.kv_a, &w.output];
            whole.into_iter().chain(heads).collect()
        }
        AttentionWeights::Gqa(w) => vec![&w.q, &w.k, &w.v, &w.output],
    }
}

fn matrices(weights: &FeedForward) -> [&Matrix; 3] {
    [&weights.gate, &weights.up, &weights.down]
}

fn matrix(matrix: &Matrix) -> u64 {
    matrix.bytes().len() as u64
}

fn feed_forward(weights: &FeedForward) -> u64 {
    matrices(weights).into_iter().map(matrix).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Attention;

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

    #[test]
    fn a_step_multiplies_what_its_tokens_use() {
        let one = |integer, bf16, f32| Products { integer, bf16, f32 };
        let token = TokenProducts {
            layers: one(100, 20, 3),
            head: one(0, 50, 0),
            attention: one(0, 2, 7),
        };
        let step = token.step(4, 4 * 10, 1);
        assert_eq!(step, one(400, 80 + 50 + 80, 12 + 280));
        assert_eq!(step.total(), 400 + 210 + 292);
        let by: u64 = Arithmetic::ALL.map(|a| step.by(a)).iter().sum();
        assert_eq!(by, step.total());
    }

    /// Counted by hand from the sizes in the fixture's config.json, of which F32 weights hold all.
    #[test]
    fn a_tokens_products_are_its_active_parameters() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../fixtures/models/mistral4-tiny-f32"
        );
        let checkpoint = crate::open(std::path::Path::new(path)).unwrap();
        let weights = checkpoint.load(&|_, _| {}).unwrap();
        let attention = Attention::new(&checkpoint.config, 1.0);
        let of =
            |kv_type| TokenProducts::of(&weights, &checkpoint.config, attention.shape(), kv_type);
        let token = of(KvType::F32);
        let parameters = checkpoint.parameters();
        let all = token.step(1, 0, 1);
        assert_eq!((all.integer, all.bf16), (0, 0));
        // What is active beside products: norms, which are less than a hundredth, and the embedding table if it counts.
        let active = parameters.active as f64;
        let off = (all.total() as f64 / active - 1.0).abs();
        assert!(off < 0.02, "{all:?} of {active}");
        // Over a BF16 cache, attention's products are of one part, counted as half of two.
        let exact = token.step(1, 10, 0);
        let rounded = of(KvType::Bf16).step(1, 10, 0);
        assert!(rounded.bf16 > 0 && exact.f32 - rounded.f32 == 2 * rounded.bf16);
    }
}
