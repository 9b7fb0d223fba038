//! A request inside the engine: its tokens, how far they are computed, the pages that hold them and who listens.
//!
//! It knows nothing of other sequences.

use crate::constraint::{Constraint, ConstraintError};
use crate::error::EngineError;
use crate::events::{Event, EventSink, FinishReason, PromptLogprobs, Usage};
use crate::logprobs::{logprobs, top_logprobs};
use crate::pages::{PageContent, PagePool, PageRows, PrefixId, SharedPrefix};
use crate::random::{fresh_seed, uniform};
use crate::request::{EmbeddingSpan, GenerateRequest, Limits, PromptScore, SamplingParams};
use crate::sampler::{Sampler, TokenHistory};
use model::{BatchSequence, LogitRows, PAGE_SIZE, RowInput};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A place among the requests that the engine accepts at once. Dropping it gives the place back.
pub(crate) struct Ticket(Arc<AtomicUsize>);

impl Ticket {
    /// Takes a place if fewer than `max` are taken.
    pub(crate) fn take(taken: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < max).then_some(n + 1)
            })
            .ok()
            .map(|_| Self(Arc::clone(taken)))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One request on its way. Dropping it tells its last event, so that no listener waits in vain.
pub(crate) struct Sequence {
    /// The prompt, then what was generated.
    tokens: Vec<u32>,
    num_prompt: usize,
    max_tokens: usize,
    embeddings: Vec<EmbeddingSpan>,
    stop_tokens: Vec<u32>,
    sampling: SamplingParams,
    seed: u64,
    choice_index: u32,
    history: TokenHistory,
    constraint: Option<Box<dyn Constraint>>,
    /// The prompt's log-probabilities, while they are being computed.
    score: Option<(PromptScore, PromptLogprobs)>,

    /// Tokens whose cache rows are computed, if it has pages.
    num_computed: usize,
    /// Tokens of the prompt whose rows were found in the cache when the sequence was first admitted.
    num_cached: Option<usize>,
    /// The page table.
    pages: Vec<u32>,
    /// How many of the pages are registered for reuse.
    num_registered: usize,
    /// The prefix that these make.
    prefix: PrefixId,

    sink: Box<dyn EventSink>,
    ticket: Option<Ticket>,
    /// The last event, once the sequence is done.
    last: Option<Event>,
}

impl Sequence {
    /// Checks a request and makes it a sequence.
    pub(crate) fn new(
        request: GenerateRequest,
        limits: &Limits,
        sink: Box<dyn EventSink>,
        ticket: Ticket,
    ) -> Result<Self, EngineError> {
        let max_tokens = limits.check(&request)?;
        let num_prompt = request.prompt.len();
        let score = request.prompt_score.map(|score| {
            let tokens = vec![None; num_prompt];
            let next_top = Vec::new();
            (score, PromptLogprobs { tokens, next_top })
        });
        Ok(Self {
            num_prompt,
            max_tokens,
            seed: request.sampling.seed.unwrap_or_else(fresh_seed),
            history: TokenHistory::new(&request.prompt),
            score,
            tokens: request.prompt,
            embeddings: request.embeddings,
            stop_tokens: request.stop_tokens,
            sampling: request.sampling,
            choice_index: request.choice_index,
            constraint: request.constraint,
            num_computed: 0,
            num_cached: None,
            pages: Vec::new(),
            num_registered: 0,
            prefix: PrefixId::EMPTY,
            sink,
            ticket: Some(ticket),
            last: None,
        })
    }

