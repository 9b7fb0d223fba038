//! Attention of one row for a few heads that share a KV head, walked page by page. The definition is
//! `reference/attention.rs`.
//!
//! Scores keep a `d mod 16` in each lane and are summed four keys by four heads at a time; values keep sixteen `d` in
//! the lanes. What is not visible is never read.

#![expect(
    clippy::needless_range_loop,
    reason = "loops over tiles of registers, by head, key and column"
)]

use crate::cache::{AttentionShape, EightBits, PAGE_SIZE};
use crate::simd::{Kernel, Simd};
use std::ops::Range;

/// Most heads of one task.
pub(crate) const MAX_HEADS: usize = 4;

/// A stored value of the cache.
pub(crate) trait Stored: Copy + Default {
    fn load<S: Simd>(simd: S, x: &[Self; 16]) -> S::F;
}

impl Stored for f32 {
    #[inline(always)]
    fn load<S: Simd>(simd: S, x: &[f32; 16]) -> S::F {
        simd.load(x)
    }
}

/// bfloat16 bits.
impl Stored for u16 {
    #[inline(always)]
    fn load<S: Simd>(simd: S, x: &[u16; 16]) -> S::F {
        simd.from_bits(simd.shl(simd.widen(x), 16))
    }
}

/// The slots of a layer.
pub(crate) trait Slots: Copy + Sync {
    /// A value as attention reads it.
    type Value: Stored;

    /// `n` rows of `row_width` from slot `first` on, of which `wanted` columns are read; `page` may come to hold them.
    fn rows<'b>(
        &'b self,
        first: usize,
        n: usize,
        row_width: usize,
        wanted: &[Range<usize>; 2],
        page: &'b mut Vec<f32>,
    ) -> &'b [Self::Value];
}

impl<T: Stored + Sync> Slots for &[T] {
    type Value = T;

    #[inline(always)]
    fn rows<'b>(
        &'b self,
        first: usize,
        n: usize,
        row_width: usize,
        _wanted: &[Range<usize>; 2],
        _page: &'b mut Vec<f32>,
    ) -> &'b [T] {
        &self[first * row_width..][..n * row_width]
    }
}

impl Slots for &EightBits {
    type Value = f32;

    #[inline(always)]
    fn rows<'b>(
        &'b self,
        first: usize,
        n: usize,
        row_width: usize,
        wanted: &[Range<usize>; 2],
        page: &'b mut Vec<f32>,
    ) -> &'b [f32] {
        page.resize(PAGE_SIZE * row_width, 0.0);
        for (j, row) in page.chunks_exact_mut(row_width).take(n).enumerate() {
            for columns in wanted {
                self.read(first + j, columns.clone(), row);
            }
        }
        &page[..n * row_width]
    }
}

/// One task: heads `first_head..first_head + num_heads` of one row; all share one KV head.
pub(crate) struct AttentionTask<'a, L> {
    /// The row's queries, all heads.
    pub q: &'a [f32],
    /// The layer's slots.
    pub slots: L,
    /// Room for a page that is not stored as it is read.
    pub page: &'a mut Vec<f32>,
    /// Values in a slot.
    pub row_width: usize,
    /// The sequence's page table.
    pub pages: &'a [u32],
    /// Tokens seen.
    pub visible: usize,
    pub shape: &'a AttentionShape,
    pub first_head: usize,
    /// At most [`MAX_HEADS`].
    pub num_heads: usize,
    /// `[num_heads * value_dim]`
    pub out: &'a mut [f32],
}

impl<L: Slots> Kernel for AttentionTask<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.num_heads {
            1 => Heads::<S, L, 1>::new(simd, &self).run(self.page, self.out),
            2 => Heads::<S, L, 2>::new(simd, &self).run(self.page, self.out),
            3 => Heads::<S, L, 3>::new(simd, &self).run(self.page, self.out),
            4 => Heads::<S, L, 4>::new(simd, &self).run(self.page, self.out),
            n => unreachable!("{n} heads in a task of at most {MAX_HEADS}"),
        }
    }
}

/// `H` heads on their way through the pages.
struct Heads<'a, S, L, const H: usize> {
    simd: S,
    slots: L,
    row_width: usize,
    pages: &'a [u32],
    visible: usize,
    shape: &'a AttentionShape,
    /// First column of the key in a slot, and of the value.
    key: usize,
    value: usize,
    /// Queries, head by head, each padded with zeros to whole sixteens.
    q: Vec<[f32; 16]>,
    /// Weighted values so far, laid out in the same way.
    acc: Vec<[f32; 16]>,
    max: [f32; H],
    sum: [f32; H],
    /// Scores of the page at hand, then their weights.
    scores: [[f32; PAGE_SIZE]; H],
}

