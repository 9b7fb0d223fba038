//! Clients that break HTTP's rules, or keep them and dawdle.

use super::{CHAT, is_refused, withstands};
use crate::limits::{begin, endless};
use crate::reply::{scripted, text};
use crate::server::{Answer, Server, head};
use serde_json::json;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// What the server says to each of these, sent side by side, until it closes. Whoever sends too much may be cut off in the
/// middle of it.
fn told<'a>(server: &Server, all: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let send = |bytes: &[u8]| {
        let mut stream = server.connect();
        let _ = stream.write_all(bytes);
        stream
    };
    let mut streams: Vec<TcpStream> = all.into_iter().map(send).collect();
    streams.iter_mut().map(until_closed).collect()
}

/// What comes until the server closes; that it does not is a failure.
fn until_closed(stream: &mut TcpStream) -> String {
    let mut told = Vec::new();
    if let Err(error) = stream.read_to_end(&mut told) {
        assert_ne!(error.kind(), ErrorKind::WouldBlock, "it stays open");
    }
    String::from_utf8_lossy(&told).into_owned()
}

fn is_bad_or_closed(told: &str, sent: &[u8]) {
    let sent = String::from_utf8_lossy(&sent[..sent.len().min(100)]);
    assert!(
        told.is_empty() || told.starts_with("HTTP/1.1 4"),
        "{sent:?}: {told}"
    );
}

#[test]
fn heads_that_break_the_rules() {
    let mut server = Server::start(&["--client-timeout", "3"]);
    let many: String = (0..100_000).map(|i| format!("X-{i}: a\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "a".repeat(1 << 20));
    let no_end = format!("X-Long: {}", "a".repeat(1 << 20));
    let floods = [many, long, no_end].map(|headers| head(CHAT, 0, &headers).into_bytes());
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(1 << 20));
    let broken: [&[u8]; 12] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"\r\n\r\n\r\n\r\nGET",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\n\x00\x01: b\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nA: b\x00c\r\n\r\n",
        b"GET /he\x00alth HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /health HTTP/1.1\r\n folded: a\r\n\r\n",
        b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        long_path.as_bytes(),
    ];
    withstands(&mut server, |server| {
        let all = broken
            .iter()
            .copied()
            .chain(floods.iter().map(Vec::as_slice));
        for (told, bytes) in told(server, all.clone()).iter().zip(all) {
            is_bad_or_closed(told, bytes);
        }
    });
}

#[test]
fn lengths_that_lie() {
    let mut server = Server::start(&["--client-timeout", "3", "--max-body", "1MiB"]);
    let body = scripted(&[text("a")], json!({})).to_string();
    let with = |headers: &str, body: &str| {
        format!("POST {CHAT} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{headers}\r\n{body}").into_bytes()
    };
    let one = body.len();
    let chunked = "Transfer-Encoding: chunked\r\n";
    let lies = [
        with("Content-Length: -5\r\n", &body),
        with("Content-Length: +5\r\n", &body),
        with("Content-Length: 0x5\r\n", &body),
        with("Content-Length: 18446744073709551616\r\n", &body),
        with("Content-Length: 18446744073709551615\r\n", &body),
        with("Content-Length: 5, 6\r\n", &body),
        with(
            &format!("Content-Length: {one}\r\nContent-Length: 5\r\n"),
            &body,
        ),
        with(&format!("Content-Length: {}\r\n", one + 1), &body),
        with("Content-Length: 0\r\n", &body),
        with("Content-Length: 5\r\n", &body),
        with(&format!("Content-Length: 5\r\n{chunked}"), "zz\r\n"),
        with("Transfer-Encoding: gzip\r\n", &body),
        with(chunked, "FFFFFFFFFFFFFFFF\r\n{"),
        with(chunked, "7FFFFFFFFFFFFFFF\r\n{\r\n"),
        with(chunked, "FFFFFFFFFFFFFFFFF\r\n{\r\n"),
        with(chunked, "-1\r\n{\r\n"),
        with(chunked, "zz\r\n"),
        with(chunked, &format!("1;{}\r\n{{\r\n", "a".repeat(1 << 20))),
        with(chunked, &format!("{}\r\n", "0".repeat(1 << 20))),
        with(chunked, "5\r\n{\r\n"),
        with(chunked, &format!("0\r\n{}\r\n", "A: b\r\n".repeat(100_000))),
    ];
    withstands(&mut server, |server| {
        let all = lies.iter().map(Vec::as_slice);
        for (told, bytes) in told(server, all.clone()).iter().zip(all) {
            is_bad_or_closed(told, bytes);
        }
        // A body in chunks of one byte is slow, not wrong.
        let bytes: String = body
            .chars()
            .map(|letter| format!("1\r\n{letter}\r\n"))
            .collect();
        let slow = with(chunked, &format!("{bytes}0\r\n\r\n"));
        let told = told(server, [&slow[..]]).concat();
        assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    });
}

