//! The smallest Tekken there can be, every byte a token, and a folder that holds it with a random model.

use crate::support::fixture;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub const NUM_SPECIAL: usize = 44;
const PATTERN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A folder that holds `tekken.json`, and on request a random model of the same vocabulary. Gone when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str, with_model: bool) -> Folder {
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

    pub fn path(&self) -> String {
        self.0.display().to_string()
    }

    pub fn file(&self, name: &str, text: &str) -> String {
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
pub fn bytes(text: &str) -> Vec<u64> {
    text.bytes()
        .map(|byte| u64::from(byte) + NUM_SPECIAL as u64)
        .collect()
}
