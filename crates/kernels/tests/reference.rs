//! The reference against plain f64 arithmetic: that what everything is compared with is itself right.

#[expect(dead_code, reason = "the conformance table uses the rest")]
mod support;

use kernels::{
    AttentionPlan, AttentionRow, AttentionShape, Backend, CacheLayout, Columns, FeedForward,
    Format, KvType, Pairing, Reference, RotaryTable, Rows,
};
use support::{Activations, Random, Weights, activations, random_rows, weights};

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The largest difference, as a share of the root mean square of `exact`.
fn error(ours: &[f32], exact: &[f64]) -> f64 {
    assert_eq!(ours.len(), exact.len());
    let size = (dot(exact, exact) / exact.len() as f64).sqrt();
    let difference = |(o, e): (&f32, &f64)| (f64::from(*o) - e).abs();
    ours.iter().zip(exact).map(difference).fold(0.0, f64::max) / size
}

#[test]
fn products_are_as_close_as_their_activations_allow() {
    let mut random = Random(1);
    for format in Format::ALL {
        let w = weights(format, 64, 512, Weights::Ordinary, &mut random);
        let x = activations(4, 512, Activations::Ordinary, &mut random);
        let dense = wide(&w.to_f32());
        let mut out = Reference.rows(4, 64);
        Reference.project(&Reference.upload(4, 512, &x), &[&w], &mut [&mut out]);
        let rows = wide(&x);
        let exact: Vec<f64> = rows
            .chunks(512)
            .flat_map(|x| dense.chunks(512).map(|w| dot(x, w)).collect::<Vec<_>>())
            .collect();
        let error = error(&Reference.download(&out), &exact);
        let bound = match format {
            Format::F32 | Format::F16 => 1e-6,
            Format::Bf16 => 5e-5, // 16 bits of each activation
            _ => 5e-2,            // int8 activations
        };
        println!("{}: {error:.1e}", format.name());
        assert!(error < bound, "{}: {error}", format.name());
        assert!(error > 0.0);
    }
}

#[test]
fn normalisation_and_rotation() {
    let mut random = Random(2);
    let x = activations(3, 50, Activations::Ordinary, &mut random);
    let weight = activations(1, 50, Activations::Ordinary, &mut random);
    let mut out = Reference.rows(3, 50);
    let all = Columns::range(0, 50);
    Reference.rms_norm(
        &Reference.upload(3, 50, &x),
        all,
        &weight,
        1e-5,
        &mut out,
        all,
    );
    let exact: Vec<f64> = wide(&x)
        .chunks(50)
        .flat_map(|x| {
            let size = (dot(x, x) / 50.0 + 1e-5).sqrt();
            x.iter()
                .zip(&weight)
                .map(|(x, w)| x / size * f64::from(*w))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(error(&Reference.download(&out), &exact) < 1e-6);

    let (sin, cos) = 0.3f64.sin_cos();
    let table = RotaryTable {
        cos: Reference.upload(1, 2, &[cos as f32, 1.0]),
        sin: Reference.upload(1, 2, &[sin as f32, 0.0]),
    };
    for (pairing, exact) in [
        (
            Pairing::Interleaved,
            [cos - 2.0 * sin, sin + 2.0 * cos, 3.0, 4.0],
        ),
        (
            Pairing::HalfSplit,
            [cos - 3.0 * sin, 2.0, sin + 3.0 * cos, 4.0],
        ),
    ] {
        let mut x = Reference.upload(1, 4, &[1.0, 2.0, 3.0, 4.0]);
        Reference.rotate(&mut x, Columns::range(0, 4), &table, pairing);
        assert!(error(&Reference.download(&x), &exact) < 1e-6);
    }
}

#[test]
fn attention_is_softmax_attention() {
    let mut random = Random(3);
    let (dim, length) = (16, 150);
    let shape = AttentionShape {
        num_heads: 4,
        num_kv_heads: 2,
        key_dim: dim,
        value_dim: dim,
        value_start: 2 * dim,
        scale: 0.25,
    };
    let layout = CacheLayout {
        num_layers: 1,
        row_width: 4 * dim,
        kv_type: KvType::F32,
    };
    let mut cache = Reference.new_cache(layout, 3);
    let rows = random_rows(&Reference, length, 4 * dim, &mut random);
    Reference.write_cache(
        &rows,
        0,
        &(0..length as u32).collect::<Vec<_>>(),
        &mut cache,
    );
    let q = random_rows(&Reference, 1, 4 * dim, &mut random);
    let row = AttentionRow {
        first_page: 0,
        visible: length,
    };
    let plan = AttentionPlan {
        pages: vec![0, 1, 2],
        rows: vec![row],
    };
    let mut out = Reference.rows(1, 4 * dim);
    Reference.attention(&q, &cache, 0, &plan, &shape, &mut out);

    let (q, kv) = (
        wide(&Reference.download(&q)),
        wide(&Reference.download(&rows)),
    );
    let mut exact = Vec::new();
    for head in 0..4 {
        let at = head / 2 * dim;
        let rows = || kv.chunks(4 * dim);
        let weights: Vec<f64> = rows()
            .map(|row| (0.25 * dot(&q[head * dim..][..dim], &row[at..][..dim])).exp())
            .collect();
        let total: f64 = weights.iter().sum();
        for d in 0..dim {
            let values = rows()
                .zip(&weights)
                .map(|(row, w)| row[2 * dim + at + d] * w);
            exact.push(values.sum::<f64>() / total);
        }
    }
    assert!(error(&Reference.download(&out), &exact) < 1e-5);
}

#[test]
fn a_feed_forward_is_swiglu() {
    let mut random = Random(4);
    let mut matrix = |rows, cols| weights(Format::F32, rows, cols, Weights::Ordinary, &mut random);
    let w = FeedForward {
        gate: matrix(40, 24),
        up: matrix(40, 24),
        down: matrix(24, 40),
    };
    let x: Rows = random_rows(&Reference, 1, 24, &mut random);
    let mut out = Reference.rows(1, 24);
    Reference.feed_forward(&x, &w, &mut out);
    let x = wide(&Reference.download(&x));
    let times = |w: &kernels::Matrix, x: &[f64]| -> Vec<f64> {
        wide(&w.to_f32())
            .chunks(x.len())
            .map(|row| dot(row, x))
            .collect()
    };
    let (gate, up) = (times(&w.gate, &x), times(&w.up, &x));
    let hidden: Vec<f64> = gate
        .iter()
        .zip(&up)
        .map(|(g, u)| g / (1.0 + (-g).exp()) * u)
        .collect();
    assert!(error(&Reference.download(&out), &times(&w.down, &hidden)) < 1e-5);
}
