//! Vocabularies of models that are not Mistral's own Tekken: byte-level BPE and SentencePiece-style BPE, from a
//! Hugging Face `tokenizer.json` or from what a GGUF file holds.
//!
//! Encoding is the `tokenizers` crate's; decoding is a table of each token's bytes, so that streaming is exact. This
//! module must not know: files, the GGUF container, chat templates, messages.

mod bytes;
mod gguf;
mod json;
mod splits;

use std::sync::OnceLock;

use tokenizers::Tokenizer;

pub use gguf::GgufVocabulary;
pub use json::TokenizerConfig;

use crate::tekken::{Decoder as ByteDecoder, SpecialPolicy};
use crate::{ChatError, TokenId};
use bytes::TokenTable;

/// Larger ids are refused: no published vocabulary has a twentieth of this, and a table is made of all of them.
const MAX_TOKENS: usize = 1 << 22;

/// A vocabulary that encodes and decodes text.
#[derive(Debug)]
pub struct Vocabulary {
    /// Reads the names of special tokens in a text as those tokens.
    parsing: Tokenizer,
    /// Reads them as text. Made when first asked for: it is a copy.
    literal: OnceLock<Tokenizer>,
    table: TokenTable,
    bos: Option<TokenId>,
    eos: Vec<TokenId>,
    adds_bos: bool,
    /// Whether a text's first space is not its own, because encoding puts one there.
    adds_space: bool,
}

impl Vocabulary {
    /// The vocabulary of a GGUF file.
    ///
    /// # Errors
    /// [`ChatError::Vocabulary`] when the kind or the split is not supported (the message lists those that are), or
    /// when the parts contradict each other.
    pub fn from_gguf(fields: &GgufVocabulary) -> Result<Self, ChatError> {
        gguf::build(fields)
    }

    /// The vocabulary of a Hugging Face `tokenizer.json`, given as its bytes, with what `tokenizer_config.json` adds.
    ///
    /// # Errors
    /// [`ChatError::Vocabulary`] when the file is malformed or of a kind other than BPE.
    pub fn from_tokenizer_json(json: &[u8], config: &TokenizerConfig) -> Result<Self, ChatError> {
        json::build(json, config)
    }

    /// The ids of `text`, without BOS or EOS. With `parse_special`, a special token's name in the text becomes that
    /// token (what a rendered chat template needs); without, it stays text. Tokens that a model's maker added as
    /// ordinary ones are found either way.
    ///
    /// # Errors
    /// [`ChatError::Vocabulary`] when the tokenizer refuses the text.
    pub fn encode(&self, text: &str, parse_special: bool) -> Result<Vec<TokenId>, ChatError> {
        let tokenizer = if parse_special {
            &self.parsing
        } else {
            self.literal.get_or_init(|| {
                let mut tokenizer = self.parsing.clone();
                tokenizer.set_encode_special_tokens(true);
                tokenizer
            })
        };
        let encoding = tokenizer.encode_fast(text, false).map_err(|error| {
            ChatError::Vocabulary(format!(
                "cannot encode a text of {} bytes: {error}",
                text.len()
            ))
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The bytes of a token's text; `None` where the vocabulary has no such id. A special token's are its name.
    pub fn token_bytes(&self, id: TokenId) -> Option<&[u8]> {
        self.table.bytes(id)
    }

    /// Whether `id` is a special (control) token, which a reply's text does not show.
    pub fn is_special(&self, id: TokenId) -> bool {
        self.table.is_special(id)
    }

    /// The id of the token with exactly this text, as the vocabulary spells it.
    pub fn token_id(&self, text: &str) -> Option<TokenId> {
        self.parsing.token_to_id(text)
    }

    /// One more than the largest id.
    pub fn num_tokens(&self) -> usize {
        self.table.len()
    }

    /// The token that begins a text, if the vocabulary names one.
    pub fn bos(&self) -> Option<TokenId> {
        self.bos
    }

    /// Whether raw text (not a rendered chat template, which writes its own) is to begin with [`Vocabulary::bos`].
    pub fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// The tokens that end a reply.
    pub fn eos(&self) -> &[TokenId] {
        &self.eos
    }

    /// The same vocabulary with further tokens that end a reply, such as `generation_config.json` lists.
    #[must_use]
    pub fn with_eos(mut self, ids: &[TokenId]) -> Self {
        for &id in ids {
            if !self.eos.contains(&id) {
                self.eos.push(id);
            }
        }
        self
    }

    /// The text of `ids`. See [`Decoder`] for what `show_special` means.
    pub fn decode(&self, ids: &[TokenId], show_special: bool) -> String {
        let mut decoder = self.decoder(show_special);
        let mut text = String::new();
        for &id in ids {
            text.push_str(&decoder.push(id));
        }
        text.push_str(&decoder.finish());
        text
    }

    /// A streaming decoder.
    pub fn decoder(&self, show_special: bool) -> Decoder<'_> {
        Decoder {
            vocabulary: self,
            show_special,
            at_start: true,
            stream: ByteDecoder::new(SpecialPolicy::Ignore),
        }
    }
}

/// Decodes ids to text as they come, never splitting a character: its bytes wait until it is whole.
///
/// Special tokens are left out, or written by name with `show_special`. Ids outside the vocabulary have no text.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    vocabulary: &'a Vocabulary,
    show_special: bool,
    at_start: bool,
    stream: ByteDecoder,
}

impl Decoder<'_> {
    /// The text that is certain after `id`; may be empty.
    pub fn push(&mut self, id: TokenId) -> String {
        let mut text = String::new();
        if self.vocabulary.is_special(id) && !self.show_special {
            return text;
        }
        let mut bytes = self.vocabulary.token_bytes(id).unwrap_or_default();
        if std::mem::take(&mut self.at_start) && self.vocabulary.adds_space {
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
        }
        self.stream.push_bytes(bytes, &mut text);
        text
    }

    /// The end: an unfinished character becomes U+FFFD.
    pub fn finish(&mut self) -> String {
        let mut text = String::new();
        self.stream.finish(&mut text);
        text
    }
}
