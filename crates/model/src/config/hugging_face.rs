//! `config.json` of a Hugging Face directory, read as transformers 5.23 reads it.
//!
//! It knows the keys and transformers' defaults; it opens no file and knows no tensor.

use super::reader::{Entry, Reader};
use super::rope_json::read_rope;
use super::{AttentionConfig, Config, FeedForwardConfig, GqaConfig, MlaConfig, MoeConfig};
use crate::ModelError;
use kernels::Pairing;
use serde_json::{Map, Value};
use std::path::Path;

/// Largest `config.json` that is read; real ones have a few KiB.
pub(crate) const MOST_CONFIG_BYTES: usize = 1 << 20;

/// What transformers assumes for a model type when a key is absent (its configuration classes).
struct ModelType {
    name: &'static str,
    latent_attention: bool,
    rms_norm_eps: f64,
    num_kv_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    sliding_window: Option<usize>,
    has_query_scale: bool,
}

const MODEL_TYPES: &[ModelType] = &[
    ModelType {
        name: "mistral4",
        latent_attention: true,
        rms_norm_eps: 1e-6,
        num_kv_heads: None,
        head_dim: None,
        max_position_embeddings: 1_048_576,
        sliding_window: None,
        has_query_scale: true,
    },
    ModelType {
        name: "ministral3",
        latent_attention: false,
        rms_norm_eps: 1e-5,
        num_kv_heads: Some(8),
        head_dim: Some(128),
        max_position_embeddings: 262_144,
        sliding_window: None,
        has_query_scale: true,
    },
    ModelType {
        name: "mistral",
        latent_attention: false,
        rms_norm_eps: 1e-6,
        num_kv_heads: Some(8),
        head_dim: None,
        max_position_embeddings: 131_072,
        sliding_window: Some(4096),
        has_query_scale: false,
    },
    ModelType {
        name: "llama",
        latent_attention: false,
        rms_norm_eps: 1e-6,
        num_kv_heads: None,
        head_dim: None,
        max_position_embeddings: 2048,
        sliding_window: None,
        has_query_scale: false,
    },
];

/// Models that hold a text model and a vision tower: Mistral Small 3.1 and later, Pixtral-12B.
const WRAPPERS: [&str; 2] = ["mistral3", "llava"];

/// Heads of all text models without latent attention unless the file says so (Pixtral-12B's does not).
const NUM_HEADS: usize = 32;

pub(super) const TRANSFORMERS: &str = "transformers 5.23";

impl Config {
    /// Reads the text of a `config.json`; `path` names it in messages and sources.
    ///
    /// `tied_embeddings` is what the file says (the wrapper's word counts, not the inner copy's); whether a head is
    /// really there is the checkpoint's business.
    ///
    /// Errors: no JSON object, an unsupported model type or feature, a missing or contradictory number.
    pub fn from_json(text: &[u8], path: &Path) -> Result<Config, ModelError> {
        let root = &parse_object(text, path)?;
        let (inner, prefix) = match root.get("text_config") {
            Some(Value::Object(inner)) => (inner, "text_config."),
            Some(_) => {
                return Err(ModelError::File {
                    path: path.to_owned(),
                    what: "text_config: expected an object".to_owned(),
                });
            }
            None => (root, ""),
        };
        let mut reader = Reader::new(path, prefix, |key| inner.get(key).and_then(json_entry));
        refuse_quantised(root, &reader)?;
        refuse_quantised(inner, &reader)?;
        let model_type = model_type(&mut reader, root)?;
        let tied = read_tied(&mut reader, root, path)?;
        let config = read_config(&mut reader, inner, model_type, tied)?;
        let (sources, notes) = reader.finish();
        Config {
            sources,
            notes,
            ..config
        }
        .check(path)
    }
}

/// The text of a `config.json` as an object.
///
/// Errors: too long, no JSON, no object.
pub(crate) fn parse_object(text: &[u8], path: &Path) -> Result<Map<String, Value>, ModelError> {
    let fail = |what: String| ModelError::File {
        path: path.to_owned(),
        what,
    };
    if text.len() > MOST_CONFIG_BYTES {
        let got = text.len();
        return Err(fail(format!(
            "expected at most {MOST_CONFIG_BYTES} bytes, got {got}"
        )));
    }
    match serde_json::from_slice(text) {
        Ok(Value::Object(root)) => Ok(root),
        Ok(_) => Err(fail("expected a JSON object".to_owned())),
        Err(e) => Err(fail(format!("not valid JSON: {e}"))),
    }
}

