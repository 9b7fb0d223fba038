//! The metadata of a GGUF file as a configuration: llama.cpp's keys and what its loaders make of them.
//!
//! Source: llama.cpp (the copy in llama_cpp_python 0.3.36), `src/llama-model.cpp`, `src/llama-context.cpp`,
//! `src/models/{llama,mistral3,deepseek2}.cpp` and `conversion/{mistral,mistral3,deepseek}.py`.

use super::gguf_rope::{read_query_scale, read_rope};
use super::reader::{Entry, Reader};
use super::{AttentionConfig, Config, FeedForwardConfig, GqaConfig, MlaConfig, MoeConfig};
use crate::ModelError;
use std::path::Path;

pub(super) const LLAMA_CPP: &str = "llama.cpp";

/// The architectures that are read, and how they differ.
pub(super) struct Architecture {
    pub(super) name: &'static str,
    pub(super) latent_attention: bool,
    /// Whether queries are scaled if the file does not say so.
    pub(super) scales_queries: bool,
}

const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "mistral4",
        latent_attention: true,
        scales_queries: true,
    },
    Architecture {
        name: "deepseek2",
        latent_attention: true,
        scales_queries: false,
    },
    Architecture {
        name: "mistral3",
        latent_attention: false,
        scales_queries: false,
    },
    Architecture {
        name: "llama",
        latent_attention: false,
        scales_queries: false,
    },
];

/// What the configuration needs to know of a file besides its metadata.
pub(crate) struct GgufFacts {
    /// Whether the file has no `output.weight`.
    pub(crate) tied: bool,
    /// Rows of `token_embd.weight`, if it is there.
    pub(crate) embedding_rows: Option<usize>,
    /// Tokens in the vocabulary, if there is one.
    pub(crate) num_tokens: Option<usize>,
    /// `rope_freqs.weight`, if it is there.
    pub(crate) frequency_factors: Option<Vec<f32>>,
}

impl Config {
    /// Reads a GGUF's metadata through `lookup`.
    ///
    /// Errors: an unsupported architecture or feature, a missing or contradictory number.
    pub(crate) fn from_gguf(
        path: &Path,
        lookup: impl Fn(&str) -> Option<Entry> + Copy,
        facts: GgufFacts,
    ) -> Result<Config, ModelError> {
        let mut general = Reader::new(path, "", lookup);
        let name = general
            .text_opt("architecture", "general.architecture")?
            .ok_or_else(|| general.missing("general.architecture", "the kind of model"))?;
        let Some(architecture) = ARCHITECTURES.iter().find(|known| known.name == name) else {
            let names: Vec<_> = ARCHITECTURES.iter().map(|known| known.name).collect();
            let name: String = name.chars().take(80).collect();
            return Err(general.error(format!(
                "architecture {name:?} is not supported: expected one of {}",
                names.join(", ")
            )));
        };
        let prefix = format!("{}.", architecture.name);
        let mut reader = Reader::new(path, &prefix, |key| lookup(&format!("{prefix}{key}")));
        let config = read_config(&mut reader, architecture, facts)?;
        general.absorb(reader);
        let (sources, notes) = general.finish();
        Config {
            sources,
            notes,
            ..config
        }
        .check(path)
    }
}

fn read_config(
    reader: &mut Reader,
    architecture: &Architecture,
    facts: GgufFacts,
) -> Result<Config, ModelError> {
    let num_layers = reader.size("num_layers", "block_count")?;
    let nextn = reader
        .count_opt("draft layers", "nextn_predict_layers")?
        .unwrap_or(0);
    if nextn > 0 {
        return Err(reader.wrong(
            "nextn_predict_layers",
            "0 (draft layers are not supported)",
            nextn,
        ));
    }
    let hidden_size = reader.size("hidden_size", "embedding_length")?;
    let max_context = reader.size("max_context", "context_length")?;
    let rms_norm_eps = reader
        .real_opt("rms_norm_eps", "attention.layer_norm_rms_epsilon")?
        .ok_or_else(|| reader.missing("attention.layer_norm_rms_epsilon", "a number"))?
        as f32;
    let vocab_size = read_vocab_size(reader, &facts)?;
    let (attention, rotated) = if architecture.latent_attention {
        read_latent_attention(reader, rms_norm_eps)?
    } else {
        read_grouped_attention(reader, hidden_size)?
    };
    let feed_forward = read_feed_forward(reader, architecture)?;
    let (rope, softmax_mscale) = read_rope(
        reader,
        architecture,
        rotated,
        max_context,
        facts.frequency_factors,
    )?;
    let query_scale = read_query_scale(reader, architecture, &rope, max_context)?;
    reader.record(
        "tied_embeddings",
        facts.tied,
        if facts.tied {
            "no output.weight"
        } else {
            "output.weight"
        },
    );
    let max_context = within_window(reader, max_context)?;
    Ok(Config {
        architecture: architecture.name.to_owned(),
        num_layers,
        hidden_size,
        vocab_size,
        max_context,
        rms_norm_eps,
        attention,
        feed_forward,
        rope,
        query_scale,
        softmax_mscale,
        tied_embeddings: facts.tied,
        sources: Vec::new(),
        notes: Vec::new(),
    })
}

