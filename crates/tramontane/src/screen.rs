//! A reply on the terminal: content plain, thinking dimmed, tool calls on lines of their own. Into a pipe nothing but text.

use anyhow::Result;
use chat::format::parse::Delta;
use std::io::{self, IsTerminal, Stdout, Write};

const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Where a reply is shown as it comes.
pub struct Screen {
    out: Stdout,
    styled: bool,
    shows_thinking: bool,
    at: Part,
}

/// What was written last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Nothing,
    Thinking,
    Content,
    ToolCall,
}

impl Screen {
    /// A screen on stdout.
    pub fn new(shows_thinking: bool) -> Screen {
        let out = io::stdout();
        let styled = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Screen {
            out,
            styled,
            shows_thinking,
            at: Part::Nothing,
        }
    }

    /// Shows a piece.
    pub fn show(&mut self, delta: &Delta) -> Result<()> {
        match delta {
            Delta::Reasoning(text) if self.shows_thinking => self.write(Part::Thinking, text),
            Delta::Reasoning(_) => Ok(()),
            Delta::Content(text) => self.write(Part::Content, text),
            Delta::ToolCallStart { name, .. } => {
                self.at = if self.at == Part::ToolCall {
                    Part::Content
                } else {
                    self.at
                };
                self.write(Part::ToolCall, &format!("{name} "))
            }
            Delta::ToolCallArguments { fragment, .. } => self.write(Part::ToolCall, fragment),
            Delta::ReasoningEnd { .. } | Delta::ToolCallEnd { .. } | Delta::Stray(_) => Ok(()),
        }
    }

    /// Ends the reply's last line.
    pub fn end(&mut self) -> Result<()> {
        if self.styled {
            write!(self.out, "{PLAIN}")?;
        }
        if self.at != Part::Nothing {
            writeln!(self.out)?;
        }
        self.at = Part::Nothing;
        Ok(self.out.flush()?)
    }

    fn write(&mut self, part: Part, text: &str) -> Result<()> {
        if part != self.at {
            if self.at != Part::Nothing {
                writeln!(self.out)?;
            }
            if self.styled {
                write!(
                    self.out,
                    "{}",
                    if part == Part::Content { PLAIN } else { DIM }
                )?;
            }
            self.at = part;
        }
        write!(self.out, "{text}")?;
        Ok(self.out.flush()?)
    }
}
