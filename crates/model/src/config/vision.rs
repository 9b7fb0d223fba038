//! What the vision tower of a Mistral is, in numbers: Pixtral's encoder and the projector into the text model.
//!
//! Two origins: the `vision_config` of a Hugging Face wrapper (Mistral Small 3.1 and later, Pixtral-12B), and the
//! metadata of llama.cpp's `mmproj` files. Sources: transformers 5.23 `models/{pixtral,mistral3,llava}`; llama.cpp (the
//! copy in llama_cpp_python 0.3.36) `tools/mtmd/clip.cpp`, `conversion/llava.py`.

use super::gguf::LLAMA_CPP;
use super::hugging_face::{TRANSFORMERS, json_entry, wrapper};
use super::reader::{Entry, Reader};
use super::{Config, Source};
use crate::ModelError;
use kernels::Pairing;
use serde_json::{Map, Value};
use std::path::Path;

/// Epsilon of the tower's norms: a constant in transformers' code, absent from its files.
const NORM_EPS: f64 = 1e-5;
/// Base of the rotary frequencies unless the file says so; llama.cpp's files never do.
const ROPE_THETA: f64 = 10000.0;
/// Most layers a file may claim.
const MOST_LAYERS: usize = 1024;
/// Most parameters a file may claim: a thousand times the known ones.
const MOST_PARAMETERS: u128 = 1 << 39;
/// Colours of a pixel.
pub(crate) const CHANNELS: usize = 3;

/// A vision tower's configuration. Every value was checked when it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct VisionConfig {
    /// Transformer layers.
    pub num_layers: usize,
    /// Width of the tower's residual stream.
    pub hidden_size: usize,
    /// Heads of attention; each has `hidden_size / num_heads` lanes, a multiple of 4.
    pub num_heads: usize,
    /// Width of the feed-forward.
    pub intermediate_size: usize,
    /// Pixels a side of a patch.
    pub patch_size: usize,
    /// Most pixels a side of an image.
    pub max_image_size: usize,
    /// Epsilon of the tower's norms.
    pub norm_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
    /// How rotated pairs lie in a head. A property of the file: converters permute q and k.
    pub pairing: Pairing,
    /// How patches are merged before they are projected, if they are.
    pub merger: Option<MergerConfig>,
    /// Whether the projector's two products have biases.
    pub projector_bias: bool,
    /// Width of the result: the text model's `hidden_size`.
    pub text_hidden_size: usize,
    /// Where each number came from, in the order of reading.
    pub sources: Vec<Source>,
    /// What was assumed, one sentence each.
    pub notes: Vec<String>,
}

/// How patches are merged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MergerConfig {
    /// Patches a side that become one; above 1.
    pub spatial_merge_size: usize,
    /// Epsilon of the norm before merging: the text model's, as in transformers.
    pub norm_eps: f32,
}

/// What the configuration needs to know of an `mmproj` file besides its metadata.
pub(crate) struct ProjectorFacts {
    /// Whether it has `mm.patch_merger.weight`.
    pub(crate) has_merger: bool,
    /// Whether it has `mm.1.bias`.
    pub(crate) has_bias: bool,
}

impl VisionConfig {
    /// Pixels a side of what becomes one row of the result; an image's sides are multiples of it.
    pub fn unit(&self) -> usize {
        self.patch_size * self.merger.map_or(1, |merger| merger.spatial_merge_size)
    }

