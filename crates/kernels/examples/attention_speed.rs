//! How long attention takes over a long context, by the shape of Mistral Small 4: one layer, a cache of noise.
//!
//! usage: cargo run --release -p kernels --example attention_speed [CONTEXT...]   (32768 65536 131072 262144 tokens)
#![expect(
    clippy::print_stdout,
    reason = "a program whose result is what it prints"
)]

use kernels::{
    AttentionPlan, AttentionRow, AttentionShape, Backend, CacheLayout, Cpu, KvType, PAGE_SIZE,
};
use std::error::Error;
use std::time::Instant;

const SHAPE: AttentionShape = AttentionShape {
    num_heads: 32,
    num_kv_heads: 1,
    key_dim: 320,
    value_dim: 256,
    value_start: 0,
    scale: 0.088,
};
const RUNS: usize = 7;

/// `n` values between -1 and 1, of a xorshift generator.
fn noise(n: usize) -> Vec<f32> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Milliseconds that `rows` tokens after `context` others take, the median.
fn milliseconds(cpu: &Cpu, kv_type: KvType, context: usize, rows: usize) -> f64 {
    let num_pages = context.div_ceil(PAGE_SIZE);
    let layout = CacheLayout {
        num_layers: 1,
        row_width: SHAPE.key_dim,
        kv_type,
    };
    let mut cache = cpu.new_cache(layout, num_pages);
    let page = cpu.upload(PAGE_SIZE, SHAPE.key_dim, &noise(PAGE_SIZE * SHAPE.key_dim));
    for page_number in 0..num_pages as u32 {
        let first = page_number * PAGE_SIZE as u32;
        let slots: Vec<u32> = (first..first + PAGE_SIZE as u32).collect();
        cpu.write_cache(&page, 0, &slots, &mut cache);
    }
    let row = |i| AttentionRow {
        first_page: 0,
        visible: context - rows + 1 + i,
    };
    let plan = AttentionPlan {
        pages: (0..num_pages as u32).collect(),
        rows: (0..rows).map(row).collect(),
    };
    let cols = SHAPE.num_heads * SHAPE.key_dim;
    let q = cpu.upload(rows, cols, &noise(rows * cols));
    let mut out = cpu.rows(rows, SHAPE.num_heads * SHAPE.value_dim);
    let mut times: Vec<f64> = (0..=RUNS)
        .map(|_| {
            let start = Instant::now();
            cpu.attention(&q, &cache, 0, &plan, &SHAPE, &mut out);
            start.elapsed().as_secs_f64() * 1e3
        })
        .skip(1)
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut contexts = Vec::new();
    for arg in std::env::args().skip(1) {
        contexts.push(arg.parse()?);
    }
    if contexts.is_empty() {
        contexts = vec![32_768, 65_536, 131_072, 262_144];
    }
    let cpu = Cpu::new(None, None)?;
    println!("{}", cpu.describe());
    println!("| context | KV | one token, ms a layer | GMAC/s | 16 tokens, ms a layer | GMAC/s |");
    println!("|---|---|---|---|---|---|");
    for context in contexts {
        for kv_type in [KvType::Bf16, KvType::Q8, KvType::F32] {
            let products = SHAPE.num_heads * (SHAPE.key_dim + SHAPE.value_dim) * context;
            let rate = |rows, ms: f64| (rows * products) as f64 / (1e6 * ms);
            let one = milliseconds(&cpu, kv_type, context, 1);
            let many = milliseconds(&cpu, kv_type, context, 16);
            println!(
                "| {context} | {kv_type:?} | {one:.2} | {:.0} | {many:.1} | {:.0} |",
                rate(1, one),
                rate(16, many)
            );
        }
    }
    Ok(())
}
