//! The vision part of a checkpoint: beside the text model in a Hugging Face directory, or llama.cpp's `mmproj` file.

use super::names::{Form, Part, Place, is_harmless_beside_vision};
use super::take::{Shelf, Taker};
use super::tensor::{Tensor, file_error, show_name};
use super::{Gguf, entry, gguf};
use crate::config::{CHANNELS, ProjectorFacts};
use crate::{
    Config, ModelError, ProjectorWeights, VisionConfig, VisionLayerWeights, VisionWeights,
};
use kernels::{Bytes, FeedForward};
use std::path::{Path, PathBuf};

/// An opened vision tower: everything but the weights' bytes has been read and checked.
#[derive(Clone, Debug)]
pub struct VisionCheckpoint {
    /// What the tower is.
    pub config: VisionConfig,
    /// The directory, or the GGUF file.
    pub path: PathBuf,
    /// The files that may hold its tensors.
    pub files: Vec<PathBuf>,
    pub(super) tensors: Vec<Tensor>,
    pub(super) form: Form,
}

/// Opens llama.cpp's vision file for a text model.
///
/// Cost: headers only. Errors: no vision file, a tower of another kind, another text model's width.
pub fn open_mmproj(path: &Path, text: &Config) -> Result<VisionCheckpoint, ModelError> {
    if !path.is_file() {
        return Err(file_error(path, "no such file"));
    }
    let (gguf, files, tensors) = gguf::open_gguf(path)?;
    VisionCheckpoint::from_parts(&gguf, files, tensors, text)
}

impl VisionCheckpoint {
    /// A vision file that is already in memory; `path` names it in messages.
    ///
    /// Errors: as [`open_mmproj`].
    pub fn from_gguf(
        file: Bytes,
        path: &Path,
        text: &Config,
    ) -> Result<VisionCheckpoint, ModelError> {
        let gguf = Gguf::parse(file, path)?;
        let tensors = gguf.tensors().to_vec();
        VisionCheckpoint::from_parts(&gguf, vec![path.to_owned()], tensors, text)
    }

    fn from_parts(
        gguf: &Gguf,
        files: Vec<PathBuf>,
        tensors: Vec<Tensor>,
        text: &Config,
    ) -> Result<VisionCheckpoint, ModelError> {
        let has = |name: &str| tensors.iter().any(|tensor| tensor.name == name);
        let facts = ProjectorFacts {
            has_merger: has("mm.patch_merger.weight"),
            has_bias: has("mm.1.bias"),
        };
        let lookup = |key: &str| gguf.value(key).map(entry);
        let config = VisionConfig::from_gguf(gguf.path(), lookup, &facts, text)?;
        Ok(VisionCheckpoint {
            config,
            path: gguf.path().to_owned(),
            files,
            tensors,
            form: Form::Gguf,
        })
    }

    /// Every tensor of the tower and the projector.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Bytes of all its tensors in the files.
    pub fn bytes(&self) -> u64 {
        self.tensors.iter().map(|t| t.data.len() as u64).sum()
    }

    /// Takes the weights out of the mapped files.
    ///
    /// Cost: as [`super::Checkpoint::load`].
    ///
    /// Errors: a tensor that is missing, unknown, of another shape than the configuration says, in a format that is not
    /// supported, or with a value that is not finite.
    pub fn load(&self) -> Result<VisionWeights, ModelError> {
        let config = &self.config;
        let mut taker = Taker::new(Shelf {
            form: self.form,
            path: &self.path,
            files: &self.files,
            tensors: &self.tensors,
        });
        let (whole, hidden) = (Place::default(), config.hidden_size);
        let (patch, conv) = (config.patch_size, Part::PatchConv);
        let tensor = taker.tensor(conv, whole, &[hidden, CHANNELS, patch, patch])?;
        let patch_conv = taker.wrap(tensor, hidden, CHANNELS * patch * patch)?;
        let patch_norm = taker.vector(Part::PatchNorm, whole, hidden)?;
        let layers = (0..config.num_layers)
            .map(|layer| load_layer(&mut taker, config, layer))
            .collect::<Result<_, _>>()?;
        let projector = load_projector(&mut taker, config)?;
        let (matrices, report) = taker.finish()?;
        let strange = |what: &&crate::Unused| !is_harmless_beside_vision(&what.example);
        if let Some(unused) = report.unused.iter().find(strange) {
            let name = show_name(&unused.example);
            return Err(file_error(
                &self.path,
                format!("tensor {name} is not part of a Pixtral tower: another model's file?"),
            ));
        }
        Ok(VisionWeights {
            patch_conv,
            patch_norm,
            layers,
            projector,
            report,
            matrices,
        })
    }
}

fn load_layer(
    taker: &mut Taker,
    config: &VisionConfig,
    layer: usize,
) -> Result<VisionLayerWeights, ModelError> {
    let place = Place { layer, expert: 0 };
    let (hidden, width) = (config.hidden_size, config.intermediate_size);
    Ok(VisionLayerWeights {
        attention_norm: taker.vector(Part::TowerAttentionNorm, place, hidden)?,
        q: taker.matrix(Part::TowerQuery, place, hidden, hidden)?,
        k: taker.matrix(Part::TowerKey, place, hidden, hidden)?,
        v: taker.matrix(Part::TowerValue, place, hidden, hidden)?,
        output: taker.matrix(Part::TowerOutput, place, hidden, hidden)?,
        feed_forward_norm: taker.vector(Part::TowerFeedForwardNorm, place, hidden)?,
        feed_forward: FeedForward {
            gate: taker.matrix(Part::TowerGate, place, width, hidden)?,
            up: taker.matrix(Part::TowerUp, place, width, hidden)?,
            down: taker.matrix(Part::TowerDown, place, hidden, width)?,
        },
    })
}

fn load_projector(
    taker: &mut Taker,
    config: &VisionConfig,
) -> Result<ProjectorWeights, ModelError> {
    let whole = Place::default();
    let (hidden, text) = (config.hidden_size, config.text_hidden_size);
    let merger = match config.merger {
        None => None,
        Some(merger) => {
            let merged = merger.spatial_merge_size * merger.spatial_merge_size;
            Some((
                taker.vector(Part::ProjectorNorm, whole, hidden)?,
                taker.matrix(Part::Merger, whole, hidden, hidden * merged)?,
            ))
        }
    };
    let mut bias = |part| match config.projector_bias {
        false => Ok(None),
        true => taker.vector(part, whole, text).map(Some),
    };
    let (bias_1, bias_2) = (bias(Part::Linear1Bias)?, bias(Part::Linear2Bias)?);
    Ok(ProjectorWeights {
        merger,
        linear_1: taker.matrix(Part::Linear1, whole, text, hidden)?,
        bias_1,
        linear_2: taker.matrix(Part::Linear2, whole, text, text)?,
        bias_2,
    })
}
