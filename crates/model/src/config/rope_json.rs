//! The rotary embedding in a `config.json`: `rope_parameters` (new) or `rope_theta` and `rope_scaling` (old).
//!
//! Source: transformers 5.23, `modeling_rope_utils.py` and `models/mistral4/modeling_mistral4.py`.

use super::hugging_face::json_entry;
use super::reader::Reader;
use super::{QueryScale, RopeConfig, RopeScaling};
use crate::ModelError;
use kernels::Pairing;
use serde_json::{Map, Value, json};

/// Everything the rotary parameters decide.
pub(super) struct Rope {
    pub(super) config: RopeConfig,
    pub(super) query_scale: Option<QueryScale>,
    pub(super) softmax_mscale: f32,
}

/// YaRN's magnitude factor, `0.1 * mscale * ln(factor) + 1` (YaRN, section 3.4).
pub(crate) fn yarn_mscale(factor: f64, mscale: f64) -> f64 {
    if factor <= 1.0 {
        1.0
    } else {
        0.1 * mscale * factor.ln() + 1.0
    }
}

/// What transformers' configuration class holds when a file has no rotary parameters at all.
fn class_default(model_type: &str) -> Option<Value> {
    let (theta, factor, original) = match model_type {
        "mistral4" => (1e4, 128.0, 8192),
        "ministral3" => (1e6, 16.0, 16384),
        _ => return None,
    };
    Some(json!({
        "rope_type": "yarn", "rope_theta": theta, "factor": factor, "original_max_position_embeddings": original,
        "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1,
    }))
}

/// Reads the rotary parameters of the text model `inner`, `dim` of whose lanes are rotated.
pub(super) fn read_rope(
    reader: &mut Reader,
    inner: &Map<String, Value>,
    model_type: &str,
    dim: usize,
    pairing: Pairing,
    max_position_embeddings: usize,
) -> Result<Rope, ModelError> {
    let empty = Map::new();
    let default = class_default(model_type);
    // The order is transformers': a non-empty rope_scaling wins over rope_parameters.
    let found = ["rope_scaling", "rope_parameters"]
        .into_iter()
        .find_map(|key| match inner.get(key) {
            Some(Value::Object(object)) if !object.is_empty() => Some((key, object)),
            _ => None,
        });
    for key in ["rope_scaling", "rope_parameters"] {
        if inner
            .get(key)
            .is_some_and(|value| !value.is_object() && !value.is_null())
        {
            return Err(reader.error(format!("{key}: expected an object")));
        }
    }
    let (key, object) = match (found, &default) {
        (Some(found), _) => found,
        (None, Some(Value::Object(object))) => {
            ("default of transformers 5.23: rope_parameters", object)
        }
        (None, _) => ("rope_parameters", &empty),
    };
    if object.values().any(Value::is_object) {
        return Err(reader.error(format!(
            "{key}: parameters that differ from layer to layer are not supported"
        )));
    }
    let mut rope = reader.inside(key, |key| object.get(key).and_then(json_entry));
    let read = read_parameters(
        &mut rope,
        reader,
        model_type,
        dim,
        pairing,
        max_position_embeddings,
    )?;
    reader.absorb(rope);
    Ok(read)
}

fn read_parameters(
    rope: &mut Reader,
    outer: &mut Reader,
    model_type: &str,
    dim: usize,
    pairing: Pairing,
    max_position_embeddings: usize,
) -> Result<Rope, ModelError> {
    let theta = match rope.real_opt("rope theta", "rope_theta")? {
        Some(theta) => theta,
        None => outer.real_or("rope theta", "rope_theta", 10_000.0, "transformers 5.23")?,
    };
    // In mistral4 the factor only restates qk_rope_head_dim / head_dim.
    if model_type != "mistral4" {
        whole_head_rotated(rope)?;
        whole_head_rotated(outer)?;
    }
    let kind = match rope.text_opt("rope scaling", "rope_type")? {
        Some(kind) => kind,
        None => rope
            .text_opt("rope scaling", "type")?
            .unwrap_or_else(|| "default".to_owned()),
    };
    let scaling = match kind.as_str() {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear {
            factor: required(rope, "factor")? as f32,
        },
        "llama3" => RopeScaling::Llama3 {
            factor: required(rope, "factor")? as f32,
            low_freq_factor: required(rope, "low_freq_factor")? as f32,
            high_freq_factor: required(rope, "high_freq_factor")? as f32,
            original_max_position_embeddings: original_context(
                rope,
                outer,
                max_position_embeddings,
            )?,
        },
        "yarn" => read_yarn(rope, outer, max_position_embeddings)?,
        other => {
            let other: String = other.chars().take(80).collect();
            return Err(rope.wrong(
                "rope_type",
                "default, linear, llama3 or yarn",
                format!("{other:?}"),
            ));
        }
    };
    let query_scale = read_query_scale(rope, model_type, &scaling)?;
    let softmax_mscale = if kind == "default" {
        1.0
    } else {
        softmax_mscale(rope)?
    };
    Ok(Rope {
        config: RopeConfig {
            theta: theta as f32,
            dim,
            pairing,
            scaling,
        },
        query_scale,
        softmax_mscale,
    })
}

