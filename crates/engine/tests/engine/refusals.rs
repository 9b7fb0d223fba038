//! What is refused, with which numbers.

use crate::toy::*;
use engine::*;

#[test]
fn requests_that_cannot_be_are_refused_with_numbers() {
    let engine = start(ToyModel::new(300), pages(4));
    let refused = |request: GenerateRequest| engine.submit(request).unwrap_err();
    assert_eq!(
        refused(greedy_request(prompt(1, 200), 101)),
        EngineError::ContextLength {
            prompt_tokens: 200,
            max_tokens: 101,
            max_context: 300
        }
    );
    assert_eq!(
        refused(greedy_request(prompt(1, 200), 58)),
        EngineError::CacheTooSmall {
            prompt_tokens: 200,
            max_tokens: 58,
            needed_pages: 5,
            num_pages: 4
        }
    );
    let fits = collect(engine.submit(greedy_request(prompt(1, 200), 57)).unwrap());
    assert_eq!(fits.tokens.len(), 57);
    assert!(matches!(
        refused(GenerateRequest::new(prompt(1, 300))),
        EngineError::ContextLength { .. }
    ));
    assert!(matches!(
        refused(greedy_request(prompt(1, 10), usize::MAX)),
        EngineError::ContextLength { .. }
    ));

    let field = |request: GenerateRequest| match engine.submit(request) {
        Err(EngineError::InvalidRequest { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let good = || greedy_request(prompt(1, 10), 5);
    assert_eq!(field(GenerateRequest::new(vec![])), "prompt");
    assert_eq!(field(GenerateRequest::new(vec![VOCAB as u32])), "prompt");
    assert_eq!(field(greedy_request(prompt(1, 10), 0)), "max_tokens");
    assert_eq!(
        field(GenerateRequest {
            stop_tokens: vec![u32::MAX],
            ..good()
        }),
        "stop_tokens"
    );
    let top = PromptScore {
        top: VOCAB + 1,
        next_top: 0,
    };
    assert_eq!(
        field(GenerateRequest {
            prompt_score: Some(top),
            ..good()
        }),
        "prompt_score.top"
    );
    for (first, values) in [
        (0, HIDDEN + 1),
        (0, 0),
        (9, 2 * HIDDEN),
        (usize::MAX, HIDDEN),
    ] {
        let span = span(first, 1, vec![0.0; values]);
        assert_eq!(
            field(GenerateRequest {
                embeddings: vec![span],
                ..good()
            }),
            "embeddings"
        );
    }
    let one = |first, value| span(first, 1, vec![value; HIDDEN]);
    assert_eq!(
        field(GenerateRequest {
            embeddings: vec![EmbeddingSpan {
                first_row: 1,
                ..one(3, 0.0)
            }],
            ..good()
        }),
        "embeddings"
    );
    assert_eq!(
        field(GenerateRequest {
            embeddings: vec![one(3, 0.0), one(3, 0.0)],
            ..good()
        }),
        "embeddings"
    );
    assert_eq!(
        field(GenerateRequest {
            embeddings: vec![one(3, f32::NAN)],
            ..good()
        }),
        "embeddings"
    );

    type Change = fn(&mut SamplingParams);
    let changes: [(&str, Change); 12] = [
        ("temperature", |s| s.temperature = -0.1),
        ("temperature", |s| s.temperature = f32::NAN),
        ("top_p", |s| s.top_p = 1.1),
        ("min_p", |s| s.min_p = -1.0),
        ("presence_penalty", |s| s.presence_penalty = f32::INFINITY),
        ("frequency_penalty", |s| s.frequency_penalty = f32::NAN),
        ("repetition_penalty", |s| s.repetition_penalty = 0.0),
        ("logit_bias", |s| s.logit_bias = vec![(VOCAB as u32, 1.0)]),
        ("logit_bias", |s| s.logit_bias = vec![(1, f32::NAN)]),
        ("logprobs", |s| s.logprobs = Some(VOCAB + 1)),
        ("temperature", |s| s.temperature = f32::INFINITY),
        ("top_p", |s| s.top_p = f32::NAN),
    ];
    for (name, change) in changes {
        let mut request = good();
        change(&mut request.sampling);
        assert_eq!(field(request), name);
    }
    assert_eq!(idle(&engine).num_free_pages, 4);
}

#[test]
fn impossible_configurations_are_refused() {
    for config in [
        pages(0),
        pages(usize::MAX),
        EngineConfig {
            kv_memory: KvMemory::Bytes(999),
            ..pages(1)
        },
        EngineConfig {
            max_batch: 0,
            ..pages(1)
        },
        EngineConfig {
            step_tokens: 0,
            ..pages(1)
        },
        EngineConfig {
            max_context: Some(0),
            ..pages(1)
        },
    ] {
        let started = Engine::start(Box::new(ToyModel::new(100)), config);
        assert!(matches!(started.err(), Some(EngineError::Config(_))));
    }
    let engine = start(
        ToyModel::new(1000),
        EngineConfig {
            kv_memory: KvMemory::Bytes(5999),
            ..pages(1)
        },
    );
    assert_eq!(engine.stats().num_pages, 5);
}

#[test]
fn a_full_queue_refuses_and_empties() {
    let mut model = ToyModel::new(1000);
    let gate = model.gate();
    let engine = start(
        model,
        EngineConfig {
            max_batch: 2,
            max_queue: 3,
            ..pages(16)
        },
    );
    let streams: Vec<_> = (0..5)
        .map(|i| engine.submit(greedy_request(prompt(i, 9), 5)).unwrap())
        .collect();
    let request = || greedy_request(prompt(7, 9), 5);
    assert_eq!(
        engine.submit(request()).unwrap_err(),
        EngineError::QueueFull { max_requests: 5 }
    );
    drop(gate);
    for stream in streams {
        collect(stream);
        // Whoever hears the last event can hand in the next request.
        collect(engine.submit(request()).unwrap());
    }
}
