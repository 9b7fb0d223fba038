//! Vocabularies against `fixtures/vocabulary`: ids of Python's `tokenizers`, and of SentencePiece's definition.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use chat::vocabulary::{GgufVocabulary, TokenizerConfig, Vocabulary};
use serde_json::Value;

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/vocabulary")
        .join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn lines(name: &str) -> Vec<Value> {
    let text = String::from_utf8(fixture(name)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap() as u32)
        .collect()
}

fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

/// SmolLM2's vocabulary as its GGUF file holds it: the fixture keeps each merge as a pair of ids.
fn smollm2() -> GgufVocabulary {
    let head: Value = serde_json::from_slice(&fixture("smollm2.json")).unwrap();
    let mut tokens = strings(&head["tokens"]);
    let mut token_types: Vec<i32> = head["token_types"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind.as_i64().unwrap() as i32)
        .collect();
    let mut merges = Vec::new();
    for pair in fixture("smollm2-merges.u16").chunks_exact(4) {
        let left = &tokens[usize::from(u16::from_le_bytes([pair[0], pair[1]]))];
        let right = &tokens[usize::from(u16::from_le_bytes([pair[2], pair[3]]))];
        merges.push(format!("{left} {right}"));
        tokens.push(format!("{left}{right}"));
    }
    token_types.resize(tokens.len(), 1);
    GgufVocabulary {
        model: "gpt2".to_owned(),
        pre: Some(head["pre"].as_str().unwrap().to_owned()),
        tokens,
        token_types,
        merges,
        bos: Some(head["bos"].as_u64().unwrap() as u32),
        eos: vec![head["eos"].as_u64().unwrap() as u32],
        add_bos: head["add_bos"].as_bool(),
        ..GgufVocabulary::default()
    }
}

