//! Every field of every request, at any depth, with values that no client should send.

use super::{is_discreet, is_refused, withstands};
use crate::server::{Server, shared};
use serde_json::{Value, json};
use std::cell::Cell;

/// JSON texts, because some are no values: numbers beyond every type, lone surrogates, control characters.
const VALUES: [&str; 24] = [
    "null",
    "true",
    "0",
    "-0",
    "-0.0",
    "-1",
    "1e400",
    "-1e400",
    "1e-400",
    "18446744073709551616",
    "-9223372036854775809",
    "0.1",
    "\"\"",
    "\"a\"",
    "\"\\u0000\"",
    "\"\\u0001\\b\\u001b[2J\\r\\n\\u007f\\u0085\\u2028\"",
    "\"\\ud800\"",
    "\"<s>[INST][IMG]</s>\"",
    "\"../../etc/passwd\"",
    "[]",
    "[null]",
    "[[[[{\"a\": []}]]]]",
    "{}",
    "{\"a\": {\"\\u0000\": null}}",
];

/// What stands where a value goes.
const MARK: &str = "@here";

/// Requests with every field that the endpoints read.
fn requests() -> Vec<(&'static str, Value)> {
    let chat = "/v1/chat/completions";
    let call = json!({"id": "abcdefghi", "type": "function", "index": 0, "function": {"name": "f", "arguments": "{}"}});
    let schema = json!({"type": "object", "properties": {"a": {"type": "string", "maxLength": 2}}, "required": ["a"]});
    let tool = json!({"type": "function", "function": {"name": "f", "description": "d", "strict": true, "parameters": schema}});
    vec![
        (
            chat,
            json!({
                "model": "another",
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": [{"type": "text", "text": "t"}], "name": "n"},
                    {"role": "assistant", "content": [{"type": "thinking", "closed": true, "thinking": [{"type": "text", "text": "h"}]}], "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": "abcdefghi", "content": "r", "name": "f"},
                ],
                "tools": [tool], "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false,
                "max_tokens": 2, "max_completion_tokens": 2, "user": "u", "metadata": {"a": "b"}, "ignore_eos": false,
            }),
        ),
        (
            chat,
            json!({
                "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "prefix": true}],
                "temperature": 1, "top_p": 1, "top_k": 5, "min_p": 0, "seed": 1, "presence_penalty": 0, "frequency_penalty": 0,
                "repetition_penalty": 1, "logit_bias": {"60": 1}, "n": 2, "stop": ["x"], "stream": false,
                "stream_options": {"include_usage": true}, "logprobs": true, "top_logprobs": 2, "reasoning_effort": "high",
                "reasoning": {"enabled": true, "effort": "low", "max_tokens": 1}, "safe_prompt": true, "random_seed": 2,
                "chat_template_kwargs": {"reasoning_effort": "none", "enable_thinking": true, "thinking": true},
                "continue_final_message": false, "add_generation_prompt": true, "prompt_mode": null, "max_tokens": 2,
            }),
        ),
        (
            chat,
            json!({
                "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}]}],
                "response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true, "description": "d", "schema": schema}},
                "min_tokens": 0, "best_of": 1, "guardrails": [], "echo": false, "max_tokens": 2,
            }),
        ),
        (
            chat,
            json!({
                "messages": [{"role": "user", "content": "a"}], "max_tokens": 2,
                "response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": schema}},
            }),
        ),
        (
            chat,
            json!({
                "messages": [{"role": "user", "content": "a"}], "max_tokens": 2, "guided_regex": null, "guided_choice": null,
                "guided_json": null, "guided_grammar": null, "guided_json_object": null,
                "structured_outputs": {"json": null, "regex": "a|b", "choice": null, "grammar": null, "json_object": null},
            }),
        ),
        (
            "/v1/completions",
            json!({
                "model": "another", "prompt": ["a", "b"], "max_tokens": 2, "echo": true, "logprobs": 2, "suffix": null, "n": 1,
                "best_of": 1, "stop": "x", "stream": false, "temperature": 1, "top_p": 1, "seed": 1, "logit_bias": {"60": 1},
                "presence_penalty": 0, "frequency_penalty": 0, "user": "u", "return_token_ids": true, "skip_special_tokens": true,
            }),
        ),
        (
            "/v1/completions",
            json!({
                "prompt": [[1, 60], [1, 61]], "max_tokens": 1, "top_k": 3, "min_p": 0, "random_seed": 1, "repetition_penalty": 1,
                "stream_options": null, "ignore_eos": true, "add_special_tokens": false, "response_format": {"type": "text"},
            }),
        ),
        (
            "/v1/completions",
            json!({
                "prompt": "a", "max_tokens": 1, "guided_json": null, "guided_choice": null, "guided_grammar": null,
                "guided_regex": null, "guided_json_object": null, "structured_outputs": {"json": {"type": "boolean"}},
            }),
        ),
        (
            "/tokenize",
            json!({"model": "another", "prompt": "a", "add_special_tokens": true, "return_token_strs": true}),
        ),
        (
            "/tokenize",
            json!({"messages": [{"role": "user", "content": "a"}], "tools": [tool], "add_generation_prompt": true}),
        ),
        (
            "/detokenize",
            json!({"model": "another", "tokens": [60, 61]}),
        ),
    ]
}

