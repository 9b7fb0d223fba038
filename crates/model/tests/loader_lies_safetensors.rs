//! Hugging Face directories that lie get an error that says where and how.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod loader_support;

use kernels::Bytes;
use loader_support::{f32_safetensors, fixtures, safetensors};
use model::{Checkpoint, open, parse_safetensors};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const PATH: &str = "some/model.safetensors";

fn config() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 5, "tie_word_embeddings": false
    })
}

const TENSORS: &[(&str, &[usize])] = &[
    ("model.embed_tokens.weight", &[5, 8]),
    ("model.norm.weight", &[8]),
    ("lm_head.weight", &[5, 8]),
    ("model.layers.0.input_layernorm.weight", &[8]),
    ("model.layers.0.post_attention_layernorm.weight", &[8]),
    ("model.layers.0.self_attn.q_proj.weight", &[8, 8]),
    ("model.layers.0.self_attn.k_proj.weight", &[4, 8]),
    ("model.layers.0.self_attn.v_proj.weight", &[4, 8]),
    ("model.layers.0.self_attn.o_proj.weight", &[8, 8]),
    ("model.layers.0.mlp.gate_proj.weight", &[6, 8]),
    ("model.layers.0.mlp.up_proj.weight", &[6, 8]),
    ("model.layers.0.mlp.down_proj.weight", &[8, 6]),
];

fn load(config: &Value, file: Vec<u8>) -> Result<(), String> {
    let file = Bytes::from(file);
    let opened =
        Checkpoint::from_safetensors(config.to_string().as_bytes(), &file, Path::new(PATH));
    let opened = opened.map_err(|e| e.to_string())?;
    opened.load(&|_, _| ()).map(drop).map_err(|e| e.to_string())
}

fn parse_error(file: Vec<u8>) -> String {
    let message = parse_safetensors(&Bytes::from(file), Path::new(PATH))
        .unwrap_err()
        .to_string();
    assert!(message.starts_with(PATH), "{message}");
    message
}

fn header_error(header: &str, data: usize) -> String {
    parse_error(safetensors(header, &vec![0; data]))
}

#[test]
fn a_true_file_loads() {
    load(&config(), f32_safetensors(TENSORS)).unwrap();
}

#[test]
fn headers_that_lie() {
    for (what, file, expected) in [
        (
            "empty",
            Vec::new(),
            "truncated: expected an 8-byte header length, got 0 bytes",
        ),
        ("short", vec![1, 2, 3], "got 3 bytes"),
        (
            "absurd",
            u64::MAX.to_le_bytes().to_vec(),
            "header length 18446744073709551615 is absurd",
        ),
        (
            "long",
            1000_u64.to_le_bytes().to_vec(),
            "the header should have 1000 bytes, the file has 0 more",
        ),
        (
            "GGUF",
            b"GGUF\x03\0\0\0\0\0\0\0".to_vec(),
            "this is a GGUF file",
        ),
        ("no JSON", safetensors("{", &[]), "header is not valid"),
        ("a list", safetensors("[]", &[]), "header is not valid"),
        (
            "no entry",
            safetensors("{\"a\": 3}", &[]),
            "header is not valid",
        ),
    ] {
        let message = parse_error(file);
        assert!(message.contains(expected), "{what}: {message}");
    }
    let deep = format!("{{\"__metadata__\": {}", "[".repeat(100_000));
    assert!(parse_error(safetensors(&deep, &[])).contains("header is not valid"));
}

