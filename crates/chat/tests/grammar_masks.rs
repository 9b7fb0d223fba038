//! Grammars against `fixtures/grammar`: the same requests refused, and the same tokens allowed, mask by mask, as
//! mistral-common's grammars allow in the Python package llguidance.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use chat::format::grammar::constraint::{GrammarConstraint, Grammars};
use chat::format::grammar::{Beside, GrammarRequest, ResponseFormat, ToolChoice, render};
use chat::format::parse::{Reply, ReplyParser};
use chat::json::{self, Value};
use chat::message::Tool;
use chat::{ChatError, Tekken};

const END: u32 = 2;

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/grammar")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fixture's tokenizer as a file of `version` would have it: no settings before 15, other names for
/// thoughts before 13.
fn tekken(version: &str) -> Arc<Tekken> {
    let mut file: serde_json::Value = serde_json::from_str(&fixture("tekken.json")).unwrap();
    file["config"]["version"] = version.into();
    if version != "v15" {
        file.as_object_mut()
            .unwrap()
            .remove("model_settings_builder");
    }
    if version == "v11" {
        for special in file["special_tokens"].as_array_mut().unwrap() {
            special["token_str"] = special["token_str"]
                .as_str()
                .unwrap()
                .replace("THINK", "OTHER")
                .into();
        }
    }
    Arc::new(Tekken::from_json(file.to_string().as_bytes(), "tekken.json".as_ref()).unwrap())
}

struct Case {
    version: String,
    tools: Vec<Tool>,
    tool_choice: ToolChoice,
    parallel_tool_calls: bool,
    response_format: ResponseFormat,
    row: Value,
}

impl Case {
    fn request(&self) -> GrammarRequest<'_> {
        GrammarRequest {
            tools: &self.tools,
            tool_choice: self.tool_choice.clone(),
            parallel_tool_calls: self.parallel_tool_calls,
            response_format: self.response_format.clone(),
            beside: Beside::Anything,
        }
    }
}

fn get<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object()?.get(name)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    get(value, name)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{name} in {value:?}"))
}

fn tool(value: &Value) -> Tool {
    let function = get(value, "function").unwrap();
    Tool {
        name: text(function, "name").to_owned(),
        description: text(function, "description").to_owned(),
        parameters: get(function, "parameters").unwrap().clone(),
        strict: get(function, "strict") == Some(&Value::Bool(true)),
    }
}

fn cases() -> Vec<Case> {
    let read = |line: &str| {
        let row = json::parse(line).unwrap();
        let fields = get(&row, "request").unwrap();
        Case {
            version: text(&row, "version").to_owned(),
            tools: get(fields, "tools")
                .and_then(Value::as_array)
                .unwrap_or_default()
                .iter()
                .map(tool)
                .collect(),
            tool_choice: ToolChoice::from_json(get(fields, "tool_choice")).unwrap(),
            parallel_tool_calls: get(fields, "parallel_tool_calls") != Some(&Value::Bool(false)),
            response_format: ResponseFormat::from_json(get(fields, "response_format")).unwrap(),
            row,
        }
    };
    fixture("cases.jsonl").lines().map(read).collect()
}

fn grammars() -> HashMap<&'static str, Grammars> {
    ["v15", "v13", "v11"]
        .into_iter()
        .map(|version| (version, Grammars::new(tekken(version)).unwrap()))
        .collect()
}

fn fnv(words: &[u32]) -> u32 {
    words
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .fold(0x811c_9dc5, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        })
}

fn allows(mask: &[u32], id: u32) -> bool {
    mask[id as usize / 32] >> (id % 32) & 1 == 1
}

/// A mask as the fixture writes it: how many tokens, and a hash of which.
fn shown(mask: &[u32]) -> String {
    let count: u32 = mask.iter().map(|word| word.count_ones()).sum();
    format!("{count}:{:08x}", fnv(mask))
}

