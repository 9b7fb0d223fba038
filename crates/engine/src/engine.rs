//! The handle by which others hold the engine: start it, hand in requests, drop it.

use crate::error::EngineError;
use crate::events::{EventSink, EventStream, event_channel};
use crate::pages::{PageOrder, PagePool};
use crate::request::{GenerateRequest, Limits};
use crate::sampler::Sampler;
use crate::scheduler::{Scheduler, Sequences};
use crate::sequence::{Sequence, Ticket};
use crate::stats::{Stats, StatsCell};
use crate::step::Steps;
use model::{LanguageModel, PAGE_SIZE};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

/// Memory for the KV cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvMemory {
    /// So many pages.
    Pages(usize),
    /// As many pages as fit into so many bytes.
    Bytes(usize),
}

/// How the engine shares the machine among requests. None of it changes what a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Sequences in a step at most (and never more than `step_tokens`).
    pub max_batch: usize,
    /// Rows in a step at most: long prompts are computed in parts of this size.
    pub step_tokens: usize,
    /// Memory for the KV cache.
    pub kv_memory: KvMemory,
    /// Requests beyond `max_batch` that may wait; more are refused.
    pub max_queue: usize,
    /// Tokens of prompt and reply together; none, or more than the model's: the model's.
    pub max_context: Option<usize>,
    /// Bytes of logits in a step at most, where whole prompts are scored (at least a row a sequence).
    pub logits_bytes: usize,
    /// Whether requests share the cache pages of common prefixes.
    pub prefix_reuse: bool,
    /// In which order cache pages are handed out.
    pub page_order: PageOrder,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            max_batch: 16,
            step_tokens: 512,
            kv_memory: KvMemory::Bytes(1 << 30),
            max_queue: 256,
            max_context: None,
            logits_bytes: 64 << 20,
            prefix_reuse: true,
            page_order: PageOrder::Sequential,
        }
    }
}

/// A running engine. It can be shared between threads; dropping it ends the engine's thread within one step, and what
/// is then unfinished fails.
pub struct Engine {
    inbox: Option<Sender<Sequence>>,
    thread: Option<JoinHandle<()>>,
    limits: Limits,
    num_requests: Arc<AtomicUsize>,
    max_requests: usize,
    stats: StatsCell,
}

impl Engine {
    /// Sets aside the cache and starts the engine's thread.
    ///
    /// Errors: a limit of 0, memory for less than one page or more pages than can be addressed, no thread to be had.
    pub fn start(
        mut model: Box<dyn LanguageModel>,
        config: EngineConfig,
    ) -> Result<Self, EngineError> {
        for (value, name) in [
            (config.max_batch, "max_batch"),
            (config.step_tokens, "step_tokens"),
            (config.max_context.unwrap_or(1), "max_context"),
        ] {
            if value == 0 {
                return Err(EngineError::Config(format!(
                    "expected {name} to be at least 1, got 0"
                )));
            }
        }
        let num_pages = num_pages(config.kv_memory, model.page_bytes())?;
        let limits = Limits {
            vocab_size: model.vocab_size(),
            hidden_size: model.hidden_size(),
            max_context: config
                .max_context
                .unwrap_or(usize::MAX)
                .min(model.max_context()),
            num_pages: num_pages as usize,
        };
        let max_batch = config.max_batch.min(config.step_tokens);
        let stats = Stats {
            num_pages: limits.num_pages,
            num_free_pages: limits.num_pages,
            ..Stats::default()
        };
        let shown_stats = StatsCell::new(stats);
        model.reserve_pages(limits.num_pages);
        let (sender, inbox) = channel();
        let steps = Steps {
            inbox,
            model,
            scheduler: Scheduler {
                step_tokens: config.step_tokens,
                max_batch,
                max_logit_rows: (config.logits_bytes / (limits.vocab_size * size_of::<f32>()))
                    .max(max_batch),
                hidden_size: limits.hidden_size,
                prefix_reuse: config.prefix_reuse,
            },
            sequences: Sequences::default(),
            pool: PagePool::new(num_pages, config.page_order),
            sampler: Sampler::new(limits.vocab_size),
            stats,
            shown_stats: shown_stats.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || steps.run())
            .map_err(|e| {
                EngineError::Config(format!("the engine's thread cannot be started: {e}"))
            })?;
        Ok(Self {
            inbox: Some(sender),
            thread: Some(thread),
            limits,
            num_requests: Arc::new(AtomicUsize::new(0)),
            max_requests: max_batch.saturating_add(config.max_queue),
            stats: shown_stats,
        })
    }

    /// Hands in a request. Its events come out of the stream; dropping the stream cancels it.
    ///
    /// Errors: the request is not well formed or could never fit, too many are waiting, the engine has stopped.
    pub fn submit(&self, request: GenerateRequest) -> Result<EventStream, EngineError> {
        let (sink, stream) = event_channel();
        self.submit_to(request, sink)?;
        Ok(stream)
    }

    /// Hands in a request whose events go to a sink of the caller's, such as an async channel's sender.
    ///
    /// Errors: as for [`Engine::submit`]; a request that is refused has no events.
    pub fn submit_to(
        &self,
        request: GenerateRequest,
        sink: Box<dyn EventSink>,
    ) -> Result<(), EngineError> {
        let ticket =
            Ticket::take(&self.num_requests, self.max_requests).ok_or(EngineError::QueueFull {
                max_requests: self.max_requests,
            })?;
        let sequence = Sequence::new(request, &self.limits, sink, ticket)?;
        let inbox = self.inbox.as_ref().ok_or(EngineError::Stopped)?;
        inbox.send(sequence).map_err(|_| EngineError::Stopped)
    }

    /// Tokens of prompt and reply together that a request may have.
    pub fn max_context(&self) -> usize {
        self.limits
            .max_context
            .min(self.limits.num_pages * PAGE_SIZE + 1)
    }

    /// The engine's state and counters.
    pub fn stats(&self) -> Stats {
        self.stats.get()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been told on stderr, and every request of it has failed.
            let _ = thread.join();
        }
    }
}

/// Slots are numbered in 32 bits.
fn num_pages(memory: KvMemory, page_bytes: usize) -> Result<u32, EngineError> {
    let num_pages = match memory {
        KvMemory::Pages(n) => n,
        KvMemory::Bytes(bytes) => bytes / page_bytes.max(1),
    };
    let max = u32::MAX as usize / PAGE_SIZE;
    if num_pages == 0 || num_pages > max {
        return Err(EngineError::Config(format!(
            "{memory:?} makes {num_pages} pages of {PAGE_SIZE} tokens and {page_bytes} bytes for the KV cache, expected 1 \
             to {max}; change the memory for it"
        )));
    }
    Ok(num_pages as u32)
}
