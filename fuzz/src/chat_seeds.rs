//! First inputs of the targets of crate `chat`, cut small enough from its fixtures to be changed byte by byte.

use crate::write;
use chat::tekken::Version;
use flate2::read::GzDecoder;
use fuzz::tekkens::tekken_json;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Longer requests and images say nothing new.
const LONGEST: usize = 8 << 10;

/// Every which row of the requests is taken.
const EVERY: usize = 60;

/// Writes the inputs of every target under `corpus`.
pub fn write_all(fixtures: &Path, corpus: &Path) -> io::Result<()> {
    tekken(&corpus.join("tekken"))?;
    requests(&fixtures.join("chat"), &corpus.join("request"))?;
    replies(&corpus.join("reply"))?;
    vocabularies(&fixtures.join("vocabulary"), &corpus.join("vocabulary"))?;
    templates(&fixtures.join("vocabulary"), &corpus.join("template"))?;
    images(&fixtures.join("images"), &corpus.join("image"))
}

/// The small ones of the committed images: every kind is among them.
fn images(fixtures: &Path, folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(fixtures)? {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        let is_image = path
            .extension()
            .is_some_and(|kind| kind != "jsonl" && kind != "md");
        if is_image && bytes.len() <= LONGEST {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            write(folder, &name, &bytes)?;
        }
    }
    Ok(())
}

/// The single bytes and a few more tokens.
fn tekken(folder: &Path) -> io::Result<()> {
    const NUM_TOKENS: usize = 266;
    for version in Version::ALL {
        let mut file = tekken_json(version);
        let vocab = file["vocab"].as_array().into_iter().flatten();
        let vocab: Vec<Value> = vocab
            .take(NUM_TOKENS)
            .map(|entry| json!({"rank": entry["rank"], "token_bytes": entry["token_bytes"]}))
            .collect();
        file["config"]["default_vocab_size"] = json!(vocab.len() + 40);
        file["config"]["default_num_special_tokens"] = json!(40);
        file["vocab"] = vocab.into();
        write(folder, version.name(), file.to_string().as_bytes())?;
    }
    Ok(())
}

/// Bodies of each version's requests, with their images.
fn requests(fixtures: &Path, folder: &Path) -> io::Result<()> {
    let images: Vec<String> = serde_json::from_slice(&fs::read(fixtures.join("images.json"))?)?;
    for version in Version::ALL {
        let name = format!("requests-{}.jsonl.gz", version.name());
        let lines = BufReader::new(GzDecoder::new(File::open(fixtures.join(name))?)).lines();
        for (index, line) in lines.enumerate().step_by(EVERY) {
            let row: Value = serde_json::from_str(&line?)?;
            let mut body = row["body"].as_str().unwrap_or_default().to_owned();
            // Backwards, so that a number is not taken for the start of a longer one.
            for (number, image) in images.iter().enumerate().rev() {
                body = body.replace(&format!("@img{number}@"), image);
            }
            if body.len() <= LONGEST {
                let name = format!("{}-{index}", version.name());
                write(folder, &name, body.as_bytes())?;
            }
        }
    }
    Ok(())
}

/// Replies of each version, as `fuzz_targets/reply.rs` reads them.
fn replies(folder: &Path) -> io::Result<()> {
    let bodies: [&[u8]; 5] = [
        b"Hello! Z\xc3\xbcrich \xf0\x9f\x8e\x89\xfd",
        b"\xf8Two tools.\xf9 Let me see.\n\xfaadd\xfb{\"a\": 1}\xfatime\xfb{}\xfd",
        b"\xfaadd\xfcabcdefghi\xfb{}\xfaadd\xfcab\xfb{}\xf8\xf8more\xc3\xf9\xff\xfe\x10\x04!",
        b"\xfa[{\"name\": \"add\", \"arguments\": {\"a\": [1]}}, {\"name\": \"b\", \"arguments\": {}}]\xfd\xff",
        b"\xfa add \xfaadd\xfb{\"a\xfe\x00\x05\xfe\xff\xff",
    ];
    for version in 0..Version::ALL.len() {
        for (index, body) in bodies.iter().enumerate() {
            let choice = (version << 1 | index & 1) as u8;
            let input = [&[choice, index as u8], *body].concat();
            write(folder, &format!("{version}-{index}"), &input)?;
        }
    }
    Ok(())
}

