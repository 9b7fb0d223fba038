//! GGUF files that lie get an error that says where and how.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod loader_support;

use kernels::Bytes;
use loader_support::{GgufFile, Meta, f32_tensor, llama_gguf, mistral4_gguf, quantised_gguf};
use model::{Checkpoint, FeedForwardWeights, Gguf, open};
use std::path::Path;

const PATH: &str = "some/model.gguf";

fn load(bytes: Vec<u8>) -> Result<(), String> {
    let opened =
        Checkpoint::from_gguf(Bytes::from(bytes), Path::new(PATH)).map_err(|e| e.to_string())?;
    opened.load(&|_, _| ()).map_err(|e| e.to_string())?;
    opened.vocabulary().map_err(|e| e.to_string())?;
    Ok(())
}

/// The message must name the file and hold all of `expected`.
fn complains(what: &str, bytes: Vec<u8>, expected: &[&str]) {
    let message = load(bytes).expect_err(what);
    assert!(message.starts_with(PATH), "{what}: {message}");
    for part in expected {
        assert!(
            message.contains(part),
            "{what}: expected {part:?} in: {message}"
        );
    }
}

fn changed(base: GgufFile, change: impl Fn(&mut GgufFile)) -> Vec<u8> {
    let mut file = base;
    change(&mut file);
    file.write()
}

#[test]
fn true_files_load() {
    load(llama_gguf().write()).unwrap();
    load(mistral4_gguf().write()).unwrap();
    let version2 = changed(llama_gguf(), |f| f.version = 2);
    load(version2).unwrap();
}

#[test]
fn headers_that_lie() {
    complains("empty", Vec::new(), &["truncated: the magic needs 4 bytes"]);
    complains(
        "magic",
        changed(llama_gguf(), |f| f.magic = *b"GGML"),
        &["expected it to start with \"GGUF\", got \"GGML\""],
    );
    complains(
        "version",
        changed(llama_gguf(), |f| f.version = 1),
        &["GGUF version 1 is not supported: expected 3"],
    );
    complains(
        "byte order",
        changed(llama_gguf(), |f| f.version = 3_u32.swap_bytes()),
        &["big-endian GGUF is not supported"],
    );
    complains(
        "tensors",
        changed(llama_gguf(), |f| f.num_tensors = Some(1 << 60)),
        &["1152921504606846976 tensors are absurd"],
    );
    complains(
        "keys",
        changed(llama_gguf(), |f| f.num_keys = Some(u64::MAX)),
        &["18446744073709551615 metadata keys are absurd"],
    );
    complains(
        "more tensors",
        changed(llama_gguf(), |f| f.num_tensors = Some(12)),
        &["tensor"],
    );
}

#[test]
fn every_truncation_is_noticed() {
    for base in [llama_gguf(), mistral4_gguf()] {
        let whole = base.write();
        let last = whole.len() - 32;
        for len in (0..last).step_by(7) {
            let message = load(whole[..len].to_vec()).expect_err("truncated");
            assert!(message.starts_with(PATH), "{message}");
        }
    }
}

#[test]
fn any_changed_byte_is_an_error_or_a_model_but_never_a_panic() {
    let whole = llama_gguf().write();
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            let _ = load(bytes);
        }
    }
}

