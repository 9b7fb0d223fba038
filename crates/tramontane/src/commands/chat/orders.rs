//! The `/commands` of a chat: what there is, and what each does to it.

use super::Chat;
use super::input::expand;
use crate::args::Effort;
use crate::commands::attach;
use crate::screen::{Terminal, visible};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A command.
pub struct Order {
    /// What is typed after the slash.
    pub name: &'static str,
    /// What it takes: a word for it, or words to choose from; empty if nothing.
    pub takes: &'static str,
    /// What it does.
    help: &'static str,
    run: fn(&mut Chat<'_>, &str) -> Result<()>,
}

/// All commands.
pub const ORDERS: [Order; 9] = [
    Order {
        name: "effort",
        takes: "none|high",
        help: "whether the model thinks first",
        run: effort,
    },
    Order {
        name: "thinking",
        takes: "",
        help: "shows the last thought in full",
        run: thinking,
    },
    Order {
        name: "image",
        takes: "FILE",
        help: "shows an image with the next message",
        run: image,
    },
    Order {
        name: "system",
        takes: "TEXT",
        help: "sets the system message and starts anew",
        run: system,
    },
    Order {
        name: "reset",
        takes: "",
        help: "starts anew, keeping the system message",
        run: reset,
    },
    Order {
        name: "save",
        takes: "FILE",
        help: "writes the conversation as JSON, as a chat request has it",
        run: save,
    },
    Order {
        name: "help",
        takes: "",
        help: "this",
        run: help,
    },
    Order {
        name: "quit",
        takes: "",
        help: "ends the chat (so does Ctrl-D)",
        run: quit,
    },
    Order {
        name: "exit",
        takes: "",
        help: "the same",
        run: quit,
    },
];

const KEYS: &str = "\
Alt-Enter begins a new line, and so does Enter behind a \\ at the end of one; pasted lines stay together.
Tab completes commands and files; the arrow keys and Ctrl-R find earlier messages.
Ctrl-C ends a reply and keeps what there is of it; twice, it ends the program. A space before / says it is no command.";

/// Runs the command in `text`, which begins with a slash.
pub fn run(chat: &mut Chat<'_>, text: &str) -> Result<()> {
    let typed = text.trim_start_matches('/');
    let (name, argument) = typed.split_once(char::is_whitespace).unwrap_or((typed, ""));
    match ORDERS.iter().find(|order| order.name == name) {
        Some(order) => (order.run)(chat, argument.trim()),
        None => bail!(
            "there is no /{name}; /help lists the commands, and a space before the / makes it a message"
        ),
    }
}

fn help(_: &mut Chat<'_>, _: &str) -> Result<()> {
    for order in &ORDERS {
        eprintln!(
            "{:<18} {}",
            format!("/{} {}", order.name, order.takes),
            order.help
        );
    }
    eprintln!("{KEYS}");
    Ok(())
}

fn quit(chat: &mut Chat<'_>, _: &str) -> Result<()> {
    chat.is_over = true;
    Ok(())
}

fn effort(chat: &mut Chat<'_>, argument: &str) -> Result<()> {
    if !chat.session.words.has_effort() {
        bail!("this model has no reasoning effort to choose");
    }
    let (effort, name) = match argument {
        "none" => (Effort::None, "none"),
        "high" => (Effort::High, "high"),
        other => bail!("/effort {other}: expected none or high"),
    };
    chat.conversation.effort = Some(name);
    // Each effort has a temperature of its own, unless one was typed.
    let (args, session) = (chat.args, &mut chat.session);
    session.settings.sampling = session.advice.merge(&args.sampling, Some(effort));
    Ok(())
}

fn thinking(chat: &mut Chat<'_>, _: &str) -> Result<()> {
    if chat.last_thought.is_empty() {
        bail!("there was no thought in the last reply");
    }
    let (dim, plain) = match Terminal::of_stderr().has_colours {
        true => ("\x1b[2m", "\x1b[0m"),
        false => ("", ""),
    };
    eprintln!("{dim}{}{plain}", visible(chat.last_thought.trim_end()));
    Ok(())
}

fn image(chat: &mut Chat<'_>, argument: &str) -> Result<()> {
    if argument.is_empty() {
        bail!("/image expects a file");
    }
    let path = expand(argument);
    let image = attach::image(&path.to_string_lossy())?;
    chat.images.push(image);
    eprintln!("{} goes with the next message", path.display());
    Ok(())
}

fn system(chat: &mut Chat<'_>, argument: &str) -> Result<()> {
    chat.conversation.messages = match argument {
        "" => Vec::new(),
        text => vec![json!({"role": "system", "content": text})],
    };
    Ok(())
}

fn reset(chat: &mut Chat<'_>, _: &str) -> Result<()> {
    let messages = &mut chat.conversation.messages;
    messages.retain(|message| message["role"] == "system");
    chat.images.clear();
    Ok(())
}

fn save(chat: &mut Chat<'_>, argument: &str) -> Result<()> {
    if argument.is_empty() {
        bail!("/save expects a file");
    }
    let path = expand(argument);
    let file = create(&path, &chat.saved)?;
    let conversation = &chat.conversation;
    let mut body = json!({"messages": conversation.messages});
    if let Some(effort) = conversation.effort {
        body["reasoning_effort"] = effort.into();
    }
    if !conversation.tools.is_empty() {
        body["tools"] = conversation.tools.clone().into();
    }
    serde_json::to_writer_pretty(file, &body)
        .with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("saved to {}", path.display());
    chat.saved = Some(path);
    Ok(())
}

/// A new file, or the one this chat was saved to before.
fn create(path: &Path, saved: &Option<PathBuf>) -> Result<File> {
    let created = match saved.as_deref() == Some(path) {
        true => File::create(path),
        false => File::create_new(path),
    };
    created.with_context(|| format!("cannot write {}", path.display()))
}
