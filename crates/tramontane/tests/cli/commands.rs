//! The binary from outside: results, errors and exit codes of every command, on fixture models.

use crate::support::{failure, fixture, root, stdout, tramontane};
use serde_json::Value;
use std::io::Write;
use std::path::Path;

fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The ids of a golden file, as `score` reads them, and the golden lines.
fn golden(name: &str) -> (String, Vec<Value>) {
    let text = std::fs::read_to_string(root().join("fixtures/goldens").join(name)).unwrap();
    let lines = json_lines(&text);
    let input = lines
        .iter()
        .map(|line| format!("{{\"ids\":{}}}\n", line["ids"]))
        .collect();
    (input, lines)
}

#[test]
fn score_prints_the_goldens() {
    let (input, goldens) = golden("mistral4-tiny-f32.jsonl");
    let model = fixture("mistral4-tiny-f32");
    let scored = json_lines(&stdout(
        &["score", "-m", &model, "--input", "-", "--top", "8"],
        &input,
    ));
    assert_eq!(scored.len(), goldens.len());
    for (got, expected) in scored.iter().zip(&goldens) {
        let (got_lps, lps) = (
            got["logprobs"].as_array().unwrap(),
            expected["logprobs"].as_array().unwrap(),
        );
        assert_eq!(got_lps.len(), lps.len());
        assert!(got_lps[0].is_null());
        for (a, b) in got_lps.iter().zip(lps).skip(1) {
            assert!(
                (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() <= 2e-4,
                "{a} against {b}"
            );
        }
        let tops = got["last_top"]
            .as_array()
            .unwrap()
            .iter()
            .zip(expected["last_top"].as_array().unwrap());
        for (a, b) in tops {
            assert_eq!(a[0], b[0]);
            assert!((a[1].as_f64().unwrap() - b[1].as_f64().unwrap()).abs() <= 2e-4);
        }
    }
}

/// Nothing about how the work is cut up may change a single digit.
#[test]
fn score_does_not_depend_on_batch_step_threads_or_instruction_set() {
    let ways: [&[&str]; 9] = [
        &["--batch", "1", "--step-tokens", "100000"],
        &["--batch", "3", "--step-tokens", "7"],
        &["--batch", "8", "--step-tokens", "1"],
        &["--threads", "1"],
        &["--threads", "2"],
        &["--threads", "64"],
        &["--isa", "scalar"],
        &["--isa", "avx2"],
        &["--isa", "avx512"],
    ];
    for (name, ids) in [
        ("mistral4-tiny-f32", "mistral4-tiny-f32.jsonl"),
        ("mistral4-tiny-bf16", "mistral4-tiny-bf16.jsonl"),
        ("mistral4-q4_k_m.gguf", "mistral4-q4_k_m.jsonl"),
        ("llama-tiny-f32.gguf", "llama-tiny.jsonl"),
    ] {
        let (input, _) = golden(ids);
        let model = fixture(name);
        let base = ["score", "-q", "-m", &model, "--input", "-", "--top", "3"];
        let expected = stdout(&base, &input);
        for way in ways {
            let output = tramontane(&[&base, way].concat(), &input);
            let stderr = String::from_utf8_lossy(&output.stderr);
            if way[0] == "--isa" && stderr.contains("is not available here") {
                println!("SKIPPED: {way:?}: {stderr}");
                continue;
            }
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                expected,
                "{name} {way:?}: {stderr}"
            );
        }
    }
}

/// They would only wait for each other.
#[test]
fn threads_beyond_the_processors_are_not_started_and_that_is_said() {
    let (input, _) = golden("llama-tiny.jsonl");
    let model = fixture("llama-tiny-f32.gguf");
    let base = ["score", "-m", &model, "--input", "-", "--threads"];
    let stderr = |threads| {
        let output = tramontane(&[&base[..], &[threads]].concat(), &input);
        String::from_utf8(output.stderr).unwrap()
    };
    let said = "threads: 65535 asked for, ";
    assert!(stderr("65535").contains(said), "{}", stderr("65535"));
    assert!(!stderr("1").contains("asked for"));
}

