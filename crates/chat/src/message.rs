//! The neutral message types: what a conversation is, whichever request form it came in.
//!
//! Plain data with public fields. Must not know: JSON field names, token ids, or which tokenizer version reads it.
//! What a version allows is judged in `validate`, which alone turns messages into a `Conversation`.

use crate::json::Value;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions above the conversation.
    System,
    /// The person or program asking.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
}

impl Role {
    /// The role's name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// Where an image's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// An address: `data:…;base64,…`, `http(s)://…` or `file://…`. Only data URLs can be encoded; whoever
    /// allows the others fetches them first and puts a data URL in their place.
    Url(String),
    /// Bare base64 without a `data:` header.
    Base64(String),
}

/// One piece of a message's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Text; special tokens spelled in it stay text.
    Text(String),
    /// An image.
    Image(ImageSource),
    /// Audio, which no tokenizer without audio settings can encode; kept so that it is refused by name.
    Audio,
    /// The model's reasoning.
    Thinking {
        /// The reasoning itself.
        text: String,
        /// False while the thought is still open, which only makes sense in a prefix.
        closed: bool,
    },
}

/// A message's content as it was given: one text, or a list of chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// One text.
    Text(String),
    /// Chunks in order.
    Chunks(Vec<Chunk>),
}

impl Content {
    /// Whether there is nothing in it: an empty text or an empty list.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Chunks(chunks) => chunks.is_empty(),
        }
    }
}

/// A call of a tool in an assistant message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The id that the tool's result refers to; `"null"` where the request gave none.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments' text: usually a JSON object, but any text is kept.
    pub arguments: String,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Instructions.
    System {
        /// Text chunks.
        content: Content,
    },
    /// The user's turn.
    User {
        /// Text and images.
        content: Content,
    },
    /// The model's turn.
    Assistant {
        /// Text and thinking, if any.
        content: Option<Content>,
        /// Calls made after the content.
        tool_calls: Vec<ToolCall>,
        /// Whether the reply continues this message instead of starting a new one.
        prefix: bool,
    },
    /// A tool's result.
    Tool {
        /// Text and images.
        content: Content,
        /// The call it answers.
        tool_call_id: Option<String>,
        /// The tool's name, where the client sent it; not part of the prompt.
        name: Option<String>,
    },
}

impl Message {
    /// The message's role.
    pub fn role(&self) -> Role {
        match self {
            Self::System { .. } => Role::System,
            Self::User { .. } => Role::User,
            Self::Assistant { .. } => Role::Assistant,
            Self::Tool { .. } => Role::Tool,
        }
    }

    /// The message's content, if it has any field of that kind.
    pub fn content(&self) -> Option<&Content> {
        match self {
            Self::System { content } | Self::User { content } | Self::Tool { content, .. } => {
                Some(content)
            }
            Self::Assistant { content, .. } => content.as_ref(),
        }
    }

    /// The same, to change: an image's address may be replaced by its bytes before validation.
    pub fn content_mut(&mut self) -> Option<&mut Content> {
        match self {
            Self::System { content } | Self::User { content } | Self::Tool { content, .. } => {
                Some(content)
            }
            Self::Assistant { content, .. } => content.as_mut(),
        }
    }
}

/// A tool the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its arguments' JSON schema, a JSON object in the request's key order.
    pub parameters: Value,
    /// Whether the model's arguments are held to the schema. Not part of the prompt.
    pub strict: bool,
}

/// How much the model is asked to reason. A model offers some of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningEffort {
    /// No reasoning.
    None,
    /// The least.
    Minimal,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// More than `High`.
    Xhigh,
    /// As much as there is.
    Max,
}

impl ReasoningEffort {
    /// Every effort, from none to most.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Minimal,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Xhigh,
        Self::Max,
    ];

    /// The effort's name in a request and in the prompt.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The effort of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.name() == name)
    }
}
