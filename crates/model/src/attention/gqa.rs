//! Grouped-query attention. A token's cached row is `[rotated keys of all KV heads | values of all KV heads]`.

use super::{Attention, LayerCache};
use crate::config::GqaConfig;
use crate::step::Step;
use crate::weights::GqaWeights;
use kernels::{AttentionShape, Backend, Columns, Rows};

pub(crate) struct Gqa {
    sizes: GqaConfig,
}

pub(crate) struct Scratch {
    /// `[rows, num_heads * head_dim]`
    q: Rows,
    /// `[rows, num_kv_heads * head_dim]`
    k: Rows,
    /// `[rows, num_kv_heads * head_dim]`
    v: Rows,
    /// The row that is cached, `[rows, 2 * num_kv_heads * head_dim]`.
    cached: Rows,
    /// `[rows, num_heads * head_dim]`
    context: Rows,
}

impl Gqa {
    pub fn new(sizes: GqaConfig) -> Gqa {
        Gqa { sizes }
    }

    pub fn shape(&self, scale: f32) -> AttentionShape {
        AttentionShape {
            num_heads: self.sizes.num_heads,
            num_kv_heads: self.sizes.num_kv_heads,
            key_dim: self.sizes.head_dim,
            value_dim: self.sizes.head_dim,
            value_start: self.sizes.num_kv_heads * self.sizes.head_dim,
            scale,
        }
    }

    pub fn scratch(&self, backend: &dyn Backend, rows: usize) -> Scratch {
        let q_width = self.sizes.num_heads * self.sizes.head_dim;
        let kv_width = self.sizes.num_kv_heads * self.sizes.head_dim;
        Scratch {
            q: backend.rows(rows, q_width),
            k: backend.rows(rows, kv_width),
            v: backend.rows(rows, kv_width),
            cached: backend.rows(rows, 2 * kv_width),
            context: backend.rows(rows, q_width),
        }
    }

    pub fn forward(
        &self,
        attention: &Attention,
        backend: &dyn Backend,
        weights: &GqaWeights,
        x: &Rows,
        step: &Step,
        at: LayerCache,
        scratch: &mut Scratch,
        out: &mut Rows,
    ) {
        let (heads, kv_heads, head_dim) = (
            self.sizes.num_heads,
            self.sizes.num_kv_heads,
            self.sizes.head_dim,
        );
        let t = scratch;
        backend.project(
            x,
            &[&weights.q, &weights.k, &weights.v],
            &mut [&mut t.q, &mut t.k, &mut t.v],
        );

        let queries = Columns::heads(heads, head_dim, 0, head_dim);
        backend.rotate(&mut t.q, queries, &step.rotary, attention.pairing);
        if let Some(factors) = &step.query_factors {
            backend.scale_rows(&mut t.q, factors);
        }

        let keys = Columns::heads(kv_heads, head_dim, 0, head_dim);
        let values = Columns::heads(kv_heads, head_dim, kv_heads * head_dim, head_dim);
        backend.copy_columns(&t.k, keys, &mut t.cached, keys);
        backend.copy_columns(&t.v, keys, &mut t.cached, values);
        backend.rotate(&mut t.cached, keys, &step.rotary, attention.pairing);
        backend.write_cache(&t.cached, at.layer, &step.slots, at.cache);

        backend.attention(
            &t.q,
            at.cache,
            at.layer,
            &step.attention,
            &attention.shape,
            &mut t.context,
        );
        backend.project(&t.context, &[&weights.output], &mut [out]);
    }
}
