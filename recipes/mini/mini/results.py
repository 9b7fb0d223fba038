"""Which questions are asked, and replies that were judged, as tables. Needs no package."""

import json
import random
from collections import defaultdict
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "evaluation"
FILES = [FOLDER / "held_out.jsonl", FOLDER / "questions.jsonl"]


def chosen(path: Path, limit: int) -> list[dict]:
    """The questions of a file; at most `limit` of each skill and effort, always the same ones. 0: all."""
    groups = defaultdict(list)
    for line in path.read_text().splitlines():
        question = json.loads(line)
        groups[question["skill"], question["effort"]].append(question)
    for group in groups.values():
        random.Random(1).shuffle(group)
    return [question for group in groups.values() for question in (group[:limit] if limit else group)]


def row(name: str, effort: str, group: list[dict]) -> str:
    def mean(key: str) -> float:
        return sum(r[key] for r in group) / len(group)

    cells = [name, effort, f"{100 * mean('right'):.1f} %", str(len(group)), f"{mean('tokens'):.1f}"]
    if "seconds" in group[0]:
        cells.append(f"{mean('seconds'):.2f} s")
    return "| " + " | ".join(cells) + " |"


def table(results: list[dict]) -> str:
    """Markdown, one row a skill and effort; arithmetic's hard half by itself too."""
    groups = defaultdict(list)
    for result in results:
        groups[result["skill"], result["effort"]].append(result)
        if result["skill"] == "arithmetic" and result["kind"].endswith("_hard"):
            groups["arithmetic, hard half", result["effort"]].append(result)
    heads = ["skill", "effort", "right", "of", "mean output tokens"] + ["mean time"] * ("seconds" in results[0])
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    lines += [row(skill, effort, group) for (skill, effort), group in sorted(groups.items())]
    return "\n".join([*lines, row("all", "", results)])


def by_kind(results: list[dict]) -> str:
    """Right of asked, for each kind of each skill."""
    kinds = defaultdict(list)
    for r in results:
        kinds[f"{r['skill']}.{r['kind']}.{r['effort']}"].append(r["right"])
    return "  ".join(f"{kind} {sum(right)}/{len(right)}" for kind, right in sorted(kinds.items()))
