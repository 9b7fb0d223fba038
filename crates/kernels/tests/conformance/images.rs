//! What serves images: attention without a mask, products that round activations and GELU, on every backend.

use super::support::{
    ACTIVATIONS, Activations, Random, WEIGHTS, Weights, activations, assert_same, candidates,
    weights,
};
use kernels::{Backend, FeedForward, Format, FullAttention, Reference, Rows};
use std::ops::Range;

fn ranges(lengths: &[usize]) -> Vec<Range<usize>> {
    let mut next = 0;
    let mut range = |n: &usize| {
        next += n;
        next - n..next
    };
    lengths.iter().map(&mut range).collect()
}

struct Case {
    shape: FullAttention,
    ranges: Vec<Range<usize>>,
    qkv: [Rows; 3],
}

impl Case {
    fn new(
        shape: FullAttention,
        lengths: &[usize],
        kind: Activations,
        random: &mut Random,
    ) -> Case {
        let (rows, cols) = (lengths.iter().sum(), shape.num_heads * shape.head_dim);
        let mut rows = || Reference.upload(rows, cols, &activations(rows, cols, kind, random));
        Case {
            shape,
            ranges: ranges(lengths),
            qkv: [rows(), rows(), rows()],
        }
    }

    fn run(&self, backend: &dyn Backend) -> Vec<f32> {
        let [q, k, v] = &self.qkv;
        let mut out = backend.rows(q.rows(), q.cols());
        backend.full_attention(q, k, v, &self.ranges, &self.shape, &mut out);
        backend.download(&out)
    }
}

fn shape(num_heads: usize, head_dim: usize, scale: f32, rounded: bool) -> FullAttention {
    FullAttention {
        num_heads,
        head_dim,
        scale,
        rounded,
    }
}

#[test]
fn full_attention() {
    let mut random = Random(21);
    let candidates = candidates();
    for (num_heads, head_dim) in [(2, 64), (1, 8), (3, 20), (1, 7), (2, 1)] {
        for rounded in [false, true] {
            for kind in ACTIVATIONS {
                let shape = shape(num_heads, head_dim, (head_dim as f32).powf(-0.5), rounded);
                let case = Case::new(shape, &[1, 63, 64, 2, 131, 48, 257], kind, &mut random);
                let golden = case.run(&Reference);
                let finite = golden.iter().filter(|y| y.is_finite()).count();
                assert!(finite > 0 && (finite == golden.len()) == (kind != Activations::NotFinite));
                for candidate in &candidates {
                    let what = format!("{}, {shape:?}, {kind:?}", candidate.name);
                    assert_same(&case.run(&candidate.cpu), &golden, &what);
                }
            }
        }
    }
}

#[test]
fn full_attention_with_huge_scores() {
    let mut random = Random(22);
    let candidates = candidates();
    for (scale, rounded) in [(300.0, false), (300.0, true), (1e30, false), (1e38, true)] {
        let case = Case::new(
            shape(2, 32, scale, rounded),
            &[100, 70],
            Activations::Mixed,
            &mut random,
        );
        let golden = case.run(&Reference);
        for candidate in &candidates {
            assert_same(&case.run(&candidate.cpu), &golden, &candidate.name);
        }
    }
}

/// A range's rows are the same whatever lies beside it; and it is a weighted mean of the values.
#[test]
fn a_range_does_not_depend_on_the_ranges_beside_it() {
    let mut random = Random(23);
    for rounded in [false, true] {
        let case = Case::new(
            shape(2, 16, 0.25, rounded),
            &[65, 150, 3],
            Activations::Ordinary,
            &mut random,
        );
        for candidate in candidates() {
            let together = case.run(&candidate.cpu);
            for range in &case.ranges {
                let part = |rows: &Rows| {
                    let all = Reference.download(rows);
                    Reference.upload(range.len(), 32, &all[range.start * 32..range.end * 32])
                };
                let alone = Case {
                    shape: case.shape,
                    ranges: ranges(&[range.len()]),
                    qkv: [part(&case.qkv[0]), part(&case.qkv[1]), part(&case.qkv[2])],
                };
                let expected = &together[range.start * 32..range.end * 32];
                assert_same(&alone.run(&candidate.cpu), expected, &candidate.name);
            }
        }
    }
}

