//! The vocabulary inside a GGUF, as plain lists. What they mean is the tokenizer's business, not this crate's.

use super::Gguf;
use super::metadata::{List, Value};
use crate::ModelError;
use crate::checkpoint::tensor::file_error;

/// Most tokens or merges; the largest known vocabularies have some 300,000.
const MOST_TOKENS: usize = 1 << 21;

/// The tokenizer keys of a GGUF.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GgufVocabulary {
    /// `tokenizer.ggml.model`: `gpt2`, `llama`, ...
    pub model: String,
    /// `tokenizer.ggml.pre`: which split goes before the merges.
    pub pre: Option<String>,
    /// Token texts by id.
    pub tokens: Vec<String>,
    /// Scores by id; empty if the file has none.
    pub scores: Vec<f32>,
    /// Token types by id (1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte); empty if there are none.
    pub token_types: Vec<i32>,
    /// Merges, best first, as `left right`.
    pub merges: Vec<String>,
    /// Beginning of a text.
    pub bos: Option<u32>,
    /// End of a text.
    pub eos: Option<u32>,
    /// End of a turn.
    pub eot: Option<u32>,
    /// End of a message.
    pub eom: Option<u32>,
    /// The unknown token.
    pub unknown: Option<u32>,
    /// Filler.
    pub padding: Option<u32>,
    /// Whether a text starts with `bos`.
    pub add_bos: Option<bool>,
    /// Whether a text ends with `eos`.
    pub add_eos: Option<bool>,
    /// Whether a space goes before a text.
    pub add_space_prefix: Option<bool>,
    /// The Jinja template of a conversation.
    pub chat_template: Option<String>,
}

const PREFIX: &str = "tokenizer.ggml.";

pub(super) fn read_vocabulary(gguf: &Gguf) -> Result<Option<GgufVocabulary>, ModelError> {
    let reader = Keys { gguf };
    let model = match reader.text("model")? {
        None => return Ok(None),
        Some(model) if model == "none" || model == "no_vocab" => return Ok(None),
        Some(model) => model,
    };
    let tokens = reader.texts("tokens")?;
    let id = |key: &str| reader.id(key, tokens.len());
    let vocabulary = GgufVocabulary {
        model,
        pre: reader.text("pre")?,
        scores: reader.list("scores", "a number", |v| match v {
            Value::Real(value) => Some(value as f32),
            _ => None,
        })?,
        token_types: reader.list("token_type", "a whole number", |v| match v {
            Value::Integer(value) => i32::try_from(value).ok(),
            _ => None,
        })?,
        merges: reader.texts("merges")?,
        bos: id("bos_token_id")?,
        eos: id("eos_token_id")?,
        eot: id("eot_token_id")?,
        eom: id("eom_token_id")?,
        unknown: id("unknown_token_id")?,
        padding: id("padding_token_id")?,
        add_bos: reader.flag("add_bos_token")?,
        add_eos: reader.flag("add_eos_token")?,
        add_space_prefix: reader.flag("add_space_prefix")?,
        chat_template: reader.text_of("tokenizer.chat_template")?,
        tokens,
    };
    for (key, len) in [
        ("scores", vocabulary.scores.len()),
        ("token_type", vocabulary.token_types.len()),
    ] {
        if len != 0 && len != vocabulary.tokens.len() {
            let expected = vocabulary.tokens.len();
            return Err(reader.wrong(key, &format!("one for each of {expected} tokens"), len));
        }
    }
    Ok(Some(vocabulary))
}

/// Typed access to the keys of one file.
struct Keys<'a> {
    gguf: &'a Gguf,
}

impl Keys<'_> {
    fn wrong(&self, key: &str, expected: &str, got: impl std::fmt::Display) -> ModelError {
        let prefix = if key.starts_with("tokenizer.") {
            ""
        } else {
            PREFIX
        };
        file_error(
            self.gguf.path(),
            format!("{prefix}{key}: expected {expected}, got {got}"),
        )
    }

    fn value(&self, key: &str) -> Option<Value<'_>> {
        self.gguf.value(&format!("{PREFIX}{key}"))
    }

    fn text(&self, key: &str) -> Result<Option<String>, ModelError> {
        self.text_of(&format!("{PREFIX}{key}"))
    }

    fn text_of(&self, key: &str) -> Result<Option<String>, ModelError> {
        match self.gguf.value(key) {
            None => Ok(None),
            Some(Value::Text(text)) => match std::str::from_utf8(text) {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(_) => Err(self.wrong(key, "UTF-8 text", "other bytes")),
            },
            Some(other) => Err(self.wrong(key, "a text", other.describe())),
        }
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, ModelError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.wrong(key, "true or false", other.describe())),
        }
    }

    fn id(&self, key: &str, num_tokens: usize) -> Result<Option<u32>, ModelError> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(id) if id < num_tokens as u64 => Ok(Some(id as u32)),
                // Some converters write -1 for "none", in an unsigned type.
                Some(id) if id == u64::from(u32::MAX) => Ok(None),
                _ => Err(self.wrong(
                    key,
                    &format!("a token id below {num_tokens}"),
                    value.describe(),
                )),
            },
        }
    }

    fn texts(&self, key: &str) -> Result<Vec<String>, ModelError> {
        self.list(key, "UTF-8 text", |v| match v {
            Value::Text(text) => std::str::from_utf8(text).ok().map(str::to_owned),
            _ => None,
        })
    }

    fn list<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl Fn(Value) -> Option<T>,
    ) -> Result<Vec<T>, ModelError> {
        let list: List = match self.value(key) {
            None => return Ok(Vec::new()),
            Some(Value::List(list)) => list,
            Some(other) => return Err(self.wrong(key, "a list", other.describe())),
        };
        if list.len() > MOST_TOKENS {
            return Err(self.wrong(key, &format!("at most {MOST_TOKENS} values"), list.len()));
        }
        let mut values = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            let got = || {
                self.wrong(
                    key,
                    &format!("{expected} at index {index}"),
                    value.describe(),
                )
            };
            values.push(convert(value).ok_or_else(got)?);
        }
        Ok(values)
    }
}