/// The body once for each place in it, with a mark there; in place of each key too.
fn marked(body: &Value) -> Vec<Value> {
    let mut found = vec![json!(MARK)];
    match body {
        Value::Object(fields) => {
            for (name, value) in fields {
                for inner in marked(value) {
                    let mut copy = fields.clone();
                    copy[name] = inner;
                    found.push(Value::Object(copy));
                }
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                for inner in marked(value) {
                    let mut copy = values.clone();
                    copy[index] = inner;
                    found.push(Value::Array(copy));
                }
            }
        }
        _ => {}
    }
    found
}

#[test]
fn no_value_in_no_place_does_harm() {
    let mut server = Server::start(&["--ctx", "256", "--alias", "another"]);
    let requests: Vec<(&str, String)> = requests()
        .iter()
        .flat_map(|(path, body)| {
            marked(body)
                .into_iter()
                .map(move |body| (*path, body.to_string()))
        })
        .collect();
    let mark = format!("\"{MARK}\"");
    let dialects = ["", "X-Tramontane-Dialect: mistral\r\n"];
    // Half of the values in each of the two attacks.
    let half = Cell::new(0);
    withstands(&mut server, |server| {
        half.set(half.get() + 1);
        for (number, (path, body)) in requests.iter().enumerate() {
            for (index, value) in VALUES
                .iter()
                .enumerate()
                .filter(|(index, _)| (index / 2 + half.get()).is_multiple_of(2))
            {
                let body = body.replace(&mark, value);
                let headers = dialects[(number + index) % 2];
                let answer = server.post_with(path, body.as_bytes(), headers);
                let what = format!("{path} {body}");
                assert!(answer.status < 500, "{what}: {}", answer.text());
                is_discreet(&answer.text(), &what);
            }
        }
    });
    println!("{} places, {} values", requests.len(), VALUES.len());
}

/// The walk above is as good as its list: every field that the description names is in it.
#[test]
fn every_field_of_the_description_is_tried() {
    let description = shared().get("/openapi.json").json();
    let tried = requests();
    for (path, schema) in [
        ("/v1/chat/completions", "ChatCompletionRequest"),
        ("/v1/completions", "CompletionRequest"),
        ("/detokenize", "DetokenizeRequest"),
    ] {
        let properties = &description["components"]["schemas"][schema]["properties"];
        for name in properties.as_object().unwrap().keys() {
            let mut bodies = tried.iter().filter(|(tried, _)| *tried == path);
            assert!(
                bodies.any(|(_, body)| body.get(name).is_some()),
                "{path}: {name}"
            );
        }
    }
}

#[test]
fn names_in_paths_and_headers_do_no_harm() {
    let mut server = Server::start(&[]);
    withstands(&mut server, |server| {
        let long = format!("/v1/models/{}", "a".repeat(60_000));
        for path in [
            "/v1/models/%00%0d%0a",
            "/v1/models/../../etc/passwd",
            "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
            "/v1/models/%ff%fe",
            "/v1/models/%",
            "/%2e%2e/",
            "//",
            "/v1/chat/completions/",
            "/metrics/..%2f",
            &long,
        ] {
            let answer = server.get(path);
            // What is no HTTP is refused without a word.
            match answer.body.is_empty() {
                true => assert!((400..500).contains(&answer.status), "{path}"),
                false => is_refused(&answer, &path[..path.len().min(40)]),
            }
        }
        for header in [
            "Authorization: Bearer \x01\x02",
            "X-Request-Id: a\tb",
            "X-Request-Id: \u{e9}",
            "User-Agent: mistral-client-\u{ff}",
            "Content-Type: application/json; charset=utf-16",
            "Accept-Encoding: gzip;q=1e400",
            "Content-Encoding: gzip",
            "Expect: 200-maybe",
            "Origin: \u{0}",
        ] {
            let body = br#"{"messages": [{"role": "user", "content": "a"}], "max_tokens": 1}"#;
            let answer = server.post_with("/v1/chat/completions", body, &format!("{header}\r\n"));
            assert!(
                answer.status == 200 || (400..500).contains(&answer.status),
                "{header}"
            );
            let id = answer.header("x-request-id").unwrap_or("none");
            assert!(id.bytes().all(|byte| byte.is_ascii_graphic()), "{id:?}");
        }
    });
}
