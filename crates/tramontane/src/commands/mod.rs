//! The commands, one file each.

mod answer;
mod attach;
pub mod bench;
mod chat;
pub mod completions;
pub mod inspect;
pub mod list;
pub mod man;
mod plan;
pub mod prepare;
pub mod pull;
pub mod quantize;
pub mod rm;
pub mod run;
pub mod score;
pub mod serve;
pub mod tokenize;