impl<'a, S: Simd, L: Slots, const H: usize> Heads<'a, S, L, H> {
    #[inline(always)]
    fn new(simd: S, task: &AttentionTask<'a, L>) -> Self {
        let shape = task.shape;
        let kv_head = task.first_head / (shape.num_heads / shape.num_kv_heads);
        let chunks = shape.key_dim.div_ceil(16);
        let mut q = vec![[0.0; 16]; H * chunks];
        for (h, q) in q.chunks_exact_mut(chunks).enumerate() {
            let from = &task.q[(task.first_head + h) * shape.key_dim..][..shape.key_dim];
            q.as_flattened_mut()[..shape.key_dim].copy_from_slice(from);
        }
        Heads {
            simd,
            slots: task.slots,
            row_width: task.row_width,
            pages: task.pages,
            visible: task.visible,
            shape,
            key: kv_head * shape.key_dim,
            value: shape.value_start + kv_head * shape.value_dim,
            q,
            acc: vec![[0.0; 16]; H * shape.value_dim.div_ceil(16)],
            max: [f32::NEG_INFINITY; H],
            sum: [0.0; H],
            scores: [[0.0; PAGE_SIZE]; H],
        }
    }

    #[inline(always)]
    fn run(mut self, page_room: &mut Vec<f32>, out: &mut [f32]) {
        let all_slots = self.slots;
        let key = self.key..self.key + self.shape.key_dim;
        let value = self.value..self.value + self.shape.value_dim;
        // An MLA value lies in the key.
        let within = key.start <= value.start && value.end <= key.end;
        let wanted = [key, if within { 0..0 } else { value }];
        for (page, first) in self.pages.iter().zip((0..self.visible).step_by(PAGE_SIZE)) {
            let first_slot = *page as usize * PAGE_SIZE;
            let n = PAGE_SIZE.min(self.visible - first);
            let slots = all_slots.rows(first_slot, n, self.row_width, &wanted, page_room);
            self.score(slots, n);
            let corrections = self.soften(n);
            self.gather(slots, n, corrections);
        }
        let value_dim = self.shape.value_dim;
        let chunks = value_dim.div_ceil(16);
        for (h, out) in out.chunks_exact_mut(value_dim).enumerate() {
            let acc = self.acc[h * chunks..][..chunks].as_flattened();
            for (out, acc) in out.iter_mut().zip(acc) {
                *out = acc / self.sum[h];
            }
        }
    }

