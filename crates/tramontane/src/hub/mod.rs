//! Models from the Hugging Face hub and its mirrors: fetched, kept in the cache that the hub's Python library keeps too,
//! found by name, removed.
//!
//! It knows files and their names; what is in them is the model crate's. Nothing a server says is believed unchecked:
//! [`name`] stands between its words and the disk.

mod cache;
mod client;
mod date;
mod digest;
mod disk;
mod error;
mod facts;
mod fetch;
mod forms;
mod listing;
mod name;
mod pull;
mod remove;
mod report;
mod settings;
mod tls;
mod url;

pub use cache::{Cache, Kept, Located};
pub use client::Client;
pub use error::HubError;
pub use name::{Name, Revision, printable};
pub use pull::Pull;
pub use report::{Event, Report};
pub use settings::{Settings, user_cache};

use std::path::Path;

/// Finds what `-m` names in the cache, without network. None: it is a path that exists, or nothing like a hub name.
///
/// Errors: a hub name whose model is not in the cache, or not all of it; the message says what to pull.
pub fn resolve(model: &Path) -> Result<Option<Located>, HubError> {
    let is_path = model.exists() || model.is_absolute();
    match model.to_str() {
        Some(text) if !is_path && Name::looks_like_one(text) => {
            Cache::from_env()?.locate(&Name::parse(text)?).map(Some)
        }
        _ => Ok(None),
    }
}
