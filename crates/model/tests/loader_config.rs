//! `config.json` is read as transformers reads it, and its lies are named.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kernels::Pairing;
use model::{AttentionConfig, Config, ModelError, RopeScaling, SoftmaxScale};
use serde_json::{Value, json};
use std::path::Path;

/// The `config.json` of Mistral-Small-4-119B-2603, as far as its text model goes.
const SMALL_4: &str = r#"{
    "architectures": ["Mistral3ForConditionalGeneration"], "model_type": "mistral3", "tie_word_embeddings": false,
    "vision_config": {"model_type": "pixtral"},
    "text_config": {
        "model_type": "mistral4", "vocab_size": 131072, "hidden_size": 4096, "intermediate_size": 12288,
        "moe_intermediate_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 32,
        "num_key_value_heads": 32, "n_shared_experts": 1, "n_routed_experts": 128, "routed_scaling_factor": 1.0,
        "kv_lora_rank": 256, "q_lora_rank": 1024, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "qk_nope_head_dim": 64, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 4,
        "first_k_dense_replace": 0, "norm_topk_prob": true, "hidden_act": "silu",
        "max_position_embeddings": 1048576, "rms_norm_eps": 1e-6, "rope_interleave": true,
        "attention_bias": false, "tie_word_embeddings": true,
        "rope_parameters": {
            "rope_type": "yarn", "type": "yarn", "rope_theta": 10000.0, "factor": 128.0,
            "original_max_position_embeddings": 8192, "max_position_embeddings": 1048576, "beta_fast": 32.0,
            "beta_slow": 1.0, "mscale_all_dim": 1.0, "mscale": 1.0, "llama_4_scaling_beta": 0.1,
            "partial_rotary_factor": 0.5
        }
    }
}"#;

fn small4() -> Value {
    serde_json::from_str(SMALL_4).unwrap()
}

fn llama() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 72, "intermediate_size": 56, "num_hidden_layers": 2,
        "num_attention_heads": 6, "num_key_value_heads": 2, "vocab_size": 160
    })
}

fn read(value: &Value) -> Result<Config, ModelError> {
    Config::from_json(value.to_string().as_bytes(), Path::new("config.json"))
}

/// The message when `value` is changed at `pointer` (a JSON pointer to an object, and a key in it).
fn complaint(mut value: Value, pointer: &str, key: &str, new: Value) -> String {
    let object = value.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
    if new.is_null() {
        object.remove(key);
    } else {
        object.insert(key.to_owned(), new);
    }
    read(&value).unwrap_err().to_string()
}

#[test]
fn mistral_small_4_has_its_numbers() {
    let config = read(&small4()).unwrap();
    assert_eq!(config.architecture, "mistral4");
    assert_eq!(
        (config.num_layers, config.hidden_size, config.vocab_size),
        (36, 4096, 131072)
    );
    assert_eq!(config.max_context, 1_048_576);
    assert!(!config.tied_embeddings, "the outer word counts");
    assert_eq!(config.kv_row_width(), 320);
    // 22.5 KiB a token in BF16.
    assert_eq!(config.kv_row_width() * config.num_layers * 2, 23_040);
    let parameters = config.parameters();
    assert_eq!(parameters.total, 118_972_826_624);
    // Layers 5,558,842,368 (model-wide), head 536,870,912, final norm 4,096.
    assert_eq!(parameters.active, 5_558_842_368 + 536_870_912 + 4_096);
    assert_eq!(config.softmax_scale(SoftmaxScale::Vendor), 0.088_388_346);
    let theirs = config.softmax_scale(SoftmaxScale::Transformers);
    assert!((theirs - 0.194_969_5).abs() < 1e-7, "{theirs}");
    let scale = config.query_scale.unwrap();
    assert_eq!(
        (scale.beta, scale.original_max_position_embeddings),
        (0.1, 8192)
    );
    assert_eq!(config.rope.pairing, Pairing::Interleaved);
    let yarn = RopeScaling::Yarn {
        factor: 128.0,
        original_max_position_embeddings: 8192,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention_factor: 1.0,
        truncate: true,
    };
    assert_eq!(config.rope.scaling, yarn);
    assert!(
        config
            .notes
            .iter()
            .any(|note| note.contains("tie_word_embeddings is true")),
        "{:?}",
        config.notes
    );
    let source = config
        .sources
        .iter()
        .find(|source| source.name == "kv_lora_rank")
        .unwrap();
    assert_eq!(
        (source.key.as_str(), source.value.as_str()),
        ("text_config.kv_lora_rank", "256")
    );
}

