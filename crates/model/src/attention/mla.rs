//! Multi-head latent attention in its absorbed form, for every token alike.
//!
//! A token's cached row is `[normed latent | rotated shared key]`. A head's query is taken into the latent's space
//! (`k_bᵀ` applied to the query instead of to every key), so that all heads attend to the one cached row and the value
//! is its latent part; `v_b` takes the attended latent to the head's value. Source: DeepSeek-V2, section 2.1.

use super::{Attention, LayerCache};
use crate::config::MlaConfig;
use crate::step::Step;
use crate::weights::MlaWeights;
use kernels::{AttentionShape, Backend, Columns, Rows};

pub(crate) struct Mla {
    sizes: MlaConfig,
}

pub(crate) struct Scratch {
    /// Compressed query before and after its norm, `[rows, q_lora_rank]`.
    q_latent: Rows,
    q_normed: Rows,
    /// `[rows, num_heads * (nope + rope)]`
    q: Rows,
    /// Latent and shared key as projected, `[rows, kv_lora_rank + rope]`.
    kv: Rows,
    /// The row that is cached, of the same width.
    cached: Rows,
    /// Absorbed queries, `[rows, num_heads * (kv_lora_rank + rope)]`.
    query: Rows,
    /// Attended latents, `[rows, num_heads * kv_lora_rank]`.
    context: Rows,
    /// `[rows, num_heads * v_head_dim]`
    values: Rows,
}

impl Mla {
    pub fn new(sizes: MlaConfig) -> Mla {
        Mla { sizes }
    }

    pub fn shape(&self, scale: f32) -> AttentionShape {
        AttentionShape {
            num_heads: self.sizes.num_heads,
            num_kv_heads: 1,
            key_dim: self.sizes.kv_lora_rank + self.sizes.qk_rope_head_dim,
            value_dim: self.sizes.kv_lora_rank,
            value_start: 0,
            scale,
        }
    }

    pub fn scratch(&self, backend: &dyn Backend, rows: usize) -> Scratch {
        let s = &self.sizes;
        let key_dim = s.kv_lora_rank + s.qk_rope_head_dim;
        Scratch {
            q_latent: backend.rows(rows, s.q_lora_rank),
            q_normed: backend.rows(rows, s.q_lora_rank),
            q: backend.rows(
                rows,
                s.num_heads * (s.qk_nope_head_dim + s.qk_rope_head_dim),
            ),
            kv: backend.rows(rows, key_dim),
            cached: backend.rows(rows, key_dim),
            query: backend.rows(rows, s.num_heads * key_dim),
            context: backend.rows(rows, s.num_heads * s.kv_lora_rank),
            values: backend.rows(rows, s.num_heads * s.v_head_dim),
        }
    }

    /// `out = attention(x)`; the step's rows are cached before they are attended to.
    pub fn forward(
        &self,
        attention: &Attention,
        backend: &dyn Backend,
        weights: &MlaWeights,
        x: &Rows,
        step: &Step,
        at: LayerCache,
        scratch: &mut Scratch,
        out: &mut Rows,
    ) {
        let (heads, latent, v) = (
            self.sizes.num_heads,
            self.sizes.kv_lora_rank,
            self.sizes.v_head_dim,
        );
        let LayerCache { cache, layer } = at;
        let Scratch { q_latent, kv, .. } = scratch;
        backend.project(x, &[&weights.q_a, &weights.kv_a], &mut [q_latent, kv]);
        self.absorb_query(attention, backend, weights, step, scratch);
        self.row_to_cache(attention, backend, weights, step, scratch);
        backend.write_cache(&scratch.cached, layer, &step.slots, cache);

        let Scratch {
            query,
            context,
            values,
            ..
        } = scratch;
        backend.attention(
            query,
            cache,
            layer,
            &step.attention,
            &attention.shape,
            context,
        );
        let attended = Columns::heads(heads, latent, 0, latent);
        backend.project_heads(
            context,
            attended,
            &weights.v_b,
            values,
            Columns::heads(heads, v, 0, v),
        );
        backend.project(values, &[&weights.output], &mut [out]);
    }

    /// `query = [k_b · nope lanes | rotated lanes]` of each head, times the position's factor.
    fn absorb_query(
        &self,
        attention: &Attention,
        backend: &dyn Backend,
        weights: &MlaWeights,
        step: &Step,
        scratch: &mut Scratch,
    ) {
        let s = &self.sizes;
        let (heads, nope, rope, latent) = (
            s.num_heads,
            s.qk_nope_head_dim,
            s.qk_rope_head_dim,
            s.kv_lora_rank,
        );
        let Scratch {
            q_latent,
            q_normed,
            q,
            query,
            ..
        } = scratch;
        let whole = Columns::range(0, s.q_lora_rank);
        backend.rms_norm(
            q_latent,
            whole,
            &weights.q_a_norm,
            s.q_norm_eps,
            q_normed,
            whole,
        );
        backend.project(q_normed, &[&weights.q_b], &mut [q]);

        let absorbed = Columns::heads(heads, latent + rope, 0, latent);
        let rotated = Columns::heads(heads, latent + rope, latent, rope);
        backend.project_heads(
            q,
            Columns::heads(heads, nope + rope, 0, nope),
            &weights.k_b,
            query,
            absorbed,
        );
        backend.copy_columns(
            q,
            Columns::heads(heads, nope + rope, nope, rope),
            query,
            rotated,
        );
        backend.rotate(query, rotated, &step.rotary, attention.pairing);
        if let Some(factors) = &step.query_factors {
            backend.scale_rows(query, factors);
        }
    }

    /// `cached = [normed latent | rotated shared key]`.
    fn row_to_cache(
        &self,
        attention: &Attention,
        backend: &dyn Backend,
        weights: &MlaWeights,
        step: &Step,
        scratch: &mut Scratch,
    ) {
        let s = &self.sizes;
        let Scratch { kv, cached, .. } = scratch;
        let latent = Columns::range(0, s.kv_lora_rank);
        let shared_key = Columns::range(s.kv_lora_rank, s.qk_rope_head_dim);
        backend.rms_norm(
            kv,
            latent,
            &weights.kv_a_norm,
            s.kv_norm_eps,
            cached,
            latent,
        );
        backend.copy_columns(kv, shared_key, cached, shared_key);
        backend.rotate(cached, shared_key, &step.rotary, attention.pairing);
    }
}
