//! `run`: one reply, or a chat when no prompt is given on a terminal.

use super::answer::{self, Cost};
use super::attach;
use crate::args::{Effort, RunArgs};
use crate::generate::Settings;
use crate::grammar::Grammar;
use crate::interrupt::Interrupt;
use crate::load;
use crate::sampling;
use crate::screen::Screen;
use crate::vision::Eyes;
use crate::words::{Conversation, Reading, Words};
use anyhow::{Result, bail};
use chat::Prompt;
use chat::format::parse::{Delta, Reply};
use engine::{Engine, EngineConfig, KvMemory};
use serde_json::json;
use std::io::{self, IsTerminal};

/// Everything a reply needs, loaded once.
pub struct Session {
    /// The running model.
    pub engine: Engine,
    /// Its text side.
    pub words: Words,
    /// Its vision tower, if it has one.
    pub eyes: Option<Eyes>,
    /// How replies are generated.
    pub settings: Settings,
    /// Ctrl-C.
    pub interrupt: Interrupt,
    /// The context a conversation has.
    pub max_context: usize,
}

/// Answers the prompt, or chats.
pub fn run(args: &RunArgs) -> Result<()> {
    let prompt = prompt(args)?;
    let conversation = Conversation {
        messages: args
            .system
            .iter()
            .map(|text| json!({"role": "system", "content": text}))
            .collect(),
        tools: args
            .tools
            .as_deref()
            .map(|path| load::json(path, "a JSON list of tools"))
            .transpose()?
            .unwrap_or_default(),
        effort: args.effort.map(effort_name),
        schema: args
            .json_schema
            .as_deref()
            .map(|path| load::json(path, "a JSON schema"))
            .transpose()?,
    };
    if args.raw && !args.image.is_empty() {
        bail!("--raw continues a text; --image needs a conversation\nLeave one of them out");
    }
    let session = session(args)?;
    match prompt {
        None => super::chat::run(args, session, conversation),
        Some(prompt) => one_reply(args, &session, conversation, &prompt),
    }
}

/// The prompt, if one is given or piped in.
fn prompt(args: &RunArgs) -> Result<Option<String>> {
    match args.prompt.as_deref() {
        Some("-") => {}
        Some(text) => return Ok(Some(text.to_owned())),
        None if io::stdin().is_terminal() && args.raw => bail!("--raw continues a text\nGive one"),
        None if io::stdin().is_terminal() => return Ok(None),
        None => {}
    }
    Ok(Some(
        load::stdin("prompt")?.trim_end_matches('\n').to_owned(),
    ))
}

fn effort_name(effort: Effort) -> &'static str {
    match effort {
        Effort::None => "none",
        Effort::High => "high",
    }
}

fn session(args: &RunArgs) -> Result<Session> {
    let loaded = load::model(&args.model)?;
    let words = Words::of(&loaded.checkpoint)?;
    if args.effort.is_some() && !words.has_effort() {
        bail!("--effort: this model has no reasoning effort to choose\nLeave the flag out");
    }
    let eyes = load::eyes(&args.model, &loaded, &words)?;
    let cache = load::cache_plan(&args.model, &loaded.transformer, 1)?;
    let settings = Settings {
        sampling: sampling::params(&args.sampling, &loaded.checkpoint, args.effort)?,
        max_tokens: args.max_tokens,
        stop: args.stop.clone(),
        reading: match args.raw {
            true => Reading::Raw { show_special: true },
            false => Reading::Protocol,
        },
        ignore_end: false,
        prompt_score: None,
    };
    let engine = Engine::start(
        Box::new(loaded.transformer),
        EngineConfig {
            max_context: Some(cache.max_context),
            kv_memory: KvMemory::Pages(cache.pages),
            ..EngineConfig::default()
        },
    )?;
    Ok(Session {
        engine,
        words,
        eyes,
        settings,
        interrupt: Interrupt::install()?,
        max_context: cache.max_context,
    })
}

fn one_reply(
    args: &RunArgs,
    session: &Session,
    mut conversation: Conversation,
    prompt: &str,
) -> Result<()> {
    let (prompt, grammar) = if args.raw {
        (session.words.raw_prompt(prompt)?, None)
    } else {
        let images = args.image.iter().map(|image| attach::image(image));
        let images = images.collect::<Result<_>>()?;
        conversation.messages.push(attach::message(images, prompt));
        session.words.prompt(&conversation)?
    };
    session.answer(args, &prompt, grammar)?;
    Ok(())
}

impl Session {
    /// Generates the reply to `prompt`, held to `grammar`, shows it as it comes, and says what it cost.
    pub fn answer(
        &self,
        args: &RunArgs,
        prompt: &Prompt,
        grammar: Option<Grammar>,
    ) -> Result<Reply> {
        let mut screen = Screen::new(shows_thinking(args));
        let show = |delta: &Delta| screen.show(delta);
        let (reply, cost) = answer::reply(self, prompt, grammar, show)?;
        screen.end()?;
        if !args.model.quiet {
            report(&cost);
        }
        Ok(reply)
    }
}

/// Thinking is shown on a terminal, unless told otherwise; into a pipe goes the answer alone.
fn shows_thinking(args: &RunArgs) -> bool {
    args.show_thinking || (!args.hide_thinking && io::stdout().is_terminal())
}

/// The line at the end: tokens, tokens a second, time to first token.
fn report(cost: &Cost) {
    let usage = cost.usage;
    let seconds = cost.decoding.as_secs_f64();
    let later = usage.generated_tokens.saturating_sub(1);
    let speed = if seconds > 0.0 {
        later as f64 / seconds
    } else {
        0.0
    };
    eprintln!(
        "[{} prompt + {} tokens, {speed:.1} tokens/s, first token after {:.2} s, ended by {}, seed {}]",
        usage.prompt_tokens,
        usage.generated_tokens,
        cost.first_token.as_secs_f64(),
        cost.ended,
        cost.seed
    );
}
