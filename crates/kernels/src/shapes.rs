//! The shapes each operation of `backend.rs` asks for, checked by name before any backend computes. Whoever calls with
//! other shapes has a bug: these panic.
//!
//! What the unsafe cores of `cpu/` rely on is established here and named in their SAFETY notes.

use crate::backend::{FeedForward, FullAttention, RotaryTable, RouterRule, Routing, RowInput};
use crate::cache::{AttentionPlan, AttentionShape, Cache, PAGE_SIZE};
use crate::matrix::Matrix;
use crate::rows::{Columns, Rows};
use std::ops::Range;

pub(crate) fn embed(inputs: &[RowInput], table: &Matrix, embeddings: Option<&Rows>, out: &Rows) {
    assert_eq!(out.rows(), inputs.len(), "embed: rows of out, inputs");
    assert_eq!(out.cols(), table.cols(), "embed: columns of out, table");
    if let Some(rows) = embeddings {
        assert_eq!(
            rows.cols(),
            table.cols(),
            "embed: columns of embeddings, table"
        );
    }
    for input in inputs {
        match *input {
            RowInput::Token(id) => {
                assert!(
                    (id as usize) < table.rows(),
                    "embed: token {id} of {}",
                    table.rows()
                );
            }
            RowInput::Embedding(index) => {
                let rows = embeddings.map_or(0, Rows::rows);
                assert!(
                    (index as usize) < rows,
                    "embed: embedding {index} of {rows}"
                );
            }
        }
    }
}

pub(crate) fn rms_norm(x: &Rows, from: Columns, weight: &[f32], out: &Rows, to: Columns) {
    columns("rms_norm", x, from, out, to);
    assert_eq!(
        weight.len(),
        from.width,
        "rms_norm: weights, columns of a head"
    );
}

pub(crate) fn copy_columns(x: &Rows, from: Columns, out: &Rows, to: Columns) {
    columns("copy_columns", x, from, out, to);
}

fn columns(op: &str, x: &Rows, from: Columns, out: &Rows, to: Columns) {
    assert_eq!(x.rows(), out.rows(), "{op}: rows of x, out");
    assert_eq!(from.heads, to.heads, "{op}: heads read, written");
    assert_eq!(
        from.width, to.width,
        "{op}: columns of a head read, written"
    );
    assert!(
        from.end() <= x.cols(),
        "{op}: {from:?} of {} columns",
        x.cols()
    );
    assert!(
        to.end() <= out.cols(),
        "{op}: {to:?} of {} columns",
        out.cols()
    );
}

pub(crate) fn project(x: &Rows, weights: &[&Matrix], outs: &[&mut Rows]) {
    assert_eq!(weights.len(), outs.len(), "project: weights, outs");
    for (i, (weight, out)) in weights.iter().zip(outs).enumerate() {
        assert_eq!(weight.cols(), x.cols(), "project: columns of weight {i}, x");
        assert_eq!(
            out.cols(),
            weight.rows(),
            "project: columns of out {i}, rows of weight {i}"
        );
        assert_eq!(out.rows(), x.rows(), "project: rows of out {i}, x");
    }
}

pub(crate) fn project_heads(x: &Rows, from: Columns, weights: &[Matrix], out: &Rows, to: Columns) {
    assert_eq!(x.rows(), out.rows(), "project_heads: rows of x, out");
    assert_eq!(
        from.heads,
        weights.len(),
        "project_heads: heads read, weights"
    );
    assert_eq!(
        to.heads,
        weights.len(),
        "project_heads: heads written, weights"
    );
    assert!(
        from.end() <= x.cols(),
        "project_heads: {from:?} of {} columns",
        x.cols()
    );
    assert!(
        to.end() <= out.cols(),
        "project_heads: {to:?} of {} columns",
        out.cols()
    );
    assert!(
        to.heads < 2 || to.stride >= to.width,
        "project_heads: heads written overlap: {to:?}"
    );
    for (head, weight) in weights.iter().enumerate() {
        assert!(
            !weight.rounds_activations(),
            "project_heads: weight {head} rounds activations"
        );
        assert_eq!(
            weight.cols(),
            from.width,
            "project_heads: columns of weight {head}, a head"
        );
        assert_eq!(
            weight.rows(),
            to.width,
            "project_heads: rows of weight {head}, a head"
        );
    }
}

pub(crate) fn rotate(x: &Rows, columns: Columns, table: &RotaryTable) {
    assert!(
        columns.end() <= x.cols(),
        "rotate: {columns:?} of {} columns",
        x.cols()
    );
    assert!(
        columns.width.is_multiple_of(2),
        "rotate: an odd width, {}",
        columns.width
    );
    for rows in [&table.cos, &table.sin] {
        assert_eq!(rows.rows(), x.rows(), "rotate: rows of the table, x");
        assert_eq!(
            rows.cols(),
            columns.width / 2,
            "rotate: columns of the table, pairs of a head"
        );
    }
}

pub(crate) fn scale_rows(x: &Rows, factors: &[f32]) {
    assert_eq!(factors.len(), x.rows(), "scale_rows: factors, rows");
}

pub(crate) fn write_cache(x: &Rows, layer: usize, slots: &[u32], cache: &Cache) {
    let layout = cache.layout();
    assert!(
        layer < layout.num_layers,
        "write_cache: layer {layer} of {}",
        layout.num_layers
    );
    assert_eq!(
        x.cols(),
        layout.row_width,
        "write_cache: columns of x, row_width"
    );
    assert_eq!(x.rows(), slots.len(), "write_cache: rows of x, slots");
    let num_slots = cache.num_pages() * PAGE_SIZE;
    for slot in slots {
        assert!(
            (*slot as usize) < num_slots,
            "write_cache: slot {slot} of {num_slots}"
        );
    }
}

