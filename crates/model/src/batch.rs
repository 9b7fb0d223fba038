//! One step's work: a ragged batch of rows from several sequences, and what comes back.
//!
//! There is no prefill mode and no decode mode: a row is a token (or an image's embedding) at a position of a sequence.

use kernels::{PAGE_SIZE, RowInput};
use std::ops::Range;

/// Which rows of a sequence's part of the batch get logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogitRows {
    /// None: more of the prompt is still to come.
    None,
    /// The last row: the next token is to be sampled.
    Last,
    /// Every row: the prompt is being scored.
    All,
}

/// One sequence's part of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSequence {
    /// Its inputs in this step, in order.
    pub inputs: Vec<RowInput>,
    /// Position of the first input; the others follow it one by one.
    pub first_position: usize,
    /// Its page table: enough pages for the last position.
    pub pages: Vec<u32>,
    /// Adapter to apply, when adapters exist.
    pub adapter: Option<u32>,
    /// Which rows get logits.
    pub logits: LogitRows,
    /// Whether the hidden states (after the final norm) of the same rows are returned too.
    pub hidden: bool,
}

impl BatchSequence {
    /// Positions of the inputs.
    pub fn positions(&self) -> Range<usize> {
        self.first_position..self.first_position + self.inputs.len()
    }

    /// The cache slot of each input, from the page table.
    pub fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.positions()
            .map(|p| self.pages[p / PAGE_SIZE] * PAGE_SIZE as u32 + (p % PAGE_SIZE) as u32)
    }
}

/// One step: sequences one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The sequences' parts.
    pub sequences: Vec<BatchSequence>,
    /// Rows that [`RowInput::Embedding`] refers to, `[count, hidden_size]`, row-major.
    pub embeddings: Vec<f32>,
}

impl Batch {
    /// Rows in all.
    pub fn num_rows(&self) -> usize {
        self.sequences.iter().map(|s| s.inputs.len()).sum()
    }
}

/// What a step computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// `[rows that asked for logits, vocab_size]`, row-major, in batch order.
    pub logits: Vec<f32>,
    /// `[rows of sequences that asked for hidden states and logits, hidden_size]`, in batch order.
    pub hidden: Vec<f32>,
    /// Distinct experts used, summed over the layers that have any (0 for dense models).
    pub distinct_experts: usize,
}
