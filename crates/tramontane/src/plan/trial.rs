//! Runs a model's own steps and times them, without the engine, so that what is timed is the model. `bench` is made of
//! trials; `inspect` makes a short one of a model's first layers to say how fast the whole is.
//!
//! Every sequence and step gets its own random ids, so that experts are really spread.

use super::roof::Spread;
use crate::load;
use crate::machine;
use anyhow::{Result, bail};
use kernels::Backend;
use model::{
    Batch, BatchSequence, Config, LanguageModel, LogitRows, Options, PAGE_SIZE, Products, RowInput,
    TokenProducts, Transformer, WeightBytes, Weights,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows of a prefill step: the engine's default.
const STEP_TOKENS: usize = 512;
/// How often each expert is used while a model warms up, on average: none is likely to be left out.
const USES_OF_AN_EXPERT: usize = 16;

/// A short trial: of layers that take so many bytes, at least of one of the last kind, for so long.
const SHORT_BYTES: u64 = 2 << 30;
const SHORT_LENGTH: Duration = Duration::from_millis(1500);
/// Tokens of the reply that a short trial times again and again, beginning with none in the cache.
const SHORT_REPLY: usize = 32;

/// A model under test and its source of random ids.
pub struct Trial {
    transformer: Transformer,
    weights: WeightBytes,
    products: TokenProducts,
    random: u64,
}

/// The same positions of several sequences: one step.
#[derive(Clone, Copy)]
pub struct Span {
    /// The first position.
    pub first: usize,
    /// How many of each sequence.
    pub count: usize,
    /// How many sequences.
    pub sequences: usize,
    /// Who gets logits.
    pub logits: LogitRows,
}

/// What some steps took, and what they cost at least.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    pub seconds: f64,
    pub bytes: f64,
    pub products: Products,
    pub distinct_experts: usize,
    pub steps: usize,
}

/// How fast a model would answer one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// At an empty context.
    pub tokens_per_second: f64,
    /// Layers that were run to find out.
    pub num_layers: usize,
}

impl Trial {
    /// Of this model; `seed` begins the ids.
    pub fn new(transformer: Transformer, seed: u64) -> Trial {
        Trial {
            weights: transformer.weight_bytes(),
            products: transformer.token_products(),
            transformer,
            random: seed,
        }
    }

    /// Layers with experts.
    pub fn num_expert_layers(&self) -> usize {
        self.weights.num_expert_layers
    }

    /// A cache for `batch` sequences of `tokens`.
    ///
    /// # Errors
    /// More than is free.
    pub fn reserve(&mut self, batch: usize, tokens: usize) -> Result<()> {
        let pages = batch * tokens.div_ceil(PAGE_SIZE);
        let needed = pages as u64 * self.transformer.page_bytes() as u64;
        if machine::available_memory().is_some_and(|free| needed > free) {
            bail!(
                "a KV cache of {batch} x {tokens} tokens takes {}, more than is free\nUse a smaller batch or depth",
                load::bytes(needed)
            );
        }
        self.transformer.reserve_pages(pages);
        Ok(())
    }

    /// Uses every weight, so that no run has to fetch some from disk or to put them in order.
    pub fn warm_up(&mut self) -> Result<()> {
        let moe = self.transformer.config().feed_forward.moe.as_ref();
        let tokens = moe.map_or(1, |moe| {
            (USES_OF_AN_EXPERT * moe.num_experts).div_ceil(moe.experts_per_token)
        });
        let tokens = tokens.min(self.transformer.max_context());
        self.reserve(1, tokens)?;
        self.timed(&prefill_steps(0, tokens, 1, LogitRows::Last))?;
        Ok(())
    }

    /// Runs steps one after the other.
    pub fn timed(&mut self, steps: &[Span]) -> Result<Run> {
        let batches: Vec<Batch> = steps.iter().map(|step| self.batch(step)).collect();
        let mut run = Run {
            steps: steps.len(),
            ..Run::default()
        };
        let start = Instant::now();
        for (batch, step) in batches.iter().zip(steps) {
            let output = self.transformer.forward(batch)?;
            run.distinct_experts += output.distinct_experts;
            let (bytes, products) = self.cost(step, output.distinct_experts);
            run.bytes += bytes as f64;
            run.products += products;
        }
        run.seconds = start.elapsed().as_secs_f64();
        Ok(run)
    }

