//! One conversation format, its directions side by side: messages to tokens, and the reply's tokens back.
//!
//! All of them speak of the same control tokens. Must not know: HTTP, sampling.

pub mod encode;
pub mod grammar;
pub mod parse;
