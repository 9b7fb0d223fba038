//! What a reply that must be calls, or JSON, may say beside them: by the maker's grammars much, by ours a thought at most.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use chat::Tekken;
use chat::format::grammar::constraint::{GrammarConstraint, Grammars};
use chat::format::grammar::{Beside, GrammarRequest, ResponseFormat, ToolChoice};
use chat::json;
use chat::message::Tool;

const ALL: [Beside; 3] = [Beside::Anything, Beside::Thought, Beside::Nothing];

fn tekken() -> Arc<Tekken> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/grammar/tekken.json");
    Arc::new(Tekken::from_json(&fs::read(&path).unwrap(), &path).unwrap())
}

fn tools() -> Vec<Tool> {
    let tool = |name: &str| Tool {
        name: name.to_owned(),
        description: String::new(),
        parameters: json::parse(r#"{"type": "object"}"#).unwrap(),
        strict: false,
    };
    vec![tool("first"), tool("second")]
}

/// A reply's constraint, and what it is asked.
struct Walk {
    tekken: Arc<Tekken>,
    constraint: GrammarConstraint,
}

impl Walk {
    fn new(tools: &[Tool], choice: ToolChoice, format: ResponseFormat, beside: Beside) -> Self {
        let tekken = tekken();
        let grammars = Grammars::new(Arc::clone(&tekken)).unwrap();
        let request = GrammarRequest {
            tools,
            tool_choice: choice,
            parallel_tool_calls: true,
            response_format: format,
            beside,
        };
        let constraint = grammars.constraint(&request).unwrap().unwrap();
        Self { tekken, constraint }
    }

    fn special(&self, name: &str) -> u32 {
        self.tekken.special(name).unwrap()
    }

    fn text(&mut self, text: &str) {
        for id in self.tekken.encode_text(text) {
            self.constraint.commit(id).unwrap();
        }
    }

    fn token(&mut self, name: &str) {
        let id = self.special(name);
        self.constraint.commit(id).unwrap();
    }

    fn allowed(&mut self) -> Vec<u32> {
        let size = self.tekken.vocab_size();
        let mut mask = vec![0; size.div_ceil(32)];
        self.constraint.mask(&mut mask).unwrap();
        let size = u32::try_from(size).unwrap();
        (0..size)
            .filter(|id| mask[*id as usize / 32] >> (id % 32) & 1 == 1)
            .collect()
    }

    fn allows(&mut self, text: &str) -> bool {
        let first = self.tekken.encode_text(text)[0];
        self.allowed().contains(&first)
    }
}

#[test]
fn a_required_call_is_the_whole_reply() {
    let tools = tools();
    for choice in [
        ToolChoice::Required("required"),
        ToolChoice::Named("second".to_owned()),
    ] {
        let walk = |beside| Walk::new(&tools, choice.clone(), ResponseFormat::Text, beside);
        let mut loose = walk(Beside::Anything);
        assert!(loose.allows("I") && loose.allowed().len() > 200);

        let mut held = walk(Beside::Nothing);
        let call = held.special("[TOOL_CALLS]");
        assert_eq!(held.allowed(), [call]);
        held.token("[TOOL_CALLS]");
        held.text("second");
        held.token("[ARGS]");
        held.text("{\"a\": 1}");
        assert!(held.constraint.is_accepting().unwrap());

        let mut thinking = walk(Beside::Thought);
        let mut begins = [call, thinking.special("[THINK]")];
        begins.sort_unstable();
        assert_eq!(thinking.allowed(), begins);
        thinking.token("[THINK]");
        thinking.text("Hm.");
        thinking.token("[/THINK]");
        assert_eq!(thinking.allowed(), [call]);
    }
}

#[test]
fn a_model_that_decides_may_still_talk() {
    let tools = tools();
    for beside in ALL {
        let mut walk = Walk::new(&tools, ToolChoice::Auto, ResponseFormat::Text, beside);
        let think = walk.special("[THINK]");
        assert!(walk.allows("I") && walk.allowed().contains(&think));
        walk.text("I look it up.");
        let call = walk.special("[TOOL_CALLS]");
        assert!(walk.allowed().contains(&call));
    }
}

#[test]
fn json_comes_at_once_and_its_white_space_ends() {
    let format = ResponseFormat::JsonSchema {
        schema: json::parse(
            r#"{"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"]}"#,
        )
        .unwrap(),
        strict: true,
    };
    for beside in ALL {
        let mut walk = Walk::new(&[], ToolChoice::Auto, format.clone(), beside);
        let think = walk.special("[THINK]");
        let may_think = walk.allowed().contains(&think);
        assert_eq!(may_think, beside != Beside::Nothing);
        walk.text("{");
        let mut count = 0;
        while walk.allows("\n") && count < 100 {
            walk.text("\n");
            count += 1;
        }
        let expected = if beside == Beside::Anything { 100 } else { 24 };
        assert_eq!(count, expected, "{beside:?}");
        walk.text("\"a\": 1}");
        assert!(walk.constraint.is_accepting().unwrap());
    }
}

#[test]
fn what_a_schema_says_of_the_compiler_stands() {
    let format = ResponseFormat::JsonSchema {
        schema: json::parse(r#"{"type": "object", "x-guidance": {"whitespace_flexible": false}}"#)
            .unwrap(),
        strict: true,
    };
    let mut walk = Walk::new(&[], ToolChoice::Auto, format, Beside::Nothing);
    walk.text("{");
    assert!(!walk.allows(" ") && walk.allows("}"));
}

#[test]
fn dates_under_a_schema_are_days_that_there_were() {
    let format = |name: &str| {
        ResponseFormat::JsonSchema {
        schema: json::parse(&format!(
            r#"{{"type": "object", "properties": {{"a": {{"type": "string", "format": "{name}"}}}}, "required": ["a"]}}"#
        ))
        .unwrap(),
        strict: true,
    }
    };
    let says = |name: &str, day: &str| {
        let mut walk = Walk::new(&[], ToolChoice::Auto, format(name), Beside::Nothing);
        let reply = walk.tekken.encode_text(&format!("{{\"a\": \"{day}\"}}"));
        let said = |id: u32| walk.allowed().contains(&id) && walk.constraint.commit(id).is_ok();
        reply.into_iter().all(said)
    };
    for day in [
        "2024-02-29",
        "2000-02-29",
        "0004-02-29",
        "2023-02-28",
        "0001-01-31",
        "1999-12-31",
    ] {
        assert!(says("date", day), "{day}");
        assert!(says("date-time", &format!("{day}T12:00:00.5Z")), "{day}");
    }
    for day in [
        "0000-01-08",
        "2023-02-29",
        "1900-02-29",
        "0000-02-29",
        "2023-02-30",
        "2023-04-31",
        "2023-13-01",
    ] {
        assert!(!says("date", day), "{day}");
        assert!(!says("date-time", &format!("{day}T12:00:00.5Z")), "{day}");
    }
}
