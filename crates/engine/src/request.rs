//! What can be asked of the engine: a prompt, how to continue it, and what to report.
//!
//! A request is checked once, when it is handed in; nothing inside checks again. It holds tokens, never text.

use crate::constraint::Constraint;
use crate::error::EngineError;
use std::sync::Arc;

/// How a token is chosen from the logits. The order in which these act is told in `sampler.rs`.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingParams {
    /// 0: always the most likely token.
    pub temperature: f32,
    /// Only so many of the most likely tokens; 0: all.
    pub top_k: usize,
    /// Only the fewest tokens whose probabilities sum to at least this; 1: all.
    pub top_p: f32,
    /// Only tokens at least this times as likely as the most likely one; 0: all.
    pub min_p: f32,
    /// Key of the random draws; none: a fresh one, reported at the end.
    pub seed: Option<u64>,
    /// Subtracted from the logit of each token generated before.
    pub presence_penalty: f32,
    /// Subtracted from the logit of each token once for every time it was generated before.
    pub frequency_penalty: f32,
    /// Divides the positive and multiplies the negative logits of tokens in the prompt or the reply; 1: off.
    pub repetition_penalty: f32,
    /// Added to the logits of single tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// Report log-probabilities: of the token, and of so many of the most likely ones.
    pub logprobs: Option<usize>,
}

impl Default for SamplingParams {
    /// The model's own distribution, unchanged.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            seed: None,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repetition_penalty: 1.0,
            logit_bias: Vec::new(),
            logprobs: None,
        }
    }
}

/// Embedding rows that were computed from something that is no token, such as an image.
#[derive(Debug, PartialEq)]
pub struct Embeddings {
    /// Names what they were computed from: equal digests mean equal rows, so that a cached prefix may hold them.
    pub digest: [u8; 32],
    /// Shapes: `[count, hidden_size]`, row-major.
    pub rows: Vec<f32>,
}

/// A run of embedding rows that take the place of some prompt tokens. An image is several: one for each of its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingSpan {
    /// Index of the first prompt token they replace.
    pub first: usize,
    /// How many tokens they replace.
    pub count: usize,
    /// Where they stand in the source's rows.
    pub first_row: usize,
    /// What holds them.
    pub source: Arc<Embeddings>,
}

/// What to report of the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptScore {
    /// How many of the most likely tokens to report beside each token of the prompt.
    pub top: usize,
    /// How many of the most likely tokens to report for what follows the prompt.
    pub next_top: usize,
}

/// One request.
pub struct GenerateRequest {
    /// Token ids; where an embedding row stands, the id that stands for it (`[IMG]`), as penalties and scores see it.
    pub prompt: Vec<u32>,
    /// Embedding rows, in order, without overlap.
    pub embeddings: Vec<EmbeddingSpan>,
    /// Tokens to generate at most; none: what is left of the context; 0: only score the prompt.
    pub max_tokens: Option<usize>,
    /// Tokens that end the reply.
    pub stop_tokens: Vec<u32>,
    /// How tokens are chosen.
    pub sampling: SamplingParams,
    /// Which of several replies to the same prompt this is: gives each its own random draws from the same seed.
    pub choice_index: u32,
    /// Report log-probabilities of the prompt.
    pub prompt_score: Option<PromptScore>,
    /// Decides which tokens are allowed.
    pub constraint: Option<Box<dyn Constraint>>,
}

impl GenerateRequest {
    /// A request to continue a prompt with default sampling until a stop token or the end of the context.
    pub fn new(prompt: Vec<u32>) -> Self {
        Self {
            prompt,
            embeddings: Vec::new(),
            max_tokens: None,
            stop_tokens: Vec::new(),
            sampling: SamplingParams::default(),
            choice_index: 0,
            prompt_score: None,
            constraint: None,
        }
    }

    /// A request that generates nothing and reports the log-probability of each token given those before it, and the
    /// `next_top` most likely tokens to follow.
    pub fn score(prompt: Vec<u32>, next_top: usize) -> Self {
        Self {
            max_tokens: Some(0),
            prompt_score: Some(PromptScore { top: 0, next_top }),
            ..Self::new(prompt)
        }
    }
}

impl Clone for GenerateRequest {
    /// A constraint is forked.
    fn clone(&self) -> Self {
        Self {
            prompt: self.prompt.clone(),
            embeddings: self.embeddings.clone(),
            max_tokens: self.max_tokens,
            stop_tokens: self.stop_tokens.clone(),
            sampling: self.sampling.clone(),
            choice_index: self.choice_index,
            prompt_score: self.prompt_score,
            constraint: self.constraint.as_ref().map(|c| c.fork()),
        }
    }
}

/// What requests are checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    /// Prompt and generated tokens together.
    pub(crate) max_context: usize,
    pub(crate) num_pages: usize,
}

impl Limits {
    /// Checks a request and settles how many tokens it may generate.
    pub(crate) fn check(&self, request: &GenerateRequest) -> Result<usize, EngineError> {
        self.check_prompt(request)?;
        self.check_sampling(&request.sampling)?;
        self.check_tokens("stop_tokens", request.stop_tokens.iter().copied())?;
        if let Some(score) = request.prompt_score {
            self.check_top("prompt_score.top", score.top)?;
            self.check_top("prompt_score.next_top", score.next_top)?;
        }
        self.settle_max_tokens(request)
    }

