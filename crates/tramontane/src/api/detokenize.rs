//! `POST /detokenize`: the text of token ids, in vLLM's form.
//!
//! Must not know: how tokens are made.

use super::body::JsonBody;
use super::fields::{self, Fields, integer};
use crate::app::App;
use crate::error::{ApiError, Refusal};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use chat::TokenId;
use chat::json::{Object, Value};
use serde_json::json;
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
        let answer = fields::parse(&body.0).and_then(|body| detokenize(&app, &body));
        answer
            .map(|answer| super::json_response(&answer))
            .map_err(|error| super::refusal(&headers, error))
    })
    .await
}

fn detokenize(app: &App, body: &Object) -> Result<serde_json::Value, ApiError> {
    let fields = Fields::new(body);
    let served = app.served()?;
    served.check_name(fields.text("model")?)?;
    let id = |value: &Value| {
        let id = integer(value).and_then(|id| TokenId::try_from(id).ok());
        id.filter(|id| (*id as usize) < served.words.num_tokens())
    };
    let given = fields.get("tokens").and_then(Value::as_array);
    let ids = given.and_then(|ids| ids.iter().map(id).collect::<Option<Vec<_>>>());
    let ids = ids.ok_or_else(|| {
        let most = served.words.num_tokens().saturating_sub(1);
        ApiError::field(
            "tokens",
            format!("expected a list of token ids from 0 to {most}"),
        )
    })?;
    Ok(json!({"prompt": served.words.decode(&ids, true)}))
}
