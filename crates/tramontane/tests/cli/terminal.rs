//! The interactive chat as a person at a terminal has it: keys go in by a pseudo-terminal, and what is asserted is what
//! stands on the screen.

use crate::support::{fixture, root, stdout, tramontane};
use rexpect::process::PtyProcess;
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

const ROWS: u16 = 24;
const COLUMNS: u16 = 80;
/// A debug build on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(120);

const ALT_ENTER: &str = "\x1b\r";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const UP: &str = "\x1b[A";

/// A model that thinks when it is asked to, calls tools that it is offered, and otherwise talks: see the script.
fn scripted() -> String {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        // Cargo's own folder for what tests leave behind.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scripted");
        let folder = folder.join(std::process::id().to_string());
        let script = root().join("crates/tramontane/tests/clients/scripted_model.py");
        let made = Command::new("python3").arg(script).arg(&folder).status();
        assert!(
            made.is_ok_and(|status| status.success()),
            "python3 makes the scripted model"
        );
        folder
    });
    made.display().to_string()
}

/// A folder of its own for a chat's state, gone when dropped.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Home {
        let path =
            std::env::temp_dir().join(format!("tramontane-home-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Home(path)
    }

    fn history(&self) -> String {
        std::fs::read_to_string(self.0.join("tramontane/history")).unwrap_or_default()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program at a terminal.
pub struct Terminal {
    process: PtyProcess,
    keys: File,
    screen: Arc<Mutex<(vt100::Parser, Vec<u8>)>>,
}

impl Terminal {
    /// Starts a chat.
    fn chat(home: &Home, args: &[&str], variables: &[(&str, &str)]) -> Terminal {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tramontane"));
        command
            .args(["run", "--seed", "1", "--threads", "1"])
            .args(args)
            .env_remove("NO_COLOR")
            .env("TERM", "xterm-256color")
            .env("XDG_STATE_HOME", &home.0)
            .envs(variables.iter().copied());
        let mut terminal = Terminal::start(command);
        terminal.wait("/help lists the commands");
        terminal.wait_for_prompt();
        terminal
    }

    /// Starts the command at a terminal of its own.
    pub fn start(command: Command) -> Terminal {
        let process = PtyProcess::new(command).unwrap();
        let (mut output, keys) = (
            process.get_file_handle().unwrap(),
            process.get_file_handle().unwrap(),
        );
        let screen = Arc::new(Mutex::new((
            vt100::Parser::new(ROWS, COLUMNS, 2000),
            Vec::new(),
        )));
        let seen = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let mut seen = seen.lock().unwrap();
                seen.0.process(&bytes[..count]);
                seen.1.extend_from_slice(&bytes[..count]);
            }
        });
        Terminal {
            process,
            keys,
            screen,
        }
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Types a line and waits until the next one can be typed.
    fn say(&mut self, line: &str) {
        self.press(&format!("{line}\r"));
        self.wait("tokens/s");
        self.wait_for_prompt();
    }

    pub fn contents(&self) -> String {
        self.screen.lock().unwrap().0.screen().contents()
    }

    /// All that was ever written.
    fn bytes(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap().1).into_owned()
    }

    pub fn wait(&mut self, what: &str) {
        self.wait_until(what, |screen| screen.contains(what));
    }

    /// Until the last line is an empty prompt.
    fn wait_for_prompt(&mut self) {
        self.wait_until("a prompt", |screen| {
            screen
                .trim_end()
                .lines()
                .last()
                .is_some_and(|line| line.trim_end() == ">")
        });
    }

    fn wait_until(&mut self, what: &str, is_there: impl Fn(&str) -> bool) {
        let begin = Instant::now();
        while !is_there(&self.contents()) {
            assert!(
                begin.elapsed() < PATIENCE,
                "{what} did not come:\n{}",
                self.contents()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Clears what is on the screen, so that what comes next can be waited for.
    fn clear(&mut self) {
        self.screen.lock().unwrap().0 = vt100::Parser::new(ROWS, COLUMNS, 2000);
    }

    /// The exit code, once it has ended.
    pub fn ended(&mut self) -> String {
        let begin = Instant::now();
        loop {
            let status = format!("{:?}", self.process.status());
            if !status.contains("StillAlive") {
                return status;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "it did not end:\n{}",
                self.contents()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn saved(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_chat_of_two_turns_with_thinking_folded() {
    let home = Home::new("two-turns");
    let mut terminal = Terminal::chat(&home, &["-m", &scripted()], &[]);
    // What is typed ahead is not lost.
    terminal.press("/effort high\rHello\r");
    terminal.wait("(thought for");
    terminal.wait("tokens/s");
    terminal.wait_for_prompt();
    let screen = terminal.contents();
    assert!(
        !screen.contains('\u{2502}'),
        "the thought is taken away:\n{screen}"
    );
    assert!(
        terminal.bytes().contains('\u{2502}'),
        "the thought was shown while it lasted"
    );
    assert!(terminal.bytes().contains("\x1b[2m"), "and dimmed");

    terminal.clear();
    terminal.press("/thinking\r");
    terminal.wait_for_prompt();
    let thought = terminal.contents();
    terminal.clear();
    terminal.say("And you?");

    let path = home.0.join("saved chat.json");
    terminal.press(&format!("/save {}\r", path.display()));
    terminal.wait("saved to");
    terminal.press(CTRL_D);
    let ended = terminal.ended();
    assert!(ended.contains(", 0)"), "{ended}");

    let saved = saved(&path);
    let messages = saved["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages
        .iter()
        .map(|m| m["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
    assert_eq!(messages[2]["content"], "And you?");
    assert_eq!(saved["reasoning_effort"], "high");
    let reasoning = messages[1]["reasoning_content"].as_str().unwrap();
    let first_word = reasoning.split_whitespace().next().unwrap();
    assert!(
        thought.contains(first_word),
        "{first_word} is not in:\n{thought}"
    );
    assert!(!messages[1]["content"].as_str().unwrap().is_empty());
}

#[test]
fn lines_go_on_and_pasted_ones_stay_together() {
    let home = Home::new("multi-line");
    let mut terminal = Terminal::chat(&home, &["-m", &scripted()], &[]);
    terminal.press("one");
    terminal.press(ALT_ENTER);
    terminal.press("two\\\rthree");
    terminal.wait("three");
    terminal.say("");
    terminal.clear();
    // A bracketed paste, as terminals send it.
    terminal.press("\x1b[200~four\nfive\nsix\x1b[201~");
    terminal.wait("six");
    terminal.say("");
    let path = home.0.join("saved.json");
    terminal.press(&format!("/save {}\r", path.display()));
    terminal.wait("saved to");
    terminal.press("/quit\r");
    terminal.ended();
    let saved = saved(&path);
    assert_eq!(saved["messages"][0]["content"], "one\ntwo\nthree");
    assert_eq!(saved["messages"][2]["content"], "four\nfive\nsix");
}

#[test]
fn history_outlives_the_chat_and_tab_completes() {
    let home = Home::new("history");
    let mut terminal = Terminal::chat(&home, &["-m", &scripted()], &[]);
    terminal.say("remember me");
    terminal.press(CTRL_D);
    terminal.ended();
    assert!(home.history().contains("remember me"), "{}", home.history());

    let picture = home.0.join("a picture.png");
    std::fs::write(&picture, "no picture").unwrap();
    let mut terminal = Terminal::chat(&home, &["-m", &scripted()], &[]);
    terminal.press(UP);
    terminal.wait("> remember me");
    // Ctrl-U clears the line.
    terminal.press("\x15/ef\t");
    terminal.wait("> /effort");
    terminal.press("hi\t\r");
    terminal.wait("> /effort high");
    terminal.wait_for_prompt();
    terminal.press(&format!("/image {}/a p\t", home.0.display()));
    terminal.wait("picture.png");
    terminal.press("\r");
    terminal.wait("expects a PNG");
    terminal.press(CTRL_D);
    terminal.ended();
}

#[test]
fn ctrl_c_stops_a_reply_and_keeps_it() {
    let home = Home::new("ctrl-c");
    // An answer that may not end before it has so many characters.
    let schema = home.0.join("schema.json");
    std::fs::write(&schema, r#"{"type": "string", "minLength": 20000}"#).unwrap();
    let schema = schema.display().to_string();
    let args = ["-m", &scripted(), "--json-schema", &schema];
    let mut terminal = Terminal::chat(&home, &args, &[]);
    terminal.press("Tell me a very long story\r");
    terminal.wait_until("the beginning of a story", |screen| screen.len() > 700);
    terminal.press(CTRL_C);
    terminal.wait("ended by interrupted");
    terminal.wait_for_prompt();
    let path = home.0.join("saved.json");
    terminal.press(&format!("/save {}\r", path.display()));
    terminal.wait("saved to");
    let kept = &saved(&path)["messages"][1]["content"];
    assert!(kept.as_str().unwrap().len() > 80, "{kept}");

    // At the prompt, the first clears the line, and the second ends the chat.
    terminal.wait_for_prompt();
    terminal.press("never mind");
    terminal.press(CTRL_C);
    terminal.wait("Ctrl-C again");
    terminal.wait_for_prompt();
    terminal.press(CTRL_C);
    let ended = terminal.ended();
    assert!(ended.contains(", 0)"), "{ended}");
}

#[test]
fn a_tool_is_called_and_its_result_typed() {
    let home = Home::new("tools");
    let tools = home.0.join("tools.json");
    let tool = r#"[{"type": "function", "function": {"name": "look", "description": "x", "strict": true, "parameters": {"type": "object", "properties": {"at": {"type": "boolean"}}, "required": ["at"]}}}]"#;
    std::fs::write(&tools, tool).unwrap();
    let tools = tools.display().to_string();
    let mut terminal = Terminal::chat(&home, &["-m", &scripted(), "--tools", &tools], &[]);
    terminal.press("What is there?\r");
    terminal.wait("result of look:");
    // It may call again; the last answer calls nothing.
    for _ in 0..20 {
        terminal.clear();
        terminal.press("a bird\r");
        let last = |screen: &str| screen.trim_end().chars().next_back();
        terminal.wait_until("a prompt or another call", |screen| {
            matches!(last(screen), Some('>' | ':'))
        });
        if last(&terminal.contents()) == Some('>') {
            break;
        }
    }
    let path = home.0.join("saved.json");
    terminal.press(&format!("/save {}\r", path.display()));
    terminal.wait("saved to");
    terminal.press(CTRL_D);
    terminal.ended();
    let saved = saved(&path);
    let messages = saved["messages"].as_array().unwrap();
    let call = &messages[1]["tool_calls"][0];
    assert!(call["function"]["name"].is_string(), "{saved}");
    assert_eq!(messages[2]["tool_call_id"], call["id"]);
    assert_eq!(messages[2]["content"], "a bird");
    assert!(
        !home.history().contains("a bird"),
        "results are no messages"
    );
}

#[test]
fn without_colours_nothing_is_styled() {
    let home = Home::new("no-color");
    let variables = [("NO_COLOR", "1")];
    let mut terminal = Terminal::chat(&home, &["-m", &scripted(), "--effort", "high"], &variables);
    terminal.say("Hello");
    terminal.press(CTRL_D);
    terminal.ended();
    let bytes = terminal.bytes();
    for code in ["\x1b[2m", "\x1b[1m", "\x1b[36m"] {
        assert!(!bytes.contains(code), "{bytes:?}");
    }

    let dumb = Home::new("dumb");
    let mut terminal = Terminal::chat(
        &dumb,
        &["-m", &scripted(), "--effort", "high"],
        &[("TERM", "dumb")],
    );
    terminal.say("Hello");
    terminal.press(CTRL_D);
    terminal.ended();
    let bytes = terminal.bytes();
    assert!(!bytes.contains('\x1b'), "{bytes:?}");
    assert!(bytes.contains("(thought for"), "{bytes:?}");
}

/// In a pipe each line is a turn: no prompt, no style, nothing but the answers.
#[test]
fn lines_of_a_pipe_are_turns() {
    let model = scripted();
    let args = ["run", "-q", "-m", &model, "--seed", "3", "--effort", "high"];
    let answers = stdout(&args, "Hello\nAnd\\\nyou?\n");
    assert!(
        !answers.contains('\x1b') && !answers.contains("> "),
        "{answers:?}"
    );
    let lines = stdout(&[&args[..], &["--json"]].concat(), "Hello\nAnd\\\nyou?\n");
    let objects: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 2);
    let contents: String = objects
        .iter()
        .map(|object| format!("{}\n", object["content"].as_str().unwrap()))
        .collect();
    assert_eq!(contents, answers);
    // The second turn has the first in its prompt.
    let prompts: Vec<u64> = objects
        .iter()
        .map(|object| object["usage"]["prompt_tokens"].as_u64().unwrap())
        .collect();
    assert!(prompts[1] > prompts[0] + 2, "{prompts:?}");
}

#[test]
fn a_failed_turn_of_a_pipe_is_told_and_counted() {
    let model = fixture("llama-tiny-f32.gguf");
    let args = ["run", "-q", "-m", &model, "--max-tokens", "4", "--json"];
    let output = tramontane(&args, "/effort high\n/nonsense\n");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let errors: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(errors.len(), 2, "{text}");
    assert!(errors[1]["error"].as_str().unwrap().contains("/nonsense"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("2 turns failed"));
}

#[test]
fn a_script_gets_one_object() {
    let model = scripted();
    let args = [
        "run", "-q", "-m", &model, "--json", "--seed", "7", "--effort", "high", "Hello",
    ];
    let line = stdout(&args, "");
    assert_eq!(line.lines().count(), 1);
    let object: Value = serde_json::from_str(&line).unwrap();
    let fields: Vec<&String> = object.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        [
            "content",
            "reasoning",
            "tool_calls",
            "finish_reason",
            "usage",
            "timings",
            "seed"
        ]
    );
    assert_eq!(object["seed"], 7);
    assert_eq!(object["finish_reason"], "stop");
    assert_eq!(object["tool_calls"].as_array().unwrap().len(), 0);
    assert!(!object["reasoning"].as_str().unwrap().is_empty());
    let usage = &object["usage"];
    let count = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(
        count("total_tokens"),
        count("prompt_tokens") + count("completion_tokens")
    );
    assert!(
        usage["completion_tokens_details"]["reasoning_tokens"]
            .as_u64()
            .unwrap()
            > 0
    );
    assert!(object["timings"]["first_token_ms"].as_f64().unwrap() > 0.0);
    // The same seed, the same reply; without thinking, its place is empty.
    let again: Value = serde_json::from_str(&stdout(&args, "")).unwrap();
    assert_eq!(again["content"], object["content"]);
    let none = [
        "run",
        "-q",
        "-m",
        &model,
        "--json",
        "--seed",
        "7",
        "--max-tokens",
        "2",
        "Hello",
    ];
    let none: Value = serde_json::from_str(&stdout(&none, "")).unwrap();
    assert!(none["reasoning"].is_null());
    assert_eq!(none["finish_reason"], "length");
    assert_eq!(none["usage"]["completion_tokens"], 2);
}