fn follow(
    constraint: &mut GrammarConstraint,
    walk: &Value,
    vocab_size: usize,
    name: &str,
) -> usize {
    let ids: Vec<u32> = get(walk, "ids")
        .and_then(Value::as_array)
        .unwrap()
        .iter()
        .map(|id| id.dumps().parse().unwrap())
        .collect();
    let mut mask = vec![u32::MAX; vocab_size.div_ceil(32)];
    let expected = text(walk, "masks")
        .split(' ')
        .zip(text(walk, "accepting").bytes());
    let mut steps = 0;
    for (step, (expected_mask, accepting)) in expected.enumerate() {
        constraint.mask(&mut mask).unwrap();
        assert_eq!(
            shown(&mask),
            expected_mask,
            "{name}, after {:?}",
            &ids[..step]
        );
        assert_eq!(
            constraint.is_accepting().unwrap(),
            accepting == b'1',
            "{name}, after {:?}",
            &ids[..step]
        );
        assert!(
            accepting != b'1' || allows(&mask, END),
            "{name}: an end must be allowed, after {:?}",
            &ids[..step]
        );
        if let Some(&id) = ids.get(step) {
            constraint.commit(id).unwrap();
        }
        steps += 1;
    }
    assert_eq!(steps, ids.len() + 1);
    steps
}

#[test]
fn masks_and_refusals_are_the_references() {
    let grammars = grammars();
    let cases = cases();
    let (mut masks, mut refused, mut unenforceable) = (0, 0, 0);
    for (number, case) in cases.iter().enumerate() {
        let name = format!(
            "case {number} {}",
            get(&case.row, "request").unwrap().dumps()
        );
        let grammars = &grammars[case.version.as_str()];
        let compiled = grammars.constraint(&case.request());
        if get(&case.row, "free").is_some() {
            assert!(matches!(compiled, Ok(None)), "{name}: {compiled:?}");
        } else if let Some(message) = get(&case.row, "refused") {
            let error = compiled.unwrap_err();
            assert_eq!(
                error,
                ChatError::InvalidRequest(message.as_str().unwrap().to_owned()),
                "{name}"
            );
            refused += 1;
        } else if get(&case.row, "unenforceable").is_some() {
            assert!(
                matches!(&compiled, Err(ChatError::InvalidRequest(_))),
                "{name}: {compiled:?}"
            );
            unenforceable += 1;
        } else {
            let start = compiled
                .unwrap_or_else(|error| panic!("{name}: {error}"))
                .unwrap();
            let vocab_size = tekken_size(&case.version);
            for walk in get(&case.row, "walks").and_then(Value::as_array).unwrap() {
                masks += follow(&mut start.fork(), walk, vocab_size, &name);
            }
        }
    }
    assert!(
        masks > 10_000 && refused > 40 && unenforceable > 10,
        "{masks} {refused} {unenforceable}"
    );
}

fn tekken_size(version: &str) -> usize {
    static SIZES: std::sync::LazyLock<HashMap<&str, usize>> = std::sync::LazyLock::new(|| {
        ["v15", "v13", "v11"]
            .into_iter()
            .map(|v| (v, tekken(v).vocab_size()))
            .collect()
    });
    SIZES[version]
}

