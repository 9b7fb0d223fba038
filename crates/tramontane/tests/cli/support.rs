//! Running the real binary, and where its models are.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A fixture model.
pub fn fixture(name: &str) -> String {
    root()
        .join("fixtures/models")
        .join(name)
        .display()
        .to_string()
}

/// Runs the binary with `stdin`, and returns what it said.
pub fn tramontane(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tramontane"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A child that fails before it reads its input closes the pipe; its exit code tells.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

/// The stdout of a run that must succeed.
pub fn stdout(args: &[&str], stdin: &str) -> String {
    let output = tramontane(args, stdin);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The stderr of a run that must fail with `code`.
pub fn failure(args: &[&str], code: i32) -> String {
    let output = tramontane(args, "");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(
        output.stdout.is_empty(),
        "{args:?} wrote results though it failed"
    );
    stderr
}

/// The real model that `cargo xtask smollm2` fetches. Without it a test says that it skips, unless
/// `TRAMONTANE_REQUIRE_SMOLLM2` is set, as in CI: then it fails.
pub fn smollm2() -> Option<String> {
    let path = root().join("models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if path.exists() {
        return Some(path.display().to_string());
    }
    let required = std::env::var_os("TRAMONTANE_REQUIRE_SMOLLM2").is_some();
    assert!(
        !required,
        "{} is missing: run `cargo xtask smollm2`",
        path.display()
    );
    println!(
        "SKIPPED: {} is missing (`cargo xtask smollm2` fetches it)",
        path.display()
    );
    None
}
