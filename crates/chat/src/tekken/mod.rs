//! Tekken, Mistral's tokenizer: text to ids and back, and the names of its special tokens.
//!
//! Ids under [`Tekken::num_special`] are special tokens; an ordinary token's id is its rank plus that number. Text is
//! never parsed for special tokens: only the conversation's encoder writes them. Must not know: messages, or in which
//! order special tokens follow one another.

mod decode;
mod file;
mod ranks;
mod split;
mod unicode;

use std::collections::HashMap;
use std::path::Path;

pub use decode::{Decoder, SpecialPolicy};

use crate::TokenId;
use crate::error::ChatError;
use crate::message::ReasoningEffort;
use ranks::Ranks;
use split::Classes;

/// The layout of a conversation's tokens, named by the tokenizer file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// System prompt inside the last user message, calls as one JSON list.
    V3,
    /// System prompts between tokens of their own.
    V7,
    /// Calls as name, id and arguments between tokens of their own.
    V11,
    /// No call ids; tools before the first user message; thinking.
    V13,
    /// Model settings.
    V15,
}

impl Version {
    /// Every version that can be read, oldest first.
    pub const ALL: [Self; 5] = [Self::V3, Self::V7, Self::V11, Self::V13, Self::V15];

    /// The version's name in a tokenizer file.
    pub fn name(self) -> &'static str {
        match self {
            Self::V3 => "v3",
            Self::V7 => "v7",
            Self::V11 => "v11",
            Self::V13 => "v13",
            Self::V15 => "v15",
        }
    }
}

/// How an image becomes a grid of tokens. Source: the tokenizer file's `image`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageConfig {
    /// A patch's side in pixels.
    pub patch_size: u32,
    /// The longest side in pixels that is not scaled down.
    pub max_image_size: u32,
    /// How many patches a side are merged into one token.
    pub spatial_merge_size: u32,
}

/// Which settings the model reads from its prompt (version 15). Source: the file's `model_settings_builder`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingsBuilder {
    /// The reasoning efforts on offer and the one taken when a request names none.
    pub reasoning_effort: Option<EffortSetting>,
    /// Whether a response format's JSON schema is written into the prompt.
    pub json_schema: bool,
}

/// The reasoning efforts a model offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffortSetting {
    /// The efforts a request may name.
    pub values: Vec<ReasoningEffort>,
    /// The effort when it names none.
    pub default: ReasoningEffort,
}

/// A loaded tokenizer.
#[derive(Debug, Clone)]
pub struct Tekken {
    version: Version,
    ranks: Ranks,
    classes: Classes,
    special_names: Vec<String>,
    special_ids: HashMap<String, TokenId>,
    image: Option<ImageConfig>,
    settings: Option<SettingsBuilder>,
}

impl Tekken {
    /// Reads a `tekken.json`. `path` only names the file in errors.
    ///
    /// # Errors
    /// [`ChatError::TokenizerFile`] for anything malformed. Memory stays within a small multiple of `json`.
    pub fn from_json(json: &[u8], path: &Path) -> Result<Self, ChatError> {
        file::read(json).map_err(|reason| ChatError::TokenizerFile {
            path: path.display().to_string(),
            reason,
        })
    }

    /// The token layout this file asks for.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The image settings, if the model sees images.
    pub fn image(&self) -> Option<ImageConfig> {
        self.image
    }

    /// The model settings' rules; only version 15 has them.
    pub fn settings(&self) -> Option<&SettingsBuilder> {
        self.settings.as_ref()
    }

    /// The number of ids: special and ordinary tokens.
    pub fn vocab_size(&self) -> usize {
        self.special_names.len() + self.ranks.len()
    }

    /// The number of special ids, which come first.
    pub fn num_special(&self) -> usize {
        self.special_names.len()
    }

    /// Whether `id` is a special token.
    pub fn is_special(&self, id: TokenId) -> bool {
        (id as usize) < self.special_names.len()
    }

    /// The id of the special token of that name, such as `[INST]` or `</s>`.
    pub fn special(&self, name: &str) -> Option<TokenId> {
        self.special_ids.get(name).copied()
    }

    /// An ordinary token's bytes, or a special token's name; empty for an id beyond the vocabulary.
    pub fn token_bytes(&self, id: TokenId) -> &[u8] {
        let id = id as usize;
        match self.special_names.get(id) {
            Some(name) => name.as_bytes(),
            None if id < self.vocab_size() => {
                self.ranks.bytes((id - self.special_names.len()) as u32)
            }
            None => &[],
        }
    }

    /// The ids of `text`: no begin or end token, and nothing in the text is taken for a special token.
    ///
    /// *Cost*: linear in the text, but n log n within one giant word.
    pub fn encode_text(&self, text: &str) -> Vec<TokenId> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 1);
        self.encode_text_into(text, &mut ids);
        ids
    }

    /// Appends [`Tekken::encode_text`] to `ids`.
    pub fn encode_text_into(&self, text: &str, ids: &mut Vec<TokenId>) {
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(self.classes.first_piece(rest));
            self.ranks
                .encode(piece.as_bytes(), self.special_names.len() as u32, ids);
            rest = after;
        }
    }

    /// The text of `ids`. Invalid UTF-8 becomes U+FFFD, and bytes never join across a special token.
    pub fn decode(&self, ids: &[TokenId], policy: SpecialPolicy) -> String {
        let mut out = String::new();
        let mut decoder = Decoder::new(policy);
        for &id in ids {
            decoder.push(self, id, &mut out);
        }
        decoder.finish(&mut out);
        out
    }
}
