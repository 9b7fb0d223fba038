//! `POST /v1/chat/completions` in OpenAI's form: the body, and the same in chunks.

use crate::reply::{call, joined, scripted, steady, stream, text, thought, whole};
use crate::server::shared;
use serde_json::{Value, json};

#[test]
fn a_reply_with_everything_in_it() {
    let parts = [
        thought("Which way?"),
        vec![text("I ask.")],
        call("find", r#"{"a": [1]}"#),
        call("go", "{}"),
    ]
    .concat();
    let body = shared().chat(&scripted(
        &parts,
        json!({"reasoning_effort": "high", "model": "another"}),
    ));
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    let mut shown = steady(&body);
    let calls = shown["choices"][0]["message"]["tool_calls"]
        .as_array_mut()
        .unwrap();
    let ids: Vec<Value> = calls.iter_mut().map(|call| call["id"].take()).collect();
    for id in &ids {
        let id = id.as_str().unwrap();
        assert!(
            id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{id}"
        );
    }
    assert_ne!(ids[0], ids[1]);
    assert_eq!(
        shown,
        json!({
            "object": "chat.completion",
            "model": "another",
            "choices": [{
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "I ask.",
                    "refusal": null,
                    "reasoning_content": "Which way?",
                    "reasoning": "Which way?",
                    "tool_calls": [
                        {"id": null, "type": "function", "function": {"name": "find", "arguments": "{\"a\": [1]}"}},
                        {"id": null, "type": "function", "function": {"name": "go", "arguments": "{}"}},
                    ],
                },
                "finish_reason": "tool_calls",
                "logprobs": null,
                "stop_reason": null,
            }],
            "system_fingerprint": format!("tramontane-{}", env!("CARGO_PKG_VERSION")),
            "usage": {
                "prompt_tokens": 40,
                "completion_tokens": 41,
                "total_tokens": 81,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {
                    "reasoning_tokens": 10, "content_tokens": 6, "tool_call_tokens": 18, "control_tokens": 7,
                    "stray_tokens": 0,
                },
            },
        })
    );
}

#[test]
fn the_same_in_chunks() {
    let parts = [thought("Hm"), vec![text("So")], call("f", "{}")].concat();
    let body = scripted(&parts, json!({"stream_options": {"include_usage": true}}));
    let chunks = stream(shared(), &body);
    let deltas: Vec<&Value> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"].get(0))
        .map(|choice| &choice["delta"])
        .collect();
    assert_eq!(*deltas[0], json!({"role": "assistant", "content": ""}));
    assert_eq!(
        *deltas[1],
        json!({"reasoning_content": "H", "reasoning": "H"})
    );
    assert_eq!(*deltas[3], json!({"content": "S"}));
    let id = &deltas[5]["tool_calls"][0]["id"];
    let head = json!({"index": 0, "id": id, "type": "function", "function": {"name": "f", "arguments": ""}});
    assert_eq!(*deltas[5], json!({"tool_calls": [head]}));
    assert_eq!(
        *deltas[6],
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]})
    );
    assert_eq!(*deltas[8], json!({}));
    assert_eq!(deltas.len(), 9);

    let (last, rest) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert!(
        rest.iter()
            .all(|chunk| chunk["usage"].is_null() && chunk["id"] == last["id"])
    );
    assert_eq!(
        rest.last().unwrap()["choices"][0]["finish_reason"],
        "tool_calls"
    );
    let unstreamed = shared().chat(&body);
    assert_eq!(
        last["usage"]["completion_tokens"],
        unstreamed["usage"]["completion_tokens"]
    );
    let told = |chunk: &Value| chunk.get("usage").is_some();
    assert!(
        !stream(shared(), &scripted(&parts, json!({})))
            .iter()
            .any(told)
    );
}

