//! Replies from token ids: one defined result for whatever a model writes, and nothing lost or leaked.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use chat::format::parse::{
    Delta, FinishReason, Reply, ReplyParser, TokenCounts, ToolCall, call_id,
};
use chat::tekken::{SpecialPolicy, Tekken};
use proptest::prelude::*;

const END: u32 = 2;
const INST: u32 = 3;
const TOOL_CALLS: u32 = 9;
const ARGS: u32 = 32;
const CALL_ID: u32 = 33;
const THINK: u32 = 34;
const END_THINK: u32 = 35;
const FILLER: u32 = 777;

/// The first ordinary id: those of the 256 single bytes follow.
const BYTES: u32 = 1000;

fn tekken_json() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/grammar/tekken.json");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn load(json: &str) -> Tekken {
    Tekken::from_json(json.as_bytes(), "tekken.json".as_ref()).unwrap()
}

static TEKKEN: LazyLock<Tekken> = LazyLock::new(|| load(&tekken_json()));

/// A reply's parts: text, or a special token.
enum Part<'a> {
    Text(&'a str),
    Special(u32),
}

impl From<u32> for Part<'_> {
    fn from(id: u32) -> Self {
        Part::Special(id)
    }
}

impl<'a> From<&'a str> for Part<'a> {
    fn from(text: &'a str) -> Self {
        Part::Text(text)
    }
}

macro_rules! ids {
    ($($part:expr),* $(,)?) => {{
        let mut ids: Vec<u32> = Vec::new();
        $(match Part::from($part) {
            Part::Text(text) => ids.extend(TEKKEN.encode_text(text)),
            Part::Special(id) => ids.push(id),
        })*
        ids
    }};
}

struct Parsed {
    reply: Reply,
    deltas: Vec<Delta>,
    counts: TokenCounts,
}

fn parse_with(tekken: &Tekken, ids: &[u32], start_in_thought: bool) -> Parsed {
    let mut parser = ReplyParser::new(tekken, start_in_thought, 7);
    let mut deltas = Vec::new();
    for &id in ids {
        parser.push(tekken, id, &mut deltas);
    }
    parser.finish(&mut deltas);
    Parsed {
        reply: Reply::from_deltas(&deltas),
        counts: parser.counts(),
        deltas,
    }
}

fn parse(ids: &[u32]) -> Reply {
    parse_with(&TEKKEN, ids, false).reply
}

fn call(index: usize, name: &str, arguments: &str, complete: bool) -> ToolCall {
    ToolCall {
        id: call_id(7, index),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        complete,
    }
}

fn reply(reasoning: &str, content: &str, tool_calls: Vec<ToolCall>) -> Reply {
    Reply {
        reasoning: reasoning.to_owned(),
        reasoning_closed: true,
        content: content.to_owned(),
        tool_calls,
        stray: Vec::new(),
    }
}

