//! Which sequences run, and how many rows each gets in a step.
//!
//! First come, first served, without a prefill mode: a sequence asks for `tokens - computed` rows and gets what the
//! step's budget allows. Every running sequence gets at least one row a step, so one that is generating never waits
//! for a prompt, and a step is never longer than its budget; what is left goes to the oldest first. When pages run
//! out, the youngest running sequence gives its own back and is computed again later, which nobody can see but by the
//! time it takes.
//!
//! It knows no model and no sampling. Results never depend on anything decided here.

use crate::pages::PagePool;
use crate::sequence::Sequence;
use model::{Batch, BatchSequence, LogitRows};
use std::collections::VecDeque;

/// The sequences of the engine, each list by arrival, all that wait younger than all that run.
#[derive(Default)]
pub(crate) struct Sequences {
    /// Those that hold pages; part `i` of a batch belongs to `running[i]`.
    pub(crate) running: Vec<Sequence>,
    /// Those that hold none.
    pub(crate) waiting: VecDeque<Sequence>,
}

impl Sequences {
    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// Takes out the sequences that `leaves` names, giving back their pages.
    pub(crate) fn take_out(
        &mut self,
        pool: &mut PagePool,
        leaves: impl Fn(&Sequence) -> bool,
    ) -> Vec<Sequence> {
        let mut out: Vec<Sequence> = self.running.extract_if(.., |s| leaves(s)).collect();
        for sequence in &mut out {
            sequence.release_pages(pool);
        }
        for _ in 0..self.waiting.len() {
            match self.waiting.pop_front() {
                Some(sequence) if leaves(&sequence) => out.push(sequence),
                Some(sequence) => self.waiting.push_back(sequence),
                None => break,
            }
        }
        out
    }
}

/// The limits on a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scheduler {
    /// Rows of a step at most.
    pub(crate) step_tokens: usize,
    /// Sequences of a step at most; no more than `step_tokens`.
    pub(crate) max_batch: usize,
    /// Rows of logits of a step at most; no fewer than `max_batch`.
    pub(crate) max_logit_rows: usize,
    /// Width of an embedding row.
    pub(crate) hidden_size: usize,
    /// Whether sequences share the pages of common prefixes.
    pub(crate) prefix_reuse: bool,
}

/// The next step's work, and what it took to find room for it.
pub(crate) struct Schedule {
    pub(crate) batch: Batch,
    pub(crate) num_preempted: usize,
}

impl Scheduler {
    /// Chooses the next step's work. Empty only if there are no sequences.
    pub(crate) fn schedule(&self, sequences: &mut Sequences, pool: &mut PagePool) -> Schedule {
        let num_preempted = make_room(sequences, pool);
        self.admit(sequences, pool);
        Schedule {
            batch: self.share_rows(&sequences.running),
            num_preempted,
        }
    }

    /// Lets waiting sequences run, in order, while there is room for all their tokens and one page more for each that
    /// runs already. A sequence alone always has room: requests that could never fit are refused.
    fn admit(&self, sequences: &mut Sequences, pool: &mut PagePool) {
        while sequences.running.len() < self.max_batch {
            let Some(mut next) = sequences.waiting.pop_front() else {
                break;
            };
            if !next.claim_pages(pool, sequences.running.len(), self.prefix_reuse) {
                sequences.waiting.push_front(next);
                break;
            }
            sequences.running.push(next);
        }
    }

    fn share_rows(&self, running: &[Sequence]) -> Batch {
        let mut batch = Batch::default();
        let (mut rows, mut logit_rows) = (self.step_tokens, self.max_logit_rows);
        for (index, sequence) in running.iter().enumerate() {
            let num_behind = running.len() - 1 - index;
            let part = sequence.next_part(
                rows - num_behind,
                logit_rows - num_behind,
                self.hidden_size,
                &mut batch.embeddings,
            );
            rows -= part.inputs.len();
            logit_rows -= num_logit_rows(&part);
            batch.sequences.push(part);
        }
        batch
    }
}

/// Gives every running sequence the page its newest token needs, at the cost of the youngest ones.
fn make_room(sequences: &mut Sequences, pool: &mut PagePool) -> usize {
    let mut num_preempted = 0;
    let mut index = 0;
    while index < sequences.running.len() {
        if sequences.running[index].grow(pool) {
            index += 1;
        } else if let Some(mut youngest) = sequences.running.pop() {
            youngest.release_pages(pool);
            sequences.waiting.push_front(youngest);
            num_preempted += 1;
        }
    }
    num_preempted
}

/// Rows of logits that a part asks for.
pub(crate) fn num_logit_rows(part: &BatchSequence) -> usize {
    match part.logits {
        LogitRows::None => 0,
        LogitRows::Last => 1,
        LogitRows::All => part.inputs.len(),
    }
}
