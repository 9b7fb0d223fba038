//! A vocabulary from the `tokenizer.ggml.*` entries of a GGUF file.
//!
//! Must not know: the GGUF container (the caller reads the entries), chat templates.

use std::collections::{HashMap, HashSet};

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::{Prepend, Replace, Sequence as NormalizerSequence};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split as SplitStep, SplitPattern};
use tokenizers::{
    AddedToken, NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer,
};

use super::bytes::{Spelled, Spelling, TokenTable};
use super::{MAX_TOKENS, Vocabulary, splits};
use crate::{ChatError, TokenId};

/// What a GGUF file says about its vocabulary; field names are the keys' last parts.
#[derive(Debug, Clone, Default)]
pub struct GgufVocabulary {
    /// `tokenizer.ggml.model`: `gpt2` (byte-level BPE) or `llama` (SentencePiece-style BPE).
    pub model: String,
    /// `tokenizer.ggml.pre`: how text is split before merging (`gpt2` only).
    pub pre: Option<String>,
    /// `tokenizer.ggml.tokens`, by id.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.token_type`, by id; empty where the file has none (all ordinary).
    pub token_types: Vec<i32>,
    /// `tokenizer.ggml.scores`, by id (`llama` only).
    pub scores: Vec<f32>,
    /// `tokenizer.ggml.merges`: two tokens with a space between, best first (`gpt2` only).
    pub merges: Vec<String>,
    /// `tokenizer.ggml.bos_token_id`.
    pub bos: Option<TokenId>,
    /// `tokenizer.ggml.eos_token_id`, and `eot_token_id` and `eom_token_id` where the file has them.
    pub eos: Vec<TokenId>,
    /// `tokenizer.ggml.unknown_token_id`.
    pub unknown: Option<TokenId>,
    /// `tokenizer.ggml.add_bos_token`.
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix` (`llama` only).
    pub add_space_prefix: Option<bool>,
}

/// Values of `token_type`.
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;

/// Control tokens that end a reply in some family or other; files name only one of them as EOS.
const END_NAMES: &[&str] = &[
    "</s>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|endofturn|>",
    "<end_of_turn>",
    "<|end_of_turn|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|return|>",
    "<|call|>",
    "<EOT>",
    "<｜end▁of▁sentence｜>",
];

pub(super) fn build(fields: &GgufVocabulary) -> Result<Vocabulary, ChatError> {
    check(fields)?;
    let (mut parsing, spelling, split_adds_bos) = match fields.model.as_str() {
        "gpt2" => byte_level(fields)?,
        "llama" => sentence_piece(fields)?,
        other => {
            return Err(ChatError::Vocabulary(format!(
                "tokenizer.ggml.model is {other:?}; supported: \"gpt2\" (byte-level BPE), \"llama\" (SentencePiece-style BPE)"
            )));
        }
    };
    add_tokens(fields, &mut parsing)?;
    let spelled = fields.tokens.iter().enumerate().map(|(id, text)| {
        let kind = token_type(fields, id);
        Spelled {
            id: id as TokenId,
            text,
            literal: matches!(kind, UNKNOWN | CONTROL | USER_DEFINED),
            special: matches!(kind, UNKNOWN | CONTROL),
        }
    });
    let mut eos = fields.eos.clone();
    for (id, text) in fields.tokens.iter().enumerate() {
        if token_type(fields, id) == CONTROL && END_NAMES.contains(&text.as_str()) {
            eos.push(id as TokenId);
        }
    }
    let empty = Vocabulary {
        parsing,
        literal: std::sync::OnceLock::new(),
        table: TokenTable::new(spelled.collect(), spelling)?,
        bos: fields.bos,
        eos: Vec::new(),
        adds_bos: fields.add_bos.unwrap_or(split_adds_bos) && fields.bos.is_some(),
        adds_space: spelling == Spelling::SentencePiece && fields.add_space_prefix.unwrap_or(true),
    };
    Ok(empty.with_eos(&eos))
}

fn token_type(fields: &GgufVocabulary, id: usize) -> i32 {
    fields.token_types.get(id).copied().unwrap_or(1)
}

/// Counts and ids agree with each other.
fn check(fields: &GgufVocabulary) -> Result<(), ChatError> {
    let count = fields.tokens.len();
    if count == 0 || count > MAX_TOKENS {
        return Err(ChatError::Vocabulary(format!(
            "tokenizer.ggml.tokens has {count} entries; expected 1 to {MAX_TOKENS}"
        )));
    }
    for (name, length) in [
        ("token_type", fields.token_types.len()),
        ("scores", fields.scores.len()),
    ] {
        if length != 0 && length != count {
            return Err(ChatError::Vocabulary(format!(
                "tokenizer.ggml.{name} has {length} entries; expected {count}, one for each token"
            )));
        }
    }
    let ids = fields.bos.iter().chain(&fields.eos).chain(&fields.unknown);
    if let Some(id) = ids.into_iter().find(|&&id| id as usize >= count) {
        return Err(ChatError::Vocabulary(format!(
            "the vocabulary names token {id} as BOS, EOS or unknown, but has only {count} tokens"
        )));
    }
    Ok(())
}

/// Text to id; of two tokens with one text the first is found.
fn ids_by_text(fields: &GgufVocabulary) -> HashMap<&str, TokenId> {
    let mut ids = HashMap::with_capacity(fields.tokens.len());
    for (id, text) in fields.tokens.iter().enumerate() {
        ids.entry(text.as_str()).or_insert(id as TokenId);
    }
    ids
}

fn owned(ids: &HashMap<&str, TokenId>) -> Vocab {
    ids.iter()
        .map(|(&text, &id)| (text.to_owned(), id))
        .collect()
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> ChatError {
    ChatError::Vocabulary(format!("cannot build the vocabulary's {what}: {error}"))
}

fn byte_level(fields: &GgufVocabulary) -> Result<(Tokenizer, Spelling, bool), ChatError> {
    let name = fields.pre.as_deref().unwrap_or("default");
    let split = splits::find(name).ok_or_else(|| {
        ChatError::Vocabulary(format!(
            "tokenizer.ggml.pre is {name:?}; supported: {}",
            splits::names()
        ))
    })?;
    let ids = ids_by_text(fields);
    let mut merges = Vec::with_capacity(fields.merges.len());
    for (index, merge) in fields.merges.iter().enumerate() {
        let parts = merge.split_once(' ').filter(|(left, right)| {
            ids.contains_key(left)
                && ids.contains_key(right)
                && ids.contains_key(format!("{left}{right}").as_str())
        });
        let (left, right) = parts.ok_or_else(|| {
            ChatError::Vocabulary(format!(
                "tokenizer.ggml.merges[{index}] is {merge:?}; expected two tokens with a space between, which together are a token too"
            ))
        })?;
        merges.push((left.to_owned(), right.to_owned()));
    }
    let model = BPE::builder()
        .vocab_and_merges(owned(&ids), merges)
        .ignore_merges(split.whole_pieces)
        .build()
        .map_err(|error| failed("merges", &error))?;
    let mut steps = Vec::new();
    for pattern in split.patterns {
        let step = SplitStep::new(
            SplitPattern::Regex((*pattern).to_owned()),
            SplitDelimiterBehavior::Isolated,
            false,
        )
        .map_err(|error| failed("split", &error))?;
        steps.push(PreTokenizerWrapper::Split(step));
    }
    steps.push(PreTokenizerWrapper::ByteLevel(ByteLevel::new(
        false, false, false,
    )));
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
    Ok((tokenizer, Spelling::ByteLevel, split.adds_bos))
}

fn sentence_piece(fields: &GgufVocabulary) -> Result<(Tokenizer, Spelling, bool), ChatError> {
    if fields.scores.is_empty() {
        return Err(ChatError::Vocabulary(
            "tokenizer.ggml.model is \"llama\", which needs tokenizer.ggml.scores".to_owned(),
        ));
    }
    let ids = ids_by_text(fields);
    let unknown = fields
        .unknown
        .map_or("<unk>", |id| &fields.tokens[id as usize]);
    let model = BPE::builder()
        .vocab_and_merges(owned(&ids), merges_by_score(fields, &ids))
        .unk_token(unknown.to_owned())
        .fuse_unk(true)
        .byte_fallback(true)
        .build()
        .map_err(|error| failed("merges", &error))?;
    let mut steps = Vec::new();
    if fields.add_space_prefix.unwrap_or(true) {
        steps.push(NormalizerWrapper::Prepend(Prepend::new("▁".to_owned())));
    }
    let spaces = Replace::new(" ", "▁").map_err(|error| failed("spaces", &error))?;
    steps.push(NormalizerWrapper::Replace(spaces));
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(NormalizerSequence::new(steps)))
        .map_err(|error| failed("spaces", &error))?;
    Ok((tokenizer, Spelling::SentencePiece, true))
}

/// SentencePiece joins the neighbours whose union scores best. As merges: every way to cut a token into two tokens,
/// by the union's score.
fn merges_by_score(fields: &GgufVocabulary, ids: &HashMap<&str, TokenId>) -> Vec<(String, String)> {
    let mut merges = Vec::new();
    for (id, text) in fields.tokens.iter().enumerate() {
        if matches!(
            token_type(fields, id),
            UNKNOWN | CONTROL | USER_DEFINED | UNUSED
        ) {
            continue;
        }
        // A token longer than SentencePiece ever makes is never a union: this bounds the work on a hostile file.
        if text.len() > 1024 {
            continue;
        }
        let start = merges.len();
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if let (Some(&left_id), Some(&right_id)) = (ids.get(left), ids.get(right)) {
                merges.push((fields.scores[id], left_id, right_id, left, right));
            }
        }
        merges[start..].sort_by_key(|merge| (merge.1, merge.2));
    }
    merges.sort_by(|a, b| {
        b.0.total_cmp(&a.0)
            .then(b.3.chars().count().cmp(&a.3.chars().count()))
    });
    merges
        .into_iter()
        .map(|(_, _, _, left, right)| (left.to_owned(), right.to_owned()))
        .collect()
}

/// Control tokens are found only where special tokens are parsed, user-defined ones always.
fn add_tokens(fields: &GgufVocabulary, tokenizer: &mut Tokenizer) -> Result<(), ChatError> {
    let mut seen = HashSet::new();
    let mut special = Vec::new();
    let mut ordinary = Vec::new();
    for (id, text) in fields.tokens.iter().enumerate() {
        if text.is_empty() || !seen.insert(text.as_str()) {
            continue;
        }
        match token_type(fields, id) {
            UNKNOWN | CONTROL => {
                special.push(AddedToken::from(text.as_str(), true).normalized(false))
            }
            USER_DEFINED => ordinary.push(AddedToken::from(text.as_str(), false).normalized(false)),
            _ => {}
        }
    }
    tokenizer
        .add_special_tokens(special)
        .map_err(|error| failed("special tokens", &error))?;
    tokenizer
        .add_tokens(ordinary)
        .map_err(|error| failed("added tokens", &error))?;
    Ok(())
}
