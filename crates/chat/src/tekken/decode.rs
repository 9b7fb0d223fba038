//! Ids back to text, one at a time.
//!
//! Must not know: what special tokens mean.

use super::Tekken;
use crate::TokenId;

/// What a special token becomes in decoded text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialPolicy {
    /// Nothing.
    Ignore,
    /// Its name.
    Keep,
}

/// Decodes a stream of ids: what it appends is always whole characters, and all pushes together with
/// [`Decoder::finish`] give the same text as decoding at once.
#[derive(Debug, Clone)]
pub struct Decoder {
    policy: SpecialPolicy,
    /// The start of a character whose end has not come yet: at most three bytes.
    pending: Vec<u8>,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new(policy: SpecialPolicy) -> Self {
        Self {
            policy,
            pending: Vec::new(),
        }
    }

    /// Appends what `id` completes to `out`. A special token ends an unfinished character. Ids beyond the vocabulary
    /// are nothing.
    pub fn push(&mut self, tekken: &Tekken, id: TokenId, out: &mut String) {
        if !tekken.is_special(id) {
            self.push_bytes(tekken.token_bytes(id), out);
            return;
        }
        self.finish(out);
        if self.policy == SpecialPolicy::Keep {
            out.push_str(&String::from_utf8_lossy(tekken.token_bytes(id)));
        }
    }

    /// Appends the characters that `bytes` completes to `out`; each longest invalid part becomes one U+FFFD.
    pub fn push_bytes(&mut self, bytes: &[u8], out: &mut String) {
        if self.pending.is_empty() {
            self.take_characters(bytes, out);
        } else {
            let mut joined = std::mem::take(&mut self.pending);
            joined.extend_from_slice(bytes);
            self.take_characters(&joined, out);
        }
    }

    /// Ends the stream, or a part of it: an unfinished character becomes U+FFFD.
    pub fn finish(&mut self, out: &mut String) {
        if !self.pending.is_empty() {
            self.pending.clear();
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }

    fn take_characters(&mut self, bytes: &[u8], out: &mut String) {
        for chunk in bytes.utf8_chunks() {
            out.push_str(chunk.valid());
            let invalid = chunk.invalid();
            if invalid.is_empty() {
                continue;
            }
            let at_end = std::ptr::eq(invalid.as_ptr_range().end, bytes.as_ptr_range().end);
            if at_end && could_go_on(invalid) {
                self.pending = invalid.to_vec();
            } else {
                out.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }
}

/// Whether `invalid`, the end of a byte string, is the start of a character.
fn could_go_on(invalid: &[u8]) -> bool {
    std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_gives_the_same_text() {
        let bytes = [
            b"a\xc3\xa9\xf0\x9f\x98\x80".as_slice(),
            b"\xf0\x9f\xff\xe2\x82",
            b"\xc3",
            b"z\xed\xa0\x80",
        ]
        .concat();
        let whole = String::from_utf8_lossy(&bytes);
        for cut in 0..=bytes.len() {
            for second in cut..=bytes.len() {
                let mut decoder = Decoder::new(SpecialPolicy::Ignore);
                let mut out = String::new();
                for part in [&bytes[..cut], &bytes[cut..second], &bytes[second..]] {
                    decoder.push_bytes(part, &mut out);
                    assert!(decoder.pending.len() < 4);
                }
                decoder.finish(&mut out);
                assert_eq!(out, whole);
            }
        }
    }
}