#[test]
fn rotary_parameters_default_to_the_architecture() {
    let mut without = small4();
    without["text_config"]
        .as_object_mut()
        .unwrap()
        .remove("rope_parameters");
    let (with, without) = (read(&small4()).unwrap(), read(&without).unwrap());
    assert_eq!(with.rope, without.rope);
    assert_eq!(with.query_scale, without.query_scale);
    assert_eq!(with.softmax_mscale, without.softmax_mscale);
}

#[test]
fn old_and_new_rotary_keys_mean_the_same() {
    let mut old = llama();
    old["rope_theta"] = json!(500000.0);
    old["rope_scaling"] = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192});
    let mut new = llama();
    new["rope_parameters"] = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_theta": 500000.0});
    let (old, new) = (read(&old).unwrap(), read(&new).unwrap());
    assert_eq!(old.rope, new.rope);
    assert_eq!(old.rope.theta, 500_000.0);
    assert_eq!(old.rope.pairing, Pairing::HalfSplit);
    assert_eq!((old.rope.dim, old.softmax_mscale), (12, 1.0));
}

#[test]
fn yarn_magnitudes_follow_transformers() {
    let attention_factor = |rope: Value| {
        let mut config = small4();
        config["text_config"]["rope_parameters"] = rope;
        match read(&config).unwrap().rope.scaling {
            RopeScaling::Yarn {
                attention_factor, ..
            } => attention_factor,
            other => panic!("{other:?}"),
        }
    };
    let base = json!({"rope_type": "yarn", "rope_theta": 1e4, "factor": 128.0,
        "original_max_position_embeddings": 32, "llama_4_scaling_beta": 0.1});
    let with = |extra: Value| {
        let mut rope = base.clone();
        rope.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        rope
    };
    let plain = attention_factor(base.clone());
    assert!((plain - 1.485_203).abs() < 1e-6, "{plain}");
    assert_eq!(
        attention_factor(with(json!({"mscale": 1.0, "mscale_all_dim": 1.0}))),
        1.0
    );
    assert_eq!(
        attention_factor(with(json!({"mscale": 1.0, "mscale_all_dim": 0.0}))),
        plain
    );
    assert_eq!(
        attention_factor(with(json!({"attention_factor": 1.25}))),
        1.25
    );
}

#[test]
fn a_sliding_window_holds_the_context() {
    let mut config = llama();
    config["model_type"] = json!("mistral");
    let absent = read(&config).unwrap();
    assert_eq!(
        absent.max_context, 4096,
        "transformers' default for mistral"
    );
    assert!(
        absent.notes[0].contains("sliding window of 4096"),
        "{:?}",
        absent.notes
    );
    config["sliding_window"] = Value::Null;
    assert_eq!(read(&config).unwrap().max_context, 131_072);
    config["sliding_window"] = json!(64);
    assert_eq!(read(&config).unwrap().max_context, 64);
}

#[test]
fn nulls_and_absent_keys_differ_as_in_transformers() {
    let mut config = llama();
    config["model_type"] = json!("mistral");
    config["num_key_value_heads"] = Value::Null;
    let AttentionConfig::Gqa(gqa) = read(&config).unwrap().attention else {
        panic!()
    };
    assert_eq!(gqa.num_kv_heads, 6);
    config
        .as_object_mut()
        .unwrap()
        .remove("num_key_value_heads");
    let message = read(&config).unwrap_err().to_string();
    assert!(
        message.contains("num_heads 6 is not a multiple of num_kv_heads 8"),
        "{message}"
    );
}