/// The kind of wrapper around a `text_config`, if there is one.
pub(super) fn wrapper(root: &Map<String, Value>) -> Option<&str> {
    root.get("text_config")?;
    root.get("model_type").and_then(Value::as_str)
}

pub(super) fn json_entry(value: &Value) -> Option<Entry> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => Entry::Flag(*value),
        Value::Number(number) => match number.as_i64() {
            Some(value) => Entry::Integer(value.into()),
            None => match number.as_u64() {
                Some(value) => Entry::Integer(value.into()),
                None => Entry::Real(number.as_f64().unwrap_or(f64::NAN)),
            },
        },
        Value::String(value) => Entry::Text(value.clone()),
        Value::Array(_) => Entry::Other("a list"),
        Value::Object(_) => Entry::Other("an object"),
    })
}

fn model_type(
    reader: &mut Reader,
    root: &Map<String, Value>,
) -> Result<&'static ModelType, ModelError> {
    if root.contains_key("text_config") && !WRAPPERS.contains(&wrapper(root).unwrap_or("")) {
        return Err(reader.error(format!(
            "model_type {:?} around a text_config is not supported: expected one of {}",
            wrapper(root).unwrap_or("(none)"),
            WRAPPERS.join(", ")
        )));
    }
    let name = match reader.text_opt("architecture", "model_type")? {
        Some(name) => name,
        None if root.contains_key("text_config") => {
            reader.record(
                "architecture",
                "mistral",
                format!("default: {TRANSFORMERS}"),
            );
            "mistral".to_owned()
        }
        None => return Err(reader.missing("model_type", "the kind of model")),
    };
    MODEL_TYPES
        .iter()
        .find(|known| known.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = MODEL_TYPES.iter().map(|known| known.name).collect();
            let name: String = name.chars().take(80).collect();
            reader.error(format!(
            "model_type {name:?} is not supported: expected one of {}, alone or inside mistral3",
            names.join(", ")
        ))
        })
}

fn refuse_quantised(object: &Map<String, Value>, reader: &Reader) -> Result<(), ModelError> {
    let Some(quantised) = object
        .get("quantization_config")
        .filter(|value| !value.is_null())
    else {
        return Ok(());
    };
    let method = quantised
        .get("quant_method")
        .and_then(Value::as_str)
        .unwrap_or("(unnamed)");
    let method: String = method.chars().take(80).collect();
    Err(reader.error(format!(
        "quantization_config: weights quantised as {method:?} are not supported yet; use a BF16 checkpoint or a GGUF"
    )))
}

/// Whether the head is the embedding table. In a wrapper the outer word decides (transformers ties the outer model).
fn read_tied(
    reader: &mut Reader,
    root: &Map<String, Value>,
    path: &Path,
) -> Result<bool, ModelError> {
    let mut outer = Reader::new(path, "", |key| root.get(key).and_then(json_entry));
    let said = outer.flag_opt("tied_embeddings", "tie_word_embeddings")?;
    // transformers' default is true for mistral3 and false for the rest; a head in the file overrules a true.
    let tied = said.unwrap_or_else(|| wrapper(root) == Some("mistral3"));
    match said {
        Some(_) => reader.record("tied_embeddings", tied, "tie_word_embeddings"),
        None => reader.record("tied_embeddings", tied, format!("default: {TRANSFORMERS}")),
    }
    if root.contains_key("text_config")
        && let Some(Entry::Flag(inner)) = reader.entry("tie_word_embeddings")
        && inner != tied
    {
        reader.note(format!(
            "text_config.tie_word_embeddings is {inner}, tie_word_embeddings of the whole is {tied}: the outer one counts"
        ));
    }
    Ok(tied)
}

