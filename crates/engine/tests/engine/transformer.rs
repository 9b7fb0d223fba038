//! The same over real models: scores and replies are bit-equal to one request at a time, with any batch, budget, threads
//! and instruction set, with pages shuffled and all that was not written poisoned.

use crate::toy::{Reply, collect, hash};
use engine::*;
use kernels::{Backend, Cpu, Isa, KvType, Reference};
use model::{Batch, LanguageModel, ModelError, Options, Output, SoftmaxScale, Transformer};
use std::path::Path;
use std::sync::Arc;

/// A transformer whose cache is full of NaN until it is written.
struct Poisoned(Transformer);

impl LanguageModel for Poisoned {
    fn vocab_size(&self) -> usize {
        self.0.vocab_size()
    }

    fn hidden_size(&self) -> usize {
        self.0.hidden_size()
    }

    fn max_context(&self) -> usize {
        self.0.max_context()
    }

    fn page_bytes(&self) -> usize {
        self.0.page_bytes()
    }

    fn reserve_pages(&mut self, num_pages: usize) {
        self.0.reserve_pages(num_pages);
        self.0.poison_cache();
    }

    fn forward(&mut self, batch: &Batch) -> Result<Output, ModelError> {
        self.0.forward(batch)
    }
}

fn load(name: &str, backend: Arc<dyn Backend>, kv_type: KvType) -> Box<dyn LanguageModel> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models");
    let checkpoint = model::open(&models.join(name)).unwrap();
    let weights = checkpoint.load(&|_, _| {}).unwrap();
    let options = Options {
        kv_type,
        softmax_scale: SoftmaxScale::Vendor,
    };
    let transformer = Transformer::new(backend, checkpoint.config.clone(), weights, options);
    Box::new(Poisoned(transformer))
}

fn requests(vocab_size: usize) -> Vec<GenerateRequest> {
    let ids = |seed, len: usize| -> Vec<u32> {
        (0..len as u64)
            .map(|i| (hash(seed, i) % vocab_size as u64) as u32)
            .collect()
    };
    let shared = ids(100, 130);
    let mut requests: Vec<GenerateRequest> = [1, 2, 17, 63, 64, 65, 150]
        .into_iter()
        .map(|len| GenerateRequest::score(ids(len as u64, len), 5))
        .collect();
    for (seed, own) in [(0, 3), (1, 40), (2, 0), (3, 70)] {
        let prompt = [&shared[..], &ids(seed, own)].concat();
        requests.push(GenerateRequest {
            max_tokens: Some(20 + own),
            ..GenerateRequest::new(prompt)
        });
    }
    for (seed, request) in requests.iter_mut().enumerate() {
        request.sampling.seed = Some(seed as u64);
        request.sampling.logprobs = Some(2);
    }
    requests
}

/// All requests at once; what they cost is left out.
fn answers(model: Box<dyn LanguageModel>, config: EngineConfig) -> Vec<Reply> {
    let requests = requests(model.vocab_size());
    let engine = Engine::start(model, config).unwrap();
    let streams: Vec<EventStream> = requests
        .into_iter()
        .map(|r| engine.submit(r).unwrap())
        .collect();
    let answer = |stream| {
        let mut reply = collect(stream);
        match &mut reply.last {
            Event::Finished { usage, .. } => usage.cached_tokens = 0,
            last => panic!("{last:?}"),
        }
        reply
    };
    streams.into_iter().map(answer).collect()
}

fn check(name: &str, kv_type: KvType) {
    let cpu =
        |isa, threads| -> Arc<dyn Backend> { Arc::new(Cpu::new(isa, Some(threads)).unwrap()) };
    let alone = EngineConfig {
        max_batch: 1,
        step_tokens: 512,
        kv_memory: KvMemory::Pages(8),
        prefix_reuse: false,
        ..EngineConfig::default()
    };
    let expected = answers(load(name, cpu(None, 1), kv_type), alone.clone());
    let others = [
        (cpu(None, 2), 1, 7, 5, false),
        (cpu(None, 1), 8, 512, 40, true),
        (cpu(None, 2), 11, 100, 9, true),
        (cpu(None, 2), 3, 3, 6, false),
        (cpu(Some(Isa::Scalar), 2), 11, 64, 6, true),
        (Arc::new(Reference) as Arc<dyn Backend>, 5, 50, 12, true),
    ];
    for (seed, (backend, max_batch, step_tokens, num_pages, prefix_reuse)) in
        others.into_iter().enumerate()
    {
        let config = EngineConfig {
            max_batch,
            step_tokens,
            kv_memory: KvMemory::Pages(num_pages),
            prefix_reuse,
            page_order: PageOrder::Shuffled(seed as u64),
            ..EngineConfig::default()
        };
        let got = answers(load(name, backend, kv_type), config.clone());
        for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert_eq!(
                got, expected,
                "{name} {kv_type:?}, request {i} with {config:?}"
            );
        }
    }
}

#[test]
fn latent_attention_and_experts_answer_the_same_in_any_company() {
    check("mistral4-tiny-f32", KvType::F32);
    check("mistral4-tiny-bf16", KvType::Bf16);
}

#[test]
fn quantised_experts_answer_the_same_in_any_company() {
    check("mistral4-q4_k_m.gguf", KvType::Bf16);
}

#[test]
fn grouped_attention_answers_the_same_in_any_company() {
    check("ministral3-tiny", KvType::F32);
    check("llama-tiny", KvType::Bf16);
}
