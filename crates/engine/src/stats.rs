//! What the engine counts, for metrics and tests.

use std::sync::{Arc, Mutex, PoisonError};

/// The state of the engine after its latest step, and its counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sequences that hold pages.
    pub num_running: usize,
    /// Sequences that wait for some.
    pub num_waiting: usize,
    /// Pages of the KV cache.
    pub num_pages: usize,
    /// Those of them that no sequence holds.
    pub num_free_pages: usize,
    /// Steps that succeeded.
    pub num_steps: u64,
    /// Steps that failed.
    pub num_failed_steps: u64,
    /// Rows computed: tokens of prompts and replies, those computed again included.
    pub num_rows: u64,
    /// Times a sequence had to give its pages back and start again.
    pub num_preempted: u64,
    /// Requests given up because nobody listened any more.
    pub num_cancelled: u64,
    /// Distinct experts used, summed over layers and steps.
    pub num_distinct_experts: u64,
}

/// Where the engine thread shows its stats.
#[derive(Clone, Debug)]
pub(crate) struct StatsCell(Arc<Mutex<Stats>>);

impl StatsCell {
    pub(crate) fn new(stats: Stats) -> Self {
        Self(Arc::new(Mutex::new(stats)))
    }

    pub(crate) fn show(&self, stats: Stats) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }

    pub(crate) fn get(&self) -> Stats {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