#[test]
fn score_says_which_line_is_wrong() {
    let model = fixture("mistral4-tiny-f32");
    let run = |input: &str| {
        let output = tramontane(&["score", "-m", &model, "--input", "-"], input);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(run("{\"ids\":[1]}\n{\"id\":[1]}\n").contains("line 2"));
    let outside = run("{\"ids\":[1, 999999]}\n");
    assert!(
        outside.contains("999999") && outside.contains("line 1"),
        "{outside}"
    );
    assert!(run("{\"ids\":[]}\n").contains("at least one token"));
}

#[test]
fn the_softmax_scale_can_be_chosen() {
    let (input, goldens) = golden("mistral4-tiny-f32.transformers-scale.jsonl");
    let model = fixture("mistral4-tiny-f32.gguf");
    let args = [
        "score",
        "-m",
        &model,
        "--input",
        "-",
        "--softmax-scale",
        "transformers",
    ];
    let scored = json_lines(&stdout(&args, &input));
    let (got, expected) = (&scored[7]["logprobs"][9], &goldens[7]["logprobs"][9]);
    assert!((got.as_f64().unwrap() - expected.as_f64().unwrap()).abs() <= 2e-4);
}

#[test]
fn inspect_says_what_was_found() {
    let model = fixture("mistral4-q4_k_m.gguf");
    let report: Value = serde_json::from_str(&stdout(
        &["inspect", "--json", "--tensors", "-m", &model],
        "",
    ))
    .unwrap();
    assert_eq!(report["architecture"], "mistral4");
    let formats: Vec<&str> = report["formats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["format"].as_str().unwrap())
        .collect();
    assert!(
        formats.contains(&"Q4_K") && formats.contains(&"Q6_K"),
        "{formats:?}"
    );
    let total: u64 = report["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["bytes"].as_u64().unwrap())
        .sum();
    let shares: u64 = report["formats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(total, shares);
    let machine = &report["machine"];
    assert!(machine["bandwidth"].as_f64().unwrap() > 0.0);
    assert!(machine["predicted_tokens_per_second"].as_f64().unwrap() > 0.0);
    assert!(machine["predicted_from_layers"].as_u64().unwrap() >= 1);
    assert!(report["kv_cache"]["contexts"][0]["verdict"].is_string());
    let text = stdout(&["inspect", "-m", &model], "");
    assert!(
        text.contains("mapped from the files")
            && text.contains("with the weights it fits")
            && text.contains("this version: about"),
        "{text}"
    );
}

#[test]
fn the_plan_has_every_published_form() {
    let plan: Value = serde_json::from_str(&stdout(&["inspect", "--plan", "--json"], "")).unwrap();
    let forms: Vec<&str> = plan["forms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|form| form["form"].as_str().unwrap())
        .collect();
    for form in ["Q4_K_M", "NVFP4", "FP8", "BF16"] {
        assert!(forms.contains(&form), "{forms:?}");
    }
    assert!(plan["bandwidth"].as_f64().unwrap() > 0.0);
    assert_eq!(plan["context"], 262_144);
    let text = stdout(&["inspect", "--plan", "--ctx", "5000"], "");
    assert!(text.contains("with 5000 tokens of context"), "{text}");
    assert!(text.contains("5000 tokens 109.9 MiB"), "{text}");
    assert!(failure(&["inspect", "--plan", "--tensors"], 2).contains("--tensors"));
}

/// A checkpoint larger than any machine's memory, most of it a hole in a file: nothing starts it by accident.
#[test]
fn what_does_not_fit_is_refused() {
    let folder = std::env::temp_dir().join(format!("tramontane-vast-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    vast_checkpoint(&folder);
    let model = folder.display().to_string();

    for command in [
        &["score", "--input", "-"][..],
        &["bench", "--prompt", "1"],
        &["serve", "--port", "0"],
    ] {
        let refused = failure(&[command, &["-m", &model]].concat(), 1);
        for said in ["not enough memory: weights 1.6 TiB", "are free", "--force"] {
            assert!(refused.contains(said), "{said} is not in: {refused}");
        }
    }
    let text = stdout(&["inspect", "-m", &model], "");
    assert!(text.contains("does not fit"), "{text}");
    // It goes on, to the next thing that is wrong.
    let forced = failure(
        &["bench", "--force", "--prompt", "99999999", "-m", &model],
        1,
    );
    assert!(
        forced.contains("started by --force") && forced.contains("99999999"),
        "{forced}"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The tiny llama with feed-forwards of a billion columns.
fn vast_checkpoint(folder: &Path) {
    let tiny = fixture("llama-tiny");
    let config = std::fs::read_to_string(Path::new(&tiny).join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    let narrow = config["intermediate_size"].clone();
    let wide = 1_000_000_000u64;
    config["intermediate_size"] = wide.into();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();

    let weights = std::fs::read(Path::new(&tiny).join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&weights[8..8 + length]).unwrap();
    let mut end = 0;
    for (name, tensor) in header.as_object_mut().unwrap() {
        if name == "__metadata__" {
            continue;
        }
        let mut values = 1;
        for size in tensor["shape"].as_array_mut().unwrap() {
            if *size == narrow && name.contains("mlp") {
                *size = wide.into();
            }
            values *= size.as_u64().unwrap();
        }
        tensor["data_offsets"] = serde_json::json!([end, end + 4 * values]);
        end += 4 * values;
    }
    let header = header.to_string();
    let mut file = std::fs::File::create(folder.join("model.safetensors")).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes())
        .unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + end).unwrap();
}

#[test]
fn bench_prints_a_row_a_test() {
    let model = fixture("mistral4-q8_0.gguf");
    let args = [
        "bench",
        "-m",
        &model,
        "--json",
        "--prompt",
        "5,70",
        "--generate",
        "3",
        "--batch",
        "1,2",
        "--depth",
        "0,65",
    ];
    let rows = json_lines(&stdout(&args, ""));
    let tests: Vec<(&str, u64, u64)> = rows
        .iter()
        .map(|r| {
            (
                r["test"].as_str().unwrap(),
                r["batch"].as_u64().unwrap(),
                r["depth"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("pp5", 1, 0),
        ("pp70", 1, 0),
        ("tg3", 1, 0),
        ("tg3", 1, 65),
        ("tg3", 2, 0),
        ("tg3", 2, 65),
    ];
    assert_eq!(tests, expected);
    for row in &rows {
        for field in [
            "tokens_per_second",
            "roofline_share",
            "bytes_per_token",
            "distinct_experts_per_layer",
            "tokens_per_second_min",
            "tokens_per_second_max",
            "multiply_accumulates_per_token",
            "limit_tokens_per_second",
            "limit_share",
            "bandwidth",
            "multiply_accumulate_rate",
        ] {
            assert!(row[field].as_f64().unwrap() > 0.0, "{field}: {row}");
        }
        assert!(row["stdev"].is_number(), "{row}");
        let speed = |field: &str| row[field].as_f64().unwrap();
        let median = speed("tokens_per_second");
        assert!(
            speed("tokens_per_second_min") <= median && median <= speed("tokens_per_second_max")
        );
        let reached = speed("limit_tokens_per_second") * speed("limit_share");
        assert!((reached / median - 1.0).abs() < 1e-6, "{row}");
        // The limit is the lower of two roofs, and reading is one of them.
        assert!(speed("limit_share") >= speed("roofline_share"), "{row}");
        assert!(
            matches!(row["limit"].as_str(), Some("bandwidth" | "arithmetic")),
            "{row}"
        );
    }
    // Two random tokens that use 2 of 4 experts each use between 2 and 4 different ones.
    let experts = rows[4]["distinct_experts_per_layer"].as_f64().unwrap();
    assert!((2.0..=4.0).contains(&experts), "{experts}");
}

#[test]
fn a_seed_repeats_a_reply_and_a_stop_string_cuts_it() {
    let model = fixture("llama-tiny-f32.gguf");
    let args = [
        "run",
        "-m",
        &model,
        "--raw",
        "--seed",
        "7",
        "--temperature",
        "1",
        "--max-tokens",
        "40",
        "abc",
    ];
    let whole = stdout(&args, "");
    assert_eq!(stdout(&args, ""), whole);
    let text = whole.trim_end_matches('\n');
    let cut: String = text.chars().skip(3).take(2).collect();
    let stopped = stdout(&[&args[..], &["--stop", &cut]].concat(), "");
    assert_eq!(
        stopped.trim_end_matches('\n'),
        text.split(&cut).next().unwrap()
    );
}

#[test]
fn the_prompt_may_come_from_stdin() {
    let model = fixture("llama-tiny-f32.gguf");
    let flags = [
        "run",
        "-m",
        &model,
        "--raw",
        "--temperature",
        "0",
        "--max-tokens",
        "8",
    ];
    let typed = stdout(&[&flags[..], &["abc"]].concat(), "");
    assert_eq!(stdout(&[&flags[..], &["-"]].concat(), "abc\n"), typed);
    assert_eq!(stdout(&flags, "abc\n"), typed);
}

#[test]
fn usage_errors_exit_with_2_and_failures_with_1() {
    assert!(failure(&[], 2).contains("Usage"));
    assert!(failure(&["run", "--no-such-flag"], 2).contains("--no-such-flag"));
    assert!(failure(&["score"], 2).contains("--input"));
    assert!(failure(&["inspect", "-m", "no/such.gguf"], 1).contains("no/such.gguf"));
    assert!(failure(&["inspect", "-m", "owner/repo"], 1).contains("pull"));
    let model = fixture("mistral4-tiny-f32");
    let not_here = if cfg!(target_arch = "x86_64") {
        "neon"
    } else {
        "amx"
    };
    assert!(failure(&["bench", "-m", &model, "--isa", not_here], 1).contains("not available"));
    assert!(failure(&["run", "-m", &model, "hi"], 1).contains("vocabulary"));
    let long = failure(&["bench", "-m", &model, "--prompt", "99999999"], 1);
    assert!(long.contains("99999999"), "{long}");
    let far = failure(
        &[
            "run",
            "-m",
            &fixture("llama-tiny-f32.gguf"),
            "--ctx",
            "9999999",
            "hi",
        ],
        1,
    );
    assert!(far.contains("--ctx 9999999"), "{far}");
}

#[test]
fn a_truncated_file_is_named_with_numbers() {
    let whole = std::fs::read(fixture("mistral4-q8_0.gguf")).unwrap();
    let path =
        std::env::temp_dir().join(format!("tramontane-truncated-{}.gguf", std::process::id()));
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let message = failure(&["inspect", "-m", &path.display().to_string()], 1);
    std::fs::remove_file(&path).unwrap();
    assert!(message.contains(&path.display().to_string()), "{message}");
    assert!(message.chars().any(|c| c.is_ascii_digit()), "{message}");
}

/// Every command is in the completions of every shell, and has a page in the manual.
#[test]
fn completions_and_manual_know_every_command() {
    let help = stdout(&["help"], "");
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let commands: Vec<&str> = list
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(
        commands.contains(&"run") && commands.contains(&"man"),
        "{help}"
    );
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&["completions", shell], "");
        for command in &commands {
            assert!(script.contains(command), "{command} is not in {shell}'s");
        }
        assert!(script.contains("kv-type"), "{shell}");
    }
    assert!(failure(&["completions", "abacus"], 2).contains("abacus"));

    let folder = std::env::temp_dir().join(format!("tramontane-man-{}", std::process::id()));
    stdout(&["man", folder.to_str().unwrap()], "");
    let main = std::fs::read_to_string(folder.join("tramontane.1")).unwrap();
    assert_eq!(stdout(&["man"], ""), main);
    for command in &commands {
        assert!(
            main.contains(&format!("tramontane\\-{command}(1)")),
            "{command}: {main}"
        );
        let page = std::fs::read_to_string(folder.join(format!("tramontane-{command}.1")));
        assert!(page.unwrap().contains(".SH SYNOPSIS"), "{command}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
