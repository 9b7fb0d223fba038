//! What a Mistral is: its configuration, its checkpoints and its forward pass.
//!
//! It knows nothing of text, requests, sampling or time; it holds no threads and no unsafe code. Numbers are computed by
//! a [`kernels::Backend`].

mod attention;
mod batch;
mod checkpoint;
mod config;
mod cost;
mod error;
mod feed_forward;
mod rope;
mod step;
mod transformer;
mod vision;
mod vision_weights;
mod weights;

pub use batch::{Batch, BatchSequence, LogitRows, Output};
pub use checkpoint::{
    Checkpoint, Gguf, GgufPair, GgufPlan, GgufValue, GgufVocabulary, Mix, PlannedTensor,
    PreparedPlan, Storage, Tensor, TextFile, TextFiles, VisionCheckpoint, open, open_mmproj,
    parse_safetensors,
};
pub use config::{
    AttentionConfig, Config, FeedForwardConfig, GqaConfig, MergerConfig, MlaConfig, MoeConfig,
    Parameters, QueryScale, RopeConfig, RopeScaling, SoftmaxScale, Source, VisionConfig,
};
pub use cost::{Products, TokenProducts, WeightBytes};
pub use error::ModelError;
/// What the engine needs to fill a batch: the size of a page and the kinds of input.
pub use kernels::{PAGE_SIZE, RowInput};
pub use transformer::{Options, Transformer};
pub use vision::{ImageInput, Vision};
pub use vision_weights::{ProjectorWeights, VisionLayerWeights, VisionWeights};
pub use weights::{
    AttentionWeights, FeedForwardWeights, LayerWeights, LoadReport, NamedMatrix, Repacked, Unused,
    Weights,
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
