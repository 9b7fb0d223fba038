//! `inspect`: what a checkpoint is, where each number comes from, and what it costs on this machine.

use super::plan::{Plan, describe, verdict};
use crate::args::InspectArgs;
use crate::load;
use crate::machine;
use crate::plan::{self, Fit, start, trial};
use crate::prepared;
use anyhow::Result;
use kernels::{Backend, Cpu};
use model::{Checkpoint, WeightBytes, Weights};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

/// Contexts whose cache is priced, as far as the model goes.
const CONTEXTS: [usize; 4] = [4096, 32_768, 131_072, 262_144];

/// Everything `inspect` says.
#[derive(Serialize)]
struct Report {
    path: String,
    architecture: String,
    config: Vec<Number>,
    notes: Vec<String>,
    parameters: Parameters,
    formats: Vec<FormatShare>,
    weights: WeightMemory,
    kv_cache: KvCache,
    machine: Machine,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tensors: Vec<TensorLine>,
    /// What else this machine could run; there if no model was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Plan>,
}

/// One number of the configuration and where it came from.
#[derive(Serialize)]
struct Number {
    name: &'static str,
    value: String,
    file: String,
    key: String,
}

#[derive(Serialize)]
struct Parameters {
    total: u64,
    active: u64,
    embedding: u64,
}

