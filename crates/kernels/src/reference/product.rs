//! The product `y = x · wᵀ` of one row with a matrix, for each family of formats. This is the definition.
//!
//! An element of `y` depends on one row of `x` and one row of `w`, and on nothing else.

use super::lanes;
use crate::float::{bf16_to_f32, f32_to_bf16, split_bf16};
use crate::matrix::Matrix;
use crate::quant::{Block, BlockScheme, Format, Scheme};

/// Activations that share a scale when they meet super-blocks of 256 weights.
pub(crate) const SUPER_ACTIVATIONS: usize = 256;
/// Activations that share a scale when they meet weights with a scale every 32. (One scale a 256 costs SmolLM2 in Q4_1
/// 1.4 % of perplexity over f32 activations; one a 32 costs 0.3 %, and the weights' scales are met every 32 anyway.)
pub(crate) const SCALED_ACTIVATIONS: usize = 32;
/// Values of one step of the bf16 product.
pub(crate) const BF16_STEP: usize = 32;
/// An activation block whose largest value is below this (2⁻¹⁰⁰) counts as zero: its scale could not be inverted.
pub(crate) const SMALLEST_ACTIVATION: f32 = f32::from_bits((127 - 100) << 23);

/// `out[n] = x · w[n]`.
pub(crate) fn product(x: &[f32], weight: &Matrix, out: &mut [f32]) {
    let spec = weight.format().spec();
    match &spec.scheme {
        _ if weight.cols() == 0 => out.fill(0.0),
        Scheme::Plain { .. } => {
            let mut row = vec![0.0; weight.cols()];
            for (n, out) in out.iter_mut().enumerate() {
                weight.format().dequantize(weight.row(n), &mut row);
                *out = match weight.format() {
                    Format::Bf16 if weight.rounds_activations() => dot_pairs(x, &row),
                    Format::Bf16 => dot_bf16(x, &row),
                    _ => lanes::dot(x, &row),
                };
            }
        }
        Scheme::Scaled(scheme) => {
            let x = quantize(x, SCALED_ACTIVATIONS);
            for (n, out) in out.iter_mut().enumerate() {
                *out = dot_scaled(&x, scheme, weight.row(n).chunks_exact(spec.bytes));
            }
        }
        Scheme::Super(scheme) => {
            let x = quantize(x, SUPER_ACTIVATIONS);
            for (n, out) in out.iter_mut().enumerate() {
                *out = dot_super(&x, scheme, weight.row(n).chunks_exact(spec.bytes));
            }
        }
    }
}

/// Activations that share a scale, as int8: `x ≈ scale · quants`.
pub(crate) struct QuantizedBlock {
    pub scale: f32,
    pub quants: Vec<i32>,
}

/// Quantises a row of activations, `block` at a time (the last may be shorter).
///
/// `largest` is the maximum of the bit patterns with the sign cleared, so NaN and infinity win. Then
/// `scale = largest / 127`, `q = round(x · (127 / largest))`, ties to even, which never leaves −127..=127.
/// Blocks of (nearly) nothing have scale and quants 0; blocks with a NaN or an infinity have a NaN scale and quants 0,
/// so that every product with them is NaN.
pub(crate) fn quantize(x: &[f32], block: usize) -> Vec<QuantizedBlock> {
    let quantize_block = |x: &[f32]| {
        let bits = x.iter().map(|x| x.to_bits() & 0x7fff_ffff).max();
        let largest = f32::from_bits(bits.unwrap_or(0));
        let (scale, inverse) = if !largest.is_finite() {
            (f32::NAN, 0.0)
        } else if largest < SMALLEST_ACTIVATION {
            (0.0, 0.0)
        } else {
            (largest / 127.0, 127.0 / largest)
        };
        let quant = |x: &f32| {
            if scale.is_nan() {
                0
            } else {
                (x * inverse).round_ties_even() as i32
            }
        };
        QuantizedBlock {
            scale,
            quants: x.iter().map(quant).collect(),
        }
    };
    x.chunks(block).map(quantize_block).collect()
}