fn read_config(
    reader: &mut Reader,
    inner: &Map<String, Value>,
    model_type: &'static ModelType,
    tied_embeddings: bool,
) -> Result<Config, ModelError> {
    refuse_features(reader)?;
    let hidden_size = reader.size("hidden_size", "hidden_size")?;
    let num_layers = reader.size("num_layers", "num_hidden_layers")?;
    let vocab_size = reader.size("vocab_size", "vocab_size")?;
    let max_context = reader.size_or(
        "max_context",
        "max_position_embeddings",
        model_type.max_position_embeddings,
        TRANSFORMERS,
    )?;
    let rms_norm_eps = reader.real_or(
        "rms_norm_eps",
        "rms_norm_eps",
        model_type.rms_norm_eps,
        TRANSFORMERS,
    )? as f32;
    let (attention, rotated, pairing) = if model_type.latent_attention {
        read_latent_attention(reader)?
    } else {
        read_grouped_attention(reader, inner, model_type, hidden_size)?
    };
    let feed_forward = read_feed_forward(reader, model_type.latent_attention)?;
    let rope = read_rope(
        reader,
        inner,
        model_type.name,
        rotated,
        pairing,
        max_context,
    )?;
    let query_scale = if model_type.has_query_scale {
        rope.query_scale
    } else {
        None
    };
    let softmax_mscale = if model_type.latent_attention {
        rope.softmax_mscale
    } else {
        1.0
    };
    Ok(Config {
        architecture: model_type.name.to_owned(),
        num_layers,
        hidden_size,
        vocab_size,
        max_context: within_window(reader, inner, model_type, max_context)?,
        rms_norm_eps,
        attention,
        feed_forward,
        rope: rope.config,
        query_scale,
        softmax_mscale,
        tied_embeddings,
        sources: Vec::new(),
        notes: Vec::new(),
    })
}

/// Features that would change the result and are not there yet.
fn refuse_features(reader: &mut Reader) -> Result<(), ModelError> {
    if let Some(activation) = reader.text_opt("activation", "hidden_act")?
        && activation != "silu"
    {
        return Err(reader.wrong("hidden_act", "\"silu\" (no other is supported)", activation));
    }
    for key in ["attention_bias", "mlp_bias"] {
        if reader.flag_opt("bias", key)? == Some(true) {
            return Err(reader.wrong(key, "false (biases are not supported)", true));
        }
    }
    Ok(())
}

fn read_latent_attention(
    reader: &mut Reader,
) -> Result<(AttentionConfig, usize, Pairing), ModelError> {
    let num_heads = reader.size("num_heads", "num_attention_heads")?;
    if let Some(kv_heads) = reader.count_opt("num_kv_heads", "num_key_value_heads")?
        && kv_heads != num_heads
    {
        return Err(reader.wrong(
            "num_key_value_heads",
            &format!("num_attention_heads, {num_heads}"),
            kv_heads,
        ));
    }
    let qk_rope_head_dim = reader.size("qk_rope_head_dim", "qk_rope_head_dim")?;
    let interleaved = reader
        .flag_opt("pairing", "rope_interleave")?
        .unwrap_or(true);
    let pairing = if interleaved {
        Pairing::Interleaved
    } else {
        Pairing::HalfSplit
    };
    let q_lora_rank = reader.size("q_lora_rank", "q_lora_rank").map_err(|e| {
        match reader.entry("q_lora_rank") {
            None => reader
                .error("q_lora_rank is missing: a query that is not compressed is not supported"),
            Some(_) => e,
        }
    })?;
    let mla = MlaConfig {
        num_heads,
        q_lora_rank,
        kv_lora_rank: reader.size("kv_lora_rank", "kv_lora_rank")?,
        qk_nope_head_dim: reader.size("qk_nope_head_dim", "qk_nope_head_dim")?,
        qk_rope_head_dim,
        v_head_dim: reader.size("v_head_dim", "v_head_dim")?,
        // transformers builds these two norms with its class default, whatever rms_norm_eps says.
        q_norm_eps: 1e-6,
        kv_norm_eps: 1e-6,
    };
    Ok((AttentionConfig::Mla(mla), qk_rope_head_dim, pairing))
}

