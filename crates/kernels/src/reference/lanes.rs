//! Sums of many f32 terms in the one order of the numeric definition: 16 lanes, term `k` to lane `k mod 16`, then a
//! fixed tree over the lanes. The terms are padded with zeros to whole sixteens.

pub(crate) const LANES: usize = 16;

/// Adds lane `i + 8` to lane `i`, then `i + 4`, `i + 2`, `i + 1`.
pub(crate) fn tree(mut lanes: [f32; LANES]) -> f32 {
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

/// `Σ a[k] · b[k]`, each lane a chain of fused multiply-adds from 0.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    for start in (0..a.len()).step_by(LANES) {
        for (i, lane) in lanes.iter_mut().enumerate() {
            let k = start + i;
            let (a, b) = if k < a.len() {
                (a[k], b[k])
            } else {
                (0.0, 0.0)
            };
            *lane = a.mul_add(b, *lane);
        }
    }
    tree(lanes)
}

/// `Σ a[k]`, each lane a chain of additions from 0.
pub(crate) fn sum(a: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    for (k, value) in a.iter().enumerate() {
        lanes[k % LANES] += value;
    }
    tree(lanes)
}

/// The largest value, NaN not counted; −∞ if there is none.
pub(crate) fn max(a: &[f32]) -> f32 {
    let larger = |m, &x| if x > m { x } else { m };
    a.iter().fold(f32::NEG_INFINITY, larger)
}
