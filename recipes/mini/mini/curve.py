"""The training curve from a run's log, as SVG: `python -m mini.curve --log DIR/log.jsonl --out models/mini/curve.svg`.

Upper panel: loss by skill. Lower panel: share of held-out samples whose every predicted token is right, teacher-forced, by skill.
"""

import argparse
import json
from pathlib import Path

from .export import HERE

COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#6b7280", "#111827")
WIDTH, PANEL, LEFT, TOP, GAP, LEGEND = 760, 220, 52, 34, 46, 120


def read(path: Path) -> list[dict]:
    """The log's lines; what a run logged and then lost by going on from an older state is left out."""
    lines: list[dict] = []
    for text in path.read_text().splitlines():
        line = json.loads(text)
        while lines and lines[-1]["tokens"] >= line["tokens"] and lines[-1]["kind"] == line["kind"] and lines[-1] != line:
            lines.pop()
        lines.append(line)
    return lines


def series(lines: list[dict]) -> tuple[dict[str, list], dict[str, list]]:
    """Skill -> [(millions of tokens, value)]: loss, smoothed over time, and held-out exactness."""
    loss, exact = {}, {}
    mean: dict[str, float] = {}
    for line in lines:
        at = line["tokens"] / 1e6
        if line["kind"] == "progress":
            for skill, (value, _, n) in line["skills"].items():
                if n:
                    mean[skill] = mean.get(skill, value) * 0.8 + value * 0.2
                    loss.setdefault(skill, []).append((at, mean[skill]))
        elif line["kind"] == "eval":
            for skill, (value, _) in line.get("exact", {}).items():
                exact.setdefault(skill, []).append((at, value))
    return loss, exact


def panel(title: str, data: dict[str, list], y: int, right: float, top: float, colour: dict[str, str], ticks: list[float]) -> list[str]:
    span = WIDTH - LEFT - LEGEND

    def x_of(v: float) -> float:
        return LEFT + span * v / right

    def y_of(v: float) -> float:
        return y + PANEL * (1 - min(v, top) / top)

    out = [f'<text x="{LEFT}" y="{y - 10}" font-size="13">{title}</text>']
    for tick in ticks:
        out.append(f'<line x1="{LEFT}" x2="{LEFT + span}" y1="{y_of(tick):.1f}" y2="{y_of(tick):.1f}" stroke="#d4d4d8"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y_of(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for i in range(6):
        v = right * i / 5
        out.append(f'<text x="{x_of(v):.1f}" y="{y + PANEL + 16}" text-anchor="middle">{v:.3g}</text>')
    for skill, points in data.items():
        path = " ".join(f"{x_of(x):.1f},{y_of(v):.1f}" for x, v in points)
        width = 2.4 if skill == "all" else 1.4
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour[skill]}" stroke-width="{width}"/>')
    return out


def svg(lines: list[dict]) -> str:
    loss, exact = series(lines)
    skills = sorted(set(loss) | set(exact))
    colour = {skill: COLOURS[i % len(COLOURS)] for i, skill in enumerate(skills)}
    colour["all"] = "#111827"
    right = max(line["tokens"] for line in lines) / 1e6
    second = TOP + PANEL + GAP
    height = second + PANEL + 40
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11" fill="#27272a">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        *panel("loss by skill (nats a token; million tokens)", loss, TOP, right, 4.0, colour, [0, 1, 2, 3, 4]),
        *panel("held-out samples with every token right, teacher-forced", exact, second, right, 1.0, colour, [0, 0.25, 0.5, 0.75, 1]),
    ]
    decay = [line["tokens"] / 1e6 for line in lines if line.get("phase") == "decay"]
    if decay:
        x = LEFT + (WIDTH - LEFT - LEGEND) * min(decay) / right
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{second + PANEL}" stroke="#71717a" stroke-dasharray="4 3"/>')
        out.append(f'<text x="{x + 4:.1f}" y="{TOP + 12}">rate falls</text>')
    for i, skill in enumerate(skills):
        y = TOP + 10 + 18 * i
        out.append(f'<line x1="{WIDTH - 108}" x2="{WIDTH - 90}" y1="{y}" y2="{y}" stroke="{colour[skill]}" stroke-width="3"/>')
        out.append(f'<text x="{WIDTH - 84}" y="{y + 4}">{skill}</text>')
    return "\n".join([*out, "</svg>\n"])


def main() -> None:
    p = argparse.ArgumentParser(prog="mini.curve", description=__doc__)
    p.add_argument("--log", type=Path, default=HERE / "run" / "log.jsonl")
    p.add_argument("--out", type=Path, default=HERE.parent.parent / "models" / "mini" / "curve.svg")
    a = p.parse_args()
    a.out.write_text(svg(read(a.log)))
    print(a.out)


if __name__ == "__main__":
    main()
