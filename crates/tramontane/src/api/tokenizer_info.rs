//! `GET /tokenizer_info`: the tokenizer's special tokens, in vLLM's form; lm-evaluation-harness asks for them.

use crate::app::App;
use crate::error::Refusal;
use crate::words::Words;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use serde_json::json;
use std::sync::Arc;

/// What is known of the tokenizer.
///
/// # Errors
/// While no model is loaded.
pub async fn get(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let served = app
        .served()
        .map_err(|error| super::refusal(&headers, error))?;
    let (begin, end) = served.words.ends();
    let class = match served.words {
        Words::Mistral(_) => "Tekken",
        Words::Other(_) => "PreTrainedTokenizerFast",
    };
    Ok(super::json_response(&json!({
        "tokenizer_class": class,
        "bos_token": begin,
        "eos_token": end,
        "pad_token": end,
        "unk_token": null,
        "model_max_length": served.engine.max_context(),
    })))
}
