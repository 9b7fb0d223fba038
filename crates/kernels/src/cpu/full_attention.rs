//! Attention without a mask, 48 rows of one head a task. The definition is `reference/full_attention.rs`.
//!
//! Queries lie in the lanes, so that softmax needs no sums across them; keys and values come one by one. Words (`meet.rs`)
//! are f32, or two bf16: two neighbouring lanes of a head, or two neighbouring keys.

use super::Cpu;
use super::elementwise::{PairRows, RowWords};
use super::meet::{Begin, Values, Words, lay_in_lanes, meet, sums};
use super::shared::Shared;
use crate::backend::FullAttention;
use crate::reference::full_attention::KEY_TILE;
use crate::reference::powers::SLACK;
use crate::rows::Rows;
use crate::simd::{Kernel, Simd};
use std::f32::consts::LOG2_E;
use std::ops::Range;

/// Registers of queries in a task.
const GROUPS: usize = 3;
/// Rows of keys or values that meet the queries at once.
const ROWS: usize = 8;
/// Queries of a task.
const QUERIES: usize = 16 * GROUPS;

/// The sizes of one call.
#[derive(Clone, Copy)]
struct Sizes {
    head_dim: usize,
    rounded: bool,
}

impl Sizes {
    /// Words<GROUPS> that hold `values` values.
    fn words(&self, values: usize) -> usize {
        if self.rounded {
            values.div_ceil(2)
        } else {
            values
        }
    }

    /// Words<GROUPS> of a key.
    fn depth(&self) -> usize {
        self.words(self.head_dim)
    }

    /// Rows of a tile of values: lanes of a head, and padding.
    fn value_rows(&self) -> usize {
        self.head_dim.next_multiple_of(ROWS)
    }

    /// Words<GROUPS> of a tile: of keys, `[KEY_TILE, depth]`; and of values, `[value_rows, words(KEY_TILE)]`.
    fn tile_words(&self) -> (usize, usize) {
        (
            KEY_TILE * self.depth(),
            self.value_rows() * self.words(KEY_TILE),
        )
    }
}

impl Sizes {
    /// A tile of values: for each lane of the head, its words along the rows.
    fn transpose(
        &self,
        cpu: &Cpu,
        v: &Rows,
        rows: Range<usize>,
        columns: Range<usize>,
        tile: &mut [i32],
    ) {
        let (row_words, zeros) = (self.words(KEY_TILE), vec![0.0; self.head_dim]);
        let mut words = vec![0; self.head_dim];
        for c in 0..self.words(rows.len()) {
            if self.rounded {
                let row = rows.start + 2 * c;
                let second = if row + 1 < rows.end {
                    &v.row(row + 1)[columns.clone()]
                } else {
                    &zeros
                };
                cpu.unit.run(PairRows {
                    first: &v.row(row)[columns.clone()],
                    second,
                    words: &mut words,
                });
            } else {
                let row = &v.row(rows.start + c)[columns.clone()];
                for (word, x) in words.iter_mut().zip(row) {
                    *word = x.to_bits() as i32;
                }
            }
            for (to, word) in tile[c..].iter_mut().step_by(row_words).zip(&words) {
                *to = *word;
            }
        }
    }
}

/// The keys and values of one range, as tiles, head by head.
struct Tiles {
    sizes: Sizes,
    num_tiles: usize,
    num_keys: usize,
    keys: Vec<i32>,
    values: Vec<i32>,
}

impl Tiles {
    fn new(cpu: &Cpu, k: &Rows, v: &Rows, range: Range<usize>, shape: &FullAttention) -> Tiles {
        let sizes = Sizes {
            head_dim: shape.head_dim,
            rounded: shape.rounded,
        };
        let num_tiles = range.len().div_ceil(KEY_TILE);
        let (key_words, value_words) = sizes.tile_words();
        let tasks = shape.num_heads * num_tiles;
        let (mut keys, mut values) = (vec![0; tasks * key_words], vec![0; tasks * value_words]);
        let (keys_shared, values_shared) = (Shared::new(&mut keys), Shared::new(&mut values));
        cpu.threads.run(tasks, |task| {
            let (head, tile) = (task / num_tiles, task % num_tiles);
            let first = range.start + tile * KEY_TILE;
            let rows = first..range.end.min(first + KEY_TILE);
            let columns = head * shape.head_dim..(head + 1) * shape.head_dim;
            // SAFETY: each task has tiles of its own.
            let (keys, values) = unsafe {
                (
                    keys_shared.slice(task * key_words, key_words),
                    values_shared.slice(task * value_words, value_words),
                )
            };
            let keys = keys.chunks_exact_mut(sizes.depth());
            for (r, words) in rows.clone().zip(keys) {
                cpu.unit.run(RowWords {
                    x: &k.row(r)[columns.clone()],
                    scale: 1.0,
                    rounded: sizes.rounded,
                    words,
                });
            }
            sizes.transpose(cpu, v, rows, columns, values);
        });
        Tiles {
            sizes,
            num_tiles,
            num_keys: range.len(),
            keys,
            values,
        }
    }

