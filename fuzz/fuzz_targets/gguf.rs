//! A GGUF file: header, metadata, vocabulary, configuration, weights.

#![no_main]

use fuzz::MOST_ALLOCATED;
use kernels::Bytes;
use libfuzzer_sys::fuzz_target;
use model::{Checkpoint, Gguf};
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    assert!(data.len() < MOST_ALLOCATED);
    let path = Path::new("fuzzed.gguf");
    let file = Bytes::from(data.to_vec());
    let Ok(gguf) = Gguf::parse(file.clone(), path) else {
        return;
    };
    for key in gguf.keys() {
        if let Some(value) = gguf.value(key) {
            value.describe();
        }
    }
    let _ = gguf.vocabulary();
    let Ok(checkpoint) = Checkpoint::from_gguf(file, path) else {
        return;
    };
    checkpoint.parameters();
    if let Ok(weights) = checkpoint.load(&|_, _| ()) {
        assert_eq!(weights.layers.len(), checkpoint.config.num_layers);
    }
});
