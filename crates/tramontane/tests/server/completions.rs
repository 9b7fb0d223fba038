//! `POST /v1/completions`: texts and ids continued, echoed, scored and streamed.

use crate::reply::{events, steady};
use crate::server::shared;
use serde_json::{Value, json};

fn complete(body: Value) -> Value {
    let answer = shared().post("/v1/completions", &body);
    assert_eq!(answer.status, 200, "{body} -> {}", answer.text());
    answer.json()
}

#[test]
fn a_text_is_continued() {
    let body = complete(json!({
        "prompt": "ab", "max_tokens": 3, "seed": 1, "guided_regex": "xyz?", "logprobs": 1, "echo": true, "return_token_ids": true,
    }));
    assert!(body["id"].as_str().unwrap().starts_with("cmpl-"));
    let mut shown = steady(&body);
    let logprobs = shown["choices"][0]["logprobs"].take();
    let choice = shown["choices"][0].take();
    assert_eq!(shown["object"], "text_completion");
    assert!(
        choice["text"].as_str().unwrap().starts_with("abxy"),
        "{choice}"
    );
    assert_eq!(choice["prompt_token_ids"], json!([1, 141, 142]));
    assert_eq!(
        logprobs["tokens"].as_array().unwrap()[..5],
        [json!("<s>"), json!("a"), json!("b"), json!("x"), json!("y")]
    );
    assert_eq!(
        logprobs["text_offset"].as_array().unwrap()[..4],
        [json!(0), json!(0), json!(1), json!(2)]
    );
    let chosen = logprobs["token_logprobs"].as_array().unwrap();
    let top = logprobs["top_logprobs"].as_array().unwrap();
    assert_eq!((&chosen[0], &top[0]), (&Value::Null, &Value::Null));
    for (index, logprob) in chosen.iter().enumerate().skip(1) {
        let token = logprobs["tokens"][index].as_str().unwrap();
        assert_eq!(
            top[index][token], *logprob,
            "the token itself is among the likeliest"
        );
    }
}

/// What lm-evaluation-harness does to score a continuation.
#[test]
fn a_prompt_is_scored_by_echo_whatever_is_generated() {
    let ids = json!([1, 60, 70, 80, 90]);
    let ask = |more: Value| {
        let mut body =
            json!({"prompt": [ids, [1, 60]], "temperature": 0, "logprobs": 1, "echo": true});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        complete(body)
    };
    let one = ask(json!({"max_tokens": 1}));
    let none = ask(json!({"max_tokens": 0}));
    let ended = ask(json!({"max_tokens": 1, "logit_bias": {"2": 100}}));
    for (body, extra) in [(&one, 1), (&none, 0), (&ended, 1)] {
        let choices = body["choices"].as_array().unwrap();
        assert_eq!(choices.len(), 2);
        let logprobs = &choices[0]["logprobs"];
        for list in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
            assert_eq!(
                logprobs[list].as_array().unwrap().len(),
                5 + extra,
                "{list} of {body}"
            );
        }
        let scored = |body: &Value| {
            body["choices"][0]["logprobs"]["token_logprobs"]
                .as_array()
                .unwrap()[..5]
                .to_vec()
        };
        assert_eq!(scored(body), scored(&one));
    }
    assert_eq!(ended["choices"][0]["finish_reason"], "stop");
}

#[test]
fn every_form_of_prompt_is_taken() {
    for (prompt, number) in [
        (json!("a"), 1),
        (json!(["a", "b"]), 2),
        (json!([60, 70]), 1),
        (json!([[60, 70], [80]]), 2),
        (json!(["a", [80]]), 2),
    ] {
        let body = complete(json!({"prompt": prompt, "max_tokens": 2, "n": 2}));
        let choices = body["choices"].as_array().unwrap();
        assert_eq!(choices.len(), number * 2);
        for (index, choice) in choices.iter().enumerate() {
            assert_eq!(choice["index"], index);
        }
    }
    for prompt in [
        json!([]),
        json!(""),
        json!([[]]),
        json!([1, "a"]),
        json!([300]),
        json!([-1]),
        json!([1.5]),
        json!({}),
        json!(null),
    ] {
        let answer = shared().post(
            "/v1/completions",
            &json!({"prompt": prompt, "add_special_tokens": false}),
        );
        assert_eq!(answer.status, 400, "{prompt}");
        assert_eq!(answer.json()["error"]["param"], "prompt", "{prompt}");
    }
}

#[test]
fn chunks_add_up_to_the_body() {
    for more in [
        json!({}),
        json!({"echo": true}),
        json!({"logprobs": 2}),
        json!({"echo": true, "logprobs": 0, "n": 2}),
    ] {
        let mut body = json!({"prompt": ["a\u{e9}", "b"], "max_tokens": 6, "seed": 4, "temperature": 1, "return_token_ids": true,
            "stop": ["C", "Z"]});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let whole = complete(body.clone());
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        let chunks = events(&shared().post("/v1/completions", &body));
        let (last, rest) = chunks.split_last().unwrap();
        assert_eq!(
            last["usage"]["completion_tokens"],
            whole["usage"]["completion_tokens"]
        );
        for choice in whole["choices"].as_array().unwrap() {
            let parts = rest
                .iter()
                .map(|chunk| &chunk["choices"][0])
                .filter(|part| part["index"] == choice["index"]);
            let mut sum = json!({"text": "", "token_ids": [], "prompt_token_ids": null, "finish_reason": null, "stop_reason": null});
            let lists = ["tokens", "token_logprobs", "top_logprobs", "text_offset"];
            let mut logprobs = lists.map(|_| Vec::new());
            for part in parts {
                sum["text"] = json!(format!(
                    "{}{}",
                    sum["text"].as_str().unwrap(),
                    part["text"].as_str().unwrap()
                ));
                let ids = part["token_ids"].as_array().unwrap().iter().cloned();
                sum["token_ids"].as_array_mut().unwrap().extend(ids);
                for name in ["prompt_token_ids", "finish_reason", "stop_reason"] {
                    if !part[name].is_null() {
                        sum[name] = part[name].clone();
                    }
                }
                for (list, name) in logprobs.iter_mut().zip(lists) {
                    list.extend(
                        part["logprobs"][name]
                            .as_array()
                            .into_iter()
                            .flatten()
                            .cloned(),
                    );
                }
            }
            for name in [
                "text",
                "token_ids",
                "prompt_token_ids",
                "finish_reason",
                "stop_reason",
            ] {
                assert_eq!(sum[name], choice[name], "{name}");
            }
            for (list, name) in logprobs.iter().zip(lists) {
                let whole = choice["logprobs"][name]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                assert_eq!(*list, whole, "{name}");
            }
        }
    }
}

#[test]
fn special_tokens_are_shown_on_request() {
    let ask = |skip: bool| {
        let grammar = "start: \"a\" <[9]> \"b\"\n";
        let body = complete(
            json!({"prompt": "x", "guided_grammar": grammar, "skip_special_tokens": skip}),
        );
        body["choices"][0]["text"].clone()
    };
    assert_eq!(ask(true), "ab");
    assert_eq!(ask(false), "a[TOOL_CALLS]b");
}

#[test]
fn a_suffix_is_refused_in_words() {
    let answer = shared().post("/v1/completions", &json!({"prompt": "a", "suffix": "b"}));
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["param"], "suffix");
    assert!(answer.text().contains("not supported"));
    complete(json!({"prompt": "a", "suffix": null, "max_tokens": 1}));
}