    /// What a step must read and multiply.
    fn cost(&self, step: &Span, distinct_experts: usize) -> (u64, Products) {
        let logit_rows = match step.logits {
            LogitRows::None => 0,
            LogitRows::Last => step.sequences,
            LogitRows::All => step.sequences * step.count,
        };
        let cached = step.sequences * (step.first + step.count);
        let cache_bytes = (cached * self.transformer.page_bytes() / PAGE_SIZE) as u64;
        let bytes = self.weights.step(distinct_experts, logit_rows > 0) + cache_bytes;
        let visible: usize = (step.first + 1..=step.first + step.count).sum();
        let products = self.products.step(
            step.sequences * step.count,
            step.sequences * visible,
            logit_rows,
        );
        (bytes, products)
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

/// The steps that fill positions `first..end` of `sequences` sequences; the last one as `logits` says.
pub fn prefill_steps(first: usize, end: usize, sequences: usize, logits: LogitRows) -> Vec<Span> {
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

/// Bytes that one token reads of the layers of `weights`, and the same with the head.
pub fn token_bytes(config: &Config, weights: &WeightBytes) -> (u64, u64) {
    let moe = config.feed_forward.moe.as_ref();
    let experts = moe.map_or(0, |moe| moe.experts_per_token) * weights.num_expert_layers;
    (weights.step(experts, false), weights.step(experts, true))
}

/// How fast a model decodes one sequence: its own first layers and its head are run for a moment, and the layers that were
/// not run take the time of those that were, byte for byte.
///
/// # Errors
/// A step that fails.
pub fn predict(
    backend: Arc<dyn Backend>,
    config: &Config,
    weights: &Weights,
    options: Options,
) -> Result<Prediction> {
    let whole = token_bytes(config, &WeightBytes::of(weights)).0;
    let (config, weights) = first_layers(config, weights, SHORT_BYTES);
    let part = token_bytes(&config, &WeightBytes::of(&weights)).0;
    let num_layers = config.num_layers;
    let mut trial = Trial::new(Transformer::new(backend, config, weights, options), 1);
    trial.warm_up()?;
    let reply = SHORT_REPLY.min(trial.transformer.max_context());
    trial.reserve(1, reply)?;

    let begin = Instant::now();
    let (mut steps, mut headless) = (Vec::new(), Vec::new());
    while begin.elapsed() < SHORT_LENGTH || headless.len() < reply {
        for (times, logits) in [
            (&mut steps, LogitRows::Last),
            (&mut headless, LogitRows::None),
        ] {
            let step = Span {
                first: times.len() % reply,
                count: 1,
                sequences: 1,
                logits,
            };
            times.push(trial.timed(&[step])?.seconds);
        }
    }
    let other_layers = whole as f64 / part.max(1) as f64 - 1.0;
    Ok(Prediction {
        tokens_per_second: 1.0
            / seconds_of_all(
                Spread::of(steps).median,
                Spread::of(headless).median,
                other_layers,
            ),
        num_layers,
    })
}

/// A token's time: that of a step with the layers that were run and the head, and the layers alone once more for each time
/// that the other layers are as many.
fn seconds_of_all(step: f64, layers: f64, other_layers: f64) -> f64 {
    step + layers * other_layers
}

/// The model cut off after as many layers as take at most `bytes`, but not before the first one with experts.
fn first_layers(config: &Config, weights: &Weights, bytes: u64) -> (Config, Weights) {
    let (mut config, mut weights) = (config.clone(), weights.clone());
    let moe = config.feed_forward.moe.as_ref();
    let least = moe.map_or(1, |moe| moe.first_dense_layers + 1);
    for layer in std::mem::take(&mut weights.layers) {
        weights.layers.push(layer);
        let now = WeightBytes::of(&weights);
        if now.every_step + now.routed_experts > bytes && weights.layers.len() > least {
            weights.layers.pop();
            break;
        }
    }
    config.num_layers = weights.layers.len();
    (config, weights)
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

    #[test]
    fn layers_that_were_not_run_cost_what_their_bytes_say() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../fixtures/models/mistral4-tiny-f32"
        );
        let checkpoint = model::open(std::path::Path::new(path)).unwrap();
        let (config, weights) = (&checkpoint.config, checkpoint.load(&|_, _| {}).unwrap());
        let whole = token_bytes(config, &WeightBytes::of(&weights));
        assert!(whole.0 < whole.1);

        let (short, one) = first_layers(config, &weights, 1);
        assert_eq!((short.num_layers, one.layers.len()), (1, 1));
        let part = token_bytes(&short, &WeightBytes::of(&one));
        assert_eq!(
            whole.0,
            2 * part.0,
            "two equal layers read twice what one does"
        );
        assert_eq!(whole.1 - whole.0, part.1 - part.0, "the head is the same");
        let (all, _) = first_layers(config, &weights, u64::MAX);
        assert_eq!(all.num_layers, 2);

        // 36 layers of which 4 were run: 8 times as many were not.
        let seconds = seconds_of_all(0.010 + 0.002, 0.010, 8.0);
        assert!((seconds - 0.092).abs() < 1e-12, "{seconds}");
        assert_eq!(seconds_of_all(0.012, 0.010, 0.0), 0.012);
    }
}
