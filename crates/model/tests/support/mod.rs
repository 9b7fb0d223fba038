//! What the golden tests share: fixtures, and log-probabilities from a model's logits.

#![allow(dead_code, reason = "each test file uses its own part")]

use kernels::{Backend, KvType, PAGE_SIZE, Reference, RowInput};
use model::{Batch, BatchSequence, LanguageModel, LogitRows, Options, SoftmaxScale, Transformer};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One entry of `fixtures/models/manifest.json`.
#[derive(Deserialize)]
pub struct Entry {
    /// Path below `fixtures/models`.
    pub model: String,
    /// Golden files below `fixtures/goldens`, by kind.
    pub goldens: BTreeMap<String, String>,
    /// Stored type.
    pub weights: String,
    /// The folder with the same weights.
    pub twin: Option<String>,
}

/// One line of a golden file.
#[derive(Deserialize)]
pub struct Golden {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Log-probability of each id given those before it.
    pub logprobs: Vec<Option<f64>>,
    /// The likeliest next ids after the last.
    pub last_top: Vec<(u32, f64)>,
    /// The likeliest next id at each position.
    pub top1: Vec<u32>,
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

pub fn manifest() -> Vec<Entry> {
    let text = std::fs::read(fixtures().join("models/manifest.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

pub fn goldens(name: &str) -> Vec<Golden> {
    let text = std::fs::read_to_string(fixtures().join("goldens").join(name)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A fixture model on the reference backend, its KV cached in f32.
pub fn load(name: &str, softmax_scale: SoftmaxScale) -> Transformer {
    let checkpoint = model::open(&fixtures().join("models").join(name)).unwrap();
    let weights = checkpoint.load(&|_, _| {}).unwrap();
    let backend: Arc<dyn Backend> = Arc::new(Reference);
    let options = Options {
        kv_type: KvType::F32,
        softmax_scale,
    };
    let mut transformer = Transformer::new(backend, checkpoint.config.clone(), weights, options);
    transformer.reserve_pages(8);
    transformer
}

/// Log-probabilities after every id, `[ids, vocab_size]`, all ids in one step.
pub fn distributions(transformer: &mut Transformer, ids: &[u32]) -> Vec<Vec<f64>> {
    let sequence = BatchSequence {
        inputs: ids.iter().map(|&id| RowInput::Token(id)).collect(),
        first_position: 0,
        pages: (0..ids.len().div_ceil(PAGE_SIZE) as u32).collect(),
        adapter: None,
        logits: LogitRows::All,
        hidden: false,
    };
    let output = transformer
        .forward(&Batch {
            sequences: vec![sequence],
            embeddings: Vec::new(),
        })
        .unwrap();
    output
        .logits
        .chunks_exact(transformer.vocab_size())
        .map(log_softmax)
        .collect()
}

/// Log-softmax in f64.
pub fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
    let sum: f64 = logits.iter().map(|&l| (f64::from(l) - max).exp()).sum();
    logits
        .iter()
        .map(|&l| f64::from(l) - max - sum.ln())
        .collect()
}

/// The likeliest id; of equals, the first.
pub fn argmax(logprobs: &[f64]) -> u32 {
    let best = (0..logprobs.len())
        .rev()
        .max_by(|&a, &b| logprobs[a].total_cmp(&logprobs[b]));
    best.unwrap() as u32
}
