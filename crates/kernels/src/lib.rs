//! Numbers and memory: storage formats, the operations of a transformer, and the processors that run them.
//!
//! The only crate of the workspace where `unsafe` is allowed. It knows no model, no file format's metadata, no tokens
//! and no requests.

mod backend;
mod cache;
mod cpu;
mod error;
mod float;
pub mod math;
mod matrix;
mod memory;
mod prepared;
pub mod quant;
mod reference;
mod rows;
mod shapes;
mod simd;
mod spare;

pub use backend::{
    Backend, FeedForward, FullAttention, Pairing, RotaryTable, RouterRule, Routing, RowInput,
};
pub use cache::{
    AttentionPlan, AttentionRow, AttentionShape, BLOCK_SIZE, Cache, CacheLayout, KvType, PAGE_SIZE,
};
pub use cpu::{Arithmetic, Cpu, Isa, Probe, probe_bandwidth, probe_dot_rate, processors};
pub use error::KernelError;
pub use matrix::Matrix;
pub use memory::Bytes;
pub use prepared::Prepared;
pub use quant::Format;
pub use quant::order::LAYOUT_VERSION;
pub use reference::Reference;
pub use rows::{Columns, Rows};
