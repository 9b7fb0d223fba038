"""Weights to and from the Hugging Face form: `python -m mini.export --state DIR --out models/mini`.

The only place that knows both layouts. Rotary rows are stored half-split in training and interleaved outside; fused matrices are cut.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from . import state
from .model import Config, num_parameters, parameters, views

HERE = Path(__file__).resolve().parent.parent
# Positions a reader may go to. Training stops at 4,600; past that replies get worse, but a long prompt (an agent's instructions) is read.
MAX_CONTEXT = 32768


def interleaved(rows: Tensor) -> Tensor:
    """[..., r, in] half-split -> pairs side by side."""
    first, second = rows.chunk(2, -2)
    return torch.stack((first, second), -2).flatten(-3, -2)


def half_split(rows: Tensor) -> Tensor:
    return torch.cat((rows[..., 0::2, :], rows[..., 1::2, :]), -2)


def turn_rope(matrix: Tensor, c: Config, heads: int, width: int, turn) -> Tensor:
    """Applies `turn` to the last qk_rope_head_dim rows of each of `heads` groups of `width` rows."""
    grouped = matrix.view(heads, width, -1)
    plain = width - c.qk_rope_head_dim
    return torch.cat((grouped[:, :plain], turn(grouped[:, plain:])), 1).reshape(matrix.shape)


TEXT, VISION, PROJECTOR = "model.language_model.", "model.vision_tower.", "model.multi_modal_projector."


def same_name(c: Config) -> dict[str, str]:
    """Trainer name -> file name, for tensors that are stored as they are."""
    table = {
        "embed": TEXT + "embed_tokens.weight",
        "norm": TEXT + "norm.weight",
        "head": "lm_head.weight",
        "vision.ln_pre": VISION + "ln_pre.weight",
        "projector.norm": PROJECTOR + "norm.weight",
        "projector.merge": PROJECTOR + "patch_merger.merging_layer.weight",
        "projector.linear_1": PROJECTOR + "linear_1.weight",
        "projector.linear_2": PROJECTOR + "linear_2.weight",
    }
    text = {
        "in_norm": "input_layernorm.weight",
        "q_norm": "self_attn.q_a_layernorm.weight",
        "kv_norm": "self_attn.kv_a_layernorm.weight",
        "kv_b": "self_attn.kv_b_proj.weight",
        "o": "self_attn.o_proj.weight",
        "post_norm": "post_attention_layernorm.weight",
        "router": "mlp.gate.weight",
        "gate_up": "mlp.experts.gate_up_proj",
        "down": "mlp.experts.down_proj",
        "shared_down": "mlp.shared_experts.down_proj.weight",
    }
    vision = {
        "attn_norm": "attention_norm.weight",
        "o": "attention.o_proj.weight",
        "ffn_norm": "ffn_norm.weight",
        "down": "feed_forward.down_proj.weight",
    }
    for i in range(c.num_layers):
        table |= {f"layers.{i}.{ours}": f"{TEXT}layers.{i}.{theirs}" for ours, theirs in text.items()}
    for i in range(c.vision_num_layers):
        table |= {f"vision.layers.{i}.{ours}": f"{VISION}transformer.layers.{i}.{theirs}" for ours, theirs in vision.items()}
    return table


def cut_names(c: Config) -> dict[str, list[tuple[str, int]]]:
    """Trainer name -> [(file name, rows)] for fused matrices, before any turning."""
    table = {}
    for i in range(c.num_layers):
        ours, theirs = f"layers.{i}.", f"{TEXT}layers.{i}."
        table[ours + "a"] = [
            (theirs + "self_attn.q_a_proj.weight", c.q_lora_rank),
            (theirs + "self_attn.kv_a_proj_with_mqa.weight", c.kv_lora_rank + c.qk_rope_head_dim),
        ]
        table[ours + "q_b"] = [(theirs + "self_attn.q_b_proj.weight", c.num_heads * c.qk_head_dim)]
        shared = theirs + "mlp.shared_experts."
        table[ours + "shared_gate_up"] = [(shared + f"{n}_proj.weight", c.shared_width) for n in ("gate", "up")]
    for i in range(c.vision_num_layers):
        ours, theirs = f"vision.layers.{i}.", f"{VISION}transformer.layers.{i}."
        table[ours + "qkv"] = [(theirs + f"attention.{n}_proj.weight", c.vision_hidden_size) for n in "qkv"]
        table[ours + "gate_up"] = [(theirs + f"feed_forward.{n}_proj.weight", c.vision_ffn_width) for n in ("gate", "up")]
    return table


def turned(name: str, value: Tensor, c: Config, turn) -> Tensor:
    if name.endswith("q_b_proj.weight"):
        return turn_rope(value, c, c.num_heads, c.qk_head_dim, turn)
    if name.endswith("kv_a_proj_with_mqa.weight"):
        return turn_rope(value, c, 1, c.kv_lora_rank + c.qk_rope_head_dim, turn)
    return value


def to_hf(weights: dict[str, Tensor], c: Config) -> dict[str, Tensor]:
    out = {theirs: weights[ours] for ours, theirs in same_name(c).items()}
    for ours, pieces in cut_names(c).items():
        for (theirs, _), value in zip(pieces, weights[ours].split([rows for _, rows in pieces]), strict=True):
            out[theirs] = turned(theirs, value, c, interleaved)
    patch = weights["vision.patch"]
    out[VISION + "patch_conv.weight"] = patch.view(patch.shape[0], 3, c.patch_size, c.patch_size)
    return {name: value.detach().contiguous().clone() for name, value in out.items()}


def from_hf(tensors: dict[str, Tensor], c: Config) -> dict[str, Tensor]:
    out = {ours: tensors[theirs] for ours, theirs in same_name(c).items()}
    for ours, pieces in cut_names(c).items():
        out[ours] = torch.cat([turned(theirs, tensors[theirs], c, half_split) for theirs, _ in pieces])
    out["vision.patch"] = tensors[VISION + "patch_conv.weight"].flatten(1)
    return out


def hf_config(c: Config, dtype: str) -> dict:
    """config.json. RoPE settings on which all engines agree: YaRN with factor 1 leaves the frequencies alone."""
    rope = {
        "type": "yarn", "rope_type": "yarn", "rope_theta": c.rope_theta, "factor": 1.0, "original_max_position_embeddings": MAX_CONTEXT,
        "max_position_embeddings": MAX_CONTEXT, "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 0.0, "attention_factor": 1.0,
        "llama_4_scaling_beta": 0.1, "partial_rotary_factor": c.qk_rope_head_dim / c.qk_head_dim,
    }  # fmt: skip
    text = {
        "model_type": "mistral4", "vocab_size": c.vocab_size, "hidden_size": c.hidden_size, "intermediate_size": 4 * c.hidden_size,
        "moe_intermediate_size": c.expert_width, "num_hidden_layers": c.num_layers, "num_attention_heads": c.num_heads,
        "num_key_value_heads": c.num_heads, "n_shared_experts": c.shared_width // c.expert_width, "n_routed_experts": c.num_experts,
        "routed_scaling_factor": 1.0, "kv_lora_rank": c.kv_lora_rank, "q_lora_rank": c.q_lora_rank,
        "qk_rope_head_dim": c.qk_rope_head_dim, "v_head_dim": c.v_head_dim, "qk_nope_head_dim": c.qk_nope_head_dim,
        "head_dim": c.qk_head_dim, "n_group": 1, "topk_group": 1, "num_experts_per_tok": c.num_experts_per_token,
        "first_k_dense_replace": 0, "norm_topk_prob": True, "hidden_act": "silu", "max_position_embeddings": MAX_CONTEXT,
        "initializer_range": 0.02, "rms_norm_eps": c.eps, "use_cache": True, "pad_token_id": 11, "bos_token_id": 1, "eos_token_id": 2,
        "tie_word_embeddings": False, "rope_interleave": True, "attention_bias": False, "attention_dropout": 0.0, "rope_parameters": rope,
    }  # fmt: skip
    vision = {
        "model_type": "pixtral", "hidden_size": c.vision_hidden_size, "intermediate_size": c.vision_ffn_width,
        "num_hidden_layers": c.vision_num_layers, "num_attention_heads": c.vision_num_heads, "head_dim": c.vision_head_dim,
        "num_channels": 3, "image_size": 1540, "patch_size": c.patch_size, "hidden_act": "silu", "attention_dropout": 0.0,
        "initializer_range": 0.02, "rope_parameters": {"rope_type": "axial", "rope_theta": c.vision_rope_theta},
    }  # fmt: skip
    return {
        "architectures": ["Mistral3ForConditionalGeneration"], "model_type": "mistral3", "dtype": dtype, "image_token_index": c.image_token_id,
        "multimodal_projector_bias": False, "projector_hidden_act": "gelu", "spatial_merge_size": c.spatial_merge_size,
        "tie_word_embeddings": False, "vision_feature_layer": -1, "text_config": text, "vision_config": vision,
    }  # fmt: skip


def own_config(hf: dict) -> Config:
    """The reverse of hf_config."""
    text, vision = hf["text_config"], hf["vision_config"]
    return Config(
        vocab_size=text["vocab_size"], hidden_size=text["hidden_size"], num_layers=text["num_hidden_layers"],
        num_heads=text["num_attention_heads"], qk_nope_head_dim=text["qk_nope_head_dim"], qk_rope_head_dim=text["qk_rope_head_dim"],
        v_head_dim=text["v_head_dim"], q_lora_rank=text["q_lora_rank"], kv_lora_rank=text["kv_lora_rank"],
        num_experts=text["n_routed_experts"], num_experts_per_token=text["num_experts_per_tok"],
        expert_width=text["moe_intermediate_size"], shared_width=text["moe_intermediate_size"] * text["n_shared_experts"],
        rope_theta=text["rope_parameters"]["rope_theta"], eps=text["rms_norm_eps"], vision_hidden_size=vision["hidden_size"],
        vision_num_layers=vision["num_hidden_layers"], vision_num_heads=vision["num_attention_heads"],
        vision_ffn_width=vision["intermediate_size"], vision_rope_theta=vision["rope_parameters"]["rope_theta"],
        patch_size=vision["patch_size"], spatial_merge_size=hf["spatial_merge_size"], image_token_id=hf["image_token_index"],
    )  # fmt: skip


def load_flat(directory: Path) -> tuple[Config, Tensor]:
    """Configuration and flat f32 parameters of an exported checkpoint."""
    c = own_config(json.loads((directory / "config.json").read_text()))
    table = parameters(c)
    flat = torch.zeros(num_parameters(table))
    place = views(flat, table)
    for name, value in from_hf(load_file(directory / "model.safetensors"), c).items():
        place[name].copy_(value)
    return c, flat


def write(directory: Path, c: Config, flat: Tensor, tekken: Path) -> None:
    """The checkpoint in bf16: config.json, generation_config.json, model.safetensors, tekken.json."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = to_hf(views(flat.bfloat16(), parameters(c)), c)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    generation = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 11, "do_sample": False, "max_length": MAX_CONTEXT}
    for name, content in (("config.json", hf_config(c, "bfloat16")), ("generation_config.json", generation)):
        (directory / name).write_text(json.dumps(content, indent=2) + "\n")
    if tekken.resolve() != (directory / "tekken.json").resolve():
        shutil.copyfile(tekken, directory / "tekken.json")


def main() -> None:
    from .tokenizer import PATH

    p = argparse.ArgumentParser(prog="mini.export", description=__doc__)
    p.add_argument("--state", type=Path, default=HERE / "run", help="a state file, or a directory with decay.pt or constant.pt")
    p.add_argument("--out", type=Path, default=HERE.parent.parent / "models" / "mini")
    a = p.parse_args()
    path = a.state
    if path.is_dir():
        path = path / ("decay.pt" if (path / "decay.pt").exists() else "constant.pt")
    c, progress, tensors = state.load(path)
    write(a.out, c, tensors["master"], PATH)
    size = (a.out / "model.safetensors").stat().st_size / 2**20
    print(f"{path} (step {progress.step}, {progress.tokens / 1e6:.1f} M tokens) -> {a.out}, {size:.1f} MiB")


if __name__ == "__main__":
    main()
