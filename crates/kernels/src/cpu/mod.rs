//! The CPU backend: the operations of `backend.rs` spread over threads and run on the best lanes this machine has.
//!
//! This file turns an operation into tasks and places what they compute; the arithmetic is in `matmul`, `attention` and
//! `elementwise`, and is the reference's bit for bit whatever the lanes, the threads and the number of rows.

mod affinity;
#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod elementwise;
mod feed_forward;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) mod flush;
mod full_attention;
mod interleave;
mod isa;
mod latent_attention;
mod matmul;
mod meet;
#[cfg(target_arch = "aarch64")]
mod neon;
mod operand;
mod probe;
mod products;
mod rounded;
pub(crate) mod scalar;
mod shared;
mod threads;
#[cfg(any(test, target_arch = "x86_64"))]
mod tile_unit;

pub use affinity::processors;
pub use isa::Isa;
pub use probe::{Arithmetic, Probe, probe_bandwidth, probe_dot_rate};

use crate::KernelError;
use crate::backend::{
    Backend, FeedForward, FullAttention, Pairing, RotaryTable, RouterRule, Routing, RowInput,
};
use crate::cache::{AttentionPlan, AttentionShape, Cache, CacheLayers, CacheLayout, KvType};
use crate::matrix::Matrix;
use crate::reference::{embed_row, rotate_row, routing, write_slot};
use crate::rows::{Columns, Rows};
use crate::shapes;
use crate::spare::Spare;
use attention::{AttentionTask, MAX_HEADS, Slots};
use elementwise::{Gelu, RmsNorm, Softmax};
use isa::Unit;
use operand::{Blocks, Forms, Operand};
use products::Product;
use shared::Shared;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use threads::Threads;

/// Values that one task of an elementwise operation should at least have: some 10 µs of work.
const TASK_VALUES: usize = 16_384;

/// The processors of this machine.
pub struct Cpu {
    isa: Isa,
    unit: Unit,
    threads: Threads,
    /// Buffers of values, used again from step to step.
    values: Spare<f32>,
    blocks: Blocks,
    /// Bytes of weights that may still be copied into the order that products read.
    room: AtomicU64,
}

impl Cpu {
    /// A backend with this instruction set (none: the fastest here) and this many threads (none: one a physical core).
    ///
    /// Errors: the instruction set is not available here.
    pub fn new(isa: Option<Isa>, threads: Option<usize>) -> Result<Cpu, KernelError> {
        let isa = isa.unwrap_or_else(Isa::detect);
        let unit = Unit::new(isa)?;
        let threads = threads.unwrap_or_else(affinity::default_threads).max(1);
        Ok(Cpu {
            isa,
            unit,
            threads: Threads::new(threads),
            values: Spare::default(),
            blocks: Blocks::default(),
            room: AtomicU64::new(u64::MAX),
        })
    }

    /// From now on copies at most this many bytes of weights into the order that products read best; the rest are read in
    /// the order of their file, which is slower and gives the same bits. (Never said: no limit.)
    pub fn interleave_at_most(&self, bytes: u64) {
        self.room.store(bytes, Relaxed);
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Threads in use, the caller's included.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// Runs `row(r)` for every row, several a task.
    fn each_row(&self, rows: usize, values_per_row: usize, row: impl Fn(usize) + Sync) {
        let rows_per_task = (TASK_VALUES / values_per_row.max(1)).max(1);
        self.threads.run(rows.div_ceil(rows_per_task), |task| {
            let first = task * rows_per_task;
            (first..(first + rows_per_task).min(rows)).for_each(&row);
        });
    }

    /// Runs `row(r, out[r])` for every row of `out`.
    fn each_out_row(&self, out: &mut Rows, row: impl Fn(usize, &mut [f32]) + Sync) {
        let (rows, cols) = (out.rows(), out.cols());
        let out = Shared::new(out.data_mut());
        // SAFETY: `each_row` visits a row once, and rows do not overlap.
        self.each_row(rows, cols, |r| row(r, unsafe { out.slice(r * cols, cols) }));
    }

    /// The rows of `x`, or one head's columns of them, ready for products with `weights`.
    fn operand<'a>(
        &self,
        rows: Vec<&'a [f32]>,
        weights: impl IntoIterator<Item = &'a Matrix>,
    ) -> Operand<'a> {
        let forms = Forms::of(weights.into_iter().map(Matrix::format));
        Operand::new(self.unit, &self.threads, &self.blocks, rows, forms)
    }

    fn attention_on<L: Slots>(
        &self,
        q: &Rows,
        slots: L,
        row_width: usize,
        plan: &AttentionPlan,
        shape: &AttentionShape,
        out: &mut Rows,
    ) {
        let heads_per_kv_head = shape.num_heads / shape.num_kv_heads;
        let parts = heads_per_kv_head.div_ceil(MAX_HEADS);
        let tasks_per_row = shape.num_kv_heads * parts;
        let out_cols = out.cols();
        let out = Shared::new(out.data_mut());
        let tasks = q.rows() * tasks_per_row;
        self.threads.run_with(tasks, Vec::new, |page, task| {
            let (r, task) = (task / tasks_per_row, task % tasks_per_row);
            let (kv_head, part) = (task / parts, task % parts);
            let first_head = kv_head * heads_per_kv_head + part * MAX_HEADS;
            let num_heads = MAX_HEADS.min((kv_head + 1) * heads_per_kv_head - first_head);
            let row = plan.rows[r];
            let (at, len) = (first_head * shape.value_dim, num_heads * shape.value_dim);
            self.unit.run(AttentionTask {
                q: q.row(r),
                slots,
                page,
                row_width,
                pages: &plan.pages[row.first_page..],
                visible: row.visible,
                shape,
                first_head,
                num_heads,
                // SAFETY: tasks are (row, KV head, part), and each has its own heads of its own row.
                out: unsafe { out.slice(r * out_cols + at, len) },
            });
        });
    }
}

