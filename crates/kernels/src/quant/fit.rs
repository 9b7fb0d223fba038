//! Quantising: the scales (and minima) with the least squared error, and the quants that go with them.
//!
//! Everything is a search over a few dozen scales. For each, quants are the nearest, then the scale and minimum are the
//! least-squares line through them; the best line is kept as its f16 and integer parts. Values are weighted by their
//! magnitude (root mean square of the group plus their own): large weights move results more. A block's result depends on
//! its values alone. It knows no format's bytes.

use super::{Block, BlockScheme};
use crate::float::{f16_to_f32, f32_to_f16};

/// Values in the largest group.
const MOST: usize = 32;
/// Scales tried around the one that reaches the extreme values exactly.
const STEPS: i32 = 10;
/// How far apart they are, in quants.
const STEP: f32 = 0.1;
/// Rounds of improving integer and f16 scales in turn.
const ROUNDS: usize = 2;

/// `value = scale · quant + base`.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    scale: f32,
    base: f32,
}

/// What `base` may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Zero,
    NotAbove,
    Any,
}

/// Quants a scheme has, as they enter the formula.
#[derive(Clone, Copy)]
struct Range {
    low: f32,
    high: f32,
}

impl Range {
    fn of(scheme: &BlockScheme) -> Range {
        let low = -scheme.offset as f32;
        let high = low + f32::from(scheme.most);
        Range { low, high }
    }

    /// The quant nearest to `x`.
    #[inline(always)]
    fn nearest(self, x: f32) -> f32 {
        nearest(x.max(self.low).min(self.high))
    }
}

/// The whole number nearest to `x`, ties to even, for magnitudes below 2^22.
#[inline(always)]
fn nearest(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0; // 1.5 * 2^23: there a unit in the last place is 1.
    (x + SHIFT) - SHIFT
}

#[inline(always)]
fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

fn to_half(x: f32) -> f32 {
    f16_to_f32(f32_to_f16(x))
}

/// How much each value counts.
fn weights(values: &[f32]) -> [f32; MOST] {
    let square: f32 = values.iter().map(|x| x * x).sum();
    let rms = (square / values.len() as f32).sqrt();
    let mut weights = [0.0; MOST];
    for (w, x) in weights.iter_mut().zip(values) {
        *w = rms + x.abs();
    }
    weights
}

/// Values summed side by side: groups have a multiple of them.
const LANES: usize = 8;

/// The sums over a group of what `term` makes of each value, weight and quant; lane by lane, so that it vectorises.
#[inline(always)]
fn sums<const N: usize>(
    values: &[f32],
    weights: &[f32],
    quants: &[f32],
    term: impl Fn(f32, f32, f32) -> [f32; N],
) -> [f32; N] {
    let mut lanes = [[0.0; LANES]; N];
    let rows = values.as_chunks::<LANES>().0.iter();
    let rows = rows.zip(weights.as_chunks::<LANES>().0);
    for ((x, w), q) in rows.zip(quants.as_chunks::<LANES>().0) {
        for i in 0..LANES {
            let terms = term(x[i], w[i], q[i]);
            for (lanes, term) in lanes.iter_mut().zip(terms) {
                lanes[i] += term;
            }
        }
    }
    lanes.map(|lanes| lanes.iter().sum())
}

/// The weighted squared error of `line` with the nearest quants.
#[inline(always)]
fn cost(values: &[f32], weights: &[f32], line: Line, range: Range) -> f32 {
    let inverse = inverse(line.scale);
    let [error] = sums(values, weights, weights, |x, w, _| {
        let quant = range.nearest((x - line.base) * inverse);
        let error = x - (line.scale * quant + line.base);
        [w * error * error]
    });
    error
}

