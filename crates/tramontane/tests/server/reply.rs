//! Replies that are known beforehand, forced on a model of random weights by a grammar; and what streams add up to.

use crate::server::{Answer, Server};
use serde_json::{Map, Value, json};

/// A part of a reply.
#[derive(Clone, Debug)]
pub enum Part {
    Text(String),
    /// Special tokens by id.
    Token(u32),
}

pub const TOOL_CALLS: u32 = 9;
pub const ARGS: u32 = 32;
pub const THINK: u32 = 34;
pub const END_THINK: u32 = 35;

pub fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

/// A thought.
pub fn thought(inside: &str) -> Vec<Part> {
    vec![Part::Token(THINK), text(inside), Part::Token(END_THINK)]
}

/// A tool call.
pub fn call(name: &str, arguments: &str) -> Vec<Part> {
    vec![
        Part::Token(TOOL_CALLS),
        text(name),
        Part::Token(ARGS),
        text(arguments),
    ]
}

/// llguidance's Lark for this reply and no other.
pub fn grammar(parts: &[Part]) -> String {
    let parts = parts.iter().map(|part| match part {
        Part::Text(text) => Value::String(text.clone()).to_string(),
        Part::Token(id) => format!("<[{id}]>"),
    });
    format!("start: {}\n", parts.collect::<Vec<_>>().join(" "))
}

/// A chat request whose reply is this, with further fields.
pub fn scripted(parts: &[Part], more: Value) -> Value {
    let mut body = json!({
        "messages": [{"role": "user", "content": "Say it."}],
        "guided_grammar": grammar(parts),
        "seed": 1,
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The events of a stream that ended as it should: comments are left out, `[DONE]` must be last.
pub fn events(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    let text = answer.text();
    let data: Vec<&str> = text
        .split("\n\n")
        .filter(|event| !event.is_empty() && !event.starts_with(':'))
        .map(|event| {
            event
                .strip_prefix("data: ")
                .unwrap_or_else(|| panic!("{event:?}"))
        })
        .collect();
    let (last, data) = data.split_last().unwrap();
    assert_eq!(*last, "[DONE]");
    data.iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect()
}

/// The chunks of a streamed chat.
pub fn stream(server: &Server, body: &Value) -> Vec<Value> {
    let mut body = body.clone();
    body["stream"] = json!(true);
    events(&server.post("/v1/chat/completions", &body))
}

/// The choices of a chat as a client puts them together from its chunks: message, finish reason and log-probabilities.
pub fn joined(chunks: &[Value]) -> Vec<Value> {
    let mut choices: Vec<Value> = Vec::new();
    for chunk in chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        for part in chunk["choices"].as_array().unwrap() {
            let index = part["index"].as_u64().unwrap() as usize;
            while choices.len() <= index {
                choices.push(json!({"message": {"content": "", "thought": ""}, "logprobs": []}));
            }
            let choice = &mut choices[index];
            assert!(
                choice.get("finish_reason").is_none(),
                "a delta after the end: {chunk}"
            );
            add(choice, part);
        }
    }
    choices
}

fn add(choice: &mut Value, part: &Value) {
    let delta = part["delta"].as_object().unwrap();
    for (name, value) in delta {
        match (name.as_str(), value) {
            ("role", role) => choice["message"]["role"] = role.clone(),
            ("content", Value::Array(chunks)) => chunks
                .iter()
                .for_each(|chunk| add_chunk(&mut choice["message"], chunk)),
            ("content" | "reasoning" | "reasoning_content", text) => {
                append(&mut choice["message"], name, text)
            }
            ("tool_calls", calls) => {
                calls
                    .as_array()
                    .unwrap()
                    .iter()
                    .for_each(|call| add_call(&mut choice["message"], call));
            }
            other => panic!("{other:?}"),
        }
    }
    if let Some(tokens) = part["logprobs"]["content"].as_array() {
        choice["logprobs"]
            .as_array_mut()
            .unwrap()
            .extend(tokens.iter().cloned());
    }
    if !part["finish_reason"].is_null() {
        choice["finish_reason"] = part["finish_reason"].clone();
        choice["stop_reason"] = part["stop_reason"].clone();
    }
}

fn append(message: &mut Value, name: &str, text: &Value) {
    let before = message[name].as_str().unwrap_or_default();
    message[name] = json!(format!("{before}{}", text.as_str().unwrap()));
}

fn add_chunk(message: &mut Value, chunk: &Value) {
    assert_eq!(chunk["type"], "thinking");
    for part in chunk["thinking"].as_array().unwrap() {
        append(message, "thought", &part["text"]);
    }
    if let Some(closed) = chunk.get("closed") {
        message["closed"] = closed.clone();
    }
}

fn add_call(message: &mut Value, call: &Value) {
    let index = call["index"].as_u64().unwrap() as usize;
    if message.get("tool_calls").is_none() {
        message["tool_calls"] = json!([]);
    }
    let calls = message["tool_calls"].as_array_mut().unwrap();
    if calls.len() == index {
        calls.push(call.clone());
        return;
    }
    assert_eq!(calls.len(), index + 1, "calls come one after the other");
    assert_eq!(
        call.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["index", "function"]
    );
    append(
        &mut calls[index]["function"],
        "arguments",
        &call["function"]["arguments"],
    );
}

/// The same of a whole body, for comparison.
pub fn whole(body: &Value) -> Vec<Value> {
    let choices = body["choices"].as_array().unwrap().iter();
    choices
        .map(|choice| {
            let mut message = Map::new();
            for (name, value) in choice["message"].as_object().unwrap() {
                match (name.as_str(), value) {
                    ("content", Value::Array(chunks)) => {
                        message.insert("content".into(), json!(""));
                        for chunk in chunks {
                            if chunk["type"] == "text" {
                                message.insert("content".into(), chunk["text"].clone());
                                continue;
                            }
                            let parts = chunk["thinking"].as_array().unwrap().iter();
                            let thought: String =
                                parts.map(|part| part["text"].as_str().unwrap()).collect();
                            message.insert("thought".into(), json!(thought));
                            if chunk["closed"] == false {
                                message.insert("closed".into(), json!(false));
                            }
                        }
                    }
                    ("content", Value::Null) => {
                        message.insert("content".into(), json!(""));
                    }
                    ("refusal", _) => {}
                    ("tool_calls", calls) => {
                        let indexed =
                            calls
                                .as_array()
                                .unwrap()
                                .iter()
                                .enumerate()
                                .map(|(index, call)| {
                                    let mut call = call.clone();
                                    call["index"] = json!(index);
                                    call
                                });
                        message.insert("tool_calls".into(), indexed.collect());
                    }
                    (name, value) => {
                        message.insert(name.into(), value.clone());
                    }
                }
            }
            message.entry("thought").or_insert(json!(""));
            let logprobs = choice["logprobs"]["content"].clone();
            let logprobs = if logprobs.is_null() {
                json!([])
            } else {
                logprobs
            };
            json!({
                "message": message, "finish_reason": choice["finish_reason"], "logprobs": logprobs,
                "stop_reason": choice["stop_reason"],
            })
        })
        .collect()
}

/// A body without what is different each time.
pub fn steady(body: &Value) -> Value {
    let mut body = body.clone();
    let fields = body.as_object_mut().unwrap();
    fields.remove("id");
    fields.remove("created");
    body
}
