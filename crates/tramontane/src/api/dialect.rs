//! Which dialect a request is in: what its headers say, else what its body holds.
//!
//! Must not know: what the dialects are answered.

use crate::error::Dialect;
use axum::http::{HeaderMap, header};
use chat::json::{Object, Value};

/// The header by which a client chooses.
pub const HEADER: &str = "x-tramontane-dialect";

/// The dialect that the headers name; none if they leave it to the body.
pub fn of_headers(headers: &HeaderMap) -> Option<Dialect> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    match text(HEADER) {
        Some(name) if name.eq_ignore_ascii_case("mistral") => return Some(Dialect::Mistral),
        Some(name) if name.eq_ignore_ascii_case("openai") => return Some(Dialect::OpenAi),
        _ => {}
    }
    text(header::USER_AGENT.as_str())
        .filter(|agent| agent.starts_with("mistral-client-"))
        .map(|_| Dialect::Mistral)
}

/// Mistral's, if the body has a field or a chunk that only its clients send.
pub fn of_body(body: &Object) -> Dialect {
    let has_field = ["random_seed", "safe_prompt"]
        .iter()
        .any(|name| body.get(name).is_some());
    let messages = body
        .get("messages")
        .and_then(Value::as_array)
        .unwrap_or_default();
    let thinks = |message: &Value| {
        let chunks = message.as_object()?.get("content")?.as_array()?;
        let is_thought =
            |chunk: &Value| Some(chunk.as_object()?.get("type")?.as_str()? == "thinking");
        Some(chunks.iter().any(|chunk| is_thought(chunk) == Some(true)))
    };
    match has_field || messages.iter().any(|message| thinks(message) == Some(true)) {
        true => Dialect::Mistral,
        false => Dialect::OpenAi,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fields::parse;
    use axum::http::HeaderValue;

    #[test]
    fn mistrals_form_is_told_by_header_agent_field_or_chunk() {
        let header = |name: &'static str, value: &'static str| {
            of_headers(&HeaderMap::from_iter([(
                name.parse().unwrap(),
                HeaderValue::from_static(value),
            )]))
        };
        assert_eq!(header(HEADER, "Mistral"), Some(Dialect::Mistral));
        assert_eq!(header(HEADER, "openai"), Some(Dialect::OpenAi));
        assert_eq!(
            header("user-agent", "mistral-client-python/1.12.4"),
            Some(Dialect::Mistral)
        );
        assert_eq!(header("user-agent", "OpenAI/Python 2.0"), None);
        let body = |text: &str| of_body(&parse(text.as_bytes()).unwrap());
        assert_eq!(body(r#"{"random_seed": 1}"#), Dialect::Mistral);
        assert_eq!(body(r#"{"safe_prompt": false}"#), Dialect::Mistral);
        assert_eq!(
            body(r#"{"seed": 1, "messages": [{"content": "thinking"}, 1]}"#),
            Dialect::OpenAi
        );
        let thought = r#"{"messages": [{"content": [{"type": "thinking", "thinking": "a"}]}]}"#;
        assert_eq!(body(thought), Dialect::Mistral);
    }
}
