//! A reply as it comes. On a terminal: Markdown styled, thinking dimmed and folded, tool calls on lines of their own, and
//! no control character that the model wrote. Into a pipe: nothing but the text.

mod live;
mod markdown;

use anyhow::Result;
use chat::format::parse::Delta;
use live::Live;
use markdown::Markdown;
use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";
/// The size of a terminal that does not tell.
const USUAL_SIZE: (usize, usize) = (80, 24);

/// What a terminal can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// It shows colours, and they are wanted.
    pub has_colours: bool,
    /// Its cursor can be moved.
    pub moves: bool,
    /// There is one.
    pub is_there: bool,
}

/// What is done with thinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// It is left out.
    Hidden,
    /// It stays.
    Shown,
    /// It is shown while it lasts, and one line stays.
    Folded,
}

/// Where a reply is shown as it comes.
pub struct Screen<W: Write> {
    out: W,
    terminal: Terminal,
    thinking: Thinking,
    markdown: Markdown,
    live: Option<Live>,
    thought: Thought,
    at: Part,
    /// Whether the last line has been ended.
    line_ended: bool,
}

/// How long a thought has taken.
#[derive(Clone, Copy, Default)]
struct Thought {
    began: Option<Instant>,
    tokens_before: usize,
}

/// What was written last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Nothing,
    Thinking,
    Content,
    ToolCall,
}

impl Terminal {
    /// What stdout is.
    pub fn of_stdout() -> Terminal {
        Terminal::of_environment(io::stdout().is_terminal())
    }

    /// What stderr is.
    pub fn of_stderr() -> Terminal {
        Terminal::of_environment(io::stderr().is_terminal())
    }

    fn of_environment(is_there: bool) -> Terminal {
        let variable = |name| std::env::var(name).ok();
        let (term, no_color) = (variable("TERM"), variable("NO_COLOR"));
        Terminal::of(is_there, term.as_deref(), no_color.as_deref())
    }

    /// By the conventions of `TERM` and `NO_COLOR`.
    fn of(is_there: bool, term: Option<&str>, no_color: Option<&str>) -> Terminal {
        let moves = is_there && !matches!(term, None | Some("" | "dumb"));
        Terminal {
            has_colours: moves && no_color.is_none_or(str::is_empty),
            moves,
            is_there,
        }
    }
}

impl<W: Write> Screen<W> {
    /// A screen that writes to `out`.
    pub fn new(out: W, terminal: Terminal, thinking: Thinking) -> Screen<W> {
        // What cannot be taken away again is not shown first.
        let thinking = match thinking {
            Thinking::Folded if !terminal.is_there => Thinking::Hidden,
            other => other,
        };
        Screen {
            out,
            terminal,
            thinking,
            markdown: Markdown::default(),
            live: None,
            thought: Thought::default(),
            at: Part::Nothing,
            line_ended: true,
        }
    }

    /// Shows a piece of a reply that has so many tokens by now.
    pub fn show(&mut self, delta: &Delta, tokens: usize) -> Result<()> {
        match delta {
            Delta::Reasoning(text) => self.think(text, tokens)?,
            Delta::ReasoningEnd { .. } => self.fold(tokens)?,
            Delta::Content(text) => {
                self.enter(Part::Content)?;
                let text = self.clean(text);
                let shown = match self.terminal.has_colours {
                    true => self.markdown.push(&text),
                    false => text.into_owned(),
                };
                self.write(&shown)?;
            }
            Delta::ToolCallStart { name, .. } => {
                self.end_line()?;
                self.enter(Part::ToolCall)?;
                let name = self.clean(name).into_owned();
                self.write(&format!("{name} "))?;
            }
            Delta::ToolCallArguments { fragment, .. } => {
                let fragment = self.clean(fragment).into_owned();
                self.write(&fragment)?;
            }
            Delta::ToolCallEnd { .. } | Delta::Stray(_) => {}
        }
        Ok(self.out.flush()?)
    }

    /// Ends the reply's last line.
    pub fn end(&mut self, tokens: usize) -> Result<()> {
        self.fold(tokens)?;
        self.leave()?;
        self.end_line()?;
        self.at = Part::Nothing;
        Ok(self.out.flush()?)
    }

