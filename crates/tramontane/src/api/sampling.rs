//! The fields of a request that say how tokens are drawn, which chat and text completions share.
//!
//! Must not know: prompts, replies.

use super::fields::{Fields, integer};
use crate::args::{Effort, SamplingArgs};
use crate::error::ApiError;
use crate::sampling::Advice;
use chat::json::Value;
use engine::SamplingParams;

/// The most stop strings a request may have.
const MAX_STOPS: usize = 64;
/// The longest of them, in bytes.
const MAX_STOP_BYTES: usize = 4096;
/// The most replies to one prompt.
const MAX_CHOICES: i64 = 128;
/// Seeds that we draw can be told in JSON that JavaScript reads: they have 53 bits.
const SEED_BITS: u32 = 53;

/// How tokens are drawn, with a seed in any case. `logprobs` is set by the endpoint, whose form it has.
///
/// # Errors
/// A field of the wrong type or out of range, or one that would have no effect here.
pub fn params(
    fields: Fields<'_>,
    advice: &Advice,
    effort: Option<Effort>,
) -> Result<SamplingParams, ApiError> {
    refuse_foreign(fields)?;
    let number = |name, low: f64, high: f64| {
        let number = fields.number(name, low..=high)?;
        Ok::<_, ApiError>(number.map(|number| number as f32))
    };
    let asked = SamplingArgs {
        temperature: number("temperature", 0.0, 2.0)?,
        top_p: number("top_p", 0.0, 1.0)?,
        // -1 is what vLLM's clients send for "all".
        top_k: fields
            .integer("top_k", -1..=i64::from(u32::MAX))?
            .map(|k| u32::try_from(k).unwrap_or(0)),
        min_p: number("min_p", 0.0, 1.0)?,
        seed: match fields.seed("random_seed")? {
            Some(seed) => Some(seed),
            None => fields.seed("seed")?,
        },
        presence_penalty: number("presence_penalty", -2.0, 2.0)?.unwrap_or(0.0),
        frequency_penalty: number("frequency_penalty", -2.0, 2.0)?.unwrap_or(0.0),
        repetition_penalty: number("repetition_penalty", 0.01, 100.0)?.unwrap_or(1.0),
    };
    let drawn = || engine::fresh_seed() >> (u64::BITS - SEED_BITS);
    Ok(SamplingParams {
        seed: Some(asked.seed.unwrap_or_else(drawn)),
        logit_bias: logit_bias(fields)?,
        ..advice.merge(&asked, effort)
    })
}

/// `logit_bias`: token ids, as texts, and what is added to their logits.
fn logit_bias(fields: Fields<'_>) -> Result<Vec<(u32, f32)>, ApiError> {
    let Some(Value::Object(given)) = fields.get("logit_bias") else {
        fields.object("logit_bias")?;
        return Ok(Vec::new());
    };
    let wrong = |key: &str| {
        let shown: String = key.chars().take(40).collect();
        ApiError::field(
            "logit_bias",
            format!("{shown:?}: expected token ids, as strings, with numbers from -100 to 100"),
        )
    };
    given
        .iter()
        .map(|(key, value)| {
            let bias = match value {
                Value::Int(digits) => digits.parse().ok(),
                Value::Float(number) => Some(*number as f32),
                _ => None,
            };
            let bias = bias.filter(|bias: &f32| (-100.0..=100.0).contains(bias));
            Ok((
                key.parse().map_err(|_| wrong(key))?,
                bias.ok_or_else(|| wrong(key))?,
            ))
        })
        .collect()
}

/// Fields of other servers that change a reply and that this one does not have. To ignore them would be to lie.
fn refuse_foreign(fields: Fields<'_>) -> Result<(), ApiError> {
    let zero = |value: &Value| integer(value) == Some(0);
    let no = |value: &Value| *value == Value::Bool(false);
    let one = |value: &Value| integer(value) == Some(1);
    let empty = |value: &Value| value.as_array().is_some_and(<[Value]>::is_empty);
    fields.refuse("min_tokens", zero, "is not supported; leave it out")?;
    fields.refuse("use_beam_search", no, "is not supported; leave it out")?;
    fields.refuse(
        "length_penalty",
        one,
        "belongs to beam search, which is not supported; leave it out",
    )?;
    fields.refuse("bad_words", empty, "is not supported; use logit_bias")?;
    fields.refuse("stop_token_ids", empty, "is not supported; use stop")?;
    fields.refuse(
        "logits_processors",
        empty,
        "is not supported; use logit_bias",
    )?;
    let same = |value: &Value| fields.get("n").map_or(one(value), |n| n == value);
    fields.refuse(
        "best_of",
        same,
        "replies are not ranked here: expected what n is; leave it out",
    )
}

/// How many replies to each prompt.
///
/// # Errors
/// A number out of range.
pub fn num_choices(fields: Fields<'_>) -> Result<u32, ApiError> {
    let n = fields.integer("n", 1..=MAX_CHOICES)?;
    Ok(n.map_or(1, |n| n as u32))
}

/// The stop strings. Empty ones are refused.
///
/// # Errors
/// Too many, too long, empty, or no strings.
pub fn stops(fields: Fields<'_>) -> Result<Vec<String>, ApiError> {
    let stops = fields.texts("stop", MAX_STOPS)?;
    for (index, stop) in stops.iter().enumerate() {
        if stop.is_empty() || stop.len() > MAX_STOP_BYTES {
            let what = format!(
                "string {index} has {} bytes, expected 1 to {MAX_STOP_BYTES}",
                stop.len()
            );
            return Err(ApiError::field("stop", what));
        }
    }
    Ok(stops)
}

/// Whether and how a reply is streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streaming {
    /// Whether usage comes in a chunk of its own at the end.
    pub include_usage: bool,
}

/// `stream` and `stream_options`; none: the reply comes whole.
///
/// # Errors
/// Fields of the wrong type.
pub fn streaming(fields: Fields<'_>) -> Result<Option<Streaming>, ApiError> {
    let options = fields.object("stream_options")?;
    let include_usage = match options {
        Some(options) => options.boolean("include_usage")?.unwrap_or(false),
        None => false,
    };
    let stream = fields.boolean("stream")?.unwrap_or(false);
    Ok(stream.then_some(Streaming { include_usage }))
}
