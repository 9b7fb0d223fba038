"""The network, once: shapes, parameters and the forward pass on packed rows.

Plain functions over a dictionary of tensors, so that the same definition trains in bf16 on CPU or CUDA and is checked in f32.
It must not know: data, optimiser, files.

The maths are transformers' `Mistral3ForConditionalGeneration` with `mistral4` text and `pixtral` vision. Two layouts differ from it and are
mapped by `export`: rotary lanes are stored half-split (all even lanes, then all odd lanes) because strided loads are slow, and matrices
that read the same input are fused.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from . import moe
from .attention import attend


@dataclass(frozen=True)
class Config:
    vocab_size: int = 4096
    hidden_size: int = 192
    num_layers: int = 6
    num_heads: int = 6
    qk_nope_head_dim: int = 16
    qk_rope_head_dim: int = 32
    v_head_dim: int = 32
    q_lora_rank: int = 96
    kv_lora_rank: int = 64
    num_experts: int = 32
    num_experts_per_token: int = 4
    expert_width: int = 96
    shared_width: int = 96
    rope_theta: float = 1000.0
    eps: float = 1e-6
    vision_hidden_size: int = 128
    vision_num_layers: int = 3
    vision_num_heads: int = 4
    vision_ffn_width: int = 256
    vision_rope_theta: float = 10000.0
    vision_eps: float = 1e-5
    patch_size: int = 14
    spatial_merge_size: int = 2
    image_token_id: int = 10
    aux_loss: float = 0.01

    @property
    def qk_head_dim(self) -> int:
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def vision_head_dim(self) -> int:
        return self.vision_hidden_size // self.vision_num_heads


@dataclass(frozen=True)
class Parameter:
    """One tensor. `rule` is the optimiser's: "matrix" (Muon, per `parts` equal row parts) or "vector" (AdamW). `std` is the initial
    deviation; None fills with ones."""

    shape: tuple[int, ...]
    rule: str
    std: float | None
    parts: int = 1


def parameters(c: Config) -> dict[str, Parameter]:
    """Every tensor by name, in storage order."""
    d, f = c.hidden_size, c.expert_width
    out_std = (2 * c.num_layers) ** -0.5
    table = {"embed": Parameter((c.vocab_size, d), "vector", 0.3)}
    for i in range(c.num_layers):
        p = f"layers.{i}."
        low, rank = c.q_lora_rank, c.kv_lora_rank + c.qk_rope_head_dim
        table |= {
            p + "in_norm": Parameter((d,), "vector", None),
            p + "a": Parameter((low + rank, d), "matrix", d**-0.5, 2 if low == rank else 1),
            p + "q_norm": Parameter((low,), "vector", None),
            p + "kv_norm": Parameter((c.kv_lora_rank,), "vector", None),
            p + "q_b": Parameter((c.num_heads * c.qk_head_dim, low), "matrix", low**-0.5),
            p + "kv_b": Parameter((c.num_heads * (c.qk_nope_head_dim + c.v_head_dim), c.kv_lora_rank), "matrix", c.kv_lora_rank**-0.5),
            p + "o": Parameter((d, c.num_heads * c.v_head_dim), "matrix", out_std * (c.num_heads * c.v_head_dim) ** -0.5),
            p + "post_norm": Parameter((d,), "vector", None),
            p + "router": Parameter((c.num_experts, d), "vector", 0.02),
            p + "gate_up": Parameter((c.num_experts, 2 * f, d), "matrix", d**-0.5, 2),
            p + "down": Parameter((c.num_experts, d, f), "matrix", out_std * f**-0.5),
            p + "shared_gate_up": Parameter((2 * c.shared_width, d), "matrix", d**-0.5, 2),
            p + "shared_down": Parameter((d, c.shared_width), "matrix", out_std * c.shared_width**-0.5),
        }
    table |= {"norm": Parameter((d,), "vector", None), "head": Parameter((c.vocab_size, d), "vector", 0.02)}
    return table | vision_parameters(c)


def vision_parameters(c: Config) -> dict[str, Parameter]:
    d, f, pixels = c.vision_hidden_size, c.vision_ffn_width, 3 * c.patch_size**2
    out_std = (2 * c.vision_num_layers) ** -0.5
    table = {
        "vision.patch": Parameter((d, pixels), "vector", pixels**-0.5),
        "vision.ln_pre": Parameter((d,), "vector", None),
    }
    for i in range(c.vision_num_layers):
        p = f"vision.layers.{i}."
        table |= {
            p + "attn_norm": Parameter((d,), "vector", None),
            p + "qkv": Parameter((3 * d, d), "matrix", d**-0.5, 3),
            p + "o": Parameter((d, d), "matrix", out_std * d**-0.5),
            p + "ffn_norm": Parameter((d,), "vector", None),
            p + "gate_up": Parameter((2 * f, d), "matrix", d**-0.5, 2),
            p + "down": Parameter((d, f), "matrix", out_std * f**-0.5),
        }
    return table | {
        "projector.norm": Parameter((d,), "vector", None),
        "projector.merge": Parameter((d, d * c.spatial_merge_size**2), "matrix", (4 * d) ** -0.5),
        "projector.linear_1": Parameter((c.hidden_size, d), "matrix", d**-0.5),
        "projector.linear_2": Parameter((c.hidden_size, c.hidden_size), "matrix", 0.3 * c.hidden_size**-0.5),
    }


def views(flat: Tensor, table: dict[str, Parameter]) -> dict[str, Tensor]:
    """Cuts a flat buffer into the named tensors; shares storage."""
    out, at = {}, 0
    for name, p in table.items():
        n = 1
        for size in p.shape:
            n *= size
        out[name] = flat[at : at + n].view(p.shape)
        at += n
    return out


def num_parameters(table: dict[str, Parameter]) -> int:
    return sum(torch.Size(p.shape).numel() for p in table.values())


def initialise(weights: dict[str, Tensor], table: dict[str, Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, p in table.items():
        value = torch.ones(p.shape) if p.std is None else torch.randn(p.shape, generator=generator) * p.std
        weights[name].copy_(value)


@dataclass
class Batch:
    """Packed rows, all of one length.

    ids [R*T] int64; segment [R, T] int32 (document in the row, -1 padding); position [R*T] int32 within the document;
    target_at [M] int64 rows whose NEXT token is a target, target [M] int64; valid [R*T] float (0 at padding).
    Images, packed like text: patches [I, P, 3*14*14] zero-padded, patch_row/patch_column [I, P] int32, patch_segment [I, P] int32 (image in
    the row, -1 padding), merge_from [K, 4] int64 (rows of the flattened [I*P] patches, order dy*2+dx), image_at [K] int64 (the image token's row). `sample` [R*T] int64 is the place in
    `labels` (skill, kind), -1 at padding.
    """

    rows: int
    length: int
    ids: Tensor
    segment: Tensor
    position: Tensor
    target_at: Tensor
    target: Tensor
    sample: Tensor
    valid: Tensor
    labels: list[tuple[str, str]]
    patches: Tensor | None = None
    patch_row: Tensor | None = None
    patch_column: Tensor | None = None
    patch_segment: Tensor | None = None
    merge_from: Tensor | None = None
    image_at: Tensor | None = None

    def to(self, device: str, dtype: torch.dtype) -> "Batch":
        moved = {}
        for name, value in self.__dict__.items():
            if isinstance(value, Tensor):
                value = value.to(device, dtype if name == "patches" else value.dtype)
            moved[name] = value
        return Batch(**moved)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype) * weight


def swiglu(x: Tensor) -> Tensor:
    gate, up = x.chunk(2, -1)
    return (F.silu(gate.float()) * up.float()).to(x.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Half-split rotation of the last axis."""
    first, second = x.float().chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1).to(x.dtype)


