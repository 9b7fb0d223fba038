//! What the README and `docs/` tell people to type works: `sh` blocks are run, page by page, in an empty folder with the
//! program on the path and, where a page asks for one, a server of the built-in model; in other blocks every line that
//! begins with `tramontane` names a command and flags that exist.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod page;

use page::{Block, blocks};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

const BINARY: &str = env!("CARGO_BIN_EXE_tramontane");
/// The address that pages use.
const ADDRESS: &str = "127.0.0.1:8000";
/// A shell ends by itself after so many seconds.
const LIMIT: &str = "300";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every page and its blocks.
fn pages() -> Vec<(PathBuf, Vec<Block>)> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let mut paths: Vec<PathBuf> = docs.map(|entry| entry.unwrap().path()).collect();
    paths.push(root().join("README.md"));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let read = |path: PathBuf| {
        let found = blocks(&fs::read_to_string(&path).unwrap());
        (path, found)
    };
    paths.into_iter().map(read).collect()
}

/// A server of the built-in model, killed with the value.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start() -> Server {
        let mut child = Command::new(BINARY)
            .args(["serve", "--port", "0", "--ctx", "8192"])
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut address = None;
        for line in lines.by_ref().map(Result::unwrap) {
            if let Some((_, rest)) = line.split_once("address=") {
                address = rest.split_whitespace().next().map(str::to_owned);
            }
            if line.ends_with("ready") {
                break;
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.unwrap();
        Server { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a page's `sh` blocks in one shell; what it said if it fails.
fn run(page: &Path, script: &str) -> Option<String> {
    let server = script.contains(ADDRESS).then(Server::start);
    let script = match &server {
        Some(server) => script.replace(ADDRESS, &server.address),
        None => script.to_owned(),
    };
    let name = page.file_stem().unwrap().to_string_lossy();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("docs")
        .join(&*name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fs::copy(
        root().join("docs/images/chart.png"),
        folder.join("chart.png"),
    )
    .unwrap();
    let path = format!(
        "{}:{}",
        Path::new(BINARY).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new("timeout")
        .args([LIMIT, "bash", "-euo", "pipefail", "-c", &script])
        .current_dir(&folder)
        .env("PATH", path)
        .env("HOME", &folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (!output.status.success()).then(|| {
        format!(
            "{}: {}\n{}{}",
            page.display(),
            output.status,
            said(&output.stdout),
            said(&output.stderr)
        )
    })
}

#[test]
fn what_the_pages_tell_people_to_type_works() {
    let mut failures = Vec::new();
    for (page, blocks) in pages() {
        let parts: Vec<&str> = blocks
            .iter()
            .filter(|block| block.language == "sh")
            .map(|block| block.text.as_str())
            .collect();
        if !parts.is_empty() {
            failures.extend(run(&page, &parts.join("\n")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The help of a command, asked for once.
fn help(known: &Mutex<BTreeMap<String, String>>, command: &str) -> String {
    let mut known = known.lock().unwrap();
    let text = known.entry(command.to_owned()).or_insert_with(|| {
        let output = Command::new(BINARY)
            .args([command, "--help"])
            .output()
            .unwrap();
        assert!(output.status.success(), "there is no command `{command}`");
        String::from_utf8(output.stdout).unwrap()
    });
    text.clone()
}

#[test]
fn commands_that_are_only_shown_exist_with_their_flags() {
    let known = Mutex::default();
    let mut shown = 0;
    for (page, blocks) in pages() {
        let lines = blocks
            .iter()
            .filter(|block| block.language != "sh")
            .flat_map(|block| block.text.lines());
        for line in lines {
            let Some(rest) = line.trim_start_matches("$ ").strip_prefix("tramontane ") else {
                continue;
            };
            shown += 1;
            let mut words = rest.split_whitespace();
            let command = words.next().unwrap();
            let help = help(&known, command);
            for flag in words.filter(|word| word.starts_with("--") && word.len() > 2) {
                let flag = flag.split(['=', ']', '|']).next().unwrap();
                assert!(
                    help.contains(flag),
                    "{}: `{line}`: `tramontane {command}` has no {flag}",
                    page.display()
                );
            }
        }
    }
    assert!(shown > 10, "{shown} commands were found");
}
