//! One reply: from a prompt to a request of the engine, and from the engine's events to what a listener is told.
//!
//! `run` and every endpoint share this path. What is told whole is the sum of what is told in pieces: [`Whole`] adds up
//! the same [`News`] that a stream sends on. Must not know: HTTP, terminals, or how news is shown.

use crate::grammar::Grammar;
use crate::vision::{Eyes, VisionError};
use crate::words::{Reader, Reading, Words};
use chat::format::parse::{Delta, FinishReason, Reply, TokenCounts};
use chat::stop::StopMatcher;
use chat::{ChatError, Prompt, TokenId};
use engine::{
    EmbeddingSpan, Event, GenerateRequest, PromptLogprobs, PromptScore, SamplingParams,
    TokenLogprobs, Usage,
};
use std::collections::VecDeque;

/// How a reply is generated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How tokens are drawn. Its seed is set: the ids of tool calls come from it too.
    pub sampling: SamplingParams,
    /// Tokens at most.
    pub max_tokens: Option<usize>,
    /// Texts the reply stops before.
    pub stop: Vec<String>,
    /// How its tokens are read.
    pub reading: Reading,
    /// Whether the model's own end tokens do not end it.
    pub ignore_end: bool,
    /// Log-probabilities of the prompt: of each token, and of so many of the likeliest.
    pub prompt_score: Option<usize>,
}

impl Settings {
    /// The seed of the reply's draws.
    pub fn seed(&self) -> u64 {
        self.sampling.seed.unwrap_or_default()
    }
}

/// The engine's request for the reply to `prompt`, which is the `choice`th reply that its sender asked for.
///
/// # Errors
/// A prompt with images, if there are no `eyes` or they cannot see them.
pub fn request(
    words: &Words,
    eyes: Option<&Eyes>,
    prompt: &Prompt,
    grammar: Option<&Grammar>,
    settings: &Settings,
    choice: u32,
) -> Result<GenerateRequest, VisionError> {
    Ok(GenerateRequest {
        embeddings: embeddings(eyes, prompt)?,
        max_tokens: settings.max_tokens,
        stop_tokens: stop_tokens(words, settings),
        constraint: grammar.map(Grammar::begin),
        sampling: settings.sampling.clone(),
        choice_index: choice,
        prompt_score: settings
            .prompt_score
            .map(|top| PromptScore { top, next_top: 0 }),
        ..GenerateRequest::new(prompt.ids.clone())
    })
}

fn stop_tokens(words: &Words, settings: &Settings) -> Vec<TokenId> {
    match settings.ignore_end {
        true => Vec::new(),
        false => words.stop_tokens(),
    }
}

/// The rows that stand for a prompt's images: the one place where pixels meet the model.
fn embeddings(eyes: Option<&Eyes>, prompt: &Prompt) -> Result<Vec<EmbeddingSpan>, VisionError> {
    match (eyes, prompt.images.first()) {
        (_, None) => Ok(Vec::new()),
        (Some(eyes), _) => eyes.see(prompt),
        (None, Some(image)) => Err(VisionError::Image(ChatError::UnsupportedTokenizerFeature(
            format!(
                "{}: an image, but this checkpoint has no vision tower; send text only",
                image.place()
            ),
        ))),
    }
}

/// What one event adds to what a listener knows of a reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// The reply has left the queue; so many tokens of its prompt were found in the cache.
    pub started: Option<usize>,
    /// The prompt's log-probabilities.
    pub scored: Option<PromptLogprobs>,
    /// Pieces of the reply.
    pub deltas: Vec<Delta>,
    /// Tokens whose text has been told, or which have none.
    pub tokens: Vec<Token>,
    /// The end.
    pub end: Option<End>,
}

/// A token of a reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Its log-probability and others', if asked for.
    pub logprobs: Option<TokenLogprobs>,
    /// Whether its text is content, and neither thought, nor a call, nor control.
    pub is_content: bool,
    /// Characters that it completed in the content.
    pub num_chars: usize,
}

/// How a reply ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// As it should.
    Done(Ending),
    /// It could not be continued.
    Failed(String),
}

/// How a reply ended, and what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// Why.
    pub reason: FinishReason,
    /// The stop string that ended it.
    pub stopped_by: Option<usize>,
    /// Tokens.
    pub usage: Usage,
    /// Where the generated ones went.
    pub counts: TokenCounts,
}

/// Turns one reply's events into news: reads ids, cuts content at stop strings, and says why it ended.
pub struct Teller<'a> {
    reader: Reader<'a>,
    stop: StopMatcher,
    stop_tokens: Vec<TokenId>,
    usage: Usage,
    /// Bytes of content that the reader has given, and how many of them passed the stop strings.
    read: usize,
    released: usize,
    /// Characters of content that the reader has given.
    num_chars: usize,
    /// Tokens whose text has not passed yet.
    held: VecDeque<Held>,
    num_calls: usize,
    ended: bool,
}

