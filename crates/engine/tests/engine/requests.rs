//! What a request is answered: tokens, scores, reuse of prefixes.

use crate::toy::*;
use engine::*;
use model::PAGE_SIZE;

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
    let image = |seed: u64, count: usize| -> Vec<f32> {
        (0..count * HIDDEN)
            .map(|i| (hash(seed, i as u64) % 1000) as f32)
            .collect()
    };
    let ids = prompt(4, 200);
    let first = vec![
        span(3, 1, image(1, 5)),
        span(8, 2, image(2, 1)),
        span(100, 3, image(3, 80)),
    ];
    // The same but for the last image; and the last image's rows in two spans, one row later.
    let mut second = first.clone();
    second[2] = span(100, 4, image(4, 80));
    let mut third = first.clone();
    third[2].count = 40;
    third.push(EmbeddingSpan {
        first: 141,
        count: 39,
        first_row: 41,
        source: first[2].source.clone(),
    });
    let best = |spans: &[EmbeddingSpan]| {
        let mut inputs: Vec<u64> = ids.iter().map(|&t| token_input(t)).collect();
        for span in spans {
            let rows = span.source.rows.chunks(HIDDEN).skip(span.first_row);
            for (i, row) in rows.take(span.count).enumerate() {
                inputs[span.first + i] = embedding_input(row);
            }
        }
        let logits = logits_after(inputs.iter().copied());
        (0..VOCAB)
            .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
            .unwrap() as u32
    };
    for step_tokens in [512, 9] {
        let engine = start(
            ToyModel::new(1000),
            EngineConfig {
                step_tokens,
                ..pages(16)
            },
        );
        let ask = |spans: &[EmbeddingSpan]| {
            let mut request = greedy_request(ids.clone(), 1);
            request.embeddings = spans.to_vec();
            let reply = collect(engine.submit(request).unwrap());
            (reply.tokens.clone(), reply.usage().cached_tokens)
        };
        // An image is known by its digest: its pages are shared, and no other image's.
        assert_eq!(ask(&first), (vec![best(&first)], 0));
        assert_eq!(ask(&first), (vec![best(&first)], 3 * PAGE_SIZE));
        assert_eq!(ask(&second), (vec![best(&second)], PAGE_SIZE));
        assert_eq!(ask(&third), (vec![best(&third)], 2 * PAGE_SIZE));
        // The same ids without the images are another prompt.
        assert_eq!(ask(&[]), (greedy(&ids, 1), 0));
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

/// A page is known by all that comes before it, not by its own tokens.
#[test]
fn equal_pages_after_other_prefixes_are_not_reused() {
    let engine = start(ToyModel::new(1000), pages(16));
    let ids = prompt(1, 5 * PAGE_SIZE);
    // The second shares two pages and adds two of its own; the others begin where those do.
    for (range, cached_pages) in [
        (0..2 * PAGE_SIZE + 1, 0),
        (0..4 * PAGE_SIZE + 1, 2),
        (PAGE_SIZE..5 * PAGE_SIZE, 0),
        (2 * PAGE_SIZE..5 * PAGE_SIZE, 0),
        (3 * PAGE_SIZE..5 * PAGE_SIZE, 0),
        (0..5 * PAGE_SIZE, 4),
    ] {
        let part = ids[range.clone()].to_vec();
        let reply = collect(engine.submit(greedy_request(part.clone(), 3)).unwrap());
        assert_eq!(reply.tokens, greedy(&part, 3), "{range:?}");
        assert_eq!(
            reply.usage().cached_tokens,
            cached_pages * PAGE_SIZE,
            "{range:?}"
        );
    }
}

/// The same request is answered the same everywhere and always: change this only with the sampler's definition.
#[test]
fn a_seeded_reply_is_pinned() {
    let engine = start(ToyModel::new(1000), pages(16));
    let request = GenerateRequest {
        max_tokens: Some(16),
        sampling: SamplingParams {
            temperature: 0.7,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.01,
            seed: Some(0x0123_4567_89ab_cdef),
            repetition_penalty: 1.1,
            ..SamplingParams::default()
        },
        ..GenerateRequest::new(prompt(11, 20))
    };
    assert_eq!(
        collect(engine.submit(request).unwrap()).tokens,
        [3, 0, 1, 30, 48, 10, 9, 19, 8, 36, 27, 38, 35, 4, 37, 14]
    );
}
