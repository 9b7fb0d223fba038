//! A reply's tokens, parsed as they stream.
//!
//! The first byte chooses the tokenizer's version and where the reply starts, the second where its deltas are cut into
//! chunks. Then each byte is the token of that single byte, so that inputs are readable; bytes that are never part of
//! UTF-8 are control tokens, and `0xFE` is followed by any id in two bytes.

#![no_main]

use chat::format::parse::{Delta, Reply, ReplyParser};
use chat::tekken::{SpecialPolicy, Tekken};
use fuzz::MOST_ALLOCATED;
use fuzz::tekkens::tekkens;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TEKKENS: LazyLock<Vec<Tekken>> = LazyLock::new(tekkens);

/// The control tokens of bytes from `0xF8` on; a version that lacks one has another special token there.
const CONTROLS: [(&str, u32); 6] = [
    ("[THINK]", 34),
    ("[/THINK]", 35),
    ("[TOOL_CALLS]", 9),
    ("[ARGS]", 32),
    ("[CALL_ID]", 33),
    ("</s>", 2),
];

fn tokens(tekken: &Tekken, mut bytes: &[u8]) -> Vec<u32> {
    let mut ids = Vec::new();
    while let Some((&byte, rest)) = bytes.split_first() {
        bytes = rest;
        let id = match (byte, rest) {
            (0xf8..=0xfd, _) => {
                let (name, otherwise) = CONTROLS[usize::from(byte - 0xf8)];
                tekken.special(name).unwrap_or(otherwise)
            }
            (0xfe, [low, high, after @ ..]) => {
                bytes = after;
                u32::from(u16::from_le_bytes([*low, *high]))
            }
            (0xff, _) => 777,
            (byte, _) => tekken.num_special() as u32 + u32::from(byte),
        };
        ids.push(id);
    }
    ids
}

/// Each delta makes sense after those before it.
fn check(deltas: &[Delta], tekken: &Tekken) {
    let (mut calls, mut open) = (0, false);
    for delta in deltas {
        match delta {
            Delta::Reasoning(text) | Delta::Content(text) => assert!(!text.is_empty() && !open),
            Delta::ToolCallStart { index, id, .. } => {
                assert!(*index == calls && !open);
                assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
                (calls, open) = (calls + 1, true);
            }
            Delta::ToolCallArguments { index, fragment } => {
                assert!(open && *index + 1 == calls && !fragment.is_empty());
            }
            Delta::ToolCallEnd { index, .. } => {
                assert!(open && *index + 1 == calls);
                open = false;
            }
            Delta::ReasoningEnd { .. } => assert!(!open),
            Delta::Stray(_) => {}
        }
    }
    assert!(!open, "every call of version {:?} ends", tekken.version());
}

/// The text of all deltas in order.
fn joined(deltas: &[Delta]) -> String {
    let text = |delta: &Delta| match delta {
        Delta::Reasoning(text) | Delta::Content(text) => text.clone(),
        Delta::ToolCallStart { name, .. } => name.clone(),
        Delta::ToolCallArguments { fragment, .. } => fragment.clone(),
        _ => String::new(),
    };
    deltas.iter().map(text).collect()
}

fn without_space(text: &str) -> String {
    text.split_whitespace().collect()
}

fuzz_target!(|data: &[u8]| {
    assert!(data.len() < MOST_ALLOCATED);
    let [choice, chunk, bytes @ ..] = data else {
        return;
    };
    let tekken = &TEKKENS[usize::from(choice >> 1) % TEKKENS.len()];
    let ids = tokens(tekken, bytes);

    let mut parser = ReplyParser::new(tekken, choice & 1 == 1, u64::from(*chunk));
    let mut streamed = Reply::from_deltas(&[]);
    let (mut all, mut waiting) = (Vec::new(), Vec::new());
    for (index, &id) in ids.iter().enumerate() {
        parser.push(tekken, id, &mut waiting);
        if index % (1 + usize::from(*chunk)) == 0 {
            waiting.iter().for_each(|delta| streamed.apply(delta));
            all.append(&mut waiting);
        }
    }
    parser.finish(&mut waiting);
    waiting.iter().for_each(|delta| streamed.apply(delta));
    all.append(&mut waiting);

    check(&all, tekken);
    let reply = Reply::from_deltas(&all);
    assert_eq!(streamed, reply);
    let counts = parser.counts();
    let counted = [
        counts.reasoning,
        counts.content,
        counts.tool_calls,
        counts.control,
        counts.stray,
    ];
    assert_eq!(counted.iter().sum::<usize>(), ids.len());
    assert_eq!(reply.stray.len(), counts.stray);
    assert_eq!(reply.tool_calls.len(), parser.num_tool_calls());

    assert!(counts.content > 0 || reply.content.is_empty());
    assert!(counts.reasoning > 0 || reply.reasoning.is_empty());

    // No text is lost: but for calls written as lists, and ids of calls, it is all there.
    let end = tekken.special("</s>");
    let spoken = ids.split(|&id| Some(id) == end).next().unwrap_or_default();
    let control = if tekken.special("[ARGS]").is_some() {
        "[CALL_ID]"
    } else {
        "[TOOL_CALLS]"
    };
    if !spoken.iter().any(|&id| Some(id) == tekken.special(control)) {
        let text = tekken.decode(spoken, SpecialPolicy::Ignore);
        assert_eq!(without_space(&joined(&all)), without_space(&text));
    }
});
