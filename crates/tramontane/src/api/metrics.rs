//! `GET /metrics`: counters, gauges and histograms in Prometheus' text format.
//!
//! What vLLM measures too has vLLM's name (`vllm:…`), because dashboards and gateways (the Gateway API inference
//! extension, llm-d) read those; what only this server has is called `tramontane:…`. Must not know: requests' contents.

mod histogram;

use crate::app::{App, Served};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use engine::Stats;
use histogram::Histogram;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const SECONDS_TO_FIRST: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
];
const SECONDS_PER_TOKEN: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
    5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
];
const SECONDS_OF_REQUEST: &[f64] = &[
    0.01, 0.05, 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0,
    60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0,
];
const TOKENS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0,
    20_000.0, 50_000.0, 100_000.0, 200_000.0, 500_000.0,
];

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The model ended it, or a stop string.
    Stop,
    /// The limit on tokens.
    Length,
    /// The model ended it after a tool call.
    ToolCalls,
    /// Nobody waited for it any more, or it took too long.
    Abort,
    /// The model or the engine failed.
    Error,
}

const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Stop, "stop"),
    (Outcome::Length, "length"),
    (Outcome::ToolCalls, "tool_calls"),
    (Outcome::Abort, "abort"),
    (Outcome::Error, "error"),
];

/// The server's counters.
#[derive(Debug)]
pub struct Metrics {
    /// From a request's arrival to its first token.
    pub first_token: Histogram,
    /// From one token to the next.
    pub next_token: Histogram,
    /// From a request's arrival to its end.
    pub whole: Histogram,
    /// From a request's arrival until its prompt is being computed.
    pub queued: Histogram,
    prompt_tokens: Histogram,
    generated_tokens: Histogram,
    cached_tokens: AtomicU64,
    outcomes: [AtomicU64; OUTCOMES.len()],
    /// By path and status.
    responses: Mutex<BTreeMap<(String, u16), u64>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            first_token: Histogram::new(SECONDS_TO_FIRST),
            next_token: Histogram::new(SECONDS_PER_TOKEN),
            whole: Histogram::new(SECONDS_OF_REQUEST),
            queued: Histogram::new(SECONDS_OF_REQUEST),
            prompt_tokens: Histogram::new(TOKENS),
            generated_tokens: Histogram::new(TOKENS),
            cached_tokens: AtomicU64::new(0),
            outcomes: Default::default(),
            responses: Mutex::default(),
        }
    }
}

impl Metrics {
    /// A reply has left the queue.
    pub fn started(&self, queued: Duration, prompt_tokens: usize, cached_tokens: usize) {
        self.queued.observe(queued.as_secs_f64());
        self.prompt_tokens.observe(prompt_tokens as f64);
        self.cached_tokens
            .fetch_add(cached_tokens as u64, Ordering::Relaxed);
    }

