//! How the server ends: what runs may finish, what is new is refused, and nothing is left in the dark.

use crate::limits::{begin, endless};
use crate::reply::{scripted, text};
use crate::server::{Answer, LIMIT, Server, read_chunk, read_head};
use serde_json::{Value, json};
use std::time::Instant;

const CHAT: &str = "/v1/chat/completions";

#[test]
fn what_runs_finishes_and_what_is_new_is_refused() {
    let mut server = Server::start(&["--grace", "150"]);
    let mut running = begin(
        &server,
        CHAT,
        &endless(json!({"stream": true, "max_tokens": 1200})),
    );
    assert_eq!(read_head(&mut running).unwrap().0, 200);
    read_chunk(&mut running).unwrap();
    server.signal("-TERM");
    server.wait_for(|server| server.get("/ready").status == 503);
    let refused = server.post(CHAT, &scripted(&[text("a")], json!({})));
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (503, &json!("unavailable"))
    );
    assert!(refused.header("retry-after").is_some());
    let mut stream = Vec::new();
    while let Some(chunk) = read_chunk(&mut running) {
        stream.extend(chunk);
    }
    let stream = String::from_utf8(stream).unwrap();
    assert_eq!(stream.matches("\"finish_reason\":\"length\"").count(), 8);
    assert!(stream.ends_with("data: [DONE]\n\n"));
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn what_does_not_finish_in_time_is_told() {
    for (signals, grace) in [(1, "0"), (2, "60")] {
        let mut server = Server::start(&["--grace", grace]);
        let slow = |stream: bool| endless(json!({"n": 64, "stream": stream}));
        let mut streamed = begin(&server, CHAT, &slow(true));
        let mut whole = begin(&server, CHAT, &slow(false));
        read_head(&mut streamed).unwrap();
        read_chunk(&mut streamed).unwrap();
        server.wait_for(|server| {
            server.metric("vllm:num_requests_running") + server.metric("vllm:num_requests_waiting")
                == 128.0
        });
        let start = Instant::now();
        for _ in 0..signals {
            server.signal("-INT");
            server.wait_for_log("ending");
        }
        let mut stream = Vec::new();
        while let Some(chunk) = read_chunk(&mut streamed) {
            stream.extend(chunk);
        }
        let stream = String::from_utf8(stream).unwrap();
        let events: Vec<&str> = stream.trim_end().rsplit("\n\n").collect();
        assert_eq!(events[0], "data: [DONE]");
        let error: Value = serde_json::from_str(events[1].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(error["error"]["code"], "unavailable");
        assert_eq!(Answer::read(&mut whole).unwrap().status, 503);
        assert_eq!(server.wait().code(), Some(0));
        assert!(start.elapsed() < LIMIT / 3);
    }
}

#[test]
fn an_idle_server_ends_at_once() {
    let mut server = Server::start(&[]);
    let idle = server.connect();
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
    drop(idle);
}

#[test]
fn a_taken_port_is_an_error_of_one_line() {
    let server = Server::start(&[]);
    let port = server.address.rsplit(':').next().unwrap();
    let model = crate::support::fixture("llama-tiny-f32.gguf");
    let error = crate::support::failure(&["serve", "-m", &model, "--port", port], 1);
    assert!(
        error.contains("cannot listen") && error.contains("--port"),
        "{error}"
    );
    let error = crate::support::failure(
        &["serve", "-m", &model, "--api-key", "a b", "--port", "0"],
        1,
    );
    assert!(
        error.contains("API key 1") && !error.contains("a b"),
        "{error}"
    );
    let error = crate::support::failure(&["serve", "-m", "/nowhere", "--port", "0"], 1);
    assert!(error.contains("/nowhere"), "{error}");
}
