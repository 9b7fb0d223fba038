//! Products of bf16 weights with activations rounded to bf16: many rows at a time, as images have them. The definition
//! is `reference::product::dot_pairs`.
//!
//! Regions: activations are rounded and weights laid out in lanes, panel by panel; then tasks of some panels by some
//! rows. The weights' layout is made anew each call: it costs one pass over them, a few rows' worth of work.

use super::Cpu;
use super::elementwise::{RowWords, SwiGluPairs};
use super::matmul::{GROUP, Weights};
use super::meet::{Begin, Values, Words, meet};
use super::shared::Shared;
use crate::backend::FeedForward;
use crate::matrix::Matrix;
use crate::rows::Rows;
use crate::simd::{Kernel, Lanes, Simd};
use std::ops::Range;

/// Registers of weight rows in a panel.
const GROUPS: usize = 2;
/// Weight rows of a panel.
const PANEL: usize = GROUPS * GROUP;
/// Rows of activations that meet a panel at once.
const ROWS: usize = 12;
/// Words of activations in a task: 1 MiB, so that a panel's way into the caches is paid for.
const TASK_WORDS: usize = 1 << 18;
/// Words of a panel that all rows of a task meet before the next: 64 KiB.
const PART_WORDS: usize = 512;
/// Rows that go through a feed-forward together: what lies between its products stays small.
const PASS_ROWS: usize = 3072;
/// Tasks a thread should get, so that the last ones end together.
const TASKS_PER_THREAD: usize = 16;

/// Rows of activations as pairs of bf16, padded with zeros to whole [`ROWS`].
struct Pairs {
    words: Vec<i32>,
    num_rows: usize,
    /// Words of a row.
    stride: usize,
}

impl Pairs {
    fn zeroed(num_rows: usize, cols: usize) -> Pairs {
        // An odd number of cache lines: rows that meet a panel together must not all fall on the same cache sets.
        let stride = 16 * (cols.div_ceil(32) | 1);
        Pairs {
            words: vec![0; num_rows.next_multiple_of(ROWS) * stride],
            num_rows,
            stride,
        }
    }

    fn new(cpu: &Cpu, x: &Rows, rows: Range<usize>) -> Pairs {
        let mut pairs = Pairs::zeroed(rows.len(), x.cols());
        let stride = pairs.stride;
        let words = Shared::new(&mut pairs.words);
        cpu.each_row(rows.len(), x.cols(), |r| {
            // SAFETY: `each_row` visits a row once, and rows do not overlap.
            let words = unsafe { words.slice(r * stride, x.cols().div_ceil(2)) };
            cpu.unit.run(RowWords {
                x: x.row(rows.start + r),
                scale: 1.0,
                rounded: true,
                words,
            });
        });
        pairs
    }

    fn rows(&self, rows: &Range<usize>) -> &[i32] {
        &self.words[rows.start * self.stride..rows.end * self.stride]
    }
}

/// A matrix in panels: word `c` of [`PANEL`] weight rows side by side. Past the last row, that row again.
struct Panels {
    words: Vec<Words<GROUPS>>,
    /// Words of a weight row.
    depth: usize,
    /// Weight rows.
    num_rows: usize,
    num_panels: usize,
}

impl Panels {
    fn new(cpu: &Cpu, weight: &Matrix) -> Panels {
        let depth = weight.cols().div_ceil(2);
        let num_panels = weight.rows().div_ceil(PANEL);
        let mut words = vec![[[0; 16]; GROUPS]; num_panels * depth];
        let shared = Shared::new(&mut words);
        cpu.threads.run(num_panels, |panel| {
            // SAFETY: each task has a panel of its own.
            let words = unsafe { shared.slice(panel * depth, depth) };
            for group in 0..GROUPS {
                let weights = Weights::new(weight, panel * PANEL + group * GROUP);
                cpu.unit.run(LayOut {
                    weights,
                    words,
                    group,
                });
            }
        });
        Panels {
            words,
            depth,
            num_rows: weight.rows(),
            num_panels,
        }
    }

