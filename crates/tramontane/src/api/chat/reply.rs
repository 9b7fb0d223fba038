//! A chat reply as one body, and the parts that its chunks share, in both dialects.
//!
//! Must not know: how the reply came about.

use super::ask::Ask;
use crate::api::usage::{self, Spent};
use crate::app::App;
use crate::error::{ApiError, Dialect, Kind};
use crate::generate::{End, Ending, Token, Whole};
use crate::words::Words;
use chat::format::parse::{Reply, ToolCall};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What all parts of a reply carry.
pub struct Head {
    app: Arc<App>,
    /// What was asked.
    pub ask: Ask,
    id: String,
    created: u64,
}

impl Head {
    /// A fresh id and the present time.
    pub fn new(app: Arc<App>, ask: Ask) -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let prefix = match ask.dialect {
            Dialect::OpenAi => "chatcmpl-",
            Dialect::Mistral => "",
        };
        Self {
            app,
            ask,
            id: format!("{prefix}{}", crate::api::random_id()),
            created: since.as_secs(),
        }
    }

    /// A body or a chunk with these choices.
    pub fn object(&self, kind: &str, choices: Vec<Value>) -> Value {
        let mut object = json!({
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.ask.model,
            "choices": choices,
        });
        if self.ask.dialect == Dialect::OpenAi {
            object["system_fingerprint"] = concat!("tramontane-", env!("CARGO_PKG_VERSION")).into();
        }
        object
    }

    /// `logprobs` of a choice or chunk whose content holds these tokens; null if nobody asked.
    pub fn logprobs(&self, tokens: &[Token]) -> Value {
        match self.app.served() {
            Ok(served) if self.ask.logprobs => {
                let words = &served.words;
                let content = tokens.iter().filter(|token| token.is_content);
                let content: Vec<Value> =
                    content.filter_map(|token| logprob(words, token)).collect();
                json!({"content": content, "refusal": null})
            }
            _ => Value::Null,
        }
    }

    /// The stop string that ended a reply, for OpenAI's clients.
    pub fn stop_reason(&self, ending: &Ending) -> Value {
        ending
            .stopped_by
            .and_then(|index| self.ask.stop.get(index))
            .map_or(Value::Null, |stop| json!(stop))
    }
}

/// A token with its log-probability and those of the likeliest at its place.
fn logprob(words: &Words, token: &Token) -> Option<Value> {
    let logprobs = token.logprobs.as_ref()?;
    let entry = |id: u32, logprob: f64| {
        let bytes = words.token_bytes(id);
        json!({"token": String::from_utf8_lossy(bytes), "logprob": logprob, "bytes": bytes})
    };
    let mut named = entry(token.id, logprobs.logprob);
    named["top_logprobs"] = logprobs
        .top
        .iter()
        .map(|&(id, logprob)| entry(id, logprob))
        .collect();
    Some(named)
}

/// The whole body.
///
/// # Errors
/// A reply that has not ended, which is a fault of ours.
pub fn body(head: &Head, choices: &[Whole]) -> Result<Value, ApiError> {
    let mut spent = Spent::default();
    let mut shown = Vec::with_capacity(choices.len());
    for (index, choice) in choices.iter().enumerate() {
        let Some(End::Done(ending)) = &choice.end else {
            return Err(ApiError::new(Kind::Engine, "the reply has no end"));
        };
        spent.add(0, ending);
        let mut object = json!({
            "index": index,
            "message": message(head.ask.dialect, &choice.reply),
            "finish_reason": ending.reason.name(),
        });
        if head.ask.dialect == Dialect::OpenAi || head.ask.logprobs {
            object["logprobs"] = head.logprobs(&choice.tokens);
        }
        if head.ask.dialect == Dialect::OpenAi {
            object["stop_reason"] = head.stop_reason(ending);
        }
        shown.push(object);
    }
    let mut body = head.object("chat.completion", shown);
    body["usage"] = usage::json(&spent);
    Ok(body)
}

/// An assistant's message.
fn message(dialect: Dialect, reply: &Reply) -> Value {
    let mut message = match dialect {
        Dialect::OpenAi => openai_message(reply),
        Dialect::Mistral => json!({"role": "assistant", "content": mistral_content(reply)}),
    };
    if !reply.tool_calls.is_empty() {
        let calls = reply.tool_calls.iter().enumerate();
        message["tool_calls"] = calls
            .map(|(index, call)| tool_call(dialect, index, call))
            .collect();
    }
    message
}

fn openai_message(reply: &Reply) -> Value {
    let has_more = !reply.reasoning.is_empty() || !reply.tool_calls.is_empty();
    let content = match reply.content.is_empty() && has_more {
        true => Value::Null,
        false => json!(reply.content),
    };
    let mut message = json!({"role": "assistant", "content": content, "refusal": null});
    if !reply.reasoning.is_empty() {
        message["reasoning_content"] = json!(reply.reasoning);
        message["reasoning"] = json!(reply.reasoning);
    }
    message
}

/// A text, or chunks where there is a thought.
fn mistral_content(reply: &Reply) -> Value {
    if reply.reasoning.is_empty() {
        return json!(reply.content);
    }
    let mut thought = thinking(&reply.reasoning);
    thought["closed"] = json!(reply.reasoning_closed);
    match reply.content.is_empty() {
        true => json!([thought]),
        false => json!([thought, {"type": "text", "text": reply.content}]),
    }
}

/// A chunk of thought.
pub fn thinking(text: &str) -> Value {
    json!({"type": "thinking", "thinking": [{"type": "text", "text": text}]})
}

/// A whole tool call. Mistral's clients want its index too.
pub fn tool_call(dialect: Dialect, index: usize, call: &ToolCall) -> Value {
    let mut shown = json!({
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    });
    if dialect == Dialect::Mistral {
        shown["index"] = json!(index);
    }
    shown
}