#[test]
fn metadata_that_lies() {
    let set = |key: &'static str, value: Meta| {
        changed(llama_gguf(), move |f| {
            f.set(key, value.clone());
        })
    };
    let list = |element: u32, len: u64| {
        let mut raw = element.to_le_bytes().to_vec();
        raw.extend(len.to_le_bytes());
        Meta::Raw(9, raw)
    };
    complains(
        "long text",
        set("x", Meta::Raw(8, u64::MAX.to_le_bytes().to_vec())),
        &["truncated: x needs 18446744073709551615 bytes"],
    );
    complains(
        "long list",
        set("x", list(4, 1 << 62)),
        &["metadata key x: a list of 4611686018427387904 values"],
    );
    complains(
        "long list of texts",
        set("x", list(8, 1 << 40)),
        &["metadata key x: a list of 1099511627776 values"],
    );
    complains(
        "type",
        set("x", Meta::Raw(13, vec![0; 8])),
        &["metadata key x: unknown value type 13"],
    );
    complains(
        "alignment",
        set("general.alignment", Meta::U32(48)),
        &["general.alignment: expected a power of two", "got 48"],
    );
    complains(
        "alignment type",
        set("general.alignment", Meta::Text("32")),
        &["got \"32\""],
    );
    let mut nested = Vec::new();
    for _ in 0..50 {
        nested.extend(9_u32.to_le_bytes());
        nested.extend(1_u64.to_le_bytes());
    }
    complains(
        "nested",
        set("x", Meta::Raw(9, nested)),
        &["metadata key x: lists nested more than 4 deep"],
    );
    let twice = changed(llama_gguf(), |f| {
        f.keys.push(("llama.block_count".to_owned(), Meta::U32(1)))
    });
    complains(
        "twice",
        twice,
        &["metadata key llama.block_count is listed twice"],
    );
    let invalid = changed(llama_gguf(), |f| {
        f.set(
            "tokenizer.ggml.model",
            Meta::Raw(8, [3, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0xfd].to_vec()),
        );
    });
    complains(
        "not UTF-8",
        invalid,
        &["tokenizer.ggml.model: expected UTF-8 text"],
    );
}

#[test]
fn tensors_that_lie() {
    let embed = |change: fn(&mut loader_support::GgufTensor)| {
        changed(llama_gguf(), move |f| change(f.tensor("token_embd.weight")))
    };
    complains(
        "beyond",
        embed(|t| t.offset = Some(1 << 40)),
        &[
            "tensor token_embd.weight: 160 bytes at offset 1099511627776",
            "beyond the file's end",
        ],
    );
    complains(
        "wrapping",
        embed(|t| t.offset = Some(u64::MAX - 31)),
        &["tensor token_embd.weight", "beyond the file's end"],
    );
    complains(
        "unaligned",
        embed(|t| t.offset = Some(4)),
        &["offset 4 is not a multiple of the alignment 32"],
    );
    complains(
        "huge",
        embed(|t| t.dims = vec![1 << 31, 1 << 31, 1 << 31]),
        &["shape [2147483648, 2147483648, 2147483648] is absurd"],
    );
    complains(
        "zero beside huge",
        embed(|t| t.dims = vec![0, u64::MAX, u64::MAX]),
        &["is absurd"],
    );
    complains(
        "dimensions",
        embed(|t| t.dims = vec![1; 5]),
        &["token_embd.weight: 5 dimensions, expected at most 4"],
    );
    complains(
        "type",
        embed(|t| t.kind = 99),
        &["token_embd.weight: type 99 is unknown; supported are F32, F16, Q4_0"],
    );
    complains(
        "blocks",
        embed(|t| t.kind = 8),
        &["a row of 8 values cannot be stored as Q8_0: expected a multiple of 32"],
    );
    complains(
        "unsupported",
        changed(llama_gguf(), |f| {
            let tensor = f.tensor("blk.0.attn_q.weight");
            (tensor.kind, tensor.data) = (28, vec![0; 8 * 8 * 8]);
        }),
        &["tensor blk.0.attn_q.weight is stored as F64, which is not supported yet"],
    );
    let overlap = changed(llama_gguf(), |f| {
        f.tensor("blk.0.attn_k.weight").offset = Some(0)
    });
    complains(
        "overlap",
        overlap,
        &[
            "tensors blk.0.attn_k.weight (bytes 0 to 128) and token_embd.weight (bytes 0 to 160) overlap",
        ],
    );
    let twice = changed(llama_gguf(), |f| {
        f.tensors.push(f32_tensor("output_norm.weight", &[8]))
    });
    complains(
        "twice",
        twice,
        &["tensor output_norm.weight is listed twice"],
    );
    let long = changed(llama_gguf(), |f| {
        f.tensor("output_norm.weight").name = "n".repeat(70_000)
    });
    complains(
        "long name",
        long,
        &["the name of tensor 1: 70000 bytes are absurd"],
    );
}

