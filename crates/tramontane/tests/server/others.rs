//! The smaller endpoints: models, tokens, health, version, the description.

use crate::seeing::seeing;
use crate::server::{Server, shared};
use serde_json::{Value, json};

#[test]
fn models_are_listed_with_both_makers_fields() {
    let list = shared().get("/v1/models").json();
    let names: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|card| card["id"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 2);
    assert!(
        names[0].starts_with("tramontane-serve") && names[1] == "another",
        "{names:?}"
    );
    let card = shared().get("/v1/models/another").json();
    assert_eq!(card, list["data"][1]);
    assert_eq!(card["aliases"], json!([names[0]]));
    assert_eq!(
        (&card["max_model_len"], &card["max_context_length"]),
        (&json!(2048), &json!(2048))
    );
    assert_eq!(card["capabilities"]["completion_chat"], true);
    assert_eq!(card["capabilities"]["vision"], false);
    assert_eq!(card["default_model_temperature"], 0.15);
    let missing = shared().get("/v1/models/owner/nobody");
    assert_eq!(missing.status, 404);
    let message = missing.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains("owner/nobody") && message.contains("another"),
        "{message}"
    );
}

#[test]
fn tokens_in_vllms_form() {
    let ask = |path: &str, body: Value| shared().post(path, &body).json();
    let text = ask(
        "/tokenize",
        json!({"prompt": "é", "return_token_strs": true}),
    );
    assert_eq!(text["tokens"], json!([1, 44 + 0xc3, 44 + 0xa9]));
    assert_eq!(
        (&text["count"], &text["max_model_len"]),
        (&json!(3), &json!(2048))
    );
    assert_eq!(text["token_strs"], json!(["<s>", "\u{fffd}", "\u{fffd}"]));
    assert_eq!(
        ask(
            "/tokenize",
            json!({"prompt": "a", "add_special_tokens": false})
        )["tokens"],
        json!([141])
    );
    let chat = ask(
        "/tokenize",
        json!({"messages": [{"role": "user", "content": "a"}], "reasoning_effort": "high"}),
    );
    let shown = ask("/detokenize", json!({"tokens": chat["tokens"]}));
    assert_eq!(
        shown["prompt"],
        "<s>[MODEL_SETTINGS]{\"reasoning_effort\": \"high\"}[/MODEL_SETTINGS][INST]a[/INST]"
    );
    let info = shared().get("/tokenizer_info").json();
    assert_eq!(
        (&info["bos_token"], &info["eos_token"]),
        (&json!("<s>"), &json!("</s>"))
    );
    for (path, body) in [
        ("/tokenize", json!({})),
        ("/tokenize", json!({"prompt": 1})),
        ("/tokenize", json!({"messages": []})),
        ("/detokenize", json!({"tokens": [300]})),
        ("/detokenize", json!({"tokens": "a"})),
        ("/detokenize", json!({})),
    ] {
        assert_eq!(shared().post(path, &body).status, 400, "{path} {body}");
    }
}

#[test]
fn the_server_tells_of_itself() {
    assert_eq!(shared().get("/health").json(), json!({"status": "ok"}));
    assert_eq!(shared().get("/ready").json(), json!({"status": "ready"}));
    assert_eq!(
        shared().get("/version").json()["version"],
        env!("CARGO_PKG_VERSION")
    );
    let description = shared().get("/openapi.json").json();
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(description["paths"]["/v1/chat/completions"]["post"].is_object());
}

#[test]
fn a_request_has_an_id() {
    let id = |given: &str| {
        let answer = shared().send(
            &format!("GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{given}\r\n"),
            b"",
        );
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id("X-Request-Id: mine-1\r\n"), "mine-1");
    let (one, other) = (
        id(""),
        id(&format!("X-Request-Id: {}\r\n", "a".repeat(200))),
    );
    assert!(one.len() == 32 && other.len() == 32 && one != other);
}

#[test]
fn the_hosted_names_are_answered_to() {
    let server = seeing(&[]);
    let list = server.get("/v1/models").json();
    let names: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|card| card["id"].as_str().unwrap())
        .collect();
    let hosted = [
        "mistral-small-4",
        "mistral-small-latest",
        "mistral-small-2603",
        "mistralai/Mistral-Small-4-119B-2603",
    ];
    assert_eq!(names[1..], hosted);
    for name in hosted {
        let body =
            json!({"model": name, "messages": [{"role": "user", "content": "a"}], "max_tokens": 1});
        assert_eq!(server.chat(&body)["model"], name);
    }
    let card = server
        .get("/v1/models/mistralai/Mistral-Small-4-119B-2603")
        .json();
    assert_eq!(card["capabilities"]["vision"], true);
}

#[test]
fn the_log_is_json_on_request_and_repeats_nobodys_words() {
    let server = Server::start(&["--log-format", "json"]);
    let words = "a secret that is nobody's business";
    let body = json!({"messages": [{"role": "user", "content": words}], "max_tokens": 1, "stop": words, "user": words});
    let headers = "X-Request-Id: mine-7\r\n";
    let ask = |body: &Value| {
        server
            .post_with("/v1/chat/completions", body.to_string().as_bytes(), headers)
            .status
    };
    assert_eq!(ask(&body), 200);
    assert_eq!(
        ask(&json!({"messages": [{"role": words, "content": words}]})),
        400
    );
    assert_eq!(
        ask(&json!({"model": words, "messages": [{"role": "user", "content": words}]})),
        404
    );
    let line = server.wait_for_log("\"status\":200");
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["span"]["id"], "mine-7");
    assert_eq!(line["span"]["path"], "/v1/chat/completions");
    let last = server.wait_for_log("\"status\":404");
    let log = [vec![line.to_string(), last], server.read_log()].concat();
    for line in log {
        serde_json::from_str::<Value>(&line).unwrap();
        assert!(!line.contains("secret"), "{line}");
    }
}
