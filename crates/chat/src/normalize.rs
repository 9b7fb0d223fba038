//! A validated conversation brought into the order and grouping in which it is encoded: neighbours of one role merged,
//! texts joined, tool results sorted by call, arguments as JSON values.
//!
//! The rules follow mistral-common 1.13.1's normalisers, one per tokenizer version. Must not know: token ids.

use std::collections::HashMap;

use crate::error::ChatError;
use crate::json::{self, JsonError, Value};
use crate::message::{Chunk, Content, ImageSource, Message, Role, ToolCall};
use crate::tekken::Version;

/// What is put between texts of different messages that are merged.
const MESSAGE_JOIN: &str = "\n\n";

/// A message's content once merged: one text if there is nothing else in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    Text(String),
    /// At least one part that is not text; neighbouring texts are joined.
    Parts(Vec<Part>),
}

/// A piece of content.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Text(String),
    /// An image and where it stood in the request: which message, which chunk.
    Image {
        source: ImageSource,
        message: usize,
        chunk: usize,
    },
    /// Audio, and the message it stood in.
    Audio {
        message: usize,
    },
    Thinking {
        text: String,
        closed: bool,
    },
}

/// A tool call whose arguments were read as JSON; arguments that are not JSON are a JSON string.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub id: String,
    pub name: String,
    pub arguments: Value,
}

/// One turn of the conversation as it is encoded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Turn {
    System(Body),
    User(Body),
    /// `message` is the first message of the request that the turn is made of.
    Assistant {
        body: Body,
        calls: Vec<Call>,
        prefix: bool,
        message: usize,
    },
    Tool {
        body: Body,
        call_id: String,
    },
}

/// A message and its place in the request.
type Placed<'a> = (usize, &'a Message);

/// The turns of `messages`, and version 3's system prompt, which it takes out of the turns.
///
/// # Errors
/// [`ChatError::Validation`] for arguments beyond the limits of [`json::parse`].
pub(crate) fn turns(
    messages: &[Message],
    version: Version,
) -> Result<(Vec<Turn>, Option<String>), ChatError> {
    let mut turns = Vec::new();
    // The calls whose results come next: those since the last tool results.
    let mut call_ids: Vec<String> = Vec::new();
    let placed: Vec<Placed<'_>> = messages.iter().enumerate().collect();
    for group in placed.chunk_by(|one, other| one.1.role() == other.1.role()) {
        match group[0].1.role() {
            Role::System if version == Version::V3 => {}
            Role::System => {
                turns.extend(
                    group
                        .iter()
                        .map(|message| Turn::System(merged(&[*message], version))),
                );
            }
            Role::User => turns.push(Turn::User(merged(group, version))),
            Role::Assistant => {
                let turn = assistant(group, version)?;
                if let Turn::Assistant { calls, .. } = &turn {
                    call_ids.extend(calls.iter().map(|call| call.id.clone()));
                }
                turns.push(turn);
            }
            Role::Tool => {
                turns.extend(tool_results(group, &call_ids, version));
                call_ids.clear();
            }
        }
    }
    let system_prompt = if version == Version::V3 {
        system_prompt(&placed)
    } else {
        None
    };
    if version == Version::V3 && !matches!(turns.first(), Some(Turn::User(_))) {
        turns.insert(0, Turn::User(Body::Text(String::new())));
    }
    Ok((turns, system_prompt))
}