/// Against a plain softmax in f64.
#[test]
fn full_attention_is_attention() {
    let mut random = Random(24);
    for (rounded, bar) in [(false, 2e-5), (true, 2e-2)] {
        let case = Case::new(
            shape(2, 16, 0.25, rounded),
            &[5, 90],
            Activations::Ordinary,
            &mut random,
        );
        let [q, k, v] = case.qkv.each_ref().map(|rows| Reference.download(rows));
        let got = case.run(&Reference);
        let mut worst = 0f64;
        for range in &case.ranges {
            for r in range.clone() {
                for head in 0..2 {
                    let at =
                        |rows: &[f32], r: usize, d: usize| f64::from(rows[r * 32 + head * 16 + d]);
                    let score =
                        |j| (0..16).map(|d| at(&q, r, d) * at(&k, j, d)).sum::<f64>() * 0.25;
                    let weights: Vec<f64> = range.clone().map(|j| score(j).exp()).collect();
                    let sum: f64 = weights.iter().sum();
                    for d in 0..16 {
                        let values = range.clone().zip(&weights).map(|(j, w)| w * at(&v, j, d));
                        let exact = values.sum::<f64>() / sum;
                        worst = worst.max((at(&got, r, d) - exact).abs());
                    }
                }
            }
        }
        assert!(worst < bar && worst > 0.0, "{worst}");
    }
}

#[test]
fn gelu() {
    let mut random = Random(25);
    for kind in ACTIVATIONS {
        for cols in [1, 16, 37, 300] {
            let values = activations(20, cols, kind, &mut random);
            let run = |backend: &dyn Backend| {
                let mut x = backend.upload(20, cols, &values);
                backend.gelu(&mut x);
                backend.download(&x)
            };
            let golden = run(&Reference);
            for candidate in candidates() {
                assert_same(&run(&candidate.cpu), &golden, &candidate.name);
            }
        }
    }
}

/// `[in, out]`
const SHAPES: [(usize, usize); 8] = [
    (1, 1),
    (17, 16),
    (32, 5),
    (40, 33),
    (64, 48),
    (292, 17),
    (588, 31),
    (8, 70),
];

#[test]
fn products_that_round_activations() {
    let mut random = Random(26);
    let candidates = candidates();
    let (mut compared, mut finite) = (0usize, 0usize);
    for (cols, out) in SHAPES {
        for kind in WEIGHTS {
            let w = weights(Format::Bf16, out, cols, kind, &mut random).rounding_activations();
            assert!(w.rounds_activations() && w.slice_rows(0..1).rounds_activations());
            let split = weights(Format::F32, 3, cols, kind, &mut random).rounding_activations();
            assert!(!split.rounds_activations());
            for (x_kind, rows) in ACTIVATIONS.into_iter().zip([1, 3, 12, 13, 37]) {
                let x = activations(rows, cols, x_kind, &mut random);
                let x = Reference.upload(rows, cols, &x);
                let run = |backend: &dyn Backend| {
                    let (mut y, mut z) = (backend.rows(rows, out), backend.rows(rows, 3));
                    let mut again = backend.rows(rows, out);
                    let mut outs = [&mut y, &mut z, &mut again];
                    backend.project(&x, &[&w, &split, &w], &mut outs);
                    [y, z, again].map(|y| backend.download(&y)).concat()
                };
                let golden = run(&Reference);
                finite += golden.iter().filter(|y| y.is_finite()).count();
                for candidate in &candidates {
                    let y = run(&candidate.cpu);
                    let what = format!(
                        "{}, {kind:?} [{out}, {cols}], {rows} {x_kind:?} rows",
                        candidate.name
                    );
                    assert_same(&y, &golden, &what);
                    compared += y.len();
                }
            }
        }
    }
    println!("products that round: {compared} values, {finite} finite");
    assert!(finite > 20_000);
}

#[test]
fn feed_forwards_that_round_activations() {
    let mut random = Random(27);
    let candidates = candidates();
    for (hidden, inner) in [(40, 33), (64, 96), (48, 31), (7, 1)] {
        let mut matrix = |rows, cols| {
            weights(Format::Bf16, rows, cols, Weights::Ordinary, &mut random).rounding_activations()
        };
        let ff = FeedForward {
            gate: matrix(inner, hidden),
            up: matrix(inner, hidden),
            down: matrix(hidden, inner),
        };
        for rows in [0, 1, 12, 50] {
            let x = activations(rows, hidden, Activations::Mixed, &mut random);
            let run = |backend: &dyn Backend| {
                let x = backend.upload(rows, hidden, &x);
                let mut y = backend.rows(rows, hidden);
                backend.feed_forward(&x, &ff, &mut y);
                backend.download(&y)
            };
            let golden = run(&Reference);
            for candidate in &candidates {
                let what = format!("{}, {hidden}, {inner}, {rows} rows", candidate.name);
                assert_same(&run(&candidate.cpu), &golden, &what);
            }
        }
    }
}
