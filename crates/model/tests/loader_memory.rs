//! Loading maps: a file of gigabytes costs no memory of our own, and its matrices are not read.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod loader_support;

use loader_support::{GgufFile, GgufTensor, Meta, llama_gguf};
use model::open;
use std::fs::OpenOptions;

/// Kilobytes of one line of `/proc/self/status`.
fn status(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with(line)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A `llama` with matrices of 1 GiB each in a sparse file: only the header has real bytes.
fn large() -> (GgufFile, u64) {
    let mut file = llama_gguf();
    let wide = 1_u64 << 25;
    file.set("llama.feed_forward_length", Meta::U32(wide as u32));
    for (name, dims) in [
        ("blk.0.ffn_gate.weight", [8, wide]),
        ("blk.0.ffn_up.weight", [8, wide]),
        ("blk.0.ffn_down.weight", [wide, 8]),
    ] {
        *file.tensor(name) = GgufTensor {
            name: name.to_owned(),
            dims: dims.to_vec(),
            kind: 0,
            offset: None,
            data: Vec::new(),
        };
    }
    // The three large ones lie at the end, one after the other.
    let small: u64 = file
        .tensors
        .iter()
        .map(|t| (t.data.len() as u64).next_multiple_of(32))
        .sum();
    let bytes = wide * 8 * 4;
    for (index, name) in [
        "blk.0.ffn_gate.weight",
        "blk.0.ffn_up.weight",
        "blk.0.ffn_down.weight",
    ]
    .iter()
    .enumerate()
    {
        file.tensor(name).offset = Some(small + index as u64 * bytes);
    }
    (file, 3 * bytes)
}

#[test]
#[cfg(target_os = "linux")]
fn three_gigabytes_load_without_being_read() {
    let path = std::env::temp_dir().join(format!("loader-memory-{}.gguf", std::process::id()));
    let (file, large_bytes) = large();
    let head = file.write();
    std::fs::write(&path, &head).unwrap();
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(head.len() as u64 + large_bytes)
        .unwrap();
    let (anonymous, mapped) = (status("RssAnon:"), status("RssFile:"));
    let checkpoint = open(&path).unwrap();
    let weights = checkpoint.load(&|_, _| ()).unwrap();
    let (anonymous, mapped) = (
        status("RssAnon:").saturating_sub(anonymous),
        status("RssFile:").saturating_sub(mapped),
    );
    std::fs::remove_file(&path).unwrap();
    assert!(weights.report.mapped_bytes > large_bytes);
    assert_eq!(weights.report.repacked_bytes(), 0);
    assert!(
        anonymous < 8 << 10,
        "{anonymous} KiB of memory for a mapped file"
    );
    assert!(mapped < 32 << 10, "{mapped} KiB of the file were read");
}
