//! Keys, sizes, queues, deadlines, and clients that go away.

use crate::reply::{scripted, text};
use crate::server::{Answer, LIMIT, Server, head, read_chunk, read_head};
use serde_json::{Value, json};
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";

/// A request that the tiny model is busy with for long: the byte Z over and over.
pub fn endless(more: Value) -> Value {
    let mut body = json!({
        "messages": [{"role": "user", "content": "a"}], "temperature": 0, "logit_bias": {"134": 100}, "n": 8,
    });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

/// Sends a request and leaves the answer to be read.
pub fn begin(server: &Server, path: &str, body: &Value) -> BufReader<TcpStream> {
    let body = body.to_string();
    let mut stream = server.connect();
    stream
        .write_all(head(path, body.len(), "").as_bytes())
        .unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    BufReader::new(stream)
}

#[test]
fn a_key_opens_the_model_and_nothing_else_needs_one() {
    let folder = std::env::temp_dir().join(format!("tramontane-keys-{}", std::process::id()));
    std::fs::write(&folder, "# of the team\nsecond\n\n third \n").unwrap();
    let server = Server::start(&[
        "--api-key",
        "first",
        "--api-key-file",
        folder.to_str().unwrap(),
    ]);
    std::fs::remove_file(&folder).unwrap();
    let body = scripted(&[text("a")], json!({})).to_string();
    let status = |headers: &str| server.post_with(CHAT, body.as_bytes(), headers).status;
    for key in ["first", "second", "third"] {
        assert_eq!(
            status(&format!("Authorization: Bearer {key}\r\n")),
            200,
            "{key}"
        );
    }
    for header in [
        "",
        "Authorization: Bearer fourth\r\n",
        "Authorization: first\r\n",
        "Authorization: Basic first\r\n",
    ] {
        assert_eq!(status(header), 401, "{header}");
    }
    let refused = server.post_with(CHAT, body.as_bytes(), "");
    assert_eq!(refused.json()["error"]["code"], "invalid_api_key");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    for (path, expected) in [
        ("/v1/models", 401),
        ("/health", 200),
        ("/ready", 200),
        ("/metrics", 200),
        ("/version", 200),
    ] {
        assert_eq!(server.get(path).status, expected, "{path}");
    }
}

#[test]
fn a_body_has_a_largest_size() {
    let server = Server::start(&["--max-body", "64K"]);
    let body = |length: usize| {
        let body =
            json!({"messages": [{"role": "user", "content": "a".repeat(length)}]}).to_string();
        server.post_with(CHAT, body.as_bytes(), "").status
    };
    assert_eq!(body(60_000), 400, "too long for the context only");
    let declared = server.send(&head(CHAT, 10 << 30, ""), b"{");
    assert_eq!(
        (declared.status, &declared.json()["error"]["code"]),
        (413, &json!("request_too_large"))
    );
    let mut stream = server.connect();
    let chunked = format!(
        "POST {CHAT} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(chunked.as_bytes()).unwrap();
    for _ in 0..10 {
        if stream
            .write_all(format!("4000\r\n{}\r\n", "a".repeat(0x4000)).as_bytes())
            .is_err()
        {
            break;
        }
    }
    assert_eq!(
        Answer::read(&mut BufReader::new(stream)).unwrap().status,
        413
    );
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let server = Server::start(&["--max-batch", "1", "--max-queue", "1"]);
    let streaming = endless(json!({"n": 1, "stream": true}));
    let mut running = begin(&server, CHAT, &streaming);
    let mut waiting = begin(&server, CHAT, &streaming);
    assert_eq!(read_head(&mut running).unwrap().0, 200);
    assert_eq!(read_head(&mut waiting).unwrap().0, 200);
    let refused = server.post(CHAT, &streaming);
    assert_eq!(
        (refused.status, &refused.json()["error"]["type"]),
        (429, &json!("rate_limit_error"))
    );
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert_eq!(
        server.post(CHAT, &endless(json!({"n": 3}))).status,
        400,
        "could never be let in"
    );
    drop((running, waiting));
    server.wait_for(|server| server.post(CHAT, &scripted(&[text("a")], json!({}))).status == 200);
}

#[test]
fn a_client_that_goes_away_frees_its_place() {
    let server = Server::start(&[]);
    for stream in [true, false] {
        let before = server.metric("tramontane:requests_cancelled_total");
        let mut answer = begin(&server, CHAT, &endless(json!({"stream": stream})));
        server.wait_for(|server| server.metric("vllm:num_requests_running") == 8.0);
        if stream {
            read_head(&mut answer).unwrap();
            read_chunk(&mut answer).unwrap();
        }
        drop(answer);
        server.wait_for(|server| server.metric("vllm:num_requests_running") == 0.0);
        assert_eq!(
            server.metric("tramontane:requests_cancelled_total"),
            before + 8.0
        );
        assert_eq!(server.metric("vllm:kv_cache_usage_perc"), 0.0);
    }
    let aborted = server.get("/metrics").text();
    assert!(
        aborted
            .lines()
            .any(|line| line.contains("finished_reason=\"abort\"") && line.ends_with(" 16")),
        "{aborted}"
    );
}

#[test]
fn a_deadline_ends_what_takes_too_long() {
    let server = Server::start(&["--deadline", "1"]);
    let slow = |stream: bool| endless(json!({"n": 64, "stream": stream}));
    let start = Instant::now();
    let whole = server.post(CHAT, &slow(false));
    assert_eq!(
        (whole.status, &whole.json()["error"]["code"]),
        (504, &json!("deadline_exceeded"))
    );
    assert_eq!(whole.header("x-should-retry"), Some("false"));
    assert!(start.elapsed() < Duration::from_secs(5));
    let streamed = server.post(CHAT, &slow(true)).text();
    let events: Vec<&str> = streamed.trim_end().rsplit("\n\n").collect();
    assert_eq!(events[0], "data: [DONE]");
    let error: Value = serde_json::from_str(events[1].strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(error["error"]["code"], "deadline_exceeded");
    server.wait_for(|server| server.metric("vllm:num_requests_running") == 0.0);
}

#[test]
fn a_stream_that_waits_shows_signs_of_life() {
    let server = Server::start(&["--max-batch", "1"]);
    let busy = begin(&server, CHAT, &endless(json!({"n": 64})));
    server.wait_for(|server| server.metric("vllm:num_requests_waiting") == 63.0);
    let mut waiting = begin(&server, CHAT, &endless(json!({"n": 1, "stream": true})));
    assert_eq!(read_head(&mut waiting).unwrap().0, 200);
    assert_eq!(read_chunk(&mut waiting).unwrap(), b": keep-alive\n\n");
    drop(busy);
    let first = String::from_utf8(read_chunk(&mut waiting).unwrap()).unwrap();
    assert!(first.contains("\"role\":\"assistant\""), "{first}");
}

#[test]
fn images_by_address_never_come_from_inside() {
    let server = Server::start(&["--allow-image-urls"]);
    for url in [
        format!("http://{}/health", server.address),
        "http://localhost:1/a.png".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://[::1]/a.png".to_owned(),
        "https://10.0.0.1/a.png".to_owned(),
        "ftp://example.org/a.png".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let content = json!([{"type": "image_url", "image_url": {"url": url}}]);
        let answer = server.post(
            CHAT,
            &json!({"messages": [{"role": "user", "content": content}]}),
        );
        assert_eq!(answer.status, 400, "{url}");
        let message = answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            ["public address", "http or https", "no address"]
                .iter()
                .any(|why| message.contains(why)),
            "{url}: {message}"
        );
    }
    let health = server.get("/metrics").text();
    assert!(
        !health.contains("path=\"/health\""),
        "the server asked itself: {health}"
    );
}

#[test]
fn slow_clients_are_dropped() {
    let mut server = Server::start(&["--client-timeout", "1"]);
    let body = scripted(&[text("a")], json!({})).to_string();
    // A head that never ends, and a connection that says nothing.
    let mut silent = server.connect();
    let mut slow_head = server.connect();
    slow_head
        .write_all(b"POST /v1/chat/completions HTTP/1.1\r\nHost: ")
        .unwrap();
    // A body that never ends.
    let mut slow_body = server.connect();
    slow_body
        .write_all(head(CHAT, body.len(), "").as_bytes())
        .unwrap();
    slow_body.write_all(&body.as_bytes()[..10]).unwrap();
    let answer = Answer::read(&mut BufReader::new(&mut slow_body)).unwrap();
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (408, &json!("request_timeout"))
    );
    for stream in [&mut silent, &mut slow_head] {
        let start = Instant::now();
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(stream, &mut rest);
        assert!(start.elapsed() < LIMIT / 2, "the connection stays open");
    }
    assert!(server.is_running());
}

#[test]
fn web_pages_are_let_in_by_name() {
    let ask = |server: &Server, origin: &str| {
        let head = format!(
            "OPTIONS {CHAT} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type,authorization\r\n\r\n"
        );
        let answer = server.send(&head, b"");
        answer
            .header("access-control-allow-origin")
            .map(str::to_owned)
    };
    let closed = crate::server::shared();
    assert_eq!(ask(closed, "https://a.example"), None);
    let named = Server::start(&[
        "--api-key",
        "k",
        "--cors",
        "https://a.example",
        "http://localhost:3000",
    ]);
    assert_eq!(
        ask(&named, "https://a.example").as_deref(),
        Some("https://a.example")
    );
    assert_eq!(
        ask(&named, "http://localhost:3000").as_deref(),
        Some("http://localhost:3000")
    );
    assert_eq!(ask(&named, "https://b.example"), None);
    let open = Server::start(&["--cors"]);
    assert_eq!(ask(&open, "https://b.example").as_deref(), Some("*"));
}
