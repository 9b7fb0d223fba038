//! All committed checkpoints load, in every form, and forms of the same model hold the same weights.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod loader_support;

use kernels::{Matrix, Pairing};
use loader_support::fixtures;
use model::{
    AttentionConfig, AttentionWeights, Checkpoint, FeedForwardWeights, RopeScaling, SoftmaxScale,
    Weights, open,
};

fn load(name: &str) -> (Checkpoint, Weights) {
    let checkpoint = open(&fixtures().join(name)).unwrap();
    let weights = checkpoint.load(&|_, _| ()).unwrap();
    (checkpoint, weights)
}

#[test]
fn every_model_of_the_manifest_loads() {
    let manifest = std::fs::read(fixtures().join("manifest.json")).unwrap();
    let manifest: Vec<serde_json::Value> = serde_json::from_slice(&manifest).unwrap();
    assert!(manifest.len() >= 20, "{}", manifest.len());
    for row in manifest {
        let name = row["model"].as_str().unwrap();
        let (checkpoint, weights) = load(name);
        assert_eq!(weights.layers.len(), checkpoint.config.num_layers, "{name}");
        assert_eq!(weights.find_non_finite(), None, "{name}");
        let unknown: Vec<_> = weights
            .report
            .unused
            .iter()
            .filter(|u| u.what.contains("not known"))
            .collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
        let vision = weights
            .report
            .unused
            .iter()
            .filter(|u| u.what.contains("vision"))
            .map(|u| u.count)
            .sum::<usize>();
        let listed: u64 = checkpoint.tensors().iter().map(|t| t.num_values()).sum();
        if vision == 0 && !name.contains("llama3-rope-") {
            assert_eq!(
                checkpoint.parameters().total,
                listed,
                "{name}: the shape list and the files agree"
            );
        }
    }
}

#[test]
fn progress_runs_to_the_end() {
    let checkpoint = open(&fixtures().join("mistral4-dense-first")).unwrap();
    let seen = std::cell::RefCell::new(Vec::new());
    checkpoint
        .load(&|done, all| seen.borrow_mut().push((done, all)))
        .unwrap();
    assert_eq!(*seen.borrow(), [(0, 3), (1, 3), (2, 3), (3, 3)]);
}

#[test]
fn sharded_wrapper_has_its_configuration() {
    let (checkpoint, weights) = load("mistral4-tiny-f32");
    let config = &checkpoint.config;
    assert_eq!(
        (config.num_layers, config.hidden_size, config.vocab_size),
        (2, 48, 136)
    );
    let AttentionConfig::Mla(mla) = &config.attention else {
        panic!()
    };
    assert_eq!(
        (mla.num_heads, mla.q_lora_rank, mla.kv_lora_rank),
        (3, 40, 32)
    );
    assert_eq!(
        (mla.qk_nope_head_dim, mla.qk_rope_head_dim, mla.v_head_dim),
        (8, 16, 24)
    );
    let moe = config.feed_forward.moe.as_ref().unwrap();
    assert_eq!(
        (
            moe.num_experts,
            moe.experts_per_token,
            moe.intermediate_size
        ),
        (8, 4, 16)
    );
    assert_eq!(checkpoint.files.len(), 3);
    assert_eq!(config.kv_row_width(), 48);
    let vision = &weights.report.unused[0];
    assert!(vision.what.contains("vision tower"), "{vision:?}");
    assert!(vision.count > 10, "{vision:?}");
    // Two layers, three heads, 8 x 32 values each.
    assert_eq!(weights.report.repacked_bytes(), 2 * 3 * 8 * 32 * 4);
    assert!(checkpoint.text_files().generation_config.is_some());
    assert!(checkpoint.text_files().tekken.is_none());
    assert!(checkpoint.vocabulary().unwrap().is_none());
}

#[test]
fn dense_first_layer_and_shared_experts() {
    let (checkpoint, weights) = load("mistral4-dense-first");
    let moe = checkpoint.config.feed_forward.moe.as_ref().unwrap();
    assert_eq!((moe.first_dense_layers, moe.num_shared_experts), (1, 2));
    assert_eq!(moe.routed_scaling_factor, 2.5);
    assert!(!checkpoint.config.is_moe(0) && checkpoint.config.is_moe(1));
    assert!(
        matches!(&weights.layers[0].feed_forward, FeedForwardWeights::Dense(dense) if dense.gate.rows() == 72)
    );
    match &weights.layers[1].feed_forward {
        FeedForwardWeights::Moe {
            shared: Some(shared),
            experts,
            ..
        } => {
            assert_eq!((shared.gate.rows(), experts.len()), (32, 6));
        }
        other => panic!("{other:?}"),
    }
    let nonorm = open(&fixtures().join("mistral4-dense-first-nonorm")).unwrap();
    assert!(!nonorm.config.feed_forward.moe.unwrap().renormalise);
}

