//! What a step may hold, and constraints.

use crate::toy::*;
use engine::*;
use model::LogitRows;
use std::time::Duration;

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
fn a_preempted_sequence_is_served_before_later_ones() {
    let mut model = ToyModel::new(1000);
    let (gate, log) = (model.gate(), model.log());
    let config = EngineConfig {
        max_batch: 2,
        prefix_reuse: false,
        ..pages(4)
    };
    let engine = start(model, config);
    // The first two fill the pool: when the second needs its third page, there is none, and it is the youngest. What it
    // gives back would be enough for the third request, which must wait all the same.
    let streams = [(60, 100), (100, 60), (10, 1)].map(|(len, max_tokens)| {
        engine
            .submit(greedy_request(prompt(len, len as usize), max_tokens))
            .unwrap()
    });
    drop(gate);
    streams.into_iter().for_each(|s| drop(collect(s)));
    let log = log.lock().unwrap();
    let first_step = |num_rows| {
        log.iter()
            .position(|s| s.iter().any(|part| part.0 == 0 && part.1 == num_rows))
    };
    assert!(
        first_step(129).unwrap() < first_step(10).unwrap(),
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
