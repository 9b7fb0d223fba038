//! From a row of logits to a token, and to log-probabilities.
//!
//! In this order, as vLLM does:
//! 1. logit bias;
//! 2. penalties: repetition (tokens of prompt and reply), then frequency and presence (tokens of the reply);
//! 3. the constraint's mask;
//! 4. temperature; 0 takes the largest logit here, of equal ones the lowest id, and ends;
//! 5. top-k, of equal logits the lowest ids first;
//! 6. top-p, over what top-k left, renormalised: the fewest tokens that reach it;
//! 7. min-p, relative to the most likely token;
//! 8. one draw over what is left, in the order of ids, by a uniform number that the caller supplies.
//!
//! Steps 1 to 3 are in f32, the rest in f64 with sums in a fixed order. It knows no sequences, no batch and no time.

use crate::constraint::{Constraint, ConstraintError, TokenMask};
use crate::events::TokenLogprobs;
use crate::math::{exp_negative, ln};
use crate::request::SamplingParams;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Which tokens a sequence has seen, as far as penalties ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenHistory {
    /// Tokens of the prompt, each once, ascending.
    prompt: Vec<u32>,
    /// How often each token was generated.
    generated: BTreeMap<u32, u32>,
}

impl TokenHistory {
    pub(crate) fn new(prompt: &[u32]) -> Self {
        let mut prompt = prompt.to_vec();
        prompt.sort_unstable();
        prompt.dedup();
        Self {
            prompt,
            generated: BTreeMap::new(),
        }
    }

    pub(crate) fn push(&mut self, token: u32) {
        *self.generated.entry(token).or_insert(0) += 1;
    }
}

/// Chooses tokens. Holds scratch space only: what it returns depends on its arguments alone.
pub(crate) struct Sampler {
    logits: Vec<f32>,
    weights: Vec<f64>,
    candidates: Vec<u32>,
    mask: TokenMask,
}

impl Sampler {
    pub(crate) fn new(vocab_size: usize) -> Self {
        Self {
            logits: Vec::with_capacity(vocab_size),
            weights: Vec::with_capacity(vocab_size),
            candidates: Vec::with_capacity(vocab_size),
            mask: TokenMask::new(vocab_size),
        }
    }

    /// Chooses the next token.
    ///
    /// Shapes: `row: [vocab_size]`, finite. `uniform` is in [0, 1).
    ///
    /// Errors: the constraint fails or allows nothing.
    pub(crate) fn sample(
        &mut self,
        row: &[f32],
        sampling: &SamplingParams,
        history: &TokenHistory,
        constraint: Option<&mut (dyn Constraint + 'static)>,
        uniform: f64,
    ) -> Result<u32, ConstraintError> {
        self.logits.clear();
        self.logits.extend_from_slice(row);
        for &(id, bias) in &sampling.logit_bias {
            adjust(&mut self.logits[id as usize], |l| l + bias);
        }
        self.penalise(sampling, history);
        if let Some(constraint) = constraint {
            self.mask.clear();
            constraint.mask(&mut self.mask)?;
            if !self.mask.apply(&mut self.logits) {
                return Err(ConstraintError(
                    "no token is allowed to come next".to_owned(),
                ));
            }
        }
        let best = argmax(&self.logits);
        if sampling.temperature == 0.0 {
            return Ok(best);
        }
        self.weigh(self.logits[best as usize], sampling.temperature);
        self.keep_top_k(sampling.top_k);
        self.keep_top_p(f64::from(sampling.top_p));
        self.keep_min_p(f64::from(sampling.min_p));
        Ok(self.draw(uniform))
    }

    fn penalise(&mut self, sampling: &SamplingParams, history: &TokenHistory) {
        let repetition = sampling.repetition_penalty;
        if repetition != 1.0 {
            let reply = history.generated.keys().copied();
            let only_reply = reply.filter(|id| history.prompt.binary_search(id).is_err());
            for id in history.prompt.iter().copied().chain(only_reply) {
                adjust(&mut self.logits[id as usize], |l| {
                    if l > 0.0 {
                        l / repetition
                    } else {
                        l * repetition
                    }
                });
            }
        }
        let (frequency, presence) = (sampling.frequency_penalty, sampling.presence_penalty);
        if frequency != 0.0 || presence != 0.0 {
            for (&id, &count) in &history.generated {
                adjust(&mut self.logits[id as usize], |l| {
                    l - (frequency * count as f32 + presence)
                });
            }
        }
    }

    /// Each token's probability over that of the most likely one, and all that have any as candidates, by id.
    fn weigh(&mut self, max: f32, temperature: f32) {
        let (max, temperature) = (f64::from(max), f64::from(temperature));
        self.weights.clear();
        self.weights.extend(
            self.logits
                .iter()
                .map(|&l| exp_negative((f64::from(l) - max) / temperature)),
        );
        self.candidates.clear();
        self.candidates.extend(0..self.logits.len() as u32);
        self.candidates
            .retain(|&id| self.weights[id as usize] > 0.0);
    }

    fn keep_top_k(&mut self, top_k: usize) {
        if top_k == 0 || top_k >= self.candidates.len() {
            return;
        }
        let logits = &self.logits;
        self.candidates
            .select_nth_unstable_by(top_k - 1, |&a, &b| by_likelihood(logits, a, b));
        self.candidates.truncate(top_k);
        self.candidates.sort_unstable();
    }

    fn keep_top_p(&mut self, top_p: f64) {
        if top_p >= 1.0 {
            return;
        }
        let (logits, weights) = (&self.logits, &self.weights);
        let total: f64 = self.candidates.iter().map(|&id| weights[id as usize]).sum();
        // Tokens below the mean share of what may be left out can be left out all together: no need to sort them.
        let small = (1.0 - top_p) * total / self.candidates.len() as f64;
        self.candidates.retain(|&id| weights[id as usize] >= small);
        self.candidates
            .sort_unstable_by(|&a, &b| by_likelihood(logits, a, b));
        let mut sum = 0.0;
        let enough = self.candidates.iter().position(|&id| {
            sum += weights[id as usize];
            sum >= top_p * total
        });
        if let Some(last) = enough {
            self.candidates.truncate(last + 1);
        }
        self.candidates.sort_unstable();
    }

    fn keep_min_p(&mut self, min_p: f64) {
        if min_p > 0.0 {
            self.candidates
                .retain(|&id| self.weights[id as usize] >= min_p);
        }
    }

    fn draw(&self, uniform: f64) -> u32 {
        let weight = |id: &u32| self.weights[*id as usize];
        let target = uniform * self.candidates.iter().map(weight).sum::<f64>();
        let mut sum = 0.0;
        let drawn = self.candidates.iter().find(|&id| {
            sum += weight(id);
            sum > target
        });
        // `target` can round up to the whole sum; the most likely token is always a candidate, so there is a last one.
        drawn
            .or(self.candidates.last())
            .copied()
            .unwrap_or_default()
    }
}

/// Keeps a changed logit finite: minus infinity is the mask's alone.
fn adjust(logit: &mut f32, change: impl Fn(f32) -> f32) {
    *logit = change(*logit).clamp(f32::MIN, f32::MAX);
}

/// The largest logit's id, of equal ones the lowest.
fn argmax(logits: &[f32]) -> u32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|&l| l == max).unwrap_or_default() as u32
}

