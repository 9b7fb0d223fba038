//! `bench`: tokens a second, as a share of what this machine could do: read the weights, or multiply by them.

use crate::args::BenchArgs;
use crate::load;
use crate::plan::roof::{Bound, Roof, Spread};
use crate::plan::trial::{Run, Span, Trial, prefill_steps};
use anyhow::{Result, bail};
use kernels::Arithmetic;
use model::{LanguageModel, LogitRows};
use serde::Serialize;
use std::io::{Write, stdout};

/// One line of the result. Speeds are of all sequences together; several runs are told by the one in the middle.
#[derive(Serialize)]
struct Row {
    test: String,
    batch: usize,
    depth: usize,
    tokens_per_second: f64,
    tokens_per_second_min: f64,
    tokens_per_second_max: f64,
    stdev: f64,
    /// Bytes that must be read for these tokens, over the time they took, over the bandwidth measured in this run.
    roofline_share: f64,
    bytes_per_token: f64,
    /// Null for a model without experts.
    distinct_experts_per_layer: Option<f64>,
    multiply_accumulates_per_token: f64,
    /// The lower one of two roofs: the bandwidth over the bytes, and the rate of products over their number.
    limit: Bound,
    limit_tokens_per_second: f64,
    limit_share: f64,
    /// Bytes a second, the best of this run's probes so far.
    bandwidth: f64,
    /// Multiply-accumulates a second of these tokens' own mix of formats, likewise.
    multiply_accumulate_rate: f64,
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

/// Runs all tests and prints a line each.
pub fn run(args: &BenchArgs) -> Result<()> {
    let loaded = load::model(&args.model)?;
    let tests = tests(args);
    check_lengths(&tests, loaded.transformer.max_context())?;
    let cpu = loaded.cpu;
    let mut roof = Roof::probe(&cpu);
    if !args.model.quiet {
        say(&roof);
    }
    let mut trial = Trial::new(loaded.transformer, args.seed);
    trial.warm_up()?;
    let mut out = stdout().lock();
    if !args.json {
        writeln!(
            out,
            "{:>8} {:>6} {:>7} {:>10} {:>21} {:>17} {:>10} {:>14}",
            "test",
            "batch",
            "depth",
            "tokens/s",
            "(min - max)",
            "share of limit",
            "MB/token",
            "experts/layer"
        )?;
    }
    for test in tests {
        roof = roof.or_better(&Roof::probe(&cpu));
        let row = measure(&mut trial, test, args.repeat, &roof)?;
        if args.json {
            writeln!(out, "{}", serde_json::to_string(&row)?)?;
        } else {
            print_row(&mut out, &row)?;
        }
        out.flush()?;
    }
    Ok(())
}

/// The limits, on stderr.
fn say(roof: &Roof) {
    let bandwidth = &roof.bandwidth;
    eprintln!(
        "memory bandwidth, measured now: {:.1} GB/s (passes: {:.1} to {:.1})",
        bandwidth.best / 1e9,
        bandwidth.least / 1e9,
        bandwidth.best / 1e9
    );
    for (arithmetic, rate) in Arithmetic::ALL.iter().zip(&roof.rates) {
        eprintln!(
            "multiply-accumulates a second, {}: {:.1} G (passes: {:.1} to {:.1})",
            arithmetic.name(),
            rate.best / 1e9,
            rate.least / 1e9,
            rate.best / 1e9
        );
    }
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
    let spread = format!(
        "({:.2} - {:.2})",
        row.tokens_per_second_min, row.tokens_per_second_max
    );
    writeln!(
        out,
        "{:>8} {:>6} {:>7} {:>10.2} {spread:>21} {:>5.1}% {:<10} {:>10.1} {experts:>14}",
        row.test,
        row.batch,
        row.depth,
        row.tokens_per_second,
        row.limit_share * 100.0,
        row.limit.name(),
        row.bytes_per_token / 1e6,
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

/// Times a test `repeat` times, after a run that does not count.
fn measure(trial: &mut Trial, test: Test, repeat: usize, roof: &Roof) -> Result<Row> {
    let (batch, depth, tokens) = match test {
        Test::Prefill { tokens } => (1, 0, tokens),
        Test::Decode {
            tokens,
            batch,
            depth,
        } => (batch, depth, tokens),
    };
    trial.reserve(batch, depth + tokens)?;
    // All runs go on from the same context: what they write lies behind it.
    trial.timed(&prefill_steps(0, depth, batch, LogitRows::None))?;
    once(trial, test)?;
    let runs = (0..repeat)
        .map(|_| once(trial, test))
        .collect::<Result<Vec<Run>>>()?;

    let produced = (batch * tokens) as f64;
    let speed = Spread::of(runs.iter().map(|run| produced / run.seconds));
    // Runs differ in the experts their ids happen to use.
    let bytes = runs.iter().map(|run| run.bytes).sum::<f64>() / runs.len() as f64;
    let products = runs[0].products;
    let (least, limit) = roof.least_seconds(bytes, &products);
    let expert_layers = trial.num_expert_layers();
    let expert_steps = (runs.iter().map(|run| run.steps).sum::<usize>() * expert_layers) as f64;
    let experts = runs.iter().map(|run| run.distinct_experts).sum::<usize>() as f64;
    let seconds = produced / speed.median;
    Ok(Row {
        test: match test {
            Test::Prefill { tokens } => format!("pp{tokens}"),
            Test::Decode { tokens, .. } => format!("tg{tokens}"),
        },
        batch,
        depth,
        tokens_per_second: speed.median,
        tokens_per_second_min: speed.min,
        tokens_per_second_max: speed.max,
        stdev: speed.stdev,
        roofline_share: roof.reading_seconds(bytes) / seconds,
        bytes_per_token: bytes / produced,
        distinct_experts_per_layer: (expert_layers > 0).then(|| experts / expert_steps),
        multiply_accumulates_per_token: products.total() as f64 / produced,
        limit,
        limit_tokens_per_second: produced / least,
        limit_share: least / seconds,
        bandwidth: roof.bandwidth.best,
        multiply_accumulate_rate: products.total() as f64 / roof.multiplying_seconds(&products),
    })
}

fn once(trial: &mut Trial, test: Test) -> Result<Run> {
    match test {
        Test::Prefill { tokens } => trial.timed(&prefill_steps(0, tokens, 1, LogitRows::Last)),
        Test::Decode {
            tokens,
            batch,
            depth,
        } => {
            let step = |index| Span {
                first: depth + index,
                count: 1,
                sequences: batch,
                logits: LogitRows::Last,
            };
            trial.timed(&(0..tokens).map(step).collect::<Vec<Span>>())
        }
    }
}
