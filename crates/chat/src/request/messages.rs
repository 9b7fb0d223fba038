//! Reading one message of a request: its role, content chunks and tool calls.
//!
//! Must not know: the messages around it.

use super::Form;
use super::fields::{self, Fields, item};
use crate::error::ChatError;
use crate::json::Value;
use crate::message::{Chunk, Content, ImageSource, Message, Role, ToolCall};

/// The message at `path`.
pub(super) fn read(value: &Value, form: Form, path: &str) -> Result<Message, ChatError> {
    let fields = Fields::from_value(value, path)?;
    let role = role(&fields, form)?;
    match role {
        Role::System | Role::User => fields.allow_only(form, &["role", "content"])?,
        Role::Assistant => fields.allow_only(
            form,
            &[
                "role",
                "content",
                "tool_calls",
                "prefix",
                "reasoning",
                "reasoning_content",
            ],
        )?,
        Role::Tool => fields.allow_only(form, &["role", "content", "tool_call_id", "name"])?,
    }
    if role == Role::Assistant {
        return assistant(&fields, form);
    }
    let content = content(
        fields.required("content")?,
        role,
        form,
        &fields.path_of("content"),
    )?;
    match role {
        Role::System => Ok(Message::System { content }),
        Role::Tool => {
            if form == Form::OpenAi {
                fields.required("tool_call_id")?;
            }
            let tool_call_id = fields.optional_text("tool_call_id")?;
            Ok(Message::Tool {
                content,
                tool_call_id,
                name: fields.optional_text("name")?,
            })
        }
        _ => Ok(Message::User { content }),
    }
}

fn role(fields: &Fields<'_>, form: Form) -> Result<Role, ChatError> {
    const ROLES: [Role; 4] = [Role::System, Role::User, Role::Assistant, Role::Tool];
    let value = fields.required("role")?;
    let name = value.as_str().unwrap_or_default();
    if name == "developer" && form == Form::OpenAi {
        return Ok(Role::System);
    }
    let role = ROLES.into_iter().find(|role| role.name() == name);
    role.ok_or_else(|| fields.wrong_type("role", "one of system, user, assistant, tool", value))
}

fn assistant(fields: &Fields<'_>, form: Form) -> Result<Message, ChatError> {
    let tool_calls = match fields.optional("tool_calls") {
        None => Vec::new(),
        Some(calls) => {
            let path = fields.path_of("tool_calls");
            let calls = fields::list(calls, &path)?.iter().enumerate();
            calls
                .map(|(index, call)| tool_call(call, form, &item(&path, index)))
                .collect::<Result<_, _>>()?
        }
    };
    let content = fields
        .optional("content")
        .map(|value| content(value, Role::Assistant, form, &fields.path_of("content")))
        .transpose()?;
    let prefix = match fields.get("prefix") {
        Some(value) => fields::boolean(value, &fields.path_of("prefix"))?,
        None => false,
    };
    Ok(Message::Assistant {
        content: with_reasoning(content, fields)?,
        tool_calls,
        prefix,
    })
}

/// The content with `reasoning` or `reasoning_content`, if given, as a closed thinking chunk before it.
fn with_reasoning(
    content: Option<Content>,
    fields: &Fields<'_>,
) -> Result<Option<Content>, ChatError> {
    let text = match (
        fields.optional("reasoning_content"),
        fields.optional("reasoning"),
    ) {
        (None, None) => return Ok(content),
        (Some(one), Some(other)) if one != other => {
            let path = fields.path_of("reasoning");
            return Err(ChatError::Validation(format!(
                "{path}: must equal reasoning_content when both are given"
            )));
        }
        (Some(_), _) => fields.required_text("reasoning_content")?,
        (None, Some(_)) => fields.required_text("reasoning")?,
    };
    let mut chunks = vec![Chunk::Thinking { text, closed: true }];
    match content {
        None => {}
        Some(Content::Text(text)) => chunks.push(Chunk::Text(text)),
        Some(Content::Chunks(given)) => {
            if given
                .iter()
                .any(|chunk| matches!(chunk, Chunk::Thinking { .. }))
            {
                return Err(ChatError::InvalidAssistantMessage(format!(
                    "{}: thinking chunks and a reasoning field cannot both be given",
                    fields.path_of("content")
                )));
            }
            chunks.extend(given);
        }
    }
    Ok(Some(Content::Chunks(chunks)))
}

