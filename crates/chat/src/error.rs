//! Every way this crate refuses its input, one variant a kind.
//!
//! The kinds of refused requests carry the names of mistral-common's exception classes, because clients and
//! acceptance checks compare them. Must not know: HTTP status codes, or who is asking.

/// Why a tokenizer file, a request or a text was refused.
///
/// Each variant's text says where (which message, which field), what was expected, and what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// The request body is no JSON text.
    #[error("request body is not JSON: {0}")]
    Json(String),
    /// A field is missing, unknown or of the wrong type.
    #[error("{0}")]
    Validation(String),
    /// A request-level rule is broken, such as a reasoning effort that the model does not offer.
    #[error("{0}")]
    InvalidRequest(String),
    /// The order of roles, or the pairing of tool calls and results, is wrong.
    #[error("{0}")]
    InvalidMessageStructure(String),
    /// A user message holds what a user message may not hold.
    #[error("{0}")]
    InvalidUserMessage(String),
    /// An assistant message holds what an assistant message may not hold.
    #[error("{0}")]
    InvalidAssistantMessage(String),
    /// A system message holds what a system message may not hold.
    #[error("{0}")]
    InvalidSystemPrompt(String),
    /// A tool result is malformed.
    #[error("{0}")]
    InvalidToolMessage(String),
    /// A tool's name is not allowed.
    #[error("{0}")]
    InvalidTool(String),
    /// A tool's parameters are not a Draft 7 JSON schema.
    #[error("{0}")]
    InvalidToolSchema(String),
    /// A tool call's name or id is not allowed.
    #[error("{0}")]
    InvalidFunctionCall(String),
    /// The conversation has no encoding, such as an assistant message with nothing in it.
    #[error("{0}")]
    Tokenizer(String),
    /// The tokenizer file lacks what the conversation needs: image or audio settings, think tokens.
    #[error("{0}")]
    UnsupportedTokenizerFeature(String),
    /// An image's bytes or address cannot be read.
    #[error("{0}")]
    ImageDecode(String),
    /// A tokenizer file is malformed.
    #[error("{path}: {reason}")]
    TokenizerFile {
        /// The file, as the caller names it.
        path: String,
        /// What is wrong with it, and what was expected.
        reason: String,
    },
    /// A vocabulary that is not Mistral's cannot be read, or cannot encode a text.
    #[error("vocabulary: {0}")]
    Vocabulary(String),
    /// A chat template is malformed, or fails on this conversation.
    #[error("chat template: {0}")]
    Template(String),
    /// A stop string is empty.
    #[error("stop string {index} is empty; leave it out or give at least one character")]
    EmptyStop {
        /// Which of the request's stop strings, from 0.
        index: usize,
    },
}

impl ChatError {
    /// The kind's name: mistral-common's exception class where it has one.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Json(_) => "JSONDecodeError",
            Self::Validation(_) => "ValidationError",
            Self::InvalidRequest(_) => "InvalidRequestException",
            Self::InvalidMessageStructure(_) => "InvalidMessageStructureException",
            Self::InvalidUserMessage(_) => "InvalidUserMessageException",
            Self::InvalidAssistantMessage(_) => "InvalidAssistantMessageException",
            Self::InvalidSystemPrompt(_) => "InvalidSystemPromptException",
            Self::InvalidToolMessage(_) => "InvalidToolMessageException",
            Self::InvalidTool(_) => "InvalidToolException",
            Self::InvalidToolSchema(_) => "InvalidToolSchemaException",
            Self::InvalidFunctionCall(_) => "InvalidFunctionCallException",
            Self::Tokenizer(_) => "TokenizerException",
            Self::UnsupportedTokenizerFeature(_) => "UnsupportedTokenizerFeatureException",
            Self::ImageDecode(_) => "ImageDecodeException",
            Self::TokenizerFile { .. } => "TokenizerFileError",
            Self::Vocabulary(_) => "VocabularyError",
            Self::Template(_) => "TemplateError",
            Self::EmptyStop { .. } => "EmptyStop",
        }
    }
}
