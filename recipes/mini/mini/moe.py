"""The routed experts, drop-free: tokens sorted by expert, one product per expert, forward and backward as row gathers.

Must not know the model; it takes the routing as given.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

GROUP = 32  # an expert's rows are padded to a multiple, so that the CPU library compiles few shapes


def weighted_swiglu(hidden: Tensor, weight: Tensor) -> Tensor:
    """hidden [S, 2F], weight [S] -> silu(gate)*up*weight [S, F]."""
    gate, up = hidden.float().chunk(2, -1)
    return (gate * torch.sigmoid(gate) * up * weight[:, None]).to(hidden.dtype)


def weighted_swiglu_backward(hidden: Tensor, weight: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    gate, up = hidden.float().chunk(2, -1)
    g = grad.float()
    sigmoid = torch.sigmoid(gate)
    silu = gate * sigmoid
    scaled = g * weight[:, None]
    d_gate = scaled * up * (sigmoid + silu * (1 - sigmoid))
    return torch.cat((d_gate, scaled * silu), -1).to(hidden.dtype), (g * silu * up).sum(-1)


_compiled = {}


def _fused(f):
    if f not in _compiled:
        _compiled[f] = torch.compile(f, dynamic=True)
    return _compiled[f]


def gather_sum(x: Tensor, slots: Tensor) -> Tensor:
    """x [S, D], slots [N, k] -> sum over k of x[slots] [N, D]."""
    return F.embedding_bag(slots, x, mode="sum")


def grouped(x: Tensor, weight: Tensor, ends: list[int]) -> Tensor:
    """Rows ends[e-1]..ends[e] of x times weight[e] ([E, in, out], any strides)."""
    if x.is_cuda:
        return F.grouped_mm(x, weight, offs=torch.tensor(ends, dtype=torch.int32, device=x.device))
    out = x.new_empty(x.shape[0], weight.shape[2])
    start = 0
    for e, stop in enumerate(ends):
        if stop > start:
            torch.mm(x[start:stop], weight[e], out=out[start:stop])
        start = stop
    return out


def grouped_outer(a: Tensor, b: Tensor, ends: list[int]) -> Tensor:
    """Per expert aᵀ·b over its rows: [E, a, b]."""
    if a.is_cuda:
        return F.grouped_mm(a.t(), b, offs=torch.tensor(ends, dtype=torch.int32, device=a.device))
    out = a.new_zeros(len(ends), a.shape[1], b.shape[1])
    start = 0
    for e, stop in enumerate(ends):
        if stop > start:
            torch.mm(a[start:stop].t(), b[start:stop], out=out[e])
        start = stop
    return out


def plan(expert: Tensor, num_experts: int) -> tuple[Tensor, Tensor, list[int], Tensor]:
    """Slot table for expert ids [N, k].

    Returns slots [N, k] (each choice's row), token [S] (the token of each row; padding rows name token 0), ends per expert, and the
    flat choice of each row [S] with -1 at padding.
    """
    flat = expert.reshape(-1)
    order = flat.argsort(stable=True)
    counts = torch.bincount(flat, minlength=num_experts)
    padded = (counts + GROUP - 1) // GROUP * GROUP
    ends = padded.cumsum(0)
    shift = (ends - padded) - (counts.cumsum(0) - counts)
    place = torch.arange(flat.numel(), device=flat.device) + shift[flat[order]]
    slots = torch.empty_like(flat)
    slots[order] = place
    total = ends.tolist()
    choice = torch.full((total[-1],), -1, dtype=torch.long, device=flat.device)
    choice[place] = order
    return slots.view_as(expert), choice.clamp(min=0) // expert.shape[1], total, choice


class _Experts(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, expert, gate_up, down):
        fuse = _fused if x.dtype == torch.bfloat16 else (lambda f: f)
        slots, token, ends, choice = plan(expert, gate_up.shape[0])
        row_weight = weight.reshape(-1)[choice.clamp(min=0)] * (choice >= 0)
        rows = x.index_select(0, token)
        hidden = grouped(rows, gate_up.transpose(1, 2), ends)
        active = fuse(weighted_swiglu)(hidden, row_weight)
        out = gather_sum(grouped(active, down.transpose(1, 2), ends), slots)
        ctx.save_for_backward(rows, hidden, active, row_weight, slots, token, gate_up, down)
        ctx.ends = ends
        return out

    @staticmethod
    def backward(ctx, grad):
        rows, hidden, active, row_weight, slots, token, gate_up, down = ctx.saved_tensors
        fuse = _fused if rows.dtype == torch.bfloat16 else (lambda f: f)
        spread = grad.index_select(0, token)
        d_down = grouped_outer(spread, active, ctx.ends)
        d_active = grouped(spread, down, ctx.ends)
        d_hidden, d_row_weight = fuse(weighted_swiglu_backward)(hidden, row_weight, d_active)
        d_gate_up = grouped_outer(d_hidden, rows, ctx.ends)
        d_x = gather_sum(grouped(d_hidden, gate_up, ctx.ends), slots)
        return d_x, d_row_weight[slots], None, d_gate_up, d_down


def experts(x: Tensor, weight: Tensor, expert: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """x [N, D], weight [N, k] f32, expert [N, k], gate_up [E, 2F, D] (gate first), down [E, D, F] -> [N, D]."""
    return _Experts.apply(x, weight, expert, gate_up, down)
