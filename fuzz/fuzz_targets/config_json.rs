//! A `config.json`.

#![no_main]

use fuzz::MOST_ALLOCATED;
use libfuzzer_sys::fuzz_target;
use model::{Config, SoftmaxScale};
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    assert!(data.len() < MOST_ALLOCATED);
    let Ok(config) = Config::from_json(data, Path::new("config.json")) else {
        return;
    };
    let parameters = config.parameters();
    assert!(parameters.active <= parameters.total + parameters.embedding);
    assert!(config.kv_row_width() > 0);
    assert!(config.softmax_scale(SoftmaxScale::Vendor) > 0.0);
});
