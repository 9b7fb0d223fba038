//! What clients send beside a message's own fields without meaning anything by it: their own replies' fields, sent back.
//!
//! mistral-common refuses these in Mistral's form, the hosted service and everyone else ignores them; so they are taken
//! out before the conversation is read. Must not know: what messages mean.

use chat::json::{Object, Value};

/// Fields of an assistant message's tool calls, and of its chunks, that only replies have a use for.
const OF_CALLS: &[&str] = &["index"];
const OF_CHUNKS: &[&str] = &["signature", "annotations"];
/// Fields of an assistant message that only replies have a use for.
const OF_MESSAGES: &[&str] = &["refusal", "annotations", "audio", "function_call", "name"];

/// The body with its assistant messages freed of such fields.
pub fn without_noise(body: &Object) -> Object {
    let entries = body.iter().map(|(key, value)| {
        let value = match (key, value) {
            ("messages", Value::Array(messages)) => {
                Value::Array(messages.iter().map(message).collect())
            }
            _ => value.clone(),
        };
        (key.to_owned(), value)
    });
    Object::from_entries(entries.collect())
}

fn message(message: &Value) -> Value {
    let Value::Object(fields) = message else {
        return message.clone();
    };
    if fields.get("role").and_then(Value::as_str) != Some("assistant") {
        return message.clone();
    }
    let entries = fields
        .iter()
        .filter(|(key, _)| !OF_MESSAGES.contains(key))
        .map(|(key, value)| {
            let value = match (key, value) {
                ("tool_calls", Value::Array(calls)) => {
                    Value::Array(calls.iter().map(|call| less(call, OF_CALLS)).collect())
                }
                ("content", Value::Array(chunks)) => {
                    Value::Array(chunks.iter().map(|chunk| less(chunk, OF_CHUNKS)).collect())
                }
                _ => value.clone(),
            };
            (key.to_owned(), value)
        });
    Value::Object(Object::from_entries(entries.collect()))
}

fn less(value: &Value, names: &[&str]) -> Value {
    let Value::Object(fields) = value else {
        return value.clone();
    };
    let kept = fields.iter().filter(|(key, _)| !names.contains(key));
    Value::Object(Object::from_entries(
        kept.map(|(key, value)| (key.to_owned(), value.clone()))
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fields::parse;

    #[test]
    fn only_what_replies_carry_is_taken_out() {
        let body = r#"{"index": 1, "messages": [{"role": "user", "content": "a", "name": "b"}, {"role": "assistant",
            "refusal": null, "content": [{"type": "thinking", "thinking": "t", "signature": null}], "tool_calls":
            [{"index": 0, "id": "abc", "function": {"name": "f", "arguments": "{}"}}]}]}"#;
        let less = Value::Object(without_noise(&parse(body.as_bytes()).unwrap())).dumps();
        let expected = r#"{"index": 1, "messages": [{"role": "user", "content": "a", "name": "b"}, {"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}], "tool_calls": [{"id": "abc", "function": {"name": "f", "arguments": "{}"}}]}]}"#;
        assert_eq!(less, expected);
    }
}
