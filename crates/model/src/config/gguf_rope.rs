//! The rotary embedding in a GGUF's metadata, and the query scale that depends on its original context.
//!
//! Source: llama.cpp (the copy in llama_cpp_python 0.3.36), `src/llama-context.cpp`, `src/models/deepseek2.cpp`,
//! `src/models/mistral3.cpp`.

use super::gguf::{Architecture, LLAMA_CPP};
use super::reader::Reader;
use super::rope_json::yarn_mscale;
use super::{QueryScale, RopeConfig, RopeScaling};
use crate::ModelError;
use kernels::Pairing;

/// Reads the rotary embedding and the factor llama.cpp puts on the softmax scale.
pub(super) fn read_rope(
    reader: &mut Reader,
    architecture: &Architecture,
    dim: usize,
    max_context: usize,
    frequency_factors: Option<Vec<f32>>,
) -> Result<(RopeConfig, f32), ModelError> {
    let theta = reader.real_or("rope theta", "rope.freq_base", 10_000.0, LLAMA_CPP)? as f32;
    let kind = reader.text_opt("rope scaling", "rope.scaling.type")?;
    let factor = match reader.real_opt("rope factor", "rope.scaling.factor")? {
        Some(factor) => factor,
        None => reader
            .real_opt("rope factor", "rope.scale_linear")?
            .unwrap_or(0.0),
    };
    // llama.cpp takes 0 for "no factor".
    let factor = if factor == 0.0 { 1.0 } else { factor };
    let (scaling, softmax_mscale) = match kind.as_deref() {
        Some("none") => (RopeScaling::None, 1.0),
        None | Some("linear") if factor == 1.0 => (RopeScaling::None, 1.0),
        None | Some("linear") => (
            RopeScaling::Linear {
                factor: factor as f32,
            },
            1.0,
        ),
        Some("yarn") => read_yarn(reader, architecture, factor, max_context)?,
        Some(other) => {
            let other: String = other.chars().take(80).collect();
            return Err(reader.wrong(
                "rope.scaling.type",
                "none, linear or yarn",
                format!("{other:?}"),
            ));
        }
    };
    let scaling = match (frequency_factors, scaling) {
        (None, scaling) => scaling,
        (Some(factors), RopeScaling::None) => {
            reader.record("rope scaling", "frequency factors", "rope_freqs.weight");
            RopeScaling::FrequencyFactors(factors)
        }
        (Some(_), _) => {
            return Err(reader.error("rope_freqs.weight together with rope.scaling is not supported: expected one of them"));
        }
    };
    // llama.cpp's converters store q and k so that pairs are adjacent in all of these architectures.
    let pairing = Pairing::Interleaved;
    Ok((
        RopeConfig {
            theta,
            dim,
            pairing,
            scaling,
        },
        softmax_mscale,
    ))
}

/// YaRN's parameters and the factor llama.cpp puts on the softmax scale.
fn read_yarn(
    reader: &mut Reader,
    architecture: &Architecture,
    factor: f64,
    max_context: usize,
) -> Result<(RopeScaling, f32), ModelError> {
    let original = reader.size_or(
        "original_max_position_embeddings",
        "rope.scaling.original_context_length",
        max_context,
        "context_length",
    )?;
    let all_dim =
        match reader.real_opt("rope mscale_all_dim", "rope.scaling.yarn_log_multiplier")? {
            // DeepSeek-shaped files hold a tenth of it, in single precision.
            Some(value) if architecture.latent_attention => f64::from(value as f32 / 0.1_f32),
            Some(value) => value,
            None if architecture.name == "mistral4" => {
                reader.record(
                    "rope mscale_all_dim",
                    1,
                    "default: the architecture's value",
                );
                1.0
            }
            None => 0.0,
        };
    let given = reader.real_opt("rope attention_factor", "rope.scaling.yarn_attn_factor")?;
    let attention_factor = match given {
        Some(given) => given,
        None if all_dim != 0.0 => yarn_mscale(factor, 1.0) / yarn_mscale(factor, all_dim),
        None => yarn_mscale(factor, 1.0),
    };
    let more = reader.real_or(
        "rope attention_factor",
        "rope.scaling.attn_factor",
        1.0,
        LLAMA_CPP,
    )?;
    let softmax_mscale = match architecture.latent_attention {
        true if all_dim != 0.0 => yarn_mscale(factor, all_dim).powi(2) as f32,
        _ => 1.0,
    };
    let scaling = RopeScaling::Yarn {
        factor: factor as f32,
        original_max_position_embeddings: original,
        beta_fast: reader.real_or(
            "rope beta_fast",
            "rope.scaling.yarn_beta_fast",
            32.0,
            LLAMA_CPP,
        )? as f32,
        beta_slow: reader.real_or(
            "rope beta_slow",
            "rope.scaling.yarn_beta_slow",
            1.0,
            LLAMA_CPP,
        )? as f32,
        attention_factor: (attention_factor * more) as f32,
        truncate: true,
    };
    Ok((scaling, softmax_mscale))
}

/// Reads the position-dependent factor on queries.
pub(super) fn read_query_scale(
    reader: &mut Reader,
    architecture: &Architecture,
    rope: &RopeConfig,
    max_context: usize,
) -> Result<Option<QueryScale>, ModelError> {
    let original = match &rope.scaling {
        RopeScaling::Yarn {
            original_max_position_embeddings,
            ..
        } => *original_max_position_embeddings,
        _ => max_context,
    };
    let beta = match reader.real_opt("query_scale beta", "attention.temperature_scale")? {
        Some(beta) => beta,
        None if architecture.scales_queries => {
            reader.record("query_scale beta", 0.1, "default: the architecture's value");
            reader.note(format!(
                "no attention.temperature_scale in the file: queries are scaled with beta 0.1 every {original} positions, \
                 as in every mistral4 (llama.cpp leaves it out)"
            ));
            0.1
        }
        None if architecture.name == "deepseek2" => {
            return Err(reader.missing(
                "attention.temperature_scale",
                "what Mistral's converter writes (DeepSeek's own models are not supported: they scale the softmax differently)",
            ));
        }
        None => return Ok(None),
    };
    if beta == 0.0 {
        return Ok(None);
    }
    let length = reader.size_or(
        "query_scale length",
        "attention.temperature_length",
        original,
        "the original context",
    )?;
    Ok(Some(QueryScale {
        beta: beta as f32,
        original_max_position_embeddings: length,
    }))
}
