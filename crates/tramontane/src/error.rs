//! What the server answers when it cannot do what was asked: one row a kind, written in the client's own dialect.
//!
//! A message says what, where, expected and got, and never a path of this machine. Must not know: endpoints.

use crate::vision::VisionError;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use chat::ChatError;
use engine::EngineError;
use serde_json::{Value, json};

/// Whose clients are spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's, and everyone's who copies it.
    #[default]
    OpenAi,
    /// Mistral's own.
    Mistral,
}

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The body is no JSON.
    Json,
    /// A field is missing, unknown or wrong.
    Field,
    /// The conversation or a combination of fields makes no sense.
    Request,
    /// The order of roles, or the pairing of calls and results.
    Structure,
    /// A reasoning effort or prompt mode that the model does not offer.
    Effort,
    /// Prompt and reply do not fit the context.
    ContextLength,
    /// No such model.
    Model,
    /// No such path.
    Path,
    /// The path exists, the method does not.
    Method,
    /// The key is missing or wrong.
    Key,
    /// The body is too large.
    Size,
    /// The body is not said to be JSON.
    MediaType,
    /// The client took too long to send its request.
    Slow,
    /// Too many requests wait.
    Queue,
    /// The model is not ready yet, or the server is ending.
    Unavailable,
    /// The request took longer than the server allows.
    Deadline,
    /// The model or the engine failed.
    Engine,
}

/// How a kind is answered: status, then type and code for OpenAI's clients, then status, type and code for Mistral's.
struct Row {
    status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    mistral_status: u16,
    mistral_kind: &'static str,
    mistral_code: Option<&'static str>,
}

impl Kind {
    #[rustfmt::skip] // A table: one row a kind.
    fn row(self) -> Row {
        const INVALID: &str = "invalid_request_error";
        const SERVER: &str = "server_error";
        let (status, kind, code, mistral_status, mistral_kind, mistral_code) = match self {
            Kind::Json => (400, INVALID, Some("invalid_json"), 422, INVALID, None),
            Kind::Field => (400, INVALID, None, 422, INVALID, None),
            Kind::Request => (400, INVALID, None, 400, INVALID, Some("3051")),
            Kind::Structure => (400, INVALID, None, 400, "invalid_request_message_order", Some("3230")),
            Kind::Effort => (400, INVALID, None, 400, "invalid_request_invalid_args", Some("3051")),
            Kind::ContextLength => (400, INVALID, Some("context_length_exceeded"), 400, "invalid_request_prompt_too_long", Some("3051")),
            Kind::Model => (404, INVALID, Some("model_not_found"), 404, "invalid_model", Some("1500")),
            Kind::Path => (404, INVALID, Some("unknown_url"), 404, "not_found", None),
            Kind::Method => (405, INVALID, Some("method_not_allowed"), 405, INVALID, None),
            Kind::Key => (401, INVALID, Some("invalid_api_key"), 401, "unauthorized", None),
            Kind::Size => (413, INVALID, Some("request_too_large"), 413, INVALID, None),
            Kind::MediaType => (415, INVALID, Some("unsupported_media_type"), 415, INVALID, None),
            Kind::Slow => (408, INVALID, Some("request_timeout"), 408, INVALID, None),
            Kind::Queue => (429, "rate_limit_error", Some("queue_full"), 429, "rate_limited", Some("1300")),
            Kind::Unavailable => (503, SERVER, Some("unavailable"), 503, "service_unavailable", Some("3500")),
            Kind::Deadline => (504, SERVER, Some("deadline_exceeded"), 504, "timeout", None),
            Kind::Engine => (500, SERVER, None, 500, "internal_server_error", Some("1000")),
        };
        Row { status, kind, code, mistral_status, mistral_kind, mistral_code }
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// Its kind.
    pub kind: Kind,
    /// The field it is about, as a path into the body.
    pub param: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
    /// Seconds after which it may be tried again.
    pub retry_after: Option<u64>,
}

/// How the engine's messages about constraints begin (`engine::ConstraintError`).
const HELD: &str = "constraint: ";
/// The most characters of a message.
const MAX_MESSAGE: usize = 1000;

impl ApiError {
    /// A refusal of this kind. A message that quotes too much of the request is cut off.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message.truncate(end);
            message.push('…');
        }
        Self {
            kind,
            param: None,
            message,
            retry_after: None,
        }
    }

    /// A reply that could not go on. Where what it is held to bursts a limit, the client is told; anything else is a fault
    /// of the server's own, which may name files and goes to the log.
    pub fn failed(what: &str) -> Self {
        if let Some(what) = what.strip_prefix(HELD) {
            return Self::new(
                Kind::Request,
                format!("the reply cannot be held to what was asked: {what}"),
            );
        }
        tracing::error!(what, "the model failed");
        Self::new(
            Kind::Engine,
            "the model could not go on with this request; the server's log says why",
        )
    }

    /// A field that is not what it should be; the message begins with its name.
    pub fn field(name: &str, what: impl std::fmt::Display) -> Self {
        Self {
            param: Some(name.to_owned()),
            ..Self::new(Kind::Field, format!("{name}: {what}"))
        }
    }

    /// The same about a field.
    pub fn about(mut self, name: &str) -> Self {
        self.param = Some(name.to_owned());
        self
    }

    /// The same, to be tried again after so many seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The status it is answered with.
    pub fn status(&self, dialect: Dialect) -> StatusCode {
        let row = self.kind.row();
        let status = match dialect {
            Dialect::OpenAi => row.status,
            Dialect::Mistral => row.mistral_status,
        };
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Its body.
    pub fn body(&self, dialect: Dialect) -> Value {
        let row = self.kind.row();
        match dialect {
            Dialect::OpenAi => json!({"error": {
                "message": self.message,
                "type": row.kind,
                "param": self.param,
                "code": row.code,
            }}),
            Dialect::Mistral => {
                let mut body = json!({
                    "object": "error",
                    "message": self.message,
                    "type": row.mistral_kind,
                    "param": self.param,
                    "code": row.mistral_code,
                    "raw_status_code": row.mistral_status,
                });
                // The shape that Mistral's clients read from a 422.
                if row.mistral_status == 422 {
                    let place = self.param.iter().flat_map(|param| param.split('.'));
                    let loc: Vec<&str> = std::iter::once("body").chain(place).collect();
                    body["detail"] =
                        json!([{"type": "value_error", "loc": loc, "msg": self.message}]);
                }
                body
            }
        }
    }

    /// The whole answer.
    pub fn response(&self, dialect: Dialect) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body(dialect).to_string()));
        *response.status_mut() = self.status(dialect);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        match self.kind {
            Kind::Key => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // OpenAI's clients repeat what timed out, which would only take as long again.
            Kind::Deadline => {
                headers.insert("x-should-retry", HeaderValue::from_static("false"));
            }
            _ => {}
        }
        response
    }
}

