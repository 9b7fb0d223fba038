//! The weights of a model as the forward pass takes them: matrices that share the mapped file's bytes.
//!
//! It knows nothing of file formats; `checkpoint/` finds the tensors and names them.

use kernels::{FeedForward, Format, Matrix};
use std::path::PathBuf;

/// All weights of a model.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Embedding table, `[vocab_size, hidden_size]`.
    pub embed: Matrix,
    /// Final norm, `[hidden_size]`.
    pub output_norm: Vec<f32>,
    /// Head, `[vocab_size, hidden_size]`; the same bytes as `embed` when tied.
    pub head: Matrix,
    /// The layers, in order.
    pub layers: Vec<LayerWeights>,
    /// What was mapped, repacked or left alone.
    pub report: LoadReport,
    /// Every matrix as the files name it, to find the origin of a value that is not finite.
    pub matrices: Vec<NamedMatrix>,
}

/// A matrix and where it came from.
#[derive(Clone, Debug)]
pub struct NamedMatrix {
    /// The tensor's name in the file.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// The whole tensor as a matrix.
    pub matrix: Matrix,
}

impl NamedMatrix {
    /// The first of `all` with a value or scale that is not finite: file, name and row, in words.
    pub(crate) fn first_non_finite(all: &[NamedMatrix]) -> Option<String> {
        all.iter()
            .find_map(|named| Some(format!("{}: {}", named.file.display(), named.non_finite()?)))
    }

    /// What is not finite in it, in words; none if all is well.
    pub fn non_finite(&self) -> Option<String> {
        let row = self.matrix.first_non_finite_row()?;
        let what = match self.matrix.format() {
            Format::F32 | Format::F16 | Format::Bf16 => "value",
            _ => "scale",
        };
        let (name, format) = (&self.name, self.matrix.format().name());
        Some(format!(
            "tensor {name}: row {row} of {} ({format}) holds a {what} that is NaN or infinite",
            self.matrix.rows()
        ))
    }
}

impl Weights {
    /// The first tensor with a value or scale that is not finite: file, name and row, in words.
    ///
    /// Cost: reads every matrix. For explaining a result that is not finite.
    pub fn find_non_finite(&self) -> Option<String> {
        NamedMatrix::first_non_finite(&self.matrices)
    }
}

/// One layer.
#[derive(Clone, Debug)]
pub struct LayerWeights {
    /// Norm before attention, `[hidden_size]`.
    pub input_norm: Vec<f32>,
    /// Attention.
    pub attention: AttentionWeights,
    /// Norm before the feed-forward part, `[hidden_size]`.
    pub post_norm: Vec<f32>,
    /// Feed-forward part.
    pub feed_forward: FeedForwardWeights,
}

/// The matrices of one layer's attention.
#[derive(Clone, Debug)]
pub enum AttentionWeights {
    /// Multi-head latent attention.
    Mla(MlaWeights),
    /// Grouped-query attention.
    Gqa(GqaWeights),
}

/// Multi-head latent attention, ready for the absorbed form.
#[derive(Clone, Debug)]
pub struct MlaWeights {
    /// `[q_lora_rank, hidden_size]`
    pub q_a: Matrix,
    /// `[q_lora_rank]`
    pub q_a_norm: Vec<f32>,
    /// `[num_heads * (qk_nope_head_dim + qk_rope_head_dim), q_lora_rank]`: nope lanes first in each head.
    pub q_b: Matrix,
    /// `[kv_lora_rank + qk_rope_head_dim, hidden_size]`
    pub kv_a: Matrix,
    /// `[kv_lora_rank]`
    pub kv_a_norm: Vec<f32>,
    /// A head each, `[kv_lora_rank, qk_nope_head_dim]`: takes a query's nope lanes to the latent.
    pub k_b: Vec<Matrix>,
    /// A head each, `[v_head_dim, kv_lora_rank]`: takes a latent to the head's value.
    pub v_b: Vec<Matrix>,
    /// `[hidden_size, num_heads * v_head_dim]`
    pub output: Matrix,
}

/// Grouped-query attention.
#[derive(Clone, Debug)]
pub struct GqaWeights {
    /// `[num_heads * head_dim, hidden_size]`
    pub q: Matrix,
    /// `[num_kv_heads * head_dim, hidden_size]`
    pub k: Matrix,
    /// `[num_kv_heads * head_dim, hidden_size]`
    pub v: Matrix,
    /// `[hidden_size, num_heads * head_dim]`
    pub output: Matrix,
}

/// The matrices of one layer's feed-forward part.
#[derive(Clone, Debug)]
pub enum FeedForwardWeights {
    /// One feed-forward.
    Dense(FeedForward),
    /// A router and its experts.
    Moe {
        /// `[num_experts, hidden_size]`
        router: Matrix,
        /// Routed experts.
        experts: Vec<FeedForward>,
        /// Shared experts, as one feed-forward.
        shared: Option<FeedForward>,
    },
}

/// What loading did with the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Bytes of tensors used where they lie in the mapped files.
    pub mapped_bytes: u64,
    /// Copies of our own.
    pub repacked: Vec<Repacked>,
    /// Tensors present in the files and not used.
    pub unused: Vec<Unused>,
}

/// Tensors that were copied, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repacked {
    /// Which ones, in words.
    pub what: String,
    /// Why they could not be used where they lie.
    pub why: &'static str,
    /// How many tensors.
    pub count: usize,
    /// Bytes of memory the copies take.
    pub bytes: u64,
}

/// Tensors that are in the files and not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unused {
    /// Which ones, in words.
    pub what: String,
    /// How many.
    pub count: usize,
    /// Their bytes in the files.
    pub bytes: u64,
    /// Name of the first one.
    pub example: String,
}

impl LoadReport {
    /// Bytes of memory all copies take.
    pub fn repacked_bytes(&self) -> u64 {
        self.repacked.iter().map(|r| r.bytes).sum()
    }
}