#[test]
fn entries_that_lie() {
    let entry = |dtype: &str, shape: &str, offsets: &str| {
        format!(
            "{{\"a\": {{\"dtype\": \"{dtype}\", \"shape\": {shape}, \"data_offsets\": {offsets}}}}}"
        )
    };
    for (dtype, shape, offsets, expected) in [
        (
            "F32",
            "[4]",
            "[0, 17]",
            "tensor a: bytes 0 to 17 lie outside the file's 16 bytes of data",
        ),
        (
            "F32",
            "[4]",
            "[16, 0]",
            "tensor a: bytes 16 to 0 lie outside",
        ),
        (
            "F32",
            "[3]",
            "[0, 16]",
            "tensor a: F32 [3] needs 12 bytes, got 16 (bytes 0 to 16)",
        ),
        (
            "BF16",
            "[4]",
            "[0, 16]",
            "tensor a: BF16 [4] needs 8 bytes, got 16",
        ),
        ("I64", "[4]", "[0, 16]", "needs 32 bytes, got 16"),
        (
            "F32",
            "[4294967296, 4294967296]",
            "[0, 16]",
            "shape [4294967296, 4294967296] is absurd",
        ),
        ("F32", "[0, 18446744073709551615, 2]", "[0, 0]", "is absurd"),
        ("F32", "[-4]", "[0, 16]", "header is not valid"),
        (
            "F32",
            "[1,1,1,1,1,1,1,1,4]",
            "[0, 16]",
            "more than 8 dimensions",
        ),
        ("F32", "[4]", "[0]", "header is not valid"),
        (
            "F32",
            "[4]",
            "[0, 18446744073709551616]",
            "header is not valid",
        ),
    ] {
        let message = header_error(&entry(dtype, shape, offsets), 16);
        assert!(
            message.contains(expected),
            "{dtype} {shape} {offsets}: {message}"
        );
    }
    let twice = "{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]},\
                 \"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [4, 8]}}";
    assert!(header_error(twice, 16).contains("tensor a is listed twice"));
    let overlap = "{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]},\
                   \"b\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [4, 12]}}";
    assert!(
        header_error(overlap, 16)
            .contains("tensors a (bytes 0 to 8) and b (bytes 4 to 12) overlap")
    );
}

#[test]
fn every_truncation_and_change_is_survived() {
    let whole = f32_safetensors(TENSORS);
    for len in (0..whole.len() - 1).step_by(5) {
        load(&config(), whole[..len].to_vec()).expect_err("truncated");
    }
    for at in 0..whole.len() {
        for flip in [0x01, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            let _ = load(&config(), bytes);
        }
    }
}

#[test]
fn tensors_must_be_what_the_configuration_says() {
    for (index, (name, shape)) in TENSORS.iter().enumerate() {
        let mut tensors = TENSORS.to_vec();
        tensors.remove(index);
        let message = load(&config(), f32_safetensors(&tensors)).unwrap_err();
        let short = name.trim_start_matches("model.");
        assert!(
            message.contains(short) && message.contains("is missing"),
            "{name}: {message}"
        );
        let wrong: Vec<usize> = shape.iter().map(|dim| dim + 1).collect();
        tensors.push((name, &wrong));
        let message = load(&config(), f32_safetensors(&tensors)).unwrap_err();
        let expected = format!(
            "tensor {name}: expected shape {shape:?} from the configuration, got {wrong:?}"
        );
        assert!(message.contains(&expected), "{name}: {message}");
    }
    let message = load(&config(), f32_safetensors(&TENSORS[1..])).unwrap_err();
    for name in [
        "model.language_model.embed_tokens.weight",
        "language_model.model.embed_tokens.weight",
        "model.embed_tokens.weight",
    ] {
        assert!(message.contains(name), "all accepted names: {message}");
    }
    let mut biased = TENSORS.to_vec();
    biased.push(("model.layers.0.self_attn.q_proj.bias", &[8]));
    assert!(
        load(&config(), f32_safetensors(&biased))
            .unwrap_err()
            .contains("biases are not supported")
    );
}

#[test]
fn unsupported_types_are_named() {
    let mut header = json!({});
    let mut at = 0;
    for (name, shape) in TENSORS {
        let values: usize = shape.iter().product();
        header[name] =
            json!({"dtype": "F8_E4M3", "shape": shape, "data_offsets": [at, at + values]});
        at += values;
    }
    let message = load(&config(), safetensors(&header.to_string(), &vec![0; at])).unwrap_err();
    assert!(
        message.contains(
            "stored as F8_E4M3, which is not supported yet; supported are F32, F16, BF16"
        ),
        "{message}"
    );
}

