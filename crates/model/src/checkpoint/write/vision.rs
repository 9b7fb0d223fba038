//! A vision tower's metadata and tensors, as llama.cpp's `mmproj` files hold them.

use super::rows::{Order, PlannedTensor};
use super::{GgufPair, Mix};
use crate::checkpoint::names::{Part, Place, gguf_name};
use crate::config::CHANNELS;
use crate::{ModelError, VisionConfig, VisionLayerWeights, VisionWeights};
use kernels::{FeedForward, Format, Matrix, Pairing};

/// Mean and standard deviation of colours, which the maker's code subtracts and divides by (mistral-common).
const MEAN: [f32; CHANNELS] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const DEVIATION: [f32; CHANNELS] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
/// Base of the rotary frequencies in llama.cpp, which reads no key for it.
const ROPE_THETA: f32 = 10_000.0;

/// Numbers of file types in llama.cpp's `include/llama.h`.
const ALL_F32: u32 = 0;
const MOSTLY_BF16: u32 = 32;

fn format(mix: &Mix) -> Format {
    match mix.main {
        Format::F32 => Format::F32,
        _ => Format::Bf16,
    }
}

pub(super) fn pairs(
    config: &VisionConfig,
    mix: &Mix,
    name: &str,
) -> Result<Vec<GgufPair>, ModelError> {
    if config.rope_theta != ROPE_THETA {
        return Err(ModelError::Step(format!(
            "the vision tower's rope_theta is {}, which no GGUF can say: llama.cpp takes {ROPE_THETA}",
            config.rope_theta
        )));
    }
    let count =
        |key: &str, value: usize| GgufPair::count(&format!("clip.vision.{key}"), value as u32);
    let file_type = match format(mix) {
        Format::F32 => ALL_F32,
        _ => MOSTLY_BF16,
    };
    let mut pairs = vec![
        GgufPair::text("general.architecture", "clip"),
        GgufPair::text("general.type", "mmproj"),
        GgufPair::text("general.name", name),
        GgufPair::count("general.file_type", file_type),
        GgufPair::flag("clip.has_vision_encoder", true),
        GgufPair::text("clip.projector_type", "pixtral"),
        GgufPair::flag("clip.use_silu", true),
        count("projection_dim", config.text_hidden_size),
        count("image_size", config.max_image_size),
        count("patch_size", config.patch_size),
        count("embedding_length", config.hidden_size),
        count("feed_forward_length", config.intermediate_size),
        count("block_count", config.num_layers),
        count("attention.head_count", config.num_heads),
        GgufPair::real("clip.vision.attention.layer_norm_epsilon", config.norm_eps),
        GgufPair::reals("clip.vision.image_mean", &MEAN),
        GgufPair::reals("clip.vision.image_std", &DEVIATION),
    ];
    if let Some(merger) = config.merger {
        pairs.push(count("spatial_merge_size", merger.spatial_merge_size));
    }
    Ok(pairs)
}

pub(super) fn tensors(
    config: &VisionConfig,
    weights: &VisionWeights,
    mix: &Mix,
    break_row: &[f32],
) -> Vec<PlannedTensor> {
    let mut plan = Plan {
        format: format(mix),
        tensors: Vec::new(),
    };
    let whole = Place::default();
    let patch = config.patch_size;
    let shape = vec![config.hidden_size, CHANNELS, patch, patch];
    plan.push(
        Part::PatchConv,
        whole,
        shape,
        Format::F32,
        &weights.patch_conv,
        Order::AsIs,
    );
    plan.vector(Part::PatchNorm, whole, &weights.patch_norm);
    let rotated = match config.pairing {
        Pairing::Interleaved => Order::AsIs,
        Pairing::HalfSplit => Order::Dealt {
            head: config.head_dim(),
            start: 0,
            dim: config.head_dim(),
        },
    };
    for (layer, weights) in weights.layers.iter().enumerate() {
        plan.layer(Place { layer, expert: 0 }, weights, rotated);
    }
    let projector = &weights.projector;
    if let Some((norm, merger)) = &projector.merger {
        plan.vector(Part::ProjectorNorm, whole, norm);
        let shape = vec![merger.rows(), merger.cols()];
        plan.push(Part::Merger, whole, shape, Format::F32, merger, Order::AsIs);
    }
    plan.matrix(Part::Linear1, whole, &projector.linear_1, Order::AsIs);
    plan.matrix(Part::Linear2, whole, &projector.linear_2, Order::AsIs);
    let biases = [
        (Part::Linear1Bias, &projector.bias_1),
        (Part::Linear2Bias, &projector.bias_2),
    ];
    for (part, bias) in biases {
        if let Some(bias) = bias {
            plan.vector(part, whole, bias);
        }
    }
    plan.vector(Part::BreakEmbedding, whole, break_row);
    plan.tensors
}

struct Plan {
    format: Format,
    tensors: Vec<PlannedTensor>,
}

impl Plan {
    fn vector(&mut self, part: Part, place: Place, values: &[f32]) {
        let name = gguf_name(part, place);
        self.tensors.push(PlannedTensor::vector(name, values));
    }

    fn layer(&mut self, place: Place, weights: &VisionLayerWeights, rotated: Order) {
        self.vector(Part::TowerAttentionNorm, place, &weights.attention_norm);
        self.matrix(Part::TowerQuery, place, &weights.q, rotated);
        self.matrix(Part::TowerKey, place, &weights.k, rotated);
        self.matrix(Part::TowerValue, place, &weights.v, Order::AsIs);
        self.matrix(Part::TowerOutput, place, &weights.output, Order::AsIs);
        let norm = &weights.feed_forward_norm;
        self.vector(Part::TowerFeedForwardNorm, place, norm);
        let FeedForward { gate, up, down } = &weights.feed_forward;
        self.matrix(Part::TowerGate, place, gate, Order::AsIs);
        self.matrix(Part::TowerUp, place, up, Order::AsIs);
        self.matrix(Part::TowerDown, place, down, Order::AsIs);
    }

    fn matrix(&mut self, part: Part, place: Place, matrix: &Matrix, order: Order) {
        let shape = vec![matrix.rows(), matrix.cols()];
        self.push(part, place, shape, self.format, matrix, order);
    }

    fn push(
        &mut self,
        part: Part,
        place: Place,
        shape: Vec<usize>,
        format: Format,
        matrix: &Matrix,
        order: Order,
    ) {
        self.tensors.push(PlannedTensor {
            name: gguf_name(part, place),
            shape,
            format,
            matrices: vec![matrix.clone()],
            order,
        });
    }
}
