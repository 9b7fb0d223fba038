//! Attention over a BF16 cache whose one KV head serves all heads (MLA). The definition is `rounded_head` in
//! `reference/attention.rs`.
//!
//! Heads lie in the lanes, so that softmax needs no sums across them; what is cached comes one word (`meet.rs`) at a time:
//! two lanes of a key, or one lane of two neighbouring values. Rows that are many are a task each; of few rows over a long
//! sequence every block of slots is a task.

use super::Cpu;
use super::meet::{Values, Words, lay_in_lanes, sums};
use super::shared::Shared;
use crate::cache::{AttentionPlan, AttentionShape, BLOCK_SIZE, PAGE_SIZE};
use crate::reference::powers::SLACK;
use crate::rows::Rows;
use crate::simd::{Kernel, Simd};
use std::f32::consts::LOG2_E;

/// Keys, or lanes of the values, that meet the queries at once.
const ROWS: usize = 8;
/// The same where registers are few.
const FEW: usize = 2;

/// Everything that tasks of one call share.
#[derive(Clone, Copy)]
struct Call<'a> {
    q: &'a Rows,
    /// The layer's slots.
    slots: &'a [u16],
    row_width: usize,
    plan: &'a AttentionPlan,
    shape: &'a AttentionShape,
}

impl Call<'_> {
    /// Words of a key.
    fn depth(&self) -> usize {
        self.shape.key_dim.div_ceil(2)
    }

    /// Lanes of a value, padded to whole [`ROWS`].
    fn value_rows(&self) -> usize {
        self.shape.value_dim.next_multiple_of(ROWS)
    }

    /// What a [`State`] takes.
    fn state_len(&self) -> usize {
        self.value_rows() + 2
    }

    fn num_blocks(&self, row: usize) -> usize {
        self.plan.rows[row].visible.div_ceil(BLOCK_SIZE)
    }
}

/// What heads have gathered, in one piece of memory: a value's lanes, then the score whose weight is 1, then the sum of
/// weights.
struct State<'a, const G: usize> {
    acc: &'a mut [Values<G>],
    shift: &'a mut Values<G>,
    sum: &'a mut Values<G>,
}

impl<'a, const G: usize> State<'a, G> {
    fn new(values: &'a mut [Values<G>]) -> Self {
        match values {
            [acc @ .., shift, sum] => State { acc, shift, sum },
            _ => unreachable!("a state has room for a shift and a sum"),
        }
    }
}

/// What a thread needs for its tasks of `16 * G` heads.
struct Workspace<const G: usize> {
    /// `[depth]`
    queries: Vec<Words<G>>,
    /// Words of a page's keys, `[PAGE_SIZE, depth]`.
    keys: Vec<i32>,
    /// Words of a page's values, `[PAGE_SIZE / 2, value_rows]`.
    values: Vec<i32>,
    /// Scores of a page, `[PAGE_SIZE]`.
    scores: Vec<Values<G>>,
    /// Their weights, `[PAGE_SIZE / 2]`.
    weights: Vec<Words<G>>,
    /// The state of a row and that of its next block.
    states: [Vec<Values<G>>; 2],
}

impl<const G: usize> Workspace<G> {
    fn new(call: &Call) -> Self {
        let state = vec![[[0.0; 16]; G]; call.state_len()];
        Workspace {
            queries: vec![[[0; 16]; G]; call.depth()],
            keys: vec![0; PAGE_SIZE * call.depth()],
            values: vec![0; PAGE_SIZE / 2 * call.value_rows()],
            scores: vec![[[0.0; 16]; G]; PAGE_SIZE],
            weights: vec![[[0; 16]; G]; PAGE_SIZE / 2],
            states: [state.clone(), state],
        }
    }
}

/// One task's row, and which `16 * G` of its heads.
#[derive(Clone, Copy)]
struct Part {
    row: usize,
    first_head: usize,
}

impl Cpu {
    /// [`crate::Backend::attention`] where [`AttentionShape::rounds`].
    pub(super) fn attention_rounded(
        &self,
        q: &Rows,
        slots: &[u16],
        row_width: usize,
        plan: &AttentionPlan,
        shape: &AttentionShape,
        out: &mut Rows,
    ) {
        let call = Call {
            q,
            slots,
            row_width,
            plan,
            shape,
        };
        // Two registers of heads share more work; one makes more tasks. The bits are the same.
        let blocks: usize = (0..q.rows()).map(|row| call.num_blocks(row)).sum();
        if shape.num_heads > 16 && blocks * shape.num_heads.div_ceil(32) >= self.threads.count() {
            self.attend::<2>(&call, out);
        } else {
            self.attend::<1>(&call, out);
        }
    }

