//! Many clients at once: every reply is whole, memory stays, and the end comes cleanly in the middle of it.

use crate::limits::endless;
use crate::reply::{call, scripted, text, thought};
use crate::server::{Answer, Server, head, read_chunk, read_head};
use serde_json::{Value, json};
use std::io::{BufReader, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";
const CLIENTS: usize = 48;

/// What one client saw.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Whole,
    /// A stream that ended with an error, or a refusal to start one.
    Told,
    /// It went away itself.
    Left,
    /// The connection was closed before an answer began.
    Closed,
}

fn request(client: usize, round: usize) -> Value {
    let parts = [
        thought("Hm"),
        vec![text(&format!("client {client} in round {round}"))],
        call("f", "{}"),
    ]
    .concat();
    match (client + round) % 4 {
        0 => scripted(&parts, json!({"stream": true})),
        1 => scripted(&parts, json!({"n": 2})),
        2 => endless(json!({"n": 1, "max_tokens": 40, "stream": true})),
        _ => endless(json!({"n": 1, "stream": true})),
    }
}

fn visit(address: &str, body: &Value) -> Seen {
    let leaves = body["max_tokens"].is_null() && body["guided_grammar"].is_null();
    let text = body.to_string();
    let Ok(mut stream) = std::net::TcpStream::connect(address) else {
        return Seen::Closed;
    };
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    if stream
        .write_all(head(CHAT, text.len(), "").as_bytes())
        .and_then(|()| stream.write_all(text.as_bytes()))
        .is_err()
    {
        return Seen::Closed;
    }
    let mut reader = BufReader::new(stream);
    if body["stream"] != true {
        return match Answer::read(&mut reader) {
            None => Seen::Closed,
            Some(answer) if answer.status == 200 => {
                assert_eq!(answer.json()["choices"].as_array().unwrap().len(), 2);
                Seen::Whole
            }
            Some(answer) => refused(answer.status),
        };
    }
    let Some((status, _)) = read_head(&mut reader) else {
        return Seen::Closed;
    };
    if status != 200 {
        return refused(status);
    }
    let mut read = Vec::new();
    while let Some(chunk) = read_chunk(&mut reader) {
        read.extend(chunk);
        if leaves && read.len() > 2000 {
            return Seen::Left;
        }
    }
    let read = String::from_utf8(read).unwrap();
    assert!(
        read.ends_with("data: [DONE]\n\n"),
        "a stream broke off: {read}"
    );
    match read.contains("\"error\"") {
        true => Seen::Told,
        false => Seen::Whole,
    }
}

fn refused(status: u16) -> Seen {
    assert!(status == 429 || status == 503, "{status}");
    Seen::Told
}

#[test]
fn everyone_is_served_and_the_end_is_clean() {
    let mut server = Server::start(&["--grace", "1", "--max-queue", "40"]);
    let (is_over, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let address = server.address.clone();
    let (mut first, mut last) = (0, 0);
    let wholes = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (is_over, rounds, address) = (&is_over, &rounds, &address);
                scope.spawn(move || {
                    let mut wholes = 0;
                    for round in 0.. {
                        let seen = visit(address, &request(client, round));
                        wholes += usize::from(seen == Seen::Whole);
                        if is_over.load(Ordering::SeqCst) {
                            break;
                        }
                        assert_ne!(seen, Seen::Closed, "before the end");
                        rounds.fetch_add(1, Ordering::SeqCst);
                    }
                    wholes
                })
            })
            .collect();
        let start = Instant::now();
        while rounds.load(Ordering::SeqCst) < 4 * CLIENTS
            && start.elapsed() < Duration::from_secs(40)
        {
            std::thread::sleep(Duration::from_millis(50));
        }
        first += server.memory();
        while rounds.load(Ordering::SeqCst) < 10 * CLIENTS
            && start.elapsed() < Duration::from_secs(80)
        {
            std::thread::sleep(Duration::from_millis(50));
        }
        last += server.memory();
        is_over.store(true, Ordering::SeqCst);
        server.signal("-TERM");
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum::<usize>()
    });
    assert!(wholes > CLIENTS, "{wholes} replies");
    assert!(
        last < first + (48 << 20),
        "memory grew from {first} to {last}"
    );
    assert_eq!(server.wait().code(), Some(0));
}