    /// Lanes of a head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_heads
    }

    /// Reads the vision part of a `config.json`; none if there is no such part.
    ///
    /// Errors: another kind of tower, a feature that is not supported, a contradictory number.
    pub(crate) fn from_json(
        root: &Map<String, Value>,
        path: &Path,
        text: &Config,
    ) -> Result<Option<VisionConfig>, ModelError> {
        let vision = match root.get("vision_config") {
            None | Some(Value::Null) => return Ok(None),
            Some(vision) => vision,
        };
        let mut outer = Reader::new(path, "", |key| root.get(key).and_then(json_entry));
        let Some(vision) = vision.as_object() else {
            return Err(outer.error("vision_config: expected an object"));
        };
        let merger = read_wrapper(&mut outer, wrapper(root), text)?;
        let bias_default = merger.is_none();
        let projector_bias = outer
            .flag_opt("projector bias", "multimodal_projector_bias")?
            .unwrap_or(bias_default);
        let mut reader = outer.inside("vision_config", |key| vision.get(key).and_then(json_entry));
        let config = read_tower(&mut reader, vision)?;
        outer.absorb(reader);
        outer.record("text_hidden_size", text.hidden_size, "the text model's");
        let (sources, notes) = outer.finish();
        VisionConfig {
            merger,
            projector_bias,
            text_hidden_size: text.hidden_size,
            sources,
            notes,
            ..config
        }
        .check(path)
        .map(Some)
    }

    /// Reads the metadata of an `mmproj` file through `lookup`.
    ///
    /// Errors: no vision file, another kind of tower, a missing or contradictory number, another text model's width.
    pub(crate) fn from_gguf(
        path: &Path,
        lookup: impl Fn(&str) -> Option<Entry> + Copy,
        facts: &ProjectorFacts,
        text: &Config,
    ) -> Result<VisionConfig, ModelError> {
        let mut general = Reader::new(path, "", lookup);
        let architecture = general.text_opt("architecture", "general.architecture")?;
        if architecture.as_deref() != Some("clip") {
            let got = architecture.unwrap_or_else(|| "none".to_owned());
            return Err(general.wrong(
                "general.architecture",
                "\"clip\" (a vision file, called mmproj)",
                format!("{:?}", got.chars().take(80).collect::<String>()),
            ));
        }
        read_projector_type(&mut general)?;
        let prefix = "clip.vision.";
        let mut reader = Reader::new(path, prefix, |key| lookup(&format!("{prefix}{key}")));
        let width = reader.size("text_hidden_size", "projection_dim")?;
        if width != text.hidden_size {
            return Err(reader.error(format!(
                "clip.vision.projection_dim is {width}, but the text model's hidden_size is {}: this vision file belongs to \
                 another model",
                text.hidden_size
            )));
        }
        let merge = reader.size_or("spatial_merge_size", "spatial_merge_size", 1, LLAMA_CPP)?;
        if (merge > 1) != facts.has_merger {
            let has = if facts.has_merger { "is" } else { "is not" };
            return Err(reader.error(format!(
                "clip.vision.spatial_merge_size is {merge}, but mm.patch_merger.weight {has} there"
            )));
        }
        let eps = reader.real_or(
            "norm_eps",
            "attention.layer_norm_epsilon",
            NORM_EPS,
            "Pixtral",
        )?;
        let config = VisionConfig {
            num_layers: reader.size("num_layers", "block_count")?,
            hidden_size: reader.size("hidden_size", "embedding_length")?,
            num_heads: reader.size("num_heads", "attention.head_count")?,
            intermediate_size: reader.size("intermediate_size", "feed_forward_length")?,
            patch_size: reader.size("patch_size", "patch_size")?,
            max_image_size: reader.size("max_image_size", "image_size")?,
            norm_eps: eps as f32,
            rope_theta: ROPE_THETA as f32,
            // The converter permutes q and k to adjacent pairs.
            pairing: Pairing::Interleaved,
            merger: facts.has_merger.then_some(MergerConfig {
                spatial_merge_size: merge,
                norm_eps: text.rms_norm_eps,
            }),
            projector_bias: facts.has_bias,
            text_hidden_size: width,
            sources: Vec::new(),
            notes: Vec::new(),
        };
        reader.record("rope_theta", ROPE_THETA, format!("default: {LLAMA_CPP}"));
        general.absorb(reader);
        let (sources, notes) = general.finish();
        VisionConfig {
            sources,
            notes,
            ..config
        }
        .check(path)
    }

    fn check(self, path: &Path) -> Result<VisionConfig, ModelError> {
        match self.complaint() {
            None => Ok(self),
            Some(what) => Err(ModelError::File {
                path: path.to_owned(),
                what: format!("vision: {what}"),
            }),
        }
    }

    fn complaint(&self) -> Option<String> {
        if self.num_layers > MOST_LAYERS {
            let got = self.num_layers;
            return Some(format!(
                "num_layers {got} is absurd: at most {MOST_LAYERS} are supported"
            ));
        }
        if !self.hidden_size.is_multiple_of(4 * self.num_heads) {
            return Some(format!(
                "hidden_size {} is not num_heads {} times a multiple of 4",
                self.hidden_size, self.num_heads
            ));
        }
        let (hidden, text) = (self.hidden_size as u128, self.text_hidden_size as u128);
        let layer = 4 * hidden * hidden + 3 * hidden * self.intermediate_size as u128;
        let unit = self.unit() as u128;
        let total = self.num_layers as u128 * layer
            + hidden * CHANNELS as u128 * unit * unit * hidden
            + text * (hidden + text);
        if total > MOST_PARAMETERS {
            return Some(format!("its sizes are absurd: {total} parameters"));
        }
        if self.max_image_size < self.unit() || self.max_image_size > 1 << 20 {
            return Some(format!(
                "max_image_size {}: expected {} to {} pixels",
                self.max_image_size,
                self.unit(),
                1 << 20
            ));
        }
        let positive = |value: f32| value > 0.0 && value.is_finite();
        let merger_eps = self.merger.map_or(1.0, |merger| merger.norm_eps);
        [self.norm_eps, self.rope_theta, merger_eps]
            .into_iter()
            .find(|value| !positive(*value))
            .map(|value| format!("an epsilon or rope_theta is {value}, expected above zero"))
    }
}

