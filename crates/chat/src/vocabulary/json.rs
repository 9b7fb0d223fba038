//! A vocabulary from a Hugging Face `tokenizer.json`, and the few lines of `tokenizer_config.json` that matter.
//!
//! Must not know: where the files are, how chat templates are rendered.

use std::collections::HashSet;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;
use tokenizers::{PostProcessorWrapper, Tokenizer};

use super::Vocabulary;
use super::bytes::{Spelled, Spelling, TokenTable};
use crate::ChatError;

/// What `tokenizer_config.json` says: the names of special tokens, and the chat template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenizerConfig {
    /// The name of the token that begins a text.
    pub bos_token: Option<String>,
    /// The name of the token that ends a reply.
    pub eos_token: Option<String>,
    /// The chat template, where it is here and not in a file of its own; of several, the one named `default`.
    pub chat_template: Option<String>,
    /// Whether raw text begins with BOS, where the file says so.
    pub add_bos_token: Option<bool>,
}

impl TokenizerConfig {
    /// Reads the file's bytes. Fields of other types than expected count as absent.
    ///
    /// # Errors
    /// [`ChatError::Vocabulary`] when the bytes are not a JSON object.
    pub fn parse(json: &[u8]) -> Result<Self, ChatError> {
        let fields: serde_json::Map<String, Value> =
            serde_json::from_slice(json).map_err(|error| {
                ChatError::Vocabulary(format!(
                    "tokenizer_config.json: expected a JSON object: {error}"
                ))
            })?;
        let name = |key: &str| -> Option<String> {
            let value = fields.get(key)?;
            value
                .as_str()
                .or_else(|| value.get("content")?.as_str())
                .map(str::to_owned)
        };
        let template = fields.get("chat_template").and_then(|value| match value {
            Value::Array(named) => {
                let default = named
                    .iter()
                    .find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"));
                default?.get("template")?.as_str().map(str::to_owned)
            }
            other => other.as_str().map(str::to_owned),
        });
        Ok(Self {
            bos_token: name("bos_token"),
            eos_token: name("eos_token"),
            chat_template: template,
            add_bos_token: fields.get("add_bos_token").and_then(Value::as_bool),
        })
    }
}

/// The parts of `tokenizer.json` that decide how tokens spell bytes.
#[derive(Deserialize)]
struct File {
    model: Model,
    decoder: Option<Value>,
    post_processor: Option<Value>,
    #[serde(default)]
    added_tokens: Vec<Added>,
}

#[derive(Deserialize)]
struct Model {
    r#type: Option<String>,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

pub(super) fn build(json: &[u8], config: &TokenizerConfig) -> Result<Vocabulary, ChatError> {
    let malformed =
        |error: &dyn std::fmt::Display| ChatError::Vocabulary(format!("tokenizer.json: {error}"));
    let file: File = serde_json::from_slice(json).map_err(|error| malformed(&error))?;
    match file.model.r#type.as_deref() {
        None | Some("BPE") => {}
        Some(other) => {
            return Err(malformed(&format_args!(
                "model type is {other:?}; supported: \"BPE\""
            )));
        }
    }
    let decoder = file.decoder.unwrap_or(Value::Null);
    let spelling = spelling(&decoder).ok_or_else(|| {
        malformed(&format_args!(
            "decoder type is {}; supported: ByteLevel, Metaspace, or a Sequence with ByteFallback or Metaspace",
            decoder["type"]
        ))
    })?;
    let mut parsing = Tokenizer::from_bytes(json).map_err(|error| malformed(&error))?;
    parsing
        .with_truncation(None)
        .map_err(|error| malformed(&error))?
        .with_padding(None)
        // What it adds is for the caller to add; nothing else here would ever call it.
        .with_post_processor(None::<PostProcessorWrapper>);

    let vocabulary = parsing.get_vocab(true);
    let added: HashSet<u32> = file.added_tokens.iter().map(|token| token.id).collect();
    let mut spelled: Vec<Spelled<'_>> = file
        .added_tokens
        .iter()
        .map(|token| Spelled {
            id: token.id,
            text: &token.content,
            literal: true,
            special: token.special,
        })
        .collect();
    let trained = vocabulary.iter().filter(|(_, id)| !added.contains(id));
    spelled.extend(trained.map(|(text, &id)| Spelled {
        id,
        text,
        literal: false,
        special: false,
    }));

    let id = |name: &Option<String>| name.as_deref().and_then(|name| parsing.token_to_id(name));
    let (bos, eos) = (id(&config.bos_token), id(&config.eos_token));
    let template = file.post_processor.unwrap_or(Value::Null);
    let template_adds_bos = config
        .bos_token
        .as_deref()
        .is_some_and(|name| begins_with(&template, name));
    let built = Vocabulary {
        adds_bos: bos.is_some() && config.add_bos_token.unwrap_or(template_adds_bos),
        table: TokenTable::new(spelled, spelling)?,
        literal: OnceLock::new(),
        bos,
        eos: Vec::new(),
        adds_space: strips_space(&decoder),
        parsing,
    };
    Ok(built.with_eos(eos.as_slice()))
}

/// Whether a text is encoded with the special token `name` in front.
fn begins_with(post_processor: &Value, name: &str) -> bool {
    let inner = post_processor
        .get("processors")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let first = |member: &Value| {
        let first = member
            .get("single")?
            .get(0)?
            .get("SpecialToken")?
            .get("id")?;
        Some(first.as_str() == Some(name))
    };
    std::iter::once(post_processor)
        .chain(inner)
        .any(|member| first(member) == Some(true))
}

/// The decoder and, if it is a sequence, its members.
fn members(decoder: &Value) -> impl Iterator<Item = &Value> {
    let inner = decoder
        .get("decoders")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    std::iter::once(decoder).chain(inner)
}

fn is_type(decoder: &Value, name: &str) -> bool {
    decoder.get("type").and_then(Value::as_str) == Some(name)
}

fn spelling(decoder: &Value) -> Option<Spelling> {
    if members(decoder).any(|member| is_type(member, "ByteLevel")) {
        return Some(Spelling::ByteLevel);
    }
    let pieces = members(decoder)
        .any(|member| is_type(member, "ByteFallback") || is_type(member, "Metaspace"));
    pieces.then_some(Spelling::SentencePiece)
}

/// Whether decoding takes a space off the front that encoding put there.
fn strips_space(decoder: &Value) -> bool {
    members(decoder).any(|member| {
        let strip =
            is_type(member, "Strip") && member.get("start").and_then(Value::as_u64) == Some(1);
        let scheme = member.get("prepend_scheme").and_then(Value::as_str);
        let prepends = member
            .get("add_prefix_space")
            .and_then(Value::as_bool)
            .unwrap_or(true);
        strip
            || (is_type(member, "Metaspace") && scheme.map_or(prepends, |scheme| scheme != "never"))
    })
}
