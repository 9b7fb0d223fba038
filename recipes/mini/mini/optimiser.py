"""Muon for matrices, AdamW for the rest, on flat buffers that processes share; each process updates the tensors it owns.

Muon: momentum, then five Newton-Schulz steps that replace the singular values of the update by about one (Jordan et al. 2024), scaled by
sqrt(max(1, rows/columns)). Must not know the model's maths, data or files.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .model import Parameter, num_parameters, views


@dataclass(frozen=True)
class Rates:
    """Learning rates and the rest, before the schedule's factor."""

    matrix: float = 0.02
    vector: float = 3e-3
    momentum: float = 0.95
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.05
    clip: float = 1.0


@dataclass
class Buffers:
    """Flat storage. master, first, second f32; weights and grads (one per process) in the working dtype."""

    master: Tensor
    first: Tensor
    second: Tensor
    weights: Tensor
    grads: list[Tensor]

    @staticmethod
    def allocate(table: dict[str, Parameter], processes: int, dtype: torch.dtype, device: str) -> "Buffers":
        n = num_parameters(table)
        master, first, second = (torch.zeros(n, device=device) for _ in range(3))
        weights = torch.zeros(n, dtype=dtype, device=device)
        return Buffers(master, first, second, weights, [torch.zeros_like(weights) for _ in range(processes)])

    def share(self) -> None:
        for tensor in (self.master, self.first, self.second, self.weights, *self.grads):
            tensor.share_memory_()


def orthogonalise(x: Tensor) -> Tensor:
    """x [n, r, c] with r <= c -> the same singular vectors with singular values near one, in bf16."""
    x = x.bfloat16()
    x = x / (x.float().square().sum((1, 2), keepdim=True).sqrt() + 1e-7).to(x.dtype)
    for _ in range(5):
        square = torch.bmm(x, x.transpose(1, 2))
        polynomial = torch.baddbmm(square, square, square, beta=-4.7750, alpha=2.0315)
        x = torch.baddbmm(x, polynomial, x, beta=3.4445)
    return x


def owners(table: dict[str, Parameter], processes: int) -> dict[str, int]:
    """Shares the tensors out so that each process has about the same optimiser work."""
    load = [0.0] * processes
    owner = {}
    cost = {n: torch.Size(p.shape).numel() * (6 if p.rule == "matrix" else 1) for n, p in table.items()}
    for name in sorted(table, key=lambda n: (-cost[n], n)):
        least = load.index(min(load))
        owner[name] = least
        load[least] += cost[name]
    return owner


class Optimiser:
    """The tensors of one process."""

    def __init__(self, table: dict[str, Parameter], buffers: Buffers, rank: int, rates: Rates):
        self.rates, self.rank = rates, rank
        owner = owners(table, len(buffers.grads))
        self.table = {n: p for n, p in table.items() if owner[n] == rank}
        self.master, self.first = views(buffers.master, table), views(buffers.first, table)
        self.second, self.weights = views(buffers.second, table), views(buffers.weights, table)
        self.grads = [views(g, table) for g in buffers.grads]
        self.summed: dict[str, Tensor] = {}

    @torch.no_grad()
    def collect(self, scale: float) -> float:
        """Sums the processes' gradients of the owned tensors, times `scale`; returns the squared norm."""
        total = 0.0
        for name in self.table:
            g = self.grads[0][name].float()
            for other in self.grads[1:]:
                g += other[name]
            g *= scale
            self.summed[name] = g
            total += float(g.square().sum())
        return total

    @torch.no_grad()
    def update(self, norm: float, factor: float, step: int) -> None:
        """One step; `factor` is the schedule's, `norm` the gradient's over all processes, `step` counts from 1."""
        clip = min(1.0, self.rates.clip / (norm + 1e-6))
        stacks: dict[tuple[int, int], list[tuple[str, Tensor]]] = {}
        for name, p in self.table.items():
            g = self.summed.pop(name) * clip
            if p.rule == "vector":
                self._adam(name, g, factor, step)
                continue
            m = self.first[name]
            m.mul_(self.rates.momentum).add_(g)
            g.add_(m, alpha=self.rates.momentum)
            cut = g.reshape(-1, g.shape[-2] // p.parts, g.shape[-1])
            if cut.shape[1] > cut.shape[2]:
                cut = cut.transpose(1, 2)
            stacks.setdefault(tuple(cut.shape[1:]), []).append((name, cut))
        for group in stacks.values():
            self._muon(group, factor)

    def _muon(self, group: list[tuple[str, Tensor]], factor: float) -> None:
        lr = self.rates.matrix * factor
        whole = orthogonalise(torch.cat([cut.bfloat16() for _, cut in group]))
        for (name, cut), u in zip(group, whole.split([cut.shape[0] for _, cut in group]), strict=True):
            p, master = self.table[name], self.master[name]
            rows, columns = p.shape[-2] // p.parts, p.shape[-1]
            if rows > columns:
                u = u.transpose(1, 2)
            master.mul_(1 - lr * self.rates.weight_decay)
            master.add_(u.float().reshape(p.shape), alpha=-lr * max(1.0, rows / columns) ** 0.5)
            self.weights[name].copy_(master)

    def _adam(self, name: str, g: Tensor, factor: float, step: int) -> None:
        r, m, v, master = self.rates, self.first[name], self.second[name], self.master[name]
        lr = r.vector * factor
        m.lerp_(g, 1 - r.beta1)
        v.lerp_(g.square(), 1 - r.beta2)
        if master.dim() > 1:
            master.mul_(1 - lr * r.weight_decay)
        scale = (1 - r.beta2**step) ** 0.5
        master.addcdiv_(m, v.sqrt().add_(1e-8 * scale), value=-lr * scale / (1 - r.beta1**step))
        self.weights[name].copy_(master)
