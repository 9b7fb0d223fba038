//! `quantize` through the binary: what it writes computes what its source computes, and is whole or not there.

use crate::support::{failure, fixture, root, stdout, tramontane};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A folder of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let id = std::process::id();
        let path = std::env::temp_dir().join(format!("tramontane-quantize-{name}-{id}"));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Names of everything in it, hidden files included.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let name = |e: std::fs::DirEntry| e.file_name().to_string_lossy().into_owned();
        let mut names: Vec<_> = entries.map(|e| name(e.unwrap())).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn quantize(src: &str, dst: &str, format: &str) -> String {
    stdout(&["quantize", "-q", src, dst, "--format", format], "")
}

fn golden(name: &str) -> String {
    let path = root().join("fixtures/goldens").join(name);
    path.display().to_string()
}

/// What `score` says of `model` on the sequences of a golden file.
fn score(model: &str, golden_name: &str, more: &[&str]) -> String {
    let input = golden(golden_name);
    let args = ["score", "-q", "-m", model, "--top", "8", "--input", &input];
    stdout(&[&args[..], more].concat(), "")
}

/// All log-probabilities of a `score`.
fn logprobs(text: &str) -> Vec<f64> {
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let values = |line: Value| line["logprobs"].as_array().unwrap()[1..].to_vec();
    lines
        .flat_map(values)
        .map(|v| v.as_f64().unwrap())
        .collect()
}

/// The largest and the mean difference of two scores.
fn differences(a: &str, b: &str) -> (f64, f64) {
    let (a, b) = (logprobs(a), logprobs(b));
    assert!(
        a.len() > 20 && a.len() == b.len(),
        "{} and {}",
        a.len(),
        b.len()
    );
    let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).collect();
    let largest = differences.iter().fold(0.0, |most: f64, d| most.max(*d));
    (
        largest,
        differences.iter().sum::<f64>() / differences.len() as f64,
    )
}

#[test]
fn latent_attention_computes_the_same_bit_for_bit() {
    let folder = Folder::new("bits");
    for name in [
        "mistral4-tiny-f32",
        "mistral4-dense-first",
        "mistral4-dense-first-nonorm",
        "mistral4-realdims-f32",
    ] {
        let (source, goldens) = (fixture(name), format!("{name}.jsonl"));
        let dst = folder.file(&format!("{name}.gguf"));
        quantize(&source, &dst, "f32");
        for whose in ["vendor", "transformers"] {
            let flags = ["--kv-type", "f32", "--softmax-scale", whose];
            let (before, after) = (
                score(&source, &goldens, &flags),
                score(&dst, &goldens, &flags),
            );
            assert_eq!(after, before, "{name} {whose}");
        }
    }
}

/// Two things differ on purpose: a GGUF's router is F32, whose products need no splitting in two as BF16's do, and the
/// heads of grouped attention hold rotated pairs side by side, so that sums over their lanes run in another order.
#[test]
fn routers_and_dealt_heads_differ_by_rounding() {
    let folder = Folder::new("order");
    for (name, format) in [
        ("mistral4-old-names", "bf16"),
        ("mistral4-mscale", "bf16"),
        ("mistral4-tied-outer", "bf16"),
        ("mistral4-tied-inner", "bf16"),
        ("mistral4-tiny-bf16", "bf16"),
        ("mistral4-realdims-bf16", "bf16"),
        ("llama-tiny", "f32"),
        ("llama-tiny-old-config", "bf16"),
        ("llama-tiny-llama3-rope", "bf16"),
        ("mistral-tiny", "bf16"),
        ("ministral3-tiny", "f32"),
    ] {
        let (source, goldens) = (fixture(name), format!("{name}.jsonl"));
        let dst = folder.file(&format!("{name}.gguf"));
        quantize(&source, &dst, format);
        let exact = ["--kv-type", "f32"];
        let (before, after) = (
            score(&source, &goldens, &exact),
            score(&dst, &goldens, &exact),
        );
        let (largest, mean) = differences(&before, &after);
        let bound = if format == "f32" { 2e-5 } else { 3e-4 };
        assert!(
            largest <= bound && mean <= bound / 5.0,
            "{name}: {largest} {mean}"
        );
    }
}

