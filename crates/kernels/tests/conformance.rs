//! Every operation on every backend against the reference, bit for bit, over formats, odd shapes and nasty values.
//!
//! Each test prints how much it compared; what this machine cannot run is counted as skipped and said.

#[path = "conformance/attention.rs"]
mod attention;
#[path = "conformance/images.rs"]
mod images;
mod support;

use kernels::{
    Backend, Columns, Cpu, FeedForward, Format, Matrix, Pairing, Reference, RotaryTable,
    RouterRule, Routing, RowInput, Rows,
};
use support::{
    ACTIVATIONS, Activations, Random, WEIGHTS, Weights, activations, assert_same, candidates,
    random_rows, unused, weights,
};

/// Products: `[in, out]` of each family. Row counts are tried on all of them.
const QUANTIZED_SHAPES: [(usize, usize); 6] = [
    (32, 1),
    (64, 16),
    (96, 17),
    (288, 33),
    (576, 48),
    (1024, 31),
];
const SUPER_SHAPES: [(usize, usize); 4] = [(256, 1), (256, 33), (512, 16), (1024, 47)];
const PLAIN_SHAPES: [(usize, usize); 7] = [
    (1, 1),
    (17, 16),
    (32, 5),
    (40, 33),
    (64, 48),
    (288, 17),
    (576, 31),
];
const ROWS: [usize; 8] = [1, 2, 3, 4, 5, 16, 17, 33];

fn shapes(format: Format) -> &'static [(usize, usize)] {
    match format.block_values() {
        1 => &PLAIN_SHAPES,
        32 => &QUANTIZED_SHAPES,
        _ => &SUPER_SHAPES,
    }
}

fn project(backend: &dyn Backend, x: &Rows, weights: &[&Matrix]) -> Vec<Vec<f32>> {
    let mut outs: Vec<Rows> = weights
        .iter()
        .map(|w| backend.rows(x.rows(), w.rows()))
        .collect();
    let weights: Vec<Matrix> = weights.iter().copied().map(unused).collect();
    let weights: Vec<&Matrix> = weights.iter().collect();
    backend.project(x, &weights, &mut outs.iter_mut().collect::<Vec<_>>());
    outs.iter().map(|out| backend.download(out)).collect()
}

#[test]
fn products() {
    let candidates = candidates();
    let (mut compared, mut finite) = (0usize, 0usize);
    for format in Format::ALL {
        let mut random = Random(format as u64);
        for &(cols, out) in shapes(format) {
            for kind in WEIGHTS {
                let w = weights(format, out, cols, kind, &mut random);
                for (i, x_kind) in ACTIVATIONS.into_iter().enumerate() {
                    // Every row count meets every kind of weights; not every pair of kinds has every row count.
                    for rows in ROWS.into_iter().skip(i % 2).step_by(2) {
                        let x = activations(rows, cols, x_kind, &mut random);
                        let x = Reference.upload(rows, cols, &x);
                        let golden = &project(&Reference, &x, &[&w])[0];
                        finite += golden.iter().filter(|y| y.is_finite()).count();
                        for candidate in &candidates {
                            let y = &project(&candidate.cpu, &x, &[&w])[0];
                            let what = format!(
                                "{}, {kind:?} {} [{out}, {cols}], {rows} {x_kind:?} rows",
                                candidate.name,
                                format.name()
                            );
                            assert_same(y, golden, &what);
                            compared += y.len();
                        }
                    }
                }
            }
        }
    }
    println!(
        "products: {compared} values on {} backends, {finite} finite",
        candidates.len()
    );
    assert!(finite > 100_000);
}

/// More rows than one task takes, several weights of different formats at once.
#[test]
fn products_of_many_rows_and_mixed_formats() {
    let mut random = Random(7);
    let formats = [
        Format::Q4K,
        Format::Bf16,
        Format::Q6K,
        Format::F32,
        Format::Q8_0,
    ];
    let all = formats.map(|f| weights(f, 37, 512, Weights::Ordinary, &mut random));
    let refs: Vec<&Matrix> = all.iter().collect();
    let x = random_rows(&Reference, 150, 512, &mut random);
    let golden = project(&Reference, &x, &refs);
    for candidate in candidates() {
        for (y, golden) in project(&candidate.cpu, &x, &refs).iter().zip(&golden) {
            assert_same(y, golden, &candidate.name);
        }
        let one = random_rows(&Reference, 0, 512, &mut random);
        assert!(
            project(&candidate.cpu, &one, &refs)
                .iter()
                .all(Vec::is_empty)
        );
        for format in Format::ALL {
            let w = weights(format, 3, 0, Weights::Ordinary, &mut random);
            let y = project(&candidate.cpu, &candidate.cpu.rows(2, 0), &[&w]);
            assert_eq!(y, [[0.0; 6]], "sums of nothing");
        }
    }
}

