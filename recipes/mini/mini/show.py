"""Prints samples as text.

usage: python -m mini.show [SKILL [KIND]] [--count N] [--progress P] [--held-out]
"""

import argparse

from .draw import Draw
from .encode import Encoder
from .mixture import SKILLS


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("skill", nargs="?", choices=sorted(SKILLS))
    parser.add_argument("kind", nargs="?")
    parser.add_argument("--count", type=int, default=2)
    parser.add_argument("--progress", type=float, default=0.5)
    parser.add_argument("--held-out", action="store_true")
    options = parser.parse_args()
    encoder = Encoder()
    for skill in [options.skill] if options.skill else SKILLS:
        for kind, (_, make) in SKILLS[skill].items():
            if options.kind not in (None, kind):
                continue
            for index in range(options.count):
                sample = make(Draw(f"show {index}", "held_out" if options.held_out else "train", options.progress))
                ids = encoder(sample).ids
                text = encoder.decode(ids).replace("[IMG_BREAK]", "").replace("[IMG]", "").replace("[IMG_END]", "[image]")
                print(f"--- {skill}/{sample.kind}, {len(ids)} tokens, check {sample.check}\n{text}")


if __name__ == "__main__":
    main()