def before_attention(x, w, cos, sin, rows: int, length: int, c: Config):
    """x [N, D] -> q, k [R, H, T, nope+rope] (q already scaled), v [R, H, T, v]."""
    h = rms_norm(x, w["in_norm"], c.eps)
    q_low, kv_low, k_rope = (h @ w["a"].t()).split((c.q_lora_rank, c.kv_lora_rank, c.qk_rope_head_dim), -1)
    q = rms_norm(q_low, w["q_norm"], c.eps) @ w["q_b"].t()
    kv = rms_norm(kv_low, w["kv_norm"], c.eps) @ w["kv_b"].t()
    q = q.view(rows, length, c.num_heads, c.qk_head_dim)
    kv = kv.view(rows, length, c.num_heads, c.qk_nope_head_dim + c.v_head_dim)
    cos, sin = cos.view(rows, length, 1, -1), sin.view(rows, length, 1, -1)
    q_nope, q_rope = q.split((c.qk_nope_head_dim, c.qk_rope_head_dim), -1)
    q = torch.cat((q_nope, rotate(q_rope, cos, sin)), -1) * c.qk_head_dim**-0.5
    k_nope, v = kv.split((c.qk_nope_head_dim, c.v_head_dim), -1)
    k_rope = rotate(k_rope.reshape(rows, length, 1, c.qk_rope_head_dim), cos, sin)
    k = torch.cat((k_nope, k_rope.expand(-1, -1, c.num_heads, -1)), -1)
    return tuple(t.transpose(1, 2).contiguous() for t in (q, k, v))


