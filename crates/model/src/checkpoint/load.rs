//! Which tensors a model has: takes them one by one and puts them together as [`Weights`].

use super::names::{Part, Place};
use super::take::Taker;
use super::{Checkpoint, tensor::Tensor};
use crate::config::{AttentionConfig, GqaConfig, MlaConfig, MoeConfig};
use crate::weights::{GqaWeights, MlaWeights};
use crate::{AttentionWeights, Config, FeedForwardWeights, LayerWeights, ModelError, Weights};
use kernels::{Bytes, FeedForward, Format, Matrix};

/// See [`Checkpoint::load`].
pub(super) fn load(
    checkpoint: &Checkpoint,
    progress: &dyn Fn(usize, usize),
) -> Result<Weights, ModelError> {
    let config = &checkpoint.config;
    let mut taker = Taker::new(checkpoint.shelf());
    let whole = Place::default();
    let (vocab, hidden) = (config.vocab_size, config.hidden_size);
    progress(0, config.num_layers);
    let embed = taker.matrix(Part::Embedding, whole, vocab, hidden)?;
    let output_norm = taker.vector(Part::OutputNorm, whole, hidden)?;
    let head = if config.tied_embeddings {
        embed.clone()
    } else {
        taker.matrix(Part::Head, whole, vocab, hidden)?
    };
    let mut layers = Vec::new();
    for layer in 0..config.num_layers {
        layers.push(load_layer(&mut taker, config, layer)?);
        progress(layer + 1, config.num_layers);
    }
    let (matrices, report) = taker.finish()?;
    Ok(Weights {
        embed,
        output_norm,
        head,
        layers,
        report,
        matrices,
    })
}

fn load_layer(
    taker: &mut Taker,
    config: &Config,
    layer: usize,
) -> Result<LayerWeights, ModelError> {
    let place = Place { layer, expert: 0 };
    let hidden = config.hidden_size;
    let input_norm = taker.vector(Part::InputNorm, place, hidden)?;
    let attention = match &config.attention {
        AttentionConfig::Mla(mla) => load_mla(taker, mla, hidden, place)?,
        AttentionConfig::Gqa(gqa) => load_gqa(taker, gqa, hidden, place)?,
    };
    let post_norm = taker.vector(Part::PostNorm, place, hidden)?;
    let feed_forward = match config
        .feed_forward
        .moe
        .as_ref()
        .filter(|_| config.is_moe(layer))
    {
        Some(moe) => load_moe(taker, moe, hidden, place)?,
        None => {
            let parts = [Part::Gate, Part::Up, Part::Down];
            let width = config.feed_forward.intermediate_size;
            FeedForwardWeights::Dense(load_feed_forward(taker, parts, hidden, width, place)?)
        }
    };
    Ok(LayerWeights {
        input_norm,
        attention,
        post_norm,
        feed_forward,
    })
}

fn load_gqa(
    taker: &mut Taker,
    gqa: &GqaConfig,
    hidden: usize,
    place: Place,
) -> Result<AttentionWeights, ModelError> {
    let (q_width, kv_width) = (
        gqa.num_heads * gqa.head_dim,
        gqa.num_kv_heads * gqa.head_dim,
    );
    Ok(AttentionWeights::Gqa(GqaWeights {
        q: taker.matrix(Part::Query, place, q_width, hidden)?,
        k: taker.matrix(Part::Key, place, kv_width, hidden)?,
        v: taker.matrix(Part::Value, place, kv_width, hidden)?,
        output: taker.matrix(Part::AttentionOutput, place, hidden, q_width)?,
    }))
}

fn load_mla(
    taker: &mut Taker,
    mla: &MlaConfig,
    hidden: usize,
    place: Place,
) -> Result<AttentionWeights, ModelError> {
    let query_width = mla.num_heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim);
    let q_a = taker.matrix(Part::QueryA, place, mla.q_lora_rank, hidden)?;
    let q_a_norm = taker.vector(Part::QueryANorm, place, mla.q_lora_rank)?;
    let q_b = taker.matrix(Part::QueryB, place, query_width, mla.q_lora_rank)?;
    let kv_a = taker.matrix(
        Part::KvA,
        place,
        mla.kv_lora_rank + mla.qk_rope_head_dim,
        hidden,
    )?;
    let kv_a_norm = taker.vector(Part::KvANorm, place, mla.kv_lora_rank)?;
    let (k_b, v_b) = if taker.has(Part::KvB, place) {
        split_kv_b(taker, mla, place)?
    } else {
        let (heads, rank) = (mla.num_heads, mla.kv_lora_rank);
        (
            taker.stack(Part::KeyB, place, heads, rank, mla.qk_nope_head_dim)?,
            taker.stack(Part::ValueB, place, heads, mla.v_head_dim, rank)?,
        )
    };
    let output = taker.matrix(
        Part::AttentionOutput,
        place,
        hidden,
        mla.num_heads * mla.v_head_dim,
    )?;
    Ok(AttentionWeights::Mla(MlaWeights {
        q_a,
        q_a_norm,
        q_b,
        kv_a,
        kv_a_norm,
        k_b,
        v_b,
        output,
    }))
}