/// Formats with f16 scales every 32: a block's exact sum, times the activations' scale, joins by one fused multiply-add
/// with the weights' scale; then the same for the minimum.
fn dot_scaled<'a>(
    x: &[QuantizedBlock],
    scheme: &BlockScheme,
    weights: impl Iterator<Item = &'a [u8]>,
) -> f32 {
    let mut weight = Block::new();
    let mut acc = 0f32;
    for (x, bytes) in x.iter().zip(weights) {
        (scheme.unpack)(bytes, &mut weight);
        let (dot, sum) = exact_sums(&x.quants, &weight.quants, scheme.offset);
        acc = weight.d.mul_add(x.scale * dot as f32, acc);
        if scheme.has_min {
            acc = weight.min.mul_add(x.scale * sum as f32, acc);
        }
    }
    acc
}

/// Formats with super-blocks: integer scales and minima are applied exactly; one fused multiply-add for the scales of a
/// super-block, one for its minima.
fn dot_super<'a>(
    x: &[QuantizedBlock],
    scheme: &BlockScheme,
    weights: impl Iterator<Item = &'a [u8]>,
) -> f32 {
    let mut weight = Block::new();
    let mut acc = 0f32;
    for (x, bytes) in x.iter().zip(weights) {
        (scheme.unpack)(bytes, &mut weight);
        let (mut scaled, mut minima) = (0i32, 0i32);
        let groups = x
            .quants
            .chunks(scheme.group)
            .zip(weight.quants.chunks(scheme.group));
        for (g, (quants, stored)) in groups.enumerate() {
            let (dot, sum) = exact_sums(quants, stored, scheme.offset);
            scaled += weight.scales[g] * dot;
            if scheme.has_min {
                minima += weight.mins[g] * sum;
            }
        }
        acc = (weight.d * x.scale).mul_add(scaled as f32, acc);
        if scheme.has_min {
            acc = (-(weight.min * x.scale)).mul_add(minima as f32, acc);
        }
    }
    acc
}

/// `(Σ a · (q − offset), Σ a)`, exact.
fn exact_sums(activations: &[i32], stored: &[u8], offset: i32) -> (i32, i32) {
    let (mut dot, mut sum) = (0, 0);
    for (a, q) in activations.iter().zip(stored) {
        dot += a * (i32::from(*q) - offset);
        sum += a;
    }
    (dot, sum)
}

/// The bf16 product: as a tile unit sums it (TDPBF16PS), which every other unit can repeat.
///
/// `x` is split into two bf16 parts. Along k in steps of 32 (the last padded with zeros), for the high part and then the
/// low: one chain of fused multiply-adds over the even k, one over the odd, each from 0; their sum joins the total.
/// Subnormals count as zero, going in and coming out, in every one of these operations.
pub(crate) fn dot_bf16(x: &[f32], weight: &[f32]) -> f32 {
    let mut total = 0f32;
    for (x, weight) in x.chunks(BF16_STEP).zip(weight.chunks(BF16_STEP)) {
        let (mut high, mut low, mut w) = ([0f32; BF16_STEP], [0f32; BF16_STEP], [0f32; BF16_STEP]);
        for (k, (x, weight)) in x.iter().zip(weight).enumerate() {
            (high[k], low[k]) = split_bf16(*x);
            w[k] = *weight;
        }
        for part in [high, low] {
            let (mut even, mut odd) = (0f32, 0f32);
            for k in (0..BF16_STEP).step_by(2) {
                even = fma_flushed(w[k], part[k], even);
                odd = fma_flushed(w[k + 1], part[k + 1], odd);
            }
            total = add_flushed(total, add_flushed(even, odd));
        }
    }
    total
}

/// The bf16 product with activations rounded to bf16: as the dot product of bf16 pairs sums it (VDPBF16PS).
fn dot_pairs(x: &[f32], weight: &[f32]) -> f32 {
    let rounded: Vec<f32> = x.iter().map(|x| bf16_to_f32(f32_to_bf16(*x))).collect();
    add_pairs(&rounded, weight, 0.0)
}

/// `acc + Σ a[k] · b[k]`, one chain of fused multiply-adds over bf16 values in pairs, the last padded with zeros: of each
/// pair first the second product, then the first. Subnormals count as zero in every one of these operations.
pub(crate) fn add_pairs(a: &[f32], b: &[f32], mut acc: f32) -> f32 {
    for (a, b) in a.chunks(2).zip(b.chunks(2)) {
        let second = |pair: &[f32]| pair.get(1).copied().unwrap_or(0.0);
        acc = fma_flushed(second(a), second(b), acc);
        acc = fma_flushed(a[0], b[0], acc);
    }
    acc
}

