//! Attention without a mask, 48 rows of one head a task. The definition is `reference/full_attention.rs`.
//!
//! Queries lie in the lanes, so that softmax needs no sums across them; keys and values come one by one. Words (`meet.rs`)
//! are f32, or two bf16: two neighbouring lanes of a head, or two neighbouring keys.

use super::Cpu;
use super::meet::{Values, Words, meet};
use super::shared::Shared;
use crate::backend::FullAttention;
use crate::float::f32_to_bf16;
use crate::reference::full_attention::KEY_TILE;
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

    /// The word of `values[at]` and, if rounded, its neighbour; past the end are zeros.
    fn word(&self, values: impl Fn(usize) -> f32, word: usize) -> i32 {
        if self.rounded {
            let (low, high) = (
                f32_to_bf16(values(2 * word)),
                f32_to_bf16(values(2 * word + 1)),
            );
            (u32::from(low) | u32::from(high) << 16) as i32
        } else {
            values(word).to_bits() as i32
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
            for (r, key) in rows.clone().zip(keys) {
                let row = &k.row(r)[columns.clone()];
                for (c, word) in key.iter_mut().enumerate() {
                    *word = sizes.word(|at| row.get(at).copied().unwrap_or(0.0), c);
                }
            }
            let row_words = sizes.words(KEY_TILE);
            for (d, value) in columns.zip(values.chunks_exact_mut(row_words)) {
                let at = |j: usize| {
                    if j < rows.len() {
                        v.row(first + j)[d]
                    } else {
                        0.0
                    }
                };
                for (c, word) in value.iter_mut().enumerate() {
                    *word = sizes.word(at, c);
                }
            }
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
    /// `[KEY_TILE]`
    scores: Vec<Values<GROUPS>>,
    /// `[words(KEY_TILE)]`
    weights: Vec<Words<GROUPS>>,
    /// `[value_rows]`
    acc: Vec<Values<GROUPS>>,
    max: Values<GROUPS>,
    sum: Values<GROUPS>,
    correction: Values<GROUPS>,
}

impl Workspace {
    fn new(sizes: Sizes) -> Workspace {
        Workspace {
            queries: vec![[[0; 16]; GROUPS]; sizes.depth()],
            scores: vec![[[0.0; 16]; GROUPS]; KEY_TILE],
            weights: vec![[[0; 16]; GROUPS]; sizes.words(KEY_TILE)],
            acc: vec![[[0.0; 16]; GROUPS]; sizes.value_rows()],
            max: [[0.0; 16]; GROUPS],
            sum: [[0.0; 16]; GROUPS],
            correction: [[0.0; 16]; GROUPS],
        }
    }

    /// Takes the queries of `rows`; the lanes past the last are zeros.
    fn begin(&mut self, sizes: Sizes, q: &Rows, rows: Range<usize>, first_column: usize) {
        for lane in 0..QUERIES {
            let row = rows.start + lane;
            let query = if row < rows.end {
                &q.row(row)[first_column..][..sizes.head_dim]
            } else {
                &[]
            };
            for (c, words) in self.queries.iter_mut().enumerate() {
                let value = |at: usize| query.get(at).copied().unwrap_or(0.0);
                words[lane / 16][lane % 16] = sizes.word(value, c);
            }
        }
        self.acc.fill([[0.0; 16]; GROUPS]);
        self.max = [[f32::NEG_INFINITY; 16]; GROUPS];
        self.sum = [[0.0; 16]; GROUPS];
    }

    /// The result of query `lane`.
    fn finish(&self, lane: usize, out: &mut [f32]) {
        let (group, lane) = (lane / 16, lane % 16);
        for (out, acc) in out.iter_mut().zip(&self.acc) {
            *out = acc[group][lane] / self.sum[group][lane];
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
        for range in ranges {
            let tiles = Tiles::new(self, k, v, range.clone(), shape);
            let sizes = tiles.sizes;
            let blocks = range.len().div_ceil(QUERIES);
            let task = |workspace: &mut Workspace, task: usize| {
                let (head, block) = (task / blocks, task % blocks);
                let first = range.start + block * QUERIES;
                let rows = first..range.end.min(first + QUERIES);
                workspace.begin(sizes, q, rows.clone(), head * shape.head_dim);
                let scale = shape.scale * LOG2_E;
                let (tiles, head_dim) = (&tiles, shape.head_dim);
                if shape.rounded {
                    self.unit.run_bf16(Walk::<true> {
                        workspace,
                        tiles,
                        head,
                        scale,
                    });
                } else {
                    self.unit.run(Walk::<false> {
                        workspace,
                        tiles,
                        head,
                        scale,
                    });
                }
                for (lane, row) in rows.enumerate() {
                    // SAFETY: each task has its own head of its own rows.
                    let out = unsafe { out.slice(row * cols + head * head_dim, head_dim) };
                    workspace.finish(lane, out);
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
    /// On scores, log2 e included.
    scale: f32,
}

impl<const ROUNDED: bool> Kernel for Walk<'_, ROUNDED> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let work = self.workspace;
        let depth = work.queries.len();
        for tile in 0..self.tiles.num_tiles {
            let (keys, values, n) = self.tiles.tile(self.head, tile);
            for (keys, scores) in keys
                .chunks_exact(ROWS * depth)
                .zip(work.scores.chunks_exact_mut(ROWS))
                .take(n.div_ceil(ROWS))
            {
                meet::<S, ROUNDED, GROUPS, ROWS, 2>(simd, keys, depth, &work.queries, None, scores);
            }
            soften::<S, ROUNDED>(simd, work, n, self.scale);
            let row_words = work.weights.len();
            let used = if ROUNDED { n.div_ceil(2) } else { n };
            let weights = &work.weights[..used];
            for (values, acc) in values
                .chunks_exact(ROWS * row_words)
                .zip(work.acc.chunks_exact_mut(ROWS))
            {
                let before = Some(&work.correction);
                meet::<S, ROUNDED, GROUPS, ROWS, 2>(simd, values, row_words, weights, before, acc);
            }
        }
    }
}

/// The scores of `n` keys become weights; maxima, sums and corrections follow.
#[inline(always)]
fn soften<S: Simd, const ROUNDED: bool>(simd: S, work: &mut Workspace, n: usize, scale: f32) {
    let scale = simd.splat(scale);
    for g in 0..GROUPS {
        let before = simd.load(&work.max[g]);
        let mut max = before;
        for scores in &work.scores[..n] {
            max = simd.larger(simd.load(&scores[g]), max);
        }
        let correction = simd.exp2(simd.mul(simd.sub(before, max), scale));
        let mut sum = simd.mul(simd.load(&work.sum[g]), correction);
        if ROUNDED {
            for (pair, weights) in work.scores[..n].chunks(2).zip(&mut work.weights) {
                let first = simd.exp2(simd.mul(simd.sub(simd.load(&pair[0][g]), max), scale));
                sum = simd.add(sum, first);
                let mut second = simd.splat(0.0);
                if let Some(scores) = pair.get(1) {
                    second = simd.exp2(simd.mul(simd.sub(simd.load(&scores[g]), max), scale));
                    sum = simd.add(sum, second);
                }
                simd.istore(simd.pair_bf16(first, second), &mut weights[g]);
            }
        } else {
            for (scores, weights) in work.scores[..n].iter().zip(&mut work.weights) {
                let weight = simd.exp2(simd.mul(simd.sub(simd.load(&scores[g]), max), scale));
                sum = simd.add(sum, weight);
                simd.istore(simd.bits(weight), &mut weights[g]);
            }
        }
        simd.store(max, &mut work.max[g]);
        simd.store(sum, &mut work.sum[g]);
        simd.store(correction, &mut work.correction[g]);
    }
}