/// The line through `values` at `quants` with the least weighted squared error; none if the quants are all the same.
#[inline(always)]
fn least_squares(values: &[f32], weights: &[f32], quants: &[f32], base: Base) -> Option<Line> {
    let [w1, wq, wqq, wx, wxq] = sums(values, weights, quants, |x, w, q| {
        [w, w * q, w * q * q, w * x, w * x * q]
    });
    let through_zero = || {
        (wqq > 0.0).then(|| Line {
            scale: wxq / wqq,
            base: 0.0,
        })
    };
    if base == Base::Zero {
        return through_zero();
    }
    let determinant = w1 * wqq - wq * wq;
    // All quants the same, but for rounding: any line through one point.
    if determinant <= 1e-6 * w1 * wqq {
        return if base == Base::NotAbove {
            through_zero()
        } else {
            None
        };
    }
    let line = Line {
        scale: (w1 * wxq - wx * wq) / determinant,
        base: (wqq * wx - wq * wxq) / determinant,
    };
    if base == Base::NotAbove && line.base > 0.0 {
        return through_zero();
    }
    Some(line)
}

/// The best line for a group.
fn fit(values: &[f32], weights: &[f32], range: Range, base: Base) -> Line {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for &x in values {
        (low, high) = (low.min(x), high.max(x));
    }
    let start = match base {
        Base::Zero => 0.0,
        Base::NotAbove => low.min(0.0),
        Base::Any => low,
    };
    // Which value is to meet which quant exactly; every step moves it by a tenth of a quant.
    let extreme = if -low > high { low } else { high };
    let ends: &[(f32, f32)] = match base {
        Base::Zero => &[(extreme, range.low), (extreme, range.high)],
        _ => &[(high - start, range.high)],
    };
    let mut best = Line {
        scale: 0.0,
        base: start,
    };
    let mut least = cost(values, weights, best, range);
    let mut quants = [0.0; MOST];
    for &(value, quant) in ends.iter().filter(|(value, _)| *value != 0.0) {
        for step in -STEPS..=STEPS {
            let inverse = (quant + quant.signum() * STEP * step as f32) / value;
            for (q, x) in quants.iter_mut().zip(values) {
                *q = range.nearest((x - start) * inverse);
            }
            let Some(line) = least_squares(values, weights, &quants, base) else {
                continue;
            };
            let error = cost(values, weights, line, range);
            if error < least {
                (best, least) = (line, error);
            }
        }
    }
    best
}

fn put_quants(values: &[f32], line: Line, range: Range, quants: &mut [u8]) {
    let inverse = inverse(line.scale);
    for (quant, x) in quants.iter_mut().zip(values) {
        *quant = (range.nearest((x - line.base) * inverse) - range.low) as u8;
    }
}

/// Blocks with one scale (and minimum).
pub(super) fn scaled(values: &[f32], scheme: &BlockScheme, block: &mut Block) {
    let range = Range::of(scheme);
    let base = if scheme.has_min {
        Base::Any
    } else {
        Base::Zero
    };
    let line = fit(values, &weights(values), range, base);
    block.d = to_half(line.scale);
    block.min = to_half(line.base);
    let line = Line {
        scale: block.d,
        base: block.min,
    };
    put_quants(values, line, range, &mut block.quants);
}

/// One group of a super-block on the way.
#[derive(Clone, Copy)]
struct Group<'a> {
    values: &'a [f32],
    weights: [f32; MOST],
    /// Integer scale and minimum.
    scale: f32,
    min: f32,
}

impl Group<'_> {
    fn line(&self, d: f32, dmin: f32) -> Line {
        // As the value is computed: first the scale, then the product.
        Line {
            scale: d * self.scale,
            base: -(dmin * self.min),
        }
    }

    fn cost(&self, d: f32, dmin: f32, range: Range) -> f32 {
        cost(self.values, &self.weights, self.line(d, dmin), range)
    }
}

/// What a scheme's integer scales and minima may be.
struct Integers {
    scales: Range,
    mins: Range,
}

impl Integers {
    fn of(scheme: &BlockScheme) -> Integers {
        let range = |low, high| Range { low, high };
        let (scales, mins) = match scheme.has_min {
            // Six bits each; a signed byte and nothing.
            true => (range(0.0, 63.0), range(0.0, 63.0)),
            false => (range(-128.0, 127.0), range(0.0, 0.0)),
        };
        Integers { scales, mins }
    }
}

