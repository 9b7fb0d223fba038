//! SwiGLU feed-forwards, one or many: tokens grouped by expert, every expert's weights read once a step.
//!
//! Regions: quantise the rows; gate, up and SwiGLU of all experts; quantise; down of all; sum in rank order.

use super::Cpu;
use super::products::Product;
use super::shared::Shared;
use crate::backend::{FeedForward, Routing};
use crate::rows::Rows;
use crate::simd::{Kernel, Simd};

/// One feed-forward and the rows it is for. A (feed-forward, row) is a pair; pairs are numbered through all parts.
struct Part<'a> {
    weights: &'a FeedForward,
    rows: Vec<u32>,
    first_pair: usize,
}

impl Cpu {
    pub(super) fn one_feed_forward(&self, x: &Rows, weights: &FeedForward, out: &mut Rows) {
        let rows = (0..x.rows() as u32).collect();
        let cols = out.cols();
        let out = Shared::new(out.data_mut());
        self.parts(
            x,
            &[Part {
                weights,
                rows,
                first_pair: 0,
            }],
            &out,
            cols,
        );
    }

    pub(super) fn routed_feed_forwards(
        &self,
        x: &Rows,
        routing: &Routing,
        experts: &[FeedForward],
        shared: Option<&FeedForward>,
        out: &mut Rows,
    ) {
        let (parts, pairs) = group_by_expert(x.rows(), routing, experts, shared);
        let cols = out.cols();
        let total: usize = parts.iter().map(|part| part.rows.len()).sum();
        let mut y = self.values.take(total * cols, 0.0);
        self.parts(x, &parts, &Shared::new(&mut y), cols);
        let first_shared = total - if shared.is_some() { x.rows() } else { 0 };
        let y_row = |pair: usize| &y[pair * cols..][..cols];
        self.each_out_row(out, |r, out| {
            let k = routing.experts_per_token;
            let terms = (r * k..(r + 1) * k).map(|i| (routing.weights[i], y_row(pairs[i])));
            let shared = shared.map(|_| y_row(first_shared + r));
            self.unit.run(WeightedSum { terms, shared, out });
        });
    }

    /// Runs all parts; row `p` of `y` (of `cols` values) receives the result of pair `p`.
    fn parts(&self, x: &Rows, parts: &[Part], y: &Shared<f32>, cols: usize) {
        let rows = (0..x.rows()).map(|r| x.row(r)).collect();
        let read = parts
            .iter()
            .flat_map(|part| [&part.weights.gate, &part.weights.up]);
        let operand = self.operand(rows, read);
        let total: usize = parts.iter().map(|part| part.rows.len()).sum();
        let width = parts
            .iter()
            .map(|part| part.weights.gate.rows())
            .max()
            .unwrap_or(0);
        let mut hidden = self.values.take(total * width, 0.0);
        let jobs: Vec<Product> = parts
            .iter()
            .map(|part| Product {
                weight: &part.weights.gate,
                up: Some(&part.weights.up),
                operand: &operand,
                rows: &part.rows,
            })
            .collect();
        let placed = Shared::new(&mut hidden);
        self.products(&jobs, |job, i, col, values| {
            let at = (parts[job].first_pair + i) * width + col;
            // SAFETY: `products` places each column of each row of a product once; pairs have rows of their own.
            unsafe { placed.write(at, values) };
        });
        self.down(parts, &hidden, width, y, cols);
    }

    fn down(&self, parts: &[Part], hidden: &[f32], width: usize, y: &Shared<f32>, cols: usize) {
        let mut rows = Vec::new();
        for part in parts {
            for i in 0..part.rows.len() {
                rows.push(&hidden[(part.first_pair + i) * width..][..part.weights.down.cols()]);
            }
        }
        let pairs: Vec<u32> = (0..rows.len() as u32).collect();
        let operand = self.operand(rows, parts.iter().map(|part| &part.weights.down));
        let jobs: Vec<Product> = parts
            .iter()
            .map(|part| Product {
                weight: &part.weights.down,
                up: None,
                operand: &operand,
                rows: &pairs[part.first_pair..][..part.rows.len()],
            })
            .collect();
        self.products(&jobs, |job, i, col, values| {
            let at = (parts[job].first_pair + i) * cols + col;
            // SAFETY: as in `parts`.
            unsafe { y.write(at, values) };
        });
    }
}

/// The parts of a routed step, experts in order, then the shared one for every row; and for each choice its pair.
fn group_by_expert<'a>(
    num_rows: usize,
    routing: &Routing,
    experts: &'a [FeedForward],
    shared: Option<&'a FeedForward>,
) -> (Vec<Part<'a>>, Vec<usize>) {
    let mut order: Vec<usize> = (0..routing.experts.len()).collect();
    order.sort_by_key(|choice| routing.experts[*choice]);
    let mut parts: Vec<Part> = Vec::new();
    let mut pairs = vec![0; order.len()];
    let same_expert = |a: &usize, b: &usize| routing.experts[*a] == routing.experts[*b];
    let mut first_pair = 0;
    for choices in order.chunk_by(same_expert) {
        for (i, choice) in choices.iter().enumerate() {
            pairs[*choice] = first_pair + i;
        }
        let row = |choice: &usize| (choice / routing.experts_per_token) as u32;
        parts.push(Part {
            weights: &experts[routing.experts[choices[0]] as usize],
            rows: choices.iter().map(row).collect(),
            first_pair,
        });
        first_pair += choices.len();
    }
    if let Some(weights) = shared {
        parts.push(Part {
            weights,
            rows: (0..num_rows as u32).collect(),
            first_pair,
        });
    }
    (parts, pairs)
}

/// `out = Σ weight · y` in order, by fused multiply-adds from 0; then `+ shared`.
struct WeightedSum<'a, T> {
    terms: T,
    shared: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl<'a, T: Iterator<Item = (f32, &'a [f32])>> Kernel for WeightedSum<'a, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        self.out.fill(0.0);
        for (weight, y) in self.terms {
            for (out, y) in self.out.iter_mut().zip(y) {
                *out = weight.mul_add(*y, *out);
            }
        }
        for (out, y) in self.out.iter_mut().zip(self.shared.into_iter().flatten()) {
            *out += y;
        }
    }
}
