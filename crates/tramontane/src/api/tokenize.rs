//! `POST /tokenize`: the token ids of a text or a conversation, in vLLM's form.
//!
//! Must not know: how tokens are made.

use super::body::JsonBody;
use super::fields::{self, Fields};
use super::{effort, images, tolerance};
use crate::app::App;
use crate::error::Refusal;
use crate::error::{ApiError, Dialect};
use crate::words::Hold;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use chat::json::Object;
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers a request.
///
/// # Errors
/// Whatever is wrong with it.
pub async fn post(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response<Body>, Refusal> {
    super::in_the_back(move || {
        let answer = fields::parse(&body.0).and_then(|body| tokenize(&app, &body));
        answer
            .map(|answer| super::json_response(&answer))
            .map_err(|error| super::refusal(&headers, error))
    })
    .await
}

fn tokenize(app: &App, body: &Object) -> Result<Value, ApiError> {
    let fields = Fields::new(body);
    let served = app.served()?;
    let words = &served.words;
    served.check_name(fields.text("model")?)?;
    let with_begin = fields.boolean("add_special_tokens")?.unwrap_or(true);
    let ids = match fields.text("prompt")? {
        Some(text) if with_begin => words.raw_prompt(text)?.ids,
        Some(text) => words.text(text)?,
        None if fields.get("messages").is_none() => {
            return Err(ApiError::field(
                "prompt",
                "missing; give a prompt or messages",
            ));
        }
        None => {
            let effort = effort::choose(fields, Dialect::OpenAi, words.efforts())?;
            let lenient = tolerance::without_noise(body);
            let mut request = chat::request::from_object(&lenient)?;
            request.reasoning_effort = effort;
            images::fetch(&mut request, app)?;
            words.chat(request, &lenient, &Hold::default())?.0.ids
        }
    };
    let names = fields
        .boolean("return_token_strs")?
        .unwrap_or(false)
        .then(|| {
            let names = ids
                .iter()
                .map(|id| String::from_utf8_lossy(words.token_bytes(*id)).into_owned());
            names.collect::<Vec<_>>()
        });
    Ok(json!({
        "count": ids.len(),
        "max_model_len": served.engine.max_context(),
        "tokens": ids,
        "token_strs": names,
    }))
}