pub(crate) fn attention(
    q: &Rows,
    cache: &Cache,
    layer: usize,
    plan: &AttentionPlan,
    shape: &AttentionShape,
    out: &Rows,
) {
    let layout = cache.layout();
    assert!(
        layer < layout.num_layers,
        "attention: layer {layer} of {}",
        layout.num_layers
    );
    assert!(
        shape.num_kv_heads > 0 && shape.num_heads.is_multiple_of(shape.num_kv_heads),
        "attention: {} heads over {} KV heads",
        shape.num_heads,
        shape.num_kv_heads
    );
    let keys = shape.num_kv_heads * shape.key_dim;
    let values = shape.value_start + shape.num_kv_heads * shape.value_dim;
    assert!(
        keys.max(values) <= layout.row_width,
        "attention: keys end at {keys}, values at {values}, a cached row at {}",
        layout.row_width
    );
    assert_eq!(q.rows(), plan.rows.len(), "attention: rows of q, plan");
    assert_eq!(out.rows(), plan.rows.len(), "attention: rows of out, plan");
    assert_eq!(
        q.cols(),
        shape.num_heads * shape.key_dim,
        "attention: columns of q, heads"
    );
    assert_eq!(
        out.cols(),
        shape.num_heads * shape.value_dim,
        "attention: columns of out, heads"
    );
    for page in &plan.pages {
        assert!(
            (*page as usize) < cache.num_pages(),
            "attention: page {page} of {}",
            cache.num_pages()
        );
    }
    for (r, row) in plan.rows.iter().enumerate() {
        assert!(
            row.visible > 0,
            "attention: row {r} sees nothing, not even itself"
        );
        let end = row.first_page + row.visible.div_ceil(PAGE_SIZE);
        assert!(
            end <= plan.pages.len(),
            "attention: row {r} needs {end} of {} pages",
            plan.pages.len()
        );
    }
}

pub(crate) fn full_attention(
    q: &Rows,
    k: &Rows,
    v: &Rows,
    ranges: &[Range<usize>],
    shape: &FullAttention,
    out: &Rows,
) {
    for (name, rows) in [("q", q), ("k", k), ("v", v), ("out", out)] {
        assert_eq!(rows.rows(), q.rows(), "full_attention: rows of {name}, q");
        assert_eq!(
            rows.cols(),
            shape.num_heads * shape.head_dim,
            "full_attention: columns of {name}, heads"
        );
    }
    let mut next = 0;
    for range in ranges {
        assert!(
            range.start == next && range.end > next,
            "full_attention: range {range:?}, expected to begin at {next}"
        );
        next = range.end;
    }
    assert_eq!(next, q.rows(), "full_attention: rows in ranges, rows of q");
    assert!(
        shape.scale > 0.0,
        "full_attention: scale {}, expected above 0",
        shape.scale
    );
}

pub(crate) fn add(x: &Rows, y: &Rows) {
    assert_eq!(
        (x.rows(), x.cols()),
        (y.rows(), y.cols()),
        "add: shapes of x, y"
    );
}

pub(crate) fn feed_forward(x: &Rows, weights: &FeedForward, out: &Rows) {
    assert_eq!(x.rows(), out.rows(), "feed_forward: rows of x, out");
    one_feed_forward("feed_forward", weights, x, out);
    let rounds = [&weights.gate, &weights.up, &weights.down].map(Matrix::rounds_activations);
    assert!(
        rounds == [rounds[0]; 3],
        "feed_forward: gate, up, down round activations: {rounds:?}"
    );
}

fn one_feed_forward(op: &str, weights: &FeedForward, x: &Rows, out: &Rows) {
    let FeedForward { gate, up, down } = weights;
    assert_eq!(gate.cols(), x.cols(), "{op}: columns of gate, x");
    assert_eq!(up.cols(), x.cols(), "{op}: columns of up, x");
    assert_eq!(gate.rows(), up.rows(), "{op}: rows of gate, up");
    assert_eq!(
        down.cols(),
        gate.rows(),
        "{op}: columns of down, rows of gate"
    );
    assert_eq!(
        down.rows(),
        out.cols(),
        "{op}: rows of down, columns of out"
    );
}

pub(crate) fn route(logits: &Rows, rule: RouterRule) {
    assert!(
        rule.experts_per_token <= logits.cols(),
        "route: {} experts a token of {}",
        rule.experts_per_token,
        logits.cols()
    );
}

pub(crate) fn experts(
    x: &Rows,
    routing: &Routing,
    experts: &[FeedForward],
    shared: Option<&FeedForward>,
    out: &Rows,
) {
    assert_eq!(x.rows(), out.rows(), "experts: rows of x, out");
    let chosen = x.rows() * routing.experts_per_token;
    assert_eq!(
        routing.experts.len(),
        chosen,
        "experts: experts chosen, rows × experts a token"
    );
    assert_eq!(
        routing.weights.len(),
        chosen,
        "experts: weights, rows × experts a token"
    );
    for expert in &routing.experts {
        assert!(
            (*expert as usize) < experts.len(),
            "experts: expert {expert} of {}",
            experts.len()
        );
    }
    for weights in experts.iter().chain(shared) {
        one_feed_forward("experts", weights, x, out);
        assert!(
            !weights.gate.rounds_activations(),
            "experts: a gate rounds activations"
        );
    }
}

pub(crate) fn gather(x: &Rows, indices: &[u32], out: &Rows) {
    assert_eq!(out.rows(), indices.len(), "gather: rows of out, indices");
    assert_eq!(out.cols(), x.cols(), "gather: columns of out, x");
    for index in indices {
        assert!(
            (*index as usize) < x.rows(),
            "gather: row {index} of {}",
            x.rows()
        );
    }
}
