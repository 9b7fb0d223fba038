//! `run`: one reply, or a chat when no prompt is given on a terminal.

use super::answer::{self, Cost};
use super::attach;
use crate::args::{Effort, RunArgs};
use crate::generate::Settings;
use crate::grammar::Grammar;
use crate::interrupt::Interrupt;
use crate::load;
use crate::sampling::{self, Advice};
use crate::screen::{Screen, Terminal, Thinking};
use crate::vision::Eyes;
use crate::words::{Conversation, Reading, Words};
use anyhow::{Result, bail};
use chat::Prompt;
use chat::format::parse::{Delta, Reply};
use engine::{Engine, EngineConfig, KvMemory};
use serde_json::json;
use std::io::{self, IsTerminal, Write};

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
    /// Sampling that its makers advise.
    pub advice: Advice,
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

/// The prompt, if one is given. Without one the lines of stdin are the turns of a chat; a text to go on from is all of it.
fn prompt(args: &RunArgs) -> Result<Option<String>> {
    match args.prompt.as_deref() {
        Some("-") => {}
        Some(text) => return Ok(Some(text.to_owned())),
        None if args.raw && io::stdin().is_terminal() => bail!("--raw continues a text\nGive one"),
        None if args.raw => {}
        None => return Ok(None),
    }
    let text = load::stdin("prompt")?;
    Ok(Some(text.trim_end_matches('\n').to_owned()))
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
    let advice = sampling::advice(&loaded.checkpoint)?;
    let settings = Settings {
        sampling: advice.merge(&args.sampling, args.effort),
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
        advice,
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
    let thinking = match (args.hide_thinking, args.show_thinking) {
        (true, _) => Thinking::Hidden,
        (false, true) => Thinking::Shown,
        (false, false) if io::stdout().is_terminal() => Thinking::Shown,
        (false, false) => Thinking::Hidden,
    };
    session.answer(args, &prompt, grammar, thinking)?;
    Ok(())
}

impl Session {
    /// Generates the reply to `prompt`, held to `grammar`, shows it as it comes or prints it as an object, and says what it
    /// cost.
    pub fn answer(
        &self,
        args: &RunArgs,
        prompt: &Prompt,
        grammar: Option<Grammar>,
        thinking: Thinking,
    ) -> Result<(Reply, Cost)> {
        if args.json {
            let (reply, cost) = answer::reply(self, prompt, grammar, |_, _| Ok(()))?;
            writeln!(io::stdout(), "{}", answer::object(&reply, &cost))?;
            return Ok((reply, cost));
        }
        let mut screen = Screen::new(io::stdout(), Terminal::of_stdout(), thinking);
        let show = |delta: &Delta, tokens| screen.show(delta, tokens);
        let (reply, cost) = answer::reply(self, prompt, grammar, show)?;
        screen.end(cost.usage.generated_tokens)?;
        if !args.model.quiet {
            report(&cost);
        }
        Ok((reply, cost))
    }
}

/// The line at the end: tokens, tokens a second, time to first token.
fn report(cost: &Cost) {
    let usage = cost.usage;
    eprintln!(
        "[{} prompt + {} tokens, {:.1} tokens/s, first token after {:.2} s, ended by {}, seed {}]",
        usage.prompt_tokens,
        usage.generated_tokens,
        cost.speed(),
        cost.first_token.as_secs_f64(),
        cost.ended.words(),
        cost.seed
    );
}
