//! What the protocol's tests share: the tokenizers of each version, built from the committed vocabulary, and the
//! fixtures' formats.

#![expect(clippy::unwrap_used, reason = "a test's own fixtures")]
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test file uses a part"
)]

use std::io::Read;
use std::path::{Path, PathBuf};

use chat::Tekken;
use chat::tekken::Version;
use flate2::read::GzDecoder;

/// A file of the repository's fixtures.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .join(name)
}

/// The unpacked bytes of a fixture in gzip form.
pub fn unpacked(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(fixture(name)).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

/// The special tokens of the model family; the ids between are fillers.
const SPECIALS: [(usize, &str); 26] = [
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
    (14, "[PREFIX]"),
    (15, "[MIDDLE]"),
    (16, "[SUFFIX]"),
    (17, "[SYSTEM_PROMPT]"),
    (18, "[/SYSTEM_PROMPT]"),
    (19, "[TOOL_CONTENT]"),
    (32, "[ARGS]"),
    (33, "[CALL_ID]"),
    (34, "[THINK]"),
    (35, "[/THINK]"),
    (36, "[MODEL_SETTINGS]"),
    (37, "[/MODEL_SETTINGS]"),
];

const PATTERN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The `tekken.json` of a version.
pub fn tekken_json(version: Version) -> String {
    let bytes = unpacked("tekken/vocabulary.bin.gz");
    let mut vocab = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((length, after)) = rest.split_first() {
        let (token, after) = after.split_at(usize::from(*length));
        let (rank, token) = (vocab.len(), base64(token));
        vocab.push(format!(
            r#"{{"rank":{rank},"token_bytes":"{token}","token_str":null}}"#
        ));
        rest = after;
    }
    let specials: Vec<String> = SPECIALS
        .iter()
        .map(|(rank, name)| format!(r#"{{"rank":{rank},"token_str":"{name}","is_control":true}}"#))
        .collect();
    let settings = if version == Version::V15 {
        r#""model_settings_builder":{"reasoning_effort":{"type":"enum","values":["none","high"],"accepts_none":true,"default":"none"}},"#
    } else {
        ""
    };
    format!(
        r#"{{"config":{{"pattern":{},"num_vocab_tokens":{},"default_vocab_size":{},"default_num_special_tokens":1000,"version":"{}"}},"image":{{"image_patch_size":14,"max_image_size":1540,"spatial_merge_size":2}},{settings}"special_tokens":[{}],"vocab":[{}]}}"#,
        serde_json::Value::from(PATTERN),
        vocab.len(),
        vocab.len() + 1000,
        version.name(),
        specials.join(","),
        vocab.join(",")
    )
}

/// The tokenizer of a version.
pub fn tekken(version: Version) -> Tekken {
    Tekken::from_json(tekken_json(version).as_bytes(), "tekken.json".as_ref()).unwrap()
}

/// Standard base64.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

/// FNV-1a, 64 bits, over ids as little-endian u32: how the fixtures keep id lists.
pub fn hash(ids: &[u32]) -> u64 {
    let bytes = ids.iter().flat_map(|id| id.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
