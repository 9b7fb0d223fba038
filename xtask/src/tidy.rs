//! What the compiler cannot check: that files and functions stay small, that every file says its job, that crates
//! depend on one another in one direction only, and that ARCHITECTURE.md names paths that exist.

use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, its tests not counted.
const FILE_LINES: usize = 500;
/// Lines of a function.
const FUNCTION_LINES: usize = 70;
/// Lines of ARCHITECTURE.md.
const ARCHITECTURE_LINES: usize = 250;

/// Which crates of the workspace a crate may name in its manifest.
const EDGES: [(&str, &[&str]); 7] = [
    ("kernels", &[]),
    ("model", &["kernels"]),
    ("engine", &["model"]),
    ("chat", &[]),
    ("mini", &[]),
    (
        "tramontane",
        &["kernels", "model", "engine", "chat", "mini"],
    ),
    ("xtask", &[]),
];

/// Text that has no place in a library.
const FORBIDDEN: [&str; 5] = [
    "todo!(",
    "unimplemented!(",
    "dbg!(",
    "println!(",
    "#[ignore",
];

/// Checks the tree below `root`; prints every finding and fails if there is one.
pub fn run(root: &Path) -> Result<()> {
    let mut findings = Vec::new();
    let mut files = Vec::new();
    for folder in ["crates", "xtask", "fuzz"] {
        rust_files(&root.join(folder), &mut files);
    }
    files.sort();
    for path in &files {
        let name = path
            .strip_prefix(root)
            .unwrap_or(path)
            .display()
            .to_string();
        let text = fs::read_to_string(path)?;
        findings.extend(
            check_file(&name, &text)
                .into_iter()
                .map(|what| format!("{name}: {what}")),
        );
    }
    findings.extend(check_edges(root)?);
    findings.extend(check_architecture(root)?);
    if findings.is_empty() {
        println!("tidy: {} files, nothing found", files.len());
        return Ok(());
    }
    bail!("tidy found:\n  {}", findings.join("\n  "));
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() && path.file_name().is_some_and(|n| n != "target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Findings in one Rust file. Tests (from `#[cfg(test)]` on, `tests.rs`, and whole files under `tests/`) have no size budget.
fn check_file(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push("does not open with `//!`: its job, and what it must not know".into());
    }
    let is_test = name.contains("/tests/") || name.ends_with("/tests.rs");
    let code: Vec<&str> = text
        .lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .collect();
    if !is_test && code.len() > FILE_LINES {
        findings.push(format!(
            "{} lines before its tests, the budget is {FILE_LINES}",
            code.len()
        ));
    }
    if !is_test {
        for (line, length) in long_functions(&code) {
            findings.push(format!(
                "line {line}: a function of {length} lines, the budget is {FUNCTION_LINES}"
            ));
        }
    }
    let is_library = [
        "crates/kernels/src",
        "crates/model/src",
        "crates/engine/src",
        "crates/chat/src",
    ];
    if !is_test && is_library.iter().any(|folder| name.starts_with(folder)) {
        for (index, line) in code.iter().enumerate() {
            let statement = line.split("//").next().unwrap_or_default();
            for word in FORBIDDEN.iter().filter(|word| statement.contains(**word)) {
                findings.push(format!("line {}: `{word}` in a library", index + 1));
            }
        }
    }
    if text.contains("#[ignore") && !name.starts_with("xtask") {
        findings.push("an ignored test".into());
    }
    findings
}

/// `(first line, lines)` of each function over budget. rustfmt puts a function's closing brace at its own indentation.
fn long_functions(code: &[&str]) -> Vec<(usize, usize)> {
    let mut long = Vec::new();
    for (start, line) in code.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words = line
            .trim_start()
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub ");
        let words = words
            .trim_start_matches("const ")
            .trim_start_matches("unsafe ");
        if !words.starts_with("fn ")
            || line.trim_end().ends_with('}')
            || line.trim_end().ends_with(';')
        {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(indent));
        let body = &code[start + 1..];
        // A declaration without a body (in a trait) ends with `;` before any brace at its indentation.
        let Some(length) = body
            .iter()
            .position(|l| *l == closing || l.trim_end() == format!("{closing};"))
        else {
            continue;
        };
        let declared_only = body[..length]
            .iter()
            .any(|l| l.len() - l.trim_start().len() == indent && l.trim_end().ends_with(';'));
        if !declared_only && length + 2 > FUNCTION_LINES {
            long.push((start + 1, length + 2));
        }
    }
    long
}

/// That each manifest names only the crates below it.
fn check_edges(root: &Path) -> Result<Vec<String>> {
    let allowed: BTreeMap<&str, &[&str]> = EDGES.into_iter().collect();
    let mut findings = Vec::new();
    for (name, below) in &allowed {
        let folder = if *name == "xtask" {
            root.join("xtask")
        } else {
            root.join("crates").join(name)
        };
        let manifest = fs::read_to_string(folder.join("Cargo.toml"))?;
        // Tests may look across: only what the crate itself is built from counts.
        let built_from = manifest
            .split("[dev-dependencies]")
            .next()
            .unwrap_or_default();
        let used = allowed.keys().filter(|other| {
            built_from.lines().any(|line| {
                line.starts_with(&format!("{other}.")) || line.starts_with(&format!("{other} ="))
            })
        });
        for other in used.filter(|other| !below.contains(other)) {
            findings.push(format!("{name} depends on {other}, which is not below it"));
        }
    }
    Ok(findings)
}

/// That every path in backticks that looks like one of ours exists.
fn check_architecture(root: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join("ARCHITECTURE.md"))?;
    let mut findings = Vec::new();
    if text.lines().count() > ARCHITECTURE_LINES {
        findings.push(format!("ARCHITECTURE.md: over {ARCHITECTURE_LINES} lines"));
    }
    for word in text.split('`').skip(1).step_by(2) {
        let is_path = [
            "crates/",
            "xtask/",
            "fixtures/",
            "fuzz/",
            "docs/",
            ".ci/",
            "models/",
        ]
        .iter()
        .any(|start| word.starts_with(start));
        if is_path && !word.contains(['*', '{', '<', ' ']) && !root.join(word).exists() {
            findings.push(format!(
                "ARCHITECTURE.md names `{word}`, which does not exist"
            ));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_function_is_found_and_a_declaration_is_not() {
        let body = "    x();\n".repeat(FUNCTION_LINES);
        let text = format!(
            "fn long() {{\n{body}}}\ntrait T {{\n    fn declared(\n        a: u32,\n    );\n}}\n"
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(long_functions(&lines), [(1, FUNCTION_LINES + 2)]);
    }

    #[test]
    fn a_file_must_say_its_job_and_a_library_must_not_print() {
        let findings = check_file("crates/model/src/x.rs", "fn f() { println!(\"\") }\n");
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(check_file("crates/model/src/x.rs", "//! Job.\n").is_empty());
    }

    #[test]
    fn tests_have_no_size_budget() {
        let text = format!("//! Job.\n#[cfg(test)]\n{}", "x\n".repeat(FILE_LINES + 1));
        assert!(check_file("crates/model/src/x.rs", &text).is_empty());
    }
}