/// Blocks whose groups have integer scales (and minima).
pub(super) fn grouped(values: &[f32], scheme: &BlockScheme, block: &mut Block) {
    let (range, integers) = (Range::of(scheme), Integers::of(scheme));
    let empty = Group {
        values: &[],
        weights: [0.0; MOST],
        scale: 0.0,
        min: 0.0,
    };
    let mut groups = [empty; 16];
    let groups = &mut groups[..values.len() / scheme.group];
    let (mut d, mut dmin) = guess(values, scheme, &integers, groups);
    for _ in 0..ROUNDS {
        for group in groups.iter_mut() {
            improve_integers(group, d, dmin, range, &integers);
        }
        let (new_d, new_dmin) = refit(groups, d, dmin, range, scheme.has_min);
        let total = |d, dmin| groups.iter().map(|g| g.cost(d, dmin, range)).sum::<f32>();
        if total(new_d, new_dmin) < total(d, dmin) {
            (d, dmin) = (new_d, new_dmin);
        }
    }
    block.d = d;
    block.min = dmin;
    let quants = block.quants.chunks_mut(scheme.group);
    for (g, (group, quants)) in groups.iter().zip(quants).enumerate() {
        block.scales[g] = group.scale as i32;
        if scheme.has_min {
            block.mins[g] = group.min as i32;
        }
        put_quants(group.values, group.line(d, dmin), range, quants);
    }
}

/// The groups with the best line each, rounded to integers, and the f16 factors that make them fit.
fn guess<'a>(
    values: &'a [f32],
    scheme: &BlockScheme,
    integers: &Integers,
    groups: &mut [Group<'a>],
) -> (f32, f32) {
    let base = if scheme.has_min {
        Base::NotAbove
    } else {
        Base::Zero
    };
    let (mut largest, mut deepest) = (0.0_f32, 0.0_f32);
    for (group, values) in groups.iter_mut().zip(values.chunks_exact(scheme.group)) {
        let weights = weights(values);
        let line = fit(values, &weights, Range::of(scheme), base);
        *group = Group {
            values,
            weights,
            scale: line.scale,
            min: -line.base,
        };
        if line.scale.abs() > largest.abs() {
            largest = line.scale;
        }
        deepest = deepest.max(-line.base);
    }
    // The largest scale meets the integer with the greatest magnitude.
    let (d, dmin) = match scheme.has_min {
        true => (
            to_half(largest / integers.scales.high),
            to_half(deepest / integers.mins.high),
        ),
        false => (to_half(largest / integers.scales.low), 0.0),
    };
    for group in groups {
        group.scale = integers.scales.nearest(group.scale * inverse(d));
        group.min = integers.mins.nearest(group.min * inverse(dmin));
    }
    (d, dmin)
}

/// Tries the neighbours of a group's integer scale and minimum.
fn improve_integers(group: &mut Group, d: f32, dmin: f32, range: Range, integers: &Integers) {
    let mut best = *group;
    let mut least = group.cost(d, dmin, range);
    for scale in [-1.0, 0.0, 1.0] {
        for min in [-1.0, 0.0, 1.0] {
            let scale = (group.scale + scale).clamp(integers.scales.low, integers.scales.high);
            let min = (group.min + min).clamp(integers.mins.low, integers.mins.high);
            if scale == group.scale && min == group.min {
                continue;
            }
            let other = Group {
                scale,
                min,
                ..*group
            };
            let error = other.cost(d, dmin, range);
            if error < least {
                (best, least) = (other, error);
            }
        }
    }
    *group = best;
}

/// The f16 factors with the least squared error for the integers and quants as they are.
fn refit(groups: &[Group], d: f32, dmin: f32, range: Range, has_min: bool) -> (f32, f32) {
    // value = d · (scale · quant) + dmin · (−min)
    let (mut aa, mut ab, mut bb, mut xa, mut xb) = (0.0_f64, 0.0_f64, 0.0_f64, 0.0_f64, 0.0_f64);
    for group in groups {
        let line = group.line(d, dmin);
        let inverse = inverse(line.scale);
        for (x, w) in group.values.iter().zip(&group.weights) {
            let a = f64::from(group.scale * range.nearest((x - line.base) * inverse));
            let (b, x, w) = (f64::from(-group.min), f64::from(*x), f64::from(*w));
            aa += w * a * a;
            ab += w * a * b;
            bb += w * b * b;
            xa += w * x * a;
            xb += w * x * b;
        }
    }
    let determinant = aa * bb - ab * ab;
    if !has_min || bb == 0.0 {
        let alone = if aa > 0.0 { xa / aa } else { f64::from(d) };
        return (to_half(alone as f32), dmin);
    }
    if determinant <= 0.0 {
        return (d, dmin);
    }
    let new_d = (xa * bb - xb * ab) / determinant;
    let new_dmin = (xb * aa - xa * ab) / determinant;
    if new_d <= 0.0 || new_dmin < 0.0 {
        return (d, dmin);
    }
    (to_half(new_d as f32), to_half(new_dmin as f32))
}

