//! The interactive chat of `run`: lines with history, `/commands`, and a conversation that grows.

use super::attach;
use super::run::Session;
use crate::args::RunArgs;
use crate::words::Conversation;
use anyhow::{Context, Result, bail};
use chat::format::parse::{Reply, ToolCall};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use serde_json::json;
use std::fs::File;
use std::path::Path;

const HELP: &str = "\
/effort none|high  whether the model thinks first
/image FILE        shows an image with the next message
/system TEXT       sets the system message and starts anew
/reset             starts anew, keeping the system message
/save FILE         writes the conversation as JSON, as a chat request has it
/help              this
/quit              ends the chat (so does Ctrl-D)
End a line with \\ to go on in the next one. Ctrl-C ends a reply; twice, the program.";

/// What a line asks for.
enum Line {
    Say(String),
    Command { name: String, argument: String },
}

/// Chats until the end of input.
pub fn run(args: &RunArgs, session: Session, start: Conversation) -> Result<()> {
    let mut editor = DefaultEditor::new()?;
    let mut conversation = start;
    let mut images = args
        .image
        .iter()
        .map(|image| attach::image(image))
        .collect::<Result<Vec<_>>>()?;
    eprintln!(
        "Context {} tokens. /help lists the commands.",
        session.max_context
    );
    while let Some(line) = read(&mut editor, session.interrupt.requested())? {
        session.interrupt.reset();
        match line {
            Line::Command { name, .. } if name == "quit" || name == "exit" => break,
            Line::Command { name, argument } if name == "image" => match attach::image(&argument) {
                Ok(image) => images.push(image),
                Err(error) => eprintln!("{error:#}"),
            },
            Line::Command { name, argument } => {
                if let Err(error) = command(&name, &argument, &mut conversation, &session) {
                    eprintln!("{error:#}");
                }
            }
            Line::Say(text) if text.trim().is_empty() => {}
            Line::Say(text) => {
                let before = conversation.messages.len();
                conversation
                    .messages
                    .push(attach::message(std::mem::take(&mut images), &text));
                // A turn that fails is taken back, so that the chat can go on.
                if let Err(error) = turn(args, &session, &mut conversation, &mut editor) {
                    conversation.messages.truncate(before);
                    eprintln!("{error:#}");
                }
            }
        }
    }
    Ok(())
}

/// The next line, joined where it ends with a backslash; none at the end of input, or at the second Ctrl-C in a row
/// (the first may have ended a reply: `interrupted`).
fn read(editor: &mut DefaultEditor, mut interrupted: bool) -> Result<Option<Line>> {
    let mut text = String::new();
    loop {
        let line = match editor.readline(if text.is_empty() { "> " } else { ". " }) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) if interrupted => return Ok(None),
            Err(ReadlineError::Interrupted) => {
                interrupted = true;
                text.clear();
                eprintln!("(Ctrl-C again, Ctrl-D or /quit ends the chat)");
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match line.strip_suffix('\\') {
            Some(part) => {
                text.push_str(part);
                text.push('\n');
            }
            None => {
                text.push_str(&line);
                break;
            }
        }
    }
    // History is a convenience: a line that cannot be kept is still a line.
    let _ = editor.add_history_entry(&text);
    Ok(Some(match text.strip_prefix('/') {
        Some(rest) => {
            let (name, argument) = rest.split_once(' ').unwrap_or((rest, ""));
            Line::Command {
                name: name.to_owned(),
                argument: argument.trim().to_owned(),
            }
        }
        None => Line::Say(text),
    }))
}

fn command(
    name: &str,
    argument: &str,
    conversation: &mut Conversation,
    session: &Session,
) -> Result<()> {
    match name {
        "help" => eprintln!("{HELP}"),
        "reset" => conversation
            .messages
            .retain(|message| message["role"] == "system"),
        "system" => conversation.messages = vec![json!({"role": "system", "content": argument})],
        "save" => save(Path::new(argument), conversation)?,
        "effort" if !session.words.has_effort() => {
            eprintln!("this model has no reasoning effort to choose")
        }
        "effort" => match argument {
            "none" => conversation.effort = Some("none"),
            "high" => conversation.effort = Some("high"),
            other => eprintln!("/effort {other}: expected none or high"),
        },
        other => eprintln!("there is no /{other}; /help lists the commands"),
    }
    Ok(())
}

fn save(path: &Path, conversation: &Conversation) -> Result<()> {
    let body = json!({"messages": conversation.messages, "reasoning_effort": conversation.effort});
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer_pretty(file, &body)?;
    eprintln!("saved to {}", path.display());
    Ok(())
}

/// One turn: the reply, and as long as it calls tools, their results as typed and the next reply.
fn turn(
    args: &RunArgs,
    session: &Session,
    conversation: &mut Conversation,
    editor: &mut DefaultEditor,
) -> Result<()> {
    loop {
        let (prompt, grammar) = session.words.prompt(conversation)?;
        let reply = session.answer(args, &prompt, grammar)?;
        if reply.content.is_empty() && reply.tool_calls.is_empty() {
            bail!("(there is no answer in this reply: the turn is taken back)");
        }
        let calls = reply.tool_calls.clone();
        conversation.messages.push(assistant(reply));
        if calls.is_empty() {
            return Ok(());
        }
        for call in calls {
            let result = editor.readline(&format!("result of {}: ", call.name))?;
            conversation
                .messages
                .push(json!({"role": "tool", "tool_call_id": call.id, "content": result}));
        }
    }
}

/// A reply as a message of the conversation it ends.
fn assistant(reply: Reply) -> serde_json::Value {
    let mut message = json!({"role": "assistant", "content": reply.content});
    if !reply.reasoning.is_empty() {
        message["reasoning_content"] = reply.reasoning.into();
    }
    if !reply.tool_calls.is_empty() {
        let call = |call: ToolCall| {
            let function = json!({"name": call.name, "arguments": call.arguments});
            json!({"id": call.id, "type": "function", "function": function})
        };
        message["tool_calls"] = reply.tool_calls.into_iter().map(call).collect();
    }
    message
}
