//! The 16-bit floats as bits, and the small exact steps between them and f32.
//!
//! Branch-free where a loop over them should vectorise. Knows no format and no operation.

/// The value of IEEE half-precision bits. Exact.
#[inline(always)]
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let sign = u32::from(bits & 0x8000) << 16;
    let value = if magnitude >= 0x7c00 << 13 {
        f32::from_bits(magnitude | 0x7f80_0000)
    } else {
        // The exponent's bias is 15 here and 127 there. A product of a power of two is exact, subnormals included.
        f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23)
    };
    f32::from_bits(value.to_bits() | sign)
}

/// Rounds to IEEE half precision, ties to even; what is too large becomes infinite, a NaN stays a (quiet) NaN.
#[inline(always)]
pub(crate) fn f32_to_f16(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16) & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    // 65520 lies half-way to the next power of two, 2^-14 is the least normal half.
    let rounded = if magnitude > 0x7f80_0000 {
        0x7e00
    } else if magnitude >= 65_520f32.to_bits() {
        0x7c00
    } else if magnitude >= 2f32.powi(-14).to_bits() {
        let rebased = magnitude - (112 << 23);
        (rebased + 0x0fff + ((rebased >> 13) & 1)) >> 13
    } else {
        // Beside 0.5 a unit in the last place is 2^-24, the least half: the sum is rounded as it must be.
        (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5f32.to_bits()
    };
    (sign | rounded) as u16
}

/// The value of bfloat16 bits. Exact.
#[inline(always)]
pub(crate) fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Rounds to bfloat16, ties to even; a NaN stays a (quiet) NaN.
#[inline(always)]
pub(crate) fn f32_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let quiet = bits | 0x0040_0000;
    ((if x.is_nan() { quiet } else { rounded }) >> 16) as u16
}

/// Two values rounded to bfloat16, `low` in the low half of the word.
#[inline(always)]
pub(crate) fn pair_bf16(low: f32, high: f32) -> i32 {
    (u32::from(f32_to_bf16(low)) | u32::from(f32_to_bf16(high)) << 16) as i32
}

/// `x` as the sum of two bfloat16 values: `high` nearest to `x`, `low` nearest to what is left.
///
/// An infinite or NaN `x` (or one that rounds to infinity) makes `low` NaN, and so every product with it.
#[inline(always)]
pub(crate) fn split_bf16(x: f32) -> (f32, f32) {
    let high = bf16_to_f32(f32_to_bf16(x));
    let low = bf16_to_f32(f32_to_bf16(x - high));
    (high, low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_what_the_half_crate_says() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (f16_to_f32(bits), half::f16::from_bits(bits).to_f32());
            assert!(
                ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()),
                "{bits:#x}"
            );
        }
    }

    #[test]
    fn rounding_to_half_is_what_the_half_crate_says() {
        for step in 0..4_000_000u32 {
            let x = f32::from_bits(step.wrapping_mul(1073));
            let (ours, theirs) = (f32_to_f16(x), half::f16::from_f32(x).to_bits());
            assert!(
                ours == theirs || f16_to_f32(ours).is_nan() && x.is_nan(),
                "{x:?}"
            );
        }
        // Every half, and the ties between neighbours.
        for bits in 0..0x7c00 {
            let (low, high) = (f16_to_f32(bits), f16_to_f32(bits + 1));
            assert_eq!(f32_to_f16(low), bits);
            let tie = if high.is_finite() {
                (low + high) / 2.0
            } else {
                65_520.0
            };
            assert_eq!(f32_to_f16(-tie), 0x8000 | (bits + (bits & 1)));
        }
    }

    #[test]
    fn rounding_to_bfloat16_is_what_the_half_crate_says() {
        for step in 0..4_000_000u32 {
            let x = f32::from_bits(step.wrapping_mul(1073));
            let (ours, theirs) = (f32_to_bf16(x), half::bf16::from_f32(x).to_bits());
            assert!(
                ours == theirs || bf16_to_f32(ours).is_nan() && x.is_nan(),
                "{x:?}"
            );
        }
    }

    #[test]
    fn two_halves_keep_sixteen_bits() {
        for step in 0..1_000_000u32 {
            let x = (step as f32 - 5e5) * 1.7e-3;
            let (high, low) = split_bf16(x);
            assert!(
                (high + low - x).abs() <= x.abs() * 2f32.powi(-16),
                "{x} = {high} + {low}"
            );
        }
        let (_, low) = split_bf16(f32::INFINITY);
        assert!(low.is_nan());
    }
}
