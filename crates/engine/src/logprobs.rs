//! From a row of logits to log-probabilities: of the model's own distribution, whatever the sampler did with it.
//!
//! Everything is in f64 with sums in a fixed order.

use crate::events::TokenLogprobs;
use crate::math::{exp_negative, exp_negative_lanes, ln};
use std::cmp::Ordering;

/// Larger logits first, then lower ids. Adding 0 makes the two zeros equal.
pub(crate) fn by_likelihood(logits: &[f32], a: u32, b: u32) -> Ordering {
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
        let (chunks, rest) = row.as_chunks::<8>();
        for chunk in chunks {
            let weights = exp_negative_lanes(chunk.map(|l| f64::from(l) - max));
            for (lane, weight) in lanes.iter_mut().zip(weights) {
                *lane += weight;
            }
        }
        for (lane, &l) in lanes.iter_mut().zip(rest) {
            *lane += exp_negative(f64::from(l) - max);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::uniform;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn logprobs_are_log_softmax(seed in any::<u64>(), n in 1usize..60, top in 0usize..60, shift in -1e30f32..1e30) {
            let top = top.min(n);
            let fine = |i| (uniform(seed, 0, i) * 12.0 - 6.0) as f32;
            let coarse = |i| fine(i).round() + 0.0;
            let huge = |i| fine(i) + shift;
            for row in [
                (0..n as u64).map(fine).collect::<Vec<f32>>(),
                (0..n as u64).map(coarse).collect(),
                (0..n as u64).map(huge).collect(),
            ] {
                let max = row.iter().copied().fold(f32::MIN, f32::max);
                let relative = |id: usize| f64::from(row[id]) - f64::from(max);
                let log_sum = (0..n).map(|id| relative(id).exp()).sum::<f64>().ln();
                let found = logprobs(&row, (n / 2) as u32, top);
                prop_assert!((found.logprob - (relative(n / 2) - log_sum)).abs() < 1e-12);
                prop_assert_eq!(&found.top, &top_logprobs(&row, top));
                prop_assert_eq!(found.top.len(), top);
                let mut order: Vec<usize> = (0..n).collect();
                order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
                for ((id, logprob), want) in found.top.into_iter().zip(order) {
                    prop_assert_eq!(id as usize, want);
                    prop_assert!((logprob - (relative(want) - log_sum)).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn equal_logits_go_by_id() {
        let row = [-1.0, 0.0, -0.0, 0.0, -1.0];
        let ids: Vec<u32> = top_logprobs(&row, 4).into_iter().map(|t| t.0).collect();
        assert_eq!(ids, [1, 2, 3, 0]);
    }
}
