//! How requests end before their time: cancelling, failure, the end of the engine.

use crate::toy::*;
use engine::*;
use model::{Batch, LanguageModel, ModelError, Output, PAGE_SIZE};

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
    for stream in [&kept, &dropped] {
        assert!(matches!(stream.recv(), Some(Event::Started { .. })));
        assert!(matches!(stream.recv(), Some(Event::Token { .. })));
    }
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
    let first = [streams[0].recv(), streams[0].recv()];
    assert!(matches!(
        first,
        [Some(Event::Started { .. }), Some(Event::Token { .. })]
    ));
    let dropping = std::thread::spawn(move || drop(engine));
    drop(gate);
    dropping.join().unwrap();
    for stream in streams {
        assert_eq!(
            stream.last(),
            Some(Event::Failed(EngineError::Stopped.to_string()))
        );
    }
}

/// A model with a bug.
struct Panics;

impl LanguageModel for Panics {
    fn vocab_size(&self) -> usize {
        VOCAB
    }

    fn hidden_size(&self) -> usize {
        HIDDEN
    }

    fn max_context(&self) -> usize {
        100
    }

    fn page_bytes(&self) -> usize {
        1
    }

    fn reserve_pages(&mut self, _: usize) {}

    fn forward(&mut self, _: &Batch) -> Result<Output, ModelError> {
        panic!("told to panic")
    }
}

#[test]
fn no_listener_waits_in_vain_after_a_panic() {
    let engine = Engine::start(Box::new(Panics), pages(16)).unwrap();
    let stopped = Event::Failed(EngineError::Stopped.to_string());
    let stream = engine.submit(greedy_request(prompt(1, 10), 5)).unwrap();
    assert_eq!(collect(stream).last, stopped);
    // The thread may still be unwinding: a request is refused or fails, but never hangs.
    match engine.submit(greedy_request(prompt(1, 10), 5)) {
        Ok(stream) => assert_eq!(collect(stream).last, stopped),
        Err(error) => assert_eq!(error, EngineError::Stopped),
    }
}