#[test]
fn shapes_must_be_what_the_configuration_says() {
    for (name, dims, expected) in [
        (
            "token_embd.weight",
            vec![7, 5],
            "expected shape [5, 8] from the configuration, got [5, 7]",
        ),
        (
            "token_embd.weight",
            vec![8, 6],
            "tokenizer.ggml.tokens has 5 tokens, but token_embd.weight has 6 rows",
        ),
        (
            "blk.0.attn_q.weight",
            vec![8, 4],
            "expected shape [8, 8] from the configuration, got [4, 8]",
        ),
        (
            "blk.0.attn_norm.weight",
            vec![9],
            "expected shape [8] from the configuration, got [9]",
        ),
        (
            "blk.0.ffn_down.weight",
            vec![8, 6],
            "expected shape [8, 6] from the configuration, got [6, 8]",
        ),
    ] {
        let file = changed(llama_gguf(), |f| *f.tensor(name) = f32_tensor(name, &dims));
        let message = load(file).expect_err(name);
        let expected = if name == "token_embd.weight" && dims[1] == 6 {
            "vocab_size is 5, but token_embd.weight has 6 rows"
        } else {
            expected
        };
        assert!(message.contains(expected), "{name}: {message}");
    }
    let vocabulary = changed(llama_gguf(), |f| {
        f.set("llama.vocab_size", Meta::U32(7));
    });
    complains(
        "vocabulary",
        vocabulary,
        &["vocab_size is 7, but token_embd.weight has 5 rows"],
    );
    let tokens = changed(llama_gguf(), |f| {
        f.set("llama.vocab_size", Meta::U32(5))
            .set("tokenizer.ggml.tokens", Meta::Texts(vec!["a", "b"]));
    });
    complains(
        "tokens",
        tokens,
        &["tokenizer.ggml.tokens has 2 tokens, but token_embd.weight has 5 rows"],
    );
}

#[test]
fn missing_tensors_are_named() {
    for name in [
        "token_embd.weight",
        "output_norm.weight",
        "blk.0.attn_k.weight",
        "blk.0.ffn_up.weight",
    ] {
        complains(
            name,
            changed(llama_gguf(), |f| {
                f.without(name);
            }),
            &[&format!("{name} is missing")],
        );
    }
    let mut names: Vec<String> = mistral4_gguf()
        .tensors
        .iter()
        .map(|t| t.name.clone())
        .collect();
    names.retain(|name| name != "output.weight");
    for name in names {
        let file = changed(mistral4_gguf(), |f| {
            f.without(&name);
        });
        complains(&name, file, &[&format!("{name} is missing")]);
    }
}

#[test]
fn numbers_that_contradict_each_other() {
    let cases = [
        (
            "mistral4.attention.key_length",
            Meta::U32(8),
            "mistral4.attention.key_length: expected 9 (kv_lora_rank + rope.dimension_count), got 8",
        ),
        (
            "mistral4.attention.value_length",
            Meta::U32(9),
            "expected 5 (kv_lora_rank), got 9",
        ),
        (
            "mistral4.attention.key_length_mla",
            Meta::U32(4),
            "expected more than rope.dimension_count, 4, got 4",
        ),
        (
            "mistral4.attention.head_count_kv",
            Meta::U32(2),
            "attention.head_count_kv: expected 1, got 2",
        ),
        (
            "mistral4.expert_used_count",
            Meta::U32(4),
            "experts_per_token 4 is more than num_experts 3",
        ),
        (
            "mistral4.expert_gating_func",
            Meta::U32(2),
            "expected 1 (softmax; no other is supported), got 2",
        ),
        (
            "mistral4.rope.dimension_count",
            Meta::U32(0),
            "expected a number above zero, got 0",
        ),
        (
            "mistral4.block_count",
            Meta::U64(1 << 40),
            "mistral4.block_count: expected a number from 0 to 1073741824",
        ),
        (
            "mistral4.block_count",
            Meta::U32(5000),
            "num_layers 5000 is absurd",
        ),
        (
            "mistral4.block_count",
            Meta::U32(2),
            "tensor blk.1.attn_norm.weight is missing",
        ),
        (
            "mistral4.rope.scaling.type",
            Meta::Text("longrope"),
            "expected none, linear or yarn",
        ),
        (
            "mistral4.rope.freq_base",
            Meta::F32(f32::NAN),
            "expected a finite number, got NaN",
        ),
        (
            "mistral4.attention.layer_norm_rms_epsilon",
            Meta::F32(-1.0),
            "rms_norm_eps: expected a number above zero, got -1",
        ),
        (
            "general.architecture",
            Meta::Text("qwen3"),
            "architecture \"qwen3\" is not supported: expected one of mistral4, deepseek2, mistral3, llama",
        ),
        (
            "general.architecture",
            Meta::Text("deepseek2"),
            "deepseek2.block_count is missing",
        ),
    ];
    for (key, value, expected) in cases {
        complains(
            key,
            changed(mistral4_gguf(), |f| {
                f.set(key, value.clone());
            }),
            &[expected],
        );
    }
    let heads = changed(llama_gguf(), |f| {
        f.set("llama.attention.head_count_kv", Meta::U32(3));
    });
    complains(
        "heads",
        heads,
        &["num_heads 2 is not a multiple of num_kv_heads 3"],
    );
}

