//! Mistral's form: how it is told, how its replies and its errors look.

use crate::reply::{call, joined, scripted, steady, stream, text, thought, whole};
use crate::server::shared;
use serde_json::{Value, json};

#[test]
fn a_thought_is_a_chunk_of_content() {
    let parts = [thought("Hm"), vec![text("Yes.")], call("f", r#"{"a": 1}"#)].concat();
    let body = shared().chat(&scripted(
        &parts,
        json!({"model": "another", "random_seed": 7, "seed": null}),
    ));
    let mut shown = steady(&body);
    assert_eq!(body["id"].as_str().unwrap().len(), 32);
    assert!(
        shown["choices"][0]["message"]["tool_calls"][0]["id"]
            .take()
            .is_string()
    );
    shown["usage"] = Value::Null;
    assert_eq!(
        shown,
        json!({
            "object": "chat.completion",
            "model": "another",
            "choices": [{
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}], "closed": true},
                        {"type": "text", "text": "Yes."},
                    ],
                    "tool_calls": [
                        {"id": null, "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}, "index": 0},
                    ],
                },
                "finish_reason": "tool_calls",
            }],
            "usage": null,
        })
    );
}

#[test]
fn without_a_thought_the_content_is_a_string() {
    let body = shared().chat(&scripted(
        &[text("Yes.")],
        json!({"model": "another", "safe_prompt": false}),
    ));
    assert_eq!(
        body["choices"][0]["message"],
        json!({"role": "assistant", "content": "Yes."})
    );
    let body = shared().chat(&scripted(
        &call("f", "{}"),
        json!({"model": "another", "safe_prompt": false}),
    ));
    assert_eq!(body["choices"][0]["message"]["content"], "");
}

#[test]
fn chunks_carry_thoughts_as_lists_and_calls_whole() {
    let parts = [thought("Hm"), vec![text("Y")], call("f", "{}")].concat();
    let body = scripted(&parts, json!({"model": "another", "random_seed": 1}));
    let chunks = stream(shared(), &body);
    let deltas: Vec<&Value> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"])
        .collect();
    assert_eq!(*deltas[0], json!({"role": "assistant", "content": ""}));
    assert_eq!(
        *deltas[1],
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "H"}]}]})
    );
    assert_eq!(*deltas[3], json!({"content": "Y"}));
    let id = &deltas[4]["tool_calls"][0]["id"];
    let whole_call = json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}, "index": 0});
    assert_eq!(
        *deltas[4],
        json!({"content": "", "tool_calls": [whole_call]})
    );
    let last = chunks.last().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(last["usage"]["completion_tokens"], 11);
    assert_eq!(joined(&chunks), whole(&shared().chat(&body)));
}

#[test]
fn the_form_is_told_in_four_ways() {
    let is_mistral = |headers: &str, more: Value| {
        let mut body = scripted(&thought("a"), json!({"model": "another"}));
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let answer =
            shared().post_with("/v1/chat/completions", body.to_string().as_bytes(), headers);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["choices"][0]["message"]["content"].is_array()
    };
    assert!(!is_mistral("", json!({})));
    assert!(is_mistral(
        "User-Agent: mistral-client-python/1.12.4\r\n",
        json!({})
    ));
    assert!(is_mistral("X-Tramontane-Dialect: mistral\r\n", json!({})));
    assert!(is_mistral("", json!({"random_seed": 1})));
    assert!(is_mistral("", json!({"safe_prompt": true})));
    assert!(!is_mistral(
        "X-Tramontane-Dialect: openai\r\n",
        json!({"random_seed": 1})
    ));
    let history = json!({"messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "b"}]}, {"type": "text", "text": "c"}]},
        {"role": "user", "content": "d"},
    ]});
    assert!(is_mistral("", history));
}

#[test]
fn a_reply_can_be_sent_back_as_it_came() {
    for more in [json!({"random_seed": 1}), json!({})] {
        let parts = [thought("Hm"), vec![text("Yes.")], call("f", r#"{"a": 1}"#)].concat();
        let mut body = scripted(&parts, more);
        body["model"] = json!("another");
        let message = shared().chat(&body)["choices"][0]["message"].clone();
        let id = message["tool_calls"][0]["id"].clone();
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(message);
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": "1", "name": "f"}));
        shared().chat(&body);
    }
}

#[test]
fn refusals_are_mistrals_own() {
    let ask = |more: Value| {
        let mut body = json!({"model": "another", "messages": [{"role": "user", "content": "a"}], "max_tokens": 1});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let agent = "User-Agent: mistral-client-python/1.12.4\r\n";
        let answer = shared().post_with("/v1/chat/completions", body.to_string().as_bytes(), agent);
        let body = answer.json();
        assert_eq!(body["object"], "error", "{body}");
        assert_eq!(body["raw_status_code"], answer.status);
        (answer.status, body)
    };
    let (status, body) = ask(json!({"reasoning_effort": "medium"}));
    assert_eq!(
        (status, body),
        (
            400,
            json!({
                "object": "error",
                "message": "reasoning_effort='medium' is not supported for this model. Must be one of ('none', 'high')",
                "type": "invalid_request_invalid_args",
                "param": null,
                "code": "3051",
                "raw_status_code": 400,
            })
        )
    );
    assert_eq!(ask(json!({"prompt_mode": "reasoning"})).1["code"], "3051");
    let (status, body) = ask(json!({"reasoning_effort": "some"}));
    assert_eq!(
        (status, &body["detail"][0]["loc"]),
        (422, &json!(["body", "reasoning_effort"]))
    );
    let (status, body) = ask(json!({"model": "nobody"}));
    assert_eq!(
        (status, &body["type"], &body["code"]),
        (404, &json!("invalid_model"), &json!("1500"))
    );
    let (status, body) = ask(json!({"model": 1}));
    assert_eq!(
        (status, &body["detail"][0]["loc"]),
        (422, &json!(["body", "model"]))
    );
    let (status, body) = ask(json!({"messages": [{"role": "assistant", "content": "a"}]}));
    assert_eq!(
        (status, &body["type"], &body["code"]),
        (400, &json!("invalid_request_message_order"), &json!("3230"))
    );
}
