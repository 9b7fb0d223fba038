//! `bench`: tokens a second, as a share of what the memory could do.
//!
//! It drives the model without the engine, so that what is timed is the model. Every sequence and step gets its own
//! random ids, so that experts are really spread.

use crate::args::BenchArgs;
use crate::load::{self, Loaded};
use crate::machine;
use anyhow::{Result, bail};
use model::{
    Batch, BatchSequence, LanguageModel, LogitRows, PAGE_SIZE, RowInput, Transformer, WeightBytes,
};
use serde::Serialize;
use std::io::{Write, stdout};
use std::time::Instant;

/// Rows of a prefill step: the engine's default.
const STEP_TOKENS: usize = 512;

/// One line of the result.
#[derive(Serialize)]
struct Row {
    test: String,
    batch: usize,
    depth: usize,
    tokens_per_second: f64,
    stdev: f64,
    /// Bytes that must be read for these tokens, over the time they took, over the bandwidth measured in this run.
    roofline_share: f64,
    bytes_per_token: f64,
    /// Null for a model without experts.
    distinct_experts_per_layer: Option<f64>,
}

/// One thing to time.
#[derive(Clone, Copy)]
enum Test {
    Prefill {
        tokens: usize,
    },
    Decode {
        tokens: usize,
        batch: usize,
        depth: usize,
    },
}

/// What one run of a test took.
struct Run {
    seconds: f64,
    bytes: f64,
    distinct_experts: usize,
    steps: usize,
}

/// Runs all tests and prints a line each.
pub fn run(args: &BenchArgs) -> Result<()> {
    let loaded = load::model(&args.model)?;
    let bandwidth = kernels::measure_bandwidth(&loaded.cpu);
    if !args.model.quiet {
        eprintln!(
            "memory bandwidth, measured now: {:.1} GB/s",
            bandwidth / 1e9
        );
    }
    let tests = tests(args);
    check_lengths(&tests, loaded.transformer.max_context())?;
    let mut bench = Bench::new(loaded, args.seed);
    let mut out = stdout().lock();
    if !args.json {
        writeln!(
            out,
            "{:>8} {:>6} {:>7} {:>12} {:>8} {:>9} {:>12} {:>14}",
            "test", "batch", "depth", "tokens/s", "stdev", "roofline", "MB/token", "experts/layer"
        )?;
    }
    for test in tests {
        let row = bench.measure(test, args.repeat, bandwidth)?;
        if args.json {
            writeln!(out, "{}", serde_json::to_string(&row)?)?;
        } else {
            print_row(&mut out, &row)?;
        }
        out.flush()?;
    }
    Ok(())
}

/// That every test fits the model's context, before any runs.
fn check_lengths(tests: &[Test], limit: usize) -> Result<()> {
    let length = |test: &Test| match *test {
        Test::Prefill { tokens } => tokens,
        Test::Decode { tokens, depth, .. } => depth.saturating_add(tokens),
    };
    match tests.iter().map(length).max() {
        Some(longest) if longest > limit => {
            bail!("{longest} tokens pass the model's context of {limit}\nUse shorter lengths")
        }
        _ => Ok(()),
    }
}

fn print_row(out: &mut impl Write, row: &Row) -> std::io::Result<()> {
    let experts = row
        .distinct_experts_per_layer
        .map_or("-".to_owned(), |n| format!("{n:.1}"));
    writeln!(
        out,
        "{:>8} {:>6} {:>7} {:>12.2} {:>8.2} {:>8.1}% {:>12.1} {:>14}",
        row.test,
        row.batch,
        row.depth,
        row.tokens_per_second,
        row.stdev,
        row.roofline_share * 100.0,
        row.bytes_per_token / 1e6,
        experts
    )
}

fn tests(args: &BenchArgs) -> Vec<Test> {
    let mut tests: Vec<Test> = args
        .prompt
        .iter()
        .map(|&tokens| Test::Prefill { tokens })
        .collect();
    for &tokens in &args.generate {
        for &batch in &args.batch {
            tests.extend(args.depth.iter().map(|&depth| Test::Decode {
                tokens,
                batch,
                depth,
            }));
        }
    }
    tests
}

/// The model under test and its source of random ids.
struct Bench {
    transformer: Transformer,
    weights: WeightBytes,
    random: u64,
}

impl Bench {
    fn new(loaded: Loaded, seed: u64) -> Bench {
        let transformer = loaded.transformer;
        Bench {
            weights: transformer.weight_bytes(),
            transformer,
            random: seed,
        }
    }

