//! The operations of a step, timed, and what share of this machine's measured bandwidth they reach.
//!
//! `cargo bench -p kernels` for the fastest instruction set; `-- avx2` or `-- scalar` for another. Each figure is the
//! median of several runs. Nothing is timed that `tests/conformance.rs` does not compare with the reference.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints figures"
)]

#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "the conformance table uses the rest")]
mod support;

use kernels::{
    AttentionPlan, AttentionRow, AttentionShape, Backend, CacheLayout, Cpu, FeedForward, Format,
    Isa, KvType, Matrix, PAGE_SIZE, Routing, probe_bandwidth,
};
use std::time::Instant;
use support::{Random, Weights, random_rows, weights};

const RUNS: usize = 7;
/// Weights larger than the last-level cache, so that they come from memory: `[out, in]`.
const MATRIX: (usize, usize) = (16_384, 4096);
const ROWS: [usize; 5] = [1, 2, 4, 16, 128];

fn main() {
    let isa = std::env::args().find_map(|name| Isa::from_name(&name).ok());
    let cpu = match Cpu::new(isa, None) {
        Ok(cpu) => cpu,
        Err(error) => return eprintln!("{error}"),
    };
    let bandwidth = probe_bandwidth(&cpu).best;
    println!(
        "{}\nmemory: {:.1} GB/s read by all threads\n",
        cpu.describe(),
        bandwidth / 1e9
    );
    products(&cpu, bandwidth);
    attention(&cpu);
    experts(&cpu, bandwidth);
    println!(
        "\nregion with nothing to do: {:.2} us",
        1e6 * empty_region(&cpu)
    );
}