    fn attend<const G: usize>(&self, call: &Call, out: &mut Rows) {
        let parts_per_row = call.shape.num_heads.div_ceil(16 * G);
        let part = |i: usize| Part {
            row: i / parts_per_row,
            first_head: i % parts_per_row * 16 * G,
        };
        let num_parts = call.q.rows() * parts_per_row;
        let cols = out.cols();
        let out = Shared::new(out.data_mut());
        let finish = |part: Part, state: &mut [Values<G>]| {
            let dim = call.shape.value_dim;
            let heads = (16 * G).min(call.shape.num_heads - part.first_head);
            let at = part.row * cols + part.first_head * dim;
            // SAFETY: each part has heads of its own of its own row, and ends once.
            let out = unsafe { out.slice(at, heads * dim) };
            self.unit.run(Divide {
                state: State::new(state),
            });
            for (head, out) in out.chunks_exact_mut(dim).enumerate() {
                for (out, acc) in out.iter_mut().zip(&*state) {
                    *out = acc[head / 16][head % 16];
                }
            }
        };
        let workspace = || Workspace::<G>::new(call);
        if num_parts >= 2 * self.threads.count() {
            self.threads.run_with(num_parts, workspace, |work, i| {
                let part = part(i);
                let [mut state, mut next] = std::mem::take(&mut work.states);
                self.begin(call, part, work);
                self.gather(call, part, 0, work, &mut state);
                for block in 1..call.num_blocks(part.row) {
                    self.gather(call, part, block, work, &mut next);
                    self.join(&mut state, &mut next);
                }
                finish(part, &mut state);
                work.states = [state, next];
            });
            return;
        }
        let blocks_of = |i: usize| (0..call.num_blocks(part(i).row)).map(move |block| (i, block));
        let tasks: Vec<(usize, usize)> = (0..num_parts).flat_map(blocks_of).collect();
        let len = call.state_len();
        let mut states = vec![[[0.0; 16]; G]; tasks.len() * len];
        let shared = Shared::new(&mut states);
        self.threads.run_with(tasks.len(), workspace, |work, task| {
            let (i, block) = tasks[task];
            self.begin(call, part(i), work);
            // SAFETY: each task has a state of its own.
            let state = unsafe { shared.slice(task * len, len) };
            self.gather(call, part(i), block, work, state);
        });
        self.threads.run(num_parts, |i| {
            let first = tasks.partition_point(|task| task.0 < i);
            let blocks = call.num_blocks(part(i).row);
            // SAFETY: the states of a part's blocks lie side by side and are its own.
            let states = unsafe { shared.slice(first * len, blocks * len) };
            let (state, rest) = states.split_at_mut(len);
            rest.chunks_exact_mut(len)
                .for_each(|next| self.join(state, next));
            finish(part(i), state);
        });
    }

    /// Lays the part's queries into the lanes; those past the last head are zeros.
    fn begin<const G: usize>(&self, call: &Call, part: Part, work: &mut Workspace<G>) {
        let key_dim = call.shape.key_dim;
        let queries = &call.q.row(part.row)[part.first_head * key_dim..];
        lay_in_lanes(
            self.unit,
            queries.chunks_exact(key_dim).take(16 * G),
            call.shape.scale * LOG2_E,
            true,
            &mut work.queries,
        );
    }

    /// Gathers one block of what the row sees.
    fn gather<const G: usize>(
        &self,
        call: &Call,
        part: Part,
        block: usize,
        work: &mut Workspace<G>,
        state: &mut [Values<G>],
    ) {
        self.unit.run_bf16(&mut Walk {
            call,
            part,
            block,
            work,
            state,
        });
    }

    fn join<const G: usize>(&self, first: &mut [Values<G>], next: &mut [Values<G>]) {
        self.unit.run(Join {
            first: State::new(first),
            next: State::new(next),
        });
    }
}

