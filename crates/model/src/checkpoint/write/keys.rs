//! A text model's metadata, as llama.cpp's converters write it.
//!
//! `config/gguf.rs` and `config/gguf_rope.rs` read these keys; every number must survive the way there and back.

use super::{GgufPair, Mix};
use crate::checkpoint::tensor::file_error;
use crate::checkpoint::{Checkpoint, Gguf};
use crate::config::{MoeConfig, yarn_mscale};
use crate::{AttentionConfig, Config, ModelError, RopeScaling};

/// ggml's `GGML_QNT_VERSION`.
const QUANTIZATION_VERSION: u32 = 2;

/// Names of architectures: transformers', then llama.cpp's.
const ARCHITECTURES: [(&str, &str); 4] = [
    ("mistral4", "mistral4"),
    ("ministral3", "mistral3"),
    ("mistral", "llama"),
    ("llama", "llama"),
];

/// What a file's own pairs are, apart from its model's: made anew, or wrong for a file in one part.
const MADE_ANEW: [&str; 3] = [
    "general.file_type",
    "general.quantization_version",
    "split.",
];

/// The pairs that say how the tensors are stored.
pub(super) fn of_mix(mix: &Mix) -> [GgufPair; 2] {
    [
        GgufPair::count("general.file_type", mix.file_type),
        GgufPair::count("general.quantization_version", QUANTIZATION_VERSION),
    ]
}

/// The pairs of another GGUF that hold for the new one too. Sizes of latent attention are those of the absorbed form,
/// which older files do not have.
pub(super) fn kept(gguf: &Gguf, config: &Config) -> Vec<GgufPair> {
    let absorbed = match config.attention {
        AttentionConfig::Mla(_) => attention(config, &config.architecture),
        AttentionConfig::Gqa(_) => Vec::new(),
    };
    let pairs = gguf.raw_pairs();
    let kept = pairs.filter(|(key, _, _)| {
        let anew = MADE_ANEW.iter().any(|start| key.starts_with(start));
        !anew && absorbed.iter().all(|pair| pair.key() != *key)
    });
    let mut kept: Vec<_> = kept
        .map(|(key, kind, value)| GgufPair::raw(key, kind, value))
        .collect();
    kept.extend(absorbed);
    kept
}

/// All pairs of a model that does not come from a GGUF.
pub(super) fn of_config(
    checkpoint: &Checkpoint,
    name: &str,
    notes: &mut Vec<String>,
) -> Result<Vec<GgufPair>, ModelError> {
    let config = &checkpoint.config;
    let known = ARCHITECTURES
        .iter()
        .find(|(ours, _)| *ours == config.architecture);
    let Some((_, arch)) = known else {
        let what = format!("architecture {} has no name in a GGUF", config.architecture);
        return Err(file_error(&checkpoint.path, what));
    };
    let count = |key: &str, value: usize| GgufPair::count(&format!("{arch}.{key}"), value as u32);
    let real = |key: &str, value: f32| GgufPair::real(&format!("{arch}.{key}"), value);
    let mut pairs = vec![
        GgufPair::text("general.architecture", arch),
        GgufPair::text("general.type", "model"),
        GgufPair::text("general.name", name),
        count("block_count", config.num_layers),
        count("context_length", config.max_context),
        count("embedding_length", config.hidden_size),
        count("feed_forward_length", config.feed_forward.intermediate_size),
        real("attention.layer_norm_rms_epsilon", config.rms_norm_eps),
        count("vocab_size", config.vocab_size),
    ];
    pairs.extend(attention(config, arch));
    if let Some(moe) = &config.feed_forward.moe {
        pairs.extend(experts(moe, arch));
    }
    let rope = rope(config, arch).map_err(|what| file_error(&checkpoint.path, what))?;
    pairs.extend(rope);
    if let AttentionConfig::Mla(mla) = &config.attention
        && [mla.q_norm_eps, mla.kv_norm_eps] != [config.rms_norm_eps; 2]
    {
        notes.push(format!(
            "a GGUF has one epsilon for all norms: {} replaces {} in the norms of the latents",
            config.rms_norm_eps, mla.q_norm_eps
        ));
    }
    Ok(pairs)
}

fn attention(config: &Config, arch: &str) -> Vec<GgufPair> {
    let count =
        |key: &str, value: usize| GgufPair::count(&format!("{arch}.attention.{key}"), value as u32);
    match &config.attention {
        AttentionConfig::Gqa(gqa) => vec![
            count("head_count", gqa.num_heads),
            count("head_count_kv", gqa.num_kv_heads),
            count("key_length", gqa.head_dim),
            count("value_length", gqa.head_dim),
        ],
        AttentionConfig::Mla(mla) => vec![
            count("head_count", mla.num_heads),
            // Absorbed, all heads share one key and value: the latent.
            count("head_count_kv", 1),
            count("q_lora_rank", mla.q_lora_rank),
            count("kv_lora_rank", mla.kv_lora_rank),
            count("key_length", mla.kv_lora_rank + mla.qk_rope_head_dim),
            count("value_length", mla.kv_lora_rank),
            count(
                "key_length_mla",
                mla.qk_nope_head_dim + mla.qk_rope_head_dim,
            ),
            count("value_length_mla", mla.v_head_dim),
        ],
    }
}