fn content(value: &Value, role: Role, form: Form, path: &str) -> Result<Content, ChatError> {
    match value {
        Value::String(text) => Ok(Content::Text(text.clone())),
        Value::Array(chunks) => {
            let chunks = chunks.iter().enumerate();
            let chunks = chunks.map(|(index, value)| {
                let path = item(path, index);
                let chunk = chunk(value, form, &path)?;
                if !may_hold(role, &chunk) {
                    let message =
                        format!("{path}: not allowed in a message of role {}", role.name());
                    return Err(ChatError::Validation(message));
                }
                Ok(chunk)
            });
            chunks.collect::<Result<_, _>>().map(Content::Chunks)
        }
        other => Err(fields::mismatch(
            path,
            "a string or a list of chunks",
            other,
        )),
    }
}

/// Which chunks a role's message may hold in any version; a version may allow fewer.
fn may_hold(role: Role, chunk: &Chunk) -> bool {
    match chunk {
        Chunk::Text(_) => true,
        Chunk::Image(_) => matches!(role, Role::User | Role::Tool),
        Chunk::Audio => role != Role::Assistant,
        Chunk::Thinking { .. } => matches!(role, Role::System | Role::Assistant),
    }
}

fn chunk(value: &Value, form: Form, path: &str) -> Result<Chunk, ChatError> {
    let fields = Fields::from_value(value, path)?;
    let kind = fields.required("type")?;
    match kind.as_str() {
        Some("text") => {
            fields.allow_only(form, &["type", "text"])?;
            Ok(Chunk::Text(fields.required_text("text")?))
        }
        Some("image_url") => {
            fields.allow_only(form, &["type", "image_url"])?;
            image_url(fields.required("image_url")?, &fields.path_of("image_url"))
        }
        Some("image") => {
            fields.allow_only(form, &["type", "image"])?;
            let text = fields.required_text("image")?;
            let is_url = text.starts_with("data:");
            Ok(Chunk::Image(if is_url {
                ImageSource::Url(text)
            } else {
                ImageSource::Base64(text)
            }))
        }
        Some("thinking") => {
            fields.allow_only(form, &["type", "thinking", "closed"])?;
            let text = thinking(fields.required("thinking")?, &fields.path_of("thinking"))?;
            let closed = match fields.get("closed") {
                Some(value) => fields::boolean(value, &fields.path_of("closed"))?,
                None => true,
            };
            Ok(Chunk::Thinking { text, closed })
        }
        Some("input_audio" | "audio_url") => Ok(Chunk::Audio),
        _ => {
            let known = "one of text, image_url, image, thinking, input_audio, audio_url";
            Err(fields.wrong_type("type", known, kind))
        }
    }
}

/// An address as text, or as an object of `url` and `detail`; unknown fields are refused in both forms.
fn image_url(value: &Value, path: &str) -> Result<Chunk, ChatError> {
    if let Value::String(url) = value {
        return Ok(Chunk::Image(ImageSource::Url(url.clone())));
    }
    let fields = Fields::from_value(value, path)?;
    fields.allow_only(Form::Mistral, &["url", "detail"])?;
    fields.optional_text("detail")?;
    Ok(Chunk::Image(ImageSource::Url(fields.required_text("url")?)))
}

/// A thought: a text, or the hosted service's list of text and reference chunks, whose texts are joined. References
/// have no text.
fn thinking(value: &Value, path: &str) -> Result<String, ChatError> {
    let Value::Array(parts) = value else {
        return fields::text(value, path);
    };
    let mut text = String::new();
    for (index, part) in parts.iter().enumerate() {
        let part = Fields::from_value(part, &item(path, index))?;
        let kind = part.required("type")?;
        match kind.as_str() {
            Some("text") => text.push_str(&part.required_text("text")?),
            Some("reference") => {}
            _ => return Err(part.wrong_type("type", "text or reference", kind)),
        }
    }
    Ok(text)
}

fn tool_call(value: &Value, form: Form, path: &str) -> Result<ToolCall, ChatError> {
    let call = Fields::from_value(value, path)?;
    call.allow_only(form, &["id", "type", "function"])?;
    call.function_type()?;
    let id = match call.get("id") {
        Some(id) => fields::text(id, &call.path_of("id"))?,
        None => "null".to_owned(),
    };
    let function = Fields::from_value(call.required("function")?, &call.path_of("function"))?;
    function.allow_only(form, &["name", "arguments"])?;
    let arguments = match function.required("arguments")? {
        Value::String(text) => text.clone(),
        Value::Null => "{}".to_owned(),
        object @ Value::Object(_) => object.dumps(),
        other => return Err(function.wrong_type("arguments", "a string or an object", other)),
    };
    Ok(ToolCall {
        id,
        name: function.required_text("name")?,
        arguments,
    })
}