#[test]
fn what_is_cut_off_says_so_and_shows_no_markup() {
    for (parts, most, content, reasoning, calls) in [
        (
            thought("Which way?"),
            4,
            Value::Null,
            json!("Whi"),
            json!(null),
        ),
        (
            [thought("a"), vec![text("bcd")]].concat(),
            5,
            json!("bc"),
            json!("a"),
            json!(null),
        ),
        (
            call("find", "{}"),
            3,
            Value::Null,
            json!(null),
            json!([["fi", ""]]),
        ),
        (
            call("f", r#"{"a": 1}"#),
            6,
            Value::Null,
            json!(null),
            json!([["f", "{\"a"]]),
        ),
    ] {
        let body = scripted(&parts, json!({"max_tokens": most}));
        let reply = shared().chat(&body);
        let choice = &reply["choices"][0];
        assert_eq!(choice["finish_reason"], "length");
        assert_eq!(reply["usage"]["completion_tokens"], most);
        let message = &choice["message"];
        assert_eq!(
            (&message["content"], &message["reasoning"]),
            (&content, &reasoning)
        );
        let found = message["tool_calls"].as_array().map(|calls| {
            let call =
                |call: &Value| json!([call["function"]["name"], call["function"]["arguments"]]);
            calls.iter().map(call).collect::<Value>()
        });
        assert_eq!(found.unwrap_or_default(), calls);
        assert_eq!(joined(&stream(shared(), &body)), whole(&reply));
    }
}

#[test]
fn stop_strings_end_the_content_and_are_not_shown() {
    let parts = [thought("a STOP b"), vec![text("one STOP two")]].concat();
    for stop in [json!("STOP"), json!(["x", "STOP"])] {
        let body = scripted(&parts, json!({"stop": stop, "logprobs": true}));
        let reply = shared().chat(&body);
        let choice = &reply["choices"][0];
        assert_eq!(choice["message"]["content"], "one ");
        assert_eq!(
            choice["message"]["reasoning"], "a STOP b",
            "thoughts are not searched"
        );
        assert_eq!(
            (&choice["finish_reason"], &choice["stop_reason"]),
            (&json!("stop"), &json!("STOP"))
        );
        let tokens = choice["logprobs"]["content"].as_array().unwrap();
        assert_eq!(
            tokens
                .iter()
                .map(|token| token["token"].as_str().unwrap())
                .collect::<String>(),
            "one "
        );
        assert_eq!(joined(&stream(shared(), &body)), whole(&reply));
    }
}

#[test]
fn the_effort_in_effect_is_told() {
    for (body, told) in [
        (json!({}), "none"),
        (json!({"reasoning_effort": "low"}), "none"),
        (json!({"reasoning_effort": "xhigh"}), "high"),
        (json!({"reasoning": {"enabled": true}}), "high"),
    ] {
        let mut body = scripted(&[text("a")], body);
        for stream in [false, true] {
            body["stream"] = json!(stream);
            let answer = shared().post("/v1/chat/completions", &body);
            assert_eq!(
                answer.header("x-tramontane-reasoning-effort"),
                Some(told),
                "{body}"
            );
        }
    }
}

#[test]
fn the_seed_is_told_and_repeats_the_reply() {
    let ask = |seed: Value| {
        let body = json!({"messages": [{"role": "user", "content": "a"}], "max_tokens": 8, "temperature": 1, "seed": seed});
        let answer = shared().post("/v1/chat/completions", &body);
        let seed: u64 = answer.header("x-tramontane-seed").unwrap().parse().unwrap();
        (
            seed,
            answer.json()["choices"][0]["message"]["content"].clone(),
        )
    };
    let (drawn, content) = ask(Value::Null);
    assert!(drawn < 1 << 53);
    assert_eq!(ask(json!(drawn)), (drawn, content));
    assert_ne!(ask(json!(1)).1, ask(json!(2)).1);
    assert_eq!(ask(json!(-1)).0, u64::MAX);
}

#[test]
fn several_choices_differ_and_stream_as_they_are() {
    let body = json!({
        "messages": [{"role": "user", "content": "a"}], "max_tokens": 6, "temperature": 1, "seed": 3, "n": 3,
        "logprobs": true, "top_logprobs": 2,
    });
    let reply = shared().chat(&body);
    let choices = whole(&reply);
    assert_eq!(choices.len(), 3);
    assert_ne!(choices[0]["message"], choices[1]["message"]);
    assert_eq!(reply["usage"]["completion_tokens"], 18);
    assert_eq!(joined(&stream(shared(), &body)), choices);
    let mut one = body.clone();
    one["n"] = json!(1);
    assert_eq!(
        whole(&shared().chat(&one))[0],
        choices[0],
        "a choice does not depend on the others"
    );
}

#[test]
fn logprobs_are_of_the_contents_tokens() {
    let parts = [thought("ab"), vec![text("c\u{e9}")]].concat();
    let reply = shared().chat(&scripted(
        &parts,
        json!({"logprobs": true, "top_logprobs": 3}),
    ));
    let tokens = reply["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap();
    let bytes: Vec<u64> = tokens
        .iter()
        .flat_map(|token| token["bytes"].as_array().unwrap())
        .map(|b| b.as_u64().unwrap())
        .collect();
    assert_eq!(bytes, [99, 0xc3, 0xa9]);
    for token in tokens {
        assert!(token["logprob"].as_f64().unwrap() <= 0.0);
        let top = token["top_logprobs"].as_array().unwrap();
        assert_eq!(top.len(), 3);
        assert!(top[0]["logprob"].as_f64() >= top[1]["logprob"].as_f64());
    }
}

#[test]
fn bias_and_penalties_reach_the_sampler() {
    let ask = |more: Value| {
        let mut body = json!({"messages": [{"role": "user", "content": "a"}], "max_tokens": 6, "temperature": 0});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        shared().chat(&body)["choices"][0]["message"]["content"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    // Id 44 + 90 is the byte Z.
    assert_eq!(ask(json!({"logit_bias": {"134": 100}})), "ZZZZZZ");
    let varied = ask(
        json!({"logit_bias": {"134": 100}, "frequency_penalty": 2, "presence_penalty": 2, "repetition_penalty": 50}),
    );
    assert!(varied.starts_with('Z') && varied != "ZZZZZZ", "{varied}");
    let plain = ask(json!({}));
    assert_eq!(ask(json!({"temperature": 2, "top_k": 1})), plain);
    assert_eq!(ask(json!({"temperature": 2, "top_p": 0})), plain);
    assert_eq!(ask(json!({"temperature": 2, "min_p": 1})), plain);
    assert_eq!(ask(json!({"top_k": -1})), plain);
}

#[test]
fn a_prefix_is_continued() {
    let ask = |last: Value, more: Value| {
        let mut body = scripted(&[text("42.")], more);
        body["messages"].as_array_mut().unwrap().push(last);
        shared().chat(&body)
    };
    let prefixed = ask(
        json!({"role": "assistant", "content": "It is", "prefix": true}),
        json!({}),
    );
    let continued = ask(
        json!({"role": "assistant", "content": "It is"}),
        json!({"continue_final_message": true}),
    );
    assert_eq!(prefixed["choices"][0]["message"]["content"], "42.");
    assert_eq!(
        prefixed["usage"]["prompt_tokens"],
        continued["usage"]["prompt_tokens"]
    );
    let refused = shared().post(
        "/v1/chat/completions",
        &json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}),
    );
    assert_eq!(refused.status, 400);
}

#[test]
fn the_cache_is_told_of() {
    let long = "a long beginning that two requests share, ".repeat(4);
    let ask = |end: &str, more: Value| {
        let mut body = scripted(&[text("yes STOP")], more);
        body["messages"][0]["content"] = json!(format!("{long}{end}"));
        shared().chat(&body)["usage"]["prompt_tokens_details"]["cached_tokens"]
            .as_u64()
            .unwrap()
    };
    ask("one", json!({}));
    assert_eq!(ask("two", json!({})) / 64, 3);
    assert_eq!(
        ask("three", json!({"stop": "STOP"})) / 64,
        3,
        "also where a stop string ends the reply"
    );
}
