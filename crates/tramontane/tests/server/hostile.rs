//! Requests that mean harm: the server answers or hangs up, keeps its memory, and goes on serving.

use crate::reply::{scripted, text};
use crate::server::{Answer, Server, head};
use serde_json::json;
use std::io::{BufReader, Read, Write};
use std::net::Shutdown;

const CHAT: &str = "/v1/chat/completions";

fn serves(server: &Server) {
    assert_eq!(
        server.post(CHAT, &scripted(&[text("a")], json!({}))).status,
        200
    );
}

#[test]
fn bodies_that_are_not_what_they_seem() {
    let mut server = Server::start(&["--max-body", "4MiB"]);
    let deep = |depth: usize, open: &str, close: &str| {
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    };
    let message = |content: &str| {
        format!("{{\"messages\": [{{\"role\": \"user\", \"content\": {content}}}]}}")
    };
    let bodies = [
        deep(100_000, "[", "]"),
        deep(100_000, "{\"a\":", "}"),
        message(&deep(50_000, "[", "]")),
        format!("{{\"messages\": {}}}", "[".repeat(1 << 20)),
        format!("{{\"a\": {}, \"messages\": []}}", "9".repeat(1 << 20)),
        format!(
            "{{{}}}",
            (0..100_000)
                .map(|i| format!("\"k{i}\": 0"))
                .collect::<Vec<_>>()
                .join(",")
        ),
        format!(
            "{{\"messages\": [{}]}}",
            vec!["{\"role\": \"user\", \"content\": \"a\"}"; 50_000].join(",")
        ),
        format!(
            "{{\"messages\": [{{\"role\": \"user\", \"content\": \"a\"}}], \"stop\": [{}]}}",
            vec!["\"a\""; 50_000].join(",")
        ),
        message(&format!("\"{}\"", "\\ud800".repeat(100_000))),
        message("\"\\u0000\\uffff\"").replace("user", "user\\u0000"),
        message(&format!(
            "[{{\"type\": \"image_url\", \"image_url\": \"data:image/png;base64,{}\"}}]",
            "A".repeat(1 << 20)
        )),
        message(
            "[{\"type\": \"image_url\", \"image_url\": \"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA/////////wgGAAAA\"}]",
        ),
    ];
    for body in bodies {
        let answer = server.post_with(CHAT, body.as_bytes(), "");
        assert!(
            (400..500).contains(&answer.status),
            "{}: {}",
            &body[..80],
            answer.text()
        );
        assert!(answer.json()["error"]["message"].as_str().unwrap().len() < 2000);
    }
    let random: Vec<u8> = (0..100_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    assert_eq!(server.post_with(CHAT, &random, "").status, 400);
    serves(&server);
    assert!(server.is_running());
}

#[test]
fn a_schema_that_refers_to_itself_or_bursts_is_refused_or_kept() {
    let server = Server::start(&["--max-body", "4MiB"]);
    let wide: serde_json::Map<String, serde_json::Value> = (0..2000)
        .map(|i| (format!("p{i}"), json!({"type": "string"})))
        .collect();
    for schema in [
        json!({"$ref": "#"}),
        json!({"$ref": "http://169.254.169.254/latest"}),
        json!({"$ref": "file:///etc/passwd"}),
        json!({"type": "string", "pattern": "(a|a)*".repeat(2000)}),
        json!({"type": "array", "minItems": 4_000_000_000u64}),
        json!({"type": "object", "properties": wide, "required": ["p0"]}),
        json!({"anyOf": vec![json!({"type": "object"}); 3000]}),
    ] {
        let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": true}});
        let body = json!({"messages": [{"role": "user", "content": "a"}], "max_tokens": 2, "response_format": format});
        let status = server.post(CHAT, &body).status;
        assert!(status == 200 || status == 400, "{status}");
    }
    for regex in [
        "(a*)*".repeat(5000),
        "(x{1000}){1000}".to_owned(),
        "a{1000000000}".to_owned(),
    ] {
        let body = json!({"messages": [{"role": "user", "content": "a"}], "max_tokens": 2, "guided_regex": regex});
        let status = server.post(CHAT, &body).status;
        assert!(status == 200 || status == 400, "{status}");
    }
    serves(&server);
}

#[test]
fn heads_and_sockets_that_misbehave() {
    let mut server = Server::start(&["--client-timeout", "2"]);
    let many: String = (0..100_000).map(|i| format!("X-{i}: a\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "a".repeat(1 << 20));
    for headers in [many, long] {
        let mut stream = server.connect();
        let _ = stream.write_all(head(CHAT, 0, &headers).as_bytes());
        let answer = Answer::read(&mut BufReader::new(stream));
        assert!(answer.is_none_or(|answer| answer.status == 431));
    }
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\n\x00\x01: b\r\n\r\n",
    ] {
        let mut stream = server.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    // A client that says it will send no more gets its answer or is hung up on, and nothing of it stays.
    let body = scripted(&[text("a")], json!({})).to_string();
    for _ in 0..50 {
        let mut stream = server.connect();
        stream
            .write_all(head(CHAT, body.len(), "").as_bytes())
            .unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    server.wait_for(|server| server.metric("vllm:num_requests_running") == 0.0);
    serves(&server);
    assert!(server.is_running());
}

#[test]
fn memory_does_not_grow_with_refused_requests() {
    let server = Server::start(&["--max-body", "2MiB"]);
    let large = format!(
        "{{\"messages\": [{{\"role\": \"user\", \"content\": \"{}\"}}]}}",
        "a ".repeat(500_000)
    );
    let refuse = |times: usize| {
        for _ in 0..times {
            assert_eq!(server.post_with(CHAT, large.as_bytes(), "").status, 400);
        }
    };
    refuse(10);
    let before = server.memory();
    refuse(40);
    let after = server.memory();
    assert!(after < before + (32 << 20), "{before} -> {after}");
}
