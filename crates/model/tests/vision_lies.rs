//! Vision towers that lie get an error that says where and how; those that are merely old or terse load.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod loader_support;

use kernels::{Bytes, Pairing};
use loader_support::{GgufFile, Meta, f32_safetensors, f32_tensor};
use model::{Checkpoint, Config, VisionCheckpoint};
use serde_json::{Value, json};
use std::path::Path;

const PATH: &str = "some/model.safetensors";
const MMPROJ: &str = "some/mmproj.gguf";

/// Text: hidden 8; tower: one layer, hidden 8, 2 heads, width 6, patches of 2, merged by 2.
fn config() -> Value {
    json!({
        "model_type": "mistral3", "projector_hidden_act": "gelu", "vision_feature_layer": -1,
        "spatial_merge_size": 2, "multimodal_projector_bias": false, "tie_word_embeddings": false,
        "text_config": {
            "model_type": "mistral", "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 1,
            "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 5, "head_dim": 4, "rms_norm_eps": 1e-5
        },
        "vision_config": {
            "model_type": "pixtral", "hidden_act": "silu", "hidden_size": 8, "intermediate_size": 6,
            "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 40, "patch_size": 2,
            "rope_parameters": {"rope_type": "axial", "rope_theta": 500.0}
        }
    })
}

/// Hugging Face name, llama.cpp's, shape.
const TENSORS: &[(&str, &str, &[usize])] = &[
    (
        "vision_tower.patch_conv.weight",
        "v.patch_embd.weight",
        &[8, 3, 2, 2],
    ),
    ("vision_tower.ln_pre.weight", "v.pre_ln.weight", &[8]),
    (
        "vision_tower.transformer.layers.0.attention_norm.weight",
        "v.blk.0.ln1.weight",
        &[8],
    ),
    (
        "vision_tower.transformer.layers.0.attention.q_proj.weight",
        "v.blk.0.attn_q.weight",
        &[8, 8],
    ),
    (
        "vision_tower.transformer.layers.0.attention.k_proj.weight",
        "v.blk.0.attn_k.weight",
        &[8, 8],
    ),
    (
        "vision_tower.transformer.layers.0.attention.v_proj.weight",
        "v.blk.0.attn_v.weight",
        &[8, 8],
    ),
    (
        "vision_tower.transformer.layers.0.attention.o_proj.weight",
        "v.blk.0.attn_out.weight",
        &[8, 8],
    ),
    (
        "vision_tower.transformer.layers.0.ffn_norm.weight",
        "v.blk.0.ln2.weight",
        &[8],
    ),
    (
        "vision_tower.transformer.layers.0.feed_forward.gate_proj.weight",
        "v.blk.0.ffn_gate.weight",
        &[6, 8],
    ),
    (
        "vision_tower.transformer.layers.0.feed_forward.up_proj.weight",
        "v.blk.0.ffn_up.weight",
        &[6, 8],
    ),
    (
        "vision_tower.transformer.layers.0.feed_forward.down_proj.weight",
        "v.blk.0.ffn_down.weight",
        &[8, 6],
    ),
    (
        "multi_modal_projector.norm.weight",
        "mm.input_norm.weight",
        &[8],
    ),
    (
        "multi_modal_projector.patch_merger.merging_layer.weight",
        "mm.patch_merger.weight",
        &[8, 32],
    ),
    (
        "multi_modal_projector.linear_1.weight",
        "mm.1.weight",
        &[8, 8],
    ),
    (
        "multi_modal_projector.linear_2.weight",
        "mm.2.weight",
        &[8, 8],
    ),
];

type Named = Vec<(String, Vec<usize>)>;

fn tensors() -> Named {
    let named = |(name, _, shape): &(&str, &str, &[usize])| ((*name).to_owned(), shape.to_vec());
    TENSORS.iter().map(named).collect()
}

fn checkpoint(config: &Value, tensors: &Named) -> Result<Checkpoint, String> {
    let tensors: Vec<(&str, &[usize])> = tensors
        .iter()
        .map(|(name, shape)| (name.as_str(), shape.as_slice()))
        .collect();
    let file = Bytes::from(f32_safetensors(&tensors));
    let config = config.to_string();
    Checkpoint::from_safetensors(config.as_bytes(), &file, Path::new(PATH))
        .map_err(|e| e.to_string())
}

