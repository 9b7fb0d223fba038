//! The commands, one file each.

pub mod bench;
mod chat;
pub mod inspect;
pub mod run;
pub mod score;
pub mod tokenize;
