//! A GGUF to be written: what it will hold, and the bytes of its header and of any rows of its tensors.
//!
//! Keys, names and layouts are those of llama.cpp's converters, so that its programs open the file too. Nothing is written
//! here and no file is opened: whoever does so asks for rows in any order and from any thread, and memory stays as small
//! as the rows asked for. Source: llama.cpp (the copy in llama_cpp_python 0.3.36), `conversion/` and
//! `src/llama-quant.cpp`.

mod keys;
mod metadata;
mod mix;
mod rows;
mod text;
mod vision;

pub use metadata::GgufPair;
pub use mix::Mix;
pub use rows::PlannedTensor;

use crate::checkpoint::Checkpoint;
use crate::{ModelError, VisionConfig, VisionWeights, Weights};
use metadata::put_text;

/// Alignment of tensor data.
const ALIGNMENT: u64 = 32;
const VERSION: u32 = 3;

/// Everything a GGUF will hold.
#[derive(Clone, Debug)]
pub struct GgufPlan {
    pairs: Vec<GgufPair>,
    tensors: Vec<PlannedTensor>,
    /// What a user should know of it, one sentence each.
    pub notes: Vec<String>,
}

impl GgufPlan {
    /// The text model of `checkpoint`, whose weights are `weights`, in the formats of `mix`.
    ///
    /// A GGUF's own metadata is kept, its vocabulary included; a directory's comes from its configuration, with `name` as
    /// the model's name and `vocabulary` for the tokenizer's keys.
    ///
    /// Cost: small; rows are computed when asked for. Errors: a number that the format has no key for.
    pub fn text(
        checkpoint: &Checkpoint,
        weights: &Weights,
        mix: &Mix,
        name: &str,
        vocabulary: Vec<GgufPair>,
    ) -> Result<GgufPlan, ModelError> {
        let mut notes = Vec::new();
        let mut pairs = match checkpoint.gguf() {
            Some(gguf) => keys::kept(gguf, &checkpoint.config),
            None => {
                let mut pairs = keys::of_config(checkpoint, name, &mut notes)?;
                pairs.extend(vocabulary);
                pairs
            }
        };
        pairs.extend(keys::of_mix(mix));
        let tensors = text::tensors(&checkpoint.config, weights, mix, &mut notes);
        Ok(GgufPlan {
            pairs,
            tensors,
            notes,
        })
    }

    /// The vision tower and projector of a model, with `break_row`, the text model's embedding of `[IMG_BREAK]`.
    ///
    /// In BF16, or F32 where `mix` is F32; the two convolutions stay F32, which is all that llama.cpp convolves with.
    ///
    /// Errors: a number that the format has no key for.
    pub fn vision(
        config: &VisionConfig,
        weights: &VisionWeights,
        mix: &Mix,
        name: &str,
        break_row: Vec<f32>,
    ) -> Result<GgufPlan, ModelError> {
        Ok(GgufPlan {
            pairs: vision::pairs(config, mix, name)?,
            tensors: vision::tensors(config, weights, mix, &break_row),
            notes: Vec::new(),
        })
    }

    /// The tensors, in the order of their bytes.
    pub fn tensors(&self) -> &[PlannedTensor] {
        &self.tensors
    }

    /// All bytes before the first tensor's.
    pub fn header(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(VERSION.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.pairs.len() as u64).to_le_bytes());
        for pair in &self.pairs {
            pair.put(&mut out);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            put_text(&mut out, tensor.name.as_bytes());
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            for dim in tensor.shape.iter().rev() {
                out.extend((*dim as u64).to_le_bytes());
            }
            out.extend(tensor.format.gguf_id().to_le_bytes());
            out.extend(u64::to_le_bytes(offset));
            offset += tensor.padded_bytes();
        }
        out.resize(out.len().next_multiple_of(ALIGNMENT as usize), 0);
        out
    }

    /// Bytes of the whole file.
    pub fn bytes(&self) -> u64 {
        let data: u64 = self.tensors.iter().map(PlannedTensor::padded_bytes).sum();
        self.header().len() as u64 + data
    }
}