/// One block of slots, page by page.
struct Walk<'a, const G: usize> {
    call: &'a Call<'a>,
    part: Part,
    block: usize,
    work: &'a mut Workspace<G>,
    state: &'a mut [Values<G>],
}

impl<const G: usize> Kernel for &mut Walk<'_, G> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (call, work) = (self.call, &mut *self.work);
        let mut state = State::new(self.state);
        state.acc.fill([[0.0; 16]; G]);
        *state.shift = [[f32::NEG_INFINITY; 16]; G];
        *state.sum = [[0.0; 16]; G];
        let row = call.plan.rows[self.part.row];
        let first = self.block * BLOCK_SIZE;
        let visible = row.visible.min(first + BLOCK_SIZE);
        for first in (first..visible).step_by(PAGE_SIZE) {
            let page = call.plan.pages[row.first_page + first / PAGE_SIZE] as usize;
            let n = PAGE_SIZE.min(visible - first);
            let slots = &call.slots[page * PAGE_SIZE * call.row_width..][..n * call.row_width];
            lay_out(simd, call, slots, work);
            if S::WIDE {
                score::<S, G, ROWS>(simd, work, n);
            } else {
                score::<S, G, FEW>(simd, work, n);
            }
            let correction = soften(simd, work, n, &mut state);
            if S::WIDE {
                add_values::<S, G, ROWS>(simd, work, n, correction, state.acc);
            } else {
                add_values::<S, G, FEW>(simd, work, n, correction, state.acc);
            }
        }
    }
}

/// A page's slots as words. What a page has no slot for keeps what was there, and nobody asks for it.
#[inline(always)]
fn lay_out<S: Simd, const G: usize>(simd: S, call: &Call, slots: &[u16], work: &mut Workspace<G>) {
    let AttentionShape {
        key_dim,
        value_dim,
        value_start,
        ..
    } = *call.shape;
    let rows = slots.chunks_exact(call.row_width);
    for (row, words) in rows.zip(work.keys.chunks_exact_mut(call.depth())) {
        let (pairs, rest) = row[..key_dim].as_chunks::<2>();
        for (word, pair) in words.iter_mut().zip(pairs) {
            *word = word_of(pair[0], pair[1]);
        }
        if let ([last], Some(word)) = (rest, words.last_mut()) {
            *word = word_of(*last, 0);
        }
    }
    let pairs = slots.chunks(2 * call.row_width);
    for (pair, words) in pairs.zip(work.values.chunks_exact_mut(call.value_rows())) {
        let (first, second) = pair.split_at(call.row_width);
        let first = &first[value_start..][..value_dim];
        let second = match second {
            [] => &[],
            second => &second[value_start..][..value_dim],
        };
        let (whole, rest) = first.as_chunks::<16>();
        let (second_whole, second_rest) = second.as_chunks::<16>();
        for (i, (words, first)) in words.as_chunks_mut().0.iter_mut().zip(whole).enumerate() {
            let mut both = simd.widen(first);
            if let Some(second) = second_whole.get(i) {
                both = simd.or(both, simd.shl(simd.widen(second), 16));
            }
            simd.istore(both, words);
        }
        let words = &mut words[16 * whole.len()..];
        for (i, (word, first)) in words.iter_mut().zip(rest).enumerate() {
            *word = word_of(*first, second_rest.get(i).copied().unwrap_or(0));
        }
    }
}

#[inline(always)]
fn word_of(low: u16, high: u16) -> i32 {
    (u32::from(low) | u32::from(high) << 16) as i32
}

/// The scores of a page's first `n` keys, perhaps of some more.
#[inline(always)]
fn score<S: Simd, const G: usize, const M: usize>(simd: S, work: &mut Workspace<G>, n: usize) {
    let depth = work.queries.len();
    let keys = work.keys.chunks_exact(M * depth);
    let scores = work.scores.chunks_exact_mut(M);
    for (keys, scores) in keys.zip(scores).take(n.div_ceil(M)) {
        let zeros = [[simd.splat(0.0); G]; M];
        let dots = sums::<S, true, G, M>(simd, keys, depth, &work.queries, zeros);
        for m in 0..M {
            for g in 0..G {
                simd.store(dots[m][g], &mut scores[m][g]);
            }
        }
    }
}

