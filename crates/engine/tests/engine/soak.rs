//! Hundreds of random requests and cancellations over small pools: all end as they should, and no page is lost.

use crate::toy::*;
use engine::*;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A random number below `n`.
fn below(state: &mut u64, n: u64) -> u64 {
    *state = hash(*state, 1);
    *state % n
}

fn random_request(state: &mut u64) -> GenerateRequest {
    // Prompts come from few seeds, so that prefixes are shared.
    let ids = prompt(below(state, 6), 1 + below(state, 150) as usize);
    let mut request = greedy_request(ids, 1 + below(state, 60) as usize);
    if below(state, 5) == 0 {
        request.prompt_score = Some(PromptScore {
            top: 1,
            next_top: 1,
        });
    }
    request
}

fn soak(seed: u64, num_requests: usize, config: EngineConfig) {
    let engine = Engine::start(Box::new(ToyModel::new(400)), config.clone()).unwrap();
    let mut state = seed;
    let mut expected: HashMap<Vec<u32>, Vec<u32>> = HashMap::new();
    let mut streams = Vec::new();
    for _ in 0..num_requests {
        let request = random_request(&mut state);
        let tokens = expected
            .entry(request.prompt.clone())
            .or_insert_with(|| greedy(&request.prompt, 60));
        let want = tokens[..request.max_tokens.unwrap()].to_vec();
        streams.push((engine.submit(request).unwrap(), want));
        match below(&mut state, 6) {
            // Cancel one at once or later, or hear a few events of it first, or wait for one.
            0 | 1 => {
                let index = below(&mut state, streams.len() as u64) as usize;
                let (stream, _) = streams.swap_remove(index);
                for _ in 0..below(&mut state, 4) {
                    let _ = stream.recv_timeout(Duration::from_millis(2));
                }
            }
            2 => {
                let index = below(&mut state, streams.len() as u64) as usize;
                let (stream, want) = streams.swap_remove(index);
                assert_eq!(collect(stream).tokens, want, "{config:?}");
            }
            _ => {}
        }
    }
    for (stream, want) in streams {
        let reply = collect(stream);
        assert_eq!(reply.tokens, want, "{config:?}");
        assert!(
            matches!(reply.last, Event::Finished { .. }),
            "{:?}",
            reply.last
        );
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while engine.stats().num_free_pages < engine.stats().num_pages {
        assert!(
            Instant::now() < deadline,
            "pages lost: {:?}",
            engine.stats()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(engine.stats().num_failed_steps, 0);
}

#[test]
fn random_requests_and_cancellations() {
    let (mut seed, start) = (0, Instant::now());
    for num_pages in [4, 5, 9, 40] {
        for (max_batch, step_tokens) in [(1, 64), (6, 20), (32, 512)] {
            for page_order in [PageOrder::Sequential, PageOrder::Shuffled(seed)] {
                seed += 1;
                let config = EngineConfig {
                    max_batch,
                    step_tokens,
                    kv_memory: KvMemory::Pages(num_pages),
                    max_queue: 1000,
                    prefix_reuse: seed % 3 != 0,
                    logits_bytes: 4 * VOCAB * 30,
                    page_order,
                    ..EngineConfig::default()
                };
                soak(seed, 120, config);
            }
        }
    }
    assert!(
        start.elapsed() < Duration::from_secs(120),
        "{:?}",
        start.elapsed()
    );
}