fn read_grouped_attention(
    reader: &mut Reader,
    inner: &Map<String, Value>,
    model_type: &ModelType,
    hidden_size: usize,
) -> Result<(AttentionConfig, usize, Pairing), ModelError> {
    let num_heads = reader.size_or("num_heads", "num_attention_heads", NUM_HEADS, TRANSFORMERS)?;
    let kv_default =
        class_default(inner, "num_key_value_heads", model_type.num_kv_heads).unwrap_or(num_heads);
    let num_kv_heads = reader.size_or(
        "num_kv_heads",
        "num_key_value_heads",
        kv_default,
        TRANSFORMERS,
    )?;
    let head_dim = match class_default(inner, "head_dim", model_type.head_dim) {
        None if reader.entry("head_dim").is_none() => {
            if !hidden_size.is_multiple_of(num_heads) {
                return Err(reader.error(format!(
                    "hidden_size {hidden_size} is not a multiple of num_attention_heads {num_heads} and there is no head_dim"
                )));
            }
            reader.record(
                "head_dim",
                hidden_size / num_heads,
                "hidden_size / num_attention_heads",
            );
            hidden_size / num_heads
        }
        default => reader.size_or("head_dim", "head_dim", default.unwrap_or(0), TRANSFORMERS)?,
    };
    let gqa = GqaConfig {
        num_heads,
        num_kv_heads,
        head_dim,
    };
    // Hugging Face's llama-shaped files hold q and k permuted for this pairing.
    Ok((AttentionConfig::Gqa(gqa), head_dim, Pairing::HalfSplit))
}

/// A class default holds for an absent key only: a null means "derive it".
fn class_default(inner: &Map<String, Value>, key: &str, default: Option<usize>) -> Option<usize> {
    if inner.contains_key(key) {
        None
    } else {
        default
    }
}

fn read_feed_forward(
    reader: &mut Reader,
    has_experts: bool,
) -> Result<FeedForwardConfig, ModelError> {
    if !has_experts {
        let intermediate_size = reader.size("intermediate_size", "intermediate_size")?;
        return Ok(FeedForwardConfig {
            intermediate_size,
            moe: None,
        });
    }
    let experts_key = if reader.entry("n_routed_experts").is_some() {
        "n_routed_experts"
    } else {
        "num_local_experts"
    };
    let groups = reader.count_or("expert groups", "n_group", 1, TRANSFORMERS)?;
    let used_groups = reader.count_or("expert groups used", "topk_group", 1, TRANSFORMERS)?;
    if groups != used_groups {
        return Err(reader.wrong(
            "topk_group",
            &format!("n_group, {groups} (choosing among groups is not supported)"),
            used_groups,
        ));
    }
    let moe = MoeConfig {
        num_experts: reader.size("num_experts", experts_key)?,
        experts_per_token: reader.size_or(
            "experts_per_token",
            "num_experts_per_tok",
            4,
            TRANSFORMERS,
        )?,
        intermediate_size: reader.size("expert intermediate_size", "moe_intermediate_size")?,
        num_shared_experts: reader.count_or(
            "num_shared_experts",
            "n_shared_experts",
            1,
            TRANSFORMERS,
        )?,
        first_dense_layers: reader.count_or(
            "first_dense_layers",
            "first_k_dense_replace",
            0,
            TRANSFORMERS,
        )?,
        routed_scaling_factor: reader.real_or(
            "routed_scaling_factor",
            "routed_scaling_factor",
            1.0,
            TRANSFORMERS,
        )? as f32,
        renormalise: reader
            .flag_opt("renormalise", "norm_topk_prob")?
            .unwrap_or(true),
    };
    let intermediate_size = reader.count_or(
        "intermediate_size",
        "intermediate_size",
        0,
        "no dense layers",
    )?;
    Ok(FeedForwardConfig {
        intermediate_size,
        moe: Some(moe),
    })
}

/// A sliding window is not computed; within one window full attention gives the same result, so the context ends there.
fn within_window(
    reader: &mut Reader,
    inner: &Map<String, Value>,
    model_type: &ModelType,
    max_context: usize,
) -> Result<usize, ModelError> {
    let default = class_default(inner, "sliding_window", model_type.sliding_window);
    let asked = reader.count_opt("sliding_window", "sliding_window")?;
    let window = match (asked, default) {
        (Some(window), _) => window,
        (None, Some(window)) => {
            reader.record("sliding_window", window, format!("default: {TRANSFORMERS}"));
            window
        }
        (None, None) => return Ok(max_context),
    };
    if window == 0 || window >= max_context {
        return Ok(max_context);
    }
    reader.note(format!(
        "attention over a sliding window of {window} is not supported yet: the context is held to {window} instead of {max_context}"
    ));
    Ok(window)
}
