//! The only door to a [`Conversation`]: what a tokenizer version allows, in the order mistral-common 1.13.1's serving
//! validators ask it, so that the first thing wrong is the same one.
//!
//! Must not know: token ids, JSON field names beyond those it names in errors.

use std::collections::HashSet;

use crate::error::ChatError;
use crate::json::{Object, Value};
use crate::message::{Chunk, Content, Message, ReasoningEffort, Role, Tool, ToolCall};
use crate::normalize::{self, Turn};
use crate::request::Request;
use crate::schema;
use crate::tekken::{Tekken, Version};

/// A conversation that can be encoded: judged and normalised for one tokenizer version.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    pub(crate) version: Version,
    pub(crate) turns: Vec<Turn>,
    pub(crate) tools: Vec<Tool>,
    /// Version 3's system prompt, which goes into a user turn.
    pub(crate) system_prompt: Option<String>,
    /// The model settings, if the model reads any.
    pub(crate) settings: Option<Object>,
}

impl Conversation {
    /// The tools on offer.
    pub fn tools(&self) -> &[Tool] {
        &self.tools
    }
}

/// Judges a request for `tekken`'s version and normalises it.
///
/// # Errors
/// The kinds of [`ChatError`] that mistral-common has for broken conversations; each names the message and says what
/// is allowed.
pub fn validate(request: Request, tekken: &Tekken) -> Result<Conversation, ChatError> {
    let version = tekken.version();
    check_structure(&request.messages, version)?;
    let last = request.messages.len().saturating_sub(1);
    for (index, message) in request.messages.iter().enumerate() {
        check_message(message, index, index == last, version)?;
    }
    for (index, tool) in request.tools.iter().enumerate() {
        check_tool(tool, index)?;
    }
    if version < Version::V15
        && let Some(effort) = request.reasoning_effort
    {
        return Err(ChatError::InvalidRequest(format!(
            "reasoning_effort {:?} is not supported for this model, whose tokenizer is {}; leave it out",
            effort.name(),
            version.name()
        )));
    }
    let (turns, system_prompt) = normalize::turns(&request.messages, version)?;
    let settings = settings(&request, tekken)?;
    Ok(Conversation {
        version,
        turns,
        tools: request.tools,
        system_prompt,
        settings,
    })
}

fn structure(message: String) -> Result<(), ChatError> {
    Err(ChatError::InvalidMessageStructure(message))
}

/// The roles and their order, and whether calls and results match.
fn check_structure(messages: &[Message], version: Version) -> Result<(), ChatError> {
    let Some(last) = messages.last() else {
        return structure("messages: must have at least one message".to_owned());
    };
    if messages.len() == 1 && !matches!(last.role(), Role::User | Role::System) {
        return structure(format!(
            "messages[0]: a conversation must start with a user or system message, got {}",
            last.role().name()
        ));
    }
    if messages.len() > 1 && matches!(last, Message::Assistant { prefix: false, .. }) {
        return structure(format!(
            "messages[{}]: the last message must be of role user or tool, or an assistant message with prefix; got \
             assistant",
            messages.len() - 1
        ));
    }
    for (index, pair) in messages.windows(2).enumerate() {
        let (before, role) = (pair[0].role(), pair[1].role());
        if !followers(before).contains(&role) {
            let allowed = followers(before).map(Role::name).join(", ");
            return structure(format!(
                "messages[{}]: unexpected role {} after role {}; allowed are {allowed}",
                index + 1,
                role.name(),
                before.name()
            ));
        }
    }
    if version >= Version::V11 {
        check_call_ids(messages)
    } else {
        check_call_counts(messages)
    }?;
    if version == Version::V7 {
        check_audio_alone(messages)
    } else {
        Ok(())
    }
}

/// Which roles may follow a role.
fn followers(role: Role) -> [Role; 3] {
    match role {
        Role::System => [Role::User, Role::Assistant, Role::System],
        Role::User => [Role::Assistant, Role::System, Role::User],
        Role::Assistant => [Role::Assistant, Role::User, Role::Tool],
        Role::Tool => [Role::Assistant, Role::Tool, Role::User],
    }
}

