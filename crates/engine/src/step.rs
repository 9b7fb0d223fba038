//! The loop: admit, schedule, forward, sample and commit, one step after the other, on the engine's own thread.
//!
//! It ends when the engine's handle is dropped; what is then unfinished fails.

use crate::pages::PagePool;
use crate::sampler::Sampler;
use crate::scheduler::{Schedule, Scheduler, Sequences, num_logit_rows};
use crate::sequence::Sequence;
use crate::stats::{Stats, StatsCell};
use model::{Batch, LanguageModel, ModelError, Output};
use std::sync::mpsc::{Receiver, TryRecvError};

/// All that the engine thread owns.
pub(crate) struct Steps {
    pub(crate) inbox: Receiver<Sequence>,
    pub(crate) model: Box<dyn LanguageModel>,
    pub(crate) scheduler: Scheduler,
    pub(crate) sequences: Sequences,
    pub(crate) pool: PagePool,
    pub(crate) sampler: Sampler,
    pub(crate) stats: Stats,
    pub(crate) shown_stats: StatsCell,
}

impl Steps {
    /// Runs until the inbox is closed.
    pub(crate) fn run(mut self) {
        while self.admit() {
            self.step();
        }
    }

    fn step(&mut self) {
        let cancelled = self
            .sequences
            .take_out(&mut self.pool, Sequence::is_cancelled);
        self.stats.num_cancelled += cancelled.len() as u64;
        let Schedule {
            batch,
            num_preempted,
        } = self.scheduler.schedule(&mut self.sequences, &mut self.pool);
        self.stats.num_preempted += num_preempted as u64;
        if !batch.sequences.is_empty() {
            match self.model.forward(&batch) {
                Ok(output) => self.commit(&batch, &output),
                Err(error) => self.fail(&error),
            }
        }
        let done = self.sequences.take_out(&mut self.pool, Sequence::is_done);
        self.show_stats();
        // Last events are told when everything is given back and counted.
        drop((cancelled, done));
    }

    /// Takes in what has arrived; waits if there is nothing to do. False: the engine's handle is gone.
    fn admit(&mut self) -> bool {
        if self.sequences.is_empty() {
            match self.inbox.recv() {
                Ok(sequence) => self.sequences.waiting.push_back(sequence),
                Err(_) => return false,
            }
        }
        loop {
            match self.inbox.try_recv() {
                Ok(sequence) => self.sequences.waiting.push_back(sequence),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Hands each sequence its rows of logits.
    fn commit(&mut self, batch: &Batch, output: &Output) {
        let vocab_size = self.model.vocab_size();
        let num_logits = batch.sequences.iter().map(num_logit_rows).sum::<usize>() * vocab_size;
        assert_eq!(
            output.logits.len(),
            num_logits,
            "logits: [rows that asked for them, vocab_size]"
        );
        let mut rest = output.logits.as_slice();
        for (part, sequence) in batch.sequences.iter().zip(&mut self.sequences.running) {
            let (logits, after) = rest.split_at(num_logit_rows(part) * vocab_size);
            rest = after;
            sequence.commit(part, logits, vocab_size, &mut self.sampler);
            sequence.register_pages(&mut self.pool);
        }
        self.stats.num_steps += 1;
        self.stats.num_rows += batch.num_rows() as u64;
        self.stats.num_distinct_experts += output.distinct_experts as u64;
    }

    /// A failed step ends the sequences that were in it, not the engine.
    fn fail(&mut self, error: &ModelError) {
        self.stats.num_failed_steps += 1;
        for sequence in &mut self.sequences.running {
            sequence.fail(error.to_string());
        }
    }

    fn show_stats(&mut self) {
        self.stats.num_running = self.sequences.running.len();
        self.stats.num_waiting = self.sequences.waiting.len();
        self.stats.num_free_pages = self.pool.num_free();
        self.shown_stats.show(self.stats);
    }
}