fn read_vocab_size(reader: &mut Reader, facts: &GgufFacts) -> Result<usize, ModelError> {
    let rows = facts.embedding_rows.ok_or_else(|| {
        reader.error("token_embd.weight is missing: this is no language model, or a part of a split one (open the first part)")
    })?;
    let size = match (
        reader.count_opt("vocab_size", "vocab_size")?,
        facts.num_tokens,
    ) {
        (Some(size), _) => size,
        (None, Some(tokens)) => {
            reader.record("vocab_size", tokens, "length of tokenizer.ggml.tokens");
            tokens
        }
        (None, None) => {
            reader.record("vocab_size", rows, "rows of token_embd.weight");
            rows
        }
    };
    if size != rows {
        return Err(reader.error(format!(
            "vocab_size is {size}, but token_embd.weight has {rows} rows"
        )));
    }
    if let Some(tokens) = facts.num_tokens
        && tokens != rows
    {
        return Err(reader.error(format!(
            "tokenizer.ggml.tokens has {tokens} tokens, but token_embd.weight has {rows} rows"
        )));
    }
    Ok(size)
}

fn read_latent_attention(
    reader: &mut Reader,
    eps: f32,
) -> Result<(AttentionConfig, usize), ModelError> {
    let num_heads = reader.size("num_heads", "attention.head_count")?;
    let q_lora_rank = reader
        .count_opt("q_lora_rank", "attention.q_lora_rank")?
        .filter(|rank| *rank > 0)
        .ok_or_else(|| {
            reader.missing(
                "attention.q_lora_rank",
                "a rank (a query that is not compressed is not supported)",
            )
        })?;
    let kv_lora_rank = reader.size("kv_lora_rank", "attention.kv_lora_rank")?;
    let qk_rope_head_dim = reader.size("qk_rope_head_dim", "rope.dimension_count")?;
    let kv_heads = reader.count_opt("num_kv_heads", "attention.head_count_kv")?;
    // Files made before the attention was absorbed give a head's own sizes under key_length and value_length.
    let absorbed = reader.entry("attention.key_length_mla").is_some();
    if absorbed {
        let key_length = kv_lora_rank + qk_rope_head_dim;
        expect(
            reader,
            "attention.key_length",
            key_length,
            "kv_lora_rank + rope.dimension_count",
        )?;
        expect(
            reader,
            "attention.value_length",
            kv_lora_rank,
            "kv_lora_rank",
        )?;
        if let Some(kv_heads) = kv_heads
            && kv_heads != 1
        {
            return Err(reader.wrong("attention.head_count_kv", "1", kv_heads));
        }
    }
    let keys = if absorbed {
        ["attention.key_length_mla", "attention.value_length_mla"]
    } else {
        ["attention.key_length", "attention.value_length"]
    };
    let query_dim = reader.size("qk_nope_head_dim + qk_rope_head_dim", keys[0])?;
    let v_head_dim = reader.size("v_head_dim", keys[1])?;
    let Some(qk_nope_head_dim) = query_dim
        .checked_sub(qk_rope_head_dim)
        .filter(|dim| *dim > 0)
    else {
        return Err(reader.wrong(
            keys[0],
            &format!("more than rope.dimension_count, {qk_rope_head_dim}"),
            query_dim,
        ));
    };
    let mla = MlaConfig {
        num_heads,
        q_lora_rank,
        kv_lora_rank,
        qk_nope_head_dim,
        qk_rope_head_dim,
        v_head_dim,
        q_norm_eps: eps,
        kv_norm_eps: eps,
    };
    Ok((AttentionConfig::Mla(mla), qk_rope_head_dim))
}

fn expect(reader: &mut Reader, key: &str, expected: usize, what: &str) -> Result<(), ModelError> {
    match reader.count_opt("absorbed width", key)? {
        Some(got) if got != expected => {
            Err(reader.wrong(key, &format!("{expected} ({what})"), got))
        }
        _ => Ok(()),
    }
}