#[test]
fn wrong_numbers_are_named() {
    let cases = [
        (
            "/text_config",
            "model_type",
            json!("gemma"),
            "model_type \"gemma\" is not supported: expected one of mistral4",
        ),
        (
            "/text_config",
            "hidden_size",
            json!(0),
            "text_config.hidden_size: expected a number above zero, got 0",
        ),
        (
            "/text_config",
            "hidden_size",
            json!(-4),
            "expected a number from 0 to 1073741824, got -4",
        ),
        (
            "/text_config",
            "hidden_size",
            json!("big"),
            "text_config.hidden_size: expected a whole number, got \"big\"",
        ),
        (
            "/text_config",
            "hidden_size",
            json!(1.5),
            "expected a whole number, got 1.5",
        ),
        (
            "/text_config",
            "hidden_size",
            json!(1e18),
            "expected a whole number",
        ),
        (
            "/text_config",
            "hidden_size",
            Value::Null,
            "text_config.hidden_size is missing",
        ),
        (
            "/text_config",
            "num_hidden_layers",
            json!(1_000_000),
            "num_layers 1000000 is absurd",
        ),
        (
            "/text_config",
            "moe_intermediate_size",
            json!(1 << 30),
            "parameters are absurd: at most 1125899906842624 are supported",
        ),
        (
            "/text_config",
            "q_lora_rank",
            Value::Null,
            "a query that is not compressed is not supported",
        ),
        (
            "/text_config",
            "qk_rope_head_dim",
            json!(63),
            "expected an even number, got 63",
        ),
        (
            "/text_config",
            "num_key_value_heads",
            json!(8),
            "expected num_attention_heads, 32, got 8",
        ),
        (
            "/text_config",
            "num_experts_per_tok",
            json!(129),
            "experts_per_token 129 is more than num_experts 128",
        ),
        (
            "/text_config",
            "first_k_dense_replace",
            json!(37),
            "first_dense_layers 37 is more than num_layers 36",
        ),
        (
            "/text_config",
            "n_routed_experts",
            json!(1 << 20),
            "num_experts 1048576 is absurd",
        ),
        (
            "/text_config",
            "topk_group",
            json!(2),
            "expected n_group, 1",
        ),
        (
            "/text_config",
            "hidden_act",
            json!("gelu"),
            "expected \"silu\"",
        ),
        (
            "/text_config",
            "attention_bias",
            json!(true),
            "biases are not supported",
        ),
        (
            "/text_config",
            "rms_norm_eps",
            json!(0),
            "rms_norm_eps: expected a number above zero, got 0",
        ),
        (
            "/text_config",
            "rope_parameters",
            json!(3),
            "rope_parameters: expected an object",
        ),
        (
            "/text_config/rope_parameters",
            "rope_type",
            json!("longrope"),
            "expected default, linear, llama3 or yarn",
        ),
        (
            "/text_config/rope_parameters",
            "factor",
            json!(0),
            "rope factor: expected a number above zero, got 0",
        ),
        (
            "/text_config/rope_parameters",
            "rope_theta",
            json!("x"),
            "rope_parameters.rope_theta: expected a number",
        ),
        (
            "/text_config/rope_parameters",
            "full_attention",
            json!({}),
            "differ from layer to layer",
        ),
        (
            "",
            "model_type",
            json!("mllama"),
            "around a text_config is not supported",
        ),
        (
            "",
            "text_config",
            json!(7),
            "text_config: expected an object",
        ),
        (
            "",
            "quantization_config",
            json!({"quant_method": "fp8"}),
            "quantised as \"fp8\" are not supported yet",
        ),
    ];
    for (pointer, key, new, expected) in cases {
        let message = complaint(small4(), pointer, key, new.clone());
        assert!(
            message.contains(expected),
            "{pointer} {key} {new}: {message}"
        );
        assert!(message.starts_with("config.json: "), "{message}");
    }
    let message = complaint(llama(), "", "head_dim", json!(7));
    assert!(message.contains("even number, got 7"), "{message}");
    let message = complaint(llama(), "", "hidden_size", json!(71));
    assert!(
        message.contains("hidden_size 71 is not a multiple of num_attention_heads 6"),
        "{message}"
    );
    let message = complaint(llama(), "", "partial_rotary_factor", json!(0.5));
    assert!(
        message.contains("expected 1 (no other is supported), got 0.5"),
        "{message}"
    );
}

#[test]
fn what_is_no_configuration_is_refused() {
    for (text, expected) in [
        ("", "not valid JSON"),
        ("[]", "expected a JSON object"),
        ("{}", "model_type is missing"),
        ("{\"model_type\": 3}", "expected a text, got 3"),
    ] {
        let message = Config::from_json(text.as_bytes(), Path::new("c"))
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{text}: {message}");
    }
    let deep = "[".repeat(100_000);
    assert!(Config::from_json(deep.as_bytes(), Path::new("c")).is_err());
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20));
    let message = Config::from_json(long.as_bytes(), Path::new("c"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("expected at most 1048576 bytes"),
        "{message}"
    );
}
