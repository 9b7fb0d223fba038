//! `GET /v1/models` and `GET /v1/models/{id}`: the fields of OpenAI's, vLLM's and Mistral's model cards in one.

use crate::app::{App, Served};
use crate::error::{ApiError, Refusal};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// Every name the server answers to.
///
/// # Errors
/// While no model is loaded.
pub async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let served = app
        .served()
        .map_err(|error| super::refusal(&headers, error))?;
    let cards: Vec<Value> = served
        .names
        .iter()
        .map(|name| card(&app, served, name))
        .collect();
    Ok(super::json_response(
        &json!({"object": "list", "data": cards}),
    ))
}

/// One of them.
///
/// # Errors
/// For another name.
pub async fn one(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response<Body>, Refusal> {
    let found = || -> Result<Value, ApiError> {
        let served = app.served()?;
        // What is no UTF-8 is nobody's name.
        let name = name.map_or_else(|_| "\u{fffd}".to_owned(), |Path(name)| name);
        let name = served.check_name(Some(&name))?;
        Ok(card(&app, served, name))
    };
    let card = found().map_err(|error| super::refusal(&headers, error))?;
    Ok(super::json_response(&card))
}

fn card(app: &App, served: &Served, name: &str) -> Value {
    let others: Vec<&String> = served.names.iter().filter(|other| *other != name).collect();
    // By way of text, so that 0.15 stays 0.15.
    let temperature: Option<f64> = served.advice.temperature().to_string().parse().ok();
    json!({
        "id": name,
        "object": "model",
        "created": app.created,
        "owned_by": "tramontane",
        "root": served.own_name(),
        "parent": null,
        "max_model_len": served.engine.max_context(),
        "name": name,
        "description": null,
        "max_context_length": served.engine.max_context(),
        "aliases": others,
        "deprecation": null,
        "deprecation_replacement_model": null,
        "default_model_temperature": temperature,
        "type": "base",
        "capabilities": {
            "completion_chat": true,
            "function_calling": matches!(served.words, crate::words::Words::Mistral(_)),
            "reasoning": served.words.has_effort(),
            "completion_fim": false,
            "fine_tuning": false,
            "vision": served.eyes.is_some(),
            "ocr": false,
            "classification": false,
            "moderation": false,
            "audio": false,
            "audio_transcription": false,
        },
    })
}
