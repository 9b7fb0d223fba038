//! Each token's bytes, and the two ways vocabularies spell them.
//!
//! Must not know: how text is encoded, files.

use std::collections::HashMap;

use super::MAX_TOKENS;
use crate::{ChatError, TokenId};

/// How a vocabulary's tokens spell bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// One printable character a byte (GPT-2's alphabet: `Ġ` is a space).
    ByteLevel,
    /// Text with `▁` for a space; single bytes as `<0x0A>`.
    SentencePiece,
}

/// The bytes of every token, by id.
#[derive(Debug, Default)]
pub(super) struct TokenTable {
    bytes: Vec<u8>,
    /// End of token `id` in `bytes`; its start is the end before it.
    ends: Vec<usize>,
    present: Vec<bool>,
    special: Vec<bool>,
}

/// One token: how it is spelled, and whether the spelling is its text as it stands.
pub(super) struct Spelled<'a> {
    pub id: TokenId,
    pub text: &'a str,
    /// Added to the vocabulary after training: its text is literal.
    pub literal: bool,
    pub special: bool,
}

impl TokenTable {
    /// The table of `tokens`, in any order.
    ///
    /// # Errors
    /// [`ChatError::Vocabulary`] when an id is beyond [`MAX_TOKENS`].
    pub fn new(mut tokens: Vec<Spelled<'_>>, spelling: Spelling) -> Result<Self, ChatError> {
        tokens.sort_by_key(|token| token.id);
        if let Some(last) = tokens.last().filter(|last| last.id as usize >= MAX_TOKENS) {
            return Err(ChatError::Vocabulary(format!(
                "token {:?} has id {}, more than the {MAX_TOKENS} ids supported",
                last.text, last.id
            )));
        }
        let alphabet = byte_alphabet();
        let mut table = Self::default();
        for token in tokens {
            // Of two tokens under one id the first stays.
            while table.ends.len() < token.id as usize {
                table.push(&[], false, false);
            }
            if table.ends.len() == token.id as usize {
                let bytes = match (token.literal, spelling) {
                    (true, _) => token.text.as_bytes().to_vec(),
                    (false, Spelling::ByteLevel) => byte_level_bytes(token.text, &alphabet),
                    (false, Spelling::SentencePiece) => sentence_piece_bytes(token.text),
                };
                table.push(&bytes, true, token.special);
            }
        }
        Ok(table)
    }

    fn push(&mut self, bytes: &[u8], present: bool, special: bool) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
        self.present.push(present);
        self.special.push(special);
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn bytes(&self, id: TokenId) -> Option<&[u8]> {
        let id = id as usize;
        if !*self.present.get(id)? {
            return None;
        }
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        Some(&self.bytes[start..self.ends[id]])
    }

    pub fn is_special(&self, id: TokenId) -> bool {
        self.special.get(id as usize).copied().unwrap_or(false)
    }
}

/// GPT-2's alphabet: the printable Latin-1 characters stand for themselves, the other bytes for U+0100 onwards.
pub(super) fn byte_alphabet() -> HashMap<char, u8> {
    let mut alphabet = HashMap::new();
    let mut next = 0x100;
    for byte in 0..=u8::MAX {
        if matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) {
            alphabet.insert(char::from(byte), byte);
        } else {
            alphabet.extend(char::from_u32(next).map(|letter| (letter, byte)));
            next += 1;
        }
    }
    alphabet
}

/// A token with a character outside the alphabet is its text as it stands.
fn byte_level_bytes(text: &str, alphabet: &HashMap<char, u8>) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = text
        .chars()
        .map(|letter| alphabet.get(&letter).copied())
        .collect();
    bytes.unwrap_or_else(|| text.as_bytes().to_vec())
}

fn sentence_piece_bytes(text: &str) -> Vec<u8> {
    let digits = text
        .strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'))
        .filter(|digits| digits.len() == 2);
    if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
        return vec![byte];
    }
    text.replace('▁', " ").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_spells_every_byte_once() {
        let alphabet = byte_alphabet();
        let mut bytes: Vec<u8> = alphabet.values().copied().collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=u8::MAX).collect::<Vec<_>>());
        assert_eq!(
            (
                alphabet[&'Ġ'],
                alphabet[&'Ċ'],
                alphabet[&'A'],
                alphabet[&'é']
            ),
            (b' ', b'\n', b'A', 0xe9)
        );
    }

    #[test]
    fn tokens_spell_bytes_in_two_ways() {
        let token = |id, text, literal| Spelled {
            id,
            text,
            literal,
            special: literal,
        };
        let table = TokenTable::new(
            vec![token(3, "Ġé", false), token(1, "<｜Ġ｜>", true)],
            Spelling::ByteLevel,
        )
        .unwrap();
        assert_eq!(table.bytes(0), None);
        assert_eq!(table.bytes(1), Some("<｜Ġ｜>".as_bytes()));
        assert_eq!(table.bytes(3), Some(&[b' ', 0xe9][..]));
        assert!(table.is_special(1) && !table.is_special(3) && !table.is_special(99));
        let table = TokenTable::new(
            vec![token(0, "<0x0A>", false), token(1, "▁é", false)],
            Spelling::SentencePiece,
        )
        .unwrap();
        assert_eq!(
            (table.bytes(0), table.bytes(1)),
            (Some(&b"\n"[..]), Some(" é".as_bytes()))
        );
    }

    #[test]
    fn an_absurd_id_is_refused_before_anything_is_allocated() {
        let tokens = vec![Spelled {
            id: u32::MAX,
            text: "x",
            literal: false,
            special: false,
        }];
        let error = TokenTable::new(tokens, Spelling::ByteLevel).unwrap_err();
        assert!(error.to_string().contains("4294967295"), "{error}");
    }
}