    fn panel(&self, panel: usize) -> &[Words<GROUPS>] {
        &self.words[panel * self.depth..][..self.depth]
    }
}

/// Sixteen weight rows into one group of a panel.
struct LayOut<'a> {
    weights: Weights<'a>,
    words: &'a mut [Words<GROUPS>],
    group: usize,
}

impl Kernel for LayOut<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let lanes = self.weights.lanes();
        for (i, words) in self.words.chunks_mut(4).enumerate() {
            let columns = if 16 * (i + 1) <= lanes.len() {
                simd.transpose(lanes.at(16 * i))
            } else {
                let padded = self.weights.padded::<16>(16 * i);
                let starts = std::array::from_fn(|lane| 16 * lane);
                simd.transpose(Lanes::new(padded.as_flattened(), &starts, 16).at(0))
            };
            for (words, column) in words.iter_mut().zip(columns) {
                simd.istore(column, &mut words[self.group]);
            }
        }
    }
}

/// One panel by some rows.
struct PanelProduct<'a> {
    rows: &'a [i32],
    /// Words from one row to the next.
    stride: usize,
    panel: &'a [Words<GROUPS>],
    out: &'a mut [Values<GROUPS>],
}

impl Kernel for &mut PanelProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (part, panel) in self.panel.chunks(PART_WORDS).enumerate() {
            let begin = if part == 0 { Begin::Zero } else { Begin::There };
            let rows = self.rows.chunks_exact(ROWS * self.stride);
            for (rows, out) in rows.zip(self.out.chunks_exact_mut(ROWS)) {
                let rows = &rows[part * PART_WORDS..];
                meet::<S, true, GROUPS, ROWS, 3>(simd, rows, self.stride, panel, begin, out);
            }
        }
    }
}

/// One task: panels of one product by rows.
struct Task {
    product: usize,
    panels: Range<usize>,
    rows: Range<usize>,
}

impl Cpu {
    /// `outs[i] = x · weights[i]ᵀ`, all weights of the kind that rounds activations.
    pub(super) fn project_rounded(&self, x: &Rows, mut products: Vec<(&Matrix, &mut Rows)>) {
        if products.is_empty() {
            return;
        }
        let pairs = Pairs::new(self, x, 0..x.rows());
        let panels: Vec<Panels> = products
            .iter()
            .map(|(weight, _)| Panels::new(self, weight))
            .collect();
        let outs: Vec<Shared<f32>> = products
            .iter_mut()
            .map(|(_, out)| Shared::new(out.data_mut()))
            .collect();
        self.panel_tasks(&pairs, &panels, |task, values| {
            let (weights, out) = (&panels[task.product], &outs[task.product]);
            self.place(&pairs, weights, task, values, |r, col, values| {
                // SAFETY: tasks do not share a panel of a product and a row.
                unsafe { out.write(r * weights.num_rows + col, values) };
            });
        });
    }

    /// [`crate::Backend::feed_forward`] with weights of the kind that rounds activations.
    pub(super) fn feed_forward_rounded(&self, x: &Rows, weights: &FeedForward, out: &mut Rows) {
        let FeedForward { gate, up, down } = weights;
        let gate_up = [Panels::new(self, gate), Panels::new(self, up)];
        let down = [Panels::new(self, down)];
        let mut hidden = Pairs::zeroed(x.rows().min(PASS_ROWS), gate.rows());
        let cols = out.cols();
        let out = Shared::new(out.data_mut());
        for first in (0..x.rows()).step_by(PASS_ROWS) {
            let rows = first..x.rows().min(first + PASS_ROWS);
            hidden.num_rows = rows.len();
            self.gate_up(
                &Pairs::new(self, x, rows),
                &gate_up,
                gate.rows(),
                &mut hidden,
            );
            self.panel_tasks(&hidden, &down, |task, values| {
                self.place(&hidden, &down[0], task, values, |r, col, values| {
                    // SAFETY: tasks do not share a panel and a row, nor passes a row.
                    unsafe { out.write((first + r) * cols + col, values) };
                });
            });
        }
    }