#[test]
fn a_row_does_not_depend_on_the_rows_beside_it() {
    let mut random = Random(8);
    for candidate in candidates() {
        for format in Format::ALL {
            let w = weights(format, 50, 768, Weights::Ordinary, &mut random);
            let values = activations(70, 768, Activations::Mixed, &mut random);
            let all = Reference.upload(70, 768, &values);
            let together = &project(&candidate.cpu, &all, &[&w])[0];
            for r in [0, 1, 3, 63, 64, 69] {
                let one = Reference.upload(1, 768, &values[r * 768..][..768]);
                let alone = &project(&candidate.cpu, &one, &[&w])[0];
                assert_same(alone, &together[r * 50..][..50], &candidate.name);
            }
        }
    }
}

/// Many more threads than cores: the same bits, and no one waits for ever.
#[test]
fn products_by_64_threads() {
    let mut random = Random(12);
    let cpu = Cpu::new(None, Some(64)).unwrap();
    for format in [Format::Q4K, Format::Q6K, Format::Q8_0, Format::Bf16] {
        let w = weights(format, 200, 512, Weights::Ordinary, &mut random);
        for rows in [1, 9] {
            let x = random_rows(&Reference, rows, 512, &mut random);
            let golden = &project(&Reference, &x, &[&w])[0];
            for _ in 0..20 {
                let y = &project(&cpu, &x, &[&w])[0];
                assert_same(y, golden, format.name());
            }
        }
    }
}

#[test]
fn products_of_heads() {
    let mut random = Random(9);
    let candidates = candidates();
    for (format, width, out_width) in [
        (Format::F32, 24, 40),
        (Format::Bf16, 64, 17),
        (Format::Q8_0, 64, 32),
        (Format::F16, 33, 5),
    ] {
        let w: Vec<Matrix> = (0..3)
            .map(|_| weights(format, out_width, width, Weights::Ordinary, &mut random))
            .collect();
        let from = Columns::heads(3, width + 9, 4, width);
        let to = Columns::heads(3, out_width + 3, 1, out_width);
        for rows in [1, 5, 67] {
            let x = random_rows(&Reference, rows, from.end() + 2, &mut random);
            let run = |backend: &dyn Backend| {
                let mut out = backend.upload(rows, to.end() + 1, &vec![7.0; rows * (to.end() + 1)]);
                let w: Vec<Matrix> = w.iter().map(unused).collect();
                backend.project_heads(&x, from, &w, &mut out, to);
                backend.download(&out)
            };
            let golden = run(&Reference);
            assert_eq!(golden[0], 7.0, "columns outside the heads stay");
            for candidate in &candidates {
                assert_same(&run(&candidate.cpu), &golden, &candidate.name);
            }
        }
    }
}

#[test]
fn operations_on_single_rows() {
    let mut random = Random(10);
    let candidates = candidates();
    for (rows, kind) in [
        (1, Activations::Ordinary),
        (40, Activations::Mixed),
        (7, Activations::NotFinite),
    ] {
        for width in [16, 20, 96, 576] {
            let from = Columns::heads(2, width + 4, 3, width);
            let to = Columns::heads(2, width, 0, width);
            let x = Reference.upload(
                rows,
                from.end() + 1,
                &activations(rows, from.end() + 1, kind, &mut random),
            );
            let weight = activations(1, width, Activations::Ordinary, &mut random);
            let factors = activations(1, rows, Activations::Ordinary, &mut random);
            let pairs = random_rows(&Reference, rows, width / 2, &mut random);
            let table = RotaryTable {
                sin: random_rows(&Reference, rows, width / 2, &mut random),
                cos: pairs,
            };
            let indices: Vec<u32> = (0..9).map(|_| random.below(rows) as u32).collect();
            let run = |backend: &dyn Backend| {
                let mut results = Vec::new();
                let mut out = backend.rows(rows, to.end());
                backend.rms_norm(&x, from, &weight, 1e-5, &mut out, to);
                results.extend(backend.download(&out));
                for pairing in [Pairing::Interleaved, Pairing::HalfSplit] {
                    backend.copy_columns(&x, from, &mut out, to);
                    backend.rotate(&mut out, to, &table, pairing);
                    results.extend(backend.download(&out));
                }
                backend.scale_rows(&mut out, &factors);
                let mut other = backend.rows(rows, to.end());
                backend.copy_columns(&x, from, &mut other, to);
                backend.add(&mut out, &other);
                backend.reduce(&mut out);
                let mut gathered = backend.rows(9, to.end());
                backend.gather(&out, &indices, &mut gathered);
                results.extend(backend.download(&gathered));
                results
            };
            let golden = run(&Reference);
            for candidate in &candidates {
                assert_same(&run(&candidate.cpu), &golden, &candidate.name);
            }
        }
    }
}