fn median(mut run: impl FnMut()) -> f64 {
    run();
    let mut seconds: Vec<f64> = (0..RUNS)
        .map(|_| {
            let begin = Instant::now();
            run();
            begin.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[RUNS / 2]
}

fn products(cpu: &Cpu, bandwidth: f64) {
    let (out_dim, in_dim) = MATRIX;
    let mut random = Random(1);
    println!("product with [{out_dim}, {in_dim}]; rows: GMAC/s (GB/s of weights, share of memory)");
    for format in Format::ALL {
        let w = weights(format, out_dim, in_dim, Weights::Ordinary, &mut random);
        print!("{:6}", format.name());
        for rows in ROWS {
            let x = random_rows(cpu, rows, in_dim, &mut random);
            let mut out = cpu.rows(rows, out_dim);
            let seconds = median(|| cpu.project(&x, &[&w], &mut [&mut out]));
            let macs = (rows * out_dim * in_dim) as f64 / seconds;
            let bytes = w.bytes().len() as f64 / seconds;
            let share = 100.0 * bytes / bandwidth;
            print!(
                "  {rows}: {:.1} ({:.1}, {share:.0} %)",
                macs / 1e9,
                bytes / 1e9
            );
        }
        println!();
    }
}

fn attention(cpu: &Cpu) {
    println!("\nattention: GMAC/s");
    let mut random = Random(2);
    let shapes = [
        ("GQA 9/3 x 64", 9, 3, 64, 64, 192),
        ("MLA 32 x 320", 32, 1, 320, 256, 0),
    ];
    for (name, num_heads, num_kv_heads, key_dim, value_dim, value_start) in shapes {
        let scale = 0.1;
        let shape = AttentionShape {
            num_heads,
            num_kv_heads,
            key_dim,
            value_dim,
            value_start,
            scale,
        };
        let row_width = (num_kv_heads * key_dim).max(value_start + num_kv_heads * value_dim);
        for (kv_type, length, rows) in [
            (KvType::Bf16, 8192, 1),
            (KvType::F32, 8192, 1),
            (KvType::Q8, 8192, 1),
            (KvType::Bf16, 512, 256),
        ] {
            let layout = CacheLayout {
                num_layers: 1,
                row_width,
                kv_type,
            };
            let num_pages = length / PAGE_SIZE;
            let mut cache = cpu.new_cache(layout, num_pages);
            let kv = random_rows(cpu, length, row_width, &mut random);
            let slots: Vec<u32> = (0..length as u32).collect();
            cpu.write_cache(&kv, 0, &slots, &mut cache);
            let row = |r| AttentionRow {
                first_page: 0,
                visible: length - r,
            };
            let plan = AttentionPlan {
                pages: (0..num_pages as u32).collect(),
                rows: (0..rows).map(row).collect(),
            };
            let q = random_rows(cpu, rows, num_heads * key_dim, &mut random);
            let mut out = cpu.rows(rows, num_heads * value_dim);
            let seconds = median(|| cpu.attention(&q, &cache, 0, &plan, &shape, &mut out));
            let seen: usize = plan.rows.iter().map(|row| row.visible).sum();
            let macs = (seen * num_heads * (key_dim + value_dim)) as f64;
            println!(
                "{name}, {kv_type:?}, {rows} rows of {length}: {:.1} ({:.3} ms)",
                macs / seconds / 1e9,
                1e3 * seconds
            );
        }
    }
}

/// Mistral-Small-4's routed feed-forward, with fewer experts.
fn experts(cpu: &Cpu, bandwidth: f64) {
    const NUM_EXPERTS: usize = 32;
    let (hidden, inner, k) = (4096, 2048, 4);
    let mut random = Random(3);
    let mut matrix = |rows, cols| weights(Format::Q4K, rows, cols, Weights::Ordinary, &mut random);
    let experts: Vec<FeedForward> = (0..NUM_EXPERTS)
        .map(|_| FeedForward {
            gate: matrix(inner, hidden),
            up: matrix(inner, hidden),
            down: matrix(hidden, inner),
        })
        .collect();
    println!(
        "\nexperts, Q4_K, {k} of {NUM_EXPERTS} a token: GMAC/s (GB/s of weights, share of memory)"
    );
    for rows in [1, 4, 64, 256] {
        let x = random_rows(cpu, rows, hidden, &mut random);
        let mut out = cpu.rows(rows, hidden);
        let mut step = 0;
        let mut bytes = 0;
        let seconds = median(|| {
            // Other experts each time, so that none is still in a cache.
            step += rows * k;
            let chosen: Vec<u32> = (0..rows * k)
                .map(|i| ((i * 5 + step) % NUM_EXPERTS) as u32)
                .collect();
            let mut distinct = chosen.clone();
            distinct.sort_unstable();
            distinct.dedup();
            let size = |w: &Matrix| w.bytes().len();
            let of = |w: &FeedForward| size(&w.gate) + size(&w.up) + size(&w.down);
            bytes = distinct.iter().map(|e| of(&experts[*e as usize])).sum();
            let routing = Routing {
                experts: chosen,
                weights: vec![0.25; rows * k],
                experts_per_token: k,
            };
            cpu.experts(&x, &routing, &experts, None, &mut out);
        });
        let macs = (rows * k * 3 * hidden * inner) as f64 / seconds;
        let rate = bytes as f64 / seconds;
        println!(
            "{rows} rows: {:.1} ({:.1}, {:.0} %), {:.2} ms",
            macs / 1e9,
            rate / 1e9,
            100.0 * rate / bandwidth,
            1e3 * seconds
        );
    }
}

/// An operation on rows so few values wide that only the fork and the join cost.
fn empty_region(cpu: &Cpu) -> f64 {
    let mut x = cpu.rows(2, 16_384);
    let factors = [1.0, 1.0];
    let begin = Instant::now();
    for _ in 0..1000 {
        cpu.scale_rows(&mut x, &factors);
    }
    let both = begin.elapsed().as_secs_f64() / 1000.0;
    let mut x = cpu.rows(1, 16_384);
    let begin = Instant::now();
    for _ in 0..1000 {
        cpu.scale_rows(&mut x, &factors[..1]);
    }
    both - begin.elapsed().as_secs_f64() / 1000.0
}