#[derive(Serialize)]
struct FormatShare {
    format: String,
    tensors: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct WeightMemory {
    /// In the mapped files. Most are read in another order: copied on first use, or as prepared on disk.
    mapped_bytes: u64,
    /// The prepared copy, if there is one.
    prepared: Option<String>,
    /// Copies of our own.
    repacked: Vec<Copied>,
    /// In the files, and not used.
    unused: Vec<Unused>,
}

#[derive(Serialize)]
struct Copied {
    what: String,
    why: &'static str,
    tensors: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct Unused {
    what: String,
    tensors: usize,
    bytes: u64,
    example: String,
}

#[derive(Serialize)]
struct KvCache {
    #[serde(rename = "type")]
    kv_type: String,
    bytes_per_token: u64,
    contexts: Vec<ContextCost>,
}

#[derive(Serialize)]
struct ContextCost {
    tokens: usize,
    bytes: u64,
    /// Whether weights and this cache fit into the memory that is free.
    #[serde(flatten)]
    fit: Fit,
}

#[derive(Serialize)]
struct Machine {
    cpu: Option<String>,
    backend: String,
    #[serde(flatten)]
    memory: machine::Memory,
    unused_gpus: Vec<String>,
    /// Bytes a second, all threads reading.
    bandwidth: f64,
    /// What one decoded token reads, at an empty context.
    bytes_per_token: u64,
    /// The bandwidth over that: no engine can decode faster here, one sequence at a time, if the weights do not stay in the
    /// processor's cache.
    decode_limit_tokens_per_second: f64,
    /// What this version reaches of it: its own first layers and head were run for a moment. None for a model that does
    /// not fit into memory.
    predicted_tokens_per_second: Option<f64>,
    /// Layers that were run for it.
    predicted_from_layers: Option<usize>,
}

#[derive(Serialize)]
struct TensorLine {
    name: String,
    format: String,
    shape: Vec<usize>,
    bytes: u64,
    file: String,
}

/// Prints the report.
pub fn run(args: &InspectArgs) -> Result<()> {
    let cpu = load::cpu(&args.model)?;
    let mut out = io::stdout().lock();
    if args.plan {
        let plan = Plan::new(&args.model, kernels::probe_bandwidth(&cpu).best);
        return match args.json {
            true => Ok(writeln!(out, "{}", serde_json::to_string(&plan)?)?),
            false => Ok(plan.print(&mut out)?),
        };
    }
    let mut checkpoint = load::checkpoint(&args.model)?;
    let copy = prepared::attach(&mut checkpoint);
    let weights = checkpoint.load(&|_, _| {})?;
    let mut report = report(args, &checkpoint, &weights, &cpu)?;
    report.weights.prepared = copy.map(|copy| copy.path.display().to_string());
    if args.model.model.is_none() {
        report.plan = Some(Plan::new(&args.model, report.machine.bandwidth));
    }
    if args.tensors {
        report.tensors = checkpoint
            .tensors()
            .iter()
            .map(|tensor| tensor_line(&checkpoint, tensor))
            .collect();
    }
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        print(&mut out, &report)?;
    }
    Ok(())
}

fn report(
    args: &InspectArgs,
    checkpoint: &Checkpoint,
    weights: &Weights,
    cpu: &Arc<Cpu>,
) -> Result<Report> {
    let config = &checkpoint.config;
    let parameters = checkpoint.parameters();
    let source = |s: &model::Source| Number {
        name: s.name,
        value: s.value.clone(),
        file: s.file.display().to_string(),
        key: s.key.clone(),
    };
    Ok(Report {
        path: checkpoint.path.display().to_string(),
        architecture: config.architecture.clone(),
        config: config.sources.iter().map(source).collect(),
        notes: config.notes.clone(),
        parameters: Parameters {
            total: parameters.total,
            active: parameters.active,
            embedding: parameters.embedding,
        },
        formats: formats(checkpoint),
        weights: weight_memory(weights),
        kv_cache: kv_cache(args, checkpoint)?,
        machine: machine(args, checkpoint, weights, cpu)?,
        tensors: Vec::new(),
        plan: None,
    })
}

fn formats(checkpoint: &Checkpoint) -> Vec<FormatShare> {
    let mut shares: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for tensor in checkpoint.tensors() {
        let share = shares.entry(tensor.storage.name().to_owned()).or_default();
        share.0 += 1;
        share.1 += tensor.data.len() as u64;
    }
    let mut formats: Vec<FormatShare> = shares
        .into_iter()
        .map(|(format, (tensors, bytes))| FormatShare {
            format,
            tensors,
            bytes,
        })
        .collect();
    formats.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    formats
}

fn weight_memory(weights: &Weights) -> WeightMemory {
    let report = &weights.report;
    let copied = |r: &model::Repacked| Copied {
        what: r.what.clone(),
        why: r.why,
        tensors: r.count,
        bytes: r.bytes,
    };
    let unused = |u: &model::Unused| Unused {
        what: u.what.clone(),
        tensors: u.count,
        bytes: u.bytes,
        example: u.example.clone(),
    };
    WeightMemory {
        mapped_bytes: report.mapped_bytes,
        prepared: None,
        repacked: report.repacked.iter().map(copied).collect(),
        unused: report.unused.iter().map(unused).collect(),
    }
}

fn kv_cache(args: &InspectArgs, checkpoint: &Checkpoint) -> Result<KvCache> {
    let config = &checkpoint.config;
    let kv_type = load::kv_type(&args.model, checkpoint);
    let need = start::need(&args.model, checkpoint)?;
    let free = machine::available_memory();
    let limit = args
        .model
        .ctx
        .unwrap_or(config.max_context)
        .min(config.max_context);
    let mut contexts: Vec<usize> = CONTEXTS
        .into_iter()
        .filter(|&tokens| tokens < limit)
        .collect();
    contexts.push(limit);
    let cost = |tokens: usize| ContextCost {
        tokens,
        bytes: need.kv_bytes(tokens),
        fit: need.fit(free, tokens),
    };
    Ok(KvCache {
        kv_type: format!("{kv_type:?}").to_lowercase(),
        bytes_per_token: need.kv_per_token,
        contexts: contexts.into_iter().map(cost).collect(),
    })
}

fn machine(
    args: &InspectArgs,
    checkpoint: &Checkpoint,
    weights: &Weights,
    cpu: &Arc<Cpu>,
) -> Result<Machine> {
    let config = &checkpoint.config;
    let bandwidth = kernels::probe_bandwidth(cpu).best;
    let bytes_per_token = trial::token_bytes(config, &WeightBytes::of(weights)).1;
    let memory = machine::memory();
    let refusal = start::need(&args.model, checkpoint)?.refusal(&memory, None);
    let prediction = match refusal {
        None => Some(trial::predict(
            cpu.clone(),
            config,
            weights,
            load::options(&args.model, checkpoint),
        )?),
        Some(_) => None,
    };
    Ok(Machine {
        cpu: machine::cpu_name(),
        backend: cpu.describe(),
        memory,
        unused_gpus: machine::graphics_processors(),
        bandwidth,
        bytes_per_token,
        decode_limit_tokens_per_second: plan::decode_limit(bandwidth, bytes_per_token),
        predicted_tokens_per_second: prediction.map(|found| found.tokens_per_second),
        predicted_from_layers: prediction.map(|found| found.num_layers),
    })
}

fn tensor_line(checkpoint: &Checkpoint, tensor: &model::Tensor) -> TensorLine {
    TensorLine {
        name: tensor.name.clone(),
        format: tensor.storage.name().to_owned(),
        shape: tensor.shape.clone(),
        bytes: tensor.data.len() as u64,
        file: checkpoint.files[tensor.file].display().to_string(),
    }
}

fn print(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "{} ({})", report.path, report.architecture)?;
    let p = &report.parameters;
    writeln!(
        out,
        "parameters: {} in all, {} active a token, {} in the embedding table",
        load::count(p.total),
        load::count(p.active),
        load::count(p.embedding)
    )?;
    let mut file = "";
    for number in &report.config {
        if number.file != file {
            file = &number.file;
            writeln!(out, "\nconfiguration, from {file}")?;
        }
        writeln!(
            out,
            "  {:<32} {:<14} {}",
            number.name, number.value, number.key
        )?;
    }
    for note in &report.notes {
        writeln!(out, "  note: {note}")?;
    }
    print_weights(out, report)?;
    print_cost(out, report)?;
    if !report.tensors.is_empty() {
        writeln!(out, "\ntensors")?;
        for t in &report.tensors {
            writeln!(
                out,
                "  {:<60} {:<6} {:<24} {:>10}",
                t.name,
                t.format,
                format!("{:?}", t.shape),
                load::bytes(t.bytes)
            )?;
        }
    }
    if let Some(plan) = &report.plan {
        writeln!(out)?;
        plan.print(out)?;
    }
    Ok(())
}