impl Backend for Cpu {
    fn describe(&self) -> String {
        let (isa, threads) = (self.isa.name(), self.threads());
        let plural = if threads == 1 { "" } else { "s" };
        let fastest = Isa::detect();
        let note = if fastest == self.isa {
            String::new()
        } else {
            format!(" (this machine also has {})", fastest.name())
        };
        format!("CPU, {isa}{note}, {threads} thread{plural}; GPUs are not used yet")
    }

    fn rows(&self, rows: usize, cols: usize) -> Rows {
        let mut data = self.values.take(rows * cols, 0.0);
        data.fill(0.0);
        Rows::in_buffer(rows, cols, data)
    }

    fn upload(&self, rows: usize, cols: usize, values: &[f32]) -> Rows {
        Rows::from_slice(rows, cols, values)
    }

    fn download(&self, x: &Rows) -> Vec<f32> {
        x.data().to_vec()
    }

    fn new_cache(&self, layout: CacheLayout, num_pages: usize) -> Cache {
        Cache::zeroed(layout, num_pages)
    }

    fn embed(
        &self,
        inputs: &[RowInput],
        table: &Matrix,
        embeddings: Option<&Rows>,
        out: &mut Rows,
    ) {
        shapes::embed(inputs, table, embeddings, out);
        self.each_out_row(out, |r, out| embed_row(inputs[r], table, embeddings, out));
    }

    fn rms_norm(
        &self,
        x: &Rows,
        from: Columns,
        weight: &[f32],
        eps: f32,
        out: &mut Rows,
        to: Columns,
    ) {
        shapes::rms_norm(x, from, weight, out, to);
        self.each_out_row(out, |r, out| {
            for head in 0..from.heads {
                let (x, out) = (&x.row(r)[from.head(head)], &mut out[to.head(head)]);
                self.unit.run(RmsNorm {
                    x,
                    weight,
                    eps,
                    out,
                });
            }
        });
    }

    fn project(&self, x: &Rows, weights: &[&Matrix], outs: &mut [&mut Rows]) {
        shapes::project(x, weights, outs);
        let rounding = |(weight, _): &(&&Matrix, _)| weight.rounds_activations();
        let products = weights.iter().zip(outs.iter_mut());
        let (rounded, others): (Vec<_>, Vec<_>) = products.partition(rounding);
        let products = rounded
            .into_iter()
            .map(|(weight, out)| (*weight, &mut **out));
        self.project_rounded(x, products.collect());
        let (weights, mut outs): (Vec<&Matrix>, Vec<_>) = others
            .into_iter()
            .map(|(weight, out)| (*weight, out))
            .unzip();
        if weights.is_empty() {
            return;
        }
        let rows = (0..x.rows()).map(|r| x.row(r)).collect();
        let operand = self.operand(rows, weights.iter().copied());
        let all: Vec<u32> = (0..x.rows() as u32).collect();
        let product = |weight| Product {
            weight,
            up: None,
            operand: &operand,
            rows: &all,
        };
        let jobs: Vec<Product> = weights.iter().copied().map(product).collect();
        let outs: Vec<_> = outs
            .iter_mut()
            .map(|out| Shared::new(out.data_mut()))
            .collect();
        self.products(&jobs, |job, r, col, values| {
            let at = r * weights[job].rows() + col;
            // SAFETY: `products` places each column of each row of a product once.
            unsafe { outs[job].write(at, values) };
        });
    }

    fn project_heads(
        &self,
        x: &Rows,
        from: Columns,
        weights: &[Matrix],
        out: &mut Rows,
        to: Columns,
    ) {
        shapes::project_heads(x, from, weights, out, to);
        let num_rows = x.rows();
        let heads = (0..weights.len()).flat_map(|head| (0..num_rows).map(move |r| (head, r)));
        let rows = heads.map(|(head, r)| &x.row(r)[from.head(head)]).collect();
        let operand = self.operand(rows, weights);
        let all: Vec<u32> = (0..(weights.len() * num_rows) as u32).collect();
        let product = |(head, weight)| {
            let rows = &all[head * num_rows..][..num_rows];
            Product {
                weight,
                up: None,
                operand: &operand,
                rows,
            }
        };
        let jobs: Vec<Product> = weights.iter().enumerate().map(product).collect();
        let out_cols = out.cols();
        let out = Shared::new(out.data_mut());
        self.products(&jobs, |head, r, col, values| {
            let at = r * out_cols + to.head(head).start + col;
            // SAFETY: as in `project`; heads do not overlap (`shapes::project_heads`).
            unsafe { out.write(at, values) };
        });
    }

