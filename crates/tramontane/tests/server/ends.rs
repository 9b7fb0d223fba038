//! How the server ends: what runs may finish, what is new is refused, and nothing is left in the dark.

use crate::crowd::put_together;
use crate::limits::{begin, endless};
use crate::reply::{scripted, text};
use crate::server::{Answer, LIMIT, Server, head, read_chunk, read_head, read_stream};
use crate::tekken::Folder;
use serde_json::{Value, json};
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

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
    let stream = String::from_utf8(read_stream(&mut running)).unwrap();
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
        let stream = String::from_utf8(read_stream(&mut streamed)).unwrap();
        let events: Vec<&str> = stream.trim_end().rsplit("\n\n").collect();
        assert_eq!(events[0], "data: [DONE]");
        let error: Value = serde_json::from_str(events[1].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(error["error"]["code"], "unavailable");
        assert_eq!(Answer::read(&mut whole).unwrap().status, 503);
        assert_eq!(server.wait().code(), Some(0));
        assert!(start.elapsed() < LIMIT / 3);
    }
}

/// What a client is told that comes when the server is ending, or none if nobody listens any more.
fn late(address: &str) -> Option<(u16, Value)> {
    let body = scripted(&[text("a")], json!({})).to_string();
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
        .write_all((head(CHAT, body.len(), "") + &body).as_bytes())
        .ok()?;
    let answer = Answer::read(&mut BufReader::new(stream))?;
    Some((answer.status, answer.json()["error"]["code"].clone()))
}

#[test]
fn many_streams_end_cleanly_in_the_middle() {
    const GRACE: u64 = 2;
    let mut server = Server::start(&["--grace", &GRACE.to_string(), "--max-queue", "100"]);
    let short = endless(json!({"n": 1, "stream": true, "max_tokens": 20}));
    let long = endless(json!({"n": 1, "stream": true}));
    let whole = endless(json!({"n": 1}));
    let wishes = [&short, &long, &long, &whole];
    let mut clients: Vec<_> = (0..80)
        .map(|client| (wishes[client % 4], begin(&server, CHAT, wishes[client % 4])))
        .collect();
    // All are let in, and the first stream is in its middle.
    let jobs = |server: &Server| {
        ["vllm:num_requests_running", "vllm:num_requests_waiting"]
            .map(|gauge| server.metric(gauge))
            .iter()
            .sum::<f64>()
    };
    server.wait_for(|server| jobs(server) >= 60.0);
    let (_, streaming) = &mut clients[1];
    assert_eq!(read_head(streaming).unwrap().0, 200);
    while !String::from_utf8(read_chunk(streaming).unwrap())
        .unwrap()
        .contains("Z")
    {}
    let start = Instant::now();
    server.signal("-TERM");
    server.wait_for_log("ending");
    let refused = late(&server.address);
    assert!(refused.is_none_or(|told| told == (503, json!("unavailable"))));

    let (mut finished, mut cut_off) = (0, 0);
    for (number, (wish, reader)) in clients.iter_mut().enumerate() {
        if wish["stream"] != true {
            let answer = Answer::read(reader).unwrap();
            match answer.status {
                200 => finished += 1,
                503 => cut_off += 1,
                status => panic!("{status}"),
            }
            continue;
        }
        if number != 1 {
            assert_eq!(read_head(reader).unwrap().0, 200);
        }
        let stream = String::from_utf8(read_stream(reader)).unwrap();
        let mut events = stream.trim_end().rsplit("\n\n");
        assert_eq!(events.next(), Some("data: [DONE]"));
        let last: Value =
            serde_json::from_str(events.next().unwrap().strip_prefix("data: ").unwrap()).unwrap();
        match last.get("error") {
            Some(error) => {
                assert_eq!(error["code"], "unavailable");
                cut_off += 1;
            }
            None => {
                assert_eq!(
                    put_together(&stream)["choices"][0]["finish_reason"],
                    "length"
                );
                finished += 1;
            }
        }
        assert_eq!(read_chunk(reader), None, "the connection is closed");
    }
    assert!(cut_off > 0, "all finished before the end: {finished}");
    assert_eq!(server.wait().code(), Some(0));
    // The grace, the farewell, and what a busy machine adds.
    assert!(start.elapsed() < Duration::from_secs(GRACE + 20));
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

#[test]
fn a_model_that_generates_nothing_is_never_ready() {
    let folder = Folder::new("overflow", true);
    let path = std::path::Path::new(&folder.path()).join("model.safetensors");
    let mut file = std::fs::read(&path).unwrap();
    let data = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..data]).unwrap();
    let offset = |index: usize| {
        header["model.norm.weight"]["data_offsets"][index]
            .as_u64()
            .unwrap() as usize
    };
    // Times the largest number there is, some of what reaches the head is infinite, of either sign.
    for weight in file[data + offset(0)..data + offset(1)].chunks_exact_mut(4) {
        weight.copy_from_slice(&f32::MAX.to_le_bytes());
    }
    std::fs::write(&path, file).unwrap();
    let error = crate::support::failure(&["serve", "-m", &folder.path(), "--port", "0"], 1);
    assert!(error.contains("does not generate"), "{error}");
    assert!(!error.contains("ready"), "{error}");
}
