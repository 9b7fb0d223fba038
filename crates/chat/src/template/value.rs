//! Requests' JSON as template values.
//!
//! Must not know: how values are printed.

use minijinja::value::Value as Jinja;

use crate::json::{Object, Value};

/// The names under which requests carry a message's reasoning, best first.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// A JSON value. An integer beyond 128 bits becomes the nearest float.
pub(super) fn from_json(value: &Value) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(flag) => Jinja::from(*flag),
        Value::Int(digits) => integer(digits),
        Value::Float(number) => Jinja::from(*number),
        Value::String(text) => Jinja::from(text.as_str()),
        Value::Array(values) => Jinja::from(values.iter().map(from_json).collect::<Vec<_>>()),
        Value::Object(object) => from_pairs(
            object
                .iter()
                .map(|(key, value)| (key, from_json(value)))
                .collect(),
        ),
    }
}

fn from_pairs(pairs: Vec<(&str, Jinja)>) -> Jinja {
    Jinja::from_pairs(pairs)
}

fn integer(digits: &str) -> Jinja {
    if let Ok(small) = digits.parse::<i64>() {
        return Jinja::from(small);
    }
    match digits.parse::<i128>() {
        Ok(large) => Jinja::from(large),
        Err(_) => Jinja::from(digits.parse::<f64>().unwrap_or(f64::NAN)),
    }
}

/// A message. Its reasoning, under whichever name it came, is `reasoning_content` too, and `thinking` where that is
/// free: templates read one or the other.
pub(super) fn from_message(message: &Value) -> Jinja {
    let reasoning = |object: &Object| {
        let found = REASONING
            .iter()
            .find_map(|name| object.get(name).filter(|value| **value != Value::Null));
        found.map(from_json)
    };
    let Some((object, reasoning)) = message
        .as_object()
        .and_then(|object| Some((object, reasoning(object)?)))
    else {
        return from_json(message);
    };
    let mut pairs = vec![("thinking", reasoning.clone())];
    for (key, value) in object.iter() {
        match key {
            "thinking" => pairs[0].1 = from_json(value),
            "reasoning_content" => pairs.push((key, reasoning.clone())),
            _ => pairs.push((key, from_json(value))),
        }
    }
    if object.get("reasoning_content").is_none() {
        pairs.push(("reasoning_content", reasoning));
    }
    from_pairs(pairs)
}

/// About how many bytes of text are in `value`.
pub(super) fn num_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Float(_) => 8,
        Value::Int(digits) => digits.len(),
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(num_bytes).sum(),
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| key.len() + num_bytes(value))
            .sum(),
    }
}
