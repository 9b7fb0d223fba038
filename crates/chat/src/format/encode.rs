//! A conversation written as token ids: the control tokens of each tokenizer version around the turns' texts.
//!
//! Each text is encoded on its own; nothing merges across parts, and control tokens come from here only. Must not
//! know: request forms, pixels.

use crate::TokenId;
use crate::error::ChatError;
use crate::image::{self, ImageGrid};
use crate::json::{Object, Value};
use crate::message::ImageSource;
use crate::normalize::{Body, Call, Part, Turn, read_json};
use crate::tekken::{Tekken, Version};
use crate::validate::Conversation;

/// A prompt: token ids, and the images whose embeddings take some of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The ids, from the begin token on.
    pub ids: Vec<TokenId>,
    /// The images in prompt order.
    pub images: Vec<ImageSlot>,
    /// Whether the prompt ends inside a thought that a prefix left open, so that the reply starts as reasoning.
    pub open_thinking: bool,
}

/// An image of the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSlot {
    /// The request's message that holds it.
    pub message: usize,
    /// The chunk within that message's content.
    pub chunk: usize,
    /// Where its tokens begin in the prompt's ids; they are `grid.num_tokens()` in a row.
    pub start: usize,
    /// Its tokens' grid.
    pub grid: ImageGrid,
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
    /// Where its bytes are.
    pub source: ImageSource,
}

/// Encodes a conversation that was validated for this tokenizer's version.
///
/// # Errors
/// [`ChatError::Tokenizer`] for an assistant turn with nothing in it, [`ChatError::ImageDecode`] for images that are
/// no images, [`ChatError::UnsupportedTokenizerFeature`] where the tokenizer file lacks a token or a setting.
pub fn encode(conversation: &Conversation, tekken: &Tekken) -> Result<Prompt, ChatError> {
    if conversation.version != tekken.version() {
        return Err(ChatError::InvalidRequest(format!(
            "the conversation was validated for tokenizer version {}, this tokenizer is {}",
            conversation.version.name(),
            tekken.version().name()
        )));
    }
    let is_user = |turn: &Turn| matches!(turn, Turn::User(_));
    let last_user = conversation.turns.iter().rposition(is_user);
    let with_tools = match conversation.version {
        Version::V13 | Version::V15 => conversation.turns.iter().position(is_user),
        Version::V3 | Version::V7 | Version::V11 => last_user,
    };
    let mut writer = Writer {
        tekken,
        version: conversation.version,
        ids: Vec::new(),
        images: Vec::new(),
    };
    writer.special("<s>")?;
    let mut open_thinking = false;
    for (index, turn) in conversation.turns.iter().enumerate() {
        let index = Some(index);
        match turn {
            Turn::System(body) => {
                writer.between("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", |it| it.body(body))?
            }
            Turn::User(body) => {
                if index == with_tools {
                    writer.tools_and_settings(conversation)?;
                }
                let prompt = conversation
                    .system_prompt
                    .as_deref()
                    .filter(|_| index == last_user);
                writer.between("[INST]", "[/INST]", |it| it.user(body, prompt))?;
            }
            Turn::Assistant {
                body,
                calls,
                prefix,
                message,
            } => {
                writer.assistant(body, calls, *message)?;
                if *prefix {
                    open_thinking = calls.is_empty() && leaves_thinking_open(body);
                } else {
                    writer.special("</s>")?;
                }
            }
            Turn::Tool { body, call_id } => {
                writer.between("[TOOL_RESULTS]", "[/TOOL_RESULTS]", |it| {
                    it.tool_result(body, call_id)
                })?;
            }
        }
    }
    Ok(Prompt {
        ids: writer.ids,
        images: writer.images,
        open_thinking,
    })
}

/// Whether the last thought of the content is not closed.
fn leaves_thinking_open(body: &Body) -> bool {
    let Body::Parts(parts) = body else {
        return false;
    };
    let mut thoughts = parts.iter().rev().filter_map(|part| match part {
        Part::Thinking { closed, .. } => Some(*closed),
        _ => None,
    });
    thoughts.next() == Some(false)
}

