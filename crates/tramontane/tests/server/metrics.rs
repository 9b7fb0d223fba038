//! `GET /metrics`: the names that dashboards and gateways read, and that they count.

use crate::reply::{call, scripted, text};
use crate::server::Server;
use serde_json::json;
use std::collections::BTreeMap;

#[test]
fn what_happened_is_counted() {
    let server = Server::start(&[]);
    let replies = [
        scripted(&[text("abc")], json!({})),
        scripted(&[text("abc")], json!({"stream": true})),
        scripted(&[text("abc")], json!({"max_tokens": 2})),
        scripted(&call("f", "{}"), json!({"n": 2})),
    ];
    for body in &replies {
        assert_eq!(server.post("/v1/chat/completions", body).status, 200);
    }
    server.post("/v1/chat/completions", &json!({}));
    let text = server.get("/metrics").text();
    let value = |start: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("{start} in {text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let outcome = |reason: &str| {
        let end = format!("finished_reason=\"{reason}\"}} ");
        let line = text.lines().find(|line| line.contains(&end)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
    };
    assert_eq!(
        [
            outcome("stop"),
            outcome("length"),
            outcome("tool_calls"),
            outcome("abort"),
            outcome("error")
        ],
        [2, 1, 2, 0, 0]
    );
    assert_eq!(
        value("vllm:generation_tokens_total"),
        4.0 + 4.0 + 2.0 + 2.0 * 6.0
    );
    assert_eq!(value("vllm:time_to_first_token_seconds_count"), 5.0);
    assert_eq!(
        value("vllm:inter_token_latency_seconds_count"),
        3.0 + 3.0 + 1.0 + 2.0 * 5.0
    );
    assert_eq!(value("vllm:e2e_request_latency_seconds_count"), 5.0);
    assert_eq!(value("vllm:request_prompt_tokens_count"), 5.0);
    assert_eq!(value("vllm:num_requests_running"), 0.0);
    assert_eq!(value("vllm:kv_cache_usage_perc"), 0.0);
    assert_eq!(
        value("tramontane:http_responses_total{path=\"/v1/chat/completions\",status=\"400\"}"),
        1.0
    );
    assert!(
        text.contains("vllm:cache_config_info{model_name=") && text.contains("block_size=\"64\"")
    );
    for name in [
        "num_requests_waiting",
        "prefix_cache_hits_total",
        "num_preemptions_total",
        "request_queue_time_seconds_sum",
    ] {
        value(&format!("vllm:{name}"));
    }
    is_well_formed(&text);
}

/// Each metric has one TYPE line before its samples; buckets ascend and end with the count.
fn is_well_formed(text: &str) {
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    let mut last = 0.0;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(types.insert(name, kind).is_none(), "{name} twice");
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let name = line.split(['{', ' ']).next().unwrap();
        let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let kind = types
            .get(name)
            .or_else(|| types.get(base.unwrap_or_default()));
        assert!(kind.is_some(), "{name} has no TYPE");
        if name.ends_with("_bucket") {
            assert!(value >= last, "{line}");
            last = value;
        } else {
            last = 0.0;
        }
    }
}
