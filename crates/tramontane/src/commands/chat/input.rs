//! Where the turns of a chat come from: a line editor on a terminal, else the lines of stdin.

use super::orders::ORDERS;
use anyhow::{Context as _, Result};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Behavior, Cmd, CompletionType, Config, Context, Editor, Helper, Highlighter, Hinter, KeyCode,
    KeyEvent, Modifiers,
};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

/// Messages that the history keeps.
const HISTORY: usize = 1000;
/// Names that a completion offers at most.
const MOST_NAMES: usize = 200;

/// Where turns come from.
pub enum Input {
    /// A person at a terminal.
    Person(Box<Person>),
    /// Lines; a backslash at the end of one joins it with the next.
    Lines,
}

/// A line editor and its history.
pub struct Person {
    editor: Editor<Completion, DefaultHistory>,
    history: Option<PathBuf>,
}

impl Input {
    /// From a person if there is one.
    ///
    /// # Errors
    /// A terminal that cannot be used.
    pub fn open(is_person: bool) -> Result<Input> {
        if !is_person {
            return Ok(Input::Lines);
        }
        let config = Config::builder()
            .max_history_size(HISTORY)?
            .completion_type(CompletionType::List)
            // With stdout in a pipe, what is edited still belongs on the terminal.
            .behavior(match io::stdout().is_terminal() {
                true => Behavior::Stdio,
                false => Behavior::PreferTerm,
            })
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Completion));
        editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
        let history = history_path(env::var_os("XDG_STATE_HOME"), env::home_dir());
        // History is a convenience: without it there is still a chat.
        if let Some(path) = &history {
            let _ = path.parent().map(fs::create_dir_all);
            let _ = editor.load_history(path);
        }
        Ok(Input::Person(Box::new(Person { editor, history })))
    }

    /// The next message, or none at the end. A person begins with `draft`.
    ///
    /// # Errors
    /// Input that cannot be read.
    pub fn message(&mut self, draft: &str) -> Result<Option<String>> {
        match self {
            Input::Lines => joined(&mut io::stdin().lock()),
            Input::Person(person) => person.message(draft),
        }
    }

    /// The result of a tool's call, or none if there is none to be had.
    ///
    /// # Errors
    /// Input that cannot be read.
    pub fn result(&mut self, tool: &str) -> Result<Option<String>> {
        match self {
            Input::Lines => joined(&mut io::stdin().lock()),
            Input::Person(person) => person.read(&format!("result of {tool}: "), ""),
        }
    }
}

