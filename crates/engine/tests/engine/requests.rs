//! One request at a time, and what happens at the edges: refusal, cancelling, failure, the end.

use crate::toy::*;
use engine::*;
use model::{LogitRows, PAGE_SIZE};
use std::time::{Duration, Instant};

fn start(model: ToyModel, config: EngineConfig) -> Engine {
    Engine::start(Box::new(model), config).unwrap()
}

fn pages(n: usize) -> EngineConfig {
    EngineConfig {
        kv_memory: KvMemory::Pages(n),
        ..EngineConfig::default()
    }
}

/// Waits until the engine's thread has nothing to do and returns its stats.
fn idle(engine: &Engine) -> Stats {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let stats = engine.stats();
        if stats.num_running + stats.num_waiting == 0 && stats.num_free_pages == stats.num_pages {
            return stats;
        }
        assert!(Instant::now() < deadline, "never idle: {stats:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_greedy_reply_is_the_models() {
    let engine = start(ToyModel::new(1000), pages(16));
    for len in [1, 2, 63, 64, 65, 127, 128, 129, 600] {
        let prompt = prompt(len as u64, len);
        let reply = collect(engine.submit(greedy_request(prompt.clone(), 70)).unwrap());
        assert_eq!(reply.tokens, greedy(&prompt, 70), "prompt of {len}");
        assert_eq!(reply.usage().prompt_tokens, len);
        assert_eq!(reply.usage().generated_tokens, 70);
        assert!(matches!(
            reply.last,
            Event::Finished {
                reason: FinishReason::Length,
                ..
            }
        ));
        assert_eq!(
            engine.stats().num_free_pages,
            16,
            "pages are back when the last event is told"
        );
    }
}

#[test]
fn stop_tokens_end_a_reply_and_are_told() {
    let engine = start(ToyModel::new(1000), pages(16));
    let prompt = prompt(1, 10);
    let full = greedy(&prompt, 40);
    let stop = full[20];
    let at = full.iter().position(|&t| t == stop).unwrap();
    let reply = collect(
        engine
            .submit(GenerateRequest {
                stop_tokens: vec![stop],
                ..greedy_request(prompt, 40)
            })
            .unwrap(),
    );
    assert_eq!(reply.tokens, full[..=at]);
    assert!(matches!(
        reply.last,
        Event::Finished {
            reason: FinishReason::Stop,
            ..
        }
    ));
}

#[test]
fn without_max_tokens_the_context_is_filled() {
    for (max_context, num_pages, expected) in
        [(100, 16, 100), (1000, 2, 2 * PAGE_SIZE + 1), (128, 2, 128)]
    {
        let engine = start(ToyModel::new(max_context), pages(num_pages));
        assert_eq!(engine.max_context(), expected);
        let mut request = greedy_request(prompt(3, 30), 0);
        request.max_tokens = None;
        let reply = collect(engine.submit(request).unwrap());
        assert_eq!(reply.tokens, greedy(&prompt(3, 30), expected - 30));
    }
}

#[test]
fn the_seed_is_reported_and_repeats_the_reply() {
    let engine = start(ToyModel::new(1000), pages(16));
    let mut request = GenerateRequest {
        max_tokens: Some(30),
        ..GenerateRequest::new(prompt(5, 12))
    };
    let first = collect(engine.submit(request.clone()).unwrap());
    let Event::Finished { seed, .. } = first.last else {
        panic!("{first:?}")
    };
    assert_ne!(
        collect(engine.submit(request.clone()).unwrap()).tokens,
        first.tokens
    );
    request.sampling.seed = Some(seed);
    assert_eq!(
        collect(engine.submit(request.clone()).unwrap()).tokens,
        first.tokens
    );
    request.choice_index = 1;
    assert_ne!(
        collect(engine.submit(request).unwrap()).tokens,
        first.tokens
    );
}

fn log_softmax(logits: &[f32], id: u32) -> f64 {
    let sum: f64 = logits.iter().map(|&l| f64::from(l).exp()).sum();
    f64::from(logits[id as usize]) - sum.ln()
}

#[test]
fn scores_are_the_models() {
    for step_tokens in [1, 7, 512] {
        let engine = start(
            ToyModel::new(1000),
            EngineConfig {
                step_tokens,
                logits_bytes: VOCAB * 4 * 5,
                ..pages(16)
            },
        );
        let ids = prompt(9, 150);
        let reply = collect(
            engine
                .submit(GenerateRequest::score(ids.clone(), 4))
                .unwrap(),
        );
        assert!(reply.tokens.is_empty());
        let found = reply.prompt.unwrap();
        assert_eq!(found.tokens.len(), ids.len());
        assert_eq!(found.tokens[0], None);
        for i in 1..ids.len() {
            let want = log_softmax(
                &logits_after(ids[..i].iter().map(|&t| token_input(t))),
                ids[i],
            );
            let got = found.tokens[i].as_ref().unwrap().logprob;
            assert!((got - want).abs() < 1e-12, "{i}: {got} {want}");
        }
        let logits = logits_after(ids.iter().map(|&t| token_input(t)));
        let mut best: Vec<u32> = (0..VOCAB as u32).collect();
        best.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
        assert_eq!(
            found.next_top.iter().map(|t| t.0).collect::<Vec<_>>(),
            best[..4]
        );
        for (id, logprob) in found.next_top {
            assert!((logprob - log_softmax(&logits, id)).abs() < 1e-12);
        }
    }
}

#[test]
fn a_prompt_is_scored_and_continued() {
    let engine = start(ToyModel::new(1000), pages(16));
    let ids = prompt(9, 70);
    // Fill the cache with the same prefix: scores are computed all the same.
    collect(engine.submit(greedy_request(ids.clone(), 3)).unwrap());
    let mut request = greedy_request(ids.clone(), 5);
    request.prompt_score = Some(PromptScore {
        top: 2,
        next_top: 1,
    });
    request.sampling.logprobs = Some(3);
    let reply = collect(engine.submit(request).unwrap());
    assert_eq!(reply.tokens, greedy(&ids, 5));
    assert_eq!(reply.usage().cached_tokens, 0);
    let found = reply.prompt.unwrap();
    assert!(
        found.tokens[1..]
            .iter()
            .all(|t| t.as_ref().is_some_and(|t| t.top.len() == 2))
    );
    assert_eq!(found.next_top[0].0, reply.tokens[0]);
    for (i, logprobs) in reply.logprobs.iter().enumerate() {
        assert_eq!(logprobs.top[0], (reply.tokens[i], logprobs.logprob));
        assert_eq!(logprobs.top.len(), 3);
    }
}

#[test]
fn embedding_rows_take_the_place_of_tokens() {
    let span = |first: usize, count: usize, seed: u64| EmbeddingSpan {
        first,
        rows: (0..count * HIDDEN)
            .map(|i| (hash(seed, i as u64) % 1000) as f32)
            .collect(),
    };
    let spans = vec![span(3, 5, 1), span(8, 1, 2), span(100, 80, 3)];
    let ids = prompt(4, 200);
    let mut inputs: Vec<u64> = ids.iter().map(|&t| token_input(t)).collect();
    for span in &spans {
        for (i, row) in span.rows.chunks(HIDDEN).enumerate() {
            inputs[span.first + i] = embedding_input(row);
        }
    }
    let logits = logits_after(inputs.iter().copied());
    let best = (0..VOCAB)
        .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
        .unwrap() as u32;
    for step_tokens in [512, 9] {
        let engine = start(
            ToyModel::new(1000),
            EngineConfig {
                step_tokens,
                ..pages(16)
            },
        );
        for round in 0..2 {
            let mut request = greedy_request(ids.clone(), 1);
            request.embeddings = spans.clone();
            let reply = collect(engine.submit(request).unwrap());
            assert_eq!((round, reply.tokens), (round, vec![best]));
        }
        // The same ids without the images are another prompt.
        let plain = collect(engine.submit(greedy_request(ids.clone(), 1)).unwrap());
        assert_eq!(plain.tokens, greedy(&ids, 1));
    }
}

#[test]
fn prefixes_are_reused_page_by_page() {
    let engine = start(ToyModel::new(1000), pages(16));
    let first = prompt(1, 200);
    let reply = collect(engine.submit(greedy_request(first.clone(), 60)).unwrap());
    // The next turn of the same conversation: what was generated is in the cache too.
    let mut second = first.clone();
    second.extend(&reply.tokens);
    second.extend(prompt(2, 30));
    let next = collect(engine.submit(greedy_request(second.clone(), 10)).unwrap());
    assert_eq!(next.tokens, greedy(&second, 10));
    assert_eq!(next.usage().cached_tokens, 259 / PAGE_SIZE * PAGE_SIZE);
    // A prompt of whole pages keeps one token to compute.
    let third = first[..2 * PAGE_SIZE].to_vec();
    let whole = collect(engine.submit(greedy_request(third.clone(), 10)).unwrap());
    assert_eq!(whole.tokens, greedy(&third, 10));
    assert_eq!(whole.usage().cached_tokens, PAGE_SIZE);
    // Another beginning shares nothing.
    let mut other = second.clone();
    other[0] ^= 1;
    let reply = collect(engine.submit(greedy_request(other.clone(), 10)).unwrap());
    assert_eq!(reply.tokens, greedy(&other, 10));
    assert_eq!(reply.usage().cached_tokens, 0);
}

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
        let span = EmbeddingSpan {
            first,
            rows: vec![0.0; values],
        };
        assert_eq!(
            field(GenerateRequest {
                embeddings: vec![span],
                ..good()
            }),
            "embeddings"
        );
    }
    let one = |first, value| EmbeddingSpan {
        first,
        rows: vec![value; HIDDEN],
    };
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
fn dropping_the_stream_cancels_within_one_step() {
    let mut model = ToyModel::new(1000);
    let (gate, log) = (model.gate(), model.log());
    let engine = start(model, pages(16));
    let kept = engine.submit(greedy_request(prompt(1, 20), 8)).unwrap();
    let dropped = engine.submit(greedy_request(prompt(2, 20), 500)).unwrap();
    for _ in 0..3 {
        gate.send(true).unwrap();
    }
    assert!(kept.recv().is_some());
    assert!(dropped.recv().is_some());
    drop(dropped);
    drop(gate);
    assert_eq!(collect(kept).tokens.len(), 7);
    let stats = idle(&engine);
    assert_eq!(stats.num_cancelled, 1);
    // The second sequence was in no step after the third or, if its drop came while one ran, the fourth.
    let log = log.lock().unwrap();
    assert!(log[4..].iter().all(|step| step.len() == 1), "{log:?}");
}