/// The committed byte-level vocabulary, cut down; and tiny ones of each shape that is read.
fn vocabularies(fixtures: &Path, folder: &Path) -> io::Result<()> {
    const NUM_TOKENS: u64 = 300;
    let text = fs::read(fixtures.join("byte-level.tokenizer.json"))?;
    let mut file: Value = serde_json::from_slice(&text)?;
    let mut kept = serde_json::Map::new();
    for (token, id) in file["model"]["vocab"].as_object().into_iter().flatten() {
        if id.as_u64().is_some_and(|id| id < NUM_TOKENS) {
            kept.insert(token.clone(), id.clone());
        }
    }
    let spelled = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let merges = file["model"]["merges"].as_array().into_iter().flatten();
    let merges: Vec<Value> = merges
        .filter(|pair| {
            let (left, right) = (spelled(&pair[0]), spelled(&pair[1]));
            [format!("{left}{right}"), left, right]
                .iter()
                .all(|token| kept.contains_key(token))
        })
        .cloned()
        .collect();
    file["model"]["vocab"] = kept.into();
    file["model"]["merges"] = merges.into();
    write(folder, "byte-level", file.to_string().as_bytes())?;

    for (index, shape) in SHAPES.iter().enumerate() {
        let [normalizer, pre_tokenizer, decoder] = shape.map(serde_json::from_str::<Value>);
        let file = json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [
                {"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": true, "normalized": false, "special": true},
                {"id": 1, "content": "ab", "single_word": true, "lstrip": true, "rstrip": false, "normalized": true, "special": false}
            ],
            "normalizer": normalizer?, "pre_tokenizer": pre_tokenizer?, "decoder": decoder?, "post_processor": null,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": "<s>", "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
                "vocab": {"<s>": 0, "ab": 1, "a": 2, "b": 3, "\u{2581}": 4, "<0x0A>": 5, "\u{2581}a": 6, "l": 7, "o": 8, "lo": 9, "\u{120}": 10},
                "merges": [["\u{2581}", "a"], ["l", "o"]]
            }
        });
        write(folder, &index.to_string(), file.to_string().as_bytes())?;
    }
    Ok(())
}

/// Normalizers, pre-tokenizers and decoders that published files have.
const SHAPES: [[&str; 3]; 6] = [
    [
        r#"{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}"#,
        "null",
        r#"{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"#,
    ],
    [
        "null",
        r#"{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false}"#,
        r#"{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}"#,
    ],
    [
        r#"{"type":"NFC"}"#,
        r#"{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}"#,
        r#"{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}"#,
    ],
    [
        r#"{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Lowercase"},{"type":"StripAccents"},{"type":"Strip","strip_left":true,"strip_right":true},{"type":"Replace","pattern":{"Regex":"l(?=o)|\\s+"},"content":""}]}"#,
        r#"{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"Punctuation","behavior":"Contiguous"},{"type":"Split","pattern":{"Regex":"(?<!\\p{L})\\p{N}{1,3}|$"},"behavior":"MergedWithPrevious","invert":true},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}"#,
        r#"{"type":"Sequence","decoders":[{"type":"ByteLevel"}]}"#,
    ],
    [
        r#"{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}"#,
        r#"{"type":"Sequence","pretokenizers":[{"type":"BertPreTokenizer"},{"type":"WhitespaceSplit"},{"type":"CharDelimiterSplit","delimiter":"l"},{"type":"UnicodeScripts"},{"type":"FixedLength","length":3}]}"#,
        r#"{"type":"ByteLevel"}"#,
    ],
    [
        r#"{"type":"ByteLevel"}"#,
        r#"{"type":"Whitespace"}"#,
        r#"{"type":"Sequence","decoders":[{"type":"ByteFallback"}]}"#,
    ],
];

/// The committed templates, and those that try one expression each.
fn templates(fixtures: &Path, folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(fixtures.join("templates"))? {
        let entry = entry?;
        let name = entry.file_name();
        write(folder, &name.to_string_lossy(), &fs::read(entry.path())?)?;
    }
    let text = fs::read_to_string(fixtures.join("expressions.jsonl"))?;
    for (index, line) in text.lines().enumerate() {
        let row: Value = serde_json::from_str(line)?;
        if let Some(template) = row["template"].as_str() {
            write(folder, &format!("expression-{index}"), template.as_bytes())?;
        }
    }
    Ok(())
}