impl<'a> Teller<'a> {
    /// For the reply to `prompt`.
    ///
    /// # Errors
    /// An empty stop string.
    pub fn new(words: &'a Words, prompt: &Prompt, settings: &Settings) -> Result<Self, ChatError> {
        Ok(Self {
            reader: words.reader(prompt, settings.reading, settings.seed()),
            stop: StopMatcher::new(&settings.stop)?,
            stop_tokens: stop_tokens(words, settings),
            usage: Usage {
                prompt_tokens: prompt.ids.len(),
                ..Usage::default()
            },
            read: 0,
            released: 0,
            num_chars: 0,
            held: VecDeque::new(),
            num_calls: 0,
            ended: false,
        })
    }

    /// What `event` means to a listener. After news of the end there is none; whoever gets them drops the events.
    pub fn take(&mut self, event: Event) -> News {
        let mut news = News::default();
        if self.ended {
            return news;
        }
        match event {
            Event::Started { cached_tokens } => {
                self.usage.cached_tokens = cached_tokens;
                news.started = Some(cached_tokens);
            }
            Event::PromptLogprobs(scored) => news.scored = Some(scored),
            Event::Token { id, logprobs } => {
                self.usage.generated_tokens += 1;
                self.token(id, logprobs, &mut news);
            }
            Event::Finished { reason, usage, .. } => {
                self.usage = usage;
                let cut_off = reason == engine::FinishReason::Length;
                self.end(cut_off, &mut news);
            }
            Event::Failed(what) => {
                self.ended = true;
                news.end = Some(End::Failed(what));
            }
        }
        news
    }

    /// The end, because the listener wants no more: what is held back is told, nothing if the reply has ended already.
    pub fn cut(&mut self) -> News {
        let mut news = News::default();
        if !self.ended {
            self.end(true, &mut news);
        }
        news
    }

    fn token(&mut self, id: TokenId, logprobs: Option<TokenLogprobs>, news: &mut News) {
        let (content, start) = (self.reader.counts().content, self.read);
        let num_chars = self.num_chars;
        let deltas = match self.stop_tokens.contains(&id) {
            true => self.reader.push_end(id),
            false => self.reader.push(id),
        };
        self.deltas(deltas, news);
        let token = Token {
            id,
            logprobs,
            is_content: self.reader.counts().content > content,
            num_chars: self.num_chars - num_chars,
        };
        let end = self.read;
        self.held.push_back(Held { start, end, token });
        self.release(news);
        if self.stop.stopped_by().is_some() {
            self.end(false, news);
        }
    }

    fn deltas(&mut self, deltas: Vec<Delta>, news: &mut News) {
        for delta in deltas {
            let Delta::Content(text) = delta else {
                self.num_calls += usize::from(matches!(delta, Delta::ToolCallStart { .. }));
                news.deltas.push(delta);
                continue;
            };
            self.read += text.len();
            self.num_chars += text.chars().count();
            let released = self.stop.push(&text);
            self.content(released.text, news);
            if released.stopped_by.is_some() {
                return;
            }
        }
    }

    fn content(&mut self, text: String, news: &mut News) {
        self.released += text.len();
        if !text.is_empty() {
            news.deltas.push(Delta::Content(text));
        }
    }

    /// Lets go of the tokens whose text has passed; at a stop string, of all that begin before it.
    fn release(&mut self, news: &mut News) {
        let stopped = self.stop.stopped_by().is_some();
        let passes =
            |held: &Held| held.end <= self.released || (stopped && held.start < self.released);
        while self.held.front().is_some_and(passes) {
            news.tokens
                .extend(self.held.pop_front().map(|held| held.token));
        }
    }

    fn end(&mut self, cut_off: bool, news: &mut News) {
        if self.stop.stopped_by().is_none() {
            let deltas = self.reader.finish();
            self.deltas(deltas, news);
        }
        if self.stop.stopped_by().is_none() {
            let held = self.stop.finish();
            self.content(held, news);
        }
        self.release(news);
        self.ended = true;
        let cut_off = cut_off && self.stop.stopped_by().is_none();
        news.end = Some(End::Done(Ending {
            reason: FinishReason::of(cut_off, self.num_calls),
            stopped_by: self.stop.stopped_by(),
            usage: self.usage,
            counts: self.reader.counts(),
        }));
    }
}

/// A token, and from where to where its text reaches in the content, in bytes.
struct Held {
    start: usize,
    end: usize,
    token: Token,
}

/// A reply as the sum of its news.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whole {
    /// What it says.
    pub reply: Reply,
    /// The prompt's log-probabilities.
    pub scored: Option<PromptLogprobs>,
    /// Its tokens.
    pub tokens: Vec<Token>,
    /// How it ended; none while it has not.
    pub end: Option<End>,
}

impl Whole {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            reply: Reply::from_deltas([]),
            ..Self::default()
        }
    }

    /// Adds news.
    pub fn add(&mut self, news: News) {
        news.deltas.iter().for_each(|delta| self.reply.apply(delta));
        self.scored = self.scored.take().or(news.scored);
        self.tokens.extend(news.tokens);
        self.end = self.end.take().or(news.end);
    }
}
