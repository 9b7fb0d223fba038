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
        let s = &self.sizes;
        let (heads, nope, rope, latent) = (
            s.num_heads,
            s.qk_nope_head_dim,
            s.qk_rope_head_dim,
            s.kv_lora_rank,
        );
        let (head_dim, key_dim) = (nope + rope, latent + rope);
        let t = scratch;

        backend.project(
            x,
            &[&weights.q_a, &weights.kv_a],
            &mut [&mut t.q_latent, &mut t.kv],
        );

        let whole = Columns::range(0, s.q_lora_rank);
        backend.rms_norm(
            &t.q_latent,
            whole,
            &weights.q_a_norm,
            s.q_norm_eps,
            &mut t.q_normed,
            whole,
        );
        backend.project(&t.q_normed, &[&weights.q_b], &mut [&mut t.q]);
        let absorbed = Columns::heads(heads, key_dim, 0, latent);
        let rotated = Columns::heads(heads, key_dim, latent, rope);
        backend.project_heads(
            &t.q,
            Columns::heads(heads, head_dim, 0, nope),
            &weights.k_b,
            &mut t.query,
            absorbed,
        );
        backend.copy_columns(
            &t.q,
            Columns::heads(heads, head_dim, nope, rope),
            &mut t.query,
            rotated,
        );
        backend.rotate(&mut t.query, rotated, &step.rotary, attention.pairing);
        if let Some(factors) = &step.query_factors {
            backend.scale_rows(&mut t.query, factors);
        }

        let normed = Columns::range(0, latent);
        let shared_key = Columns::range(latent, rope);
        backend.rms_norm(
            &t.kv,
            normed,
            &weights.kv_a_norm,
            s.kv_norm_eps,
            &mut t.cached,
            normed,
        );
        backend.copy_columns(&t.kv, shared_key, &mut t.cached, shared_key);
        backend.rotate(&mut t.cached, shared_key, &step.rotary, attention.pairing);
        backend.write_cache(&t.cached, at.layer, &step.slots, at.cache);

        backend.attention(
            &t.query,
            at.cache,
            at.layer,
            &step.attention,
            &attention.shape,
            &mut t.context,
        );
        let attended = Columns::heads(heads, latent, 0, latent);
        let value = Columns::heads(heads, s.v_head_dim, 0, s.v_head_dim);
        backend.project_heads(&t.context, attended, &weights.v_b, &mut t.values, value);
        backend.project(&t.values, &[&weights.output], &mut [out]);
    }
}
