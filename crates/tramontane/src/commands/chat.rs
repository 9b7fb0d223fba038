//! The chat of `run`: turns from a person or from lines of stdin, `/commands`, and a conversation that grows.

mod input;
mod orders;

use super::answer::{self, Ended};
use super::attach;
use super::run::Session;
use crate::args::RunArgs;
use crate::screen::Thinking;
use crate::words::Conversation;
use anyhow::{Result, bail};
use chat::format::parse::Reply;
use input::Input;
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

/// A chat that goes on.
struct Chat<'a> {
    args: &'a RunArgs,
    session: Session,
    conversation: Conversation,
    /// Images that go with the next message.
    images: Vec<Value>,
    /// What was thought before the last reply.
    last_thought: String,
    /// Where the conversation was saved.
    saved: Option<PathBuf>,
    is_over: bool,
}

/// Chats until the end of input.
pub fn run(args: &RunArgs, session: Session, start: Conversation) -> Result<()> {
    let is_person = io::stdin().is_terminal() && !args.json;
    let mut input = Input::open(is_person)?;
    let images = args.image.iter().map(|image| attach::image(image));
    let mut chat = Chat {
        args,
        session,
        conversation: start,
        images: images.collect::<Result<_>>()?,
        last_thought: String::new(),
        saved: None,
        is_over: false,
    };
    if is_person && !args.model.quiet {
        eprintln!(
            "Context {} tokens. /help lists the commands.",
            chat.session.max_context
        );
    }
    let mut draft = String::new();
    let mut num_failed = 0;
    while !chat.is_over {
        let Some(text) = input.message(&draft)? else {
            break;
        };
        draft.clear();
        chat.session.interrupt.reset();
        if let Err(error) = chat.take(&text, &mut input) {
            // Another try begins with what was typed.
            draft = if text.starts_with('/') {
                String::new()
            } else {
                text
            };
            num_failed += 1;
            chat.tell(&error)?;
        }
        // Who stops a reply in the middle of a pipe wants none of the next ones either.
        if !is_person && chat.session.interrupt.requested() {
            break;
        }
    }
    match num_failed {
        0 => Ok(()),
        _ if is_person => Ok(()),
        1 => bail!("one turn failed"),
        many => bail!("{many} turns failed"),
    }
}

impl Chat<'_> {
    /// Takes what was typed. A turn that fails is taken back, so that the chat can go on.
    fn take(&mut self, text: &str, input: &mut Input) -> Result<()> {
        if text.starts_with('/') {
            return orders::run(self, text);
        }
        if text.trim().is_empty() {
            return Ok(());
        }
        let before = self.conversation.messages.len();
        let images = self.images.clone();
        let message = attach::message(std::mem::take(&mut self.images), text.trim_end());
        self.conversation.messages.push(message);
        let taken = self.turn(input);
        if taken.is_err() {
            self.conversation.messages.truncate(before);
            self.images = images;
        }
        taken
    }

    /// One turn: the reply, and as long as it calls tools, their results and the next reply.
    fn turn(&mut self, input: &mut Input) -> Result<()> {
        loop {
            let (prompt, grammar) = self.session.words.prompt(&self.conversation)?;
            let thinking = self.thinking();
            let (mut reply, cost) = self.session.answer(self.args, &prompt, grammar, thinking)?;
            self.last_thought.clone_from(&reply.reasoning);
            if cost.ended == Ended::Interrupted {
                // A call that was being made is not made.
                reply.tool_calls.clear();
            }
            if reply.content.is_empty() && reply.tool_calls.is_empty() {
                bail!("there is no answer in this reply: the turn is taken back");
            }
            let calls = reply.tool_calls.clone();
            self.conversation.messages.push(assistant(&reply));
            if calls.is_empty() {
                return Ok(());
            }
            for call in calls {
                let Some(result) = input.result(&call.name)? else {
                    bail!("no result of {}: the turn is taken back", call.name);
                };
                self.conversation
                    .messages
                    .push(json!({"role": "tool", "tool_call_id": call.id, "content": result}));
            }
        }
    }

    /// On a terminal thinking is folded, unless told otherwise; into a pipe goes the answer alone.
    fn thinking(&self) -> Thinking {
        match (self.args.show_thinking, self.args.hide_thinking) {
            (true, _) => Thinking::Shown,
            (_, true) => Thinking::Hidden,
            _ => Thinking::Folded,
        }
    }

    /// Says what went wrong; to a script where it expects the reply.
    fn tell(&self, error: &anyhow::Error) -> Result<()> {
        match self.args.json {
            true => writeln!(io::stdout(), "{}", json!({"error": format!("{error:#}")}))?,
            false => eprintln!("{error:#}"),
        }
        Ok(())
    }
}

/// A reply as a message of the conversation it ends.
fn assistant(reply: &Reply) -> Value {
    let mut message = json!({"role": "assistant", "content": reply.content});
    if !reply.reasoning.is_empty() {
        message["reasoning_content"] = reply.reasoning.clone().into();
    }
    if !reply.tool_calls.is_empty() {
        message["tool_calls"] = reply.tool_calls.iter().map(answer::call).collect();
    }
    message
}
