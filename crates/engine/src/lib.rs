//! Tokens in, tokens out: the engine owns time, memory and fairness.
//!
//! One thread does the model's work, step by step. Requests reach it by one channel and are answered by one channel
//! each; dropping the receiver cancels the request, dropping the [`Engine`] ends the thread. A request's tokens depend on
//! the request and the model alone: not on the batch, the budget of a step, the pages, reuse of prefixes or preemption.
//!
//! It knows no text, no HTTP, no async and no numbers format; it holds no unsafe code.

mod constraint;
mod engine;
mod error;
mod events;
mod logprobs;
mod math;
mod pages;
mod random;
mod request;
mod sampler;
mod scheduler;
mod sequence;
mod stats;
mod step;

pub use constraint::{Constraint, ConstraintError, TokenMask};
pub use engine::{Engine, EngineConfig, KvMemory};
pub use error::EngineError;
pub use events::{
    Event, EventSink, EventStream, FinishReason, PromptLogprobs, TokenLogprobs, Usage,
};
pub use pages::PageOrder;
pub use random::fresh_seed;
pub use request::{EmbeddingSpan, Embeddings, GenerateRequest, PromptScore, SamplingParams};
pub use stats::Stats;
