//! What a model is, in numbers: the one description all checkpoint forms are turned into, checked before it is trusted.
//!
//! It knows no tensor and no bytes. Reading `config.json` and GGUF metadata lies in `config/`.

mod check;
mod gguf;
mod gguf_rope;
mod hugging_face;
mod parameters;
mod reader;
mod rope_json;
mod vision;

pub(crate) use gguf::GgufFacts;
pub(crate) use hugging_face::{MOST_CONFIG_BYTES, parse_object};
pub use parameters::Parameters;
pub(crate) use reader::Entry;
pub(crate) use rope_json::yarn_mscale;
pub(crate) use vision::{CHANNELS, ProjectorFacts};
pub use vision::{MergerConfig, VisionConfig};

use kernels::Pairing;
use std::path::PathBuf;

/// A model's configuration. Every value was checked when it was made: no zero size, everything divides that must.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The architecture as the file names it (`mistral4`, `deepseek2`, `llama`, ...).
    pub architecture: String,
    /// Transformer layers.
    pub num_layers: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Rows of the embedding table and of the head.
    pub vocab_size: usize,
    /// Positions the model was made for (held down to a sliding window if it has one; `notes` then says so).
    pub max_context: usize,
    /// Epsilon of the two norms of a layer and of the final one.
    pub rms_norm_eps: f32,
    /// Shape of attention, the same in all layers.
    pub attention: AttentionConfig,
    /// Shape of the feed-forward part.
    pub feed_forward: FeedForwardConfig,
    /// Rotary embedding.
    pub rope: RopeConfig,
    /// Position-dependent factor on queries, if the model has one.
    pub query_scale: Option<QueryScale>,
    /// Factor that transformers 5.23 and llama.cpp put on `key_dim^-1/2` and the vendor does not (1 where they agree).
    pub softmax_mscale: f32,
    /// Whether the head is the embedding table.
    pub tied_embeddings: bool,
    /// Where each number came from, in the order of reading.
    pub sources: Vec<Source>,
    /// What was assumed or is not used, one sentence each, for the user to see.
    pub notes: Vec<String>,
}

/// One number of the configuration and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The quantity, by the name of the field here.
    pub name: &'static str,
    /// Its value, printed.
    pub value: String,
    /// The file it came from.
    pub file: PathBuf,
    /// The key in that file, or why there is none (`default: ...`).
    pub key: String,
}

/// The two kinds of attention of the family.
#[derive(Clone, Debug, PartialEq)]
pub enum AttentionConfig {
    /// Multi-head latent attention.
    Mla(MlaConfig),
    /// Grouped-query attention.
    Gqa(GqaConfig),
}

/// Sizes of multi-head latent attention.
#[derive(Clone, Debug, PartialEq)]
pub struct MlaConfig {
    /// Query heads.
    pub num_heads: usize,
    /// Width of the compressed query.
    pub q_lora_rank: usize,
    /// Width of the latent that is cached.
    pub kv_lora_rank: usize,
    /// Lanes of a head's query and key without position.
    pub qk_nope_head_dim: usize,
    /// Lanes of a head's query and key that are rotated; the key part is shared by all heads.
    pub qk_rope_head_dim: usize,
    /// Lanes of a head's value.
    pub v_head_dim: usize,
    /// Epsilon of the norm of the compressed query.
    pub q_norm_eps: f32,
    /// Epsilon of the norm of the latent.
    pub kv_norm_eps: f32,
}

/// Sizes of grouped-query attention. No biases: a checkpoint with some is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GqaConfig {
    /// Query heads.
    pub num_heads: usize,
    /// Key/value heads; divides `num_heads`.
    pub num_kv_heads: usize,
    /// Lanes of a head; all of them are rotated.
    pub head_dim: usize,
}

/// Sizes of the feed-forward part.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedForwardConfig {
    /// Width of the dense feed-forward; of no use in a model whose layers all have experts.
    pub intermediate_size: usize,
    /// Experts, if there are any.
    pub moe: Option<MoeConfig>,
}

