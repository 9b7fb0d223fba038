//! The forward pass: one transformer for the whole family, {MLA, GQA} x {experts, dense}, chosen by [`Config`].

use crate::LanguageModel;
use crate::attention::{Attention, LayerCache};
use crate::batch::{Batch, Output};
use crate::config::{Config, SoftmaxScale};
use crate::cost::{TokenProducts, WeightBytes};
use crate::error::ModelError;
use crate::feed_forward::FeedForwardPart;
use crate::rope::Rope;
use crate::step::Step;
use crate::weights::Weights;
use kernels::{Backend, Cache, CacheLayout, Columns, KvType, Rows};
use std::sync::Arc;

/// Choices about the numbers that are the user's, not the checkpoint's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How keys and values are cached.
    pub kv_type: KvType,
    /// Whose scale goes on attention scores.
    pub softmax_scale: SoftmaxScale,
}

/// A model on a device: weights, cache and the rules of its forward pass.
pub struct Transformer {
    backend: Arc<dyn Backend>,
    config: Config,
    weights: Weights,
    rope: Rope,
    attention: Attention,
    feed_forward: FeedForwardPart,
    cache: Cache,
}

impl Transformer {
    /// Puts a model together. It has no cache pages until [`LanguageModel::reserve_pages`].
    pub fn new(
        backend: Arc<dyn Backend>,
        config: Config,
        weights: Weights,
        options: Options,
    ) -> Transformer {
        let layout = CacheLayout {
            num_layers: config.num_layers,
            row_width: config.kv_row_width(),
            kv_type: options.kv_type,
        };
        let softmax_scale = config.softmax_scale(options.softmax_scale);
        Transformer {
            rope: Rope::new(&config.rope, config.query_scale),
            attention: Attention::new(&config, softmax_scale),
            feed_forward: FeedForwardPart::new(&config),
            cache: backend.new_cache(layout, 0),
            backend,
            config,
            weights,
        }
    }

    /// The configuration it runs.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What its weights take to read.
    pub fn weight_bytes(&self) -> WeightBytes {
        WeightBytes::of(&self.weights)
    }

    /// What a token multiplies.
    pub fn token_products(&self) -> TokenProducts {
        let kv_type = self.cache.layout().kv_type;
        TokenProducts::of(&self.weights, &self.config, self.attention.shape(), kv_type)
    }

    /// Pages its cache has.
    pub fn num_pages(&self) -> usize {
        self.cache.num_pages()
    }

    /// Fills the whole cache with NaN: for tests that a slot is never read before it is written.
    pub fn poison_cache(&mut self) {
        self.cache.poison();
    }

    /// All layers: the residual stream after the last one, and the distinct experts used.
    fn layers(&mut self, step: &Step) -> (Rows, usize) {
        let backend = &*self.backend;
        let (rows, hidden_size) = (step.num_rows(), self.config.hidden_size);
        let (whole, eps) = (Columns::range(0, hidden_size), self.config.rms_norm_eps);
        let mut hidden = backend.rows(rows, hidden_size);
        let mut normed = backend.rows(rows, hidden_size);
        let mut part = backend.rows(rows, hidden_size);
        let mut scratch = self.attention.scratch(backend, rows);
        let mut distinct_experts = 0;

        backend.embed(
            &step.inputs,
            &self.weights.embed,
            step.embeddings.as_ref(),
            &mut hidden,
        );
        for (layer, weights) in self.weights.layers.iter().enumerate() {
            let at = LayerCache {
                cache: &mut self.cache,
                layer,
            };
            backend.rms_norm(&hidden, whole, &weights.input_norm, eps, &mut normed, whole);
            self.attention.forward(
                backend,
                &weights.attention,
                &normed,
                step,
                at,
                &mut scratch,
                &mut part,
            );
            backend.reduce(&mut part);
            backend.add(&mut hidden, &part);

            backend.rms_norm(&hidden, whole, &weights.post_norm, eps, &mut normed, whole);
            distinct_experts +=
                self.feed_forward
                    .forward(backend, &weights.feed_forward, &normed, &mut part);
            backend.reduce(&mut part);
            backend.add(&mut hidden, &part);
        }
        (hidden, distinct_experts)
    }

    /// Final norm and head for the rows that asked for them: `(hidden states, logits)`.
    fn head(&self, residual: &Rows, step: &Step) -> (Vec<f32>, Vec<f32>) {
        let backend = &*self.backend;
        let (rows, hidden_size) = (step.logit_rows.len(), self.config.hidden_size);
        if rows == 0 {
            return (Vec::new(), Vec::new());
        }
        let whole = Columns::range(0, hidden_size);
        let mut wanted = backend.rows(rows, hidden_size);
        let mut normed = backend.rows(rows, hidden_size);
        let mut logits = backend.rows(rows, self.config.vocab_size);
        backend.gather(residual, &step.logit_rows, &mut wanted);
        let (norm, eps) = (&self.weights.output_norm, self.config.rms_norm_eps);
        backend.rms_norm(&wanted, whole, norm, eps, &mut normed, whole);
        backend.project(&normed, &[&self.weights.head], &mut [&mut logits]);

        let mut hidden = Vec::new();
        if !step.hidden_rows.is_empty() {
            let all = backend.download(&normed);
            for row in &step.hidden_rows {
                hidden.extend_from_slice(&all[row * hidden_size..][..hidden_size]);
            }
        }
        (hidden, backend.download(&logits))
    }

