//! The router: from one row of logits to experts and weights. This is the definition.

use super::lanes;
use crate::backend::RouterRule;
use crate::math::exp;

/// Chooses `experts.len()` experts for one row, best first.
///
/// Softmax over all logits (the sum by 16 lanes); the largest probabilities, ties to the lower index; a NaN counts as
/// the largest, so that it reaches the result instead of vanishing.
pub(crate) fn route_row(
    logits: &[f32],
    rule: RouterRule,
    experts: &mut [u32],
    weights: &mut [f32],
) {
    let max = lanes::max(logits);
    let mut scores: Vec<f32> = logits.iter().map(|x| exp(x - max)).collect();
    let sum = lanes::sum(&scores);
    scores.iter_mut().for_each(|p| *p /= sum);
    choose(&scores, rule, experts, weights);
}

/// The end of [`route_row`], from the probabilities on.
pub(crate) fn choose(scores: &[f32], rule: RouterRule, experts: &mut [u32], weights: &mut [f32]) {
    let rank = |i: &u32| {
        let score = scores[*i as usize];
        let key = if score.is_nan() {
            u32::MAX
        } else {
            score.to_bits()
        };
        (std::cmp::Reverse(key), *i)
    };
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_unstable_by_key(rank);
    experts.copy_from_slice(&order[..experts.len()]);
    let chosen = || experts.iter().map(|e| scores[*e as usize]);
    let divisor = if rule.renormalise {
        chosen().fold(0.0, |sum, p| sum + p) + 1e-20
    } else {
        1.0
    };
    for (weight, score) in weights.iter_mut().zip(chosen()) {
        *weight = score / divisor * rule.scale;
    }
}
