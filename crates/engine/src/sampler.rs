//! From a row of logits to a token.
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
use crate::logprobs::by_likelihood;
use crate::math::{exp_negative, exp_negative_lanes};
use crate::request::SamplingParams;
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
        let scaled = |l: f32| (f64::from(l) - max) / temperature;
        let (chunks, rest) = self.logits.as_chunks::<8>();
        self.weights.clear();
        for chunk in chunks {
            self.weights.extend(exp_negative_lanes(chunk.map(scaled)));
        }
        self.weights
            .extend(rest.iter().map(|&l| exp_negative(scaled(l))));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::uniform;
    use proptest::prelude::*;

    fn sample(row: &[f32], sampling: &SamplingParams, uniform: f64) -> u32 {
        let history = TokenHistory::default();
        Sampler::new(row.len())
            .sample(row, sampling, &history, None, uniform)
            .unwrap()
    }

    fn with(change: impl FnOnce(&mut SamplingParams)) -> SamplingParams {
        let mut sampling = SamplingParams::default();
        change(&mut sampling);
        sampling
    }

    /// A row of different logits and one of few different ones.
    fn rows(seed: u64, n: usize) -> [Vec<f32>; 2] {
        let fine: Vec<f32> = (0..n as u64)
            .map(|i| (uniform(seed, 0, i) * 12.0 - 6.0) as f32)
            .collect();
        let coarse = fine.iter().map(|l| l.round() + 0.0).collect();
        [fine, coarse]
    }

    /// What is left of each token's probability, by the definition: sort, cut, renormalise.
    fn probabilities(row: &[f32], sampling: &SamplingParams) -> Vec<f64> {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
        let scaled = |id: usize| f64::from(row[id]) / f64::from(sampling.temperature);
        let max = scaled(order[0]);
        let mut p: Vec<f64> = order.iter().map(|&id| (scaled(id) - max).exp()).collect();
        if sampling.top_k > 0 {
            p.truncate(sampling.top_k);
        }
        let total: f64 = p.iter().sum();
        let mut sum = 0.0;
        let reaches = p.iter().position(|w| {
            sum += w / total;
            sum >= f64::from(sampling.top_p)
        });
        p.truncate(reaches.map_or(p.len(), |last| last + 1));
        p.retain(|&w| w >= f64::from(sampling.min_p));
        let total: f64 = p.iter().sum();
        let mut found = vec![0.0; row.len()];
        for (w, id) in p.iter().zip(order) {
            found[id] = w / total;
        }
        found
    }

    proptest! {
        /// Every draw is where the definition's cumulative distribution says.
        #[test]
        fn draws_follow_the_definition(
            seed in any::<u64>(),
            n in 1usize..60,
            temperature in 0.05f32..3.0,
            top_k in 0usize..70,
            // Not a sum of equal shares, where the last digit decides.
            top_p in prop_oneof![Just(1.0f32), (0.0123f32..0.987)],
            min_p in prop_oneof![Just(0.0f32), (0.01f32..0.9)],
        ) {
            let sampling = SamplingParams { temperature, top_k, top_p, min_p, ..SamplingParams::default() };
            for row in rows(seed, n) {
                let p = probabilities(&row, &sampling);
                for i in 0..50 {
                    let u = uniform(seed, 1, i);
                    let id = sample(&row, &sampling, u) as usize;
                    let below: f64 = p[..id].iter().sum();
                    prop_assert!(p[id] > 0.0, "token {} is cut off", id);
                    prop_assert!(below - 1e-9 <= u && u <= below + p[id] + 1e-9);
                }
            }
        }

        #[test]
        fn top_k_of_one_is_greedy(seed in any::<u64>(), n in 1usize..60, temperature in 0.01f32..50.0) {
            for row in rows(seed, n) {
                let greedy = sample(&row, &with(|s| s.temperature = 0.0), 0.5);
                prop_assert_eq!(greedy, argmax(&row));
                prop_assert!(row[..greedy as usize].iter().all(|&l| l < row[greedy as usize]));
                for narrow in [
                    with(|s| (s.temperature, s.top_k) = (temperature, 1)),
                    with(|s| (s.temperature, s.top_p) = (temperature, 0.0)),
                ] {
                    prop_assert_eq!(sample(&row, &narrow, uniform(seed, 2, 0)), greedy);
                }
            }
        }
    }

    #[test]
    fn frequencies_are_the_models() {
        let row = [1.0, 0.0, 2.0, -1.0, 0.5, 1.5];
        let sampling = with(|s| s.temperature = 0.8);
        let p = probabilities(&row, &sampling);
        let n = 50_000;
        for seed in 0..3 {
            let mut counts = [0u32; 6];
            for position in 0..n {
                counts[sample(&row, &sampling, uniform(seed, 0, position)) as usize] += 1;
            }
            let expected = p.iter().map(|p| p * n as f64);
            let chi2: f64 = counts
                .iter()
                .zip(expected)
                .map(|(&c, e)| (f64::from(c) - e).powi(2) / e)
                .sum();
            // 5 degrees of freedom: 20.5 is passed once in a thousand.
            assert!(chi2 < 20.5, "{chi2} {counts:?}");
        }
    }

    #[test]
    fn the_ends_of_the_unit_interval_draw_possible_tokens() {
        let row = [f32::MIN, 0.0, 0.0, f32::MIN];
        let last = 1.0 - f64::EPSILON / 2.0;
        for sampling in [with(|_| ()), with(|s| s.temperature = f32::MIN_POSITIVE)] {
            assert_eq!(sample(&row, &sampling, 0.0), 1);
            assert_eq!(sample(&row, &sampling, last), 2);
        }
        assert_eq!(sample(&row, &with(|s| s.temperature = f32::MAX), last), 3);
    }

    #[test]
    fn equal_logits_go_by_id() {
        let row = [-1.0, 0.0, -0.0, 0.0, -1.0];
        assert_eq!(sample(&row, &with(|s| s.temperature = 0.0), 0.0), 1);
        let two = with(|s| s.top_k = 2);
        let draws = [0.0, 0.49, 0.5, 0.99].map(|u| sample(&row, &two, u));
        assert_eq!(draws, [1, 1, 2, 2]);
    }

    /// The logits that greedy sampling and all that follows see.
    fn adjusted(row: &[f32], sampling: SamplingParams, prompt: &[u32], reply: &[u32]) -> Vec<f32> {
        let mut history = TokenHistory::new(prompt);
        reply.iter().for_each(|&t| history.push(t));
        let mut sampler = Sampler::new(row.len());
        sampler.sample(row, &sampling, &history, None, 0.5).unwrap();
        sampler.logits
    }

    #[test]
    fn penalties_change_the_logits_they_should() {
        let row = [1.0, -1.0, 2.0, -2.0, 4.0];
        let (prompt, reply) = ([0, 1, 1, 0], [1, 2, 2, 3, 2]);
        let presence = adjusted(&row, with(|s| s.presence_penalty = 0.5), &prompt, &reply);
        assert_eq!(presence, [1.0, -1.5, 1.5, -2.5, 4.0]);
        let frequency = adjusted(&row, with(|s| s.frequency_penalty = 0.5), &prompt, &reply);
        assert_eq!(frequency, [1.0, -1.5, 0.5, -2.5, 4.0]);
        let repetition = adjusted(&row, with(|s| s.repetition_penalty = 2.0), &prompt, &reply);
        assert_eq!(repetition, [0.5, -2.0, 1.0, -4.0, 4.0]);
        let biased = with(|s| {
            s.logit_bias = vec![(0, 1.0), (4, -3.5), (0, 2.0)];
            s.repetition_penalty = 2.0;
            s.presence_penalty = 0.25;
        });
        assert_eq!(
            adjusted(&row, biased, &prompt, &reply),
            [2.0, -2.25, 0.75, -4.25, 0.5]
        );
        let extreme = with(|s| {
            s.logit_bias = vec![(0, f32::MAX), (0, f32::MAX), (1, f32::MIN)];
            s.repetition_penalty = f32::MIN_POSITIVE;
            s.frequency_penalty = f32::MAX;
        });
        assert!(
            adjusted(&row, extreme, &prompt, &reply)
                .iter()
                .all(|l| l.is_finite())
        );
    }

    struct Only(Vec<u32>);

    impl Constraint for Only {
        fn mask(&mut self, allowed: &mut TokenMask) -> Result<(), ConstraintError> {
            self.0.iter().for_each(|&t| allowed.allow(t));
            Ok(())
        }

        fn commit(&mut self, _: u32) -> Result<(), ConstraintError> {
            Ok(())
        }

        fn fork(&self) -> Box<dyn Constraint> {
            Box::new(Only(self.0.clone()))
        }
    }

    #[test]
    fn a_mask_is_stronger_than_anything() {
        let row = [9.0, 1.0, 2.0, 9.0, f32::MAX];
        let mut sampler = Sampler::new(row.len());
        let mut only = Only(vec![1, 2]);
        let biased = with(|s| {
            s.temperature = f32::MAX;
            s.logit_bias = vec![(0, f32::MAX), (1, f32::MIN), (2, f32::MIN)];
        });
        for sampling in [biased, with(|s| s.temperature = 0.0), with(|s| s.top_k = 4)] {
            for i in 0..100 {
                let u = uniform(1, 0, i);
                let id = sampler.sample(
                    &row,
                    &sampling,
                    &TokenHistory::default(),
                    Some(&mut only),
                    u,
                );
                assert!(matches!(id, Ok(1 | 2)), "{id:?}");
            }
        }
        // Nothing of it is left for the next sequence.
        let free = sampler.sample(
            &row,
            &with(|s| s.top_k = 1),
            &TokenHistory::default(),
            None,
            0.0,
        );
        assert_eq!(free, Ok(4));
    }
}
