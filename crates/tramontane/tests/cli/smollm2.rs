//! A real model end to end: SmolLM2-135M-Instruct, quantised to Q4_1 by its publisher.

use crate::support::{root, smollm2, stdout};
use serde_json::{Value, json};

#[test]
fn it_answers_a_question() {
    let Some(model) = smollm2() else { return };
    let reply = stdout(
        &[
            "run",
            "-m",
            &model,
            "--temperature",
            "0",
            "--max-tokens",
            "40",
            "Name the capital of France.",
        ],
        "",
    );
    assert!(reply.contains("Paris"), "{reply}");
}

#[test]
fn text_survives_its_tokens() {
    let Some(model) = smollm2() else { return };
    let ids = stdout(&["tokenize", "-m", &model, "Hello, world!"], "");
    // llama.cpp and Python's tokenizers agree on these.
    assert_eq!(ids.trim(), r#"{"ids":[19556,28,905,17]}"#);
}

/// llama-perplexity's protocol: chunks of `context` tokens, each by itself, the second half of each scored.
#[test]
fn perplexity_is_that_of_llama_cpp() {
    let Some(model) = smollm2() else { return };
    let golden = std::fs::read(root().join("fixtures/goldens/smollm2-perplexity.json")).unwrap();
    let golden: Value = serde_json::from_slice(&golden).unwrap();
    let (context, chunks) = (
        golden["context"].as_u64().unwrap() as usize,
        golden["chunks"].as_u64().unwrap() as usize,
    );
    let text = std::fs::read_to_string(root().join(golden["text"].as_str().unwrap())).unwrap();

    let ids: Value = serde_json::from_str(&stdout(&["tokenize", "-m", &model], &text)).unwrap();
    let ids: Vec<u64> = ids["ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap())
        .collect();
    let input: String = ids
        .chunks_exact(context)
        .take(chunks)
        .map(|ids| format!("{}\n", json!({"ids": ids})))
        .collect();
    let expected = golden["perplexity"].as_f64().unwrap();
    for kv_type in ["bf16", "q8"] {
        let flags = ["score", "-m", &model, "--input", "-", "--kv-type", kv_type];
        let perplexity = perplexity(&stdout(&flags, &input), context, chunks);
        let change = (perplexity / expected - 1.0) * 100.0;
        println!(
            "KV {kv_type}: perplexity {perplexity:.4}, llama.cpp {expected:.4}: {change:+.3} %"
        );
        assert!(
            change.abs() <= 0.5,
            "KV {kv_type}: {perplexity} against {expected}"
        );
    }
}

/// Over the second halves of all chunks.
fn perplexity(scored: &str, context: usize, chunks: usize) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for line in scored.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let logprobs = line["logprobs"].as_array().unwrap();
        for logprob in &logprobs[context / 2 + 1..] {
            sum -= logprob.as_f64().unwrap();
            count += 1;
        }
    }
    assert_eq!(count, chunks * (context - context / 2 - 1));
    (sum / f64::from(count as u32)).exp()
}