fn print_weights(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "\nstored as")?;
    for share in &report.formats {
        writeln!(
            out,
            "  {:<8} {:>6} tensors {:>12}",
            share.format,
            share.tensors,
            load::bytes(share.bytes)
        )?;
    }
    writeln!(out, "\nweights in memory")?;
    writeln!(
        out,
        "  mapped from the files: {}",
        load::bytes(report.weights.mapped_bytes)
    )?;
    match &report.weights.prepared {
        Some(path) => writeln!(out, "  read from the prepared copy: {path}")?,
        None => writeln!(
            out,
            "  put in order in memory on first use, the files' pages given back; `tramontane prepare` keeps that on disk"
        )?,
    }
    for copy in &report.weights.repacked {
        writeln!(
            out,
            "  repacked: {} ({} tensors, {}): {}",
            copy.what,
            copy.tensors,
            load::bytes(copy.bytes),
            copy.why
        )?;
    }
    for unused in &report.weights.unused {
        writeln!(
            out,
            "  not used: {} ({} tensors, {}), such as {}",
            unused.what,
            unused.tensors,
            load::bytes(unused.bytes),
            unused.example
        )?;
    }
    Ok(())
}

fn print_cost(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let kv = &report.kv_cache;
    writeln!(
        out,
        "\nKV cache ({}): {} a token",
        kv.kv_type,
        load::bytes(kv.bytes_per_token)
    )?;
    for cost in &kv.contexts {
        writeln!(
            out,
            "  {:>9} tokens {:>12}  with the weights it {}",
            cost.tokens,
            load::bytes(cost.bytes),
            verdict(cost.fit)
        )?;
    }
    let m = &report.machine;
    writeln!(out, "\nthis machine")?;
    if let Some(cpu) = &m.cpu {
        writeln!(out, "  {cpu}")?;
    }
    writeln!(out, "  {}", m.backend)?;
    writeln!(out, "  memory: {}", describe(&m.memory))?;
    for gpu in &m.unused_gpus {
        writeln!(out, "  {gpu}: not used yet")?;
    }
    writeln!(
        out,
        "  memory bandwidth, measured now: {:.1} GB/s",
        m.bandwidth / 1e9
    )?;
    writeln!(
        out,
        "  one decoded token reads {}: at most {:.1} tokens/s, one sequence at a time",
        load::bytes(m.bytes_per_token),
        m.decode_limit_tokens_per_second
    )?;
    let prediction = m.predicted_tokens_per_second.zip(m.predicted_from_layers);
    let Some((speed, layers)) = prediction else {
        return Ok(());
    };
    writeln!(
        out,
        "  this version: about {speed:.1} tokens/s ({layers} of its layers and the head, run for a moment)"
    )
}
