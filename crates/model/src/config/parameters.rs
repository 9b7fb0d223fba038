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

impl Config {
    /// Counts parameters from the sizes alone.
    pub fn parameters(&self) -> Parameters {
        let hidden = self.hidden_size as u64;
        let embedding = self.vocab_size as u64 * hidden;
        let head = if self.tied_embeddings { 0 } else { embedding };
        let mut total = embedding + head + hidden;
        let mut active = embedding + hidden;
        for layer in 0..self.num_layers {
            let always = self.attention.parameters(hidden) + 2 * hidden;
            total += always;
            active += always;
            match self
                .feed_forward
                .moe
                .as_ref()
                .filter(|_| self.is_moe(layer))
            {
                None => {
                    let dense = 3 * hidden * self.feed_forward.intermediate_size as u64;
                    total += dense;
                    active += dense;
                }
                Some(moe) => {
                    let expert = 3 * hidden * moe.intermediate_size as u64;
                    let router = moe.num_experts as u64 * hidden;
                    let shared = moe.num_shared_experts as u64 * expert;
                    total += router + shared + moe.num_experts as u64 * expert;
                    active += router + shared + moe.experts_per_token as u64 * expert;
                }
            }
        }
        Parameters {
            total,
            active,
            embedding,
        }
    }
}

impl AttentionConfig {
    fn parameters(&self, hidden: u64) -> u64 {
        match self {
            AttentionConfig::Mla(mla) => {
                let heads = mla.num_heads as u64;
                let (q_rank, kv_rank) = (mla.q_lora_rank as u64, mla.kv_lora_rank as u64);
                let (nope, rope) = (mla.qk_nope_head_dim as u64, mla.qk_rope_head_dim as u64);
                let v = mla.v_head_dim as u64;
                let q = q_rank * hidden + q_rank + heads * (nope + rope) * q_rank;
                let kv = (kv_rank + rope) * hidden + kv_rank + heads * (nope + v) * kv_rank;
                q + kv + hidden * heads * v
            }
            AttentionConfig::Gqa(gqa) => {
                let (heads, kv_heads) = (gqa.num_heads as u64, gqa.num_kv_heads as u64);
                2 * hidden * gqa.head_dim as u64 * (heads + kv_heads)
            }
        }
    }
}
