//! Clients by the hundred, each of whom knows what its reply must be and looks that it is whole.

use crate::limits::endless;
use crate::reply::{call, scripted, text, thought};
use crate::server::{Answer, LIMIT, head, read_chunk, read_head};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";
/// How long a client rests that was told to come back later: less than it was told, to keep the queue full.
const REST: Duration = Duration::from_millis(200);

/// How a visit went; anything else is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// The reply was whole, as a stream.
    Stream,
    /// The reply was whole, as one body.
    Body,
    /// The client hung up in the middle of it.
    Left,
    /// The queue was full: 429, with the time to come back.
    Full,
}

/// What a crowd saw.
#[derive(Default)]
pub struct Tally {
    pub seen: BTreeMap<Seen, usize>,
    /// From the request to the first token of each stream.
    pub first_tokens: Vec<Duration>,
    /// Tokens of whole replies.
    pub num_tokens: u64,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        for (seen, count) in other.seen {
            *self.seen.entry(seen).or_default() += count;
        }
        self.first_tokens.extend(other.first_tokens);
        self.num_tokens += other.num_tokens;
    }
}

/// Lets so many clients come again and again until it is over. `num_visits` counts those who were let in.
pub fn come(
    address: &str,
    clients: usize,
    is_over: &AtomicBool,
    num_visits: &AtomicUsize,
) -> Tally {
    let client = |number: usize| {
        let mut tally = Tally::default();
        for round in 0.. {
            if is_over.load(Ordering::SeqCst) {
                break;
            }
            let seen = visit(address, number, round, &mut tally);
            *tally.seen.entry(seen).or_default() += 1;
            match seen {
                Seen::Full => std::thread::sleep(REST),
                _ => drop(num_visits.fetch_add(1, Ordering::SeqCst)),
            }
        }
        tally
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|number| scope.spawn(move || client(number)))
            .collect();
        let mut sum = Tally::default();
        clients
            .into_iter()
            .for_each(|client| sum.add(client.join().unwrap()));
        sum
    })
}

/// What a client wants.
struct Wish {
    body: Value,
    /// The content of each choice; none where the model is left to say what it likes.
    content: Option<String>,
    reason: Option<&'static str>,
    leaves: bool,
}

