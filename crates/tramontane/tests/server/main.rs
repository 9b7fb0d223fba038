//! End-to-end tests of `tramontane serve`: the real binary, driven over plain sockets.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on should say where; skips are said aloud"
)]

mod chat;
mod completions;
mod crowd;
mod ends;
mod errors;
mod held;
mod hostile;
mod limits;
mod load;
mod metrics;
mod mistral;
mod others;
mod reply;
mod seeing;
mod server;
mod smollm2;
mod streaming;
#[expect(dead_code, reason = "shared with the tests of commands")]
#[path = "../cli/support.rs"]
mod support;
#[expect(dead_code, reason = "shared with the tests of commands")]
#[path = "../cli/tekken.rs"]
mod tekken;