#[test]
fn tying_follows_the_outer_word() {
    let (outer, weights) = load("mistral4-tied-outer");
    assert!(outer.config.tied_embeddings);
    assert_eq!(
        weights.head.bytes().as_ptr(),
        weights.embed.bytes().as_ptr(),
        "the same bytes"
    );
    let (inner, weights) = load("mistral4-tied-inner");
    assert!(!inner.config.tied_embeddings);
    assert_ne!(weights.head.bytes(), weights.embed.bytes());
    assert!(
        inner
            .config
            .notes
            .iter()
            .any(|note| note.contains("the outer one counts")),
        "{:?}",
        inner.config.notes
    );
    let (tied, weights) = load("mistral4-tied-f32.gguf");
    assert!(tied.config.tied_embeddings);
    assert_eq!(
        weights.head.bytes().as_ptr(),
        weights.embed.bytes().as_ptr()
    );
}

#[test]
fn rotary_forms_are_told_apart() {
    let rope = |name: &str| open(&fixtures().join(name)).unwrap().config.rope;
    assert!(matches!(
        rope("llama-tiny-llama3-rope").scaling,
        RopeScaling::Llama3 { factor: 8.0, .. }
    ));
    assert_eq!(rope("llama-tiny").pairing, Pairing::HalfSplit);
    assert_eq!(rope("llama-tiny-f32.gguf").pairing, Pairing::Interleaved);
    match rope("llama-tiny-llama3-rope-bf16.gguf").scaling {
        RopeScaling::FrequencyFactors(factors) => assert_eq!(factors.len(), 6),
        other => panic!("{other:?}"),
    }
    match rope("mistral4-mscale").scaling {
        RopeScaling::Yarn {
            attention_factor, ..
        } => assert!((attention_factor - 1.4852).abs() < 1e-4),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        rope("ministral3-tiny").scaling,
        rope("ministral3-tiny-f32.gguf").scaling
    );
    assert_eq!(
        rope("mistral4-tiny-f32").scaling,
        rope("deepseek2-tiny-f32.gguf").scaling
    );
}

#[test]
fn forms_of_a_model_agree_on_the_configuration() {
    let pairs = [
        ("mistral4-tiny-f32", "mistral4-tiny-f32.gguf"),
        (
            "mistral4-tiny-f32",
            "mistral4-tiny-f32-separate-00001-of-00002.gguf",
        ),
        ("mistral4-tiny-f32", "deepseek2-tiny-f32.gguf"),
        ("mistral4-tiny-bf16", "mistral4-tiny-bf16.gguf"),
        ("mistral4-dense-first", "mistral4-dense-first-f16.gguf"),
        ("llama-tiny", "llama-tiny-f32.gguf"),
        ("mistral-tiny", "mistral-tiny-bf16.gguf"),
        ("ministral3-tiny", "ministral3-tiny-f32.gguf"),
    ];
    for (directory, gguf) in pairs {
        let (left, left_weights) = load(directory);
        let (right, right_weights) = load(gguf);
        let (a, b) = (&left.config, &right.config);
        assert_eq!(a.attention, b.attention, "{gguf}");
        assert_eq!(a.query_scale, b.query_scale, "{gguf}");
        assert_eq!(a.max_context, b.max_context, "{gguf}");
        assert_eq!(a.tied_embeddings, b.tied_embeddings, "{gguf}");
        assert_eq!(a.feed_forward.moe, b.feed_forward.moe, "{gguf}");
        assert_eq!(
            (a.rope.theta, a.rope.dim),
            (b.rope.theta, b.rope.dim),
            "{gguf}"
        );
        for whose in [SoftmaxScale::Vendor, SoftmaxScale::Transformers] {
            assert_eq!(
                a.softmax_scale(whose),
                b.softmax_scale(whose),
                "{gguf} {whose:?}"
            );
        }
        same_weights(gguf, &left_weights, &right_weights);
    }
}

fn same(what: &str, left: &Matrix, right: &Matrix) {
    assert_eq!(
        (left.rows(), left.cols()),
        (right.rows(), right.cols()),
        "{what}"
    );
    assert_eq!(left.to_f32(), right.to_f32(), "{what}");
}

