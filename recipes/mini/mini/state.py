"""A training state on disk: everything that a later run needs to go on. Written beside, then renamed, so that a file is always whole."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from .model import Config
from .optimiser import Buffers


@dataclass
class Progress:
    """Where a run stands. `block` numbers stretches of the data stream: each has its own seed, a saved state begins a new one."""

    seed: int
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    block: int = 0
    phase: str = "constant"
    decay_from: dict = field(default_factory=dict)  # tokens, seconds and step at the decay's start


def save(path: Path, c: Config, progress: Progress, buffers: Buffers) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    tensors = {"master": buffers.master, "first": buffers.first, "second": buffers.second}
    tensors = {n: t.detach().cpu().clone() for n, t in tensors.items()}
    torch.save({"config": asdict(c), "progress": asdict(progress), **tensors}, beside)
    os.replace(beside, path)


def load(path: Path) -> tuple[Config, Progress, dict[str, torch.Tensor]]:
    data = torch.load(path, map_location="cpu", weights_only=True)
    tensors = {n: data[n] for n in ("master", "first", "second")}
    return Config(**data["config"]), Progress(**data["progress"]), tensors
