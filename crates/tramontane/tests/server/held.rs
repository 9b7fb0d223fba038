//! Replies that are held to something: tools, schemas, patterns, choices.

use crate::reply::{joined, stream, whole};
use crate::server::shared;
use proptest::prelude::*;
use serde_json::{Value, json};

fn ask(more: Value) -> Value {
    let mut body = json!({
        "messages": [{"role": "user", "content": "a"}], "max_tokens": 300, "temperature": 1, "seed": 5,
        // A random model would write spaces for ever, or think; and never come to call a tool.
        "logit_bias": {"76": -100, "54": -100, "53": -100, "57": -100, "34": -100, "9": 100},
    });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

fn tools(strict: bool) -> Value {
    let tool = |name: &str, values: Value| {
        let schema = json!({"type": "object", "properties": {"a": {"enum": values}}, "required": ["a"], "additionalProperties": false});
        json!({"type": "function", "function": {"name": name, "parameters": schema, "strict": strict}})
    };
    json!([tool("one", json!([1, 2])), tool("two", json!(["x", "y"]))])
}

#[test]
fn a_tool_is_called_where_one_must_be() {
    let named = json!({"type": "function", "function": {"name": "two"}});
    for choice in [json!("required"), json!("any"), named] {
        let body =
            ask(json!({"tools": tools(true), "tool_choice": choice, "parallel_tool_calls": false}));
        let reply = shared().chat(&body);
        assert_eq!(
            reply["choices"][0]["finish_reason"], "tool_calls",
            "{reply}"
        );
        let calls = reply["choices"][0]["message"]["tool_calls"]
            .as_array()
            .unwrap();
        assert_eq!(calls.len(), 1);
        let name = calls[0]["function"]["name"].as_str().unwrap();
        let arguments: Value =
            serde_json::from_str(calls[0]["function"]["arguments"].as_str().unwrap()).unwrap();
        match name {
            "one" => assert!(
                choice.is_string() && [json!({"a": 1}), json!({"a": 2})].contains(&arguments)
            ),
            "two" => assert!([json!({"a": "x"}), json!({"a": "y"})].contains(&arguments)),
            other => panic!("{other}"),
        }
        assert_eq!(joined(&stream(shared(), &body)), whole(&reply));
    }
    let none = shared().chat(&ask(
        json!({"tools": tools(true), "tool_choice": "none", "max_tokens": 20}),
    ));
    assert!(none["choices"][0]["message"].get("tool_calls").is_none());
}

#[test]
fn vllms_wishes_are_kept() {
    let content =
        |more: Value| shared().chat(&ask(more))["choices"][0]["message"]["content"].clone();
    assert_eq!(content(json!({"guided_choice": ["yes/no"]})), "yes/no");
    assert_eq!(
        content(json!({"structured_outputs": {"regex": "a/b\\d{0}c"}})),
        "a/bc"
    );
    let chosen = content(json!({"structured_outputs": {"choice": ["red", "blue"]}}));
    assert!([json!("red"), json!("blue")].contains(&chosen), "{chosen}");
    let object = content(
        json!({"guided_json": {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"], "additionalProperties": false}}),
    );
    assert_eq!(
        serde_json::from_str::<Value>(object.as_str().unwrap()).unwrap(),
        json!({"a": 1})
    );
}

#[test]
fn a_schema_holds_what_comes_after_the_thought() {
    let schema = json!({"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
    // A thought is begun for certain and ended before long; spaces would be allowed without end.
    let bias = json!({"34": 100, "35": 6, "76": -100, "54": -100, "53": -100, "57": -100});
    for seed in 0..4 {
        let body = ask(json!({
            "response_format": format, "reasoning_effort": "high", "logit_bias": bias, "seed": seed, "max_tokens": 1500,
        }));
        let reply = shared().chat(&body);
        let message = &reply["choices"][0]["message"];
        assert!(
            !message["reasoning"].as_str().unwrap().is_empty(),
            "{reply}"
        );
        let value: Value = serde_json::from_str(message["content"].as_str().unwrap()).unwrap();
        assert!(
            [json!({"a": 1}), json!({"a": 2})].contains(&value),
            "{reply}"
        );
        assert_eq!(reply["choices"][0]["finish_reason"], "stop");
        assert_eq!(joined(&stream(shared(), &body)), whole(&reply));
    }
}

#[test]
fn masks_are_computed_by_a_thread_of_their_own() {
    let server = crate::server::Server::start(&[]);
    server.chat(&ask(json!({"guided_regex": "a{5}"})));
    let before = server.num_waits("masks");
    server.chat(&ask(json!({"guided_regex": "[a-z]{100}"})));
    let waits = server.num_waits("masks") - before;
    // Once for each token, but where the next mask was wanted at once.
    assert!(waits >= 50, "{waits} waits for 100 tokens");
}

#[test]
fn a_schema_that_cannot_be_kept_is_refused_by_its_keyword() {
    let format = |schema: Value| json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": true}});
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": true}}});
    let answer = shared().post(
        "/v1/chat/completions",
        &ask(json!({"response_format": format(schema)})),
    );
    assert_eq!(answer.status, 400);
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains("uniqueItems") && message.contains("response_format"),
        "{message}"
    );
    for wrong in [
        json!({"response_format": {"type": "yaml"}}),
        json!({"response_format": {"type": "json_schema"}}),
        json!({"response_format": {"type": "json_object"}, "guided_regex": "a"}),
        json!({"guided_regex": "("}),
        json!({"guided_grammar": "start: nothing"}),
        json!({"tools": tools(true), "tool_choice": {"type": "function", "function": {"name": "three"}}}),
        json!({"tool_choice": "required"}),
        json!({"tools": tools(true), "guided_regex": "a"}),
    ] {
        let answer = shared().post("/v1/chat/completions", &ask(wrong.clone()));
        assert_eq!(answer.status, 400, "{wrong} -> {}", answer.text());
    }
}

/// Schemas whose values are short.
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "null"})),
        (-5..5i64, 0..9i64).prop_map(
            |(low, more)| json!({"type": "integer", "minimum": low, "maximum": low + more})
        ),
        (0..3u64, 0..4u64).prop_map(
            |(low, more)| json!({"type": "string", "minLength": low, "maxLength": low + more})
        ),
        prop::collection::vec(
            prop_oneof![
                Just(json!("a")),
                Just(json!(1)),
                Just(json!({"b": null})),
                Just(json!([true]))
            ],
            1..4
        )
        .prop_map(|values| json!({"enum": values})),
        Just(json!({"type": "string", "pattern": "^[a-c]{1,3}$"})),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), 0..3u64, 0..2u64)
                .prop_map(|(items, low, more)| json!({"type": "array", "items": items, "minItems": low, "maxItems": low + more})),
            (prop::collection::btree_map("[a-d]", inner.clone(), 0..4), any::<bool>()).prop_map(|(properties, all)| {
                let names: Vec<&String> = properties.keys().skip(usize::from(!all)).collect();
                json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
            }),
            prop::collection::vec(inner, 1..3).prop_map(|any| json!({"anyOf": any})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_is_held_to_a_schema_validates(schema in schemas(), seed in any::<u32>()) {
        let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": true}});
        let body = ask(json!({"response_format": format, "seed": seed, "max_tokens": 900}));
        let reply = shared().chat(&body);
        let choice = &reply["choices"][0];
        prop_assert_eq!(&choice["finish_reason"], "stop", "{}", reply);
        let content = choice["message"]["content"].as_str().unwrap();
        let value: Value = serde_json::from_str(content).map_err(|error| TestCaseError::fail(format!("{error}: {content}")))?;
        let judge = jsonschema::validator_for(&schema).unwrap();
        prop_assert!(judge.is_valid(&value), "{} by {}", content, schema);
        prop_assert_eq!(joined(&stream(shared(), &body)), whole(&reply));
    }
}
