//! End-to-end tests: the real binary, run as a user runs it.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on should say where; skips are said aloud"
)]

mod built_in;
mod commands;
mod images;
mod mistral;
mod prepare;
mod quantize;
mod serve;
mod smollm2;
mod support;
mod tekken;
#[cfg(unix)]
mod terminal;