/// `kv_b_proj` holds each head's key rows and then its value rows; the absorbed form wants the key part transposed.
fn split_kv_b(
    taker: &mut Taker,
    mla: &MlaConfig,
    place: Place,
) -> Result<(Vec<Matrix>, Vec<Matrix>), ModelError> {
    let (nope, rank) = (mla.qk_nope_head_dim, mla.kv_lora_rank);
    let head_rows = nope + mla.v_head_dim;
    let rows = mla.num_heads * head_rows;
    let tensor = taker.tensor(Part::KvB, place, &[rows, rank])?;
    let whole = taker.wrap(tensor, rows, rank)?;
    let mut keys = Vec::new();
    let mut values = Vec::new();
    for head in 0..mla.num_heads {
        let start = head * head_rows;
        keys.push(transpose(
            taker,
            tensor,
            &whole.slice_rows(start..start + nope),
        )?);
        values.push(whole.slice_rows(start + nope..start + head_rows));
    }
    let bytes = keys.iter().map(|key| key.bytes().len()).sum();
    taker.repacked(
        "key half of kv_b_proj",
        "transposed for the absorbed form of attention",
        bytes,
    );
    Ok((keys, values))
}

/// A copy with rows and columns exchanged, in the same format.
fn transpose(taker: &Taker, tensor: &Tensor, matrix: &Matrix) -> Result<Matrix, ModelError> {
    let value_bytes = match matrix.format() {
        Format::F32 => 4,
        Format::F16 | Format::Bf16 => 2,
        other => {
            return Err(taker.wrong(
                tensor,
                format!(
                    "an unsplit kv_b in {} is not supported: convert the model again with a current converter (it writes attn_k_b \
                     and attn_v_b)",
                    other.name()
                ),
            ));
        }
    };
    let (rows, cols) = (matrix.rows(), matrix.cols());
    let source = matrix.bytes();
    let mut bytes = Vec::with_capacity(source.len());
    for col in 0..cols {
        for row in 0..rows {
            let at = (row * cols + col) * value_bytes;
            bytes.extend_from_slice(&source[at..at + value_bytes]);
        }
    }
    Ok(Matrix::new(
        matrix.format(),
        cols,
        rows,
        Bytes::from(bytes),
    )?)
}

fn load_moe(
    taker: &mut Taker,
    moe: &MoeConfig,
    hidden: usize,
    place: Place,
) -> Result<FeedForwardWeights, ModelError> {
    let router = taker.matrix(Part::Router, place, moe.num_experts, hidden)?;
    let router = match router.format() {
        Format::F32 | Format::F16 | Format::Bf16 => router,
        _ => {
            let bytes: Vec<u8> = router
                .to_f32()
                .into_iter()
                .flat_map(f32::to_le_bytes)
                .collect();
            taker.repacked(
                "router",
                "quantised in the file; routing is computed in f32",
                bytes.len(),
            );
            Matrix::new(Format::F32, moe.num_experts, hidden, Bytes::from(bytes))?
        }
    };
    let experts = load_experts(taker, moe, hidden, place)?;
    let shared = match moe.num_shared_experts {
        0 => None,
        count => {
            let parts = [Part::SharedGate, Part::SharedUp, Part::SharedDown];
            Some(load_feed_forward(
                taker,
                parts,
                hidden,
                count * moe.intermediate_size,
                place,
            )?)
        }
    };
    Ok(FeedForwardWeights::Moe {
        router,
        experts,
        shared,
    })
}

/// Experts come fused in one tensor (gate and up together or apart), or each on its own.
fn load_experts(
    taker: &mut Taker,
    moe: &MoeConfig,
    hidden: usize,
    place: Place,
) -> Result<Vec<FeedForward>, ModelError> {
    let (count, width) = (moe.num_experts, moe.intermediate_size);
    if taker.has(Part::ExpertGate, place) {
        let parts = [Part::ExpertGate, Part::ExpertUp, Part::ExpertDown];
        return (0..count)
            .map(|expert| load_feed_forward(taker, parts, hidden, width, Place { expert, ..place }))
            .collect();
    }
    let (gates, ups): (Vec<Matrix>, Vec<Matrix>) = if taker.has(Part::ExpertsGate, place) {
        (
            taker.stack(Part::ExpertsGate, place, count, width, hidden)?,
            taker.stack(Part::ExpertsUp, place, count, width, hidden)?,
        )
    } else {
        let both = taker.stack(Part::ExpertsGateUp, place, count, 2 * width, hidden)?;
        both.iter()
            .map(|both| (both.slice_rows(0..width), both.slice_rows(width..2 * width)))
            .unzip()
    };
    let downs = taker.stack(Part::ExpertsDown, place, count, hidden, width)?;
    let experts = gates.into_iter().zip(ups).zip(downs);
    Ok(experts
        .map(|((gate, up), down)| FeedForward { gate, up, down })
        .collect())
}

fn load_feed_forward(
    taker: &mut Taker,
    [gate, up, down]: [Part; 3],
    hidden: usize,
    width: usize,
    place: Place,
) -> Result<FeedForward, ModelError> {
    Ok(FeedForward {
        gate: taker.matrix(gate, place, width, hidden)?,
        up: taker.matrix(up, place, width, hidden)?,
        down: taker.matrix(down, place, hidden, width)?,
    })
}