#[test]
fn an_error_names_the_schema_and_the_keyword() {
    let grammars = Grammars::new(tekken("v15")).unwrap();
    let parameters = json::parse(
        r#"{"type": "object", "properties": {"a": {"type": "array", "uniqueItems": true}}}"#,
    )
    .unwrap();
    let tool = |name: &str, parameters: &Value, strict| Tool {
        name: name.to_owned(),
        description: String::new(),
        parameters: parameters.clone(),
        strict,
    };
    let plain = json::parse(r#"{"type": "object"}"#).unwrap();
    let tools = [
        tool("first", &plain, true),
        tool("second", &parameters, true),
    ];
    let request = |tools, response_format| GrammarRequest {
        tools,
        tool_choice: ToolChoice::Auto,
        parallel_tool_calls: true,
        response_format,
        beside: Beside::Anything,
    };
    let error = grammars
        .constraint(&request(&tools, ResponseFormat::Text))
        .unwrap_err()
        .to_string();
    assert!(
        ["tools[1]", "second", "uniqueItems"]
            .iter()
            .all(|word| error.contains(word)),
        "{error}"
    );
    // Without `strict` the schema is not enforced, so nothing is wrong with it.
    let tools = [
        tool("first", &plain, true),
        tool("second", &parameters, false),
    ];
    assert!(
        grammars
            .constraint(&request(&tools, ResponseFormat::Text))
            .unwrap()
            .is_some()
    );
    let schema = json::parse(r#"{"not": {"type": "integer"}}"#).unwrap();
    let format = ResponseFormat::JsonSchema {
        schema,
        strict: true,
    };
    let error = grammars
        .constraint(&request(&[], format))
        .unwrap_err()
        .to_string();
    assert!(
        ["response_format.json_schema.schema", "not"]
            .iter()
            .all(|word| error.contains(word)),
        "{error}"
    );
}

#[test]
fn requests_are_read_or_refused_by_field() {
    let format = |text: &str| ResponseFormat::from_json(Some(&json::parse(text).unwrap()));
    assert_eq!(
        ResponseFormat::from_json(None).unwrap(),
        ResponseFormat::Text
    );
    assert_eq!(
        format(r#"{"type": "json_object"}"#).unwrap(),
        ResponseFormat::JsonObject
    );
    for (text, word) in [
        (r#"{"type": "xml"}"#, "json_schema"),
        ("5", "object"),
        (r#"{"type": "json_schema"}"#, "json_schema"),
        (
            r#"{"type": "json_schema", "json_schema": {"name": "x"}}"#,
            "schema",
        ),
        (
            r#"{"type": "json_schema", "json_schema": {"schema": {"type": 5}}}"#,
            "schema",
        ),
        (
            r#"{"type": "json_schema", "json_schema": {"schema": {}, "strict": 1}}"#,
            "strict",
        ),
    ] {
        let error = format(text).unwrap_err();
        assert!(
            matches!(&error, ChatError::Validation(message) if message.contains(word)),
            "{text}: {error}"
        );
    }
    let choice = |text: &str| ToolChoice::from_json(Some(&json::parse(text).unwrap()));
    assert_eq!(
        choice(r#"{"function": {"name": "f"}}"#).unwrap(),
        ToolChoice::Named("f".to_owned())
    );
    for text in [
        r#""sometimes""#,
        "{}",
        "5",
        r#"{"type": "web", "function": {"name": "f"}}"#,
    ] {
        assert!(
            matches!(choice(text), Err(ChatError::Validation(_))),
            "{text}"
        );
    }
}

#[test]
fn old_tokenizers_have_no_grammars() {
    let mut file: serde_json::Value = serde_json::from_str(&fixture("tekken.json")).unwrap();
    file["config"]["version"] = "v7".into();
    for newer in ["model_settings_builder", "special_tokens", "image"] {
        file.as_object_mut().unwrap().remove(newer);
    }
    let old = Tekken::from_json(file.to_string().as_bytes(), "tekken.json".as_ref()).unwrap();
    let case = &cases()[1];
    let request = GrammarRequest {
        response_format: ResponseFormat::JsonObject,
        ..case.request()
    };
    let error = render(&request, &old).unwrap_err();
    assert!(
        matches!(&error, ChatError::UnsupportedTokenizerFeature(message) if message.contains("v11")),
        "{error}"
    );
}

#[test]
fn a_hostile_schema_is_an_error_and_not_a_crash() {
    let grammars = Grammars::new(tekken("v15")).unwrap();
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{}{}{}", open.repeat(depth), "{}", close.repeat(depth))
    };
    let wide: Vec<String> = (0..20_000)
        .map(|index| format!(r#""k{index}": {{"type": "string", "pattern": "^a{{1,{index}}}b$"}}"#))
        .collect();
    for (name, must_fail, schema) in [
        ("deep", true, nested(r#"{"type": "array", "items": "#, "}", 300)),
        ("deep anyOf", true, nested(r#"{"anyOf": ["#, "]}", 300)),
        ("wide", true, format!(r#"{{"type": "object", "properties": {{{}}}}}"#, wide.join(", "))),
        ("powers", false, r#"{"type": "string", "pattern": "^((((a{1,99}){1,99}){1,99}){1,99}){1,99}$"}"#.to_owned()),
        ("length", false, r#"{"type": "string", "minLength": 1000000000}"#.to_owned()),
        ("items", false, r#"{"type": "array", "minItems": 1000000000, "items": {"type": "integer"}}"#.to_owned()),
        ("itself", false, r##"{"$ref": "#"}"##.to_owned()),
        ("circle", false, r##"{"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}"##.to_owned()),
    ] {
        let start = std::time::Instant::now();
        let schema = json::parse(&schema).unwrap();
        let request = GrammarRequest {
            tools: &[],
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: true,
            response_format: ResponseFormat::JsonSchema { schema, strict: true },
            beside: Beside::Nothing,
        };
        let compiled = grammars.constraint(&request);
        let refused = match compiled {
            Err(error) => {
                let message = error.to_string();
                assert!(message.len() < 500 && !message.contains('\n'), "{name}: {message}");
                true
            }
            // A schema that nothing satisfies may be found out only here.
            Ok(constraint) => constraint.unwrap().mask(&mut [0; 90]).is_err(),
        };
        assert!(start.elapsed().as_secs() < 30, "{name}");
        assert_eq!(refused, must_fail, "{name}");
    }
}

/// A number from 0 to `below`, from a fixed sequence.
fn random(state: &mut u64, below: usize) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 33) as usize) % below
}

/// Wanders through a grammar to its end, fond of special tokens and of short replies.
fn wander(
    constraint: &mut GrammarConstraint,
    vocab_size: usize,
    state: &mut u64,
) -> Option<Vec<u32>> {
    let mut ids = Vec::new();
    let mut mask = vec![0; vocab_size.div_ceil(32)];
    while ids.len() < 120 {
        constraint.mask(&mut mask).unwrap();
        let allowed: Vec<u32> = (0..vocab_size as u32)
            .filter(|&id| allows(&mask, id))
            .collect();
        let special: Vec<u32> = allowed.iter().copied().filter(|&id| id < 1000).collect();
        let closing: Vec<u32> = allowed
            .iter()
            .copied()
            .filter(|&id| {
                [b'}', b']', b'"']
                    .iter()
                    .any(|&b| id == 1000 + u32::from(b))
            })
            .collect();
        let id = if allowed.contains(&END) && random(state, 3) == 0 {
            END
        } else if !special.is_empty() && random(state, 3) == 0 {
            special[random(state, special.len())]
        } else if !closing.is_empty() && random(state, 2) == 0 {
            closing[random(state, closing.len())]
        } else {
            allowed[random(state, allowed.len())]
        };
        constraint.commit(id).unwrap();
        ids.push(id);
        if id == END {
            return Some(ids);
        }
    }
    None
}

#[test]
fn every_reply_that_a_grammar_lets_through_parses() {
    let tekken = tekken("v15");
    let grammars = Grammars::new(Arc::clone(&tekken)).unwrap();
    let mut state = 1;
    let (mut finished, mut calls, mut thoughts) = (0, 0, 0);
    for case in cases().iter().filter(|case| case.version == "v15") {
        let Ok(Some(start)) = grammars.constraint(&case.request()) else {
            continue;
        };
        for _ in 0..30 {
            let Some(ids) = wander(&mut start.fork(), tekken.vocab_size(), &mut state) else {
                continue;
            };
            finished += 1;
            let mut parser = ReplyParser::new(&tekken, false, 1);
            let mut deltas = Vec::new();
            ids.iter()
                .for_each(|&id| parser.push(&tekken, id, &mut deltas));
            parser.finish(&mut deltas);
            let reply = Reply::from_deltas(&deltas);
            assert_eq!(reply.stray, [0u32; 0], "{ids:?}");
            assert!(reply.reasoning_closed, "{ids:?}");
            thoughts += usize::from(!reply.reasoning.is_empty());
            for call in &reply.tool_calls {
                calls += 1;
                assert!(call.complete, "{ids:?}");
                let arguments = json::parse(call.arguments.trim());
                assert!(
                    arguments.is_ok_and(|value| value.as_object().is_some()),
                    "{:?}",
                    call.arguments
                );
                let known = case.tools.iter().any(|tool| tool.name == call.name);
                assert!(
                    known || !case.tools.iter().any(|tool| tool.strict),
                    "{call:?}"
                );
            }
            if case.response_format != ResponseFormat::Text
                && reply.tool_calls.is_empty()
                && !is_empty_schema(&case.response_format)
            {
                assert!(
                    json::parse(reply.content.trim()).is_ok(),
                    "{:?}",
                    reply.content
                );
            }
        }
    }
    assert!(
        finished > 2_000 && calls > 500 && thoughts > 200,
        "{finished} replies, {calls} calls, {thoughts} thoughts"
    );
}

fn is_empty_schema(format: &ResponseFormat) -> bool {
    matches!(format, ResponseFormat::JsonSchema { schema: Value::Object(object), strict: true } if object.is_empty())
}
