//! One table: what each part of the model is called in each form of checkpoint.

/// The forms of checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// safetensors with Hugging Face's names.
    HuggingFace,
    /// GGUF with llama.cpp's names.
    Gguf,
}

/// A part of the model that has a tensor of its own in some form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Embedding,
    OutputNorm,
    Head,
    InputNorm,
    PostNorm,
    Query,
    Key,
    Value,
    AttentionOutput,
    QueryA,
    QueryANorm,
    QueryB,
    KvA,
    KvANorm,
    KvB,
    KeyB,
    ValueB,
    Router,
    Gate,
    Up,
    Down,
    SharedGate,
    SharedUp,
    SharedDown,
    ExpertsGateUp,
    ExpertsGate,
    ExpertsUp,
    ExpertsDown,
    ExpertGate,
    ExpertUp,
    ExpertDown,
    PatchConv,
    PatchNorm,
    TowerAttentionNorm,
    TowerQuery,
    TowerKey,
    TowerValue,
    TowerOutput,
    TowerFeedForwardNorm,
    TowerGate,
    TowerUp,
    TowerDown,
    ProjectorNorm,
    Merger,
    Linear1,
    Linear1Bias,
    Linear2,
    Linear2Bias,
    RopeFactors,
    BreakEmbedding,
}

/// The head's names: it has none of the text model's prefixes.
pub(super) const HEADS: &[&str] = &["lm_head.weight", "language_model.lm_head.weight"];

/// What may stand before a text tensor's name: current, older, and text-only files.
const PREFIXES: &[&str] = &["model.language_model.", "language_model.model.", "model."];

/// Part, name in Hugging Face's form after the prefix, name in a GGUF; empty where a form has no such tensor. `{l}` is
/// the layer, `{e}` the expert.
const NAMES: &[(Part, &str, &str)] = &[
    (Part::Embedding, "embed_tokens.weight", "token_embd.weight"),
    (Part::OutputNorm, "norm.weight", "output_norm.weight"),
    (
        Part::InputNorm,
        "layers.{l}.input_layernorm.weight",
        "blk.{l}.attn_norm.weight",
    ),
    (
        Part::PostNorm,
        "layers.{l}.post_attention_layernorm.weight",
        "blk.{l}.ffn_norm.weight",
    ),
    (
        Part::Query,
        "layers.{l}.self_attn.q_proj.weight",
        "blk.{l}.attn_q.weight",
    ),
    (
        Part::Key,
        "layers.{l}.self_attn.k_proj.weight",
        "blk.{l}.attn_k.weight",
    ),
    (
        Part::Value,
        "layers.{l}.self_attn.v_proj.weight",
        "blk.{l}.attn_v.weight",
    ),
    (
        Part::AttentionOutput,
        "layers.{l}.self_attn.o_proj.weight",
        "blk.{l}.attn_output.weight",
    ),
    (
        Part::QueryA,
        "layers.{l}.self_attn.q_a_proj.weight",
        "blk.{l}.attn_q_a.weight",
    ),
    (
        Part::QueryANorm,
        "layers.{l}.self_attn.q_a_layernorm.weight",
        "blk.{l}.attn_q_a_norm.weight",
    ),
    (
        Part::QueryB,
        "layers.{l}.self_attn.q_b_proj.weight",
        "blk.{l}.attn_q_b.weight",
    ),
    (
        Part::KvA,
        "layers.{l}.self_attn.kv_a_proj_with_mqa.weight",
        "blk.{l}.attn_kv_a_mqa.weight",
    ),
    (
        Part::KvANorm,
        "layers.{l}.self_attn.kv_a_layernorm.weight",
        "blk.{l}.attn_kv_a_norm.weight",
    ),
    (
        Part::KvB,
        "layers.{l}.self_attn.kv_b_proj.weight",
        "blk.{l}.attn_kv_b.weight",
    ),
    (Part::KeyB, "", "blk.{l}.attn_k_b.weight"),
    (Part::ValueB, "", "blk.{l}.attn_v_b.weight"),
    (
        Part::Router,
        "layers.{l}.mlp.gate.weight",
        "blk.{l}.ffn_gate_inp.weight",
    ),
    (
        Part::Gate,
        "layers.{l}.mlp.gate_proj.weight",
        "blk.{l}.ffn_gate.weight",
    ),
    (
        Part::Up,
        "layers.{l}.mlp.up_proj.weight",
        "blk.{l}.ffn_up.weight",
    ),
    (
        Part::Down,
        "layers.{l}.mlp.down_proj.weight",
        "blk.{l}.ffn_down.weight",
    ),
    (
        Part::SharedGate,
        "layers.{l}.mlp.shared_experts.gate_proj.weight",
        "blk.{l}.ffn_gate_shexp.weight",
    ),
    (
        Part::SharedUp,
        "layers.{l}.mlp.shared_experts.up_proj.weight",
        "blk.{l}.ffn_up_shexp.weight",
    ),
    (
        Part::SharedDown,
        "layers.{l}.mlp.shared_experts.down_proj.weight",
        "blk.{l}.ffn_down_shexp.weight",
    ),
    (
        Part::ExpertsGateUp,
        "layers.{l}.mlp.experts.gate_up_proj",
        "blk.{l}.ffn_gate_up_exps.weight",
    ),
    (Part::ExpertsGate, "", "blk.{l}.ffn_gate_exps.weight"),
    (Part::ExpertsUp, "", "blk.{l}.ffn_up_exps.weight"),
    (
        Part::ExpertsDown,
        "layers.{l}.mlp.experts.down_proj",
        "blk.{l}.ffn_down_exps.weight",
    ),
    (
        Part::ExpertGate,
        "layers.{l}.mlp.experts.{e}.gate_proj.weight",
        "",
    ),
    (
        Part::ExpertUp,
        "layers.{l}.mlp.experts.{e}.up_proj.weight",
        "",
    ),
    (
        Part::ExpertDown,
        "layers.{l}.mlp.experts.{e}.down_proj.weight",
        "",
    ),
    (Part::RopeFactors, "", "rope_freqs.weight"),
];