    /// Explains a result that is not finite.
    fn not_finite(&self) -> ModelError {
        let cause = match self.weights.find_non_finite() {
            Some(place) => format!("{place}; the file is damaged: fetch it again"),
            None => {
                "every stored weight is finite, so the sums overflow: the weights do not fit this \
                     architecture, or the file is damaged"
                    .into()
            }
        };
        ModelError::Step(format!("a step's logits are not finite: {cause}"))
    }
}

impl LanguageModel for Transformer {
    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn hidden_size(&self) -> usize {
        self.config.hidden_size
    }

    fn max_context(&self) -> usize {
        self.config.max_context
    }

    fn page_bytes(&self) -> usize {
        self.cache.layout().page_bytes()
    }

    fn reserve_pages(&mut self, num_pages: usize) {
        self.cache = self.backend.new_cache(self.cache.layout(), num_pages);
    }

    fn forward(&mut self, batch: &Batch) -> Result<Output, ModelError> {
        let num_pages = self.cache.num_pages();
        let step = Step::new(batch, &self.config, num_pages, &self.rope, &*self.backend)?;
        let (residual, distinct_experts) = self.layers(&step);
        let (hidden, logits) = self.head(&residual, &step);
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(self.not_finite());
        }
        Ok(Output {
            logits,
            hidden,
            distinct_experts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchSequence, LogitRows};
    use kernels::{PAGE_SIZE, Reference, RowInput};
    use serde::Deserialize;
    use std::path::Path;

    /// A golden line whose first id stands at `positions_start`, with nothing before it in the cache.
    #[derive(Deserialize)]
    struct Offset {
        ids: Vec<u32>,
        positions_start: usize,
        logprobs: Vec<Option<f64>>,
    }

    /// Rotary angles and query factors far from 0, up to the end of a 256K context, without a cache of that size: the
    /// step is planned at position 0 and then told that it lies elsewhere.
    fn worst_at_offset(model: &str) -> f64 {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
        let checkpoint = crate::open(&fixtures.join("models").join(model)).unwrap();
        let weights = checkpoint.load(&|_, _| {}).unwrap();
        let options = Options {
            kv_type: KvType::F32,
            softmax_scale: SoftmaxScale::Vendor,
        };
        let mut transformer = Transformer::new(
            Arc::new(Reference),
            checkpoint.config.clone(),
            weights,
            options,
        );
        transformer.reserve_pages(4);
        let path = fixtures
            .join("goldens")
            .join(format!("{model}.offset.jsonl"));
        let mut worst = 0.0_f64;
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let golden: Offset = serde_json::from_str(line).unwrap();
            let logits = logits_at(&mut transformer, &golden.ids, golden.positions_start);
            for (at, row) in logits.chunks_exact(transformer.vocab_size()).enumerate() {
                let Some(&next) = golden.ids.get(at + 1) else {
                    break;
                };
                let sum: f64 = row.iter().map(|&l| f64::from(l).exp()).sum();
                let logprob = f64::from(row[next as usize]) - sum.ln();
                worst = worst.max((logprob - golden.logprobs[at + 1].unwrap()).abs());
            }
        }
        worst
    }

    fn logits_at(transformer: &mut Transformer, ids: &[u32], start: usize) -> Vec<f32> {
        let sequence = BatchSequence {
            inputs: ids.iter().map(|&id| RowInput::Token(id)).collect(),
            first_position: 0,
            pages: (0..ids.len().div_ceil(PAGE_SIZE) as u32).collect(),
            adapter: None,
            logits: LogitRows::All,
            hidden: false,
        };
        let batch = Batch {
            sequences: vec![sequence],
            embeddings: Vec::new(),
        };
        let backend = Arc::clone(&transformer.backend);
        let (config, rope) = (&transformer.config, &transformer.rope);
        let mut step = Step::new(&batch, config, 4, rope, &*backend).unwrap();
        let positions: Vec<usize> = (start..start + ids.len()).collect();
        step.rotary = rope.table(&*backend, &positions);
        step.query_factors = rope.query_factors(&positions);
        let (residual, _) = transformer.layers(&step);
        transformer.head(&residual, &step).1
    }

    #[test]
    fn far_positions_agree_with_transformers() {
        let f32_weights = worst_at_offset("mistral4-realdims-f32");
        let bf16_weights = worst_at_offset("mistral4-realdims-bf16");
        println!("far positions: {f32_weights:.1e} (F32), {bf16_weights:.1e} (BF16)");
        assert!(f32_weights <= 2e-4, "{f32_weights:e}");
        assert!(bf16_weights <= 2e-3, "{bf16_weights:e}");
    }
}