fn read_grouped_attention(
    reader: &mut Reader,
    hidden_size: usize,
) -> Result<(AttentionConfig, usize), ModelError> {
    let num_heads = reader.size("num_heads", "attention.head_count")?;
    let num_kv_heads = reader.size_or(
        "num_kv_heads",
        "attention.head_count_kv",
        num_heads,
        "attention.head_count",
    )?;
    let head_dim = match reader.count_opt("head_dim", "attention.key_length")? {
        Some(head_dim) => head_dim,
        None if hidden_size.is_multiple_of(num_heads) => {
            reader.record(
                "head_dim",
                hidden_size / num_heads,
                "embedding_length / attention.head_count",
            );
            hidden_size / num_heads
        }
        None => {
            return Err(reader.error(format!(
                "embedding_length {hidden_size} is not a multiple of attention.head_count {num_heads} and there is no attention.key_length"
            )));
        }
    };
    if head_dim == 0 {
        return Err(reader.wrong("attention.key_length", "a number above zero", 0));
    }
    if let Some(value_dim) = reader.count_opt("head_dim of values", "attention.value_length")?
        && value_dim != head_dim
    {
        return Err(reader.wrong(
            "attention.value_length",
            &format!("attention.key_length, {head_dim}"),
            value_dim,
        ));
    }
    let rotated = reader.size_or(
        "rope dim",
        "rope.dimension_count",
        head_dim,
        "attention.key_length",
    )?;
    let gqa = GqaConfig {
        num_heads,
        num_kv_heads,
        head_dim,
    };
    Ok((AttentionConfig::Gqa(gqa), rotated))
}

fn read_feed_forward(
    reader: &mut Reader,
    architecture: &Architecture,
) -> Result<FeedForwardConfig, ModelError> {
    let dense = reader.count_opt("intermediate_size", "feed_forward_length")?;
    let num_experts = reader.count_or("num_experts", "expert_count", 0, LLAMA_CPP)?;
    let moe = match num_experts {
        0 => None,
        _ => Some(read_moe(reader, architecture, num_experts, dense)?),
    };
    let intermediate_size = match (dense, &moe) {
        (Some(dense), _) => dense,
        (None, Some(_)) => 0,
        (None, None) => return Err(reader.missing("feed_forward_length", "a whole number")),
    };
    Ok(FeedForwardConfig {
        intermediate_size,
        moe,
    })
}

fn read_moe(
    reader: &mut Reader,
    architecture: &Architecture,
    num_experts: usize,
    dense: Option<usize>,
) -> Result<MoeConfig, ModelError> {
    refuse_other_routing(reader)?;
    let width = reader.count_opt("expert intermediate_size", "expert_feed_forward_length")?;
    let intermediate_size = match width {
        None if !architecture.latent_attention => dense,
        width => width,
    }
    .filter(|width| *width > 0)
    .ok_or_else(|| reader.missing("expert_feed_forward_length", "a whole number above zero"))?;
    let scale = reader.real_or(
        "routed_scaling_factor",
        "expert_weights_scale",
        1.0,
        LLAMA_CPP,
    )?;
    let renormalise = match reader.flag_opt("renormalise", "expert_weights_norm")? {
        Some(flag) => flag,
        // The converter leaves the key out when it is false; llama-shaped experts are always renormalised.
        None => !architecture.latent_attention,
    };
    Ok(MoeConfig {
        num_experts,
        experts_per_token: reader.size("experts_per_token", "expert_used_count")?,
        intermediate_size,
        num_shared_experts: reader.count_or(
            "num_shared_experts",
            "expert_shared_count",
            0,
            LLAMA_CPP,
        )?,
        first_dense_layers: reader.count_or(
            "first_dense_layers",
            "leading_dense_block_count",
            0,
            LLAMA_CPP,
        )?,
        // llama.cpp takes 0 for "no factor".
        routed_scaling_factor: if scale == 0.0 { 1.0 } else { scale as f32 },
        renormalise,
    })
}

/// Routing by anything but a softmax over all experts is refused.
fn refuse_other_routing(reader: &mut Reader) -> Result<(), ModelError> {
    // 0 stands for "not given"; llama.cpp then takes softmax for these architectures.
    let gating = reader.count_or("gating", "expert_gating_func", 0, "softmax")?;
    if gating > 1 {
        return Err(reader.wrong(
            "expert_gating_func",
            "1 (softmax; no other is supported)",
            gating,
        ));
    }
    let groups = reader.count_or("expert groups", "expert_group_count", 1, LLAMA_CPP)?;
    let used_groups = reader.count_or(
        "expert groups used",
        "expert_group_used_count",
        groups,
        LLAMA_CPP,
    )?;
    if groups > 1 && groups != used_groups {
        return Err(reader.wrong(
            "expert_group_used_count",
            &format!("expert_group_count, {groups} (choosing among groups is not supported)"),
            used_groups,
        ));
    }
    Ok(())
}

fn within_window(reader: &mut Reader, max_context: usize) -> Result<usize, ModelError> {
    match reader.count_opt("sliding_window", "attention.sliding_window")? {
        Some(window) if window > 0 && window < max_context => {
            reader.note(format!(
                "attention over a sliding window of {window} is not supported yet: the context is held to {window} instead of {max_context}"
            ));
            Ok(window)
        }
        _ => Ok(max_context),
    }
}