/// What may stand before the name of a tensor of the vision tower or the projector: current and older files.
const VISION_PREFIXES: &[&str] = &["model.", ""];

/// As [`NAMES`], for the vision tower and the projector.
const VISION_NAMES: &[(Part, &str, &str)] = &[
    (
        Part::PatchConv,
        "vision_tower.patch_conv.weight",
        "v.patch_embd.weight",
    ),
    (
        Part::PatchNorm,
        "vision_tower.ln_pre.weight",
        "v.pre_ln.weight",
    ),
    (
        Part::TowerAttentionNorm,
        "vision_tower.transformer.layers.{l}.attention_norm.weight",
        "v.blk.{l}.ln1.weight",
    ),
    (
        Part::TowerQuery,
        "vision_tower.transformer.layers.{l}.attention.q_proj.weight",
        "v.blk.{l}.attn_q.weight",
    ),
    (
        Part::TowerKey,
        "vision_tower.transformer.layers.{l}.attention.k_proj.weight",
        "v.blk.{l}.attn_k.weight",
    ),
    (
        Part::TowerValue,
        "vision_tower.transformer.layers.{l}.attention.v_proj.weight",
        "v.blk.{l}.attn_v.weight",
    ),
    (
        Part::TowerOutput,
        "vision_tower.transformer.layers.{l}.attention.o_proj.weight",
        "v.blk.{l}.attn_out.weight",
    ),
    (
        Part::TowerFeedForwardNorm,
        "vision_tower.transformer.layers.{l}.ffn_norm.weight",
        "v.blk.{l}.ln2.weight",
    ),
    (
        Part::TowerGate,
        "vision_tower.transformer.layers.{l}.feed_forward.gate_proj.weight",
        "v.blk.{l}.ffn_gate.weight",
    ),
    (
        Part::TowerUp,
        "vision_tower.transformer.layers.{l}.feed_forward.up_proj.weight",
        "v.blk.{l}.ffn_up.weight",
    ),
    (
        Part::TowerDown,
        "vision_tower.transformer.layers.{l}.feed_forward.down_proj.weight",
        "v.blk.{l}.ffn_down.weight",
    ),
    (
        Part::ProjectorNorm,
        "multi_modal_projector.norm.weight",
        "mm.input_norm.weight",
    ),
    (
        Part::Merger,
        "multi_modal_projector.patch_merger.merging_layer.weight",
        "mm.patch_merger.weight",
    ),
    (
        Part::Linear1,
        "multi_modal_projector.linear_1.weight",
        "mm.1.weight",
    ),
    (
        Part::Linear1Bias,
        "multi_modal_projector.linear_1.bias",
        "mm.1.bias",
    ),
    (
        Part::Linear2,
        "multi_modal_projector.linear_2.weight",
        "mm.2.weight",
    ),
    (
        Part::Linear2Bias,
        "multi_modal_projector.linear_2.bias",
        "mm.2.bias",
    ),
    (Part::BreakEmbedding, "", "v.token_embd.img_break"),
];

/// Where in the model a part is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) layer: usize,
    pub(super) expert: usize,
}