const UNEVEN: &str = "not the same number of function calls and responses: every tool call must be answered by one \
                      tool message before the next assistant message";

/// Up to version 7: calls and results are counted. The first message does not count.
fn check_call_counts(messages: &[Message]) -> Result<(), ChatError> {
    let mut open = 0_i64;
    for (index, message) in messages.iter().enumerate().skip(1) {
        match message {
            Message::Tool { .. } => open -= 1,
            Message::Assistant { .. } if open != 0 => {
                return structure(format!("messages[{index}]: {UNEVEN}"));
            }
            Message::Assistant { tool_calls, .. } => open = tool_calls.len() as i64,
            _ => {}
        }
    }
    if open == 0 {
        Ok(())
    } else {
        structure(format!("messages: {UNEVEN}"))
    }
}

/// From version 11 on: results are matched to calls by id. The first message does not count.
fn check_call_ids(messages: &[Message]) -> Result<(), ChatError> {
    let mut expected: HashSet<&str> = HashSet::new();
    let mut observed: HashSet<&str> = HashSet::new();
    for (index, message) in messages.iter().enumerate().skip(1) {
        match message {
            Message::Tool { tool_call_id, .. } => {
                let id = tool_call_id.as_deref().unwrap_or_default();
                if observed.contains(id) {
                    return structure(format!(
                        "messages[{index}]: duplicate tool call id {id:?} in tool results; each call has one result"
                    ));
                }
                // A missing id is no id of any call, not even of one whose id is empty.
                if tool_call_id.is_none() || !expected.contains(id) {
                    return structure(format!(
                        "messages[{index}]: unexpected tool call id {id:?} in tool results; it must be an id of the \
                         calls before"
                    ));
                }
                observed.insert(id);
            }
            Message::Assistant { tool_calls, .. } => {
                if expected.len() != observed.len() {
                    return structure(format!("messages[{index}]: {UNEVEN}"));
                }
                expected.clear();
                observed.clear();
                for call in tool_calls {
                    if !expected.insert(&call.id) {
                        return structure(format!(
                            "messages[{index}]: duplicate tool call id {:?}; ids must differ",
                            call.id
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    if expected.len() == observed.len() {
        Ok(())
    } else {
        structure(format!("messages: {UNEVEN}"))
    }
}

/// Version 7: audio and system prompts exclude each other.
fn check_audio_alone(messages: &[Message]) -> Result<(), ChatError> {
    let has_audio = |message: &&Message| match (message.role(), message.content()) {
        (Role::User, Some(Content::Chunks(chunks))) => chunks.contains(&Chunk::Audio),
        _ => false,
    };
    let has_system = messages
        .iter()
        .any(|message| message.role() == Role::System);
    if has_system && messages.iter().any(|message| has_audio(&message)) {
        let message =
            "messages: system messages and audio cannot be used together before version v13";
        return Err(ChatError::Validation(message.to_owned()));
    }
    Ok(())
}

fn check_message(
    message: &Message,
    index: usize,
    is_last: bool,
    version: Version,
) -> Result<(), ChatError> {
    let role = message.role();
    if let Some(Content::Chunks(chunks)) = message.content()
        && let Some(place) = chunks
            .iter()
            .position(|chunk| !may_hold(role, chunk, version))
    {
        let error = format!(
            "messages[{index}].content[{place}]: {} chunks are not allowed in {} messages of version {}",
            chunk_name(&chunks[place]),
            role.name(),
            version.name()
        );
        return Err(match role {
            Role::System => ChatError::InvalidSystemPrompt(error),
            Role::User => ChatError::InvalidUserMessage(error),
            Role::Assistant => ChatError::InvalidAssistantMessage(error),
            Role::Tool => ChatError::InvalidToolMessage(error),
        });
    }
    match message {
        Message::Tool {
            tool_call_id, name, ..
        } => check_tool_message(tool_call_id.as_deref(), name.as_deref(), index, version),
        Message::Assistant {
            content,
            tool_calls,
            prefix,
        } => {
            let has_content = content.as_ref().is_some_and(|content| !content.is_empty());
            if version == Version::V3 && has_content != tool_calls.is_empty() {
                return Err(ChatError::InvalidAssistantMessage(format!(
                    "messages[{index}]: an assistant message must have either content or tool_calls, but not both"
                )));
            }
            for (place, call) in tool_calls.iter().enumerate() {
                check_call(
                    call,
                    &format!("messages[{index}].tool_calls[{place}]"),
                    version,
                )?;
            }
            if *prefix && !is_last {
                return Err(ChatError::InvalidAssistantMessage(format!(
                    "messages[{index}]: an assistant message with prefix must be the last message"
                )));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Which chunks a version allows in a role's message.
fn may_hold(role: Role, chunk: &Chunk, version: Version) -> bool {
    match (role, chunk) {
        (_, Chunk::Text(_)) | (Role::User, Chunk::Image(_)) => true,
        (Role::User | Role::System, Chunk::Audio) => version >= Version::V7,
        (Role::System, Chunk::Thinking { .. }) => (Version::V7..Version::V15).contains(&version),
        (Role::Assistant, Chunk::Thinking { .. }) => version >= Version::V11,
        (Role::Tool, Chunk::Image(_) | Chunk::Audio) => version >= Version::V15,
        _ => false,
    }
}

fn chunk_name(chunk: &Chunk) -> &'static str {
    match chunk {
        Chunk::Text(_) => "text",
        Chunk::Image(_) => "image",
        Chunk::Audio => "audio",
        Chunk::Thinking { .. } => "thinking",
    }
}

fn check_tool_message(
    id: Option<&str>,
    name: Option<&str>,
    index: usize,
    version: Version,
) -> Result<(), ChatError> {
    if let Some(name) = name.filter(|name| !is_function_name(name)) {
        return Err(ChatError::InvalidToolMessage(format!(
            "messages[{index}].name: {}",
            bad_name(name)
        )));
    }
    let path = format!("messages[{index}].tool_call_id");
    if version >= Version::V13 {
        return match id {
            None | Some("" | "null") => {
                Err(ChatError::InvalidToolMessage(format!("{path}: {BAD_ID}")))
            }
            Some(_) => Ok(()),
        };
    }
    match id {
        None => Err(ChatError::InvalidRequest(format!(
            "{path}: the tool call id has to be given"
        ))),
        Some(id) if !is_short_id(id) => Err(ChatError::InvalidToolMessage(format!(
            "{path}: {}",
            bad_short_id(id)
        ))),
        Some(_) => Ok(()),
    }
}

fn check_call(call: &ToolCall, path: &str, version: Version) -> Result<(), ChatError> {
    let id = call.id.as_str();
    let problem = match (version >= Version::V13, id) {
        (true, "" | "null") => Some(BAD_ID.to_owned()),
        (false, "null") => Some("the tool call id has to be given".to_owned()),
        (false, id) if !is_short_id(id) => Some(bad_short_id(id)),
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(ChatError::InvalidFunctionCall(format!(
            "{path}.id: {problem}"
        )));
    }
    if is_function_name(&call.name) {
        return Ok(());
    }
    Err(ChatError::InvalidFunctionCall(format!(
        "{path}.function.name: {}",
        bad_name(&call.name)
    )))
}

const BAD_ID: &str = "the tool call id must be a non-empty string other than \"null\"";

fn bad_name(name: &str) -> String {
    format!(
        "function name was {name:?} but must be 1 to 64 of a-z, A-Z, 0-9, underscores and dashes"
    )
}

fn bad_short_id(id: &str) -> String {
    format!("tool call id was {id:?} but must be a-z, A-Z, 0-9, with a length of 9")
}

/// `^[a-zA-Z0-9_-]{1,64}$` as Python matches it: the dollar also matches before a line end at the end.
fn is_function_name(name: &str) -> bool {
    let name = name.strip_suffix('\n').unwrap_or(name);
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// `^[a-zA-Z0-9]{9}$`, likewise.
fn is_short_id(id: &str) -> bool {
    let id = id.strip_suffix('\n').unwrap_or(id);
    id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn check_tool(tool: &Tool, index: usize) -> Result<(), ChatError> {
    let path = format!("tools[{index}].function");
    schema::check(&tool.parameters)
        .map_err(|reason| ChatError::InvalidToolSchema(format!("{path}.parameters{reason}")))?;
    if is_function_name(&tool.name) {
        return Ok(());
    }
    Err(ChatError::InvalidTool(format!(
        "{path}.name: {}",
        bad_name(&tool.name)
    )))
}

/// The settings block's JSON, keys sorted; `None` if the version or the model has no settings.
fn settings(request: &Request, tekken: &Tekken) -> Result<Option<Object>, ChatError> {
    if tekken.version() < Version::V15 {
        return Ok(None);
    }
    let builder = tekken.settings().ok_or_else(|| {
        ChatError::InvalidRequest(
            "the tokenizer file has no model_settings_builder, which v15 needs".to_owned(),
        )
    })?;
    let mut entries = Vec::new();
    if builder.json_schema
        && let Some(schema) = response_schema(request.response_format.as_ref())?
    {
        entries.push(("json_schema".to_owned(), schema));
    }
    if let Some(setting) = &builder.reasoning_effort {
        let effort = request.reasoning_effort.unwrap_or(setting.default);
        if !setting.values.contains(&effort) {
            let allowed: Vec<&str> = setting
                .values
                .iter()
                .copied()
                .map(ReasoningEffort::name)
                .collect();
            return Err(ChatError::InvalidRequest(format!(
                "reasoning_effort should be one of {allowed:?}, got {}",
                effort.name()
            )));
        }
        entries.push((
            "reasoning_effort".to_owned(),
            Value::String(effort.name().to_owned()),
        ));
    }
    Ok(if entries.is_empty() {
        None
    } else {
        Some(Object::from_entries(entries))
    })
}

/// The schema that a response format asks for; `None` for text.
fn response_schema(format: Option<&Value>) -> Result<Option<Value>, ChatError> {
    let Some(format) = format else {
        return Ok(None);
    };
    let invalid = |what: &str| ChatError::Validation(format!("response_format{what}"));
    let object = format
        .as_object()
        .ok_or_else(|| invalid(": expected an object"))?;
    match object.get("type").map_or(Some("text"), Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object") => {
            let of_type = |name: &str| {
                let name = Value::String(name.to_owned());
                Value::Object(Object::from_entries(vec![("type".to_owned(), name)]))
            };
            let either = Value::Array(vec![of_type("object"), of_type("array")]);
            Ok(Some(Value::Object(Object::from_entries(vec![(
                "anyOf".to_owned(),
                either,
            )]))))
        }
        Some("json_schema") => {
            let path = ".json_schema";
            let named = object.get("json_schema").and_then(Value::as_object);
            let named = named.ok_or_else(|| invalid(&format!("{path}: expected an object")))?;
            if named.get("name").and_then(Value::as_str).is_none() {
                return Err(invalid(&format!("{path}.name: expected a string")));
            }
            let schema = named.get("schema").or_else(|| named.get("custom_schema"));
            let schema = schema.filter(|schema| schema.as_object().is_some());
            let schema =
                schema.ok_or_else(|| invalid(&format!("{path}.schema: expected an object")))?;
            schema::check(schema).map_err(|reason| invalid(&format!("{path}.schema{reason}")))?;
            Ok(Some(schema.clone()))
        }
        _ => Err(invalid(
            ".type: expected one of text, json_object, json_schema",
        )),
    }
}
