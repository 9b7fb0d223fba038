//! The transcendental functions of the numeric definition: ours, so that every machine gives the same bits.
//!
//! [`exp`] is written so that a vector unit with fused multiply-add can repeat it lane by lane; the others run once a
//! model or once a step and work in f64 with plain (never contracted) operations. Knows no operation of a model.

use std::f32::consts::LOG2_E;
use std::f64::consts::{FRAC_2_PI, LN_2, LOG2_E as LOG2_E_64, SQRT_2};

/// Below this, [`exp`] is zero: the result would be subnormal, and subnormals are slow.
pub(crate) const EXP_MIN: f32 = -87.336_54;
/// Above this, [`exp`] is infinite.
pub(crate) const EXP_MAX: f32 = 88.722_83;
/// ln 2 in two parts; the first has few bits, so that its product with a small integer is exact.
pub(crate) const LN_2_HIGH: f32 = 355.0 / 512.0;
/// What [`LN_2_HIGH`] leaves.
pub(crate) const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Adding 1.5 · 2²³ leaves the nearest integer in the low bits of the sum.
pub(crate) const ROUNDER: f32 = 12_582_912.0;
/// 1/k! for k = 7 down to 0: the series that [`exp`] sums on |r| <= ln 2 / 2, where its 8th term is below 6e-9.
pub(crate) const EXP_SERIES: [f32; 8] = [
    1.0 / 5040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// e to the `x`, within 1 ulp: 0 below `EXP_MIN` (no subnormal results), infinite above `EXP_MAX`, NaN for NaN.
///
/// `x = n ln 2 + r` with n the nearest integer; the series in `r` by fused multiply-add, times 2ⁿ in two exact steps.
pub fn exp(x: f32) -> f32 {
    let clamped = if x < EXP_MIN { EXP_MIN } else { x };
    let clamped = if clamped > EXP_MAX { EXP_MAX } else { clamped };
    let shifted = clamped.mul_add(LOG2_E, ROUNDER);
    let n = shifted - ROUNDER;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, clamped));
    let mut series = EXP_SERIES[0];
    for coefficient in &EXP_SERIES[1..] {
        series = series.mul_add(r, *coefficient);
    }
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    let half = n >> 1;
    let value = series * power_of_two(half) * power_of_two(n.wrapping_sub(half));
    let value = if x < EXP_MIN { 0.0 } else { value };
    if x > EXP_MAX { f32::INFINITY } else { value }
}

fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `x / (1 + exp(-x))`.
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// Below this, [`exp2`] is taken here: its results and all steps towards them stay clear of the subnormals.
pub(crate) const EXP2_MIN: f32 = -125.0;
/// Like [`ROUNDER`], with the bias of an exponent: a shift by 23 then makes a power of two of the sum's bits.
pub(crate) const EXP2_ROUNDER: f32 = ROUNDER + 127.0;
/// `(2^r - 1) / r` on |r| <= 1/2, highest power first, fitted so that 1 + r · that is within 2.9e-6 of 2^r, relatively.
pub(crate) const EXP2_SERIES: [f32; 4] = [0.009_582_855, 0.055_906_422, 0.240_240_99, 0.693_124_2];

/// 2 to the `x` for a softmax weight, `x` at most 127: within 3e-6, relatively; never below 2⁻¹²⁵; NaN for NaN.
///
/// (The weights of an image's attention are the only ones that are counted by the thousand million.)
pub fn exp2(x: f32) -> f32 {
    let clamped = if EXP2_MIN > x { EXP2_MIN } else { x };
    let shifted = clamped + EXP2_ROUNDER;
    let r = clamped - (shifted - EXP2_ROUNDER);
    let mut series = EXP2_SERIES[0];
    for coefficient in &EXP2_SERIES[1..] {
        series = series.mul_add(r, *coefficient);
    }
    series.mul_add(r, 1.0) * f32::from_bits(shifted.to_bits() << 23)
}

