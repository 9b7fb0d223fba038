//! Attention without a mask, within one range of rows. This is the definition.
//!
//! One online softmax a row and head: keys in tiles of 128 in order.

use super::powers::{Gathered, Terms};
use crate::backend::FullAttention;
use crate::rows::Rows;
use std::f32::consts::LOG2_E;
use std::ops::Range;

/// Keys that share a step of the online softmax.
pub(crate) const KEY_TILE: usize = 128;

/// All rows and heads of `range`.
pub(crate) fn full_attention(
    q: &Rows,
    k: &Rows,
    v: &Rows,
    range: Range<usize>,
    shape: &FullAttention,
    out: &mut Rows,
) {
    let terms = Terms {
        rounded: shape.rounded,
    };
    for head in 0..shape.num_heads {
        let columns = head * shape.head_dim..(head + 1) * shape.head_dim;
        let of = |rows: &Rows, scale: f32| -> Vec<Vec<f32>> {
            let row = |r| rows.row(r)[columns.clone()].iter().map(|x| x * scale);
            let factors = |r| terms.factors(&row(r).collect::<Vec<f32>>());
            range.clone().map(factors).collect()
        };
        let (keys, values) = (of(k, 1.0), of(v, 1.0));
        // Scores become powers of two.
        let queries = of(q, shape.scale * LOG2_E);
        for (r, q) in range.clone().zip(&queries) {
            let row = Gathered::new(q, &keys, &values, KEY_TILE, &terms).means();
            out.row_mut(r)[columns.clone()].copy_from_slice(&row);
        }
    }
}