/// Scores become weights; returns what was gathered so far is multiplied by.
#[inline(always)]
fn soften<S: Simd, const G: usize>(
    simd: S,
    work: &mut Workspace<G>,
    n: usize,
    state: &mut State<G>,
) -> [S::F; G] {
    let mut corrections = [simd.splat(1.0); G];
    for g in 0..G {
        let scores = &work.scores[..n];
        let mut max = simd.splat(f32::NEG_INFINITY);
        for score in scores {
            max = simd.larger(simd.load(&score[g]), max);
        }
        let before = simd.load(&state.shift[g]);
        let most = simd.add(before, simd.splat(SLACK));
        let correction = simd.exp2(simd.sub(before, max));
        corrections[g] = simd.select_less(most, max, correction, simd.splat(1.0));
        let shift = simd.select_less(most, max, max, before);
        simd.store(shift, &mut state.shift[g]);
        let mut sum = simd.mul(simd.load(&state.sum[g]), corrections[g]);
        for (scores, weights) in scores.chunks(2).zip(&mut work.weights) {
            let low = simd.exp2(simd.sub(simd.load(&scores[0][g]), shift));
            sum = simd.add(sum, low);
            let mut high = simd.splat(0.0);
            if let Some(score) = scores.get(1) {
                high = simd.exp2(simd.sub(simd.load(&score[g]), shift));
                sum = simd.add(sum, high);
            }
            simd.istore(simd.pair_bf16(low, high), &mut weights[g]);
        }
        simd.store(sum, &mut state.sum[g]);
    }
    corrections
}

/// `acc = acc · correction + Σ weight · value` over `n` slots.
#[inline(always)]
fn add_values<S: Simd, const G: usize, const M: usize>(
    simd: S,
    work: &Workspace<G>,
    n: usize,
    correction: [S::F; G],
    acc: &mut [Values<G>],
) {
    let stride = acc.len();
    let weights = &work.weights[..n.div_ceil(2)];
    for (d, out) in (0..).step_by(M).zip(acc.chunks_exact_mut(M)) {
        let mut acc = [[simd.splat(0.0); G]; M];
        for m in 0..M {
            for g in 0..G {
                let there = simd.load(&out[m][g]);
                acc[m][g] = simd.fma_flushed(there, correction[g], simd.splat(0.0));
            }
        }
        for (weights, values) in weights.iter().zip(work.values.chunks_exact(stride)) {
            let values = &values[d..][..M];
            let mut weight = [simd.isplat(0); G];
            for g in 0..G {
                weight[g] = simd.iload(&weights[g]);
            }
            for m in 0..M {
                let value = simd.isplat(values[m]);
                for g in 0..G {
                    acc[m][g] = simd.dot_bf16(acc[m][g], value, weight[g]);
                }
            }
        }
        for m in 0..M {
            for g in 0..G {
                simd.store(acc[m][g], &mut out[m][g]);
            }
        }
    }
}

/// `first`, then `next`, into `first`.
struct Join<'a, const G: usize> {
    first: State<'a, G>,
    next: State<'a, G>,
}

impl<const G: usize> Kernel for Join<'_, G> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Join { first, next } = self;
        for g in 0..G {
            let (a, b) = (simd.load(&first.shift[g]), simd.load(&next.shift[g]));
            let shift = simd.larger(b, a);
            let (before, after) = (simd.exp2(simd.sub(a, shift)), simd.exp2(simd.sub(b, shift)));
            simd.store(shift, &mut first.shift[g]);
            let sum = simd.mul(simd.load(&first.sum[g]), before);
            let sum = simd.fma(simd.load(&next.sum[g]), after, sum);
            simd.store(sum, &mut first.sum[g]);
            for (acc, next) in first.acc.iter_mut().zip(&*next.acc) {
                let sum = simd.mul(simd.load(&acc[g]), before);
                let sum = simd.fma(simd.load(&next[g]), after, sum);
                simd.store(sum, &mut acc[g]);
            }
        }
    }
}

/// Divides what was gathered by the sums of weights.
struct Divide<'a, const G: usize> {
    state: State<'a, G>,
}

impl<const G: usize> Kernel for Divide<'_, G> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for g in 0..G {
            let sum = simd.load(&self.state.sum[g]);
            for acc in &mut *self.state.acc {
                simd.store(simd.div(simd.load(&acc[g]), sum), &mut acc[g]);
            }
        }
    }
}
