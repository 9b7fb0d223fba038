//! A toy model that finds every mistake in bookkeeping, and what tests of the engine share.
//!
//! Each slot of its paged cache holds an input, its position and the hash of everything up to it. A row of logits is a
//! function of that hash, which is read back through the page table and checked link by link: a wrong page, slot,
//! position or order, or a page that another sequence has overwritten, is an error or another token.

use engine::{
    EmbeddingSpan, Embeddings, Engine, EngineConfig, Event, EventStream, GenerateRequest, KvMemory,
    SamplingParams, Stats, TokenLogprobs, Usage,
};
use model::{
    Batch, BatchSequence, LanguageModel, LogitRows, ModelError, Output, PAGE_SIZE, RowInput,
};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const VOCAB: usize = 50;
pub const HIDDEN: usize = 3;

/// SplitMix64's finaliser over two words.
pub fn hash(a: u64, b: u64) -> u64 {
    let mut z = (a ^ 0x9e37_79b9_7f4a_7c15)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9)
        .wrapping_add(b);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The hash of nothing.
const START: u64 = 17;

pub fn token_input(token: u32) -> u64 {
    u64::from(token)
}

pub fn embedding_input(row: &[f32]) -> u64 {
    row.iter().fold(99, |h, v| hash(h, u64::from(v.to_bits())))
}

/// The logits after inputs with this hash: between -4 and 4.
fn logits_of(state: u64) -> impl Iterator<Item = f32> {
    (0..VOCAB as u64).map(move |id| (hash(state, id) >> 40) as f32 / (1u64 << 21) as f32 - 4.0)
}

/// The logits that follow these inputs, computed directly.
pub fn logits_after(inputs: impl IntoIterator<Item = u64>) -> Vec<f32> {
    logits_of(inputs.into_iter().fold(START, hash)).collect()
}

/// The greedy continuation, computed directly.
pub fn greedy(prompt: &[u32], num: usize) -> Vec<u32> {
    let mut tokens = prompt.to_vec();
    for _ in 0..num {
        let logits = logits_after(tokens.iter().map(|&t| token_input(t)));
        let best = (0..VOCAB)
            .rev()
            .max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        tokens.push(best.unwrap() as u32);
    }
    tokens.split_off(prompt.len())
}

#[derive(Clone, Copy)]
struct Slot {
    input: u64,
    position: usize,
    state: u64,
}

/// What a step was asked for: per sequence, its first position, rows, and which want logits.
pub type StepLog = Vec<(usize, usize, LogitRows)>;

pub struct ToyModel {
    pub max_context: usize,
    /// If given, each step waits for a word: whether to succeed. A closed channel lets all steps succeed.
    gate: Option<Receiver<bool>>,
    log: Arc<Mutex<Vec<StepLog>>>,
    cache: Vec<Option<Slot>>,
}

impl ToyModel {
    pub fn new(max_context: usize) -> Self {
        Self {
            max_context,
            gate: None,
            log: Arc::default(),
            cache: Vec::new(),
        }
    }

    pub fn gate(&mut self) -> Sender<bool> {
        let (sender, receiver) = channel();
        self.gate = Some(receiver);
        sender
    }

    pub fn log(&self) -> Arc<Mutex<Vec<StepLog>>> {
        Arc::clone(&self.log)
    }

    /// The hash of inputs up to a position, checked from the first one on.
    fn read(&self, part: &BatchSequence, num: usize) -> Result<u64, ModelError> {
        let mut state = START;
        for position in 0..num {
            let page = *part
                .pages
                .get(position / PAGE_SIZE)
                .ok_or_else(|| wrong("page table", position))?;
            let slot = self.cache[page as usize * PAGE_SIZE + position % PAGE_SIZE];
            let slot = slot.ok_or_else(|| wrong("unwritten slot", position))?;
            state = hash(state, slot.input);
            if slot.position != position || slot.state != state {
                return Err(wrong("foreign slot", position));
            }
        }
        Ok(state)
    }

    fn run(
        &mut self,
        part: &BatchSequence,
        embeddings: &[f32],
        output: &mut Output,
    ) -> Result<(), ModelError> {
        assert!(!part.inputs.is_empty(), "a part without rows");
        let mut state = self.read(part, part.first_position)?;
        for (i, (&input, slot)) in part.inputs.iter().zip(part.slots()).enumerate() {
            let position = part.first_position + i;
            if position >= self.max_context {
                return Err(wrong("context", position));
            }
            let input = match input {
                RowInput::Token(token) => token_input(token),
                RowInput::Embedding(index) => embedding_input(
                    &embeddings[index as usize * HIDDEN..(index as usize + 1) * HIDDEN],
                ),
            };
            state = hash(state, input);
            self.cache[slot as usize] = Some(Slot {
                input,
                position,
                state,
            });
            let wanted = match part.logits {
                LogitRows::None => false,
                LogitRows::Last => i + 1 == part.inputs.len(),
                LogitRows::All => true,
            };
            if wanted {
                output
                    .logits
                    .extend(logits_of(self.read(part, position + 1)?));
            }
        }
        Ok(())
    }
}