fn open(config: &Value, tensors: &Named) -> Result<VisionCheckpoint, String> {
    let vision = checkpoint(config, tensors)?.vision();
    vision.map(Option::unwrap).map_err(|e| e.to_string())
}

fn load(config: &Value, tensors: &Named) -> Result<(), String> {
    let vision = open(config, tensors)?;
    vision.load().map(drop).map_err(|e| e.to_string())
}

fn text() -> Config {
    checkpoint(&config(), &tensors()).unwrap().config
}

fn mmproj() -> GgufFile {
    let keys = vec![
        ("general.architecture", Meta::Text("clip")),
        ("clip.has_vision_encoder", Meta::Bool(true)),
        ("clip.projector_type", Meta::Text("pixtral")),
        ("clip.use_silu", Meta::Bool(true)),
        ("clip.vision.projection_dim", Meta::U32(8)),
        ("clip.vision.image_size", Meta::U32(40)),
        ("clip.vision.patch_size", Meta::U32(2)),
        ("clip.vision.embedding_length", Meta::U32(8)),
        ("clip.vision.feed_forward_length", Meta::U32(6)),
        ("clip.vision.block_count", Meta::U32(1)),
        ("clip.vision.attention.head_count", Meta::U32(2)),
        ("clip.vision.attention.layer_norm_epsilon", Meta::F32(1e-5)),
        ("clip.vision.spatial_merge_size", Meta::U32(2)),
    ];
    let tensor = |(_, name, shape): &(&str, &str, &[usize])| {
        let dims: Vec<u64> = shape.iter().rev().map(|dim| *dim as u64).collect();
        f32_tensor(name, &dims)
    };
    let mut tensors: Vec<_> = TENSORS.iter().map(tensor).collect();
    tensors.push(f32_tensor("v.token_embd.img_break", &[8]));
    GgufFile::new(keys, tensors)
}

fn load_mmproj(file: &GgufFile) -> Result<VisionCheckpoint, String> {
    let vision = VisionCheckpoint::from_gguf(file.bytes(), Path::new(MMPROJ), &text());
    let vision = vision.map_err(|e| e.to_string())?;
    vision.load().map_err(|e| e.to_string())?;
    Ok(vision)
}

fn assert_contains(message: &str, part: &str) {
    assert!(message.contains(part), "{message}\n(expected: {part})");
}

#[test]
fn true_files_load_in_both_forms() {
    let vision = open(&config(), &tensors()).unwrap();
    vision.load().unwrap();
    let merger = vision.config.merger.unwrap();
    assert_eq!((merger.spatial_merge_size, merger.norm_eps), (2, 1e-5));
    assert_eq!((vision.config.unit(), vision.config.rope_theta), (4, 500.0));
    assert_eq!(vision.config.pairing, Pairing::HalfSplit);
    let prefixed: Named = tensors()
        .into_iter()
        .map(|(name, shape)| (format!("model.{name}"), shape))
        .collect();
    load(&config(), &prefixed).unwrap();

    let vision = load_mmproj(&mmproj()).unwrap();
    assert_eq!(vision.config.pairing, Pairing::Interleaved);
    assert_eq!(vision.config.max_image_size, 40);
    assert!(vision.bytes() > 1000 && vision.tensors().len() == 16);
}

/// Pixtral-12B says little and means transformers' defaults.
#[test]
fn a_terse_llava_wrapper_means_the_defaults() {
    let config = json!({
        "model_type": "llava", "vision_feature_layer": -1, "vision_feature_select_strategy": "full",
        "projector_hidden_act": "gelu",
        "text_config": {"model_type": "mistral", "hidden_size": 5120, "head_dim": 128, "intermediate_size": 14336,
            "num_hidden_layers": 40, "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "rope_theta": 1e9,
            "sliding_window": null, "vocab_size": 131072},
        "vision_config": {"model_type": "pixtral", "head_dim": 64, "hidden_act": "silu", "image_size": 1024,
            "patch_size": 16, "rope_theta": 10000.0}
    });
    let vision = open(&config, &tensors()).unwrap().config;
    assert_eq!((vision.num_layers, vision.num_heads), (24, 16));
    assert_eq!((vision.hidden_size, vision.intermediate_size), (1024, 4096));
    assert!(vision.projector_bias && vision.merger.is_none());
    assert_eq!((vision.unit(), vision.text_hidden_size), (16, 5120));
}

