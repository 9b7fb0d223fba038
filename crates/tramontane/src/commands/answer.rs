//! One reply for a terminal or a script: listens to the engine until the reply ends or Ctrl-C is pressed, and keeps count
//! of time.

use super::run::Session;
use crate::generate::{self, End, Teller, Whole};
use crate::grammar::Grammar;
use anyhow::{Result, bail};
use chat::Prompt;
use chat::format::parse::{Delta, FinishReason, Reply, TokenCounts, ToolCall};
use engine::{Event, EventStream, Usage};
use serde_json::{Value, json};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// How often a waiting reply looks whether it was interrupted.
const PATIENCE: Duration = Duration::from_millis(50);

/// What a reply cost.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Tokens.
    pub usage: Usage,
    /// Where the generated ones went.
    pub counts: TokenCounts,
    /// Until the first token.
    pub first_token: Duration,
    /// From the first token to the last.
    pub decoding: Duration,
    /// The seed of its draws.
    pub seed: u64,
    /// Why it ended.
    pub ended: Ended,
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As APIs say it.
    By(FinishReason),
    /// At a stop string.
    StopString,
    /// By Ctrl-C.
    Interrupted,
}

impl Ended {
    /// In words, for people.
    pub fn words(self) -> &'static str {
        match self {
            Ended::By(FinishReason::Length) => "length",
            Ended::By(_) => "stop",
            Ended::StopString => "stop string",
            Ended::Interrupted => "interrupted",
        }
    }

    /// By the names that APIs use, and one of our own.
    fn name(self) -> &'static str {
        match self {
            Ended::By(reason) => reason.name(),
            Ended::StopString => FinishReason::Stop.name(),
            Ended::Interrupted => "interrupted",
        }
    }
}

impl Cost {
    /// Tokens a second, the first one's wait not counted.
    pub fn speed(&self) -> f64 {
        let seconds = self.decoding.as_secs_f64();
        let later = self.usage.generated_tokens.saturating_sub(1);
        match seconds > 0.0 {
            true => later as f64 / seconds,
            false => 0.0,
        }
    }
}

/// A reply and its cost as one object, for scripts. Fields that chat completions have too go by their names.
pub fn object(reply: &Reply, cost: &Cost) -> Value {
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let (usage, counts) = (cost.usage, cost.counts);
    json!({
        "content": reply.content,
        "reasoning": (!reply.reasoning.is_empty()).then_some(&reply.reasoning),
        "tool_calls": reply.tool_calls.iter().map(call).collect::<Vec<_>>(),
        "finish_reason": cost.ended.name(),
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.generated_tokens,
            "total_tokens": usage.prompt_tokens + usage.generated_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": counts.reasoning},
        },
        "timings": {
            "first_token_ms": milliseconds(cost.first_token),
            "decode_ms": milliseconds(cost.decoding),
            "tokens_per_second": cost.speed(),
        },
        "seed": cost.seed,
    })
}

/// A tool call as a message holds it.
pub fn call(call: &ToolCall) -> Value {
    let function = json!({"name": call.name, "arguments": call.arguments});
    json!({"id": call.id, "type": "function", "function": function})
}

/// Generates the reply to `prompt`, held to `grammar`; `show` sees each delta as it comes, and how many tokens there are by
/// then.
pub fn reply(
    session: &Session,
    prompt: &Prompt,
    grammar: Option<Grammar>,
    mut show: impl FnMut(&Delta, usize) -> Result<()>,
) -> Result<(Reply, Cost)> {
    let (words, eyes) = (&session.words, session.eyes.as_ref());
    let mut settings = session.settings.clone();
    let seed = &mut settings.sampling.seed;
    *seed = seed.or_else(|| Some(engine::fresh_seed()));
    let request = generate::request(words, eyes, prompt, grammar.as_ref(), &settings, 0)?;
    let mut teller = Teller::new(words, prompt, &settings)?;
    let mut whole = Whole::new();
    let mut usage = Usage {
        prompt_tokens: prompt.ids.len(),
        ..Usage::default()
    };
    let mut first_token = None;
    let mut ended = Ended::Interrupted;
    let start = Instant::now();
    let events = session.engine.submit(request)?;
    while let Some(event) = next(session, &events)? {
        if let Event::Token { .. } = event {
            first_token.get_or_insert_with(Instant::now);
            usage.generated_tokens += 1;
        }
        let news = teller.take(event);
        let tokens = usage.generated_tokens;
        news.deltas
            .iter()
            .try_for_each(|delta| show(delta, tokens))?;
        let end = news.end.clone();
        whole.add(news);
        match end {
            None => {}
            Some(End::Failed(what)) => bail!(what),
            Some(End::Done(ending)) => {
                usage = ending.usage;
                ended = match ending.stopped_by {
                    Some(_) => Ended::StopString,
                    None => Ended::By(ending.reason),
                };
                break;
            }
        }
    }
    let rest = teller.cut();
    let tokens = usage.generated_tokens;
    rest.deltas
        .iter()
        .try_for_each(|delta| show(delta, tokens))?;
    whole.add(rest);
    let counts = match &whole.end {
        Some(End::Done(ending)) => ending.counts,
        _ => TokenCounts::default(),
    };
    let first = first_token.unwrap_or_else(Instant::now);
    let cost = Cost {
        usage,
        counts,
        first_token: first - start,
        decoding: first.elapsed(),
        seed: settings.seed(),
        ended,
    };
    Ok((whole.reply, cost))
}

/// Waits for the next event; none if Ctrl-C comes first.
fn next(session: &Session, events: &EventStream) -> Result<Option<Event>> {
    while !session.interrupt.requested() {
        match events.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("the engine ended before the reply did"),
            Ok(event) => return Ok(Some(event)),
        }
    }
    Ok(None)
}
