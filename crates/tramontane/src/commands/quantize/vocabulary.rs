//! A Tekken as the tokenizer keys of a GGUF: byte-level BPE, whose merges are made from ranks.
//!
//! Source: llama.cpp (the copy in llama_cpp_python 0.3.36), `gguf-py/gguf/vocab.py` and `conversion/base.py`.

use crate::load;
use anyhow::{Result, bail};
use chat::Tekken;
use model::{Checkpoint, GgufPair};
use std::collections::HashMap;

/// Token types, as GGUFs number them.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const UNUSED: i32 = 5;

/// The tokenizer's keys, and what to say of them.
pub struct Keys {
    pub pairs: Vec<GgufPair>,
    pub notes: Vec<String>,
}

/// The keys of a model that does not come from a GGUF; none for one that does.
pub fn pairs(checkpoint: &Checkpoint, tekken: Option<&Tekken>) -> Result<Keys> {
    let mut keys = Keys {
        pairs: Vec::new(),
        notes: Vec::new(),
    };
    if checkpoint.gguf().is_some() {
        return Ok(keys);
    }
    let Some(tekken) = tekken else {
        keys.pairs
            .push(GgufPair::text("tokenizer.ggml.model", "none"));
        keys.notes.push(
            "no tekken.json beside the weights: the file holds no vocabulary; a tokenizer.json beside it is used, by this \
             program only"
                .to_owned(),
        );
        return Ok(keys);
    };
    let rows = checkpoint.config.vocab_size;
    if rows < tekken.vocab_size() {
        bail!(
            "{}: the model has {rows} tokens, its tekken.json has {}\nIs the tekken.json another model's?",
            checkpoint.path.display(),
            tekken.vocab_size()
        );
    }
    keys.pairs = tekken_pairs(tekken, rows);
    if let Some(file) = checkpoint.text_files().chat_template {
        let template = String::from_utf8_lossy(&load::text(&file)?).into_owned();
        keys.pairs
            .push(GgufPair::text("tokenizer.chat_template", &template));
    }
    Ok(keys)
}

fn tekken_pairs(tekken: &Tekken, rows: usize) -> Vec<GgufPair> {
    let alphabet = alphabet();
    let spell = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| alphabet[usize::from(*byte)])
            .collect()
    };
    let (special, used) = (tekken.num_special(), tekken.vocab_size());
    let token = |id: usize| -> (String, i32) {
        let bytes = tekken.token_bytes(id as u32);
        match id {
            _ if id < special => (String::from_utf8_lossy(bytes).into_owned(), CONTROL),
            _ if id < used => (spell(bytes), NORMAL),
            _ => (format!("[PAD{id}]"), UNUSED),
        }
    };
    let (tokens, types): (Vec<String>, Vec<i32>) = (0..rows).map(token).unzip();
    let merge = |(left, right): (&[u8], &[u8])| format!("{} {}", spell(left), spell(right));
    let merges: Vec<String> = merges(tekken).into_iter().map(merge).collect();
    let mut pairs = vec![
        GgufPair::text("tokenizer.ggml.model", "gpt2"),
        GgufPair::text("tokenizer.ggml.pre", "tekken"),
        GgufPair::texts("tokenizer.ggml.tokens", &tokens),
        GgufPair::whole_numbers("tokenizer.ggml.token_type", &types),
        GgufPair::texts("tokenizer.ggml.merges", &merges),
        GgufPair::flag("tokenizer.ggml.add_bos_token", true),
        GgufPair::flag("tokenizer.ggml.add_eos_token", false),
    ];
    let named = [
        ("bos", "<s>"),
        ("eos", "</s>"),
        ("unknown", "<unk>"),
        ("padding", "<pad>"),
    ];
    for (key, name) in named {
        if let Some(id) = tekken.special(name) {
            pairs.push(GgufPair::count(
                &format!("tokenizer.ggml.{key}_token_id"),
                id,
            ));
        }
    }
    pairs
}

/// Every way to cut a token into two tokens, by the token's rank, then the parts' ranks.
fn merges(tekken: &Tekken) -> Vec<(&[u8], &[u8])> {
    let tokens: Vec<&[u8]> = (tekken.num_special()..tekken.vocab_size())
        .map(|id| tekken.token_bytes(id as u32))
        .collect();
    let ranks: HashMap<&[u8], usize> = tokens.iter().enumerate().map(|(r, t)| (*t, r)).collect();
    let mut merges = Vec::new();
    for token in &tokens {
        let mut cuts: Vec<(usize, usize, usize)> = (1..token.len())
            .filter_map(|at| {
                let (left, right) = token.split_at(at);
                Some((*ranks.get(left)?, *ranks.get(right)?, at))
            })
            .collect();
        cuts.sort_unstable();
        merges.extend(cuts.iter().map(|(_, _, at)| token.split_at(*at)));
    }
    merges
}

/// The character that stands for each byte: itself if it is visible, else one from 256 on (GPT-2's alphabet).
fn alphabet() -> Vec<char> {
    let mut next = 255;
    let letter = |byte: u8| match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae.. => char::from(byte),
        _ => {
            next += 1;
            char::from_u32(next).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
    };
    (0..=u8::MAX).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_letters_of_their_own() {
        let alphabet = alphabet();
        assert_eq!(alphabet[usize::from(b' ')], 'Ġ');
        assert_eq!(alphabet[usize::from(b'\n')], 'Ċ');
        assert_eq!((alphabet[0], alphabet[0xad]), ('Ā', 'Ń'));
        assert_eq!((alphabet[0x41], alphabet[0xff]), ('A', 'ÿ'));
        let mut seen = alphabet.clone();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 256);
    }
}
