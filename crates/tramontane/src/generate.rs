//! One reply: from a prompt to deltas as they come, with stop strings, and what it cost at the end.

use crate::grammar::Grammar;
use crate::interrupt::Interrupt;
use crate::words::{Reader, Words};
use anyhow::{Result, bail};
use chat::Prompt;
use chat::format::parse::{Delta, Reply};
use chat::stop::StopMatcher;
use engine::{
    Constraint, Engine, Event, EventStream, FinishReason, GenerateRequest, SamplingParams, Usage,
};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// How often a waiting reply looks whether it was interrupted.
const PATIENCE: Duration = Duration::from_millis(50);

/// How a reply is generated.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How tokens are drawn.
    pub sampling: SamplingParams,
    /// Tokens at most.
    pub max_tokens: Option<usize>,
    /// Texts the reply stops before.
    pub stop: Vec<String>,
    /// Take everything for content: no thinking, no tool calls.
    pub raw: bool,
}

/// What a reply cost.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Tokens.
    pub usage: Usage,
    /// Until the first token.
    pub first_token: Duration,
    /// From the first token to the last.
    pub decoding: Duration,
    /// The seed of its draws.
    pub seed: u64,
    /// Why it ended: `stop`, `length`, `stop string` or `interrupted`.
    pub ended: &'static str,
}

/// Generates the reply to `prompt`, held to `grammar`; `show` sees each delta as it comes.
pub fn reply(
    engine: &Engine,
    words: &Words,
    prompt: &Prompt,
    grammar: Option<Grammar>,
    settings: &Settings,
    interrupt: &Interrupt,
    mut show: impl FnMut(&Delta) -> Result<()>,
) -> Result<(Reply, Cost)> {
    // Drawn here, not by the engine, because the ids of tool calls come from it too.
    let seed = settings.sampling.seed.unwrap_or_else(engine::fresh_seed);
    let stop_tokens = words.stop_tokens();
    let request = GenerateRequest {
        max_tokens: settings.max_tokens,
        stop_tokens: stop_tokens.clone(),
        constraint: grammar.map(|grammar| Box::new(grammar) as Box<dyn Constraint>),
        sampling: SamplingParams {
            seed: Some(seed),
            ..settings.sampling.clone()
        },
        ..GenerateRequest::new(prompt.ids.clone())
    };
    let mut collected = Collector {
        reader: words.reader(prompt, settings.raw, seed),
        stop: StopMatcher::new(&settings.stop)?,
        stop_tokens,
        reply: Reply::from_deltas([]),
        usage: Usage {
            prompt_tokens: prompt.ids.len(),
            ..Usage::default()
        },
        first_token: None,
    };
    let start = Instant::now();
    let ended = collected.listen(engine.submit(request)?, interrupt, &mut show)?;
    collected.finish(&mut show)?;
    let first = collected.first_token.unwrap_or_else(Instant::now);
    let cost = Cost {
        usage: collected.usage,
        first_token: first - start,
        decoding: first.elapsed(),
        seed,
        ended,
    };
    Ok((collected.reply, cost))
}

/// Turns ids into deltas, cuts content at stop strings, and keeps the whole.
struct Collector<'a> {
    reader: Reader<'a>,
    stop: StopMatcher,
    stop_tokens: Vec<u32>,
    reply: Reply,
    usage: Usage,
    first_token: Option<Instant>,
}

impl Collector<'_> {
    /// Takes tokens until the reply ends, and says why it did. Dropping the events cancels what is left of it.
    fn listen(
        &mut self,
        events: EventStream,
        interrupt: &Interrupt,
        show: &mut impl FnMut(&Delta) -> Result<()>,
    ) -> Result<&'static str> {
        loop {
            if interrupt.requested() {
                return Ok("interrupted");
            }
            match events.recv_timeout(PATIENCE) {
                Err(RecvTimeoutError::Timeout) | Ok(Event::PromptLogprobs(_)) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the engine ended before the reply did")
                }
                Ok(Event::Failed(what)) => bail!(what),
                Ok(Event::Token { id, .. }) => {
                    self.first_token.get_or_insert_with(Instant::now);
                    self.usage.generated_tokens += 1;
                    if self.token(id, show)? {
                        return Ok("stop string");
                    }
                }
                Ok(Event::Finished { reason, usage, .. }) => {
                    self.usage = usage;
                    return Ok(match reason {
                        FinishReason::Stop => "stop",
                        FinishReason::Length => "length",
                    });
                }
            }
        }
    }

    /// Takes a token; true if a stop string ended the reply.
    fn token(&mut self, id: u32, show: &mut impl FnMut(&Delta) -> Result<()>) -> Result<bool> {
        if self.stop_tokens.contains(&id) {
            return Ok(false);
        }
        for delta in self.reader.push(id) {
            if self.delta(delta, show)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn delta(&mut self, delta: Delta, show: &mut impl FnMut(&Delta) -> Result<()>) -> Result<bool> {
        let Delta::Content(text) = delta else {
            self.keep(delta, show)?;
            return Ok(false);
        };
        let released = self.stop.push(&text);
        self.keep(Delta::Content(released.text), show)?;
        Ok(released.stopped_by.is_some())
    }

    fn keep(&mut self, delta: Delta, show: &mut impl FnMut(&Delta) -> Result<()>) -> Result<()> {
        if delta == Delta::Content(String::new()) {
            return Ok(());
        }
        self.reply.apply(&delta);
        show(&delta)
    }

    /// The end: what the reader and the matcher still hold.
    fn finish(&mut self, show: &mut impl FnMut(&Delta) -> Result<()>) -> Result<()> {
        if self.stop.stopped_by().is_some() {
            return Ok(());
        }
        for delta in self.reader.finish() {
            if self.delta(delta, show)? {
                return Ok(());
            }
        }
        let held = self.stop.finish();
        self.keep(Delta::Content(held), show)
    }
}