#[test]
fn values_that_are_not_finite_are_named() {
    let norm = changed(llama_gguf(), |f| {
        f.tensor("blk.0.ffn_norm.weight").data[8..12].copy_from_slice(&f32::NAN.to_le_bytes())
    });
    complains(
        "norm",
        norm,
        &["tensor blk.0.ffn_norm.weight: value 2 is NaN, expected a finite number"],
    );
    let matrix = changed(llama_gguf(), |f| {
        f.tensor("blk.0.attn_v.weight").data[32..36].copy_from_slice(&f32::INFINITY.to_le_bytes())
    });
    complains(
        "matrix",
        matrix,
        &["tensor blk.0.attn_v.weight: row 1 of 4 (F32) holds a value that is NaN or infinite"],
    );
    // A Q8_0 block with a scale that is not a number, in the second row.
    let mut wide = quantised_gguf(8, 32, 34);
    load(wide.write()).unwrap();
    wide.tensor("blk.0.ffn_down.weight").data[34..36].copy_from_slice(&0x7e00_u16.to_le_bytes());
    complains(
        "scale",
        wide.write(),
        &["tensor blk.0.ffn_down.weight: row 1 of 8 (Q8_0) holds a scale that is NaN or infinite"],
    );
}

#[test]
fn biases_are_refused_and_strangers_reported() {
    let bias = changed(llama_gguf(), |f| {
        f.tensors.push(f32_tensor("blk.0.attn_q.bias", &[8]))
    });
    complains(
        "bias",
        bias,
        &["tensor blk.0.attn_q.bias: biases are not supported"],
    );
    let mut file = llama_gguf();
    file.tensors.push(f32_tensor("blk.0.stranger.weight", &[8]));
    let opened = Checkpoint::from_gguf(file.bytes(), Path::new(PATH)).unwrap();
    let report = opened.load(&|_, _| ()).unwrap().report;
    assert_eq!((report.unused[0].count, report.unused[0].bytes), (1, 32));
    assert_eq!(report.unused[0].example, "blk.0.stranger.weight");
}

#[test]
fn vocabularies_that_lie() {
    let set = |key: &'static str, value: Meta| {
        changed(llama_gguf(), move |f| {
            f.set(key, value.clone());
        })
    };
    complains(
        "id",
        set("tokenizer.ggml.bos_token_id", Meta::U32(5)),
        &["bos_token_id: expected a token id below 5, got 5"],
    );
    complains(
        "types",
        set(
            "tokenizer.ggml.token_type",
            Meta::Raw(
                9,
                [
                    5_u32.to_le_bytes().to_vec(),
                    1_u64.to_le_bytes().to_vec(),
                    vec![0; 4],
                ]
                .concat(),
            ),
        ),
        &["token_type: expected one for each of 5 tokens, got 1"],
    );
    complains(
        "merges",
        set("tokenizer.ggml.merges", Meta::U32(3)),
        &["tokenizer.ggml.merges: expected a list, got 3"],
    );
    complains(
        "flag",
        set("tokenizer.ggml.add_bos_token", Meta::U32(1)),
        &["add_bos_token: expected true or false, got 1"],
    );
    let none = Gguf::parse(mistral4_gguf().bytes(), Path::new(PATH)).unwrap();
    assert_eq!(none.vocabulary().unwrap(), None);
}