    fn copy_columns(&self, x: &Rows, from: Columns, out: &mut Rows, to: Columns) {
        shapes::copy_columns(x, from, out, to);
        self.each_out_row(out, |r, out| {
            for head in 0..from.heads {
                out[to.head(head)].copy_from_slice(&x.row(r)[from.head(head)]);
            }
        });
    }

    fn rotate(&self, x: &mut Rows, columns: Columns, table: &RotaryTable, pairing: Pairing) {
        shapes::rotate(x, columns, table);
        self.each_out_row(x, |r, x| {
            rotate_row(x, columns, table.cos.row(r), table.sin.row(r), pairing);
        });
    }

    fn scale_rows(&self, x: &mut Rows, factors: &[f32]) {
        shapes::scale_rows(x, factors);
        self.each_out_row(x, |r, x| x.iter_mut().for_each(|x| *x *= factors[r]));
    }

    fn write_cache(&self, x: &Rows, layer: usize, slots: &[u32], cache: &mut Cache) {
        shapes::write_cache(x, layer, slots, cache);
        for (r, slot) in slots.iter().enumerate() {
            write_slot(x.row(r), layer, *slot as usize, cache);
        }
    }

    fn attention(
        &self,
        q: &Rows,
        cache: &Cache,
        layer: usize,
        plan: &AttentionPlan,
        shape: &AttentionShape,
        out: &mut Rows,
    ) {
        shapes::attention(q, cache, layer, plan, shape, out);
        let width = cache.layout().row_width;
        match &cache.layers {
            CacheLayers::Bf16(l) if shape.rounds(KvType::Bf16) => {
                self.attention_rounded(q, &l[layer], width, plan, shape, out);
            }
            CacheLayers::F32(l) => self.attention_on(q, &*l[layer], width, plan, shape, out),
            CacheLayers::Bf16(l) => self.attention_on(q, &*l[layer], width, plan, shape, out),
            CacheLayers::Q8(l) => self.attention_on(q, &l[layer], width, plan, shape, out),
        }
    }

    fn full_attention(
        &self,
        q: &Rows,
        k: &Rows,
        v: &Rows,
        ranges: &[Range<usize>],
        shape: &FullAttention,
        out: &mut Rows,
    ) {
        shapes::full_attention(q, k, v, ranges, shape, out);
        self.attention_within(q, k, v, ranges, shape, out);
    }

    fn gelu(&self, x: &mut Rows) {
        self.each_out_row(x, |_, x| self.unit.run(Gelu { x }));
    }

    fn add(&self, x: &mut Rows, y: &Rows) {
        shapes::add(x, y);
        self.each_out_row(x, |r, x| {
            x.iter_mut().zip(y.row(r)).for_each(|(x, y)| *x += y)
        });
    }

    fn feed_forward(&self, x: &Rows, weights: &FeedForward, out: &mut Rows) {
        shapes::feed_forward(x, weights, out);
        if weights.gate.rounds_activations() {
            self.feed_forward_rounded(x, weights, out);
        } else {
            self.one_feed_forward(x, weights, out);
        }
    }

    fn route(&self, logits: &Rows, rule: RouterRule) -> Routing {
        shapes::route(logits, rule);
        let k = rule.experts_per_token;
        let mut routing = Routing::unset(logits.rows(), k);
        let experts = Shared::new(&mut routing.experts);
        let weights = Shared::new(&mut routing.weights);
        // A choice costs much more than a value: count each logit as several.
        self.each_row(logits.rows(), 16 * logits.cols(), |r| {
            let mut scores = logits.row(r).to_vec();
            self.unit.run(Softmax {
                scores: &mut scores,
            });
            // SAFETY: `each_row` visits a row once, and rows do not overlap.
            let (experts, weights) = unsafe { (experts.slice(r * k, k), weights.slice(r * k, k)) };
            routing::choose(&scores, rule, experts, weights);
        });
        routing
    }

    fn experts(
        &self,
        x: &Rows,
        routing: &Routing,
        experts: &[FeedForward],
        shared: Option<&FeedForward>,
        out: &mut Rows,
    ) {
        shapes::experts(x, routing, experts, shared, out);
        self.routed_feed_forwards(x, routing, experts, shared, out);
    }

    fn reduce(&self, _x: &mut Rows) {}

    fn gather(&self, x: &Rows, indices: &[u32], out: &mut Rows) {
        shapes::gather(x, indices, out);
        self.each_out_row(out, |r, out| {
            out.copy_from_slice(x.row(indices[r] as usize))
        });
    }
}
