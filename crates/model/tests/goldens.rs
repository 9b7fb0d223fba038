//! Log-probabilities of every fixture model against transformers 5.23, and of GGUF files against their twins.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on should say where; differences are worth reading"
)]

mod support;

use model::{AttentionConfig, SoftmaxScale};
use support::{Golden, argmax, distributions, fixtures, goldens, load, manifest};

/// Largest difference from the goldens of one model; panics if a top-1 differs.
fn worst_difference(name: &str, scale: SoftmaxScale, lines: &[Golden]) -> f64 {
    let mut transformer = load(name, scale);
    let mut worst = 0.0_f64;
    for (number, golden) in lines.iter().enumerate() {
        let got = distributions(&mut transformer, &golden.ids);
        for (position, expected) in golden.logprobs.iter().enumerate().skip(1) {
            let logprob = got[position - 1][golden.ids[position] as usize];
            worst = worst.max((logprob - expected.unwrap()).abs());
        }
        for (id, logprob) in &golden.last_top {
            worst = worst.max((got[golden.ids.len() - 1][*id as usize] - logprob).abs());
        }
        let top1: Vec<u32> = got.iter().map(|logprobs| argmax(logprobs)).collect();
        assert_eq!(
            top1, golden.top1,
            "{name} line {number}: the likeliest tokens"
        );
    }
    worst
}

/// The bar for a stored type: F32 2e-4; BF16 and F16 2e-3, with f32 KV.
fn bar(weights: &str) -> Option<f64> {
    match weights {
        "float32" | "f32" => Some(2e-4),
        "bfloat16" | "bf16" | "float16" | "f16" => Some(2e-3),
        _ => None,
    }
}

fn check_all(kind: &str, scale: SoftmaxScale) -> usize {
    let mut checked = 0;
    for entry in manifest() {
        let (Some(bar), Some(file)) = (bar(&entry.weights), entry.goldens.get(kind)) else {
            continue;
        };
        let worst = worst_difference(&entry.model, scale, &goldens(file));
        println!(
            "{:<48} {kind:<12} worst {worst:.1e}, bar {bar:.0e}",
            entry.model
        );
        assert!(
            worst <= bar,
            "{} ({kind} scale): {worst:e} is over {bar:e}",
            entry.model
        );
        checked += 1;
    }
    checked
}

#[test]
fn plain_weights_agree_with_transformers_at_the_vendor_scale() {
    assert!(check_all("vendor", SoftmaxScale::Vendor) >= 18);
}

#[test]
fn plain_weights_agree_with_transformers_at_its_own_scale() {
    assert!(check_all("transformers", SoftmaxScale::Transformers) >= 8);
}

/// The two scales must differ where the goldens do: else the test above could not fail.
#[test]
fn the_wrong_softmax_scale_is_seen() {
    let lines = goldens("mistral4-tiny-f32.transformers-scale.jsonl");
    let mut transformer = load("mistral4-tiny-f32", SoftmaxScale::Vendor);
    let line = lines.last().unwrap();
    let got = distributions(&mut transformer, &line.ids);
    let off = (1..line.ids.len())
        .map(|at| (got[at - 1][line.ids[at] as usize] - line.logprobs[at].unwrap()).abs())
        .fold(0.0, f64::max);
    assert!(off > 1e-2, "{off}");
}

/// MLA F32 files hold the same numbers in the same order in both forms. (GGUF's llama and mistral3 forms permute q and k, so
/// their sums are rounded in another order; the goldens above bound those.)
#[test]
fn gguf_files_agree_with_their_twins() {
    let mut checked = 0;
    let entries = manifest();
    for entry in &entries {
        let Some(twin) = &entry.twin else { continue };
        // A BF16 folder written as F32 holds the same weights, but their products are defined in another order.
        let folder = entries.iter().find(|other| other.model == *twin).unwrap();
        if (entry.weights.as_str(), folder.weights.as_str()) != ("f32", "float32") {
            continue;
        }
        let mut gguf = load(&entry.model, SoftmaxScale::Vendor);
        let mut folder = load(twin, SoftmaxScale::Vendor);
        if !matches!(gguf.config().attention, AttentionConfig::Mla(_)) {
            continue;
        }
        for golden in goldens(&entry.goldens["vendor"]) {
            let a = distributions(&mut gguf, &golden.ids).concat();
            let b = distributions(&mut folder, &golden.ids).concat();
            let worst = a
                .iter()
                .zip(b)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            assert!(worst <= 1e-5, "{} against {twin}: {worst:e}", entry.model);
        }
        checked += 1;
    }
    assert_eq!(checked, 3);
}

/// Quantised weights meet activations rounded to int8, which transformers' f32 run on the dequantised weights does not
/// do: the mean KL divergence is what that costs.
#[test]
fn quantised_weights_cost_what_int8_activations_cost() {
    const BAR: f64 = 4e-3;
    let mut checked = 0;
    for entry in manifest() {
        let Some(full) = entry.goldens.get("full") else {
            continue;
        };
        let line = goldens(&entry.goldens["vendor"]).pop().unwrap();
        let bytes = std::fs::read(fixtures().join("goldens").join(full)).unwrap();
        let expected: Vec<f64> = bytes
            .chunks_exact(4)
            .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
            .collect();
        let got = distributions(&mut load(&entry.model, SoftmaxScale::Vendor), &line.ids);
        let divergence = |(p, q): (&[f64], &Vec<f64>)| -> f64 {
            p.iter().zip(q).map(|(p, q)| p.exp() * (p - q)).sum()
        };
        let rows = expected.chunks_exact(got[0].len()).zip(&got);
        let kl = rows.map(divergence).sum::<f64>() / got.len() as f64;
        println!("{:<24} mean KL {kl:.2e}", entry.model);
        assert!(
            (0.0..BAR).contains(&kl),
            "{}: mean KL {kl:e}, bar {BAR:e}",
            entry.model
        );
        checked += 1;
    }
    assert_eq!(checked, 9);
}