#[test]
fn mistral4_without_temperature_is_scaled_all_the_same() {
    let opened = Checkpoint::from_gguf(mistral4_gguf().bytes(), Path::new(PATH)).unwrap();
    let scale = opened.config.query_scale.unwrap();
    assert_eq!(
        (scale.beta, scale.original_max_position_embeddings),
        (0.1, 32)
    );
    assert!(
        opened
            .config
            .notes
            .iter()
            .any(|note| note.contains("attention.temperature_scale"))
    );
    let zero = changed(mistral4_gguf(), |f| {
        f.set("mistral4.attention.temperature_scale", Meta::F32(0.0));
    });
    let opened = Checkpoint::from_gguf(Bytes::from(zero), Path::new(PATH)).unwrap();
    assert_eq!(opened.config.query_scale, None);
}

/// Renames every key of the `mistral4` file to another architecture's.
fn as_architecture(name: &'static str) -> GgufFile {
    let mut file = mistral4_gguf();
    for (key, _) in &mut file.keys {
        *key = key.replace("mistral4.", &format!("{name}."));
    }
    file.set("general.architecture", Meta::Text(name));
    file
}

#[test]
fn deepseek_of_another_maker_is_refused() {
    let mut file = as_architecture("deepseek2");
    complains(
        "deepseek",
        file.write(),
        &[
            "deepseek2.attention.temperature_scale is missing",
            "DeepSeek's own models are not supported",
        ],
    );
    file.set("deepseek2.attention.temperature_scale", Meta::F32(0.1));
    load(file.write()).unwrap();
}

#[test]
fn an_unsplit_kv_b_is_split() {
    let mut file = mistral4_gguf();
    file.without("blk.0.attn_k_b.weight")
        .without("blk.0.attn_v_b.weight");
    file.tensors
        .push(f32_tensor("blk.0.attn_kv_b.weight", &[5, 10]));
    let opened = Checkpoint::from_gguf(file.bytes(), Path::new(PATH)).unwrap();
    let weights = opened.load(&|_, _| ()).unwrap();
    assert_eq!(weights.report.repacked.len(), 1);
    let model::AttentionWeights::Mla(mla) = &weights.layers[0].attention else {
        panic!()
    };
    let all: Vec<f32> = (0..50).map(|i| (i % 7) as f32 * 0.01).collect();
    // Head 1's key rows are rows 5 and 6; [latent, nope] is their transpose.
    let expected: Vec<f32> = (0..5)
        .flat_map(|col| [all[25 + col], all[30 + col]])
        .collect();
    assert_eq!(mla.k_b[1].to_f32(), expected);
    assert_eq!(mla.v_b[1].to_f32(), all[35..50]);
    // Quantised: nothing to transpose exactly.
    let mut wide = mistral4_gguf();
    wide.without("blk.0.attn_k_b.weight")
        .without("blk.0.attn_v_b.weight");
    wide.set("mistral4.attention.kv_lora_rank", Meta::U32(32));
    wide.set("mistral4.attention.key_length", Meta::U32(36))
        .set("mistral4.attention.value_length", Meta::U32(32));
    *wide.tensor("blk.0.attn_kv_a_mqa.weight") = f32_tensor("blk.0.attn_kv_a_mqa.weight", &[8, 36]);
    *wide.tensor("blk.0.attn_kv_a_norm.weight") = f32_tensor("blk.0.attn_kv_a_norm.weight", &[32]);
    let mut kv_b = f32_tensor("blk.0.attn_kv_b.weight", &[32, 10]);
    (kv_b.kind, kv_b.data) = (8, vec![0; 34 * 10]);
    wide.tensors.push(kv_b);
    complains(
        "quantised",
        wide.write(),
        &["an unsplit kv_b in Q8_0 is not supported"],
    );
}

