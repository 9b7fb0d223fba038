//! Messages to token ids and back, exactly as the model's maker defines them.
//!
//! A request body becomes a [`request::Request`], validation makes it a [`Conversation`], and encoding a [`Prompt`]:
//! ```no_run
//! # fn main() -> Result<(), chat::ChatError> {
//! # let (body, json): (&[u8], &[u8]) = (b"", b"");
//! let tekken = chat::Tekken::from_json(json, "tekken.json".as_ref())?;
//! let conversation = chat::validate(chat::request::parse(body)?, &tekken)?;
//! let prompt = chat::encode(&conversation, &tekken)?;
//! # Ok(())
//! # }
//! ```
//! Pure: no files, no network, no clock, and no threads but the one on whose stack a template is rendered. Must not know: models, weights, sampling, HTTP.

mod base64;
pub mod error;
pub mod format;
pub mod image;
pub mod json;
pub mod message;
mod normalize;
pub mod request;
mod schema;
pub mod stop;
pub mod tekken;
pub mod template;
mod validate;
pub mod vocabulary;

pub use error::ChatError;
pub use format::encode::{ImageSlot, Prompt, encode};
pub use tekken::Tekken;
pub use validate::{Conversation, validate};

/// A token's number in the vocabulary.
pub type TokenId = u32;
