//! The weights of a vision tower and its projector: matrices that share the mapped file's bytes.
//!
//! It knows nothing of file formats; `checkpoint/vision.rs` finds the tensors.

use crate::weights::{LoadReport, NamedMatrix};
use kernels::{FeedForward, Matrix};

/// All weights of a tower and its projector.
#[derive(Clone, Debug)]
pub struct VisionWeights {
    /// `[hidden_size, 3 * patch_size * patch_size]`: a patch's values by colour, row and column.
    pub patch_conv: Matrix,
    /// Norm of the embedded patches, `[hidden_size]`.
    pub patch_norm: Vec<f32>,
    /// The layers, in order.
    pub layers: Vec<VisionLayerWeights>,
    /// What leads into the text model.
    pub projector: ProjectorWeights,
    /// What was mapped.
    pub report: LoadReport,
    /// Every matrix as the files name it.
    pub matrices: Vec<NamedMatrix>,
}

/// One layer of the tower.
#[derive(Clone, Debug)]
pub struct VisionLayerWeights {
    /// Norm before attention, `[hidden_size]`.
    pub attention_norm: Vec<f32>,
    /// `[hidden_size, hidden_size]`
    pub q: Matrix,
    /// `[hidden_size, hidden_size]`
    pub k: Matrix,
    /// `[hidden_size, hidden_size]`
    pub v: Matrix,
    /// `[hidden_size, hidden_size]`
    pub output: Matrix,
    /// Norm before the feed-forward, `[hidden_size]`.
    pub feed_forward_norm: Vec<f32>,
    /// The feed-forward.
    pub feed_forward: FeedForward,
}

/// What leads from the tower into the text model.
#[derive(Clone, Debug)]
pub struct ProjectorWeights {
    /// Norm of the tower's result and the matrix that merges patches, `[hidden_size, hidden_size * merged patches]`.
    pub merger: Option<(Vec<f32>, Matrix)>,
    /// `[text_hidden_size, hidden_size]`
    pub linear_1: Matrix,
    /// `[text_hidden_size]`
    pub bias_1: Option<Vec<f32>>,
    /// `[text_hidden_size, text_hidden_size]`
    pub linear_2: Matrix,
    /// `[text_hidden_size]`
    pub bias_2: Option<Vec<f32>>,
}

impl VisionWeights {
    /// Bytes of all matrices: what one image reads at least.
    pub fn bytes(&self) -> u64 {
        let bytes = |named: &NamedMatrix| named.matrix.bytes().len() as u64;
        self.matrices.iter().map(bytes).sum()
    }

    /// The same weights; products with BF16 ones round activations to bf16.
    pub(crate) fn rounding_activations(mut self) -> VisionWeights {
        let round = |matrix: &mut Matrix| *matrix = matrix.clone().rounding_activations();
        round(&mut self.patch_conv);
        for layer in &mut self.layers {
            let FeedForward { gate, up, down } = &mut layer.feed_forward;
            let attention = [&mut layer.q, &mut layer.k, &mut layer.v, &mut layer.output];
            attention.into_iter().for_each(round);
            [gate, up, down].into_iter().for_each(round);
        }
        let ProjectorWeights {
            merger,
            linear_1,
            linear_2,
            ..
        } = &mut self.projector;
        let merger = merger.iter_mut().map(|(_, matrix)| matrix);
        merger.chain([linear_1, linear_2]).for_each(round);
        self
    }

    /// The first tensor with a value that is not finite, in words.
    pub(crate) fn find_non_finite(&self) -> Option<String> {
        NamedMatrix::first_non_finite(&self.matrices)
    }
}