    /// Tile `tile` of head `head`: keys, values, and how many there are.
    fn tile(&self, head: usize, tile: usize) -> (&[i32], &[i32], usize) {
        let (key_words, value_words) = self.sizes.tile_words();
        let at = head * self.num_tiles + tile;
        (
            &self.keys[at * key_words..][..key_words],
            &self.values[at * value_words..][..value_words],
            KEY_TILE.min(self.num_keys - tile * KEY_TILE),
        )
    }
}

/// What a thread needs for its tasks.
struct Workspace {
    /// `[depth]`
    queries: Vec<Words<GROUPS>>,
    /// `[words(KEY_TILE)]`
    weights: Vec<Words<GROUPS>>,
    /// `[value_rows]`
    acc: Vec<Values<GROUPS>>,
    /// The score whose weight is 1.
    shift: Values<GROUPS>,
    /// Largest scores of the tile at hand.
    max: Values<GROUPS>,
    /// Sums of weights.
    sum: Values<GROUPS>,
    /// What `acc` is multiplied by before the tile at hand joins it.
    correction: Values<GROUPS>,
}

impl Workspace {
    fn new(sizes: Sizes) -> Workspace {
        Workspace {
            queries: vec![[[0; 16]; GROUPS]; sizes.depth()],
            weights: vec![[[0; 16]; GROUPS]; sizes.words(KEY_TILE)],
            acc: vec![[[0.0; 16]; GROUPS]; sizes.value_rows()],
            shift: [[0.0; 16]; GROUPS],
            max: [[0.0; 16]; GROUPS],
            sum: [[0.0; 16]; GROUPS],
            correction: [[0.0; 16]; GROUPS],
        }
    }

    /// Whether a score of the tile at hand is too far above the shift.
    fn shift_follows(&self) -> bool {
        let lanes = self
            .max
            .as_flattened()
            .iter()
            .zip(self.shift.as_flattened());
        lanes.fold(false, |follows, (max, shift)| {
            follows | (*max > shift + SLACK)
        })
    }

    /// Where a score is too far above the shift, makes it the shift.
    #[inline(always)]
    fn correct<S: Simd>(&mut self, simd: S) {
        for g in 0..GROUPS {
            let (max, shift) = (simd.load(&self.max[g]), simd.load(&self.shift[g]));
            let most = simd.add(shift, simd.splat(SLACK));
            let correction = simd.exp2(simd.sub(shift, max));
            let correction = simd.select_less(most, max, correction, simd.splat(1.0));
            simd.store(simd.select_less(most, max, max, shift), &mut self.shift[g]);
            let sum = simd.mul(simd.load(&self.sum[g]), correction);
            simd.store(sum, &mut self.sum[g]);
            simd.store(correction, &mut self.correction[g]);
        }
    }

    /// The result of query `lane`.
    fn take(&self, lane: usize, out: &mut [f32]) {
        let (group, lane) = (lane / 16, lane % 16);
        for (out, acc) in out.iter_mut().zip(&self.acc) {
            *out = acc[group][lane];
        }
    }
}

impl Cpu {
    pub(super) fn attention_within(
        &self,
        q: &Rows,
        k: &Rows,
        v: &Rows,
        ranges: &[Range<usize>],
        shape: &FullAttention,
        out: &mut Rows,
    ) {
        let cols = out.cols();
        let out = Shared::new(out.data_mut());
        let scale = shape.scale * LOG2_E;
        for range in ranges {
            let tiles = Tiles::new(self, k, v, range.clone(), shape);
            let sizes = tiles.sizes;
            let blocks = range.len().div_ceil(QUERIES);
            let task = |workspace: &mut Workspace, task: usize| {
                let (head, block) = (task / blocks, task % blocks);
                let first = range.start + block * QUERIES;
                let rows = first..range.end.min(first + QUERIES);
                let (tiles, head_dim) = (&tiles, shape.head_dim);
                let query = |row| &q.row(row)[head * head_dim..][..head_dim];
                lay_in_lanes(
                    self.unit,
                    rows.clone().map(query),
                    scale,
                    shape.rounded,
                    &mut workspace.queries,
                );
                if shape.rounded {
                    self.unit.run_bf16(&mut Walk::<true> {
                        workspace,
                        tiles,
                        head,
                    });
                } else {
                    self.unit.run(&mut Walk::<false> {
                        workspace,
                        tiles,
                        head,
                    });
                }
                self.unit.run(Divide(workspace));
                for (lane, row) in rows.enumerate() {
                    // SAFETY: each task has its own head of its own rows.
                    let out = unsafe { out.slice(row * cols + head * head_dim, head_dim) };
                    workspace.take(lane, out);
                }
            };
            let workspace = || Workspace::new(sizes);
            self.threads
                .run_with(shape.num_heads * blocks, workspace, task);
        }
    }
}

/// One task: its queries walk through all tiles of their head.
struct Walk<'a, const ROUNDED: bool> {
    workspace: &'a mut Workspace,
    tiles: &'a Tiles,
    head: usize,
}

