//! A request's body: JSON, of bounded size, sent in bounded time.
//!
//! Must not know: what it says.

use crate::app::App;
use crate::error::{ApiError, Kind, Refusal};
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::sync::Arc;

/// The bytes of a body that its headers call JSON.
pub struct JsonBody(pub Bytes);

impl FromRequest<Arc<App>> for JsonBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let refuse = |error| super::refusal(&parts.headers, error);
        let limits = &app.limits;
        check_type(&parts.headers).map_err(refuse)?;
        check_length(&parts.headers, limits.max_body).map_err(refuse)?;
        let collected = tokio::time::timeout(
            limits.client_timeout,
            Limited::new(body, limits.max_body).collect(),
        );
        match collected.await {
            Ok(Ok(body)) => Ok(Self(body.to_bytes())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(refuse(too_large(limits.max_body)))
            }
            Ok(Err(_)) => Err(refuse(ApiError::new(
                Kind::Json,
                "the request body broke off",
            ))),
            Err(_) => {
                let seconds = limits.client_timeout.as_secs();
                let message = format!("the request body did not arrive within {seconds} seconds");
                Err(refuse(ApiError::new(Kind::Slow, message)))
            }
        }
    }
}

/// A length that is too large is refused before it is read.
fn check_length(headers: &HeaderMap, max_body: usize) -> Result<(), ApiError> {
    let given = headers.get(header::CONTENT_LENGTH);
    let length: Option<u64> = given.and_then(|value| value.to_str().ok()?.parse().ok());
    match length {
        Some(length) if length > max_body as u64 => Err(too_large(max_body)),
        _ => Ok(()),
    }
}

fn too_large(max_body: usize) -> ApiError {
    let message =
        format!("the request body is larger than the {max_body} bytes that this server reads");
    ApiError::new(Kind::Size, message)
}

/// Only what is called JSON is read: so no web page can send a request without the browser asking the server first.
fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media = given
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_json = media == "application/json"
        || (media.starts_with("application/") && media.ends_with("+json"));
    match is_json {
        true => Ok(()),
        false => Err(ApiError::new(
            Kind::MediaType,
            "the Content-Type header must be application/json (curl: -H 'Content-Type: application/json')",
        )),
    }
}
