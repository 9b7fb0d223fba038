//! What is refused: in which words, with which status, and naming what.

use crate::server::{Answer, shared};
use serde_json::{Value, json};

fn ask(more: Value) -> Answer {
    let mut body = json!({"messages": [{"role": "user", "content": "a"}], "max_tokens": 1});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    shared().post("/v1/chat/completions", &body)
}

#[test]
fn a_field_is_named() {
    for (more, param) in [
        (json!({"messages": null}), "messages"),
        (json!({"messages": []}), "messages"),
        (
            json!({"messages": [{"role": "user"}]}),
            "messages[0].content",
        ),
        (
            json!({"messages": [{"role": "king", "content": "a"}]}),
            "messages[0].role",
        ),
        (json!({"temperature": 3}), "temperature"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"top_p": -0.1}), "top_p"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": 1.5}), "max_tokens"),
        (
            json!({"max_completion_tokens": -1}),
            "max_completion_tokens",
        ),
        (json!({"n": 0}), "n"),
        (json!({"n": 129}), "n"),
        (json!({"stop": [""]}), "stop"),
        (json!({"stop": [1]}), "stop"),
        (json!({"stream": "yes"}), "stream"),
        (
            json!({"stream_options": {"include_usage": 1}}),
            "stream_options.include_usage",
        ),
        (json!({"logprobs": 3}), "logprobs"),
        (json!({"top_logprobs": 3}), "top_logprobs"),
        (
            json!({"logprobs": true, "top_logprobs": 21}),
            "top_logprobs",
        ),
        (json!({"logit_bias": {"a": 1}}), "logit_bias"),
        (json!({"logit_bias": {"1": 101}}), "logit_bias"),
        (json!({"logit_bias": {"300": 1}}), "logit_bias"),
        (json!({"logit_bias": [1]}), "logit_bias"),
        (json!({"seed": "a"}), "seed"),
        (json!({"reasoning_effort": "much"}), "reasoning_effort"),
        (
            json!({"reasoning": {"enabled": "yes"}}),
            "reasoning.enabled",
        ),
        (json!({"tool_choice": "maybe"}), "tool_choice"),
        (
            json!({"tools": [{"type": "function"}]}),
            "tools[0].function",
        ),
        (json!({"min_tokens": 3}), "min_tokens"),
        (json!({"best_of": 3}), "best_of"),
        (json!({"functions": [{}]}), "functions"),
        (json!({"guardrails": [{}]}), "guardrails"),
        (json!({"model": 1}), "model"),
    ] {
        let answer = ask(more.clone());
        assert_eq!(answer.status, 400, "{more}: {}", answer.text());
        let error = &answer.json()["error"];
        assert_eq!(error["param"], param, "{more}: {error}");
        assert_eq!(error["type"], "invalid_request_error");
        assert!(
            error["message"].as_str().unwrap().len() > param.len() + 5,
            "{error}"
        );
    }
}

#[test]
fn what_means_nothing_here_is_let_pass() {
    for more in [
        json!({"user": "me", "metadata": {"a": "b"}, "store": true, "service_tier": "auto", "verbosity": "low", "what": 1}),
        json!({"min_tokens": 0, "best_of": 1, "use_beam_search": false, "prompt_logprobs": null, "tool_choice": "none"}),
        json!({"temperature": null, "stop": null, "tools": null, "response_format": null, "n": null, "stream": null}),
        json!({"tools": [], "tool_choice": "auto", "parallel_tool_calls": null, "max_tokens": 8.0}),
    ] {
        let answer = ask(more.clone());
        assert_eq!(answer.status, 200, "{more}: {}", answer.text());
    }
}

#[test]
fn a_broken_body_is_told_where() {
    let post = |body: &[u8]| shared().post_with("/v1/chat/completions", body, "");
    let answer = post(b"{\"messages\": [\n  {\"role\": \"user\" \"content\"}]}");
    assert_eq!(answer.status, 400);
    let error = answer.json()["error"].clone();
    assert_eq!(error["code"], "invalid_json");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("line 2 column 19"),
        "{error}"
    );
    let answer = post(b"{\"messages\": \"\xff\"}");
    assert!(
        answer.text().contains("UTF-8 at byte 14"),
        "{}",
        answer.text()
    );
    for (body, told) in [
        ("[]", "a list"),
        ("1", "a number"),
        ("null", "null"),
        ("", "byte 0"),
    ] {
        let answer = post(body.as_bytes());
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(told), "{}", answer.text());
    }
}

#[test]
fn paths_methods_types_and_names() {
    let nowhere = shared().get("/v1/nowhere");
    assert_eq!(nowhere.status, 404);
    assert!(nowhere.text().contains("/v1/chat/completions"));
    assert_eq!(shared().get("/nowhere").status, 404);
    let method = shared().get("/v1/chat/completions");
    assert_eq!((method.status, method.header("allow")), (405, Some("POST")));
    assert_eq!(method.json()["error"]["code"], "method_not_allowed");

    let typed = |kind: &str| {
        let body = br#"{"messages": [{"role": "user", "content": "a"}], "max_tokens": 1}"#;
        let length = body.len();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{kind}Content-Length: {length}\r\n\r\n"
        );
        shared().send(&head, body).status
    };
    assert_eq!(typed(""), 415);
    assert_eq!(typed("Content-Type: text/plain\r\n"), 415);
    assert_eq!(
        typed("Content-Type: application/x-www-form-urlencoded\r\n"),
        415
    );
    assert_eq!(
        typed("Content-Type: Application/JSON; charset=utf-8\r\n"),
        200
    );

    let model = ask(json!({"model": "nobody"}));
    assert_eq!(
        (model.status, &model.json()["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    assert_eq!(ask(json!({"model": "another"})).json()["model"], "another");
}

#[test]
fn a_context_that_overflows_is_told_in_numbers() {
    let long = ask(json!({"messages": [{"role": "user", "content": "a".repeat(3000)}]}));
    assert_eq!(long.status, 400);
    let error = long.json()["error"].clone();
    assert_eq!(error["code"], "context_length_exceeded");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("3033") && message.contains("2048"),
        "{message}"
    );
    let wide = ask(json!({"max_tokens": 5000}));
    assert_eq!(wide.json()["error"]["code"], "context_length_exceeded");
}

#[test]
fn an_image_is_refused_in_words_where_nothing_sees() {
    let with = |url: &str| {
        let content = json!([{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": url}}]);
        ask(json!({"messages": [{"role": "user", "content": content}]}))
    };
    let pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let blind = with(pixel);
    assert_eq!(blind.status, 400);
    assert!(blind.text().contains("no vision tower"), "{}", blind.text());
    let address = with("http://example.org/a.png");
    assert_eq!(address.status, 400);
    assert!(
        address.text().contains("does not fetch"),
        "{}",
        address.text()
    );
    assert_eq!(with("file:///etc/passwd").status, 400);
    assert_eq!(with("data:image/png;base64,????").status, 400);
}

#[test]
fn no_error_names_a_path_of_this_machine() {
    let folder = std::env::temp_dir().display().to_string();
    for more in [
        json!({"model": "nobody"}),
        json!({"messages": 1}),
        json!({"guided_regex": "("}),
        json!({"max_tokens": 99999}),
    ] {
        let text = ask(more).text();
        assert!(!text.contains(&folder) && !text.contains("src/"), "{text}");
    }
}