#[test]
fn configurations_that_are_not_pixtral_are_named() {
    let cases = [
        (
            "",
            "projector_hidden_act",
            json!("relu"),
            "projector_hidden_act: expected \"gelu\", got \"relu\"",
        ),
        (
            "",
            "vision_feature_layer",
            json!(-2),
            "vision_feature_layer: expected -1, got -2",
        ),
        (
            "",
            "vision_config",
            json!(3),
            "vision_config: expected an object",
        ),
        (
            "",
            "spatial_merge_size",
            json!(0),
            "spatial_merge_size: expected a number above zero",
        ),
        (
            "/vision_config",
            "model_type",
            json!("siglip"),
            "vision_config.model_type: expected \"pixtral\", got siglip",
        ),
        (
            "/vision_config",
            "hidden_act",
            json!("gelu"),
            "vision_config.hidden_act: expected \"silu\"",
        ),
        (
            "/vision_config",
            "hidden_act",
            Value::Null,
            "absent means \"gelu\"",
        ),
        (
            "/vision_config",
            "num_channels",
            json!(4),
            "vision_config.num_channels: expected 3, got 4",
        ),
        (
            "/vision_config",
            "num_attention_heads",
            json!(3),
            "hidden_size 8 is not num_heads 3 times a multiple of 4",
        ),
        (
            "/vision_config",
            "num_attention_heads",
            json!(4),
            "times a multiple of 4",
        ),
        (
            "/vision_config",
            "head_dim",
            json!(3),
            "vision_config.head_dim: expected hidden_size / num_attention_heads, 8 / 2, got 3",
        ),
        (
            "/vision_config",
            "image_size",
            json!([40, 40]),
            "image_size: expected a whole number, got a list",
        ),
        (
            "/vision_config",
            "image_size",
            json!(3),
            "max_image_size 3: expected 4 to",
        ),
        (
            "/vision_config",
            "num_hidden_layers",
            json!(5000),
            "num_layers 5000 is absurd",
        ),
        (
            "/vision_config",
            "intermediate_size",
            json!(1 << 30),
            "loads, and misses a tensor",
        ),
        (
            "/vision_config",
            "hidden_size",
            json!(1 << 29),
            "sizes are absurd",
        ),
        (
            "/vision_config/rope_parameters",
            "rope_theta",
            json!(0),
            "rope_theta is 0",
        ),
        (
            "/vision_config/rope_parameters",
            "rope_type",
            json!("yarn"),
            "rope_type: expected \"axial\", got yarn",
        ),
    ];
    for (object, key, value, part) in cases {
        let mut changed = config();
        changed.pointer_mut(object).unwrap()[key] = value;
        match open(&changed, &tensors()) {
            Err(message) => {
                assert!(message.starts_with(PATH), "{message}");
                assert_contains(&message, part);
            }
            Ok(vision) => {
                assert_eq!(part, "loads, and misses a tensor", "{key}");
                let message = vision.load().unwrap_err().to_string();
                assert_contains(&message, "gate_proj.weight: expected shape [1073741824, 8]");
            }
        }
    }
    // The text model is there whatever the tower says.
    let mut changed = config();
    changed["vision_config"]["hidden_act"] = json!("gelu");
    assert_eq!(
        checkpoint(&changed, &tensors()).unwrap().config.hidden_size,
        8
    );
}

