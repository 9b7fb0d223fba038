//! How many parameters a configuration means, in all and for one token.

use super::{AttentionConfig, Config};

/// Parameter counts of the text model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// All of them; a head that is the embedding table counts once.
    pub total: u64,
    /// Those one decoded token is multiplied with: norms, attention, router, chosen and shared experts, head.
    pub active: u64,
    /// The embedding table alone.
    pub embedding: u64,
}

/// The same before the configuration is checked, so wide that nothing overflows.
pub(super) struct Count {
    pub(super) total: u128,
    pub(super) active: u128,
    pub(super) embedding: u128,
}

impl Config {
    /// Counts parameters from the sizes alone.
    pub fn parameters(&self) -> Parameters {
        let count = self.count();
        // A checked configuration has at most 2^50 of them.
        Parameters {
            total: count.total as u64,
            active: count.active as u64,
            embedding: count.embedding as u64,
        }
    }

    pub(super) fn count(&self) -> Count {
        let hidden = self.hidden_size as u128;
        let embedding = self.vocab_size as u128 * hidden;
        let head = if self.tied_embeddings { 0 } else { embedding };
        let num_layers = self.num_layers as u128;
        let attention = num_layers * (self.attention.parameters(hidden) + 2 * hidden);
        let moe = self.feed_forward.moe.as_ref();
        let dense_layers = moe.map_or(num_layers, |moe| moe.first_dense_layers as u128);
        let dense = dense_layers * 3 * hidden * self.feed_forward.intermediate_size as u128;
        let mut count = Count {
            total: embedding + head + hidden + attention + dense,
            active: embedding + hidden + attention + dense,
            embedding,
        };
        if let Some(moe) = moe {
            let layers = num_layers.saturating_sub(dense_layers);
            let expert = 3 * hidden * moe.intermediate_size as u128;
            let always = moe.num_experts as u128 * hidden + moe.num_shared_experts as u128 * expert;
            count.total += layers * (always + moe.num_experts as u128 * expert);
            count.active += layers * (always + moe.experts_per_token as u128 * expert);
        }
        count
    }
}

impl AttentionConfig {
    fn parameters(&self, hidden: u128) -> u128 {
        match self {
            AttentionConfig::Mla(mla) => {
                let heads = mla.num_heads as u128;
                let (q_rank, kv_rank) = (mla.q_lora_rank as u128, mla.kv_lora_rank as u128);
                let (nope, rope) = (mla.qk_nope_head_dim as u128, mla.qk_rope_head_dim as u128);
                let v = mla.v_head_dim as u128;
                let q = q_rank * hidden + q_rank + heads * (nope + rope) * q_rank;
                let kv = (kv_rank + rope) * hidden + kv_rank + heads * (nope + v) * kv_rank;
                q + kv + hidden * heads * v
            }
            AttentionConfig::Gqa(gqa) => {
                let (heads, kv_heads) = (gqa.num_heads as u128, gqa.num_kv_heads as u128);
                2 * hidden * gqa.head_dim as u128 * (heads + kv_heads)
            }
        }
    }
}
