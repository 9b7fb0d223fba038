//! exp and ln of this crate, in f64 and the same on every machine: additions, multiplications and one fixed polynomial.
//!
//! libm's differ from one C library to the next, which would make sampling differ too. It knows nothing of logits.

/// ln 2 in two parts: the first has its low bits clear, so that `k * LN_2_HIGH` is exact for every exponent k.
const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN_2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
/// Adding and taking away 1.5 * 2^52 rounds to an integer, ties to even, without a library call.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// Below this, [`exp_negative`] is 0: the result would be near the smallest normal number.
const EXP_FLOOR: f64 = -700.0;

/// 1 / n! for n = 13 down to 0.
const EXP_COEFFICIENTS: [f64; 14] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// e^x for x <= 0, as softmax needs it: 0 below -700 and for minus infinity, exactly 1 at 0.
///
/// `x = k ln 2 + r` with `|r| <= ln 2 / 2`; e^r by its Taylor polynomial of degree 13 (remainder under 5e-18).
#[inline]
pub(crate) fn exp_negative(x: f64) -> f64 {
    exp_negative_lanes([x])[0]
}

/// [`exp_negative`] of several numbers: the same bits, written so that the compiler computes them side by side.
#[inline]
pub(crate) fn exp_negative_lanes<const N: usize>(x: [f64; N]) -> [f64; N] {
    let inside = x.map(|x| if x > EXP_FLOOR { x } else { EXP_FLOOR });
    let shifted = inside.map(|x| x * std::f64::consts::LOG2_E + ROUND);
    let mut r = [0.0; N];
    for i in 0..N {
        let k = shifted[i] - ROUND;
        r[i] = (inside[i] - k * LN_2_HIGH) - k * LN_2_LOW;
    }
    let mut result = [0.0; N];
    for c in EXP_COEFFICIENTS {
        for i in 0..N {
            result[i] = result[i] * r[i] + c;
        }
    }
    for i in 0..N {
        // The low bits of `shifted` are k in two's complement; moved to the exponent field they multiply by 2^k.
        let exponent = shifted[i].to_bits().wrapping_add(1023) << 52;
        let value = result[i] * f64::from_bits(exponent);
        result[i] = if x[i] > EXP_FLOOR { value } else { 0.0 };
    }
    result
}

/// ln x for a normal, positive x.
///
/// `x = m 2^e` with m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh((m - 1) / (m + 1)) by its series.
pub(crate) fn ln(x: f64) -> f64 {
    debug_assert!(x.is_normal() && x > 0.0, "ln of {x}");
    let bits = x.to_bits();
    let mut e = (bits >> 52) as i64 - 1023;
    let mut m = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        e += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let mut series = 0.0;
    for n in (0..13u32).rev() {
        series = series * s2 + 1.0 / f64::from(2 * n + 1);
    }
    let e = e as f64;
    e * LN_2_HIGH + (2.0 * s * series + e * LN_2_LOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_std() {
        for i in 0..=699_000 {
            let x = -f64::from(i) * 1e-3;
            let (got, want) = (exp_negative(x), x.exp());
            assert!(
                (got - want).abs() <= 4e-16 * want,
                "exp({x}): {got:e} {want:e}"
            );
        }
        assert_eq!(exp_negative(0.0), 1.0);
        assert_eq!(exp_negative(-0.0), 1.0);
        assert_eq!(exp_negative(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp_negative(-1e300), 0.0);
        assert!(exp_negative(-5e-324) <= 1.0);
    }

    #[test]
    fn exp_never_exceeds_one_and_never_falls() {
        let mut last = 1.0;
        for i in 0..2_000_000 {
            let y = exp_negative(-f64::from(i) * 1e-6);
            assert!(y <= last, "exp(-{i}e-6) rises");
            last = y;
        }
    }

    #[test]
    fn ln_agrees_with_std() {
        for i in 1..400_000 {
            for x in [
                f64::from(i) * 1e-5,
                f64::from(i) * 0.37,
                f64::from(i) * 1e290,
            ] {
                let (got, want) = (ln(x), x.ln());
                let bound = 8e-16 * want.abs().max(1e-3);
                assert!((got - want).abs() <= bound, "ln({x:e}): {got:e} {want:e}");
            }
        }
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(f64::MIN_POSITIVE), f64::MIN_POSITIVE.ln());
    }

    /// The bits themselves, so that a machine on which they differ is found.
    #[test]
    fn bits_are_pinned() {
        let exps = [-0.1, -1.0, -2.5, -10.0, -123.456].map(|x| exp_negative(x).to_bits());
        let lns = [2.0, 3.0, 10.0, 131_072.0, 0.7].map(|x| ln(x).to_bits());
        assert_eq!((exps, lns), PINNED);
    }
    const PINNED: ([u64; 5], [u64; 5]) = (
        [
            0x3fec_f46d_99d5_2b3a,
            0x3fd7_8b56_362c_ef38,
            0x3fb5_0385_c094_f425,
            0x3f07_cd79_b564_7c9a,
            0x34cd_a9fb_9e4e_e720,
        ],
        [
            0x3fe6_2e42_fefa_39ef,
            0x3ff1_93ea_7aad_030b,
            0x4002_6bb1_bbb5_5516,
            0x4027_9127_2ee9_dd8e,
            0xbfd6_d3c3_24e1_3f4f,
        ],
    );
}