impl Person {
    fn message(&mut self, draft: &str) -> Result<Option<String>> {
        let mut draft = draft;
        let mut was_interrupted = false;
        loop {
            match self.editor.readline_with_initial("> ", (draft, "")) {
                Ok(text) => {
                    self.remember(&text);
                    return Ok(Some(text.replace("\\\n", "\n")));
                }
                Err(ReadlineError::Interrupted) if !was_interrupted => {
                    was_interrupted = true;
                    draft = "";
                    eprintln!("(Ctrl-C again, Ctrl-D or /quit ends the chat)");
                }
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read(&mut self, prompt: &str, draft: &str) -> Result<Option<String>> {
        match self.editor.readline_with_initial(prompt, (draft, "")) {
            Ok(text) => Ok(Some(text.replace("\\\n", "\n"))),
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn remember(&mut self, text: &str) {
        let _ = self.editor.add_history_entry(text);
        if let Some(path) = &self.history {
            let _ = self.editor.append_history(path);
        }
    }
}

/// A line, and the next ones as long as they end with a backslash; none at the end.
fn joined(lines: &mut impl BufRead) -> Result<Option<String>> {
    let mut text = String::new();
    let mut line = String::new();
    loop {
        line.clear();
        let bytes = lines
            .read_line(&mut line)
            .context("cannot read a line of stdin")?;
        if bytes == 0 {
            return Ok((!text.is_empty()).then_some(text));
        }
        let whole = line.trim_end_matches(['\n', '\r']);
        match whole.strip_suffix('\\') {
            Some(part) => {
                text.push_str(part);
                text.push('\n');
            }
            None => {
                text.push_str(whole);
                return Ok(Some(text));
            }
        }
    }
}

/// Where messages are remembered, by the XDG base directories: state that should outlast a restart and is of no great worth.
fn history_path(state_home: Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let state = state_home
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let state = state.or_else(|| home.map(|home| home.join(".local/state")))?;
    Some(state.join("tramontane/history"))
}

/// What the editor asks while a line is typed.
#[derive(Helper, Highlighter, Hinter)]
struct Completion;

impl Validator for Completion {
    /// A backslash at the end: the message goes on.
    fn validate(&self, ctx: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match ctx.input().ends_with('\\') {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Valid(None),
        })
    }
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(complete(line.get(..pos).unwrap_or(line)))
    }
}

/// What can stand in the place of the end of `line`, and where that begins: `/commands`, then what each of them takes.
fn complete(line: &str) -> (usize, Vec<Pair>) {
    let Some(order) = line.strip_prefix('/') else {
        return (line.len(), Vec::new());
    };
    let Some((name, typed)) = order.split_once(' ') else {
        let fitting = ORDERS.iter().filter(|known| known.name.starts_with(order));
        let pair = |name: &str, space| Pair {
            display: format!("/{name}"),
            replacement: format!("/{name}{space}"),
        };
        let pairs =
            fitting.map(|known| pair(known.name, if known.takes.is_empty() { "" } else { " " }));
        return (0, pairs.collect());
    };
    let start = line.len() - typed.len();
    let known = ORDERS.iter().find(|known| known.name == name);
    match known.map(|known| known.takes) {
        Some("FILE") => {
            let (folder, names) = files(typed);
            (start + folder, names)
        }
        Some(takes) if takes.contains('|') => {
            let words = takes.split('|').filter(|word| word.starts_with(typed));
            let pair = |word: &str| Pair {
                display: word.to_owned(),
                replacement: word.to_owned(),
            };
            (start, words.map(pair).collect())
        }
        _ => (line.len(), Vec::new()),
    }
}

/// Files whose path begins with `typed`, and how much of it is their folder.
fn files(typed: &str) -> (usize, Vec<Pair>) {
    let split = typed.rfind('/').map_or(0, |slash| slash + 1);
    let (folder, prefix) = typed.split_at(split);
    let read = match folder {
        "" => fs::read_dir("."),
        _ => fs::read_dir(expand(folder)),
    };
    let mut names: Vec<String> = Vec::new();
    for entry in read.into_iter().flatten().flatten() {
        let Ok(mut name) = entry.file_name().into_string() else {
            continue;
        };
        let is_wanted =
            name.starts_with(prefix) && (!name.starts_with('.') || prefix.starts_with('.'));
        if !is_wanted || name.contains(char::is_control) {
            continue;
        }
        if entry.path().is_dir() {
            name.push('/');
        }
        names.push(name);
    }
    names.sort();
    names.truncate(MOST_NAMES);
    let pair = |name: String| Pair {
        display: name.clone(),
        replacement: name,
    };
    (split, names.into_iter().map(pair).collect())
}

/// A path as people type it or drop it into a terminal: with `~/`, in quotes, or with a backslash before spaces.
pub fn expand(typed: &str) -> PathBuf {
    let typed = typed.trim();
    let quoted = ['\'', '"']
        .iter()
        .find_map(|quote| typed.strip_prefix(*quote)?.strip_suffix(*quote));
    let path = match quoted {
        Some(path) => path.to_owned(),
        None => typed.replace("\\ ", " "),
    };
    match (path.strip_prefix("~/"), env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn offered(line: &str) -> (usize, Vec<String>) {
        let (start, pairs) = complete(line);
        (
            start,
            pairs.into_iter().map(|pair| pair.replacement).collect(),
        )
    }

    #[test]
    fn commands_complete_and_what_they_take() {
        assert_eq!(offered("/ef"), (0, vec!["/effort ".to_owned()]));
        assert_eq!(offered("/th"), (0, vec!["/thinking".to_owned()]));
        assert_eq!(offered("/effort h"), (8, vec!["high".to_owned()]));
        assert_eq!(offered("/").1.len(), ORDERS.len());
        assert_eq!(offered("tell me about /").1, [""; 0]);
        assert_eq!(offered("/reset now").1, [""; 0]);
    }

    #[test]
    fn files_complete_after_commands_that_take_one() {
        let folder = env::temp_dir().join(format!("tramontane-complete-{}", std::process::id()));
        fs::create_dir_all(folder.join("pictures")).unwrap();
        for name in ["plan one.png", "plain.jpg", ".hidden", "other"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let base = folder.display();
        let (start, names) = offered(&format!("/image {base}/p"));
        assert_eq!(start, format!("/image {base}/").len());
        assert_eq!(names, ["pictures/", "plain.jpg", "plan one.png"]);
        assert_eq!(offered(&format!("/save {base}/.")).1, [".hidden"]);
        assert_eq!(offered(&format!("/save {base}/nowhere/x")).1, [""; 0]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn paths_as_people_type_them() {
        assert_eq!(expand(" 'a b.png' "), Path::new("a b.png"));
        assert_eq!(expand("\"c.png\""), Path::new("c.png"));
        assert_eq!(expand("it's.png"), Path::new("it's.png"));
        assert_eq!(expand("a\\ b.png"), Path::new("a b.png"));
        if let Some(home) = env::home_dir() {
            assert_eq!(expand("~/x.png"), home.join("x.png"));
        }
    }

    #[test]
    fn history_is_where_state_belongs() {
        let home = || Some(PathBuf::from("/home/me"));
        let path = |state: Option<&str>, home| history_path(state.map(Into::into), home);
        let (of_home, of_state) = (
            "/home/me/.local/state/tramontane/history",
            "/s/tramontane/history",
        );
        assert_eq!(path(None, home()), Some(of_home.into()));
        assert_eq!(path(Some("relative"), home()), Some(of_home.into()));
        assert_eq!(path(Some("/s"), None), Some(of_state.into()));
        assert_eq!(path(None, None), None);
    }

    #[test]
    fn lines_join_at_a_backslash() {
        let mut lines = io::Cursor::new("one\ntwo\\\nthree\r\n\nlast\\");
        let mut next = || joined(&mut lines).unwrap();
        assert_eq!(next().as_deref(), Some("one"));
        assert_eq!(next().as_deref(), Some("two\nthree"));
        assert_eq!(next().as_deref(), Some(""));
        assert_eq!(next().as_deref(), Some("last\n"));
        assert_eq!(next(), None);
    }
}