fn experts(moe: &MoeConfig, arch: &str) -> Vec<GgufPair> {
    let count = |key: &str, value: usize| GgufPair::count(&format!("{arch}.{key}"), value as u32);
    vec![
        count("leading_dense_block_count", moe.first_dense_layers),
        count("expert_feed_forward_length", moe.intermediate_size),
        count("expert_count", moe.num_experts),
        count("expert_used_count", moe.experts_per_token),
        count("expert_shared_count", moe.num_shared_experts),
        count("expert_group_count", 1),
        count("expert_group_used_count", 1),
        GgufPair::real(
            &format!("{arch}.expert_weights_scale"),
            moe.routed_scaling_factor,
        ),
        GgufPair::flag(&format!("{arch}.expert_weights_norm"), moe.renormalise),
    ]
}

fn rope(config: &Config, arch: &str) -> Result<Vec<GgufPair>, &'static str> {
    let key = |key: &str| format!("{arch}.rope.{key}");
    let rope = &config.rope;
    let mut pairs = vec![
        GgufPair::count(&key("dimension_count"), rope.dim as u32),
        GgufPair::real(&key("freq_base"), rope.theta),
    ];
    match &rope.scaling {
        // Llama 3.1's scaling becomes the tensor rope_freqs.weight.
        RopeScaling::None | RopeScaling::Llama3 { .. } | RopeScaling::FrequencyFactors(_) => {}
        RopeScaling::Linear { factor } => pairs.extend([
            GgufPair::text(&key("scaling.type"), "linear"),
            GgufPair::real(&key("scaling.factor"), *factor),
        ]),
        RopeScaling::Yarn {
            factor,
            original_max_position_embeddings,
            beta_fast,
            beta_slow,
            attention_factor,
            truncate,
        } => {
            if !truncate {
                return Err(
                    "rope_parameters.truncate is false, which no GGUF can say: llama.cpp always rounds YaRN's ramp",
                );
            }
            let original = *original_max_position_embeddings as u32;
            pairs.extend([
                GgufPair::text(&key("scaling.type"), "yarn"),
                GgufPair::real(&key("scaling.factor"), *factor),
                GgufPair::count(&key("scaling.original_context_length"), original),
                GgufPair::real(&key("scaling.yarn_beta_fast"), *beta_fast),
                GgufPair::real(&key("scaling.yarn_beta_slow"), *beta_slow),
            ]);
            let (log_multiplier, more) = yarn_factors(config, *factor, *attention_factor);
            pairs.push(GgufPair::real(
                &key("scaling.yarn_log_multiplier"),
                log_multiplier,
            ));
            if more != 1.0 {
                pairs.push(GgufPair::real(&key("scaling.attn_factor"), more));
            }
        }
    }
    // llama.cpp scales no query where the keys are absent; our reader then takes mistral4's own value.
    let scale = config.query_scale;
    if scale.is_some() || config.architecture == "mistral4" {
        let beta = scale.map_or(0.0, |scale| scale.beta);
        pairs.push(GgufPair::real(
            &format!("{arch}.attention.temperature_scale"),
            beta,
        ));
    }
    if let Some(scale) = scale {
        let length = scale.original_max_position_embeddings as u32;
        pairs.push(GgufPair::count(
            &format!("{arch}.attention.temperature_length"),
            length,
        ));
    }
    Ok(pairs)
}

/// The key `yarn_log_multiplier`, and the factor that llama.cpp is to put on cosines and sines beside its own.
///
/// llama.cpp's own is mscale(1) / mscale(all_dim), with `mscale_all_dim` from the key: a tenth of it for latent
/// attention, whose softmax scale it squares into as well.
fn yarn_factors(config: &Config, factor: f32, attention_factor: f32) -> (f32, f32) {
    let factor = f64::from(factor);
    let latent = matches!(config.attention, AttentionConfig::Mla(_));
    let all_dim = if latent {
        // The factor on the softmax is mscale(all_dim) squared. People write it with few digits.
        let mscale = f64::from(config.softmax_mscale).sqrt();
        let all_dim = if factor > 1.0 {
            (mscale - 1.0) / (0.1 * factor.ln())
        } else {
            0.0
        };
        (all_dim * 1e5).round() / 1e5
    } else if attention_factor == 1.0 {
        1.0
    } else {
        0.0
    };
    let own = yarn_mscale(factor, 1.0) / yarn_mscale(factor, all_dim);
    let more = if own as f32 == attention_factor {
        1.0
    } else {
        (f64::from(attention_factor) / own) as f32
    };
    // As a tenth in single precision, which is how it is read.
    let log_multiplier = if latent {
        all_dim as f32 * 0.1
    } else {
        all_dim as f32
    };
    (log_multiplier, more)
}