#[test]
fn a_gguf_as_source_keeps_its_metadata_and_its_values() {
    let folder = Folder::new("gguf");
    for (name, goldens) in [
        ("mistral4-tiny-f32.gguf", "mistral4-tiny-f32.jsonl"),
        (
            "mistral4-tiny-f32-separate-00001-of-00002.gguf",
            "mistral4-tiny-f32.jsonl",
        ),
        (
            "llama-tiny-llama3-rope-bf16.gguf",
            "llama-tiny-llama3-rope.jsonl",
        ),
        ("deepseek2-tiny-f32.gguf", "mistral4-tiny-f32.jsonl"),
        ("mistral4-q8_0.gguf", "mistral4-q8_0.jsonl"),
    ] {
        let formats = ["bf16", "q8_0"];
        let format = formats.into_iter().find(|format| name.contains(format));
        let format = format.unwrap_or("f32");
        let (source, dst) = (fixture(name), folder.file(name));
        quantize(&source, &dst, format);
        assert_eq!(
            score(&dst, goldens, &[]),
            score(&source, goldens, &[]),
            "{name}"
        );
    }
}

#[test]
fn every_format_stays_near_its_source() {
    let folder = Folder::new("formats");
    let (source, goldens) = (
        fixture("mistral4-realdims-f32"),
        "mistral4-realdims-f32.jsonl",
    );
    let before = score(&source, goldens, &["--kv-type", "f32"]);
    let mut sizes = Vec::new();
    // The largest mean difference of log-probabilities that is still right, on random weights.
    for (format, bound) in [
        ("f32", 0.0),
        ("f16", 0.01),
        ("bf16", 0.05),
        ("q8_0", 0.1),
        ("q6_k", 0.2),
        ("q5_k_m", 0.5),
        ("q5_k", 0.5),
        ("q5_1", 0.5),
        ("q5_0", 0.5),
        ("q4_k_m", 1.0),
        ("q4_k", 1.0),
        ("q4_1", 1.0),
        ("Q4_0", 1.0),
    ] {
        let dst = folder.file(&format!("{format}.gguf"));
        quantize(&source, &dst, format);
        let after = score(&dst, goldens, &["--kv-type", "f32"]);
        let (_, mean) = differences(&before, &after);
        println!("{format}: {mean:.4}");
        assert!(mean <= bound, "{format}: {mean}");
        assert!(bound == 0.0 || mean > 0.0, "{format} changed nothing");
        sizes.push((format, std::fs::metadata(&dst).unwrap().len()));
    }
    assert!(
        sizes[0].1 > sizes[3].1 && sizes[3].1 > sizes[12].1,
        "{sizes:?}"
    );
}

#[test]
fn images_score_the_same_through_the_vision_file() {
    let folder = Folder::new("vision");
    let (source, goldens) = (
        fixture("mistral4-vision-f32"),
        "mistral4-vision-f32.score.jsonl",
    );
    let before = score(&source, goldens, &["--kv-type", "f32"]);
    let (text, tower) = (folder.file("a.gguf"), folder.file("mmproj-a.gguf"));
    assert_eq!(
        quantize(&source, &text, "f32"),
        format!("{text}\n{tower}\n")
    );
    let after = score(&text, goldens, &["--kv-type", "f32", "--mmproj", &tower]);
    // The tower's heads are dealt out anew: sums over lanes run in another order.
    let (largest, _) = differences(&before, &after);
    assert!(largest <= 1e-4, "{largest}");
    quantize(&source, &folder.file("b.gguf"), "q8_0");
    let rounded = folder.file("mmproj-b.gguf");
    let after = score(&text, goldens, &["--kv-type", "f32", "--mmproj", &rounded]);
    let (largest, mean) = differences(&before, &after);
    assert!(mean > 0.0 && mean <= 0.3, "{largest} {mean}");
}

/// The vocabulary inside the file, read as any other GGUF's, gives the ids of `tekken.json`.
#[test]
fn the_built_in_model_keeps_its_words_and_nearly_its_numbers() {
    let folder = Folder::new("words");
    let dst = folder.file("mini.gguf");
    quantize("mini", &dst, "q8_0");
    assert_eq!(folder.names(), ["mini.gguf", "mmproj-mini.gguf"]);
    let text = std::fs::read_to_string(root().join("fixtures/text/python-reference.txt")).unwrap();
    let odd = "naïve — 12345 → ½ 日本語 🦀 \u{a0}\t\r\n\n  x";
    let paragraphs = text.split("\n\n").take(400).chain([odd, " ", "\n"]);
    let lines: Vec<String> = paragraphs
        .map(|text| json!({ "text": text }).to_string())
        .collect();
    let texts = folder.file("texts.jsonl");
    std::fs::write(&texts, lines.join("\n")).unwrap();
    let expected = stdout(&["tokenize", "-m", "mini", "--texts", &texts], "");
    assert!(expected.lines().count() > 200);
    assert_eq!(
        stdout(&["tokenize", "-m", &dst, "--texts", &texts], ""),
        expected
    );

    let ids = folder.file("ids.jsonl");
    let few: Vec<&str> = expected.lines().filter(|l| l.len() > 200).take(4).collect();
    std::fs::write(&ids, few.join("\n")).unwrap();
    let score = |model: &str| stdout(&["score", "-q", "-m", model, "--input", &ids], "");
    let (_, mean) = differences(&score("mini"), &score(&dst));
    // It was not trained on such text and is unsure of it; activations are rounded to 8 bits as well.
    assert!(mean > 0.0 && mean < 0.2, "{mean}");
}