/// The prompt so far.
struct Writer<'a> {
    tekken: &'a Tekken,
    version: Version,
    ids: Vec<TokenId>,
    images: Vec<ImageSlot>,
}

impl Writer<'_> {
    fn id_of(&self, name: &str) -> Result<TokenId, ChatError> {
        self.tekken.special(name).ok_or_else(|| {
            ChatError::UnsupportedTokenizerFeature(format!(
                "the tokenizer file defines no special token {name}"
            ))
        })
    }

    fn special(&mut self, name: &str) -> Result<(), ChatError> {
        self.ids.push(self.id_of(name)?);
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.tekken.encode_text_into(text, &mut self.ids);
    }

    fn between(
        &mut self,
        begin: &str,
        end: &str,
        inside: impl FnOnce(&mut Self) -> Result<(), ChatError>,
    ) -> Result<(), ChatError> {
        self.special(begin)?;
        inside(self)?;
        self.special(end)
    }

    fn body(&mut self, body: &Body) -> Result<(), ChatError> {
        match body {
            Body::Text(text) => {
                self.text(text);
                Ok(())
            }
            Body::Parts(parts) => parts.iter().try_for_each(|part| self.part(part)),
        }
    }

    fn part(&mut self, part: &Part) -> Result<(), ChatError> {
        match part {
            Part::Text(text) => {
                self.text(text);
                Ok(())
            }
            Part::Thinking { text, closed } => self.thinking(text, *closed),
            Part::Image {
                source,
                message,
                chunk,
            } => self.image(source, *message, *chunk),
            Part::Audio { message } => Err(ChatError::UnsupportedTokenizerFeature(format!(
                "messages[{message}].content: this model reads no audio"
            ))),
        }
    }

    fn thinking(&mut self, text: &str, closed: bool) -> Result<(), ChatError> {
        if self.version < Version::V13 {
            return Err(ChatError::Tokenizer(format!(
                "thinking chunks are not implemented for tokenizer version {}; they need v13 or newer",
                self.version.name()
            )));
        }
        let end = self.id_of("[/THINK]")?;
        self.special("[THINK]")?;
        self.text(text);
        if closed {
            self.ids.push(end);
        }
        Ok(())
    }

    fn image(
        &mut self,
        source: &ImageSource,
        message: usize,
        chunk: usize,
    ) -> Result<(), ChatError> {
        let place = format!("messages[{message}].content[{chunk}]");
        let config = self.tekken.image().ok_or_else(|| {
            ChatError::UnsupportedTokenizerFeature(format!("{place}: this model reads no images"))
        })?;
        let (width, height) = image::size_in_pixels(&image::file_bytes(source, &place)?, &place)?;
        let grid = ImageGrid::of_size(width, height, config);
        let start = self.ids.len();
        let (img, row_end) = (self.id_of("[IMG]")?, self.id_of("[IMG_BREAK]")?);
        for _ in 0..grid.height {
            self.ids
                .extend(std::iter::repeat_n(img, grid.width as usize));
            self.ids.push(row_end);
        }
        self.ids.pop();
        self.special("[IMG_END]")?;
        self.images.push(ImageSlot {
            message,
            chunk,
            start,
            grid,
            width,
            height,
            source: source.clone(),
        });
        Ok(())
    }

    /// A user's content. An image that comes last after nothing but text goes first; version 3 puts its system prompt
    /// before it.
    fn user(&mut self, body: &Body, system_prompt: Option<&str>) -> Result<(), ChatError> {
        let before = system_prompt
            .filter(|prompt| !prompt.is_empty())
            .map(|prompt| format!("{prompt}\n\n"));
        match body {
            Body::Text(text) => {
                self.text(&(before.unwrap_or_default() + text));
                Ok(())
            }
            Body::Parts(parts) => {
                self.text(&before.unwrap_or_default());
                match parts.split_last() {
                    Some((image @ Part::Image { .. }, texts))
                        if texts.iter().all(|part| matches!(part, Part::Text(_))) =>
                    {
                        self.part(image)?;
                        texts.iter().try_for_each(|part| self.part(part))
                    }
                    _ => parts.iter().try_for_each(|part| self.part(part)),
                }
            }
        }
    }

    fn tools_and_settings(&mut self, conversation: &Conversation) -> Result<(), ChatError> {
        if !conversation.tools.is_empty() {
            let tools = conversation.tools.iter().map(|tool| {
                let function = object([
                    ("name", Value::String(tool.name.clone())),
                    ("description", Value::String(tool.description.clone())),
                    ("parameters", tool.parameters.clone()),
                ]);
                object([
                    ("type", Value::String("function".to_owned())),
                    ("function", function),
                ])
            });
            let tools = Value::Array(tools.collect());
            self.between("[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", |it| {
                it.json(&tools)
            })?;
        }
        match &conversation.settings {
            None => Ok(()),
            Some(settings) => {
                let settings = Value::Object(settings.clone());
                self.between("[MODEL_SETTINGS]", "[/MODEL_SETTINGS]", |it| {
                    it.json(&settings)
                })
            }
        }
    }

    fn json(&mut self, value: &Value) -> Result<(), ChatError> {
        self.text(&value.dumps());
        Ok(())
    }

    /// An assistant turn without its end token.
    fn assistant(&mut self, body: &Body, calls: &[Call], message: usize) -> Result<(), ChatError> {
        let has_content = !matches!(body, Body::Text(text) if text.is_empty());
        if !has_content && calls.is_empty() {
            return Err(ChatError::Tokenizer(format!(
                "messages[{message}]: an assistant message must have content or tool_calls"
            )));
        }
        if self.version == Version::V3 && has_content && !calls.is_empty() {
            return Err(ChatError::Validation(format!(
                "messages[{message}]: neighbouring assistant messages cannot have both content and tool_calls"
            )));
        }
        match body {
            // Only a plain text loses its trailing spaces.
            Body::Text(text) => self.text(text.trim_end_matches(' ')),
            Body::Parts(_) => self.body(body)?,
        }
        if self.version <= Version::V7 {
            self.call_list(calls)
        } else {
            self.calls(calls)
        }
    }

    /// Up to version 7: one JSON list of all calls.
    fn call_list(&mut self, calls: &[Call]) -> Result<(), ChatError> {
        if calls.is_empty() {
            return Ok(());
        }
        let calls = calls.iter().map(|call| {
            object([
                ("name", Value::String(call.name.clone())),
                ("arguments", call.arguments.clone()),
                ("id", Value::String(call.id.clone())),
            ])
        });
        let calls = Value::Array(calls.collect());
        self.special("[TOOL_CALLS]")?;
        self.json(&calls)
    }

    /// From version 11 on: a token before each call and before its arguments, in version 11 also its id.
    fn calls(&mut self, calls: &[Call]) -> Result<(), ChatError> {
        for call in calls {
            self.special("[TOOL_CALLS]")?;
            self.text(&call.name);
            if self.version == Version::V11 {
                self.special("[CALL_ID]")?;
                self.text(&call.id);
            }
            self.special("[ARGS]")?;
            self.json(&call.arguments)?;
        }
        Ok(())
    }

    fn tool_result(&mut self, body: &Body, call_id: &str) -> Result<(), ChatError> {
        match self.version {
            Version::V3 => {
                let Body::Text(text) = body else {
                    return self.body(body);
                };
                let content = read_json(text).map_err(|error| {
                    ChatError::Validation(format!("result of tool call {call_id}: {error}"))
                })?;
                let id = Value::String(call_id.to_owned());
                self.json(&object([("content", content), ("call_id", id)]))
            }
            Version::V7 | Version::V11 => {
                self.text(call_id);
                self.special("[TOOL_CONTENT]")?;
                self.body(body)
            }
            Version::V13 | Version::V15 => self.body(body),
        }
    }
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Object(Object::from_entries(
        entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    ))
}
