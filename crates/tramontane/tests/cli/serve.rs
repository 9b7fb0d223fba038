//! `serve` as a person starts it; what it answers is tested in `tests/server`.

use crate::support::failure;
#[cfg(unix)]
use crate::terminal::Terminal;

/// Nobody has this much memory.
const FAR_TOO_MUCH: &str = "900000GiB";

#[test]
fn a_cache_larger_than_memory_is_refused() {
    let said = failure(&["serve", "--port", "0", "--kv-memory", FAR_TOO_MUCH], 1);
    for part in [
        "--kv-memory 878.9 TiB",
        "are free",
        "Give at most",
        "--force",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

/// At a terminal it says where the chat page is, once that answers, and Ctrl-C ends it.
#[cfg(unix)]
#[test]
fn a_person_is_told_where_the_page_is() {
    use std::io::{Read, Write};

    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tramontane"));
    command.args(["serve", "--port", "0", "--threads", "1"]);
    let mut terminal = Terminal::start(command);
    terminal.wait("Ctrl-C ends the server");
    let screen = terminal.contents();
    let place = screen.split("Chat at http://").nth(1).unwrap();
    let place = place.split('/').next().unwrap();
    let mut stream = std::net::TcpStream::connect(place).unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: {place}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("<html"),
        "{answer}"
    );
    terminal.press("\x03");
    assert!(terminal.ended().contains(", 0)"), "it ends with code 0");
}
