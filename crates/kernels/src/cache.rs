//! The paged KV cache: where rows of keys and values live, and which of them a step's rows see.
//!
//! A slot holds one token's row of one layer. Slots are grouped into pages of [`PAGE_SIZE`]; a sequence owns a list of
//! pages and token `p` lies in slot `pages[p / PAGE_SIZE] * PAGE_SIZE + p % PAGE_SIZE`. Who owns which page is the
//! engine's business.

mod eight_bits;

use crate::float::bf16_to_f32;
pub(crate) use eight_bits::EightBits;

/// Slots in a page. Part of the numeric definition (attention sums page by page), not a setting.
pub const PAGE_SIZE: usize = 64;

/// Slots that a rounded softmax goes through before it is joined with those before it ([`AttentionShape::rounds`]). Part
/// of the numeric definition; what lets many threads share one long sequence.
pub const BLOCK_SIZE: usize = 16 * PAGE_SIZE;

/// How cached rows are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvType {
    /// 4 bytes a value, exact.
    F32,
    /// 2 bytes a value, rounded to nearest even on writing.
    Bf16,
    /// 1 byte a value, and 4 for the scale that each 32 of a row share.
    Q8,
}

impl KvType {
    /// Bytes of a token's row of `row_width` values.
    pub fn row_bytes(self, row_width: usize) -> usize {
        match self {
            KvType::F32 => 4 * row_width,
            KvType::Bf16 => 2 * row_width,
            KvType::Q8 => EightBits::row_bytes(row_width),
        }
    }
}

/// The shape of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLayout {
    /// Layers of the model.
    pub num_layers: usize,
    /// Values in one token's row of one layer.
    pub row_width: usize,
    /// Storage of a value.
    pub kv_type: KvType,
}

impl CacheLayout {
    /// Bytes of one page over all layers.
    pub fn page_bytes(&self) -> usize {
        self.num_layers * PAGE_SIZE * self.kv_type.row_bytes(self.row_width)
    }
}

/// Storage for all pages, a block of memory a layer.
#[derive(Debug)]
pub struct Cache {
    pub(crate) layout: CacheLayout,
    pub(crate) num_pages: usize,
    pub(crate) layers: CacheLayers,
}

/// One for each layer, `[num_pages * PAGE_SIZE, row_width]`.
#[derive(Debug)]
pub(crate) enum CacheLayers {
    F32(Vec<Vec<f32>>),
    Bf16(Vec<Vec<u16>>),
    Q8(Vec<EightBits>),
}

impl Cache {
    pub(crate) fn zeroed(layout: CacheLayout, num_pages: usize) -> Cache {
        let values = num_pages * PAGE_SIZE * layout.row_width;
        let layers = match layout.kv_type {
            KvType::F32 => {
                CacheLayers::F32((0..layout.num_layers).map(|_| vec![0.0; values]).collect())
            }
            KvType::Bf16 => {
                CacheLayers::Bf16((0..layout.num_layers).map(|_| vec![0; values]).collect())
            }
            KvType::Q8 => {
                let layer = |_| EightBits::zeroed(num_pages, layout.row_width);
                CacheLayers::Q8((0..layout.num_layers).map(layer).collect())
            }
        };
        Cache {
            layout,
            num_pages,
            layers,
        }
    }

    /// The shape it was made with.
    pub fn layout(&self) -> CacheLayout {
        self.layout
    }

    /// Pages it holds.
    pub fn num_pages(&self) -> usize {
        self.num_pages
    }

    /// One token's row of one layer, as f32.
    pub(crate) fn slot(&self, layer: usize, slot: usize) -> Vec<f32> {
        let at = slot * self.layout.row_width..(slot + 1) * self.layout.row_width;
        match &self.layers {
            CacheLayers::F32(layers) => layers[layer][at].to_vec(),
            CacheLayers::Bf16(layers) => {
                layers[layer][at].iter().map(|x| bf16_to_f32(*x)).collect()
            }
            CacheLayers::Q8(layers) => {
                let mut row = vec![0.0; self.layout.row_width];
                layers[layer].read(slot, 0..self.layout.row_width, &mut row);
                row
            }
        }
    }

    /// Fills every slot with NaN, so that a test sees any read of a slot that was never written.
    pub fn poison(&mut self) {
        match &mut self.layers {
            CacheLayers::F32(layers) => layers.iter_mut().for_each(|l| l.fill(f32::NAN)),
            CacheLayers::Bf16(layers) => layers.iter_mut().for_each(|l| l.fill(0x7fc0)),
            CacheLayers::Q8(layers) => layers.iter_mut().for_each(EightBits::poison),
        }
    }
}

/// How attention reads a cached row: keys first, `num_kv_heads` of `key_dim`; values from column `value_start`,
/// `num_kv_heads` of `value_dim`. For MLA there is one KV head and the value is the first lanes of the key
/// (`value_start = 0`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    /// Query heads.
    pub num_heads: usize,
    /// Key/value heads; divides `num_heads`.
    pub num_kv_heads: usize,
    /// Lanes of a query and a key.
    pub key_dim: usize,
    /// Lanes of a value.
    pub value_dim: usize,
    /// Column of the first value in a cached row.
    pub value_start: usize,
    /// Factor on every score before the softmax.
    pub scale: f32,
}

impl AttentionShape {
    /// Whether attention over a cache of this type rounds queries and weights to bf16: the cache is of that precision,
    /// and all heads share one KV head (MLA).
    pub fn rounds(&self, kv_type: KvType) -> bool {
        kv_type == KvType::Bf16 && self.num_kv_heads == 1
    }
}

/// Which slots each row of a step sees; made once a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttentionPlan {
    /// The page tables of all sequences in the step, one after the other.
    pub pages: Vec<u32>,
    /// One entry a row of the batch.
    pub rows: Vec<AttentionRow>,
}

/// One row's view: the first `visible` tokens of the sequence whose page table starts at `first_page`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionRow {
    /// Index into [`AttentionPlan::pages`] of the sequence's page 0.
    pub first_page: usize,
    /// Tokens seen, itself included: position + 1.
    pub visible: usize,
}