    /// Times a test `repeat` times, after a run that does not count.
    fn measure(&mut self, test: Test, repeat: usize, bandwidth: f64) -> Result<Row> {
        let (batch, depth, tokens) = match test {
            Test::Prefill { tokens } => (1, 0, tokens),
            Test::Decode {
                tokens,
                batch,
                depth,
            } => (batch, depth, tokens),
        };
        let pages = batch * (depth + tokens).div_ceil(PAGE_SIZE);
        let needed = pages as u64 * self.transformer.page_bytes() as u64;
        if machine::available_memory().is_some_and(|free| needed > free) {
            bail!(
                "a KV cache of {batch} x {} tokens takes {}, more than is free\nUse a smaller batch or depth",
                depth + tokens,
                load::bytes(needed)
            );
        }
        self.transformer.reserve_pages(pages);
        self.once(test)?;
        let runs = (0..repeat)
            .map(|_| self.once(test))
            .collect::<Result<Vec<Run>>>()?;

        let produced = (batch * tokens) as f64;
        let speeds: Vec<f64> = runs.iter().map(|run| produced / run.seconds).collect();
        let mean = speeds.iter().sum::<f64>() / speeds.len() as f64;
        let variance = speeds.iter().map(|s| (s - mean).powi(2)).sum::<f64>()
            / (speeds.len().max(2) - 1) as f64;
        let bytes_per_token =
            runs.iter().map(|run| run.bytes).sum::<f64>() / (produced * runs.len() as f64);
        let expert_layers = self.weights.num_expert_layers;
        let expert_steps = (runs.iter().map(|run| run.steps).sum::<usize>() * expert_layers) as f64;
        let experts = runs.iter().map(|run| run.distinct_experts).sum::<usize>() as f64;
        Ok(Row {
            test: match test {
                Test::Prefill { tokens } => format!("pp{tokens}"),
                Test::Decode { tokens, .. } => format!("tg{tokens}"),
            },
            batch,
            depth,
            tokens_per_second: mean,
            stdev: variance.sqrt(),
            roofline_share: mean * bytes_per_token / bandwidth,
            bytes_per_token,
            distinct_experts_per_layer: (expert_layers > 0).then(|| experts / expert_steps),
        })
    }

    fn once(&mut self, test: Test) -> Result<Run> {
        match test {
            Test::Prefill { tokens } => self.timed(prefill_steps(0, tokens, 1, LogitRows::Last)),
            Test::Decode {
                tokens,
                batch,
                depth,
            } => {
                self.timed(prefill_steps(0, depth, batch, LogitRows::None))?;
                let step = |index| Span {
                    first: depth + index,
                    count: 1,
                    sequences: batch,
                    logits: LogitRows::Last,
                };
                self.timed((0..tokens).map(step).collect())
            }
        }
    }

    fn timed(&mut self, steps: Vec<Span>) -> Result<Run> {
        let batches: Vec<Batch> = steps.iter().map(|step| self.batch(step)).collect();
        let mut run = Run {
            seconds: 0.0,
            bytes: 0.0,
            distinct_experts: 0,
            steps: steps.len(),
        };
        let start = Instant::now();
        for (batch, step) in batches.iter().zip(&steps) {
            let output = self.transformer.forward(batch)?;
            run.distinct_experts += output.distinct_experts;
            let visible = step.sequences * (step.first + step.count);
            let with_head = step.logits != LogitRows::None;
            let cache_bytes = (visible * self.transformer.page_bytes() / PAGE_SIZE) as u64;
            run.bytes +=
                (self.weights.step(output.distinct_experts, with_head) + cache_bytes) as f64;
        }
        run.seconds = start.elapsed().as_secs_f64();
        Ok(run)
    }

    /// A step's batch, with fresh random ids.
    fn batch(&mut self, step: &Span) -> Batch {
        let pages = (step.first + step.count).div_ceil(PAGE_SIZE);
        let stride = self.transformer.num_pages() / step.sequences;
        let sequence = |index: usize| BatchSequence {
            inputs: (0..step.count)
                .map(|_| RowInput::Token(self.random_id()))
                .collect(),
            first_position: step.first,
            pages: (index * stride..index * stride + pages)
                .map(|page| page as u32)
                .collect(),
            adapter: None,
            logits: step.logits,
            hidden: false,
        };
        Batch {
            sequences: (0..step.sequences).map(sequence).collect(),
            embeddings: Vec::new(),
        }
    }

    /// SplitMix64, reduced to the vocabulary.
    fn random_id(&mut self) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % self.transformer.vocab_size() as u64) as u32
    }
}

/// The same positions of several sequences: one step.
#[derive(Clone, Copy)]
struct Span {
    first: usize,
    count: usize,
    sequences: usize,
    logits: LogitRows,
}

/// The steps that fill positions `first..end` of `sequences` sequences; the last one as `logits` says.
fn prefill_steps(first: usize, end: usize, sequences: usize, logits: LogitRows) -> Vec<Span> {
    let share = (STEP_TOKENS / sequences).max(1);
    let mut steps: Vec<Span> = (first..end)
        .step_by(share)
        .map(|first| Span {
            first,
            count: share.min(end - first),
            sequences,
            logits: LogitRows::None,
        })
        .collect();
    if let Some(last) = steps.last_mut() {
        last.logits = logits;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefill_covers_every_position_once() {
        let steps = prefill_steps(0, 1100, 1, LogitRows::Last);
        let counts: Vec<_> = steps.iter().map(|s| (s.first, s.count, s.logits)).collect();
        let none = LogitRows::None;
        assert_eq!(
            counts,
            [
                (0, 512, none),
                (512, 512, none),
                (1024, 76, LogitRows::Last)
            ]
        );
        assert!(prefill_steps(0, 0, 4, LogitRows::None).is_empty());
        assert_eq!(prefill_steps(0, 3, 1024, LogitRows::None).len(), 3);
    }
}