/// Sizes and rules of a mixture of experts.
#[derive(Clone, Debug, PartialEq)]
pub struct MoeConfig {
    /// Routed experts.
    pub num_experts: usize,
    /// Routed experts a token uses.
    pub experts_per_token: usize,
    /// Width of one routed expert.
    pub intermediate_size: usize,
    /// Shared experts: one feed-forward, `num_shared_experts * intermediate_size` wide; 0 for none.
    pub num_shared_experts: usize,
    /// Layers at the start that are dense.
    pub first_dense_layers: usize,
    /// Factor on the routed experts' weights.
    pub routed_scaling_factor: f32,
    /// Whether the chosen experts' weights are divided by their sum.
    pub renormalise: bool,
}

/// Rotary embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeConfig {
    /// Base of the frequencies.
    pub theta: f32,
    /// Rotated lanes of a head.
    pub dim: usize,
    /// How pairs lie in a head. A property of the file: converters permute q and k.
    pub pairing: Pairing,
    /// How frequencies are stretched for long contexts.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are stretched.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// As they are.
    None,
    /// All divided by `factor`.
    Linear {
        /// Divisor.
        factor: f32,
    },
    /// Llama 3.1's: low frequencies divided by `factor`, high ones kept, a blend between.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f32,
        /// Wavelengths above `original / low_freq_factor` are divided.
        low_freq_factor: f32,
        /// Wavelengths below `original / high_freq_factor` are kept.
        high_freq_factor: f32,
        /// Context of pre-training.
        original_max_position_embeddings: usize,
    },
    /// YaRN.
    Yarn {
        /// Divisor of the low frequencies.
        factor: f32,
        /// Context of pre-training.
        original_max_position_embeddings: usize,
        /// Rotations over the original context above which a frequency is kept.
        beta_fast: f32,
        /// Rotations over the original context below which a frequency is divided.
        beta_slow: f32,
        /// Factor on cosines and sines, resolved from whatever the file gives (`mscale`, `apply_scale`, ...).
        attention_factor: f32,
        /// Whether the ends of the ramp are rounded outwards to whole lanes.
        truncate: bool,
    },
    /// Each frequency divided by a number of its own (`rope_freqs.weight` of a GGUF): `dim / 2` of them.
    FrequencyFactors(Vec<f32>),
}

/// The query at position p is multiplied by `1 + beta * ln(1 + floor(p / original_max_position_embeddings))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryScale {
    /// Strength.
    pub beta: f32,
    /// Context of pre-training.
    pub original_max_position_embeddings: usize,
}

/// Whose scale goes on attention scores (they differ for `mistral4` only).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SoftmaxScale {
    /// The maker's and the serving engines': `key_dim^-1/2`.
    #[default]
    Vendor,
    /// transformers' (5.17 and later) and llama.cpp's: the same times YaRN's mscale squared.
    Transformers,
}

impl Config {
    /// The factor on attention scores.
    pub fn softmax_scale(&self, whose: SoftmaxScale) -> f32 {
        let plain = (self.attention.query_dim() as f64).powf(-0.5);
        match whose {
            SoftmaxScale::Vendor => plain as f32,
            SoftmaxScale::Transformers => (plain * f64::from(self.softmax_mscale)) as f32,
        }
    }

    /// Whether layer `layer` has experts (else it has the dense feed-forward).
    pub fn is_moe(&self, layer: usize) -> bool {
        self.feed_forward
            .moe
            .as_ref()
            .is_some_and(|moe| layer >= moe.first_dense_layers)
    }

    /// Values cached a token and layer.
    pub fn kv_row_width(&self) -> usize {
        match &self.attention {
            AttentionConfig::Mla(mla) => mla.kv_lora_rank + mla.qk_rope_head_dim,
            AttentionConfig::Gqa(gqa) => 2 * gqa.num_kv_heads * gqa.head_dim,
        }
    }
}

impl AttentionConfig {
    /// Query heads.
    pub fn num_heads(&self) -> usize {
        match self {
            AttentionConfig::Mla(mla) => mla.num_heads,
            AttentionConfig::Gqa(gqa) => gqa.num_heads,
        }
    }

    /// Lanes of a head's query before any absorption: what the softmax scale is made of.
    pub fn query_dim(&self) -> usize {
        match self {
            AttentionConfig::Mla(mla) => mla.qk_nope_head_dim + mla.qk_rope_head_dim,
            AttentionConfig::Gqa(gqa) => gqa.head_dim,
        }
    }
}