    fn think(&mut self, text: &str, tokens: usize) -> Result<()> {
        if self.thought.began.is_none() {
            self.thought = Thought {
                began: Some(Instant::now()),
                tokens_before: tokens.saturating_sub(1),
            };
        }
        let text = self.clean(text).into_owned();
        match self.thinking {
            Thinking::Hidden => Ok(()),
            Thinking::Shown => {
                self.enter(Part::Thinking)?;
                self.write(&text)
            }
            Thinking::Folded if self.terminal.moves => {
                self.enter(Part::Thinking)?;
                let live = self.live.get_or_insert_with(|| {
                    let (columns, rows) = size();
                    Live::new(columns, rows)
                });
                let drawn = live.push(&text);
                self.write(&drawn)
            }
            Thinking::Folded => Ok(()),
        }
    }

    /// The thought is over: one line stays of it.
    fn fold(&mut self, tokens: usize) -> Result<()> {
        let Some(began) = self.thought.began.take() else {
            return Ok(());
        };
        if self.thinking != Thinking::Folded {
            return Ok(());
        }
        if let Some(mut live) = self.live.take() {
            let cleared = live.clear();
            write!(self.out, "{cleared}")?;
        }
        let thought = tokens.saturating_sub(self.thought.tokens_before + 1).max(1);
        let unit = if thought == 1 { "token" } else { "tokens" };
        let line = format!(
            "(thought for {:.1} s, {thought} {unit})",
            began.elapsed().as_secs_f64()
        );
        let (dim, plain) = match self.terminal.has_colours {
            true => (DIM, RESET),
            false => ("", ""),
        };
        writeln!(self.out, "{dim}{line}{plain}")?;
        (self.at, self.line_ended) = (Part::Nothing, true);
        Ok(())
    }

    /// Goes on to `part`, on a line of its own.
    fn enter(&mut self, part: Part) -> Result<()> {
        if part == self.at {
            return Ok(());
        }
        self.leave()?;
        self.end_line()?;
        self.at = part;
        if self.terminal.has_colours && part != Part::Content {
            write!(self.out, "{DIM}")?;
        }
        Ok(())
    }

