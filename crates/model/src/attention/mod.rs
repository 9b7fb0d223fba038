//! Attention of one layer: what kind, and the cached row it writes. The two kinds lie in files of their own.

mod gqa;
mod mla;

use crate::config::{AttentionConfig, Config};
use crate::step::Step;
use crate::weights::AttentionWeights;
use kernels::{AttentionShape, Backend, Cache, Pairing, Rows};

/// The attention of all layers of a model: its shape, without weights.
pub(crate) struct Attention {
    kind: Kind,
    pairing: Pairing,
    shape: AttentionShape,
}

enum Kind {
    Mla(mla::Mla),
    Gqa(gqa::Gqa),
}

/// Where a layer reads and writes besides its weights.
pub(crate) struct LayerCache<'a> {
    /// The cache of all layers.
    pub cache: &'a mut Cache,
    /// Which layer this is.
    pub layer: usize,
}

/// Activations of one layer's attention, made once a step and used by every layer.
pub(crate) enum Scratch {
    Mla(mla::Scratch),
    Gqa(gqa::Scratch),
}

impl Attention {
    pub fn new(config: &Config, softmax_scale: f32) -> Attention {
        let (kind, shape) = match &config.attention {
            AttentionConfig::Mla(sizes) => {
                let mla = mla::Mla::new(sizes.clone());
                let shape = mla.shape(softmax_scale);
                (Kind::Mla(mla), shape)
            }
            AttentionConfig::Gqa(sizes) => {
                let gqa = gqa::Gqa::new(sizes.clone());
                let shape = gqa.shape(softmax_scale);
                (Kind::Gqa(gqa), shape)
            }
        };
        Attention {
            kind,
            pairing: config.rope.pairing,
            shape,
        }
    }

    /// How it reads cached rows.
    pub fn shape(&self) -> &AttentionShape {
        &self.shape
    }

    /// Activations for a step of `rows` rows.
    pub fn scratch(&self, backend: &dyn Backend, rows: usize) -> Scratch {
        match &self.kind {
            Kind::Mla(mla) => Scratch::Mla(mla.scratch(backend, rows)),
            Kind::Gqa(gqa) => Scratch::Gqa(gqa.scratch(backend, rows)),
        }
    }

    /// `out = attention(x)` of one layer; writes the step's rows into the cache first.
    ///
    /// Shapes: `x, out: [rows, hidden_size]`, `x` normed.
    pub fn forward(
        &self,
        backend: &dyn Backend,
        weights: &AttentionWeights,
        x: &Rows,
        step: &Step,
        at: LayerCache,
        scratch: &mut Scratch,
        out: &mut Rows,
    ) {
        match (&self.kind, weights, scratch) {
            (Kind::Mla(mla), AttentionWeights::Mla(weights), Scratch::Mla(scratch)) => {
                mla.forward(self, backend, weights, x, step, at, scratch, out)
            }
            (Kind::Gqa(gqa), AttentionWeights::Gqa(weights), Scratch::Gqa(scratch)) => {
                gqa.forward(self, backend, weights, x, step, at, scratch, out)
            }
            _ => unreachable!(
                "weights and scratch are made for the configuration's kind of attention"
            ),
        }
    }
}