/// Everything but q and k of grouped attention, whose rows are permuted between the forms.
fn same_weights(what: &str, left: &Weights, right: &Weights) {
    same(what, &left.embed, &right.embed);
    same(what, &left.head, &right.head);
    assert_eq!(left.output_norm, right.output_norm, "{what}");
    for (a, b) in left.layers.iter().zip(&right.layers) {
        assert_eq!(a.input_norm, b.input_norm, "{what}");
        assert_eq!(a.post_norm, b.post_norm, "{what}");
        match (&a.attention, &b.attention) {
            (AttentionWeights::Mla(a), AttentionWeights::Mla(b)) => {
                assert_eq!(a.q_a_norm, b.q_a_norm, "{what}");
                assert_eq!(a.kv_a_norm, b.kv_a_norm, "{what}");
                for (a, b) in [
                    (&a.q_a, &b.q_a),
                    (&a.q_b, &b.q_b),
                    (&a.kv_a, &b.kv_a),
                    (&a.output, &b.output),
                ] {
                    same(what, a, b);
                }
                a.k_b
                    .iter()
                    .zip(&b.k_b)
                    .chain(a.v_b.iter().zip(&b.v_b))
                    .for_each(|(a, b)| same(what, a, b));
                assert_eq!((a.k_b.len(), a.v_b.len()), (b.k_b.len(), b.v_b.len()));
            }
            (AttentionWeights::Gqa(a), AttentionWeights::Gqa(b)) => {
                same(what, &a.v, &b.v);
                same(what, &a.output, &b.output);
                assert_ne!(a.q.to_f32(), b.q.to_f32(), "{what}: rows of q are permuted");
            }
            _ => panic!("{what}: two kinds of attention"),
        }
        match (&a.feed_forward, &b.feed_forward) {
            (FeedForwardWeights::Dense(a), FeedForwardWeights::Dense(b)) => {
                same_feed_forward(what, a, b)
            }
            (
                FeedForwardWeights::Moe {
                    router,
                    experts,
                    shared,
                },
                FeedForwardWeights::Moe {
                    router: router_b,
                    experts: experts_b,
                    shared: shared_b,
                },
            ) => {
                same(what, router, router_b);
                assert_eq!(experts.len(), experts_b.len());
                experts
                    .iter()
                    .zip(experts_b)
                    .for_each(|(a, b)| same_feed_forward(what, a, b));
                same_feed_forward(what, shared.as_ref().unwrap(), shared_b.as_ref().unwrap());
            }
            _ => panic!("{what}: two kinds of feed-forward"),
        }
    }
}

fn same_feed_forward(what: &str, a: &kernels::FeedForward, b: &kernels::FeedForward) {
    same(what, &a.gate, &b.gate);
    same(what, &a.up, &b.up);
    same(what, &a.down, &b.down);
}

#[test]
fn a_vocabulary_comes_out_of_a_gguf() {
    let checkpoint = open(&fixtures().join("llama-tiny-f32.gguf")).unwrap();
    let vocabulary = checkpoint.vocabulary().unwrap().unwrap();
    assert_eq!(vocabulary.model, "gpt2");
    assert_eq!(vocabulary.tokens.len(), 300);
    assert!(!vocabulary.merges.is_empty());
    assert!(vocabulary.chat_template.is_some());
    let none = open(&fixtures().join("llama-tiny-llama3-rope-bf16.gguf")).unwrap();
    assert!(none.vocabulary().unwrap().is_none());
}

#[test]
fn a_split_file_is_opened_by_its_first_part() {
    let message = open(&fixtures().join("mistral4-tiny-f32-separate-00002-of-00002.gguf"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("-00001-of-00002.gguf"), "{message}");
}

#[test]
fn matrices_are_mapped_not_copied() {
    let (_, weights) = load("mistral4-q8_0.gguf");
    assert_eq!(
        weights.report.repacked_bytes(),
        0,
        "{:?}",
        weights.report.repacked
    );
    assert!(weights.report.mapped_bytes > 100_000);
    let (_, weights) = load("mistral4-realdims-bf16");
    assert_eq!(
        weights.report.repacked.len(),
        1,
        "{:?}",
        weights.report.repacked
    );
    assert_eq!(weights.report.repacked[0].what, "key half of kv_b_proj");
}

/// The model for plain English, where it has been fetched.
#[test]
fn smollm2_loads_where_it_is_present() {
    let path = fixtures().join("../../models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if !path.is_file() {
        println!("skipped: {} is not there", path.display());
        return;
    }
    let checkpoint = open(&path).unwrap();
    assert_eq!(checkpoint.config.architecture, "llama");
    assert_eq!(
        (checkpoint.config.num_layers, checkpoint.config.hidden_size),
        (30, 576)
    );
    assert!(checkpoint.config.tied_embeddings);
    assert_eq!(checkpoint.parameters().total, 134_515_008);
    let vocabulary = checkpoint.vocabulary().unwrap().unwrap();
    assert_eq!(
        (vocabulary.pre.as_deref(), vocabulary.tokens.len()),
        (Some("smollm"), 49152)
    );
    checkpoint.load(&|_, _| ()).unwrap();
}
