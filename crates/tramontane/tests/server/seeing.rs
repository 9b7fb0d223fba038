//! A server whose model sees: a fixture with a vision tower, its vocabulary widened to that of the byte tokenizer.

use crate::server::Server;
use crate::support::fixture;
use crate::tekken::Folder;
use serde_json::{Value, json};
use std::path::Path;

/// Ids of the fixture, and of the tokenizer.
const VOCAB: usize = 136;
const WIDE: usize = 300;
/// The most pixels on a side that the fixture's tower takes.
const TOWER: usize = 280;

/// Starts it.
pub fn seeing(flags: &[&str]) -> Server {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = Folder::new(&format!("seeing{number}"), false);
    let path = folder.path();
    let from = fixture("mistral4-vision-f32");
    for entry in std::fs::read_dir(&from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let bytes = std::fs::read(entry.path()).unwrap();
        let bytes = match name.as_str() {
            "config.json" => {
                let mut config: Value = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(config["text_config"]["vocab_size"], VOCAB);
                config["text_config"]["vocab_size"] = json!(WIDE);
                config.to_string().into_bytes()
            }
            name if name.ends_with(".safetensors") => widened(&bytes),
            _ => bytes,
        };
        std::fs::write(Path::new(&path).join(name), bytes).unwrap();
    }
    let tekken = std::fs::read(Path::new(&path).join("tekken.json")).unwrap();
    let mut tekken: Value = serde_json::from_slice(&tekken).unwrap();
    tekken["image"]["max_image_size"] = json!(TOWER);
    folder.file("tekken.json", &tekken.to_string());
    Server::of(&path, flags, Some(folder))
}

/// A safetensors file whose tensors with a row for each id have rows for the new ids too: the old ones once more.
fn widened(file: &[u8]) -> Vec<u8> {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let data = &file[8 + length..];
    let mut wide = Vec::new();
    for (name, tensor) in header.as_object_mut().unwrap() {
        if name == "__metadata__" {
            continue;
        }
        let place = |index: usize| tensor["data_offsets"][index].as_u64().unwrap() as usize;
        let bytes = &data[place(0)..place(1)];
        let start = wide.len();
        wide.extend(bytes);
        if tensor["shape"][0] == VOCAB {
            let row = bytes.len() / VOCAB;
            (VOCAB..WIDE).for_each(|id| wide.extend(&bytes[id % VOCAB * row..][..row]));
            tensor["shape"][0] = json!(WIDE);
        }
        tensor["data_offsets"] = json!([start, wide.len()]);
    }
    let mut header = header.to_string();
    header += &" ".repeat(header.len().next_multiple_of(64) - header.len());
    let length = header.len() as u64;
    [&length.to_le_bytes()[..], header.as_bytes(), &wide].concat()
}