    /// Ends what was being written: what was held back is shown, no style stays.
    fn leave(&mut self) -> Result<()> {
        if !self.terminal.has_colours {
            return Ok(());
        }
        match self.at {
            Part::Nothing => {}
            Part::Content => {
                let rest = self.markdown.finish();
                self.write(&rest)?;
            }
            Part::Thinking | Part::ToolCall => write!(self.out, "{RESET}")?,
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<()> {
        if !self.line_ended {
            writeln!(self.out)?;
            self.line_ended = true;
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<()> {
        let bare = text.strip_suffix(RESET).unwrap_or(text);
        if !bare.is_empty() {
            // Into a pipe the text goes as it is, and a line end after it.
            self.line_ended = self.terminal.is_there && bare.ends_with('\n');
        }
        Ok(write!(self.out, "{text}")?)
    }

    fn clean<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.terminal.is_there {
            true => visible(text),
            false => Cow::Borrowed(text),
        }
    }
}

/// Leaves the terminal as it was found, from the middle of whatever is on it.
pub fn abandon() {
    if Terminal::of_stdout().has_colours {
        // The program ends; whether this could be written changes nothing.
        let _ = writeln!(io::stdout(), "{RESET}");
    }
}

/// Text without a character that could move the cursor, change colours or ask the terminal something: each becomes a
/// picture of itself. Line ends and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let picture = |c: char| match u32::from(c) {
        _ if !is_harmful(c) => c,
        code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER),
        0x7f => '\u{2421}',
        _ => char::REPLACEMENT_CHARACTER,
    };
    Cow::Owned(text.chars().map(picture).collect())
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    terminal_size::terminal_size().map_or(USUAL_SIZE, |(columns, rows)| {
        (usize::from(columns.0), usize::from(rows.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURS: Terminal = Terminal {
        has_colours: true,
        moves: true,
        is_there: true,
    };
    const BARE: Terminal = Terminal {
        has_colours: false,
        moves: false,
        is_there: true,
    };

    /// A reply that thinks, answers and calls.
    fn reply() -> Vec<Delta> {
        vec![
            Delta::Reasoning("Let me ".into()),
            Delta::Reasoning("see\x1b[2J.".into()),
            Delta::ReasoningEnd { closed: true },
            Delta::Content("It is **4".into()),
            Delta::Content("**.\x07".into()),
            Delta::ToolCallStart {
                index: 0,
                id: "abcdefghi".into(),
                name: "add".into(),
            },
            Delta::ToolCallArguments {
                index: 0,
                fragment: "{\"a\": 2}".into(),
            },
            Delta::ToolCallEnd {
                index: 0,
                complete: true,
            },
        ]
    }

    fn shown(terminal: Terminal, thinking: Thinking) -> String {
        let mut screen = Screen::new(Vec::new(), terminal, thinking);
        for (index, delta) in reply().iter().enumerate() {
            screen.show(delta, index + 2).unwrap();
        }
        screen.end(10).unwrap();
        String::from_utf8(screen.out).unwrap()
    }

    fn rows(bytes: &str) -> Vec<String> {
        let mut terminal = vt100::Parser::new(24, 80, 0);
        terminal.process(bytes.replace('\n', "\r\n").as_bytes());
        let rows = terminal
            .screen()
            .rows(0, 80)
            .map(|row| row.trim_end().to_owned());
        rows.filter(|row| !row.is_empty()).collect()
    }

    #[test]
    fn a_pipe_gets_the_text() {
        let pipe = Terminal::default();
        assert_eq!(
            shown(pipe, Thinking::Hidden),
            "It is **4**.\x07\nadd {\"a\": 2}\n"
        );
        assert_eq!(shown(pipe, Thinking::Folded), shown(pipe, Thinking::Hidden));
        let all = shown(pipe, Thinking::Shown);
        assert!(all.starts_with("Let me see\x1b[2J.\nIt is"), "{all:?}");
    }

    #[test]
    fn a_terminal_shows_thinking_and_folds_it() {
        let folded = shown(COLOURS, Thinking::Folded);
        assert!(
            folded.contains("Let me "),
            "it is shown while it lasts: {folded:?}"
        );
        let rows_now = rows(&folded);
        assert!(
            rows_now[0].starts_with("(thought for 0.0 s, 2 tokens)"),
            "{rows_now:?}"
        );
        assert_eq!(rows_now[1..], ["It is 4.\u{2407}", "add {\"a\": 2}"]);
        assert!(folded.contains("\x1b[1m4"), "bold: {folded:?}");
        let shown = rows(&shown(COLOURS, Thinking::Shown));
        assert_eq!(shown[0], "Let me see\u{241b}[2J.");
    }

    #[test]
    fn no_code_of_the_models_reaches_a_terminal() {
        for thinking in [Thinking::Shown, Thinking::Folded] {
            let bytes = shown(COLOURS, thinking);
            assert!(
                !bytes.contains("\x1b[2J") && !bytes.contains('\x07'),
                "{bytes:?}"
            );
        }
        let bare = shown(BARE, Thinking::Folded);
        assert!(!bare.contains('\x1b'), "{bare:?}");
        assert!(bare.contains("tokens)\nIt is **4**.\u{2407}\n"), "{bare:?}");
        assert_eq!(visible("a\tb\nc"), "a\tb\nc");
        assert_eq!(visible("\u{9b}2J\x7f\r"), "\u{fffd}2J\u{2421}\u{240d}");
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let has = |there, term, no_color| {
            let terminal = Terminal::of(there, term, no_color);
            (terminal.moves, terminal.has_colours)
        };
        assert_eq!(has(true, Some("xterm-256color"), None), (true, true));
        assert_eq!(has(true, Some("xterm"), Some("")), (true, true));
        assert_eq!(has(true, Some("xterm"), Some("1")), (true, false));
        assert_eq!(has(true, Some("dumb"), None), (false, false));
        assert_eq!(has(true, None, None), (false, false));
        assert_eq!(has(false, Some("xterm"), None), (false, false));
    }

    /// A reply cut off in its thought still leaves its line.
    #[test]
    fn a_thought_that_never_ends_is_folded_too() {
        let mut screen = Screen::new(Vec::new(), COLOURS, Thinking::Folded);
        screen.show(&Delta::Reasoning("Hm".into()), 2).unwrap();
        screen.end(3).unwrap();
        let bytes = String::from_utf8(screen.out).unwrap();
        assert!(rows(&bytes)[0].starts_with("(thought for"), "{bytes:?}");
        assert!(bytes.ends_with('\n'));
    }
}