impl<const ROUNDED: bool> Kernel for &mut Walk<'_, ROUNDED> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let work = &mut *self.workspace;
        work.acc.fill([[0.0; 16]; GROUPS]);
        work.shift = [[f32::NEG_INFINITY; 16]; GROUPS];
        work.sum = [[0.0; 16]; GROUPS];
        for tile in 0..self.tiles.num_tiles {
            let (keys, values, n) = self.tiles.tile(self.head, tile);
            work.correction = [[1.0; 16]; GROUPS];
            let sum = work.sum;
            weigh::<S, ROUNDED>(simd, work, keys, n);
            if work.shift_follows() {
                work.sum = sum;
                work.correct(simd);
                weigh::<S, ROUNDED>(simd, work, keys, n);
            }
            let row_words = work.weights.len();
            let used = if ROUNDED { n.div_ceil(2) } else { n };
            let weights = &work.weights[..used];
            for (values, acc) in values
                .chunks_exact(ROWS * row_words)
                .zip(work.acc.chunks_exact_mut(ROWS))
            {
                let begin = Begin::Times(&work.correction);
                meet::<S, ROUNDED, GROUPS, ROWS, 2>(simd, values, row_words, weights, begin, acc);
            }
        }
    }
}

/// The weights of `n` keys at the present shift, their largest scores, and the sums with them.
#[inline(always)]
fn weigh<S: Simd, const ROUNDED: bool>(simd: S, work: &mut Workspace, keys: &[i32], n: usize) {
    let depth = work.queries.len();
    let mut lanes = Lanes {
        simd,
        shift: [simd.splat(0.0); GROUPS],
        max: [simd.splat(f32::NEG_INFINITY); GROUPS],
        sum: [simd.splat(0.0); GROUPS],
    };
    for g in 0..GROUPS {
        lanes.shift[g] = simd.load(&work.shift[g]);
        lanes.sum[g] = simd.load(&work.sum[g]);
    }
    let keys = keys.chunks_exact(ROWS * depth);
    let block_words = work.weights.len() / (KEY_TILE / ROWS);
    let words = work.weights.chunks_exact_mut(block_words);
    for ((block, keys), words) in keys.enumerate().zip(words).take(n.div_ceil(ROWS)) {
        let zeros = [[simd.splat(0.0); GROUPS]; ROWS];
        let [a, b, c, d, e, f, g, h] =
            sums::<S, ROUNDED, GROUPS, ROWS>(simd, keys, depth, &work.queries, zeros);
        let pairs = [[a, b], [c, d], [e, f], [g, h]];
        let words = words.chunks_exact_mut(words.len() / pairs.len());
        for ((pair, scores), words) in pairs.into_iter().enumerate().zip(words) {
            match n.saturating_sub(block * ROWS + 2 * pair) {
                0 => {}
                1 => lanes.weights::<ROUNDED, false>(scores, words),
                _ => lanes.weights::<ROUNDED, true>(scores, words),
            }
        }
    }
    for g in 0..GROUPS {
        simd.store(lanes.max[g], &mut work.max[g]);
        simd.store(lanes.sum[g], &mut work.sum[g]);
    }
}

/// The state of [`weigh`], in registers.
struct Lanes<S: Simd> {
    simd: S,
    shift: [S::F; GROUPS],
    max: [S::F; GROUPS],
    sum: [S::F; GROUPS],
}

impl<S: Simd> Lanes<S> {
    /// The weights of two keys, or of the first alone.
    #[inline(always)]
    fn weights<const ROUNDED: bool, const BOTH: bool>(
        &mut self,
        [first, second]: [[S::F; GROUPS]; 2],
        words: &mut [Words<GROUPS>],
    ) {
        let simd = self.simd;
        for g in 0..GROUPS {
            let low = self.weight(first[g], g);
            let mut high = simd.splat(0.0);
            if BOTH {
                high = self.weight(second[g], g);
            }
            if let (true, [pair]) = (ROUNDED, &mut *words) {
                simd.istore(simd.pair_bf16(low, high), &mut pair[g]);
            } else if let [first, second] = &mut *words {
                simd.istore(simd.bits(low), &mut first[g]);
                simd.istore(simd.bits(high), &mut second[g]);
            }
        }
    }

    #[inline(always)]
    fn weight(&mut self, score: S::F, g: usize) -> S::F {
        let simd = self.simd;
        self.max[g] = simd.larger(score, self.max[g]);
        let weight = simd.exp2(simd.sub(score, self.shift[g]));
        self.sum[g] = simd.add(self.sum[g], weight);
        weight
    }
}

/// Divides what was gathered by the sums of weights.
struct Divide<'a>(&'a mut Workspace);

impl Kernel for Divide<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Workspace { acc, sum, .. } = self.0;
        for acc in acc {
            for g in 0..GROUPS {
                let mean = simd.div(simd.load(&acc[g]), simd.load(&sum[g]));
                simd.store(mean, &mut acc[g]);
            }
        }
    }
}