#[test]
fn values_that_are_not_finite_are_named() {
    let mut file = f32_safetensors(TENSORS);
    let len = file.len();
    // The last tensor is down_proj, [8, 6]: its last row.
    file[len - 4..].copy_from_slice(&f32::NEG_INFINITY.to_le_bytes());
    let message = load(&config(), file).unwrap_err();
    assert!(
        message
            .contains("tensor model.layers.0.mlp.down_proj.weight: row 7 of 8 (F32) holds a value"),
        "{message}"
    );
}

#[test]
fn a_head_beside_a_tied_word_is_used() {
    let mut tied = config();
    tied["tie_word_embeddings"] = json!(true);
    let file = Bytes::from(f32_safetensors(TENSORS));
    let opened =
        Checkpoint::from_safetensors(tied.to_string().as_bytes(), &file, Path::new(PATH)).unwrap();
    assert!(!opened.config.tied_embeddings);
    assert!(
        opened.config.notes[0].contains("a head of its own"),
        "{:?}",
        opened.config.notes
    );
    let without: Vec<_> = TENSORS
        .iter()
        .copied()
        .filter(|(name, _)| *name != "lm_head.weight")
        .collect();
    load(&tied, f32_safetensors(&without)).unwrap();
    let message = load(&config(), f32_safetensors(&without)).unwrap_err();
    assert!(message.contains("lm_head.weight is missing"), "{message}");
}

#[test]
fn experts_may_lie_one_by_one() {
    let moe = json!({
        "model_type": "mistral4", "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 1, "vocab_size": 5,
        "num_attention_heads": 2, "q_lora_rank": 6, "kv_lora_rank": 5, "qk_nope_head_dim": 2, "qk_rope_head_dim": 4,
        "v_head_dim": 3, "n_routed_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 4,
        "n_shared_experts": 0, "tie_word_embeddings": true
    });
    let common: &[(&str, &[usize])] = &[
        ("model.embed_tokens.weight", &[5, 8]),
        ("model.norm.weight", &[8]),
        ("model.layers.0.input_layernorm.weight", &[8]),
        ("model.layers.0.post_attention_layernorm.weight", &[8]),
        ("model.layers.0.self_attn.q_a_proj.weight", &[6, 8]),
        ("model.layers.0.self_attn.q_a_layernorm.weight", &[6]),
        ("model.layers.0.self_attn.q_b_proj.weight", &[12, 6]),
        (
            "model.layers.0.self_attn.kv_a_proj_with_mqa.weight",
            &[9, 8],
        ),
        ("model.layers.0.self_attn.kv_a_layernorm.weight", &[5]),
        ("model.layers.0.self_attn.kv_b_proj.weight", &[10, 5]),
        ("model.layers.0.self_attn.o_proj.weight", &[8, 6]),
        ("model.layers.0.mlp.gate.weight", &[2, 8]),
    ];
    let fused: &[(&str, &[usize])] = &[
        ("model.layers.0.mlp.experts.gate_up_proj", &[2, 8, 8]),
        ("model.layers.0.mlp.experts.down_proj", &[2, 8, 4]),
    ];
    load(&moe, f32_safetensors(&[common, fused].concat())).unwrap();
    let single: Vec<String> = (0..2)
        .flat_map(|e| {
            ["gate", "up", "down"]
                .map(|p| format!("model.layers.0.mlp.experts.{e}.{p}_proj.weight"))
        })
        .collect();
    let shape = |name: &str| -> &[usize] {
        if name.contains("down") {
            &[8, 4]
        } else {
            &[4, 8]
        }
    };
    let mut tensors = common.to_vec();
    tensors.extend(single.iter().map(|name| (name.as_str(), shape(name))));
    load(&moe, f32_safetensors(&tensors)).unwrap();
    let message = load(&moe, f32_safetensors(&tensors[..tensors.len() - 1])).unwrap_err();
    assert!(
        message.contains("experts.1.down_proj.weight is missing"),
        "{message}"
    );
}