fn wish(client: usize, round: usize) -> Wish {
    let said = format!("Client {client} in round {round}.");
    let parts = [thought("Hm"), vec![text(&said)], call("f", "{}")].concat();
    let length = 5 + (client * 31 + round * 17) % 120;
    let usage = json!({"include_usage": true});
    let long =
        json!([{"role": "user", "content": format!("{said} {}", "word ".repeat(length * 2))}]);
    let wish = |body: Value, reason| Wish {
        body,
        content: None,
        reason,
        leaves: false,
    };
    let streamed = |more: Value| {
        let mut body = endless(json!({"n": 1, "stream": true, "stream_options": usage}));
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    match (client + round) % 8 {
        0 => Wish {
            content: Some(said),
            ..wish(
                scripted(&parts, json!({"stream": true, "stream_options": usage})),
                Some("tool_calls"),
            )
        },
        1 => Wish {
            content: Some(said),
            ..wish(scripted(&parts, json!({"n": 2})), Some("tool_calls"))
        },
        2 => wish(streamed(json!({"max_tokens": length})), Some("length")),
        3 => wish(
            endless(json!({"n": 1, "max_tokens": length / 2 + 1})),
            Some("length"),
        ),
        4 => Wish {
            leaves: true,
            ..wish(streamed(json!({"max_tokens": 1500})), None)
        },
        5 => Wish {
            leaves: true,
            ..wish(endless(json!({"n": 1, "max_tokens": 1500})), None)
        },
        6 => wish(
            streamed(json!({"messages": long, "max_tokens": 4})),
            Some("length"),
        ),
        _ => wish(
            streamed(json!({"logit_bias": {}, "temperature": 1, "seed": round, "max_tokens": 30})),
            None,
        ),
    }
}

fn visit(address: &str, client: usize, round: usize, tally: &mut Tally) -> Seen {
    let wish = wish(client, round);
    let start = Instant::now();
    let text = wish.body.to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
        .write_all((head(CHAT, text.len(), "") + &text).as_bytes())
        .unwrap();
    if wish.leaves && wish.body["stream"] != true {
        std::thread::sleep(Duration::from_millis(50));
        return Seen::Left;
    }
    let mut reader = BufReader::new(stream);
    if wish.body["stream"] != true {
        let answer = Answer::read(&mut reader).unwrap();
        if answer.status != 200 {
            return refused(answer.status, answer.header("retry-after"));
        }
        is_whole(&wish, &answer.json());
        tally.num_tokens += tokens(&answer.json());
        return Seen::Body;
    }
    let (status, headers) = read_head(&mut reader).unwrap();
    if status != 200 {
        let wait = headers.iter().find(|(name, _)| name == "retry-after");
        return refused(status, wait.map(|(_, value)| value.as_str()));
    }
    let (mut read, mut has_begun) = (Vec::new(), false);
    loop {
        let chunk = read_chunk(&mut reader)
            .unwrap_or_else(|| panic!("broke off: {}", String::from_utf8_lossy(&read)));
        if chunk.is_empty() {
            break;
        }
        if !has_begun && chunk.starts_with(b"data:") {
            has_begun = true;
            tally.first_tokens.push(start.elapsed());
        }
        read.extend(chunk);
        if wish.leaves && read.len() > 2000 {
            return Seen::Left;
        }
    }
    let body = put_together(&String::from_utf8(read).unwrap());
    is_whole(&wish, &body);
    tally.num_tokens += tokens(&body);
    Seen::Stream
}

fn refused(status: u16, retry_after: Option<&str>) -> Seen {
    assert_eq!(status, 429);
    let seconds: u64 = retry_after.unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    Seen::Full
}

/// A stream's chunks as the body they stand for: contents, finish reasons and usage.
pub fn put_together(stream: &str) -> Value {
    let events = stream
        .strip_suffix("data: [DONE]\n\n")
        .unwrap_or_else(|| panic!("no end: {stream}"));
    let mut body = json!({"choices": [], "usage": null});
    for event in events
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
    {
        let chunk: Value = serde_json::from_str(event).unwrap();
        assert!(chunk.get("error").is_none(), "{chunk}");
        for part in chunk["choices"].as_array().unwrap() {
            let choices = body["choices"].as_array_mut().unwrap();
            if choices.is_empty() {
                choices.push(json!({"message": {"content": ""}, "finish_reason": null}));
            }
            let choice = &mut choices[0];
            let content = choice["message"]["content"].as_str().unwrap();
            let more = part["delta"]["content"].as_str().unwrap_or_default();
            choice["message"]["content"] = json!(format!("{content}{more}"));
            if !part["finish_reason"].is_null() {
                choice["finish_reason"] = part["finish_reason"].clone();
            }
        }
        if !chunk["usage"].is_null() {
            body["usage"] = chunk["usage"].clone();
        }
    }
    body
}

fn is_whole(wish: &Wish, body: &Value) {
    let choices = body["choices"].as_array().unwrap();
    let wanted = wish.body["n"].as_u64().unwrap_or(1);
    assert_eq!(choices.len() as u64, wanted, "{body}");
    for choice in choices {
        let reason = choice["finish_reason"].as_str().unwrap();
        assert!(
            wish.reason.is_none_or(|wanted| wanted == reason),
            "{reason}: {body}"
        );
        if let Some(content) = &wish.content {
            assert_eq!(
                choice["message"]["content"],
                json!(content),
                "another client's words"
            );
        }
        if reason == "length" {
            assert_eq!(
                tokens(body),
                wish.body["max_tokens"].as_u64().unwrap() * wanted,
                "{body}"
            );
        }
    }
}

fn tokens(body: &Value) -> u64 {
    body["usage"]["completion_tokens"].as_u64().unwrap()
}
