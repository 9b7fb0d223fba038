//! Too much of everything that a request may have several of.

use super::{CHAT, is_refused, withstands_within};
use crate::server::Server;
use serde_json::{Map, Value, json};

/// What each attack takes while it is read: a million ids as JSON, and the like. glibc may keep as much for another thread.
const MAX_GROWTH: u64 = 256 << 20;

/// What is refused: its name, its path and its body.
fn requests() -> Vec<(&'static str, &'static str, Value)> {
    let user = json!([{"role": "user", "content": "a"}]);
    let tool = |i: usize| json!({"type": "function", "function": {"name": format!("f{i}"), "parameters": {"type": "object"}}});
    let tools: Vec<Value> = (0..10_000).map(tool).collect();
    let call = |i: usize| json!({"id": format!("{i:09}"), "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let calls: Vec<Value> = (0..20_000).map(call).collect();
    let turn = |role: &str| json!({"role": role, "content": "a"});
    let turns = vec![json!([turn("user"), turn("assistant")]); 50_000];
    let turns: Vec<&Value> = turns
        .iter()
        .flat_map(|pair| pair.as_array().unwrap())
        .collect();
    let bias: Map<String, Value> = (0..100_000).map(|i| (i.to_string(), json!(1))).collect();
    let chunks = vec![json!({"type": "text", "text": "a"}); 100_000];
    let empty_image = json!({"type": "image_url", "image_url": "data:image/png;base64,AAAA"});
    let texts = |count: usize| vec!["ab"; count];
    vec![
        ("100,000 messages", CHAT, json!({"messages": turns})),
        (
            "100,000 system messages",
            CHAT,
            json!({"messages": vec![json!({"role": "system", "content": "a"}); 100_000]}),
        ),
        (
            "100,000 chunks",
            CHAT,
            json!({"messages": [{"role": "user", "content": chunks}]}),
        ),
        (
            "10,000 images",
            CHAT,
            json!({"messages": [{"role": "user", "content": vec![empty_image; 10_000]}]}),
        ),
        (
            "20,000 calls",
            CHAT,
            json!({"messages": [user[0], {"role": "assistant", "tool_calls": calls}]}),
        ),
        (
            "10,000 tools",
            CHAT,
            json!({"messages": user, "tools": tools}),
        ),
        (
            "10,000 tools, one needed",
            CHAT,
            json!({"messages": user, "tools": tools, "tool_choice": "required"}),
        ),
        (
            "a tool of a megabyte",
            CHAT,
            json!({"messages": user, "tools": [{"type": "function", "function": {"name": "a".repeat(1 << 20), "parameters": {}}}]}),
        ),
        (
            "50,000 stops",
            CHAT,
            json!({"messages": user, "stop": texts(50_000)}),
        ),
        (
            "a stop of a megabyte",
            CHAT,
            json!({"messages": user, "stop": "a".repeat(1 << 20), "max_tokens": 1, "n": 129}),
        ),
        (
            "100,000 biases",
            CHAT,
            json!({"messages": user, "logit_bias": bias}),
        ),
        (
            "2^31 replies",
            CHAT,
            json!({"messages": user, "n": 1u64 << 31}),
        ),
        (
            "2^64 - 1 replies",
            CHAT,
            json!({"messages": user, "n": u64::MAX}),
        ),
        (
            "128 replies to a small queue",
            CHAT,
            json!({"messages": user, "n": 128}),
        ),
        (
            "2^63 tokens",
            CHAT,
            json!({"messages": user, "max_tokens": 1u64 << 63}),
        ),
        (
            "2^63 likeliest",
            CHAT,
            json!({"messages": user, "logprobs": true, "top_logprobs": 1u64 << 63}),
        ),
        (
            "20,000 choices",
            CHAT,
            json!({"messages": user, "guided_choice": texts(20_000)}),
        ),
        (
            "a model's name of a megabyte",
            CHAT,
            json!({"messages": user, "model": "m".repeat(1 << 20)}),
        ),
        (
            "an effort of a megabyte",
            CHAT,
            json!({"messages": user, "reasoning_effort": "h".repeat(1 << 20)}),
        ),
        (
            "a role of a megabyte",
            CHAT,
            json!({"messages": [{"role": "u".repeat(1 << 20), "content": "a"}]}),
        ),
        (
            "100,000 prompts",
            "/v1/completions",
            json!({"prompt": texts(100_000)}),
        ),
        (
            "100,000 prompts of ids",
            "/v1/completions",
            json!({"prompt": vec![[1, 60]; 100_000]}),
        ),
        (
            "a prompt of a megabyte",
            "/v1/completions",
            json!({"prompt": "a".repeat(1 << 20)}),
        ),
        (
            "a million ids",
            "/v1/completions",
            json!({"prompt": vec![60; 1_000_000]}),
        ),
        (
            "ids there are not",
            "/v1/completions",
            json!({"prompt": [1, 4_294_967_295u32]}),
        ),
        (
            "a megabyte of suffix",
            "/v1/completions",
            json!({"prompt": "a", "suffix": "b".repeat(1 << 20)}),
        ),
        (
            "2^63 logprobs",
            "/v1/completions",
            json!({"prompt": "a", "logprobs": 1u64 << 63}),
        ),
        (
            "ids there are not",
            "/detokenize",
            json!({"tokens": vec![4_294_967_295u32; 100_000]}),
        ),
    ]
}

#[test]
fn too_much_of_anything_is_refused() {
    let mut server = Server::start(&["--ctx", "256", "--max-batch", "4", "--max-queue", "8"]);
    let requests: Vec<_> = requests()
        .into_iter()
        .map(|(what, path, body)| (what, path, body.to_string()))
        .collect();
    withstands_within(MAX_GROWTH, &mut server, |server| {
        for (what, path, body) in &requests {
            is_refused(&server.post_with(path, body.as_bytes(), ""), what);
        }
        // As many as there are of what may be any number.
        let ids = json!({"tokens": vec![60; 1_000_000]});
        assert_eq!(server.post("/detokenize", &ids).status, 200);
        let text = json!({"prompt": "a b\n".repeat(250_000)});
        assert_eq!(server.post("/tokenize", &text).status, 200);
    });
}
