//! The `tramontane` binary.
fn main() {}