#[test]
fn a_quantised_router_becomes_f32() {
    let mut file = mistral4_gguf();
    // Hidden 32, so that a row is one block of Q8_0.
    file.set("mistral4.embedding_length", Meta::U32(32));
    for tensor in &mut file.tensors {
        let dims: Vec<u64> = match tensor.name.as_str() {
            "blk.0.attn_output.weight" | "blk.0.ffn_down_shexp.weight" => vec![tensor.dims[0], 32],
            "blk.0.ffn_down_exps.weight" => vec![4, 32, 3],
            _ if tensor.dims[0] == 8 => [&[32], &tensor.dims[1..]].concat(),
            _ => continue,
        };
        *tensor = f32_tensor(&tensor.name.clone(), &dims);
    }
    load(file.write()).unwrap();
    let router = file.tensor("blk.0.ffn_gate_inp.weight");
    (router.kind, router.data) = (
        8,
        [0x00_u8, 0x3c]
            .into_iter()
            .chain(0..32)
            .cycle()
            .take(34 * 3)
            .collect(),
    );
    let opened = Checkpoint::from_gguf(file.bytes(), Path::new(PATH)).unwrap();
    let weights = opened.load(&|_, _| ()).unwrap();
    let FeedForwardWeights::Moe { router, .. } = &weights.layers[0].feed_forward else {
        panic!()
    };
    assert_eq!(router.format(), kernels::Format::F32);
    assert_eq!(router.to_f32()[..3], [0.0, 1.0, 2.0]);
    assert_eq!(weights.report.repacked[0].bytes, 3 * 32 * 4);
}

#[test]
fn split_files_that_lie() {
    let folder = tempfile("split");
    let mut first = llama_gguf();
    let (kept, moved): (Vec<_>, Vec<_>) = first
        .tensors
        .clone()
        .into_iter()
        .partition(|t| !t.name.starts_with("blk"));
    first.tensors = kept;
    first
        .set("split.no", Meta::U32(0))
        .set("split.count", Meta::U32(2))
        .set("split.tensors.count", Meta::U32(11));
    let mut second = GgufFile::new(
        vec![("split.no", Meta::U32(1)), ("split.count", Meta::U32(2))],
        moved,
    );
    let (one, two) = (
        folder.join("m-00001-of-00002.gguf"),
        folder.join("m-00002-of-00002.gguf"),
    );
    let check = |first: &GgufFile, second: &GgufFile, expected: &str| {
        std::fs::write(&one, first.write()).unwrap();
        std::fs::write(&two, second.write()).unwrap();
        match open(&one).and_then(|c| c.load(&|_, _| ()).map(drop)) {
            Ok(()) => assert_eq!(expected, "", "loaded"),
            Err(e) => assert!(
                !expected.is_empty() && e.to_string().contains(expected),
                "{e}"
            ),
        }
    };
    check(&first, &second, "");
    check(
        first.clone().set("split.tensors.count", Meta::U32(12)),
        &second,
        "expected 12 tensors, the 2 parts have 11",
    );
    check(
        &first,
        second.clone().set("split.no", Meta::U32(0)),
        "split.no: expected 1, got 0",
    );
    check(
        &first,
        second.clone().set("split.count", Meta::U32(3)),
        "split.count: expected 2 as in the first part, got 3",
    );
    check(
        first.clone().set("split.count", Meta::U32(9999)),
        &second,
        "9999 parts are absurd",
    );
    second.tensors[0].name = "output_norm.weight".to_owned();
    check(&first, &second, "tensor output_norm.weight is also in");
    std::fs::remove_file(&two).unwrap();
    let message = open(&one).unwrap_err().to_string();
    assert!(
        message.contains("part 2 of 2 is missing: expected m-00002-of-00002.gguf"),
        "{message}"
    );
    let renamed = folder.join("renamed.gguf");
    std::fs::rename(&one, &renamed).unwrap();
    let message = open(&renamed).unwrap_err().to_string();
    assert!(
        message.contains("must be named NAME-00001-of-00002.gguf"),
        "{message}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

fn tempfile(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("loader-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
