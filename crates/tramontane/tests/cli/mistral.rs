//! The maker's protocol through the binary, on the smallest Tekken there can be: every byte a token.

use crate::support::{fixture, stdout, tramontane};
use crate::tekken::{Folder, bytes};
use serde_json::{Value, json};

fn settings(effort: &str) -> Vec<u64> {
    [
        vec![36],
        bytes(&format!("{{\"reasoning_effort\": \"{effort}\"}}")),
        vec![37],
    ]
    .concat()
}

#[test]
fn tokenize_needs_nothing_but_the_tokenizer() {
    let folder = Folder::new("tokenize", false);
    let line: Value =
        serde_json::from_str(&stdout(&["tokenize", "-m", &folder.path(), "[INST] é"], "")).unwrap();
    assert_eq!(
        line["ids"],
        json!(bytes("[INST] é")),
        "special tokens in text stay text"
    );
    let texts = folder.file("texts.jsonl", "{\"text\": \"a\"}\n\n{\"text\": \"\"}\n");
    let lines = stdout(&["tokenize", "-m", &folder.path(), "--texts", &texts], "");
    assert_eq!(
        lines,
        format!("{{\"ids\":[{}]}}\n{{\"ids\":[]}}\n", bytes("a")[0])
    );
}

#[test]
fn a_refused_request_is_a_result() {
    let folder = Folder::new("requests", false);
    let requests = [
        json!({"messages": [{"role": "user", "content": "Hi"}], "model": "any", "temperature": 9}),
        json!({"messages": [{"role": "assistant", "content": "Hi"}]}),
        json!({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}],
               "reasoning_effort": "high"}),
        json!({"messages": [{"role": "user", "content": "Hi"}], "reasoning_effort": "medium"}),
    ];
    let text: String = requests
        .iter()
        .map(|request| format!("{request}\n"))
        .collect();
    let file = folder.file("requests.jsonl", &format!("{text}not json\n"));
    let out = stdout(&["tokenize", "-m", &folder.path(), "--requests", &file], "");
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let hi = [vec![1], settings("none"), vec![3], bytes("Hi"), vec![4]].concat();
    assert_eq!(lines[0]["ids"], json!(hi));
    assert_eq!(
        lines[1]["error"]["type"],
        "InvalidMessageStructureException"
    );
    let system = [
        vec![1, 17],
        bytes("S"),
        vec![18],
        settings("high"),
        vec![3],
        bytes("U"),
        vec![4],
    ]
    .concat();
    assert_eq!(lines[2]["ids"], json!(system));
    assert!(
        lines[3]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("medium")
    );
    assert_eq!(lines[4]["error"]["type"], "JSONDecodeError");
}

/// A random model's replies are noise, full of control tokens: none of their markup may reach the terminal.
#[test]
fn run_speaks_the_protocol() {
    let folder = Folder::new("run", true);
    let tools = folder.file(
        "tools.json",
        r#"[{"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}]"#,
    );
    for seed in ["1", "2", "3", "4"] {
        let model = folder.path();
        let args = [
            "run",
            "-m",
            &model,
            "--effort",
            "high",
            "--system",
            "Be brief.",
            "--tools",
            &tools,
            "--seed",
            seed,
            "--temperature",
            "1.5",
            "--max-tokens",
            "60",
            "--show-thinking",
            "Hi",
        ];
        let output = tramontane(&args, "");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        assert!(stderr.contains("tokens/s"), "{stderr}");
        let text = String::from_utf8(output.stdout).unwrap();
        for markup in [
            "[THINK]",
            "[/THINK]",
            "[TOOL_CALLS]",
            "[ARGS]",
            "</s>",
            "<SPECIAL_",
        ] {
            assert!(!text.contains(markup), "{text}");
        }
    }
}

#[test]
fn a_model_without_efforts_says_so() {
    let model = fixture("llama-tiny-f32.gguf");
    let output = tramontane(&["run", "-m", &model, "--effort", "high", "Hi"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("reasoning effort"));
}

/// Even noise keeps to a schema.
#[test]
fn a_schema_binds_the_answer() {
    let folder = Folder::new("schema", true);
    let schema = folder.file(
        "schema.json",
        r#"{"type": "object", "properties": {"ok": {"type": "boolean"}, "size": {"enum": ["small", "large"]}},
            "required": ["ok", "size"], "additionalProperties": false}"#,
    );
    for seed in ["1", "2", "3"] {
        let model = folder.path();
        let args = [
            "run",
            "-q",
            "-m",
            &model,
            "--json-schema",
            &schema,
            "--seed",
            seed,
            "--temperature",
            "1",
            // Else noise may be white space to the end of the context, which JSON allows.
            "--frequency-penalty",
            "2",
            "--hide-thinking",
            "Hi",
        ];
        let answer = stdout(&args, "");
        // The maker's grammar allows a thought first; without one, all of the answer is the object.
        if let Ok(value) = serde_json::from_str::<Value>(&answer) {
            assert!(value["ok"].is_boolean(), "{answer}");
            assert!(
                ["small", "large"].contains(&value["size"].as_str().unwrap()),
                "{answer}"
            );
        } else {
            assert!(
                answer.trim().is_empty(),
                "{answer}: neither JSON nor a reply cut off in its thought"
            );
        }
    }
}