/// Larger logits first, then lower ids. Adding 0 makes the two zeros equal.
fn by_likelihood(logits: &[f32], a: u32, b: u32) -> Ordering {
    let (la, lb) = (logits[a as usize] + 0.0, logits[b as usize] + 0.0);
    lb.total_cmp(&la).then(a.cmp(&b))
}

/// Log-probabilities of a row: of `token`, and of the `top` most likely ones.
///
/// Shapes: `row: [vocab_size]`, finite.
pub(crate) fn logprobs(row: &[f32], token: u32, top: usize) -> TokenLogprobs {
    let softmax = LogSoftmax::new(row);
    TokenLogprobs {
        logprob: softmax.logprob(row[token as usize]),
        top: softmax.top(row, top),
    }
}

/// The `top` most likely tokens of a row and their log-probabilities.
pub(crate) fn top_logprobs(row: &[f32], top: usize) -> Vec<(u32, f64)> {
    LogSoftmax::new(row).top(row, top)
}

/// ln(softmax(row)) = logit - max - ln(sum of exp(logit - max)).
struct LogSoftmax {
    max: f64,
    log_sum: f64,
}

impl LogSoftmax {
    /// The sum runs in eight lanes, element i in lane i % 8, which are then added in order.
    fn new(row: &[f32]) -> Self {
        let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let mut lanes = [0.0f64; 8];
        for chunk in row.chunks(8) {
            for (lane, &l) in lanes.iter_mut().zip(chunk) {
                *lane += exp_negative(f64::from(l) - max);
            }
        }
        Self {
            max,
            log_sum: ln(lanes.iter().sum()),
        }
    }

    fn logprob(&self, logit: f32) -> f64 {
        (f64::from(logit) - self.max) - self.log_sum
    }

    fn top(&self, row: &[f32], top: usize) -> Vec<(u32, f64)> {
        if top == 0 {
            return Vec::new();
        }
        let mut ids: Vec<u32> = (0..row.len() as u32).collect();
        if top < ids.len() {
            ids.select_nth_unstable_by(top - 1, |&a, &b| by_likelihood(row, a, b));
            ids.truncate(top);
        }
        ids.sort_unstable_by(|&a, &b| by_likelihood(row, a, b));
        ids.into_iter()
            .map(|id| (id, self.logprob(row[id as usize])))
            .collect()
    }
}
