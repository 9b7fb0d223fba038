//! Every request's id, log line and count.
//!
//! A client's `x-request-id` is kept, else one is made; the answer carries it, and so does each log line of the request.
//! What a request or a reply says is never logged.

use crate::app::App;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Response, header};
use axum::middleware::Next;
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument;

const HEADER: &str = "x-request-id";
const MAX_BYTES: usize = 128;

/// Passes a request on and notes what came of it.
pub async fn request(State(app): State<Arc<App>>, request: Request, next: Next) -> Response<Body> {
    let start = Instant::now();
    let given = request
        .headers()
        .get(HEADER)
        .and_then(|value| value.to_str().ok());
    let is_usable = |id: &&str| {
        !id.is_empty() && id.len() <= MAX_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let id = given
        .filter(is_usable)
        .map_or_else(super::random_id, str::to_owned);
    // The router's own name for the path: a client's text would make metrics without end.
    let matched = request.extensions().get::<MatchedPath>();
    let path = matched.map_or("(none)", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let span = tracing::info_span!("request", %id, %method, path);

    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    app.metrics.responded(&path, status);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    if app.is_ending() {
        // The client is to come back to another server.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    let seconds = start.elapsed().as_secs_f64();
    span.in_scope(|| match path.as_str() {
        "/health" | "/ready" | "/metrics" => tracing::debug!(status, seconds, "answered"),
        _ => tracing::info!(status, seconds, "answered"),
    });
    response
}
