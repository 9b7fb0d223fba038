//! Requests that mean harm: the server answers or hangs up, gives back what they took, and goes on serving.

mod amounts;
mod bodies;
mod fields;
mod pictures;
mod sockets;

use crate::reply::{scripted, text};
use crate::server::{Answer, Server};
use serde_json::json;

const CHAT: &str = "/v1/chat/completions";

/// What an attack that has been seen before may add to the process' memory. glibc keeps what was freed for each thread by
/// itself, up to twice the largest piece, so another thread that reads tens of megabytes adds as much once.
const MAX_GROWTH: u64 = 96 << 20;

/// Attacks twice, so that what is kept once does not count, and looks whether anything is left of it: the process lives
/// and answers, nothing panicked, no socket, thread or sequence is held, and memory has grown by less than [`MAX_GROWTH`].
fn withstands(server: &mut Server, attack: impl Fn(&Server)) {
    withstands_within(MAX_GROWTH, server, attack);
}

/// The same, with another limit on memory.
fn withstands_within(max_growth: u64, server: &mut Server, attack: impl Fn(&Server)) {
    // A thread that loaded the model goes away by itself.
    let (files, threads) = (server.num_files(), server.num_threads());
    attack(server);
    let memory = server.memory();
    attack(server);
    let grown = server.memory().saturating_sub(memory);
    assert!(server.is_running());
    assert_eq!(server.get("/health").status, 200);
    let body = server.chat(&scripted(&[text("Still here.")], json!({})));
    assert_eq!(body["choices"][0]["message"]["content"], "Still here.");
    for gauge in ["vllm:num_requests_running", "vllm:num_requests_waiting"] {
        server.wait_for(|server| server.metric(gauge) == 0.0);
    }
    assert_eq!(server.metric("vllm:kv_cache_usage_perc"), 0.0);
    server.wait_for(|server| server.num_files() <= files);
    server.wait_for(|server| server.num_threads() <= threads);
    let log = server.read_log();
    let panic = log.iter().find(|line| line.contains("panicked"));
    assert_eq!(panic, None);
    println!("{} KiB more than after the first attack", grown >> 10);
    assert!(grown < max_growth, "memory grew by {grown} bytes");
}

/// A refusal in so many words, which tell nothing of the machine.
fn is_refused(answer: &Answer, what: &str) {
    let text = answer.text();
    assert!(
        (400..500).contains(&answer.status),
        "{what}: {} {text}",
        answer.status
    );
    is_discreet(&text, what);
    let message = answer.json()["error"]["message"]
        .as_str()
        .map(str::to_owned);
    assert!(
        message.is_some_and(|message| message.len() < 2000),
        "{what}: {text}"
    );
}

/// Holds no path of this machine and no part of a stack trace.
fn is_discreet(text: &str, what: &str) {
    let temporary = std::env::temp_dir().display().to_string();
    let secrets = [
        temporary.as_str(),
        env!("CARGO_MANIFEST_DIR"),
        "/home/",
        "/root/",
        ".cargo/",
        ".rs:",
        "src/",
        "panicked",
        "backtrace",
    ];
    for secret in secrets {
        assert!(!text.contains(secret), "{what}: {secret} in {text}");
    }
}