fn wrong(what: &str, position: usize) -> ModelError {
    ModelError::Step(format!("toy: {what} at position {position}"))
}

impl LanguageModel for ToyModel {
    fn vocab_size(&self) -> usize {
        VOCAB
    }

    fn hidden_size(&self) -> usize {
        HIDDEN
    }

    fn max_context(&self) -> usize {
        self.max_context
    }

    fn page_bytes(&self) -> usize {
        1000
    }

    fn reserve_pages(&mut self, num_pages: usize) {
        self.cache = vec![None; num_pages * PAGE_SIZE];
    }

    fn forward(&mut self, batch: &Batch) -> Result<Output, ModelError> {
        let parts = batch.sequences.iter();
        let step = parts
            .map(|s| (s.first_position, s.inputs.len(), s.logits))
            .collect();
        self.log.lock().unwrap().push(step);
        let succeed = self
            .gate
            .as_ref()
            .is_none_or(|gate| gate.recv().unwrap_or(true));
        let mut output = Output::default();
        for part in &batch.sequences {
            self.run(part, &batch.embeddings, &mut output)?;
        }
        // All were computed one after the other; had two written the same slot, one of them shows it now.
        for part in &batch.sequences {
            self.read(part, part.positions().end)?;
        }
        if succeed {
            Ok(output)
        } else {
            Err(ModelError::Step("toy: told to fail".to_owned()))
        }
    }
}

/// What a request was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub tokens: Vec<u32>,
    pub logprobs: Vec<TokenLogprobs>,
    pub prompt: Option<engine::PromptLogprobs>,
    pub last: Event,
}

impl Reply {
    pub fn usage(&self) -> Usage {
        match &self.last {
            Event::Finished { usage, .. } => *usage,
            other => panic!("{other:?}"),
        }
    }
}

/// Reads a stream to its end, checking the order of its events.
pub fn collect(mut stream: EventStream) -> Reply {
    let (mut tokens, mut logprobs_of, mut prompt) = (Vec::new(), Vec::new(), None);
    let mut cached = None;
    while let Some(event) = stream.next() {
        match event {
            Event::Started { cached_tokens } => {
                assert_eq!(cached.replace(cached_tokens), None, "started twice");
                assert!(tokens.is_empty() && prompt.is_none());
            }
            Event::Token { id, logprobs } => {
                tokens.push(id);
                logprobs_of.extend(logprobs);
            }
            Event::PromptLogprobs(found) => {
                assert!(tokens.is_empty() && prompt.is_none());
                prompt = Some(found);
            }
            last => {
                assert_eq!(stream.next(), None, "an event after the last one");
                if let Event::Finished { usage, .. } = &last {
                    assert!(cached.is_none_or(|cached| cached == usage.cached_tokens));
                }
                return Reply {
                    tokens,
                    logprobs: logprobs_of,
                    prompt,
                    last,
                };
            }
        }
    }
    panic!("the stream ended without a last event");
}

/// A random prompt of tokens below the vocabulary's size.
pub fn prompt(seed: u64, len: usize) -> Vec<u32> {
    (0..len as u64)
        .map(|i| (hash(seed, i) % VOCAB as u64) as u32)
        .collect()
}

pub fn greedy_request(prompt: Vec<u32>, max_tokens: usize) -> GenerateRequest {
    GenerateRequest {
        max_tokens: Some(max_tokens),
        sampling: SamplingParams {
            temperature: 0.0,
            ..SamplingParams::default()
        },
        ..GenerateRequest::new(prompt)
    }
}

pub fn start(model: ToyModel, config: EngineConfig) -> Engine {
    Engine::start(Box::new(model), config).unwrap()
}

pub fn pages(n: usize) -> EngineConfig {
    EngineConfig {
        kv_memory: KvMemory::Pages(n),
        ..EngineConfig::default()
    }
}

/// Waits until the engine's thread has nothing to do and returns its stats.
pub fn idle(engine: &Engine) -> Stats {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let stats = engine.stats();
        if stats.num_running + stats.num_waiting == 0 && stats.num_free_pages == stats.num_pages {
            return stats;
        }
        assert!(Instant::now() < deadline, "never idle: {stats:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Rows of the given values from token `first` on, as computed from something that `digest` stands for.
pub fn span(first: usize, digest: u8, rows: Vec<f32>) -> EmbeddingSpan {
    EmbeddingSpan {
        first,
        count: rows.len() / HIDDEN,
        first_row: 0,
        source: Arc::new(Embeddings {
            digest: [digest; 32],
            rows,
        }),
    }
}
