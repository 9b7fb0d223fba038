//! Products of bf16 weights with activations rounded to bf16: many rows at a time, as images have them. The definition
//! is `reference::product::dot_pairs`.
//!
//! Regions: activations are rounded and weights laid out in lanes, panel by panel; then tasks of some panels by some
//! rows. The weights' layout is made anew each call: it costs one pass over them, a few rows' worth of work.

use super::Cpu;
use super::elementwise::SwiGluPairs;
use super::matmul::{GROUP, Weights};
use super::meet::{Values, Words, meet};
use super::shared::Shared;
use crate::backend::FeedForward;
use crate::float::f32_to_bf16;
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
/// Words of activations in a task: 256 KiB, so that they and a panel stay in a second-level cache.
const TASK_WORDS: usize = 1 << 16;
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
        let stride = cols.div_ceil(2);
        Pairs {
            words: vec![0; num_rows.next_multiple_of(ROWS) * stride],
            num_rows,
            stride,
        }
    }

    fn new(cpu: &Cpu, x: &Rows) -> Pairs {
        let mut pairs = Pairs::zeroed(x.rows(), x.cols());
        let stride = pairs.stride;
        let words = Shared::new(&mut pairs.words);
        cpu.each_row(x.rows(), x.cols(), |r| {
            // SAFETY: `each_row` visits a row once, and rows do not overlap.
            let words = unsafe { words.slice(r * stride, stride) };
            cpu.unit.run(Round { x: x.row(r), words });
        });
        pairs
    }

    fn rows(&self, rows: &Range<usize>) -> &[i32] {
        &self.words[rows.start * self.stride..rows.end * self.stride]
    }
}

/// One row of activations as pairs.
struct Round<'a> {
    x: &'a [f32],
    words: &'a mut [i32],
}

impl Kernel for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let (pairs, rest) = self.x.as_chunks::<2>();
        for ([low, high], word) in pairs.iter().zip(&mut *self.words) {
            *word = (u32::from(f32_to_bf16(*low)) | u32::from(f32_to_bf16(*high)) << 16) as i32;
        }
        if let ([low], Some(word)) = (rest, self.words.last_mut()) {
            *word = i32::from(f32_to_bf16(*low));
        }
    }
}

/// A matrix in panels: word `c` of [`PANEL`] weight rows side by side. Past the last row, that row again.
struct Panels {
    words: Vec<Words<GROUPS>>,
    /// Words of a weight row.
    depth: usize,
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
    panel: &'a [Words<GROUPS>],
    out: &'a mut [Values<GROUPS>],
}

impl Kernel for PanelProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let depth = self.panel.len();
        let rows = self.rows.chunks_exact(ROWS * depth);
        for (rows, out) in rows.zip(self.out.chunks_exact_mut(ROWS)) {
            meet::<S, true, GROUPS, ROWS, 3>(simd, rows, depth, self.panel, None, out);
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
        if products.is_empty() || x.rows() == 0 {
            return;
        }
        let pairs = Pairs::new(self, x);
        let panels: Vec<Panels> = products
            .iter()
            .map(|(weight, _)| Panels::new(self, weight))
            .collect();
        let widths: Vec<usize> = products.iter().map(|(weight, _)| weight.rows()).collect();
        let outs: Vec<Shared<f32>> = products
            .iter_mut()
            .map(|(_, out)| Shared::new(out.data_mut()))
            .collect();
        self.panel_tasks(&pairs, &panels, |task, values| {
            let width = widths[task.product];
            for panel in task.panels.clone() {
                self.panel_product(&pairs, &panels[task.product], panel, &task.rows, values);
                let cols = panel * PANEL..width.min((panel + 1) * PANEL);
                for (r, values) in (task.rows.start..pairs.num_rows).zip(&*values) {
                    let values = &values.as_flattened()[..cols.len()];
                    // SAFETY: tasks do not share a panel of a product and a row.
                    unsafe { outs[task.product].write(r * width + cols.start, values) };
                }
            }
        });
    }

    /// [`crate::Backend::feed_forward`] with weights of the kind that rounds activations.
    pub(super) fn feed_forward_rounded(&self, x: &Rows, weights: &FeedForward, out: &mut Rows) {
        if x.rows() == 0 {
            return;
        }
        let pairs = Pairs::new(self, x);
        let (gate, up) = (
            Panels::new(self, &weights.gate),
            Panels::new(self, &weights.up),
        );
        let width = weights.gate.rows();
        let mut hidden = Pairs::zeroed(x.rows(), width);
        let stride = hidden.stride;
        let words = Shared::new(&mut hidden.words);
        let gates = std::slice::from_ref(&gate);
        self.panel_tasks(&pairs, gates, |task, values| {
            let mut ups = vec![[[0.0; 16]; GROUPS]; values.len()];
            for panel in task.panels.clone() {
                self.panel_product(&pairs, &gate, panel, &task.rows, values);
                self.panel_product(&pairs, &up, panel, &task.rows, &mut ups);
                let num_words = (width - panel * PANEL).min(PANEL).div_ceil(2);
                let rows = values.iter_mut().zip(&ups);
                for (r, (gate, up)) in (task.rows.start..pairs.num_rows).zip(rows) {
                    // SAFETY: as in `project_rounded`; a panel has an even number of columns.
                    let words = unsafe { words.slice(r * stride + panel * PANEL / 2, num_words) };
                    self.unit.run(SwiGluPairs { gate, up, words });
                    if width < (panel + 1) * PANEL && width % 2 == 1 {
                        words[num_words - 1] &= 0xffff;
                    }
                }
            }
        });
        let down = Panels::new(self, &weights.down);
        let width = out.cols();
        let out = Shared::new(out.data_mut());
        self.panel_tasks(&hidden, std::slice::from_ref(&down), |task, values| {
            for panel in task.panels.clone() {
                self.panel_product(&hidden, &down, panel, &task.rows, values);
                let cols = panel * PANEL..width.min((panel + 1) * PANEL);
                for (r, values) in (task.rows.start..hidden.num_rows).zip(&*values) {
                    let values = &values.as_flattened()[..cols.len()];
                    // SAFETY: as in `project_rounded`.
                    unsafe { out.write(r * width + cols.start, values) };
                }
            }
        });
    }

    fn panel_product(
        &self,
        pairs: &Pairs,
        panels: &Panels,
        panel: usize,
        rows: &Range<usize>,
        out: &mut [Values<GROUPS>],
    ) {
        self.unit.run_bf16(PanelProduct {
            rows: pairs.rows(rows),
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
