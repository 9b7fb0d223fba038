"""Writes evaluation/held_out.jsonl: questions of every kind with operands, words and phrasings that training never sees.

usage: python -m mini.write_evaluation

A line is {"id", "skill", "kind", "effort", "request", "check"}: the request as it goes over the wire (images as PNG data
URLs), the check as judge.py reads it. Arithmetic and `returns` ask each question twice, with effort none and high.
"""

import json
from pathlib import Path

from .data import recall
from .draw import Draw
from .mixture import SKILLS
from .sample import Sample, body

PATH = Path(__file__).resolve().parents[1] / "evaluation" / "held_out.jsonl"
SEED = "mini evaluation 1"
COUNTS = {"arithmetic": 24, "code": 60, "writing": 60, "echo": 15, "tools": 45, "extraction": 80, "talk": 30, "fallback": 40, "images": 28}
RECALL_LENGTHS = (60, 200, 480, 1000, 2000, 3000, 4096)
RECALL_COUNT = 20
BOTH_EFFORTS = frozenset((("arithmetic", None), ("code", "returns")))


def lines(sample: Sample, name: str):
    both = (sample.skill, None) in BOTH_EFFORTS or (sample.skill, sample.kind) in BOTH_EFFORTS
    for effort in ("none", "high") if both else (sample.effort,):
        yield {"id": f"{name}-{effort}" if both else name, "skill": sample.skill, "kind": sample.kind, "effort": effort,
               "request": {**body(sample), "reasoning_effort": effort}, "check": sample.check}


def questions():
    for skill, kinds in SKILLS.items():
        if skill == "recall":
            continue
        for kind, (_, make) in kinds.items():
            if kind in ("session", "several"):  # the same questions as the other kinds, several in a conversation
                continue
            for index in range(COUNTS[skill]):
                name = f"{skill}-{kind}-{index:02d}"
                yield from lines(make(Draw(f"{SEED} {name}", "held_out")), name)
    for length in RECALL_LENGTHS:
        for index in range(RECALL_COUNT):
            name = f"recall-{length}-{index:02d}"
            yield from lines(recall.fact(Draw(f"{SEED} {name}", "held_out"), length), name)


def main() -> None:
    entries = list(questions())
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries))
    print(f"{PATH}: {len(entries)} questions, {PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
