//! What a Mistral is: its configuration, its checkpoints and its forward pass.
//!
//! It knows nothing of text, requests, sampling or time; it holds no threads and no unsafe code. Numbers are computed by
//! a [`kernels::Backend`].

mod batch;
mod config;
mod error;
mod weights;

pub use batch::{Batch, BatchSequence, LogitRows, Output};
pub use config::{
    AttentionConfig, Config, FeedForwardConfig, GqaConfig, MlaConfig, MoeConfig, QueryScale,
    RopeConfig, RopeScaling, SoftmaxScale, Source,
};
pub use error::ModelError;
pub use weights::{
    AttentionWeights, FeedForwardWeights, LayerWeights, LoadReport, Repacked, Unused, Weights,
};

/// A model that turns batches of tokens into logits. The engine sees nothing else of it.
pub trait LanguageModel: Send {
    /// Width of a row of logits.
    fn vocab_size(&self) -> usize;

    /// Width of a hidden state.
    fn hidden_size(&self) -> usize;

    /// Positions the model was made for.
    fn max_context(&self) -> usize;

    /// Bytes of one page of KV cache, all layers together.
    fn page_bytes(&self) -> usize;

    /// Sets aside a cache of `num_pages` pages, forgetting any earlier one.
    fn reserve_pages(&mut self, num_pages: usize);

    /// Computes one step.
    ///
    /// Errors: a token id outside the vocabulary, a position outside the context or the page table, a result that is
    /// not finite. The step is then without effect for the caller; the pages it wrote hold unspecified values.
    fn forward(&mut self, batch: &Batch) -> Result<Output, ModelError>;
}