/// All names under which a part may be found, best first; none if the form has no such tensor.
pub(super) fn candidates(form: Form, part: Part, place: Place) -> Vec<String> {
    if part == Part::Head {
        return match form {
            Form::HuggingFace => HEADS.iter().map(|name| (*name).to_owned()).collect(),
            Form::Gguf => vec!["output.weight".to_owned()],
        };
    }
    let row = |names: &'static [(Part, &str, &str)]| names.iter().find(|row| row.0 == part);
    let (prefixes, row) = match row(NAMES) {
        Some(row) => (PREFIXES, Some(row)),
        None => (VISION_PREFIXES, row(VISION_NAMES)),
    };
    let Some((_, hugging_face, gguf)) = row else {
        return Vec::new();
    };
    let fill = |name: &str| {
        name.replace("{l}", &place.layer.to_string())
            .replace("{e}", &place.expert.to_string())
    };
    match form {
        Form::HuggingFace if hugging_face.is_empty() => Vec::new(),
        Form::HuggingFace => prefixes
            .iter()
            .map(|prefix| format!("{prefix}{}", fill(hugging_face)))
            .collect(),
        Form::Gguf if gguf.is_empty() => Vec::new(),
        Form::Gguf => vec![fill(gguf)],
    }
}

/// What a part is called in a GGUF; empty if GGUFs have no such tensor.
pub(super) fn gguf_name(part: Part, place: Place) -> String {
    let names = candidates(Form::Gguf, part, place);
    names.into_iter().next().unwrap_or_default()
}

/// What an unused tensor is, by how its name begins (or, with a `*` first, ends).
const UNUSED: &[(&str, &str)] = &[
    (
        "*.patch_positional_embedding.inv_freq",
        "frequencies of the rotary embedding, computed instead",
    ),
    ("model.vision_tower.", VISION),
    ("vision_tower.", VISION),
    ("model.multi_modal_projector.", VISION),
    ("multi_modal_projector.", VISION),
    (
        "v.token_embd.img_break",
        "the embedding of [IMG_BREAK], taken from the text model instead",
    ),
    ("v.", VISION),
    ("mm.", VISION),
    (
        "rope_freqs.",
        "frequency factors of the rotary embedding, read into the configuration",
    ),
    (
        "*.rotary_emb.inv_freq",
        "frequencies of the rotary embedding, computed instead",
    ),
];

const VISION: &str = "vision tower and projector, loaded apart from the text model";

/// What an unused tensor is, in words.
pub(super) fn describe_unused(name: &str) -> &'static str {
    let matches = |pattern: &str| match pattern.strip_prefix('*') {
        Some(end) => name.ends_with(end),
        None => name.starts_with(pattern),
    };
    UNUSED
        .iter()
        .find(|(pattern, _)| matches(pattern))
        .map_or("not known to this program", |(_, what)| what)
}

/// Whether a tensor belongs to the vision tower or the projector.
pub(super) fn is_vision(name: &str) -> bool {
    describe_unused(name) == VISION
}

/// Whether a tensor that a vision tower has no use for is known to be harmless.
pub(super) fn is_harmless_beside_vision(name: &str) -> bool {
    is_harmless(name) && !is_vision(name)
}

/// Whether an unused tensor is known to be harmless.
pub(super) fn is_harmless(name: &str) -> bool {
    UNUSED
        .iter()
        .any(|(_, what)| *what == describe_unused(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_name_in_some_form_and_none_has_two_rows() {
        let names = [NAMES, VISION_NAMES].concat();
        for (index, (part, hugging_face, gguf)) in names.iter().enumerate() {
            assert!(!hugging_face.is_empty() || !gguf.is_empty(), "{part:?}");
            assert!(
                names[index + 1..].iter().all(|(other, _, _)| other != part),
                "{part:?} twice"
            );
        }
    }

    #[test]
    fn names_carry_layer_and_expert() {
        let place = Place {
            layer: 7,
            expert: 12,
        };
        let names = candidates(Form::HuggingFace, Part::ExpertUp, place);
        assert_eq!(
            names[0],
            "model.language_model.layers.7.mlp.experts.12.up_proj.weight"
        );
        assert_eq!(
            names[1],
            "language_model.model.layers.7.mlp.experts.12.up_proj.weight"
        );
        assert_eq!(names[2], "model.layers.7.mlp.experts.12.up_proj.weight");
        assert!(candidates(Form::Gguf, Part::ExpertUp, place).is_empty());
        assert_eq!(
            candidates(Form::Gguf, Part::KeyB, place),
            ["blk.7.attn_k_b.weight"]
        );
    }

    #[test]
    fn unused_tensors_are_told_apart() {
        assert_eq!(describe_unused("model.vision_tower.ln_pre.weight"), VISION);
        assert!(is_harmless("model.layers.0.self_attn.rotary_emb.inv_freq"));
        assert!(!is_harmless("blk.0.attn_q.bias"));
    }
}
