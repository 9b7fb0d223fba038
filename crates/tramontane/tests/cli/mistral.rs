//! The maker's protocol through the binary, on the smallest Tekken there can be: every byte a token.

use crate::support::{fixture, stdout, tramontane};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const NUM_SPECIAL: usize = 44;
const PATTERN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A folder that holds `tekken.json`, and on request a random model of the same vocabulary. Gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, with_model: bool) -> Folder {
        let path = std::env::temp_dir().join(format!("tramontane-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("tekken.json"), tekken().to_string()).unwrap();
        if with_model {
            for file in ["config.json", "model.safetensors"] {
                let from = Path::new(&fixture("llama-tiny")).join(file);
                std::fs::copy(from, path.join(file)).unwrap();
            }
        }
        Folder(path)
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Version 15, 44 special tokens, then the 256 bytes: 300 ids.
fn tekken() -> Value {
    let names = [
        (0, "<unk>"),
        (1, "<s>"),
        (2, "</s>"),
        (3, "[INST]"),
        (4, "[/INST]"),
        (5, "[AVAILABLE_TOOLS]"),
        (6, "[/AVAILABLE_TOOLS]"),
        (7, "[TOOL_RESULTS]"),
        (8, "[/TOOL_RESULTS]"),
        (9, "[TOOL_CALLS]"),
        (10, "[IMG]"),
        (11, "<pad>"),
        (12, "[IMG_BREAK]"),
        (13, "[IMG_END]"),
        (17, "[SYSTEM_PROMPT]"),
        (18, "[/SYSTEM_PROMPT]"),
        (32, "[ARGS]"),
        (34, "[THINK]"),
        (35, "[/THINK]"),
        (36, "[MODEL_SETTINGS]"),
        (37, "[/MODEL_SETTINGS]"),
    ];
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let base64 = |byte: usize| {
        format!(
            "{}{}==",
            char::from(digits[byte >> 2]),
            char::from(digits[(byte & 3) << 4])
        )
    };
    let special =
        |(rank, name): (usize, &str)| json!({"rank": rank, "token_str": name, "is_control": true});
    let byte = |byte: usize| json!({"rank": byte, "token_bytes": base64(byte), "token_str": null});
    json!({
        "config": {
            "pattern": PATTERN, "num_vocab_tokens": 256, "default_vocab_size": 256 + NUM_SPECIAL,
            "default_num_special_tokens": NUM_SPECIAL, "version": "v15"
        },
        "special_tokens": names.map(special),
        "vocab": (0..256).map(byte).collect::<Vec<_>>(),
        "image": {"image_patch_size": 14, "max_image_size": 1540, "spatial_merge_size": 2},
        "model_settings_builder": {
            "reasoning_effort": {"type": "enum", "values": ["none", "high"], "accepts_none": true, "default": "none"}
        }
    })
}

/// The ids of text, a byte each.
fn bytes(text: &str) -> Vec<u64> {
    text.bytes()
        .map(|byte| u64::from(byte) + NUM_SPECIAL as u64)
        .collect()
}

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