#[test]
fn requests_in_one_go_are_answered_in_their_order() {
    let mut server = Server::start(&[]);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let body = scripted(&[text("a")], json!({})).to_string();
    let post = head(CHAT, body.len(), "").replace("Connection: close\r\n", "") + &body;
    let wrong = head(CHAT, 1, "").replace("Connection: close\r\n", "") + "{";
    withstands(&mut server, |server| {
        let mut stream = server.connect();
        let all = [
            get("/version"),
            post.clone(),
            get("/nowhere"),
            wrong.clone(),
            post.clone(),
            get("/health"),
        ];
        stream.write_all(all.concat().as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let answers: Vec<Answer> = all
            .iter()
            .map(|_| Answer::read(&mut reader).unwrap())
            .collect();
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200, 200, 404, 400, 200, 200]);
        assert_eq!(answers[0].json()["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(answers[4].json()["choices"][0]["message"]["content"], "a");
        assert_eq!(answers[5].json()["status"], "ok");
        // Thousands, from somebody who reads none of the answers and leaves.
        let mut stream = server.connect();
        stream
            .set_write_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let _ = stream.write_all(get("/openapi.json").repeat(5000).as_bytes());
    });
}

/// A client that closes one direction or both is gone: what it asked for is given up.
#[test]
fn clients_that_send_no_more_hold_nothing() {
    let mut server = Server::start(&["--client-timeout", "3"]);
    let body = endless(json!({"stream": true})).to_string();
    let whole = head(CHAT, body.len(), "") + &body;
    withstands(&mut server, |server| {
        for _ in 0..20 {
            for part in [40, whole.len() - 5, whole.len()] {
                let mut half_closed = server.connect();
                half_closed.write_all(&whole.as_bytes()[..part]).unwrap();
                half_closed.shutdown(Shutdown::Write).unwrap();
                let told = until_closed(&mut half_closed);
                assert!(!told.contains("[DONE]"), "it was computed to its end");
                let mut gone = server.connect();
                gone.write_all(&whole.as_bytes()[..part]).unwrap();
            }
        }
    });
}

/// Slowloris: bytes one by one, each in time, the whole never.
#[test]
fn clients_that_drip_are_dropped_and_hold_up_nobody() {
    let mut server = Server::start(&["--client-timeout", "2", "--max-connections", "100"]);
    let body = scripted(&[text("a")], json!({})).to_string();
    let slow_head = head(CHAT, body.len(), &"X-Slow: yes\r\n".repeat(50));
    let slow_body = head(CHAT, body.len(), "");
    withstands(&mut server, |server| {
        let start = Instant::now();
        let mut drips: Vec<(TcpStream, &[u8])> = Vec::new();
        for _ in 0..40 {
            drips.push((server.connect(), slow_head.as_bytes()));
            let mut stream = server.connect();
            stream.write_all(slow_body.as_bytes()).unwrap();
            drips.push((stream, body.as_bytes()));
        }
        for byte in 0..20 {
            for (stream, bytes) in &mut drips {
                let _ = stream.write_all(&bytes[byte..=byte]);
            }
            if byte == 5 {
                assert_eq!(server.post_with(CHAT, body.as_bytes(), "").status, 200);
            }
            std::thread::sleep(Duration::from_millis(150));
        }
        for (mut stream, _) in drips {
            let told = until_closed(&mut stream);
            assert!(
                told.is_empty() || told.starts_with("HTTP/1.1 408"),
                "{told}"
            );
        }
        assert!(start.elapsed() < Duration::from_secs(30));
    });
}

#[test]
fn clients_that_do_not_read_are_dropped() {
    let mut server = Server::start(&["--client-timeout", "1", "--max-batch", "8"]);
    withstands(&mut server, |server| {
        let much = endless(json!({"stream": true, "logprobs": true, "top_logprobs": 20}));
        let unread = begin(server, CHAT, &much);
        server.wait_for(|server| server.metric("vllm:num_requests_running") == 8.0);
        server.wait_for(|server| server.metric("vllm:num_requests_running") == 0.0);
        let told = server.get("/metrics").text();
        let aborted = told
            .lines()
            .find(|line| line.contains("finished_reason=\"abort\""));
        assert!(
            !aborted.unwrap().ends_with(" 0"),
            "it was computed to its end: {aborted:?}"
        );
        drop(unread);
    });
}

#[test]
fn connections_beyond_the_limit_wait_for_their_turn() {
    let mut server = Server::start(&["--client-timeout", "2", "--max-connections", "8"]);
    withstands(&mut server, |server| {
        let silent: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
        let body = b"{";
        drop(silent);
        is_refused(
            &server.post_with(CHAT, body, ""),
            "after a hundred that said nothing",
        );
    });
}