/// A folder of its own with a copy of a committed checkpoint.
fn copy_of(model: &str, name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("loader-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for entry in std::fs::read_dir(fixtures().join(model)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn open_error(path: &Path) -> String {
    open(path)
        .and_then(|c| c.load(&|_, _| ()).map(drop))
        .unwrap_err()
        .to_string()
}

#[test]
fn directories_that_lie() {
    let folder = copy_of("mistral4-tiny-f32", "shards");
    let index_path = folder.join("model.safetensors.index.json");
    let index: Value = serde_json::from_slice(&std::fs::read(&index_path).unwrap()).unwrap();
    let with_index = |change: &dyn Fn(&mut Value)| {
        let mut changed = index.clone();
        change(&mut changed["weight_map"]);
        std::fs::write(&index_path, changed.to_string()).unwrap();
        open_error(&folder)
    };
    let map = |m: &mut Value, name: &str, file: &str| m[name] = json!(file);
    let message = with_index(&|m| map(m, "extra.weight", "model-00001-of-00003.safetensors"));
    assert!(message.contains("tensor extra.weight is listed in model-00001-of-00003.safetensors, which does not hold it"), "{message}");
    let message = with_index(&|m| map(m, "lm_head.weight", "model-00002-of-00003.safetensors"));
    assert!(
        message.contains(
            "tensor lm_head.weight is listed in model-00002-of-00003.safetensors, but lies in"
        ),
        "{message}"
    );
    let message = with_index(&|m| map(m, "x", "../model-00001-of-00003.safetensors"));
    assert!(message.contains("is not a plain file name"), "{message}");
    let message = with_index(&|m| map(m, "x", "model-00009-of-00003.safetensors"));
    assert!(
        message.contains("shard model-00009-of-00003.safetensors is missing"),
        "{message}"
    );
    let message = with_index(&|m| drop(m.as_object_mut().unwrap().remove("lm_head.weight")));
    assert!(
        message.contains("tensor lm_head.weight is not listed in model.safetensors.index.json"),
        "{message}"
    );
    std::fs::write(&index_path, "{}").unwrap();
    assert!(open_error(&folder).contains("not a valid index"));
    std::fs::write(&index_path, index.to_string()).unwrap();
    open(&folder).unwrap();
    std::fs::copy(
        folder.join("model-00001-of-00003.safetensors"),
        folder.join("model-00003-of-00003.safetensors"),
    )
    .unwrap();
    assert!(open_error(&folder).contains("is also in"));
    std::fs::remove_file(folder.join("model-00002-of-00003.safetensors")).unwrap();
    assert!(open_error(&folder).contains("shard model-00002-of-00003.safetensors is missing"));
    std::fs::remove_file(&index_path).unwrap();
    assert!(
        open_error(&folder)
            .contains("no model.safetensors and no model.safetensors.index.json here")
    );
    std::fs::remove_file(folder.join("config.json")).unwrap();
    assert!(open_error(&folder).contains("no config.json here"));
    std::fs::write(folder.join("params.json"), "{}").unwrap();
    assert!(
        open_error(&folder).contains("Mistral's native form (params.json) is not supported yet")
    );
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(open_error(&folder).contains("no such file or directory"));
}

#[test]
fn a_vocabulary_that_disagrees_with_the_rows_is_named() {
    let folder = copy_of("mistral4-tiny-bf16", "vocabulary");
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["vocab_size"] = json!(137);
    std::fs::write(&path, config.to_string()).unwrap();
    let message = open_error(&folder);
    assert!(
        message.contains(
            "model.safetensors: tensor model.embed_tokens.weight: expected shape [137, 48]"
        ),
        "{message}"
    );
    assert!(message.contains("got [136, 48]"), "{message}");
    std::fs::remove_dir_all(&folder).unwrap();
    let file = fixtures().join("mistral4-tiny-bf16/model.safetensors");
    assert!(open_error(&file).contains("is opened by its directory"));
}
