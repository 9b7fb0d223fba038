//! Messages to token ids and back, exactly as the model's maker defines them.
//!
//! A request body becomes a [`request::Request`], validation makes it a [`Conversation`], and encoding a [`Prompt`].
//! Pure: no files, no network, no clock, no threads. Must not know: models, weights, sampling, HTTP.

mod base64;
pub mod error;
pub mod json;
pub mod message;
pub mod stop;
pub mod tekken;
pub mod vocabulary;

pub use error::ChatError;
pub use tekken::Tekken;

/// A token's number in the vocabulary.
pub type TokenId = u32;