fn whole_head_rotated(reader: &mut Reader) -> Result<(), ModelError> {
    match reader.real_opt("rope dim", "partial_rotary_factor")? {
        Some(partial) if partial != 1.0 => Err(reader.wrong(
            "partial_rotary_factor",
            "1 (no other is supported)",
            partial,
        )),
        _ => Ok(()),
    }
}

fn read_yarn(
    rope: &mut Reader,
    outer: &mut Reader,
    max_position_embeddings: usize,
) -> Result<RopeScaling, ModelError> {
    let original = original_context(rope, outer, max_position_embeddings)?;
    let factor = match rope.real_opt("rope factor", "factor")? {
        Some(factor) => factor,
        None => {
            let factor = max_position_embeddings as f64 / original as f64;
            rope.record(
                "rope factor",
                factor,
                "max_position_embeddings / original_max_position_embeddings",
            );
            factor
        }
    };
    let mscale = rope.real_opt("rope mscale", "mscale")?.unwrap_or(0.0);
    let mscale_all_dim = rope
        .real_opt("rope mscale_all_dim", "mscale_all_dim")?
        .unwrap_or(0.0);
    let attention_factor = match rope.real_opt("rope attention_factor", "attention_factor")? {
        Some(given) => given,
        None if mscale != 0.0 && mscale_all_dim != 0.0 => {
            yarn_mscale(factor, mscale) / yarn_mscale(factor, mscale_all_dim)
        }
        None => yarn_mscale(factor, 1.0),
    };
    // transformers takes a zero for "not given".
    let beta_fast = rope
        .real_opt("rope beta_fast", "beta_fast")?
        .filter(|b| *b != 0.0)
        .unwrap_or(32.0);
    let beta_slow = rope
        .real_opt("rope beta_slow", "beta_slow")?
        .filter(|b| *b != 0.0)
        .unwrap_or(1.0);
    Ok(RopeScaling::Yarn {
        factor: factor as f32,
        original_max_position_embeddings: original,
        beta_fast: beta_fast as f32,
        beta_slow: beta_slow as f32,
        attention_factor: attention_factor as f32,
        truncate: rope.flag_opt("rope truncate", "truncate")?.unwrap_or(true),
    })
}

/// transformers looks beside the rotary parameters first (Phi-3's habit), then inside, then takes the whole context.
fn original_context(
    rope: &mut Reader,
    outer: &mut Reader,
    max_position_embeddings: usize,
) -> Result<usize, ModelError> {
    const KEY: &str = "original_max_position_embeddings";
    if outer.entry(KEY).is_some() {
        return outer.size(KEY, KEY);
    }
    rope.size_or(KEY, KEY, max_position_embeddings, "max_position_embeddings")
}

fn read_query_scale(
    rope: &mut Reader,
    model_type: &str,
    scaling: &RopeScaling,
) -> Result<Option<QueryScale>, ModelError> {
    let beta = match rope.real_opt("query_scale beta", "llama_4_scaling_beta")? {
        Some(beta) => beta,
        None if model_type == "mistral4" => {
            rope.record("query_scale beta", 0.1, "default: the architecture's value");
            rope.note("no llama_4_scaling_beta in the file: queries are scaled with beta 0.1, as in every mistral4");
            0.1
        }
        None => return Ok(None),
    };
    if beta == 0.0 {
        return Ok(None);
    }
    let original = match scaling {
        RopeScaling::Yarn {
            original_max_position_embeddings,
            ..
        }
        | RopeScaling::Llama3 {
            original_max_position_embeddings,
            ..
        } => *original_max_position_embeddings,
        _ => rope.size(
            "query_scale original_max_position_embeddings",
            "original_max_position_embeddings",
        )?,
    };
    Ok(Some(QueryScale {
        beta: beta as f32,
        original_max_position_embeddings: original,
    }))
}

/// What transformers 5.23 multiplies mistral4's softmax scale by.
fn softmax_mscale(rope: &mut Reader) -> Result<f32, ModelError> {
    let all_dim = rope
        .real_opt("softmax mscale_all_dim", "mscale_all_dim")?
        .unwrap_or(0.0);
    if all_dim == 0.0 {
        return Ok(1.0);
    }
    let factor = required(rope, "factor")?;
    Ok(yarn_mscale(factor, all_dim).powi(2) as f32)
}

fn required(rope: &mut Reader, key: &'static str) -> Result<f64, ModelError> {
    let value = rope.real_opt(key, key)?;
    value.ok_or_else(|| rope.missing(key, "a number"))
}
