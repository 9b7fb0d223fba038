//! `GET /health`, `GET /ready` and `GET /version`: whether the server lives, whether it can answer, and what it is.

use crate::app::App;
use crate::error::{ApiError, Kind, Refusal};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use serde_json::json;
use std::sync::Arc;

/// The process answers.
pub async fn health() -> Response<Body> {
    super::json_response(&json!({"status": "ok"}))
}

/// The model has generated a real token, and requests are taken.
///
/// # Errors
/// [`Kind::Unavailable`] until then, and when the server is ending.
pub async fn ready(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response<Body>, Refusal> {
    match app.is_ready() {
        true => Ok(super::json_response(&json!({"status": "ready"}))),
        false => {
            let not_yet = ApiError::new(
                Kind::Unavailable,
                "not ready: no token has been generated yet, or the server is ending",
            );
            Err(super::refusal(
                &headers,
                app.admit().err().unwrap_or(not_yet),
            ))
        }
    }
}

/// The program's version.
pub async fn version() -> Response<Body> {
    super::json_response(&json!({"version": env!("CARGO_PKG_VERSION"), "name": "tramontane"}))
}
