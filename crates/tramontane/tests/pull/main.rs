//! `pull`, `list`, `rm` and names in `-m`, end to end: the real binary against a hub on the loopback that misbehaves on
//! order. Every case must end with the right file or a clear error, and go on where it was.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod cache;
mod digests;
mod faults;
mod home;
mod models;
mod refusals;
mod server;