#[test]
fn byte_level_ids_are_those_of_tokenizers_for_every_split() {
    let rows = lines("byte-level.jsonl");
    let splits: Vec<String> = rows[0]["literal"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert!(splits.len() >= 11, "{splits:?}");
    for split in splits {
        let vocabulary = Vocabulary::from_gguf(&GgufVocabulary {
            pre: Some(split.clone()),
            ..smollm2()
        })
        .unwrap();
        let mut compared = 0;
        for row in rows
            .iter()
            .filter(|row| row["literal"].get(&split).is_some())
        {
            let text = row["text"].as_str().unwrap();
            assert_eq!(
                vocabulary.encode(text, false).unwrap(),
                ids(&row["literal"][&split]),
                "{split}: {text:?}"
            );
            if split == "smollm" {
                assert_eq!(
                    vocabulary.encode(text, true).unwrap(),
                    ids(&row["parsed"]),
                    "parsed: {text:?}"
                );
            }
            compared += 1;
        }
        assert!(compared >= 60, "{split}: only {compared} texts");
    }
}

#[test]
fn smollm2_knows_its_special_tokens_and_its_bytes() {
    let vocabulary = Vocabulary::from_gguf(&smollm2()).unwrap();
    assert_eq!(vocabulary.num_tokens(), 49_152);
    assert_eq!((vocabulary.bos(), vocabulary.adds_bos()), (Some(1), false));
    assert_eq!(
        vocabulary.eos(),
        [2, 0],
        "<|im_end|>, and <|endoftext|> which the file does not name"
    );
    assert_eq!(vocabulary.token_bytes(1), Some(&b"<|im_start|>"[..]));
    assert!(vocabulary.is_special(2) && !vocabulary.is_special(300));
    assert_eq!(vocabulary.token_bytes(49_152), None);
    let ids = vocabulary
        .encode("<|im_start|>user\nHi 🎉<|im_end|>", true)
        .unwrap();
    assert_eq!(vocabulary.decode(&ids, false), "user\nHi 🎉");
    assert_eq!(
        vocabulary.decode(&ids, true),
        "<|im_start|>user\nHi 🎉<|im_end|>"
    );
}

#[test]
fn streaming_never_splits_a_character_and_loses_nothing() {
    let vocabulary = Vocabulary::from_gguf(&smollm2()).unwrap();
    let mut held_back = false;
    for row in lines("byte-level.jsonl") {
        let ids = ids(&row["literal"]["smollm"]);
        let mut decoder = vocabulary.decoder(true);
        let mut streamed = String::new();
        for &id in &ids {
            let piece = decoder.push(id);
            held_back |= piece.is_empty();
            streamed.push_str(&piece);
        }
        streamed.push_str(&decoder.finish());
        let bytes: Vec<u8> = ids
            .iter()
            .flat_map(|&id| vocabulary.token_bytes(id).unwrap().to_vec())
            .collect();
        assert_eq!(streamed, String::from_utf8_lossy(&bytes));
    }
    assert!(held_back, "no character was ever spread over tokens");
}

#[test]
fn a_tokenizer_json_encodes_and_decodes_as_in_python() {
    let config = TokenizerConfig::parse(
        br#"{"bos_token": {"content": "<|im_start|>"}, "eos_token": "<|im_end|>", "chat_template": [
            {"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}"#,
    )
    .unwrap();
    assert_eq!(config.chat_template.as_deref(), Some("d"));
    let vocabulary =
        Vocabulary::from_tokenizer_json(&fixture("byte-level.tokenizer.json"), &config).unwrap();
    assert_eq!(
        (vocabulary.bos(), vocabulary.eos(), vocabulary.adds_bos()),
        (Some(1), &[2][..], true)
    );
    for row in lines("byte-level.tokenizer.jsonl") {
        let text = row["text"].as_str().unwrap();
        let parsed = ids(&row["parsed"]);
        assert_eq!(
            vocabulary.encode(text, false).unwrap(),
            ids(&row["literal"]),
            "{text:?}"
        );
        assert_eq!(vocabulary.encode(text, true).unwrap(), parsed, "{text:?}");
        assert_eq!(
            vocabulary.decode(&parsed, false),
            row["decoded"].as_str().unwrap(),
            "{text:?}"
        );
        assert_eq!(
            vocabulary.decode(&parsed, true),
            row["shown"].as_str().unwrap(),
            "{text:?}"
        );
    }
}

#[test]
fn a_sentence_piece_vocabulary_joins_by_score() {
    let file: Value = serde_json::from_slice(&fixture("sentence-piece.json")).unwrap();
    let numbers = |name: &str| {
        file[name]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_f64().unwrap())
            .collect::<Vec<_>>()
    };
    let vocabulary = Vocabulary::from_gguf(&GgufVocabulary {
        model: "llama".to_owned(),
        tokens: strings(&file["tokens"]),
        token_types: numbers("token_types")
            .into_iter()
            .map(|kind| kind as i32)
            .collect(),
        scores: numbers("scores")
            .into_iter()
            .map(|score| score as f32)
            .collect(),
        bos: Some(1),
        eos: vec![2],
        unknown: Some(0),
        ..GgufVocabulary::default()
    })
    .unwrap();
    assert!(vocabulary.adds_bos());
    for row in lines("sentence-piece.jsonl") {
        let text = row["text"].as_str().unwrap();
        let ids = ids(&row["ids"]);
        assert_eq!(vocabulary.encode(text, false).unwrap(), ids, "{text:?}");
        assert_eq!(vocabulary.decode(&ids, false), text);
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let cases: [(GgufVocabulary, &[&str]); 6] = [
        (
            GgufVocabulary {
                model: "bert".to_owned(),
                ..smollm2()
            },
            &["bert", "gpt2", "llama"],
        ),
        (
            GgufVocabulary {
                pre: Some("martian".to_owned()),
                ..smollm2()
            },
            &["martian", "tekken", "qwen2"],
        ),
        (
            GgufVocabulary {
                merges: vec!["a zzzz".to_owned()],
                ..smollm2()
            },
            &["merges[0]", "a zzzz"],
        ),
        (
            GgufVocabulary {
                token_types: vec![1; 3],
                ..smollm2()
            },
            &["token_type", "3", "49152"],
        ),
        (
            GgufVocabulary {
                bos: Some(90_000),
                ..smollm2()
            },
            &["90000", "49152"],
        ),
        (
            GgufVocabulary {
                tokens: Vec::new(),
                ..smollm2()
            },
            &["0 entries"],
        ),
    ];
    for (fields, words) in cases {
        let message = Vocabulary::from_gguf(&fields).unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
    let config = TokenizerConfig::default();
    for (json, word) in [
        (r#"{"model": {"type": "Unigram", "vocab": []}}"#, "Unigram"),
        (
            r#"{"model": {"type": "BPE", "vocab": {}, "merges": []}, "decoder": {"type": "CTC"}}"#,
            "CTC",
        ),
        (
            r#"{"model": {"type": "BPE", "vocab": {"a": 4294967295}, "merges": []}, "decoder": {"type": "ByteLevel"}}"#,
            "tokenizer",
        ),
        ("[", "tokenizer.json"),
    ] {
        let message = Vocabulary::from_tokenizer_json(json.as_bytes(), &config)
            .unwrap_err()
            .to_string();
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn a_megabyte_of_hostile_text_is_encoded() {
    let vocabulary = Vocabulary::from_gguf(&smollm2()).unwrap();
    for unit in ["a", " ", "\n", "[", "\u{301}", "a ", "1"] {
        let text = unit.repeat((1 << 20) / unit.len());
        let ids = vocabulary.encode(&text, true).unwrap();
        assert_eq!(vocabulary.decode(&ids, true), text, "{unit:?}");
    }
}
