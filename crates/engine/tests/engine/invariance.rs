//! A request's answer is a function of the request: not of the batch, the budget, the pages, what is reused or who was
//! preempted.

use crate::toy::*;
use engine::*;
use model::PAGE_SIZE;

/// Requests of every kind. Some share prefixes.
fn requests() -> Vec<GenerateRequest> {
    let shared = prompt(1000, 150);
    let mut requests: Vec<GenerateRequest> = (0..24)
        .map(|i| {
            let own = prompt(i, 1 + (hash(i, 7) % 90) as usize);
            let prompt = match i % 3 {
                0 => own,
                1 => [&shared[..PAGE_SIZE + 5], &own].concat(),
                _ => [&shared[..], &own].concat(),
            };
            GenerateRequest {
                max_tokens: Some(1 + (hash(i, 8) % 120) as usize),
                stop_tokens: [vec![], vec![i as u32]][i as usize / 4 % 2].clone(),
                sampling: SamplingParams {
                    temperature: [0.0, 0.7, 1.0, 2.0][i as usize % 4],
                    top_k: [0, 5][i as usize / 2 % 2],
                    top_p: [1.0, 0.8][i as usize / 3 % 2],
                    min_p: [0.0, 0.05][i as usize / 5 % 2],
                    seed: Some(i / 2),
                    presence_penalty: [0.0, 0.5][i as usize / 4 % 2],
                    frequency_penalty: [0.0, 0.3][i as usize / 6 % 2],
                    repetition_penalty: [1.0, 1.3][i as usize / 7 % 2],
                    logit_bias: vec![(3, 1.5)],
                    logprobs: [None, Some(3)][i as usize % 2],
                },
                choice_index: (i % 2) as u32,
                ..GenerateRequest::new(prompt)
            }
        })
        .collect();
    requests.extend((0..4).map(|i| GenerateRequest::score(shared[..38 * i + 1].to_vec(), 5)));
    for request in &mut requests[24..] {
        request.sampling.seed = Some(1);
    }
    requests[10].prompt_score = Some(PromptScore {
        top: 2,
        next_top: 2,
    });
    requests[11].embeddings = vec![span(70, 1, vec![0.25; 9 * HIDDEN])];
    requests[13].embeddings = vec![span(2, 2, vec![0.5; 4 * HIDDEN])];
    requests
}

/// A reply without what it cost: `cached_tokens` may differ.
fn answer(reply: Reply) -> Reply {
    match reply.last {
        Event::Finished {
            reason,
            mut usage,
            seed,
        } => {
            usage.cached_tokens = 0;
            let last = Event::Finished {
                reason,
                usage,
                seed,
            };
            Reply { last, ..reply }
        }
        last => panic!("{last:?}"),
    }
}

/// Hands in all requests in an order that depends on `seed` and returns their answers by index.
fn answers(config: EngineConfig, seed: u64) -> (Vec<Reply>, Stats) {
    let mut model = ToyModel::new(2000);
    // Half the time, nothing is computed before all have arrived.
    let gate = (seed < 2).then(|| model.gate());
    let engine = Engine::start(Box::new(model), config).unwrap();
    let requests = requests();
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|&i| hash(seed, i as u64));
    let mut streams: Vec<(usize, EventStream)> = order
        .into_iter()
        .map(|i| (i, engine.submit(requests[i].clone()).unwrap()))
        .collect();
    drop(gate);
    streams.sort_by_key(|s| s.0);
    let answers = streams.into_iter().map(|s| answer(collect(s.1))).collect();
    let stats = engine.stats();
    assert_eq!(stats.num_free_pages, stats.num_pages);
    (answers, stats)
}

/// Pages for any request of these tests.
fn roomy() -> EngineConfig {
    EngineConfig {
        kv_memory: KvMemory::Pages(40),
        ..EngineConfig::default()
    }
}

/// Each alone on a fresh engine, in one piece.
fn alone() -> Vec<Reply> {
    requests()
        .into_iter()
        .map(|request| {
            let engine = Engine::start(Box::new(ToyModel::new(2000)), roomy()).unwrap();
            answer(collect(engine.submit(request).unwrap()))
        })
        .collect()
}

#[test]
fn answers_depend_on_the_request_alone() {
    let expected = alone();
    assert!(expected.iter().map(|r| r.tokens.len()).sum::<usize>() > 1000);
    let mut num_preempted = 0;
    for (max_batch, step_tokens, num_pages, prefix_reuse) in [
        (1, 512, 100, false),
        (1, 512, 100, true),
        (8, 1, 100, true),
        (8, 13, 100, false),
        (8, 64, 30, true),
        (28, 512, 200, true),
        (28, 512, 12, true),
        (28, 100, 10, false),
        (28, 29, 7, true),
        (3, 29, 8, false),
        (2, 17, 6, true),
        (5, 17, 7, true),
        (28, 512, 6, true),
    ] {
        for seed in 0..4 {
            let config = EngineConfig {
                max_batch,
                step_tokens,
                kv_memory: KvMemory::Pages(num_pages),
                prefix_reuse,
                logits_bytes: VOCAB * 4 * (seed as usize * 20),
                page_order: [PageOrder::Sequential, PageOrder::Shuffled(seed)][seed as usize % 2],
                ..EngineConfig::default()
            };
            let (got, stats) = answers(config.clone(), seed);
            for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
                assert_eq!(got, expected, "request {i} with {config:?}");
            }
            num_preempted += stats.num_preempted;
        }
    }
    // Whether and when others have arrived decides how many, but in a pool this small it cannot be few.
    assert!(num_preempted >= 10, "{num_preempted} preemptions");
}

#[test]
fn preemption_cannot_be_seen() {
    // Two sequences that together outgrow the pool: the younger one has to make room.
    let engine = |num_pages| {
        let config = EngineConfig {
            kv_memory: KvMemory::Pages(num_pages),
            prefix_reuse: num_pages % 2 == 0,
            ..EngineConfig::default()
        };
        Engine::start(Box::new(ToyModel::new(2000)), config).unwrap()
    };
    let request = |seed| GenerateRequest {
        max_tokens: Some(200),
        sampling: SamplingParams {
            seed: Some(seed),
            logprobs: Some(0),
            frequency_penalty: 0.1,
            ..SamplingParams::default()
        },
        ..GenerateRequest::new(prompt(seed, 60))
    };
    for num_pages in [5, 6] {
        let engine = engine(num_pages);
        let streams: Vec<EventStream> = (0..3)
            .map(|seed| engine.submit(request(seed)).unwrap())
            .collect();
        let got: Vec<Reply> = streams.into_iter().map(|s| answer(collect(s))).collect();
        assert!(engine.stats().num_preempted > 0);
        for (seed, got) in got.iter().enumerate() {
            let roomy = Engine::start(Box::new(ToyModel::new(2000)), roomy()).unwrap();
            assert_eq!(
                *got,
                answer(collect(roomy.submit(request(seed as u64)).unwrap()))
            );
        }
    }
}