#[test]
fn waiting_requests_can_be_cancelled_too() {
    let mut model = ToyModel::new(1000);
    let gate = model.gate();
    let engine = start(
        model,
        EngineConfig {
            max_batch: 1,
            ..pages(16)
        },
    );
    let running = engine.submit(greedy_request(prompt(1, 20), 2)).unwrap();
    let waiting: Vec<_> = (0..5)
        .map(|i| engine.submit(greedy_request(prompt(i, 9), 5)).unwrap())
        .collect();
    drop(waiting);
    drop(gate);
    collect(running);
    assert_eq!(idle(&engine).num_cancelled, 5);
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

#[test]
fn a_failed_step_fails_its_sequences_and_the_engine_goes_on() {
    let mut model = ToyModel::new(1000);
    let gate = model.gate();
    let engine = start(
        model,
        EngineConfig {
            max_batch: 2,
            ..pages(16)
        },
    );
    let streams: Vec<_> = (0..3)
        .map(|i| engine.submit(greedy_request(prompt(i, 100), 10)).unwrap())
        .collect();
    // The first step may have begun before the second request arrived; the third has both.
    for succeed in [true, true, false] {
        gate.send(succeed).unwrap();
    }
    drop(gate);
    let replies: Vec<Reply> = streams.into_iter().map(collect).collect();
    for reply in &replies[..2] {
        assert_eq!(reply.last, Event::Failed("toy: told to fail".to_owned()));
    }
    assert_eq!(replies[2].tokens, greedy(&prompt(2, 100), 10));
    // Prefixes from before the failure are still good.
    let again = collect(engine.submit(greedy_request(prompt(0, 100), 10)).unwrap());
    assert_eq!(again.tokens, greedy(&prompt(0, 100), 10));
    assert_eq!(again.usage().cached_tokens, PAGE_SIZE);
    assert_eq!(idle(&engine).num_failed_steps, 1);
}

#[test]
fn dropping_the_engine_ends_everything() {
    let mut model = ToyModel::new(1000);
    let gate = model.gate();
    let engine = start(
        model,
        EngineConfig {
            max_batch: 1,
            ..pages(16)
        },
    );
    let streams: Vec<_> = (0..4)
        .map(|i| engine.submit(greedy_request(prompt(i, 10), 900)).unwrap())
        .collect();
    gate.send(true).unwrap();
    let first = streams[0].recv();
    assert!(matches!(first, Some(Event::Token { .. })));
    let dropping = std::thread::spawn(move || drop(engine));
    drop(gate);
    dropping.join().unwrap();
    for stream in streams {
        assert_eq!(
            collect(stream).last,
            Event::Failed(EngineError::Stopped.to_string())
        );
    }
}

#[test]
fn generating_sequences_do_not_wait_for_prompts() {
    let mut model = ToyModel::new(10_000);
    let (gate, log) = (model.gate(), model.log());
    let engine = start(
        model,
        EngineConfig {
            step_tokens: 32,
            max_batch: 4,
            ..pages(200)
        },
    );
    // A scored prompt that would take every row of every step, and then two short requests.
    let long = engine
        .submit(GenerateRequest::score(prompt(1, 3000), 0))
        .unwrap();
    let short: Vec<_> = (2..4)
        .map(|i| engine.submit(greedy_request(prompt(i, 5), 6)).unwrap())
        .collect();
    drop(gate);
    for stream in short {
        collect(stream);
    }
    collect(long);
    for step in log.lock().unwrap().iter() {
        assert!(
            step.iter().map(|part| part.1).sum::<usize>() <= 32,
            "{step:?}"
        );
        assert!(step.iter().all(|part| part.1 >= 1));
    }
    // 5 prompt tokens, one a step, then 6 tokens: long before the 3000 are done.
    let log = log.lock().unwrap();
    assert!(
        log.iter().position(|s| s.len() == 1 && s[0].0 > 0).unwrap() < 20,
        "{log:?}"
    );
}

#[test]
fn rows_of_logits_are_limited() {
    let mut model = ToyModel::new(10_000);
    let (gate, log) = (model.gate(), model.log());
    let engine = start(
        model,
        EngineConfig {
            logits_bytes: 10 * VOCAB * 4,
            max_batch: 4,
            ..pages(200)
        },
    );
    let streams: Vec<_> = (0..4)
        .map(|i| {
            engine
                .submit(GenerateRequest::score(prompt(i, 100), 0))
                .unwrap()
        })
        .collect();
    drop(gate);
    streams.into_iter().for_each(|s| drop(collect(s)));
    for step in log.lock().unwrap().iter() {
        assert!(step.iter().all(|part| part.2 == LogitRows::All));
        assert!(
            step.iter().map(|part| part.1).sum::<usize>() <= 10,
            "{step:?}"
        );
    }
}

/// Allows multiples of a number, and ends after so many tokens.
struct Multiples {
    of: u32,
    left: usize,
}

impl Constraint for Multiples {
    fn mask(&mut self, allowed: &mut TokenMask) -> Result<(), ConstraintError> {
        match self.left {
            0 => allowed.allow(0),
            _ => (1..VOCAB as u32)
                .filter(|t| t % self.of == 0)
                .for_each(|t| allowed.allow(t)),
        }
        Ok(())
    }

    fn commit(&mut self, token: u32) -> Result<(), ConstraintError> {
        if token == 49 {
            return Err(ConstraintError("49 is too much".to_owned()));
        }
        self.left = self.left.saturating_sub(1);
        Ok(())
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(Multiples { ..*self })
    }
}

#[test]
fn constraints_decide_what_may_come_next() {
    let engine = start(ToyModel::new(1000), pages(16));
    let request = |of| GenerateRequest {
        stop_tokens: vec![0],
        max_tokens: Some(100),
        constraint: Some(Box::new(Multiples { of, left: 12 })),
        ..GenerateRequest::new(prompt(1, 10))
    };
    // A clone is forked: both go all the way.
    let sevens = request(6);
    for request in [sevens.clone(), sevens] {
        let reply = collect(engine.submit(request).unwrap());
        assert_eq!(reply.tokens.len(), 13);
        assert!(reply.tokens.iter().all(|t| t % 6 == 0));
        assert!(matches!(
            reply.last,
            Event::Finished {
                reason: FinishReason::Stop,
                ..
            }
        ));
    }
    let none = collect(engine.submit(request(1000)).unwrap());
    assert_eq!(
        none.last,
        Event::Failed("constraint: no token is allowed to come next".to_owned())
    );
    let failed = collect(engine.submit(request(49)).unwrap());
    assert_eq!(
        failed.last,
        Event::Failed("constraint: 49 is too much".to_owned())
    );
    assert_eq!(idle(&engine).num_free_pages, 16);
}

#[test]
fn an_idle_engine_uses_no_processor_time() {
    let engine = start(ToyModel::new(1000), pages(16));
    collect(engine.submit(greedy_request(prompt(1, 10), 5)).unwrap());
    let steps = idle(&engine).num_steps;
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(engine.stats().num_steps, steps);
}