/// `a · b + c`, subnormal operands and results replaced by zeros of their sign: what x86 does with DAZ and FTZ set.
pub(crate) fn fma_flushed(a: f32, b: f32, c: f32) -> f32 {
    let (a, b, c) = (flush(a), flush(b), flush(c));
    let result = a.mul_add(b, c);
    if result.abs() == f32::MIN_POSITIVE {
        // A unit asks whether the result is tiny after rounding to 24 bits with no lower end to the exponents; just
        // below the smallest normal that differs from what it rounds to. The f64 sum is exact here: a and b have 8 bits.
        let exact = f64::from(a).mul_add(f64::from(b), f64::from(c)).abs();
        let half_step_below = f64::from(f32::MIN_POSITIVE) * (1.0 - f64::from(f32::EPSILON) / 4.0);
        if exact < half_step_below {
            return 0f32.copysign(result);
        }
    }
    flush(result)
}

/// `a + b`, flushed like [`fma_flushed`]. (A sum of normals that is subnormal is exact, so no rounding case arises.)
pub(crate) fn add_flushed(a: f32, b: f32) -> f32 {
    flush(flush(a) + flush(b))
}

fn flush(x: f32) -> f32 {
    if x.is_subnormal() {
        0f32.copysign(x)
    } else {
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantised_activations_stay_close_and_in_range() {
        let x: Vec<f32> = (0..600)
            .map(|i| ((i * 7919) % 601) as f32 * 0.37 - 100.0)
            .collect();
        let blocks = quantize(&x, 256);
        assert_eq!(
            blocks.iter().map(|b| b.quants.len()).collect::<Vec<_>>(),
            [256, 256, 88]
        );
        for (x, block) in x.chunks(256).zip(&blocks) {
            for (x, q) in x.iter().zip(&block.quants) {
                assert!((-127..=127).contains(q));
                assert!((x - block.scale * *q as f32).abs() <= block.scale * 0.5001);
            }
        }
    }

    #[test]
    fn odd_activation_blocks_are_zero_or_nan_never_wrong() {
        for (x, scale) in [(0.0, 0.0), (1e-40, 0.0), (1e-31, 0.0)] {
            let block = &quantize(&[x, -x], 32)[0];
            assert!(block.scale == scale && block.quants == [0, 0]);
        }
        for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let block = &quantize(&[1.0, x], 32)[0];
            assert!(block.scale.is_nan() && block.quants == [0, 0]);
        }
        for x in [SMALLEST_ACTIVATION, f32::MAX, 3.3e37] {
            let block = &quantize(&[x, -x], 32)[0];
            assert!(block.scale > 0.0 && block.quants == [127, -127], "{x}");
        }
    }

    #[test]
    fn the_bf16_product_is_close_to_the_exact_one() {
        let x: Vec<f32> = (0..77).map(|i| (i as f32 * 0.7).sin() * 3.0).collect();
        let w: Vec<f32> = (0..77).map(|i| (i as f32 - 30.0) * 0.25).collect();
        let exact: f64 = x
            .iter()
            .zip(&w)
            .map(|(x, w)| f64::from(*x) * f64::from(*w))
            .sum();
        assert!((f64::from(dot_bf16(&x, &w)) - exact).abs() < 2e-3);
    }

    #[test]
    fn flushing_asks_after_rounding() {
        let smallest = f32::MIN_POSITIVE;
        assert_eq!(fma_flushed(1.0, 1.0, 1e-39).to_bits(), 1f32.to_bits());
        assert_eq!(
            fma_flushed(-0.5, smallest, 0.0).to_bits(),
            (-0f32).to_bits()
        );
        // Half a 24-bit step below the smallest normal rounds up to it; anything less is flushed.
        let step = smallest * 2f32.powi(-24);
        assert_eq!(step, 0.0, "below the subnormals");
        let just_under = 1.0 - 2f32.powi(-8);
        assert_eq!(fma_flushed(just_under, smallest, 0.0), 0.0);
        assert_eq!(fma_flushed(2f32.powi(-25), -smallest, smallest), smallest);
        assert_eq!(fma_flushed(1.5 * 2f32.powi(-25), -smallest, smallest), 0.0);
        assert_eq!(fma_flushed(2f32.powi(-24), -smallest, smallest), 0.0);
    }
}