    /// A reply is over.
    pub fn ended(&self, outcome: Outcome, whole: Duration, generated_tokens: usize) {
        self.whole.observe(whole.as_secs_f64());
        self.generated_tokens.observe(generated_tokens as f64);
        for ((known, _), count) in OUTCOMES.iter().zip(&self.outcomes) {
            if *known == outcome {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// A request was answered. `path` is one of the router's, not the client's text.
    pub fn responded(&self, path: &str, status: u16) {
        let mut responses = self
            .responses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *responses.entry((path.to_owned(), status)).or_default() += 1;
    }
}

/// Answers with all of it.
pub async fn get(State(app): State<Arc<App>>) -> Response {
    let text = render(&app);
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
        .into_response()
}

fn render(app: &App) -> String {
    let mut out = String::new();
    let metrics = &app.metrics;
    if let Ok(served) = app.served() {
        of_model(served, metrics, &mut out);
    }
    header(
        &mut out,
        "tramontane:http_responses",
        "counter",
        "Answers by path and status.",
    );
    let responses = metrics
        .responses
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    for ((path, status), count) in responses.iter() {
        let _ = writeln!(
            out,
            "tramontane:http_responses_total{{path=\"{path}\",status=\"{status}\"}} {count}"
        );
    }
    header(&mut out, "tramontane:build_info", "gauge", "This program.");
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(out, "tramontane:build_info{{version=\"{version}\"}} 1");
    out
}

fn header(out: &mut String, name: &str, kind: &str, help: &str) {
    let suffix = if kind == "counter" { "_total" } else { "" };
    let _ = writeln!(
        out,
        "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}"
    );
}

fn of_model(served: &Served, metrics: &Metrics, out: &mut String) {
    let model = served.own_name().replace('\\', "\\\\").replace('"', "\\\"");
    let label = format!("model_name=\"{model}\"");
    let stats = served.engine.stats();
    gauges(&stats, &label, out);
    counters(&stats, metrics, &label, out);
    histograms(metrics, &label, out);
}

fn gauges(stats: &Stats, label: &str, out: &mut String) {
    let used = 1.0 - stats.num_free_pages as f64 / stats.num_pages.max(1) as f64;
    #[rustfmt::skip]
    let gauges = [
        ("vllm:num_requests_running", "Replies being computed.", stats.num_running as f64),
        ("vllm:num_requests_waiting", "Replies that wait.", stats.num_waiting as f64),
        ("vllm:kv_cache_usage_perc", "Share of the KV cache in use, from 0 to 1.", used),
        ("vllm:gpu_cache_usage_perc", "The same, by its older name.", used),
    ];
    for (name, help, value) in gauges {
        header(out, name, "gauge", help);
        let _ = writeln!(out, "{name}{{{label}}} {value}");
    }
    header(out, "vllm:cache_config_info", "gauge", "The KV cache.");
    let (size, pages) = (model::PAGE_SIZE, stats.num_pages);
    let _ = writeln!(
        out,
        "vllm:cache_config_info{{{label},block_size=\"{size}\",num_gpu_blocks=\"{pages}\"}} 1"
    );
}

fn counters(stats: &Stats, metrics: &Metrics, label: &str, out: &mut String) {
    let looked_up = metrics.prompt_tokens.sum();
    let generated = metrics.generated_tokens.sum();
    let found = metrics.cached_tokens.load(Ordering::Relaxed) as f64;
    #[rustfmt::skip]
    let counters = [
        ("vllm:prompt_tokens", "Tokens of prompts.", looked_up),
        ("vllm:generation_tokens", "Tokens generated.", generated),
        ("vllm:prefix_cache_queries", "Tokens of prompts looked up in the cache.", looked_up),
        ("vllm:prefix_cache_hits", "Tokens of prompts found there.", found),
        ("vllm:num_preemptions", "Replies that gave their cache back for a while.", stats.num_preempted as f64),
        ("tramontane:engine_steps", "Steps of the engine.", stats.num_steps as f64),
        ("tramontane:engine_failed_steps", "Steps that failed.", stats.num_failed_steps as f64),
        ("tramontane:engine_rows", "Tokens computed, of prompts and replies.", stats.num_rows as f64),
        ("tramontane:requests_cancelled", "Replies given up because nobody waited.", stats.num_cancelled as f64),
    ];
    for (name, help, value) in counters {
        header(out, name, "counter", help);
        let _ = writeln!(out, "{name}_total{{{label}}} {value}");
    }
    let help = "Replies that are over, by the reason.";
    header(out, "vllm:request_success", "counter", help);
    for ((_, reason), count) in OUTCOMES.iter().zip(&metrics.outcomes) {
        let count = count.load(Ordering::Relaxed);
        let _ = writeln!(
            out,
            "vllm:request_success_total{{{label},finished_reason=\"{reason}\"}} {count}"
        );
    }
}

fn histograms(metrics: &Metrics, label: &str, out: &mut String) {
    #[rustfmt::skip]
    let histograms = [
        ("vllm:time_to_first_token_seconds", "From arrival to the first token.", &metrics.first_token),
        ("vllm:inter_token_latency_seconds", "From one token to the next.", &metrics.next_token),
        ("vllm:time_per_output_token_seconds", "The same, by its older name.", &metrics.next_token),
        ("vllm:e2e_request_latency_seconds", "From arrival to the end.", &metrics.whole),
        ("vllm:request_queue_time_seconds", "Time in the queue.", &metrics.queued),
        ("vllm:request_prompt_tokens", "Tokens of a prompt.", &metrics.prompt_tokens),
        ("vllm:request_generation_tokens", "Tokens of a reply.", &metrics.generated_tokens),
    ];
    for (name, help, histogram) in histograms {
        header(out, name, "histogram", help);
        histogram.write(name, label, out);
    }
}