#[cfg(test)]
mod tests {
    use crate::Format;

    /// Values without meaning, roughly normal.
    fn normal(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        (0..count)
            .map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0)
            .collect()
    }

    fn relative_error(format: Format, values: &[f32]) -> f64 {
        let mut bytes = vec![0; format.row_bytes(values.len()).unwrap()];
        format.quantize(values, &mut bytes);
        let mut back = vec![0.0; values.len()];
        format.dequantize(&bytes, &mut back);
        let square = |x: f64| x * x;
        let error: f64 = values
            .iter()
            .zip(&back)
            .map(|(x, y)| square(f64::from(x - y)))
            .sum();
        let whole: f64 = values.iter().map(|x| square(f64::from(*x))).sum();
        (error / whole).sqrt()
    }

    /// Format and relative error.
    const BOUNDS: [(Format, f64); 10] = [
        (Format::F16, 0.00022),
        (Format::Bf16, 0.0017),
        (Format::Q8_0, 0.0053),
        (Format::Q4_0, 0.0805),
        (Format::Q4_1, 0.0699),
        (Format::Q5_0, 0.0397),
        (Format::Q5_1, 0.0338),
        (Format::Q4K, 0.0699),
        (Format::Q5K, 0.0345),
        (Format::Q6K, 0.0168),
    ];

    /// Relative error on 2^16 normal values, at most 1 % above what was measured; llama.cpp's own quantisers are worse
    /// (docs/quantize.md has both).
    #[test]
    fn normal_values_come_back_within_the_measured_error() {
        let values = normal(1 << 16, 1);
        let mut wrong = Vec::new();
        for (format, bound) in BOUNDS {
            let error = relative_error(format, &values);
            if !(0.9 * bound..=bound).contains(&error) {
                wrong.push(format!("{}: {error:.6} against {bound}", format.name()));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn what_a_format_can_hold_exactly_comes_back_exactly() {
        for format in Format::ALL {
            let mut values = vec![0.0_f32; 2 * format.block_values().max(2)];
            assert_eq!(
                relative_error_or_zero(format, &values),
                0.0,
                "{}: zeros",
                format.name()
            );
            for value in [-0.75, 0.75] {
                values.fill(value);
                let error = relative_error(format, &values);
                assert!(
                    error < 2e-3,
                    "{}: {value} throughout: {error}",
                    format.name()
                );
            }
        }
    }

    fn relative_error_or_zero(format: Format, values: &[f32]) -> f32 {
        let mut bytes = vec![0xff; format.row_bytes(values.len()).unwrap()];
        format.quantize(values, &mut bytes);
        let mut back = vec![1.0; values.len()];
        format.dequantize(&bytes, &mut back);
        back.iter().fold(0.0, |most: f32, x| most.max(x.abs()))
    }

    #[test]
    fn neither_size_nor_outliers_make_anything_not_finite() {
        for format in Format::ALL {
            for scale in [1e-30_f32, 1e-9, 1e-4, 100.0] {
                let mut values: Vec<f32> = normal(1024, 3).iter().map(|x| x * scale).collect();
                values[7] = 500.0 * scale;
                let mut bytes = vec![0; format.row_bytes(values.len()).unwrap()];
                format.quantize(&values, &mut bytes);
                assert!(
                    !format.has_non_finite(&bytes),
                    "{} at {scale}",
                    format.name()
                );
                let mut back = vec![0.0; values.len()];
                format.dequantize(&bytes, &mut back);
                let off = (back[7] - values[7]).abs();
                assert!(
                    scale < 1e-3 || off <= 0.07 * values[7],
                    "{} at {scale}: {off}",
                    format.name()
                );
            }
        }
    }
}