#[test]
fn tensors_that_are_missing_strange_or_misshapen_are_named() {
    for (name, _, _) in TENSORS {
        let mut fewer = tensors();
        fewer.retain(|(known, _)| known != name);
        let message = load(&config(), &fewer).unwrap_err();
        assert_contains(&message, &format!("{name} is missing"));
        let mut wrong = tensors();
        wrong.iter_mut().find(|(known, _)| known == name).unwrap().1[0] += 1;
        let message = load(&config(), &wrong).unwrap_err();
        assert_contains(&message, name);
        assert_contains(&message, "expected shape");
    }
    for strange in [
        "vision_tower.transformer.layers.0.attention.q_proj.bias",
        "multi_modal_projector.linear_1.bias",
        "vision_tower.transformer.layers.1.ffn_norm.weight",
    ] {
        let mut more = tensors();
        more.push((strange.to_owned(), vec![8]));
        let message = load(&config(), &more).unwrap_err();
        assert_contains(
            &message,
            &format!("{strange} is not part of a Pixtral tower"),
        );
    }
    let mut more = tensors();
    more.push((
        "vision_tower.patch_positional_embedding.inv_freq".to_owned(),
        vec![2],
    ));
    more.push(("lm_head.weight".to_owned(), vec![5, 8]));
    load(&config(), &more).unwrap();
}

/// What is done to a sound file.
type Lie = &'static dyn Fn(&mut GgufFile);

#[test]
fn vision_files_that_lie_are_named() {
    let changes: [(Lie, &str); 11] = [
        (
            &|f| {
                f.set("general.architecture", Meta::Text("llama"));
            },
            "expected \"clip\" (a vision file, called mmproj), got \"llama\"",
        ),
        (
            &|f| {
                f.unset("general.architecture");
            },
            "expected \"clip\"",
        ),
        (
            &|f| {
                f.set("clip.projector_type", Meta::Text("gemma3"));
            },
            "expected \"pixtral\" (no other is supported), got \"gemma3\"",
        ),
        (
            &|f| {
                f.set("clip.has_vision_encoder", Meta::Bool(false));
            },
            "clip.has_vision_encoder: expected true",
        ),
        (
            &|f| {
                f.unset("clip.use_silu");
            },
            "clip.use_silu is not true",
        ),
        (
            &|f| {
                f.set("clip.vision.projection_dim", Meta::U32(16));
            },
            "projection_dim is 16, but the text model's hidden_size is 8",
        ),
        (
            &|f| {
                f.set("clip.vision.spatial_merge_size", Meta::U32(1));
            },
            "spatial_merge_size is 1, but mm.patch_merger.weight is there",
        ),
        (
            &|f| {
                f.without("mm.patch_merger.weight");
            },
            "spatial_merge_size is 2, but mm.patch_merger.weight is not there",
        ),
        (
            &|f| {
                f.unset("clip.vision.block_count");
            },
            "clip.vision.block_count is missing",
        ),
        (
            &|f| {
                f.without("v.blk.0.ln2.weight");
            },
            "tensor v.blk.0.ln2.weight is missing",
        ),
        (
            &|f| f.tensors.push(f32_tensor("v.post_ln.weight", &[8])),
            "v.post_ln.weight is not part of a Pixtral tower",
        ),
    ];
    for (change, part) in changes {
        let mut file = mmproj();
        change(&mut file);
        let message = load_mmproj(&file).unwrap_err();
        assert!(message.starts_with(MMPROJ), "{message}");
        assert_contains(&message, part);
    }
}

#[test]
fn weights_that_are_not_finite_are_named() {
    for (name, part) in [
        (
            "v.blk.0.attn_q.weight",
            "row 0 of 8 (F32) holds a value that is NaN or infinite",
        ),
        ("v.pre_ln.weight", "value 0 is NaN"),
        ("mm.2.weight", "row 0 of 8"),
    ] {
        let mut file = mmproj();
        file.tensor(name).data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        let message = load_mmproj(&file).unwrap_err();
        assert_contains(&message, name);
        assert_contains(&message, part);
    }
}

/// Files for Pixtral-12B have no merger and biases; some write no merge size.
#[test]
fn a_vision_file_without_a_merger_has_biases() {
    let mut file = mmproj();
    file.unset("clip.vision.spatial_merge_size")
        .without("mm.patch_merger.weight")
        .without("mm.input_norm.weight");
    file.tensors.push(f32_tensor("mm.1.bias", &[8]));
    let message = load_mmproj(&file).unwrap_err();
    assert_contains(&message, "mm.2.bias is missing");
    file.tensors.push(f32_tensor("mm.2.bias", &[8]));
    let vision = load_mmproj(&file).unwrap();
    assert!(vision.config.projector_bias && vision.config.merger.is_none());
}
