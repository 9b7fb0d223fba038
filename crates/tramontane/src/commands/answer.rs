//! One reply for the terminal: listens to the engine until the reply ends or Ctrl-C is pressed, and keeps count of time.

use super::run::Session;
use crate::generate::{self, End, Teller, Whole};
use crate::grammar::Grammar;
use anyhow::{Result, bail};
use chat::Prompt;
use chat::format::parse::{Delta, FinishReason, Reply};
use engine::{Event, Usage};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// How often a waiting reply looks whether it was interrupted.
const PATIENCE: Duration = Duration::from_millis(50);

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
    session: &Session,
    prompt: &Prompt,
    grammar: Option<Grammar>,
    mut show: impl FnMut(&Delta) -> Result<()>,
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
    let mut ended = "interrupted";
    let start = Instant::now();
    let events = session.engine.submit(request)?;
    while !session.interrupt.requested() {
        let event = match events.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => bail!("the engine ended before the reply did"),
            Ok(event) => event,
        };
        if let Event::Token { .. } = event {
            first_token.get_or_insert_with(Instant::now);
            usage.generated_tokens += 1;
        }
        let news = teller.take(event);
        news.deltas.iter().try_for_each(&mut show)?;
        let end = news.end.clone();
        whole.add(news);
        match end {
            None => {}
            Some(End::Failed(what)) => bail!(what),
            Some(End::Done(ending)) => {
                usage = ending.usage;
                ended = match (ending.stopped_by, ending.reason) {
                    (Some(_), _) => "stop string",
                    (None, FinishReason::Length) => "length",
                    (None, _) => "stop",
                };
                break;
            }
        }
    }
    let rest = teller.cut();
    rest.deltas.iter().try_for_each(&mut show)?;
    whole.add(rest);
    let first = first_token.unwrap_or_else(Instant::now);
    let cost = Cost {
        usage,
        first_token: first - start,
        decoding: first.elapsed(),
        seed: settings.seed(),
        ended,
    };
    Ok((whole.reply, cost))
}