#[test]
fn a_whole_reply_has_thoughts_an_answer_and_calls() {
    let ids = ids![
        THINK,
        "Use two tools. 🎉",
        END_THINK,
        "Let me see.\n",
        TOOL_CALLS,
        "get_weather",
        ARGS,
        r#"{"city": "Zürich"}"#,
        TOOL_CALLS,
        "now",
        ARGS,
        "{}",
        END
    ];
    let calls = vec![
        call(0, "get_weather", r#"{"city": "Zürich"}"#, true),
        call(1, "now", "{}", true),
    ];
    assert_eq!(
        parse(&ids),
        reply("Use two tools. 🎉", "Let me see.\n", calls)
    );
    assert_eq!(parse(&ids!["Hello", END]), reply("", "Hello", vec![]));
    assert_eq!(parse(&ids![END]), reply("", "", vec![]));
    assert_eq!(parse(&[]), reply("", "", vec![]));
}

#[test]
fn text_that_spells_a_control_token_stays_text() {
    let text = "[THINK]a[/THINK][TOOL_CALLS]f[ARGS]{}</s><SPECIAL_777>";
    assert_eq!(parse(&ids![text, END]), reply("", text, vec![]));
    assert_eq!(
        parse(&ids![THINK, text, END_THINK, "x"]),
        reply(text, "x", vec![])
    );
    assert_eq!(
        parse(&ids![TOOL_CALLS, "f", ARGS, text, END]).tool_calls[0].arguments,
        text
    );
}

/// The table of the module's documentation, row by row.
#[test]
fn what_is_out_of_place_has_one_result() {
    let stray = |reply: Reply, stray: &[u32]| Reply {
        stray: stray.to_vec(),
        ..reply
    };
    let open = |reply: Reply| Reply {
        reasoning_closed: false,
        ..reply
    };
    let cases: Vec<(&str, Vec<u32>, Reply)> = vec![
        (
            "nested",
            ids![THINK, "a", THINK, "b", END_THINK, "c", END],
            stray(reply("ab", "c", vec![]), &[THINK]),
        ),
        (
            "nested, closed twice",
            ids![THINK, "a", THINK, "b", END_THINK, "c", END_THINK, "d"],
            stray(reply("ab", "cd", vec![]), &[THINK, END_THINK]),
        ),
        (
            "stray end",
            ids!["a", END_THINK, "b", END],
            stray(reply("", "ab", vec![]), &[END_THINK]),
        ),
        (
            "unclosed, ended",
            ids![THINK, "a", END],
            open(reply("a", "", vec![])),
        ),
        (
            "unclosed, cut off",
            ids!["x", THINK, "a"],
            open(reply("a", "x", vec![])),
        ),
        (
            "empty thought",
            ids![THINK, END_THINK, "a"],
            reply("", "a", vec![]),
        ),
        (
            "two thoughts",
            ids![THINK, "a", END_THINK, "b", THINK, "c", END_THINK, "d"],
            reply("ac", "bd", vec![]),
        ),
        (
            "call in a thought",
            ids![THINK, "a", TOOL_CALLS, "f", ARGS, "{}", END_THINK, "b", END],
            stray(reply("af{}", "b", vec![]), &[TOOL_CALLS, ARGS]),
        ),
        (
            "cut off in the name",
            ids![TOOL_CALLS, "get_w"],
            reply("", "", vec![call(0, "get_w", "", false)]),
        ),
        (
            "ended in the name",
            ids![TOOL_CALLS, "f", END],
            reply("", "", vec![call(0, "f", "", false)]),
        ),
        (
            "no name",
            ids![TOOL_CALLS, ARGS, "{}", END],
            reply("", "", vec![call(0, "", "{}", true)]),
        ),
        (
            "nothing but the token",
            ids![TOOL_CALLS],
            reply("", "", vec![call(0, "", "", false)]),
        ),
        (
            "two tokens in a row",
            ids![TOOL_CALLS, TOOL_CALLS, "f", ARGS, "{}", END],
            reply(
                "",
                "",
                vec![call(0, "", "", false), call(1, "f", "{}", true)],
            ),
        ),
        (
            "cut off in the arguments",
            ids![TOOL_CALLS, "f", ARGS, r#"{"a": ["#],
            reply("", "", vec![call(0, "f", r#"{"a": ["#, false)]),
        ),
        (
            "no arguments",
            ids![TOOL_CALLS, "f", ARGS, END],
            reply("", "", vec![call(0, "f", "", true)]),
        ),
        (
            "white space",
            ids![TOOL_CALLS, "\n f ", ARGS, " {}\n", END],
            reply("", "", vec![call(0, "f", " {}\n", true)]),
        ),
        (
            "not JSON, and text behind",
            ids![TOOL_CALLS, "f", ARGS, "{oops} and so on", END],
            reply("", "", vec![call(0, "f", "{oops} and so on", true)]),
        ),
        (
            "arguments without a call",
            ids!["a", ARGS, "{}", END],
            stray(reply("", "a{}", vec![]), &[ARGS]),
        ),
        (
            "arguments twice",
            ids![TOOL_CALLS, "f", ARGS, "{", ARGS, "}", END],
            stray(reply("", "", vec![call(0, "f", "{}", true)]), &[ARGS]),
        ),
        (
            "a second thought after a call",
            ids![
                THINK, "a", END_THINK, TOOL_CALLS, "f", ARGS, "{}", THINK, "b", END_THINK, "c",
                TOOL_CALLS, "g", ARGS, "1", END
            ],
            reply(
                "ab",
                "c",
                vec![call(0, "f", "{}", true), call(1, "g", "1", true)],
            ),
        ),
        (
            "a thought in a name",
            ids![TOOL_CALLS, "f", THINK, "a", END_THINK, "b", END],
            reply("a", "b", vec![call(0, "f", "", false)]),
        ),
        (
            "the end of a thought in a call",
            ids![
                TOOL_CALLS, "f", END_THINK, "g", ARGS, "{", END_THINK, "}", END
            ],
            stray(
                reply("", "", vec![call(0, "fg", "{}", true)]),
                &[END_THINK, END_THINK],
            ),
        ),
        (
            "after the end",
            ids!["a", END, "b", END, THINK],
            stray(reply("", "a", vec![]), &[1098, END, THINK]),
        ),
        (
            "others",
            ids![
                INST, "a", FILLER, "b", CALL_ID, THINK, "c", 1, END_THINK, TOOL_CALLS, 0, "f",
                INST, ARGS, FILLER, "{}"
            ],
            stray(
                reply("c", "ab", vec![call(0, "f", "{}", false)]),
                &[INST, FILLER, CALL_ID, 1, 0, INST, FILLER],
            ),
        ),
    ];
    for (name, ids, expected) in cases {
        assert_eq!(parse(&ids), expected, "{name}");
    }
}

#[test]
fn a_prompt_that_ends_in_a_thought_goes_on_thinking() {
    let parsed = parse_with(&TEKKEN, &ids!["so", END_THINK, "4", END], true);
    assert_eq!(parsed.reply, reply("so", "4", vec![]));
    let parsed = parse_with(&TEKKEN, &ids!["so"], true);
    assert_eq!(
        parsed.reply,
        Reply {
            reasoning_closed: false,
            ..reply("so", "", vec![])
        }
    );
}

#[test]
fn bytes_never_join_across_a_special_token() {
    let byte = |byte: u8| BYTES + u32::from(byte);
    let (first, second) = (byte(0xc3), byte(0xa9));
    assert_eq!(parse(&[first, second]).content, "é");
    for special in [THINK, END_THINK, TOOL_CALLS, ARGS, FILLER, END] {
        let got = parse(&[first, special, second]);
        let all = [
            &got.content,
            &got.reasoning,
            &got.tool_calls
                .first()
                .map_or(String::new(), |call| call.name.clone()),
        ];
        assert!(
            all.iter().all(|text| !text.contains('é')),
            "{special}: {got:?}"
        );
        assert!(got.content.starts_with('\u{fffd}'), "{special}: {got:?}");
    }
}

#[test]
fn the_first_delta_of_a_call_carries_its_whole_name() {
    let parsed = parse_with(
        &TEKKEN,
        &ids![TOOL_CALLS, "a_long_function_name", ARGS, r#"{"x": 1}"#, END],
        false,
    );
    let start = Delta::ToolCallStart {
        index: 0,
        id: call_id(7, 0),
        name: "a_long_function_name".to_owned(),
    };
    assert_eq!(parsed.deltas.first(), Some(&start));
    assert_eq!(
        parsed.deltas.last(),
        Some(&Delta::ToolCallEnd {
            index: 0,
            complete: true
        })
    );
    assert!(
        parsed.deltas[1..]
            .iter()
            .all(|delta| !matches!(delta, Delta::ToolCallStart { .. }))
    );
}

#[test]
fn call_ids_are_nine_letters_and_digits_decided_by_the_seed() {
    let mut seen = std::collections::HashSet::new();
    for seed in 0..200 {
        for index in 0..5 {
            let id = call_id(seed, index);
            assert!(
                id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "{id}"
            );
            assert_eq!(id, call_id(seed, index));
            assert!(seen.insert(id));
        }
    }
}

#[test]
fn a_finish_reason_is_the_cut_first() {
    assert_eq!(FinishReason::of(false, 0).name(), "stop");
    assert_eq!(FinishReason::of(false, 2).name(), "tool_calls");
    assert_eq!(FinishReason::of(true, 2).name(), "length");
}

/// The tokenizer as an earlier version's file would have it.
fn as_version(version: &str, without: &[&str]) -> Tekken {
    let mut file: serde_json::Value = serde_json::from_str(&tekken_json()).unwrap();
    file["config"]["version"] = version.into();
    without
        .iter()
        .for_each(|field| drop(file.as_object_mut().unwrap().remove(*field)));
    load(&file.to_string())
}

#[test]
fn version_11_gives_calls_their_own_ids() {
    let old = as_version("v11", &["model_settings_builder"]);
    let list = ids![
        TOOL_CALLS,
        "f",
        CALL_ID,
        "abcDEF123",
        ARGS,
        "{}",
        TOOL_CALLS,
        "g",
        CALL_ID,
        "ab",
        ARGS,
        "{}",
        TOOL_CALLS,
        "h",
        CALL_ID,
        "c"
    ];
    let parsed = parse_with(&old, &list, false);
    let own = ToolCall {
        id: "abcDEF123".to_owned(),
        ..call(0, "f", "{}", true)
    };
    let calls = vec![own, call(1, "g", "{}", true), call(2, "h", "", false)];
    let stray = [TEKKEN.encode_text("ab"), TEKKEN.encode_text("c")].concat();
    assert_eq!(parsed.counts.stray, stray.len());
    assert_eq!(
        parsed.reply,
        Reply {
            stray,
            ..reply("", "", calls)
        }
    );
}

/// Version 7 and before: calls are one JSON list, and there are no thoughts.
#[test]
fn old_tokenizers_write_calls_as_a_list() {
    let old = as_version("v7", &["model_settings_builder", "special_tokens", "image"]);
    let run = |parts: Vec<u32>| parse_with(&old, &parts, false).reply;
    let list = r#" [{"name": "f", "arguments": {"b": 1.0, "a": "é"}}, {"name": "g", "arguments": {}, "id": "x"}] "#;
    let expected = vec![
        call(0, "f", r#"{"b": 1.0, "a": "é"}"#, true),
        call(1, "g", "{}", true),
    ];
    assert_eq!(
        run(ids!["Hm.", TOOL_CALLS, list, END]),
        reply("", "Hm.", expected)
    );
    for text in [
        r#"[{"name": "f", "argum"#,
        r#"{"name": "f"}"#,
        "[1]",
        r#"[{"name": "f"}]"#,
        "text",
    ] {
        let ids = ids![TOOL_CALLS, text, END];
        let parsed = parse_with(&old, &ids, false);
        assert_eq!(parsed.reply, reply("", text, vec![]), "{text}");
        let counts = TokenCounts {
            content: ids.len() - 2,
            control: 2,
            ..TokenCounts::default()
        };
        assert_eq!(parsed.counts, counts, "{text}");
    }
    assert_eq!(run(ids![TOOL_CALLS, "[]", END]), reply("", "", vec![]));
    assert_eq!(run(ids!["a", THINK, "b", END]).stray, [THINK]);
}

/// Any ids: much text, all control tokens, some bytes alone, some ids that do not exist.
fn any_id() -> impl Strategy<Value = u32> {
    prop_oneof![
        6 => 1000u32..2872,
        3 => prop::sample::select(vec![THINK, END_THINK, TOOL_CALLS, ARGS]),
        1 => prop::sample::select(vec![END, INST, CALL_ID, FILLER, 0, 1, 36]),
        2 => 1128u32..1256,
        1 => prop::sample::select(vec![2872u32, 131_071, u32::MAX]),
    ]
}

fn delta_text(delta: &Delta) -> Option<&str> {
    match delta {
        Delta::Reasoning(text)
        | Delta::Content(text)
        | Delta::ToolCallArguments { fragment: text, .. } => Some(text),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn every_token_is_in_exactly_one_field(ids in prop::collection::vec(any_id(), 0..40), thinking in any::<bool>()) {
        let parsed = parse_with(&TEKKEN, &ids, thinking);
        let counts = parsed.counts;
        let sum = counts.reasoning + counts.content + counts.tool_calls + counts.control + counts.stray;
        prop_assert_eq!(sum, ids.len());
        prop_assert_eq!(parsed.reply.stray.len(), counts.stray);
        // No text is lost or leaks: all fields together are the decoded reply, but for white space around names.
        let end = ids.iter().position(|&id| id == END).unwrap_or(ids.len());
        let mut decoded: Vec<char> = TEKKEN.decode(&ids[..end], SpecialPolicy::Ignore).chars().collect();
        let calls = parsed.reply.tool_calls.iter().flat_map(|call| [call.name.clone(), call.arguments.clone()]);
        let mut fields: Vec<char> = calls.chain([parsed.reply.reasoning, parsed.reply.content]).flat_map(|text| text.chars().collect::<Vec<_>>()).collect();
        for letters in [&mut decoded, &mut fields] {
            letters.retain(|letter| !letter.is_whitespace());
            letters.sort_unstable();
        }
        prop_assert_eq!(fields, decoded);
    }

    #[test]
    fn deltas_join_to_the_reply_however_they_are_sent(
        ids in prop::collection::vec(any_id(), 0..40),
        cuts in prop::collection::vec(1usize..9, 1..12),
    ) {
        let whole = parse_with(&TEKKEN, &ids, false);
        // Tokens arrive in steps of any size, and each step's deltas are sent together.
        let mut parser = ReplyParser::new(&TEKKEN, false, 7);
        let mut joined = Reply { reasoning_closed: true, ..Reply::default() };
        let (mut rest, mut cuts) = (ids.as_slice(), cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (step, after) = rest.split_at(rest.len().min(cuts.next().unwrap_or(1)));
            let mut deltas = Vec::new();
            for &id in step {
                parser.push(&TEKKEN, id, &mut deltas);
            }
            deltas.iter().for_each(|delta| joined.apply(delta));
            rest = after;
        }
        let mut deltas = Vec::new();
        parser.finish(&mut deltas);
        deltas.iter().for_each(|delta| joined.apply(delta));
        prop_assert_eq!(&joined, &whole.reply);
        prop_assert_eq!(parser.num_tool_calls(), whole.reply.tool_calls.len());
        prop_assert!(whole.deltas.iter().all(|delta| delta_text(delta) != Some("")));
        // Calls are announced in order, before their arguments, and each ends once.
        let mut open = None;
        let mut next = 0;
        for delta in &whole.deltas {
            match delta {
                Delta::ToolCallStart { index, .. } => {
                    prop_assert_eq!((open, *index), (None, next));
                    (open, next) = (Some(next), next + 1);
                }
                Delta::ToolCallArguments { index, .. } => prop_assert_eq!(open, Some(*index)),
                Delta::ToolCallEnd { index, .. } => prop_assert_eq!(open.take(), Some(*index)),
                _ => {}
            }
        }
        prop_assert_eq!(open, None);
    }

    #[test]
    fn a_well_formed_reply_comes_back_as_it_was(
        thought in prop::option::of("[a-z \u{e9}\u{1f389}\\[\\]]{1,12}"),
        content in "[a-z \u{e9}\u{1f389}\\[\\]]{0,12}",
        calls in prop::collection::vec(("[a-z_]{1,12}", "\\{\"[a-z\u{e9}]{1,6}\": [0-9]{1,3}\\}"), 0..3),
    ) {
        let mut ids = Vec::new();
        if let Some(thought) = &thought {
            ids.extend(ids![THINK, thought.as_str(), END_THINK]);
        }
        ids.extend(TEKKEN.encode_text(&content));
        for (name, arguments) in &calls {
            ids.extend(ids![TOOL_CALLS, name.as_str(), ARGS, arguments.as_str()]);
        }
        ids.push(END);
        let expected = calls.iter().enumerate().map(|(index, (name, arguments))| call(index, name, arguments, true));
        prop_assert_eq!(parse(&ids), reply(&thought.unwrap_or_default(), &content, expected.collect()));
    }
}
