//! The held-out evaluation of `mini` through our own server: each question as a client would send it, replies judged by
//! the recipe's own judge (`recipes/mini/mini/judge.py`), accuracy, tokens and time by skill and effort.

use crate::server::{Server, binary, finish};
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// Builds the program, serves the built-in model (or `--model PATH`), and asks it everything; other arguments go to
/// `python3 -m mini.ask`.
pub fn run(root: &Path, args: &[String]) -> Result<()> {
    let (model, rest) = match args {
        [flag, path, rest @ ..] if flag == "--model" => (Some(path.as_str()), rest),
        rest => (None, rest),
    };
    let home = root.join("target").join("eval-mini");
    let server = Server::start(&binary(root, "release")?, model, &home, "server", &[])?;
    finish(
        Command::new("python3")
            .args(["-m", "mini.ask", &server.url()])
            .args(rest)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(root.join("recipes").join("mini")),
    )
}