    #[inline(always)]
    fn key<'b>(&self, slots: &'b [L::Value], j: usize) -> &'b [L::Value] {
        &slots[j * self.row_width + self.key..][..self.shape.key_dim]
    }

    /// `scores[h][j] = scale · q[h] · key[j]` for the `n` slots of a page.
    #[inline(always)]
    fn score(&mut self, slots: &[L::Value], n: usize) {
        let simd = self.simd;
        let scale = simd.splat(self.shape.scale);
        let mut j = 0;
        while S::WIDE && j + 4 <= n {
            let dots = key_dots::<S, L::Value, H, 4>(
                simd,
                &self.q,
                [
                    self.key(slots, j),
                    self.key(slots, j + 1),
                    self.key(slots, j + 2),
                    self.key(slots, j + 3),
                ],
            );
            let mut all = [simd.splat(0.0); 16];
            for h in 0..H {
                for i in 0..4 {
                    all[4 * h + i] = dots[h][i];
                }
            }
            let mut sums = [0.0; 16];
            simd.store(simd.mul(simd.sums(all), scale), &mut sums);
            for (scores, sums) in self.scores.iter_mut().zip(sums.as_chunks::<4>().0) {
                scores[j..j + 4].copy_from_slice(sums);
            }
            j += 4;
        }
        for j in j..n {
            let dots = key_dots::<S, L::Value, H, 1>(simd, &self.q, [self.key(slots, j)]);
            for (scores, [dot]) in self.scores.iter_mut().zip(dots) {
                scores[j] = self.shape.scale * simd.sum(dot);
            }
        }
    }

    /// Scores become weights; returns what the sums so far are multiplied by.
    #[inline(always)]
    fn soften(&mut self, n: usize) -> [f32; H] {
        let simd = self.simd;
        let mut corrections = [0.0; H];
        for h in 0..H {
            let scores = &mut self.scores[h];
            scores[n..].fill(f32::NEG_INFINITY);
            let mut largest = simd.splat(self.max[h]);
            for scores in scores.as_chunks::<16>().0 {
                largest = simd.larger(simd.load(scores), largest);
            }
            let mut lanes = [0.0; 16];
            simd.store(largest, &mut lanes);
            let mut max = f32::NEG_INFINITY;
            for lane in lanes {
                max = if lane > max { lane } else { max };
            }
            let mut before = [0.0; 16];
            simd.store(simd.exp(simd.splat(self.max[h] - max)), &mut before);
            let mut sums = simd.splat(0.0);
            for (c, scores) in scores.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                let weights = simd.exp(simd.sub(simd.load(scores), simd.splat(max)));
                simd.store(weights, scores);
                // Slots past the end count as nothing, even where the maximum is infinite or there is none.
                scores[n.saturating_sub(16 * c).min(16)..].fill(0.0);
                sums = simd.add(sums, simd.load(scores));
            }
            corrections[h] = before[0];
            self.sum[h] = self.sum[h].mul_add(before[0], simd.sum(sums));
            self.max[h] = max;
        }
        corrections
    }

    /// `acc[h] = acc[h] · correction[h] + Σ_j weight[h][j] · value[j]`, in order of `j`.
    #[inline(always)]
    fn gather(&mut self, slots: &[L::Value], n: usize, corrections: [f32; H]) {
        let dim = self.shape.value_dim;
        let mut d = 0;
        while S::WIDE && d + 64 <= dim {
            self.gather_columns::<4>(slots, n, d, corrections);
            d += 64;
        }
        while d + 16 <= dim {
            self.gather_columns::<1>(slots, n, d, corrections);
            d += 16;
        }
        if d < dim {
            self.gather_rest(slots, n, d, corrections);
        }
    }

    /// Columns `d..d + 16 * D` of the values.
    #[inline(always)]
    fn gather_columns<const D: usize>(
        &mut self,
        slots: &[L::Value],
        n: usize,
        d: usize,
        corrections: [f32; H],
    ) {
        let simd = self.simd;
        let chunks = self.shape.value_dim.div_ceil(16);
        let mut acc = [[simd.splat(0.0); D]; H];
        for h in 0..H {
            for i in 0..D {
                let before = simd.load(&self.acc[h * chunks + d / 16 + i]);
                acc[h][i] = simd.mul(before, simd.splat(corrections[h]));
            }
        }
        for j in 0..n {
            let values = &slots[j * self.row_width + self.value + d..][..16 * D];
            let values = values.as_chunks::<16>().0;
            for i in 0..D {
                let value = L::Value::load(simd, &values[i]);
                for h in 0..H {
                    acc[h][i] = simd.fma(simd.splat(self.scores[h][j]), value, acc[h][i]);
                }
            }
        }
        for h in 0..H {
            for i in 0..D {
                simd.store(acc[h][i], &mut self.acc[h * chunks + d / 16 + i]);
            }
        }
    }

    /// The last columns, fewer than sixteen.
    #[inline(always)]
    fn gather_rest(&mut self, slots: &[L::Value], n: usize, d: usize, corrections: [f32; H]) {
        let rest = self.shape.value_dim - d;
        let chunks = self.shape.value_dim.div_ceil(16);
        for h in 0..H {
            let at = h * chunks + d / 16;
            let simd = self.simd;
            let mut acc = simd.mul(simd.load(&self.acc[at]), simd.splat(corrections[h]));
            for j in 0..n {
                let mut value = [L::Value::default(); 16];
                let from = &slots[j * self.row_width + self.value + d..][..rest];
                value[..rest].copy_from_slice(from);
                acc = simd.fma(
                    simd.splat(self.scores[h][j]),
                    L::Value::load(simd, &value),
                    acc,
                );
            }
            simd.store(acc, &mut self.acc[at]);
        }
    }
}

/// The lanes of `q[h] · key[j]`, not yet summed.
#[inline(always)]
fn key_dots<S: Simd, T: Stored, const H: usize, const J: usize>(
    simd: S,
    q: &[[f32; 16]],
    keys: [&[T]; J],
) -> [[S::F; J]; H] {
    let chunks = q.len() / H;
    let mut dots = [[simd.splat(0.0); J]; H];
    let (mut whole, mut rests) = ([keys[0].as_chunks::<16>().0; J], [keys[0]; J]);
    for j in 0..J {
        (whole[j], rests[j]) = keys[j].as_chunks::<16>();
    }
    for c in 0..whole[0].len() {
        let mut key = [simd.splat(0.0); J];
        for j in 0..J {
            key[j] = T::load(simd, &whole[j][c]);
        }
        for h in 0..H {
            let q = simd.load(&q[h * chunks + c]);
            for j in 0..J {
                dots[h][j] = simd.fma(q, key[j], dots[h][j]);
            }
        }
    }
    if !rests[0].is_empty() {
        for j in 0..J {
            let mut rest = [T::default(); 16];
            rest[..rests[j].len()].copy_from_slice(rests[j]);
            let key = T::load(simd, &rest);
            for h in 0..H {
                let q = simd.load(&q[h * chunks + chunks - 1]);
                dots[h][j] = simd.fma(q, key, dots[h][j]);
            }
        }
    }
    dots
}