    /// Whether nobody listens any more.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.sink.is_closed()
    }

    /// Whether there is nothing left to do.
    pub(crate) fn is_done(&self) -> bool {
        self.last.is_some()
    }

    /// Tokens of the prompt found in the cache.
    pub(crate) fn num_cached(&self) -> usize {
        self.num_cached.unwrap_or(0)
    }

    /// Takes pages for all its tokens, sharing those that hold a prefix of them, if at least `spare` free ones are left
    /// then. A sequence that runs owns pages for all its tokens.
    pub(crate) fn claim_pages(&mut self, pool: &mut PagePool, spare: usize, share: bool) -> bool {
        let num_needed = self.tokens.len().div_ceil(PAGE_SIZE);
        // The last token is computed in any case, for its logits; a prompt that is scored, every token.
        let num_shareable = match share && self.score.is_none() {
            true => (self.tokens.len() - 1) / PAGE_SIZE,
            false => 0,
        };
        let full_pages = (0..num_shareable).map(|index| self.page_content(index));
        let SharedPrefix { mut pages, id } = pool.share(full_pages);
        if num_needed - pages.len() + spare > pool.num_free() {
            pool.release(pages);
            return false;
        }
        self.num_registered = pages.len();
        self.num_computed = pages.len() * PAGE_SIZE;
        if self.num_cached.is_none() {
            let cached_tokens = self.num_computed.min(self.num_prompt);
            self.num_cached = Some(cached_tokens);
            self.sink.send(Event::Started { cached_tokens });
        }
        self.prefix = id;
        pages.extend((pages.len()..num_needed).map_while(|_| pool.allocate()));
        self.pages = pages;
        true
    }

    /// Takes a page for the newest token if it needs one. False: there is none.
    pub(crate) fn grow(&mut self, pool: &mut PagePool) -> bool {
        while self.pages.len() * PAGE_SIZE < self.tokens.len() {
            match pool.allocate() {
                Some(page) => self.pages.push(page),
                None => return false,
            }
        }
        true
    }

    /// Gives all pages back. What was computed is lost with them: [`Sequence::claim_pages`] says what to start from.
    pub(crate) fn release_pages(&mut self, pool: &mut PagePool) {
        pool.release(std::mem::take(&mut self.pages));
    }

    /// Offers the pages that have become full to later sequences.
    pub(crate) fn register_pages(&mut self, pool: &mut PagePool) {
        for index in self.num_registered..self.num_computed / PAGE_SIZE {
            let content = self.page_content(index);
            self.prefix = pool.register(self.pages[index], self.prefix, content);
            self.num_registered += 1;
        }
    }

    /// What its full page of that index is computed from.
    fn page_content(&self, index: usize) -> PageContent {
        let page = index * PAGE_SIZE..(index + 1) * PAGE_SIZE;
        let ends_before = |span: &EmbeddingSpan| span.first + span.count <= page.start;
        let rows = self.embeddings[self.embeddings.partition_point(ends_before)..]
            .iter()
            .take_while(|span| span.first < page.end)
            .map(|span| {
                let first = span.first.max(page.start);
                PageRows {
                    slot: first - page.start,
                    count: (span.first + span.count).min(page.end) - first,
                    digest: span.source.digest,
                    first_row: span.first_row + (first - span.first),
                }
            })
            .collect();
        PageContent {
            tokens: self.tokens[page.clone()].into(),
            rows,
        }
    }

    /// Its part of the next step: at most so many rows, and so many of logits; embedding rows are added to `embeddings`.
    pub(crate) fn next_part(
        &self,
        max_rows: usize,
        max_logit_rows: usize,
        hidden_size: usize,
        embeddings: &mut Vec<f32>,
    ) -> BatchSequence {
        let outstanding = self.tokens.len() - self.num_computed;
        let (num_rows, logits) = match &self.score {
            Some(_) => (
                outstanding.min(max_rows).min(max_logit_rows),
                LogitRows::All,
            ),
            None if outstanding <= max_rows => (outstanding, LogitRows::Last),
            None => (max_rows, LogitRows::None),
        };
        let first_position = self.num_computed;
        BatchSequence {
            inputs: (first_position..first_position + num_rows)
                .map(|position| self.input(position, hidden_size, embeddings))
                .collect(),
            first_position,
            pages: self.pages.clone(),
            adapter: None,
            logits,
            hidden: false,
        }
    }

    fn input(&self, position: usize, hidden_size: usize, embeddings: &mut Vec<f32>) -> RowInput {
        let next = self
            .embeddings
            .partition_point(|span| span.first <= position);
        if let Some(span) = next.checked_sub(1).map(|i| &self.embeddings[i])
            && position < span.first + span.count
        {
            let index = embeddings.len() / hidden_size;
            let row = span.first_row + (position - span.first);
            embeddings.extend_from_slice(&span.source.rows[row * hidden_size..][..hidden_size]);
            return RowInput::Embedding(index as u32);
        }
        RowInput::Token(self.tokens[position])
    }

    /// Takes the results of its part of a step: scores the prompt, or appends the next token.
    ///
    /// Shapes: `logits: [rows that asked for logits, vocab_size]`.
    pub(crate) fn commit(
        &mut self,
        part: &BatchSequence,
        logits: &[f32],
        vocab_size: usize,
        sampler: &mut Sampler,
    ) {
        self.num_computed += part.inputs.len();
        for (position, row) in part.positions().zip(logits.chunks_exact(vocab_size)) {
            self.score_row(position, row);
        }
        if self.num_computed < self.tokens.len() {
            return;
        }
        if let Some((_, logprobs)) = self.score.take() {
            self.sink.send(Event::PromptLogprobs(logprobs));
        }
        if self.max_tokens == 0 {
            return self.finish(FinishReason::Length);
        }
        let row = &logits[logits.len() - vocab_size..];
        if let Err(error) = self.append(row, sampler) {
            self.fail(error.to_string());
        }
    }

    /// Notes what a prompt position's logits say of the token after it. Nothing, if the prompt is not being scored.
    fn score_row(&mut self, position: usize, row: &[f32]) {
        let Some((score, found)) = &mut self.score else {
            return;
        };
        match self.tokens.get(position + 1) {
            Some(&next) => found.tokens[position + 1] = Some(logprobs(row, next, score.top)),
            None => found.next_top = top_logprobs(row, score.next_top),
        }
    }

    /// Samples the next token, tells it, and ends the sequence if it is the last.
    fn append(&mut self, row: &[f32], sampler: &mut Sampler) -> Result<(), ConstraintError> {
        let draw = uniform(self.seed, self.choice_index, self.tokens.len() as u64);
        let constraint = self.constraint.as_deref_mut();
        let id = sampler.sample(row, &self.sampling, &self.history, constraint, draw)?;
        if let Some(constraint) = &mut self.constraint {
            constraint.commit(id)?;
        }
        self.tokens.push(id);
        self.history.push(id);
        let logprobs = self.sampling.logprobs.map(|top| logprobs(row, id, top));
        self.sink.send(Event::Token { id, logprobs });
        if self.stop_tokens.contains(&id) {
            self.finish(FinishReason::Stop);
        } else if self.num_generated() == self.max_tokens {
            self.finish(FinishReason::Length);
        }
        Ok(())
    }

    fn num_generated(&self) -> usize {
        self.tokens.len() - self.num_prompt
    }

    fn finish(&mut self, reason: FinishReason) {
        self.last = Some(Event::Finished {
            reason,
            usage: Usage {
                prompt_tokens: self.num_prompt,
                cached_tokens: self.num_cached(),
                generated_tokens: self.num_generated(),
            },
            seed: self.seed,
        });
    }

    /// Ends the sequence with an error.
    pub(crate) fn fail(&mut self, message: String) {
        self.last = Some(Event::Failed(message));
    }
}

impl Drop for Sequence {
    fn drop(&mut self) {
        // The place first: who hears the last event may hand in the next request.
        self.ticket = None;
        let stopped = || Event::Failed(EngineError::Stopped.to_string());
        let last = self.last.take().unwrap_or_else(stopped);
        self.sink.send(last);
    }
}
