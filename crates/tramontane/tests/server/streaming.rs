//! The law: whatever a reply is, its chunks put together are the body that comes unstreamed.

use crate::reply::{ARGS, END_THINK, Part, THINK, TOOL_CALLS, joined, scripted, stream, whole};
use crate::server::shared;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Replies that no model should write: any control token anywhere, and text that looks like control tokens.
fn parts() -> impl Strategy<Value = Vec<Part>> {
    let token =
        prop::sample::select(vec![TOOL_CALLS, ARGS, THINK, END_THINK, 3, 17]).prop_map(Part::Token);
    let words = prop::sample::select(vec![
        "a",
        "ab",
        "STOP",
        "ST",
        "OP",
        "[THINK]",
        "[TOOL_CALLS]f[ARGS]{}",
        "{\"a\": 1}",
        "é",
        "🎉",
        "\n",
        " ",
    ]);
    let text = prop::collection::vec(words, 1..4).prop_map(|words| Part::Text(words.concat()));
    prop::collection::vec(prop_oneof![token, text.clone(), text], 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn chunks_add_up_to_the_body(
        parts in parts(),
        cut in prop::option::of(1usize..30),
        stops in any::<bool>(),
        mistral in any::<bool>(),
        n in 1usize..3,
    ) {
        let mut more = json!({"n": n, "logprobs": true});
        if let Some(cut) = cut {
            more["max_tokens"] = json!(cut);
        }
        if stops {
            more["stop"] = json!(["STOP", "b["]);
        }
        if mistral {
            more["safe_prompt"] = json!(false);
        }
        let body = scripted(&parts, more);
        let unstreamed = shared().chat(&body);
        prop_assert_eq!(joined(&stream(shared(), &body)), whole(&unstreamed), "{}", body);
        let usage = &unstreamed["usage"];
        let details = usage["completion_tokens_details"].as_object().unwrap();
        let sum: u64 = details.values().map(|count| count.as_u64().unwrap()).sum();
        prop_assert_eq!(Some(sum), usage["completion_tokens"].as_u64(), "each token is in one field");
        for choice in unstreamed["choices"].as_array().unwrap() {
            let content = content(&choice["message"]["content"]);
            prop_assert!(!stops || !content.contains("STOP"), "{}", content);
        }
    }
}

/// The text of a content in either dialect.
fn content(content: &Value) -> String {
    match content {
        Value::Array(chunks) => chunks
            .iter()
            .filter_map(|chunk| chunk["text"].as_str())
            .collect(),
        content => content.as_str().unwrap_or_default().to_owned(),
    }
}
