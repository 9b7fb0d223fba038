//! The door through which a grammar decides which tokens may come next. The engine knows no grammar.

/// What a constraint says when it cannot go on; the request then fails with this message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("constraint: {0}")]
pub struct ConstraintError(pub String);

/// Decides, token by token, what a sequence may say.
pub trait Constraint: Send {
    /// Allows in `allowed`, which comes with nothing allowed, each token that may come next. The ends of sequence
    /// count: where the reply may end, its stop token must be allowed.
    ///
    /// Errors: the constraint is in no usable state. Allowing nothing is an error too, which the engine reports.
    fn mask(&mut self, allowed: &mut TokenMask) -> Result<(), ConstraintError>;

    /// Takes note of the token that was sampled. Called once a token, in order, also for stop tokens.
    ///
    /// Errors: the token was not allowed, or the constraint's own limits are passed.
    fn commit(&mut self, token: u32) -> Result<(), ConstraintError>;

    /// A copy in the same state, for another choice of the same request.
    fn fork(&self) -> Box<dyn Constraint>;
}

/// A set of token ids: one bit each, the lowest bit of the first word is token 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenMask {
    words: Vec<u32>,
    vocab_size: usize,
}

impl TokenMask {
    /// The empty set over ids `0..vocab_size`.
    pub fn new(vocab_size: usize) -> Self {
        Self {
            words: vec![0; vocab_size.div_ceil(32)],
            vocab_size,
        }
    }

    /// Ids there are.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Removes every token.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Adds a token. One outside the vocabulary is ignored: grammars may know more tokens than the head has rows.
    pub fn allow(&mut self, token: u32) {
        if (token as usize) < self.vocab_size {
            self.words[token as usize / 32] |= 1 << (token % 32);
        }
    }

    /// Whether the token is in the set.
    pub fn allows(&self, token: u32) -> bool {
        (token as usize) < self.vocab_size
            && self.words[token as usize / 32] >> (token % 32) & 1 == 1
    }

    /// The words, for constraints that compute whole masks. Bits past the vocabulary are ignored.
    pub fn words_mut(&mut self) -> &mut [u32] {
        &mut self.words
    }

    /// Sets the logits of all other tokens to minus infinity. Returns whether any token is left.
    ///
    /// Shapes: `logits: [vocab_size]`.
    pub(crate) fn apply(&self, logits: &mut [f32]) -> bool {
        assert_eq!(logits.len(), self.vocab_size, "logits and vocab_size");
        let mut any = false;
        for (chunk, &word) in logits.chunks_mut(32).zip(&self.words) {
            for (bit, logit) in chunk.iter_mut().enumerate() {
                if word >> bit & 1 == 1 {
                    any = true;
                } else {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_hold_what_was_allowed() {
        let mut mask = TokenMask::new(70);
        for token in [0, 31, 32, 69, 70, 4_000_000_000] {
            mask.allow(token);
        }
        let held: Vec<u32> = (0..200).filter(|&t| mask.allows(t)).collect();
        assert_eq!(held, [0, 31, 32, 69]);
        let mut logits = vec![1.0; 70];
        assert!(mask.apply(&mut logits));
        for (id, logit) in logits.iter().enumerate() {
            assert_eq!(*logit == 1.0, mask.allows(id as u32));
        }
        mask.clear();
        mask.words_mut()[2] = !0b11_1111;
        assert!(
            !mask.apply(&mut logits),
            "bits past the vocabulary are not tokens"
        );
    }
}