    fn check_prompt(&self, request: &GenerateRequest) -> Result<(), EngineError> {
        if request.prompt.is_empty() {
            return invalid("prompt", "expected at least one token, got none".to_owned());
        }
        self.check_tokens("prompt", request.prompt.iter().copied())?;
        let mut free_from = 0;
        for span in &request.embeddings {
            self.check_span(span, free_from, request.prompt.len())?;
            free_from = span.first + span.count;
        }
        Ok(())
    }

    fn check_span(
        &self,
        span: &EmbeddingSpan,
        free_from: usize,
        prompt_tokens: usize,
    ) -> Result<(), EngineError> {
        let (first, count, width) = (span.first, span.count, self.hidden_size);
        let values = span.source.rows.len();
        if !values.is_multiple_of(width) {
            return invalid(
                "embeddings",
                format!("expected whole rows of {width} values, got {values} values"),
            );
        }
        if count == 0 || span.first_row.saturating_add(count) > values / width {
            let (num_rows, first_row) = (values / width, span.first_row);
            return invalid(
                "embeddings",
                format!(
                    "expected some of the {num_rows} rows there are, got {count} from row {first_row}"
                ),
            );
        }
        if first < free_from || first.saturating_add(count) > prompt_tokens {
            return invalid(
                "embeddings",
                format!(
                    "{count} rows at token {first} overlap the ones before or pass the prompt's end ({prompt_tokens} tokens)"
                ),
            );
        }
        let rows = &span.source.rows[span.first_row * width..][..count * width];
        if !rows.iter().all(|v| v.is_finite()) {
            return invalid(
                "embeddings",
                format!("a value of the rows at token {first} is not finite"),
            );
        }
        Ok(())
    }

    fn check_sampling(&self, sampling: &SamplingParams) -> Result<(), EngineError> {
        type Rule = fn(f32) -> bool;
        let rules: [(&'static str, f32, Rule, &str); 6] = [
            (
                "temperature",
                sampling.temperature,
                |v| v >= 0.0,
                "at least 0",
            ),
            (
                "top_p",
                sampling.top_p,
                |v| (0.0..=1.0).contains(&v),
                "from 0 to 1",
            ),
            (
                "min_p",
                sampling.min_p,
                |v| (0.0..=1.0).contains(&v),
                "from 0 to 1",
            ),
            (
                "presence_penalty",
                sampling.presence_penalty,
                |_| true,
                "finite",
            ),
            (
                "frequency_penalty",
                sampling.frequency_penalty,
                |_| true,
                "finite",
            ),
            (
                "repetition_penalty",
                sampling.repetition_penalty,
                |v| v > 0.0,
                "above 0",
            ),
        ];
        for (field, value, holds, expected) in rules {
            if !value.is_finite() || !holds(value) {
                return invalid(field, format!("expected a number {expected}, got {value}"));
            }
        }
        self.check_tokens("logit_bias", sampling.logit_bias.iter().map(|b| b.0))?;
        if let Some((id, bias)) = sampling.logit_bias.iter().find(|b| !b.1.is_finite()) {
            return invalid(
                "logit_bias",
                format!("expected a finite number for token {id}, got {bias}"),
            );
        }
        self.check_top("logprobs", sampling.logprobs.unwrap_or(0))
    }

    fn check_tokens(
        &self,
        field: &'static str,
        mut tokens: impl Iterator<Item = u32>,
    ) -> Result<(), EngineError> {
        match tokens.find(|&t| t as usize >= self.vocab_size) {
            None => Ok(()),
            Some(token) => {
                let vocab_size = self.vocab_size;
                invalid(
                    field,
                    format!("token {token} is outside the vocabulary of {vocab_size}"),
                )
            }
        }
    }

    fn check_top(&self, field: &'static str, top: usize) -> Result<(), EngineError> {
        if top > self.vocab_size {
            let vocab_size = self.vocab_size;
            return invalid(
                field,
                format!("expected at most the vocabulary's {vocab_size}, got {top}"),
            );
        }
        Ok(())
    }

    /// The last generated token is never computed, so it needs no slot.
    fn settle_max_tokens(&self, request: &GenerateRequest) -> Result<usize, EngineError> {
        let prompt_tokens = request.prompt.len();
        let max_context = self.max_context;
        let capacity = self.num_pages.saturating_mul(model::PAGE_SIZE);
        let room = max_context
            .min(capacity.saturating_add(1))
            .saturating_sub(prompt_tokens);
        // A prompt that leaves no room is refused below, for the one token it wants.
        let max_tokens = request.max_tokens.unwrap_or(room.max(1));
        if max_tokens == 0 && request.prompt_score.is_none() {
            return invalid("max_tokens", "expected at least 1, got 0".to_owned());
        }
        let total = prompt_tokens.saturating_add(max_tokens);
        if total > max_context {
            return Err(EngineError::ContextLength {
                prompt_tokens,
                max_tokens,
                max_context,
            });
        }
        let computed = if max_tokens == 0 { total } else { total - 1 };
        let needed_pages = computed.div_ceil(model::PAGE_SIZE);
        if needed_pages > self.num_pages {
            return Err(EngineError::CacheTooSmall {
                prompt_tokens,
                max_tokens,
                needed_pages,
                num_pages: self.num_pages,
            });
        }
        Ok(max_tokens)
    }
}

fn invalid<T>(field: &'static str, what: String) -> Result<T, EngineError> {
    Err(EngineError::InvalidRequest { field, what })
}
