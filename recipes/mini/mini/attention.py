"""Causal attention inside documents, forward and backward, as explicit matrix products.

On CPU the fused kernels of PyTorch are slower than bf16 products with one softmax pass between them. Must not know the model.
"""

import torch
from torch import Tensor

CHUNK = 128  # queries at a time: keys after the chunk are skipped, and the scores stay in cache


def softmax_rows(score: Tensor, bias: Tensor) -> Tensor:
    """score [R, H, Q, K], bias [R, Q, K] -> probabilities in score's dtype."""
    return (score.float() + bias[:, None].float()).softmax(-1).to(score.dtype)


def softmax_rows_backward(probability: Tensor, grad: Tensor) -> Tensor:
    wide, g = probability.float(), grad.float()
    return (wide * (g - (wide * g).sum(-1, keepdim=True))).to(grad.dtype)


_compiled = {}


def _fused(f):
    if f not in _compiled:
        _compiled[f] = torch.compile(f, dynamic=True)
    return _compiled[f]


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v, bias):
        rows, heads, length, _ = q.shape
        fuse = _fused if q.dtype == torch.bfloat16 else (lambda f: f)
        q, k, v = (t.reshape(rows * heads, length, -1) for t in (q, k, v))
        out = torch.empty_like(v)
        saved = []
        for start in range(0, length, CHUNK):
            stop = min(start + CHUNK, length)
            score = torch.bmm(q[:, start:stop], k[:, :stop].transpose(1, 2)).view(rows, heads, stop - start, stop)
            p = fuse(softmax_rows)(score, bias[:, start:stop, :stop]).view(rows * heads, stop - start, stop)
            if length <= CHUNK:
                torch.bmm(p, v, out=out)
            else:
                out[:, start:stop] = torch.bmm(p, v[:, :stop])
            saved.append(p)
        ctx.save_for_backward(q, k, v, *saved)
        return out.view(rows, heads, length, -1)

    @staticmethod
    def backward(ctx, grad):
        q, k, v, *saved = ctx.saved_tensors
        rows, heads, length, _ = grad.shape
        fuse = _fused if q.dtype == torch.bfloat16 else (lambda f: f)
        grad = grad.reshape(rows * heads, length, -1)
        dq = torch.empty_like(q)
        dk, dv = (torch.empty_like(k), torch.empty_like(v)) if length <= CHUNK else (torch.zeros_like(k), torch.zeros_like(v))
        for start, p in zip(range(0, length, CHUNK), saved, strict=True):
            stop = min(start + CHUNK, length)
            g = grad[:, start:stop]
            ds = fuse(softmax_rows_backward)(p, torch.bmm(g, v[:, :stop].transpose(1, 2)))
            if length <= CHUNK:
                torch.bmm(p.transpose(1, 2), g, out=dv)
                torch.bmm(ds, k, out=dq)
                torch.bmm(ds.transpose(1, 2), q, out=dk)
                continue
            dv[:, :stop] += torch.bmm(p.transpose(1, 2), g)
            dq[:, start:stop] = torch.bmm(ds, k[:, :stop])
            dk[:, :stop] += torch.bmm(ds.transpose(1, 2), q[:, start:stop])
        return *(t.view(rows, heads, length, -1) for t in (dq, dk, dv)), None


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """q, k [R, H, T, d], v [R, H, T, e], bias [R, T, T] additive -> [R, H, T, e]. q carries the scale."""
    return _Attend.apply(q, k, v, bias)