/// Version 3: all system messages that are not empty, joined.
fn system_prompt(messages: &[Placed<'_>]) -> Option<String> {
    let texts: Vec<String> = messages
        .iter()
        .filter(|(_, message)| message.role() == Role::System)
        .filter(|(_, message)| message.content().is_some_and(|content| !content.is_empty()))
        .filter_map(|message| match merged(&[*message], Version::V3) {
            Body::Text(text) => Some(text),
            Body::Parts(_) => None,
        })
        .collect();
    if texts.is_empty() {
        None
    } else {
        Some(texts.join(MESSAGE_JOIN))
    }
}

/// The contents of `messages` after one another. Texts of one message are joined with nothing (since version 15; with
/// a blank line before), texts of different messages with a blank line; empty texts are dropped.
fn merged(messages: &[Placed<'_>], version: Version) -> Body {
    let chunk_join = if version >= Version::V15 {
        ""
    } else {
        MESSAGE_JOIN
    };
    let mut parts = Vec::new();
    let mut text = String::new();
    for (index, message) in messages {
        let mut next_join = if text.is_empty() { "" } else { MESSAGE_JOIN };
        match message.content() {
            Some(Content::Text(more)) if !more.is_empty() => {
                text.push_str(next_join);
                text.push_str(more);
            }
            None | Some(Content::Text(_)) => {}
            Some(Content::Chunks(chunks)) => {
                for (place, chunk) in chunks.iter().enumerate() {
                    match part(chunk, *index, place) {
                        Part::Text(more) if more.is_empty() => {}
                        Part::Text(more) => {
                            text.push_str(if text.is_empty() { "" } else { next_join });
                            text.push_str(&more);
                            next_join = chunk_join;
                        }
                        other => {
                            if !text.is_empty() {
                                parts.push(Part::Text(std::mem::take(&mut text)));
                            }
                            parts.push(other);
                        }
                    }
                }
            }
        }
    }
    if parts.is_empty() {
        return Body::Text(text);
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Body::Parts(parts)
}

fn part(chunk: &Chunk, message: usize, place: usize) -> Part {
    match chunk {
        Chunk::Text(text) => Part::Text(text.clone()),
        Chunk::Image(source) => Part::Image {
            source: source.clone(),
            message,
            chunk: place,
        },
        Chunk::Audio => Part::Audio { message },
        Chunk::Thinking { text, closed } => Part::Thinking {
            text: text.clone(),
            closed: *closed,
        },
    }
}

/// Neighbouring assistant messages as one: contents merged, calls after one another, a prefix if one of them is.
fn assistant(group: &[Placed<'_>], version: Version) -> Result<Turn, ChatError> {
    let mut all_calls = Vec::new();
    let mut is_prefix = false;
    for (index, message) in group {
        if let Message::Assistant {
            tool_calls, prefix, ..
        } = message
        {
            for call in tool_calls {
                all_calls.push(read_call(call, *index)?);
            }
            is_prefix |= prefix;
        }
    }
    Ok(Turn::Assistant {
        body: merged(group, version),
        calls: all_calls,
        prefix: is_prefix,
        message: group[0].0,
    })
}

fn read_call(call: &ToolCall, message: usize) -> Result<Call, ChatError> {
    let arguments = read_json(&call.arguments).map_err(|error| {
        ChatError::Validation(format!(
            "messages[{message}].tool_calls: arguments of {}: {error}",
            call.name
        ))
    })?;
    Ok(Call {
        id: call.id.clone(),
        name: call.name.clone(),
        arguments,
    })
}

/// Text as JSON: nothing is an empty object, and what is not JSON is itself as a JSON string.
///
/// # Errors
/// JSON beyond Python's limits, which the reference refuses.
pub(crate) fn read_json(text: &str) -> Result<Value, JsonError> {
    if text.is_empty() {
        return Ok(Value::Object(json::Object::default()));
    }
    match json::parse(text) {
        Err(JsonError::Syntax { .. }) => Ok(Value::String(text.to_owned())),
        result => result,
    }
}

/// Each result as a turn. From version 11 on they follow the order of the calls they answer; results of unknown calls
/// come last, and results of one call stay together.
fn tool_results(group: &[Placed<'_>], call_ids: &[String], version: Version) -> Vec<Turn> {
    let mut results: Vec<(Body, String)> = group
        .iter()
        .filter_map(|placed| match placed.1 {
            Message::Tool { tool_call_id, .. } => Some((
                merged(&[*placed], version),
                tool_call_id.clone().unwrap_or_default(),
            )),
            _ => None,
        })
        .collect();
    if version >= Version::V11 {
        let call_places: HashMap<&str, usize> = call_ids
            .iter()
            .enumerate()
            .map(|(place, id)| (id.as_str(), place))
            .collect();
        let result_places: HashMap<String, usize> = results
            .iter()
            .enumerate()
            .map(|(place, (_, id))| (id.clone(), place))
            .collect();
        results.sort_by_key(|(_, id)| {
            (
                call_places.get(id.as_str()).copied().unwrap_or(usize::MAX),
                result_places.get(id).copied(),
            )
        });
    }
    results
        .into_iter()
        .map(|(body, call_id)| Turn::Tool { body, call_id })
        .collect()
}