def after_attention(x, mixed, w, valid, c: Config):
    """Adds the attention output [R, H, T, v] and the shared expert; routes.

    Returns x' [N, D], the experts' input [N, D], routing weights [N, k] f32, expert ids [N, k], the load-balance loss.
    """
    mixed = mixed.transpose(1, 2).reshape(x.shape[0], -1)
    x = x + mixed @ w["o"].t()
    h = rms_norm(x, w["post_norm"], c.eps)
    probability = (h.float() @ w["router"].float().t()).softmax(-1)
    top, expert = probability.topk(c.num_experts_per_token, -1)
    weight = top / (top.sum(-1, keepdim=True) + 1e-20)
    chosen = torch.zeros_like(probability).scatter(-1, expert, 1.0) * valid[:, None]
    share = chosen.sum(0) / (valid.sum() * c.num_experts_per_token)
    mean = (probability * valid[:, None]).sum(0) / valid.sum()
    balance = c.num_experts * (share.detach() * mean).sum()
    x = x + swiglu(h @ w["shared_gate_up"].t()) @ w["shared_down"].t()
    return x, h, weight, expert, balance


def token_loss(x, norm, head, target, c: Config):
    """x [M, D] -> (cross entropy [M] f32, right [M] bool)."""
    logits = (rms_norm(x, norm, c.eps) @ head.t()).float()
    top, best = logits.max(-1, keepdim=True)
    log_sum = (logits - top).exp().sum(-1).log() + top.squeeze(-1)
    return log_sum - logits.gather(-1, target[:, None]).squeeze(-1), best.squeeze(-1) == target


def vision_layer(x, w, cos, sin, bias, c: Config):
    """x [I, P, vD]; bias [I, 1, P, P] additive mask."""
    images, patches, d = x.shape
    qkv = rms_norm(x, w["attn_norm"], c.vision_eps) @ w["qkv"].t()
    q, k, v = qkv.view(images, patches, 3, c.vision_num_heads, c.vision_head_dim).permute(2, 0, 3, 1, 4)
    q, k = rotate(q, cos, sin) * c.vision_head_dim**-0.5, rotate(k, cos, sin)
    p = ((q @ k.transpose(-1, -2)).float() + bias).softmax(-1).to(x.dtype)
    x = x + (p @ v).transpose(1, 2).reshape(images, patches, d) @ w["o"].t()
    return x + swiglu(rms_norm(x, w["ffn_norm"], c.vision_eps) @ w["gate_up"].t()) @ w["down"].t()