#[test]
fn embeddings() {
    let mut random = Random(11);
    for format in Format::ALL {
        let table = weights(format, 20, 256, Weights::Ordinary, &mut random);
        let images = random_rows(&Reference, 3, 256, &mut random);
        let inputs = [
            RowInput::Token(19),
            RowInput::Embedding(2),
            RowInput::Token(0),
            RowInput::Token(19),
        ];
        let mut golden = Reference.rows(4, 256);
        Reference.embed(&inputs, &table, Some(&images), &mut golden);
        let golden = Reference.download(&golden);
        assert_same(&golden[512..768], &table.to_f32()[..256], "token 0");
        for candidate in candidates() {
            let mut out = candidate.cpu.rows(4, 256);
            candidate
                .cpu
                .embed(&inputs, &table, Some(&images), &mut out);
            assert_same(&candidate.cpu.download(&out), &golden, &candidate.name);
        }
    }
}

fn feed_forward(
    formats: [Format; 3],
    hidden: usize,
    inner: usize,
    random: &mut Random,
) -> FeedForward {
    FeedForward {
        gate: weights(formats[0], inner, hidden, Weights::Ordinary, random),
        up: weights(formats[1], inner, hidden, Weights::Ordinary, random),
        down: weights(formats[2], hidden, inner, Weights::Ordinary, random),
    }
}

#[test]
fn experts_and_feed_forwards() {
    use Format::*;
    let mut random = Random(14);
    let candidates = candidates();
    let cases = [
        ([Q4K, Q4K, Q6K], 256, 256, 512),
        ([Bf16, Bf16, Bf16], 80, 56, 24),
        ([F32, F16, Bf16], 40, 33, 17),
        ([Q4_1, Q4_0, Q8_0], 96, 64, 160),
        ([Q5_1, Q5_0, Q5K], 256, 512, 256),
    ];
    for (formats, hidden, inner, shared_inner) in cases {
        let experts: Vec<FeedForward> = (0..7)
            .map(|_| feed_forward(formats, hidden, inner, &mut random))
            .collect();
        let shared = feed_forward(formats, hidden, shared_inner, &mut random);
        for rows in [1, 2, 19, 90] {
            let x = random_rows(&Reference, rows, hidden, &mut random);
            let logits = random_rows(&Reference, rows, 7, &mut random);
            let rule = RouterRule {
                experts_per_token: 3,
                renormalise: true,
                scale: 1.5,
            };
            let routing = Reference.route(&logits, rule);
            for shared in [None, Some(&shared)] {
                let run = |backend: &dyn Backend| {
                    let mut out = backend.rows(rows, hidden);
                    backend.experts(&x, &routing, &experts, shared, &mut out);
                    let mut dense = backend.rows(rows, hidden);
                    backend.feed_forward(&x, &experts[3], &mut dense);
                    backend.add(&mut out, &dense);
                    backend.download(&out)
                };
                let golden = run(&Reference);
                assert!(golden.iter().any(|y| *y != 0.0 && y.is_finite()));
                for candidate in &candidates {
                    let what = format!("{}, {formats:?}, {rows} rows", candidate.name);
                    assert_same(&run(&candidate.cpu), &golden, &what);
                }
            }
        }
    }
}

#[test]
fn routing() {
    let mut random = Random(15);
    let candidates = candidates();
    for (num_experts, k) in [(1, 1), (7, 3), (128, 4), (50, 50), (5, 0)] {
        for kind in ACTIVATIONS {
            let rows = 37;
            let mut logits = activations(rows, num_experts, kind, &mut random);
            logits[0] = logits[num_experts / 2]; // a tie
            let logits = Reference.upload(rows, num_experts, &logits);
            for renormalise in [false, true] {
                let rule = RouterRule {
                    experts_per_token: k,
                    renormalise,
                    scale: 2.5,
                };
                let golden = Reference.route(&logits, rule);
                assert_eq!(golden.experts.len(), rows * k);
                for candidate in &candidates {
                    let routing = candidate.cpu.route(&logits, rule);
                    assert_eq!(routing.experts, golden.experts, "{}", candidate.name);
                    assert_same(&routing.weights, &golden.weights, &candidate.name);
                }
            }
        }
    }
}

#[test]
fn ties_go_to_the_lower_expert_and_weights_sum_to_one() {
    let logits = Reference.upload(2, 4, &[1.0, 2.0, 2.0, 2.0, 0.0, f32::NAN, 0.0, 0.0]);
    let rule = RouterRule {
        experts_per_token: 2,
        renormalise: true,
        scale: 1.0,
    };
    let Routing {
        experts, weights, ..
    } = Reference.route(&logits, rule);
    assert_eq!(experts, [1, 2, 0, 1]);
    assert_eq!(weights[..2], [0.5, 0.5]);
    assert!(weights[2].is_nan(), "a NaN reaches the result");
}
