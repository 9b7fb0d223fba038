"""What a run says about itself: loss by skill, held-out accuracy by kind, expert use by skill; lines of JSON in a log."""

import json
import time
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor

from .model import Batch


class Tally:
    """Sums by label, kept by each process and merged by the first."""

    def __init__(self):
        self.loss = defaultdict(lambda: [0.0, 0, 0])  # skill -> [summed loss, right tokens, tokens]
        self.exact = defaultdict(lambda: [0, 0])  # "skill.kind" -> [samples all right, samples]
        self.experts: dict[str, Tensor] = {}  # skill -> [layers, experts] choices

    def add(self, batch: Batch, loss: Tensor, right: Tensor) -> None:
        sample = batch.sample[batch.target_at].cpu()
        n = len(batch.labels)
        counts = torch.bincount(sample, minlength=n)
        sums = torch.zeros(n).index_add_(0, sample, loss.float().cpu())
        hits = torch.bincount(sample, weights=right.float().cpu(), minlength=n)
        for (skill, kind), s, h, k in zip(batch.labels, sums.tolist(), hits.tolist(), counts.tolist(), strict=True):
            total = self.loss[skill]
            total[0] += s
            total[1] += int(h)
            total[2] += k
            self.exact[f"{skill}.{kind}"][0] += int(h == k)
            self.exact[f"{skill}.{kind}"][1] += 1

    def add_experts(self, batch: Batch, expert_use: list[Tensor], num_experts: int) -> None:
        skills = sorted({skill for skill, _ in batch.labels})
        number = torch.tensor([skills.index(skill) for skill, _ in batch.labels])
        sample = batch.sample.cpu()
        inside = sample >= 0
        skill_of = number[sample[inside]]
        for layer, expert in enumerate(expert_use):
            flat = (skill_of[:, None] * num_experts + expert.cpu()[inside]).flatten()
            counts = torch.bincount(flat, minlength=len(skills) * num_experts).view(len(skills), num_experts)
            for s, skill in enumerate(skills):
                use = self.experts.setdefault(skill, torch.zeros(len(expert_use), num_experts, dtype=torch.long))
                use[layer] += counts[s]

    def merge(self, other: "Tally") -> None:
        for mine, theirs in ((self.loss, other.loss), (self.exact, other.exact)):
            for label, sums in theirs.items():
                mine[label] = [a + b for a, b in zip(mine[label], sums, strict=True)]
        for skill, use in other.experts.items():
            self.experts[skill] = self.experts.get(skill, 0) + use

    def plain(self) -> tuple:
        """Picklable, and whole: a tensor would be fetched from its process later, when that may have ended."""
        return dict(self.loss), dict(self.exact), {skill: use.tolist() for skill, use in self.experts.items()}

    @staticmethod
    def of(plain: tuple) -> "Tally":
        tally = Tally()
        tally.loss.update(plain[0])
        tally.exact.update(plain[1])
        tally.experts = {skill: torch.tensor(use) for skill, use in plain[2].items()}
        return tally

    def losses(self) -> dict[str, list[float]]:
        """Skill -> [mean loss, share of tokens right, tokens]; "all" over everything."""
        rows = {skill: list(sums) for skill, sums in sorted(self.loss.items())}
        rows["all"] = [sum(row[i] for row in rows.values()) for i in range(3)]
        return {skill: [round(s / max(k, 1), 4), round(h / max(k, 1), 4), k] for skill, (s, h, k) in rows.items()}

    def accuracy(self) -> dict[str, list[float]]:
        """ "skill.kind" -> [share of samples all right, samples]."""
        return {kind: [round(h / n, 3), n] for kind, (h, n) in sorted(self.exact.items())}

    def accuracy_by_skill(self) -> dict[str, list[float]]:
        sums = defaultdict(lambda: [0, 0])
        for kind, (h, n) in self.exact.items():
            for label in (kind.split(".")[0], "all"):
                sums[label] = [sums[label][0] + h, sums[label][1] + n]
        return {skill: [round(h / n, 3), n] for skill, (h, n) in sorted(sums.items())}


def expert_summary(experts: dict[str, Tensor]) -> dict:
    """Load relative to uniform over all skills (max, min, by layer) and, by skill, each layer's most used expert and its load."""
    if not experts:
        return {}
    total = sum(experts.values()).float()
    load = total / total.mean(1, keepdim=True)
    by_skill = {}
    for skill, use in sorted(experts.items()):
        relative = use.float() / use.float().mean(1, keepdim=True).clamp(min=1e-9)
        top, at = relative.max(1)
        by_skill[skill] = [f"{e}:{x:.1f}" for e, x in zip(at.tolist(), top.tolist(), strict=True)]
    return {
        "max": [round(x, 2) for x in load.amax(1).tolist()],
        "min": [round(x, 2) for x in load.amin(1).tolist()],
        "favourite_by_skill": by_skill,
    }


class Log:
    """Appends to a JSONL file and prints a short form."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("a", buffering=1)

    def write(self, kind: str, **fields) -> None:
        clock = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.file.write(json.dumps({"kind": kind, "time": clock, **fields}) + "\n")
        if kind == "eval":
            print("  held-out exact: " + "  ".join(f"{k} {a:.2f}/{n}" for k, (a, n) in fields["exact"].items()), flush=True)
        elif kind == "progress":
            skills = "  ".join(f"{s} {row[0]:.2f}" for s, row in fields["skills"].items())
            print(
                f"{clock[11:19]} step {fields['step']}  {fields['tokens'] / 1e6:.2f} M tokens  {fields['tokens_per_second']:.0f}/s  "
                f"left {fields['left_s'] / 60:.0f} min  lr x{fields['factor']:.3f}  loss {skills}",
                flush=True,
            )
        else:
            print(f"{clock[11:19]} {kind} {json.dumps(fields)}", flush=True)