class Model:
    """The forward pass. `compile` fuses the element-wise chains with torch.compile; the maths are the same without."""

    def __init__(self, c: Config, weights: dict[str, Tensor], compile: bool):
        self.c, self.weights = c, weights
        self.layers = [self._under(f"layers.{i}.") for i in range(c.num_layers)]
        self.vision_layers = [self._under(f"vision.layers.{i}.") for i in range(c.vision_num_layers)]
        fuse = (lambda f, **k: torch.compile(f, **k)) if compile else (lambda f, **k: f)
        self.before = fuse(before_attention, dynamic=False)
        self.after = fuse(after_attention, dynamic=False)
        self.token_loss = fuse(token_loss, dynamic=True)
        self.vision_layer = fuse(vision_layer, dynamic=True)
        self.expert_use: list[Tensor] = []  # per layer, expert ids of the last forward [N, k]

    def _under(self, prefix: str) -> dict[str, Tensor]:
        return {n.removeprefix(prefix): t for n, t in self.weights.items() if n.startswith(prefix)}

    def hidden(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Final residual stream [N, D] and the summed load-balance loss."""
        c, w = self.c, self.weights
        x = F.embedding(batch.ids, w["embed"])
        if batch.patches is not None:
            x = x.index_copy(0, batch.image_at, self.image_features(batch).to(x.dtype))
        half = c.qk_rope_head_dim // 2
        frequency = c.rope_theta ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
        angle = batch.position[:, None].float() * frequency
        cos, sin = angle.cos(), angle.sin()
        bias = document_bias(batch.segment, x.dtype)
        balance = x.new_zeros((), dtype=torch.float32)
        self.expert_use = []
        for layer in self.layers:
            q, k, v = self.before(x, layer, cos, sin, batch.rows, batch.length, c)
            mixed = attend(q, k, v, bias)
            x, h, weight, expert, b = self.after(x, mixed, layer, batch.valid, c)
            x = x + moe.experts(h, weight, expert, layer["gate_up"], layer["down"])
            balance = balance + b
            self.expert_use.append(expert)
        return x, balance

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Cross entropy per target [M], right [M], load-balance loss."""
        x, balance = self.hidden(batch)
        loss, right = self.token_loss(
            x.index_select(0, batch.target_at), self.weights["norm"], self.weights["head"], batch.target, self.c
        )
        return loss, right, balance

    def logits(self, batch: Batch) -> Tensor:
        """[R*T, V]; for checks."""
        x, _ = self.hidden(batch)
        return rms_norm(x, self.weights["norm"], self.c.eps) @ self.weights["head"].t()

    def image_features(self, batch: Batch) -> Tensor:
        """One row per image token [K, D]."""
        c, w = self.c, self.weights
        x = rms_norm(batch.patches @ w["vision.patch"].t(), w["vision.ln_pre"], c.vision_eps)
        images, patches, d = x.shape
        quarter = c.vision_head_dim // 4
        index = torch.arange(quarter, device=x.device, dtype=torch.float32)
        row_frequency = c.vision_rope_theta ** (-4 * index / c.vision_head_dim)
        column_frequency = c.vision_rope_theta ** (-(4 * index + 2) / c.vision_head_dim)
        angle = torch.cat(
            (batch.patch_row[..., None].float() * row_frequency, batch.patch_column[..., None].float() * column_frequency), -1
        )[:, None]
        cos, sin = angle.cos(), angle.sin()
        same = batch.patch_segment[:, None, :, None] == batch.patch_segment[:, None, None, :]
        bias = torch.where(same, 0.0, -30000.0)
        for layer in self.vision_layers:
            x = self.vision_layer(x, layer, cos, sin, bias, c)
        x = rms_norm(x, w["projector.norm"], c.eps).view(images * patches, d)
        merged = x.index_select(0, batch.merge_from.reshape(-1)).view(-1, c.spatial_merge_size**2, d)
        merged = merged.transpose(1, 2).reshape(-1, d * c.spatial_merge_size**2) @ w["projector.merge"].t()
        return F.gelu(merged @ w["projector.linear_1"].t()) @ w["projector.linear_2"].t()


def document_bias(segment: Tensor, dtype: torch.dtype) -> Tensor:
    """[R, T, T]: 0 where the query may see the key (same document, not later), else very negative."""
    length = segment.shape[1]
    same = segment[:, :, None] == segment[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool, device=segment.device).tril()
    return torch.zeros(same.shape, dtype=dtype, device=segment.device).masked_fill_(~(same & causal), -30000.0)
