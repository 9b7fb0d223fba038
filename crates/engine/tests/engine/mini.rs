//! The model that is built in: greedy replies equal transformers', token for token.

use crate::toy::{collect, greedy_request};
use engine::*;
use kernels::{Cpu, KvType};
use model::{Options, SoftmaxScale, Transformer};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// `</s>`
const END: u32 = 2;

fn ids(line: &Value, field: &str) -> Vec<u32> {
    let list = line[field].as_array().unwrap();
    list.iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// `fixtures/make_mini_replies.py` made the replies.
#[test]
fn greedy_replies_of_mini_equal_transformers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let checkpoint = model::open(&root.join("models/mini")).unwrap();
    let weights = checkpoint.load(&|_, _| {}).unwrap();
    let options = Options {
        kv_type: KvType::F32,
        softmax_scale: SoftmaxScale::Vendor,
    };
    let cpu = Arc::new(Cpu::new(None, None).unwrap());
    let transformer = Transformer::new(cpu, checkpoint.config.clone(), weights, options);
    let config = EngineConfig {
        kv_memory: KvMemory::Pages(1024),
        ..EngineConfig::default()
    };
    let engine = Engine::start(Box::new(transformer), config).unwrap();
    let path = root.join("fixtures/goldens/mini-replies.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 200);
    let mut different = Vec::new();
    for line in &lines {
        let wanted = ids(line, "reply");
        let request = GenerateRequest {
            stop_tokens: vec![END],
            ..greedy_request(ids(line, "ids"), wanted.len())
        };
        let reply = collect(engine.submit(request).unwrap());
        if reply.tokens != wanted {
            different.push(format!("{} (least lead {})", line["id"], line["lead"]));
        }
    }
    assert!(
        different.is_empty(),
        "{} differ: {}",
        different.len(),
        different.join(", ")
    );
}