/// What the wrapper says of the projector: how patches are merged.
fn read_wrapper(
    outer: &mut Reader,
    wrapper: Option<&str>,
    text: &Config,
) -> Result<Option<MergerConfig>, ModelError> {
    let expect = |outer: &Reader, key: &str, expected: Entry, default: Entry| {
        let got = outer.entry(key).unwrap_or(default);
        if got == expected {
            return Ok(());
        }
        Err(outer.wrong(key, &expected.describe(), got.describe()))
    };
    let name = |name: &str| Entry::Text(name.to_owned());
    expect(outer, "projector_hidden_act", name("gelu"), name("gelu"))?;
    let last = Entry::Integer(-1);
    match wrapper {
        Some("mistral3") => {
            expect(outer, "vision_feature_layer", last.clone(), last)?;
            let size =
                outer.size_or("spatial_merge_size", "spatial_merge_size", 2, TRANSFORMERS)?;
            outer.record(
                "projector norm_eps",
                text.rms_norm_eps,
                "the text model's (transformers)",
            );
            Ok(Some(MergerConfig {
                spatial_merge_size: size,
                norm_eps: text.rms_norm_eps,
            }))
        }
        Some("llava") => {
            expect(outer, "vision_feature_layer", last, Entry::Integer(-2))?;
            let strategy = "vision_feature_select_strategy";
            expect(outer, strategy, name("full"), name("default"))?;
            Ok(None)
        }
        _ => Err(outer.error("vision_config outside of a mistral3 or llava wrapper")),
    }
}

/// The tower's own numbers.
fn read_tower(
    reader: &mut Reader,
    vision: &Map<String, Value>,
) -> Result<VisionConfig, ModelError> {
    let kind = reader.text_opt("architecture", "model_type")?;
    if let Some(kind) = kind
        && kind != "pixtral"
    {
        return Err(reader.wrong("model_type", "\"pixtral\"", kind));
    }
    let activation = reader
        .text_opt("activation", "hidden_act")?
        .unwrap_or_else(|| "gelu".to_owned());
    if activation != "silu" {
        return Err(reader.wrong(
            "hidden_act",
            "\"silu\" (no other is supported; absent means \"gelu\")",
            activation,
        ));
    }
    let channels = reader.size_or("num_channels", "num_channels", CHANNELS, TRANSFORMERS)?;
    if channels != CHANNELS {
        return Err(reader.wrong("num_channels", "3", channels));
    }
    let hidden_size = reader.size_or("hidden_size", "hidden_size", 1024, TRANSFORMERS)?;
    let num_heads = reader.size_or("num_heads", "num_attention_heads", 16, TRANSFORMERS)?;
    if let Some(head_dim) = reader.count_opt("head_dim", "head_dim")?
        && Some(head_dim) != hidden_size.checked_div(num_heads)
    {
        let expected = format!("hidden_size / num_attention_heads, {hidden_size} / {num_heads}");
        return Err(reader.wrong("head_dim", &expected, head_dim));
    }
    let (layers, width) = ("num_hidden_layers", "intermediate_size");
    Ok(VisionConfig {
        num_layers: reader.size_or("num_layers", layers, 24, TRANSFORMERS)?,
        hidden_size,
        num_heads,
        intermediate_size: reader.size_or(width, width, 4096, TRANSFORMERS)?,
        patch_size: reader.size_or("patch_size", "patch_size", 16, TRANSFORMERS)?,
        max_image_size: reader.size_or("max_image_size", "image_size", 1024, TRANSFORMERS)?,
        norm_eps: NORM_EPS as f32,
        rope_theta: read_theta(reader, vision)?,
        // Hugging Face's files hold q and k permuted for this pairing.
        pairing: Pairing::HalfSplit,
        merger: None,
        projector_bias: false,
        text_hidden_size: 0,
        sources: Vec::new(),
        notes: Vec::new(),
    })
}

/// `rope_theta`, in its own object in current files and beside the rest in older ones.
fn read_theta(reader: &mut Reader, vision: &Map<String, Value>) -> Result<f32, ModelError> {
    if let Some(Value::Object(rope)) = vision.get("rope_parameters") {
        let mut inner = reader.inside("rope_parameters", |key| rope.get(key).and_then(json_entry));
        let theta = inner.real_or("rope_theta", "rope_theta", ROPE_THETA, TRANSFORMERS)?;
        if let Some(kind) = inner.text_opt("rope_type", "rope_type")?
            && !["axial", "default"].contains(&kind.as_str())
        {
            return Err(inner.wrong("rope_type", "\"axial\"", kind));
        }
        reader.absorb(inner);
        return Ok(theta as f32);
    }
    let theta = reader.real_or("rope_theta", "rope_theta", ROPE_THETA, TRANSFORMERS)?;
    Ok(theta as f32)
}

fn read_projector_type(general: &mut Reader) -> Result<(), ModelError> {
    if general.flag_opt("vision", "clip.has_vision_encoder")? == Some(false) {
        return Err(general.wrong("clip.has_vision_encoder", "true", false));
    }
    let keys = ["clip.vision.projector_type", "clip.projector_type"];
    let mut kind = None;
    for key in keys {
        if kind.is_none() {
            kind = general.text_opt("projector", key)?;
        }
    }
    if kind.as_deref() != Some("pixtral") {
        let got: String = kind.unwrap_or_default().chars().take(80).collect();
        return Err(general.wrong(
            "clip.projector_type",
            "\"pixtral\" (no other is supported)",
            format!("{got:?}"),
        ));
    }
    if general.flag_opt("activation", "clip.use_silu")? != Some(true) {
        return Err(general.error("clip.use_silu is not true: no other activation is supported"));
    }
    Ok(())
}