impl From<VisionError> for ApiError {
    fn from(error: VisionError) -> Self {
        match error {
            VisionError::Image(error) => error.into(),
            VisionError::Model(error) => ApiError::failed(&error.to_string()),
        }
    }
}

impl From<ChatError> for ApiError {
    fn from(error: ChatError) -> Self {
        let kind = match &error {
            ChatError::Json(_) => Kind::Json,
            ChatError::Validation(_) | ChatError::EmptyStop { .. } => Kind::Field,
            ChatError::InvalidMessageStructure(_) => Kind::Structure,
            _ => Kind::Request,
        };
        let message = error.to_string();
        Self {
            param: place(&message),
            ..Self::new(kind, message)
        }
    }
}

/// The path that a message begins with, such as `messages[1].content`.
fn place(message: &str) -> Option<String> {
    let (path, _) = message.split_once(": ")?;
    let is_path = |c: char| c.is_ascii_alphanumeric() || "_.[]".contains(c);
    (!path.is_empty() && path.chars().all(is_path)).then(|| path.to_owned())
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::InvalidRequest { field, .. } => {
                Self::new(Kind::Field, message).about(field)
            }
            EngineError::ContextLength { .. } | EngineError::CacheTooSmall { .. } => {
                Self::new(Kind::ContextLength, message).about("messages")
            }
            EngineError::QueueFull { .. } => Self::new(Kind::Queue, message).retry_after(1),
            EngineError::Stopped => Self::new(Kind::Unavailable, message),
            EngineError::Config(_) => Self::new(Kind::Engine, message),
        }
    }
}

/// A refusal and the dialect it is told in.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The client's dialect, as far as it was known.
    pub dialect: Dialect,
    /// What is wrong.
    pub error: ApiError,
}

impl axum::response::IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        // The message may quote the request, which no log should.
        tracing::info!(kind = ?self.error.kind, param = self.error.param, "refused");
        self.error.response(self.dialect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_its_field() {
        let error = ApiError::from(ChatError::Validation(
            "messages[1].role: missing".to_owned(),
        ));
        assert_eq!(error.param.as_deref(), Some("messages[1].role"));
        let body = error.body(Dialect::OpenAi);
        assert_eq!(body["error"]["param"], "messages[1].role");
        let body = error.body(Dialect::Mistral);
        assert_eq!(
            body["detail"][0]["loc"],
            json!(["body", "messages[1]", "role"])
        );
        assert_eq!(error.status(Dialect::OpenAi), 400);
        assert_eq!(error.status(Dialect::Mistral), 422);
        assert_eq!(place("no path at all: really"), None);
    }
}
