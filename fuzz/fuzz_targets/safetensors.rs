//! A safetensors file: header, and the weights of a small model of fixed configuration.

#![no_main]

use fuzz::MOST_ALLOCATED;
use kernels::Bytes;
use libfuzzer_sys::fuzz_target;
use model::{Checkpoint, parse_safetensors};
use std::path::Path;

/// The model of the seed file.
const CONFIG: &[u8] = br#"{
    "model_type": "mistral4", "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 1, "vocab_size": 5,
    "num_attention_heads": 2, "q_lora_rank": 6, "kv_lora_rank": 5, "qk_nope_head_dim": 2, "qk_rope_head_dim": 4,
    "v_head_dim": 3, "n_routed_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 4, "n_shared_experts": 0,
    "tie_word_embeddings": true
}"#;

fuzz_target!(|data: &[u8]| {
    assert!(data.len() < MOST_ALLOCATED);
    let path = Path::new("fuzzed.safetensors");
    let file = Bytes::from(data.to_vec());
    let Ok(tensors) = parse_safetensors(&file, path) else {
        return;
    };
    let listed: usize = tensors.iter().map(|tensor| tensor.data.len()).sum();
    assert!(listed <= data.len(), "tensors do not overlap");
    if let Ok(checkpoint) = Checkpoint::from_safetensors(CONFIG, &file, path) {
        let _ = checkpoint.load(&|_, _| ());
    }
});