    /// `hidden = silu(gate · x) ⊙ (up · x)`, `width` columns.
    fn gate_up(&self, x: &Pairs, weights: &[Panels; 2], width: usize, hidden: &mut Pairs) {
        let stride = hidden.stride;
        let words = Shared::new(&mut hidden.words);
        let [gate, up] = weights;
        self.panel_tasks(x, std::slice::from_ref(gate), |task, values| {
            let mut ups = vec![[[0.0; 16]; GROUPS]; values.len()];
            let mut products = vec![[0; 16]; values.len()];
            for panel in task.panels.clone() {
                self.panel_product(x, gate, panel, &task.rows, values);
                self.panel_product(x, up, panel, &task.rows, &mut ups);
                self.unit.run(SwiGluPairs {
                    gate: values,
                    up: &ups,
                    words: &mut products,
                });
                // Past the last column are products of the last weight row again; an odd one shares a word with them.
                let cols = (width - panel * PANEL).min(PANEL);
                for (r, products) in (task.rows.start..x.num_rows).zip(&mut products) {
                    if cols % 2 == 1 {
                        products[cols / 2] &= 0xffff;
                    }
                    let at = r * stride + panel * PANEL / 2;
                    // SAFETY: tasks do not share a panel and a row; a panel has an even number of columns.
                    unsafe { words.write(at, &products[..cols.div_ceil(2)]) };
                }
            }
        });
    }

    /// Computes one task's products of one weight matrix and hands them to `place(row, column, values)`.
    fn place(
        &self,
        x: &Pairs,
        weights: &Panels,
        task: &Task,
        values: &mut [Values<GROUPS>],
        place: impl Fn(usize, usize, &[f32]),
    ) {
        for panel in task.panels.clone() {
            self.panel_product(x, weights, panel, &task.rows, values);
            let first = panel * PANEL;
            let cols = (weights.num_rows - first).min(PANEL);
            for (r, values) in (task.rows.start..x.num_rows).zip(&*values) {
                place(r, first, &values.as_flattened()[..cols]);
            }
        }
    }

    fn panel_product(
        &self,
        pairs: &Pairs,
        panels: &Panels,
        panel: usize,
        rows: &Range<usize>,
        out: &mut [Values<GROUPS>],
    ) {
        self.unit.run_bf16(&mut PanelProduct {
            rows: pairs.rows(rows),
            stride: pairs.stride,
            panel: panels.panel(panel),
            out: &mut out[..rows.len()],
        });
    }

    /// Runs `task` for all panels of all products by all rows, with room for the results of a panel.
    fn panel_tasks(
        &self,
        pairs: &Pairs,
        products: &[Panels],
        task: impl Fn(&Task, &mut [Values<GROUPS>]) + Sync,
    ) {
        let rows_per_task = (TASK_WORDS / pairs.stride.max(1))
            .max(1)
            .next_multiple_of(ROWS);
        let padded_rows = pairs.num_rows.next_multiple_of(ROWS);
        let blocks = padded_rows.div_ceil(rows_per_task);
        let total: usize = products.iter().map(|p| p.num_panels * blocks).sum();
        let panels_per_task = (total / (TASKS_PER_THREAD * self.threads.count())).clamp(1, 16);
        let mut tasks = Vec::new();
        for block in 0..blocks {
            let first = block * rows_per_task;
            let rows = first..padded_rows.min(first + rows_per_task);
            for (product, panels) in products.iter().enumerate() {
                for panel in (0..panels.num_panels).step_by(panels_per_task) {
                    tasks.push(Task {
                        product,
                        panels: panel..panels.num_panels.min(panel + panels_per_task),
                        rows: rows.clone(),
                    });
                }
            }
        }
        let room = || vec![[[0.0; 16]; GROUPS]; rows_per_task];
        self.threads.run_with(tasks.len(), room, |values, i| {
            task(&tasks[i], &mut values[..tasks[i].rows.len()]);
        });
    }
}