#[test]
fn a_template_beside_the_weights_goes_into_the_file() {
    let source = crate::tekken::Folder::new("quantize-template", true);
    let folder = Folder::new("beside");
    let (without, with) = (folder.file("without.gguf"), folder.file("with.gguf"));
    quantize(&source.path(), &without, "q8_0");
    source.file(
        "chat_template.jinja",
        "{{ bos_token }}{% for m in messages %}[{{ m['content'] }}]{% endfor %}",
    );
    quantize(&source.path(), &with, "q8_0");
    let greedy = ["run", "-q", "--temperature", "0", "--max-tokens", "8"];
    let run = |more: &[&str]| stdout(&[&greedy[..], more].concat(), "");
    let continued = run(&["-m", &without, "--raw", "[Hi]"]);
    assert!(!continued.is_empty());
    assert_eq!(run(&["-m", &with, "--raw", "[Hi]"]), continued);
    assert_eq!(run(&["-m", &with, "Hi"]), continued);
    let refused = failure(&[&greedy[..], &["-m", &without, "Hi"]].concat(), 1);
    assert!(refused.contains("template"), "{refused}");
}

#[test]
fn what_cannot_be_written_is_refused_and_leaves_nothing() {
    let folder = Folder::new("refusals");
    let source = fixture("llama-tiny");
    let dst = folder.file("a.gguf");
    let run = |args: &[&str], code| failure(&[&["quantize"], args].concat(), code);
    assert!(run(&[&source, &dst], 2).contains("--format"));
    assert!(run(&[&source, &dst, "--format", "q3_k"], 2).contains("q4_k_m"));
    let q8 = ["--format", "q8_0"];
    let wrong = folder.file("a.bin");
    assert!(run(&[&[source.as_str(), &wrong][..], &q8].concat(), 1).contains("*.gguf"));
    let nowhere = folder.file("no/a.gguf");
    assert!(run(&[&[source.as_str(), &nowhere][..], &q8].concat(), 1).contains("no folder"));
    let absent = folder.file("absent");
    assert!(run(&[&[absent.as_str(), &dst][..], &q8].concat(), 1).contains("absent"));
    assert!(folder.names().is_empty());
    std::fs::write(&dst, "mine").unwrap();
    let refused = run(&[&[source.as_str(), &dst][..], &q8].concat(), 1);
    assert!(
        refused.contains("is there already") && refused.contains("--force"),
        "{refused}"
    );
    assert_eq!(std::fs::read_to_string(&dst).unwrap(), "mine");
    stdout(
        &["quantize", &source, &dst, "--format", "q8_0", "--force"],
        "",
    );
    assert!(std::fs::read(&dst).unwrap().starts_with(b"GGUF"));
    assert_eq!(folder.names(), ["a.gguf"]);
}

#[test]
fn what_is_done_is_said() {
    let folder = Folder::new("words-said");
    let (source, dst) = (fixture("mistral4-tiny-f32"), folder.file("a.gguf"));
    let output = tramontane(&["quantize", &source, &dst, "--format", "q4_k_m"], "");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("no multiple of Q4_K's blocks"), "{stderr}");
    assert!(stderr.contains("no tekken.json"), "{stderr}");
    let again = folder.file("b.gguf");
    let output = tramontane(&["quantize", &dst, &again, "--format", "q4_0"], "");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(Path::new(&again).exists(), "{stderr}");
    assert!(stderr.contains("what that lost stays lost"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_nothing_behind() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    let folder = Folder::new("ctrl-c");
    let dst = folder.file("mini.gguf");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tramontane"))
        .args([
            "quantize",
            "mini",
            &dst,
            "--format",
            "q4_k",
            "--threads",
            "1",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while folder.names().is_empty() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "nothing is written"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(
        folder.names()[0].starts_with(".mini.gguf."),
        "{:?}",
        folder.names()
    );
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}