/// The step of `t = 1 / (1 + step · a)` in [`gelu`].
pub(crate) const NORMAL_STEP: f32 = 0.3;
/// `Φ(-a) e^(a²/2) / t` as a series in that t, highest power first, fitted to 1.5e-7, relatively, on 0 <= a <= 14.
pub(crate) const NORMAL_SERIES: [f32; 8] = [
    0.035_674_78,
    -0.157_203_1,
    0.206_353_53,
    -0.053_683_665,
    0.128_561_63,
    0.099_913_485,
    0.120_753_96,
    0.119_629_3,
];

/// `x · Φ(x)`, Φ the distribution function of the normal distribution: within 4e-7 of it, and of |x| if that is more.
pub fn gelu(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / NORMAL_STEP.mul_add(a, 1.0);
    let mut series = NORMAL_SERIES[0];
    for coefficient in &NORMAL_SERIES[1..] {
        series = series.mul_add(t, *coefficient);
    }
    let tail = exp(a * a * -0.5) * (series * t);
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

/// Sine and cosine of an angle in radians, rounded from f64: right to the last f32 bit or next to it for |angle| <= 2²⁰.
///
/// Past that the reduction loses about a bit each time the angle doubles; not finite gives NaN.
pub fn sin_cos(angle: f32) -> (f32, f32) {
    // pi/2 in three parts of 33 bits, so that the product with n < 2^20 is exact.
    const HALF_PI: [f64; 3] = [
        1.570_796_326_734_125_6,
        6.077_100_506_303_966e-11,
        2.022_266_248_795_950_6e-21,
    ];
    let x = f64::from(angle);
    let n = (x * FRAC_2_PI).round_ties_even();
    let r = ((x - n * HALF_PI[0]) - n * HALF_PI[1]) - n * HALF_PI[2];
    let square = r * r;
    // Taylor; on |r| <= pi/4 the first term left out is below 1e-16.
    let mut sine = 1.0;
    let mut cosine = 1.0;
    for k in (1..=8u32).rev() {
        let k = f64::from(2 * k);
        sine = 1.0 - sine * square / (k * (k + 1.0));
        cosine = 1.0 - cosine * square / (k * (k - 1.0));
    }
    let (sine, cosine) = ((r * sine) as f32, cosine as f32);
    match (n as i64).rem_euclid(4) {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

/// Natural logarithm, within a few f64 ulps; −∞ at 0, NaN below.
pub fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x.is_infinite() {
        return x;
    }
    let (x, shift) = if x < f64::MIN_POSITIVE {
        (x * 18_014_398_509_481_984.0, 54) // 2^54
    } else {
        (x, 0)
    };
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023 - shift;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh s; |s| <= 0.172, so the first term left out is below 1e-17.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let mut series = 0.0;
    for k in (0..=10u32).rev() {
        series = series * (s * s) + 1.0 / f64::from(2 * k + 1);
    }
    f64::from(exponent) * LN_2 + 2.0 * s * series
}

/// `base` (above 0) to the `exponent`, with a relative error of about `|exponent · ln base|` f64 ulps.
pub fn pow(base: f64, exponent: f64) -> f64 {
    let x = exponent * ln(base);
    let n = (x * LOG2_E_64).round_ties_even();
    if n.is_nan() || n > 1023.0 {
        return if n > 1023.0 { f64::INFINITY } else { f64::NAN };
    }
    if n < -1021.0 {
        return 0.0;
    }
    let r = x - n * LN_2;
    let mut series = 1.0;
    for k in (1..=14u32).rev() {
        series = 1.0 + series * r / f64::from(k);
    }
    series * f64::from_bits(((n as i64 + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ulps(ours: f32, exact: f64) -> f64 {
        let spacing = f64::from(f32::from_bits((exact as f32).abs().to_bits() + 1))
            - f64::from((exact as f32).abs());
        (f64::from(ours) - exact).abs() / spacing
    }

    #[test]
    fn exp_is_within_an_ulp() {
        let mut worst = 0f64;
        for step in 0..2_000_000 {
            let x = -87.3 + step as f32 * 8.8e-5;
            worst = worst.max(ulps(exp(x), f64::from(x).exp()));
        }
        assert!(worst < 1.0, "{worst} ulps");
    }

    #[test]
    fn exp_at_its_ends() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-88.0), 0.0);
        assert_eq!(exp(f32::MIN), 0.0);
        assert!(exp(EXP_MIN) >= f32::MIN_POSITIVE);
        assert!(exp(EXP_MAX).is_finite() && exp(EXP_MAX) > 3.4e38);
        assert_eq!(exp(88.73), f32::INFINITY);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn silu_is_close_and_finite_far_out() {
        for step in -20_000..20_000 {
            let x = step as f32 * 3e-3;
            let exact = f64::from(x) / (1.0 + f64::from(-x).exp());
            assert!(
                (f64::from(silu(x)) - exact).abs() <= 3e-7 * exact.abs(),
                "{x}"
            );
        }
        assert_eq!(silu(-1e30), -0.0);
        assert_eq!(silu(1e30), 1e30);
        assert!(silu(f32::NAN).is_nan());
    }

    #[test]
    fn powers_of_two_are_within_three_millionths() {
        for step in 0..1_250_000 {
            let x = -(step as f32) * 1e-4;
            let exact = f64::from(x).exp2();
            assert!((f64::from(exp2(x)) - exact).abs() <= 3e-6 * exact, "{x}");
        }
        assert_eq!(exp2(0.0), 1.0);
        assert_eq!(exp2(f32::NEG_INFINITY), 2f32.powi(-125));
        assert!(exp2(f32::NAN).is_nan());
    }

    /// Φ by its series, whose terms are all positive.
    fn normal(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..400 {
            term *= x * x / f64::from(2 * n + 1);
            sum += term;
        }
        0.5 + sum * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
    }

    #[test]
    fn gelu_is_close_and_finite_far_out() {
        for step in -14_000..14_000 {
            let x = step as f32 * 1e-3;
            let exact = f64::from(x) * normal(f64::from(x));
            let bound = 4e-7 * f64::from(x.abs()).max(1.0);
            assert!((f64::from(gelu(x)) - exact).abs() <= bound, "{x}");
        }
        assert_eq!((gelu(0.0), gelu(-1e30), gelu(1e30)), (0.0, 0.0, 1e30));
        assert!(gelu(f32::NAN).is_nan());
    }

    #[test]
    fn sine_and_cosine_are_right_up_to_a_million_radians() {
        let mut worst = 0f64;
        for step in 0..1_000_000u32 {
            let angle = (step as f32 - 5e5) * 2.097_01;
            let (sine, cosine) = sin_cos(angle);
            let exact = f64::from(angle).sin_cos();
            worst = worst.max(ulps(sine, exact.0)).max(ulps(cosine, exact.1));
        }
        for step in 0..100_000u32 {
            let angle = step as f32 * 1e-4;
            let (sine, cosine) = sin_cos(angle);
            let exact = f64::from(angle).sin_cos();
            worst = worst.max(ulps(sine, exact.0)).max(ulps(cosine, exact.1));
        }
        assert!(worst < 0.5001, "{worst} ulps");
        assert_eq!(sin_cos(0.0), (0.0, 1.0));
        assert!(sin_cos(f32::INFINITY).0.is_nan() && sin_cos(f32::NAN).1.is_nan());
    }

    #[test]
    fn logarithms_and_powers_are_close() {
        for step in 1..200_000u32 {
            let x = f64::from(step) * 0.0137;
            assert!(
                (ln(x) - x.ln()).abs() <= 1e-15 * x.ln().abs().max(0.1),
                "{x}"
            );
        }
        for exponent in -300..300 {
            let x = 10f64.powi(exponent);
            assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs(), "{x}");
        }
        for step in 0..1000u32 {
            let exponent = -f64::from(step) / 1000.0;
            for base in [1e4, 1e6, 1e9, 2.0] {
                let (ours, exact) = (pow(base, exponent), base.powf(exponent));
                assert!((ours - exact).abs() <= 1e-14 * exact, "{base}^{exponent}");
            }
        }
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert!(ln(-1.0).is_nan());
        assert_eq!(ln(1.0), 0.0);
        assert!((ln(5e-324) - -744.440_071_921_381_2).abs() < 1e-9);
        assert_eq!(pow(10.0, 400.0), f64::INFINITY);
        assert_eq!(pow(10.0, -400.0), 0.0);
    }
}
