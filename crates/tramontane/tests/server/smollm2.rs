//! A model that is not Mistral's: its own vocabulary and template, over the same endpoints.

use crate::reply::{joined, stream, whole};
use crate::server::Server;
use crate::support::smollm2;
use serde_json::json;

#[test]
fn it_chats_and_completes() {
    let Some(model) = smollm2() else { return };
    let server = Server::of(&model, &["--kv-memory", "256MiB"], None);
    let body = json!({
        "model": "SmolLM2-135M-Instruct.Q4_1",
        "messages": [{"role": "developer", "content": "Answer shortly."},
            {"role": "user", "content": [{"type": "text", "text": "Name the capital "}, {"type": "text", "text": "of France."}]}],
        "temperature": 0, "max_tokens": 12, "reasoning_effort": "high", "logprobs": true,
    });
    let answer = server.post("/v1/chat/completions", &body);
    assert_eq!(answer.header("x-tramontane-reasoning-effort"), Some("none"));
    let reply = answer.json();
    assert!(
        reply["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .contains("Paris"),
        "{reply}"
    );
    assert_eq!(joined(&stream(&server, &body)), whole(&reply));

    let text = server.post(
        "/v1/completions",
        &json!({"prompt": "one, two, three, four,", "temperature": 0, "max_tokens": 4}),
    );
    assert!(
        text.json()["choices"][0]["text"]
            .as_str()
            .unwrap()
            .contains("five"),
        "{}",
        text.text()
    );
    for refused in [
        json!({"messages": body["messages"], "response_format": {"type": "json_object"}}),
        json!({"messages": body["messages"], "guided_regex": "a"}),
        json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "prefix": true}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,AAAA"}]}]}),
    ] {
        let answer = server.post("/v1/chat/completions", &refused);
        assert_eq!(answer.status, 400, "{refused}: {}", answer.text());
    }
}
