"""Compares an exported checkpoint in transformers with this recipe's own forward pass, both in f32: `python -m mini.check`.

Differences beyond rounding would mean that what was trained is not what others run.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from .export import HERE, load_flat
from .model import Config, Model, parameters, views
from .pack import build
from .sample import Encoded


def open_in_transformers(directory: Path, dtype: torch.dtype = torch.float32, attention: str = "eager"):
    from transformers import Mistral3ForConditionalGeneration

    model = Mistral3ForConditionalGeneration.from_pretrained(
        directory, dtype=dtype, attn_implementation=attention, experts_implementation="eager"
    )
    return model.eval()


def own_logits(c: Config, flat: torch.Tensor, sample: Encoded) -> torch.Tensor:
    model = Model(c, views(flat, parameters(c)), compile=False)
    with torch.no_grad():
        return model.logits(build([[sample]], len(sample.ids), c).to("cpu", torch.float32))


def their_logits(model, sample: Encoded) -> torch.Tensor:
    inputs = {"input_ids": torch.from_numpy(sample.ids.astype(np.int64))[None]}
    if sample.images:
        inputs |= image_inputs(sample.images)
    with torch.no_grad():
        return model(**inputs).logits[0]


def image_inputs(images: list[np.ndarray]) -> dict[str, torch.Tensor]:
    """Images [3, H, W] in transformers' form: padded to one size, true sizes beside."""
    height, width = max(i.shape[1] for i in images), max(i.shape[2] for i in images)
    pixels = np.zeros((len(images), 3, height, width), np.float32)
    for place, image in zip(pixels, images, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = image
    return {"pixel_values": torch.from_numpy(pixels), "image_sizes": torch.tensor([i.shape[1:] for i in images])}


def main() -> None:
    from .mixture import stream

    p = argparse.ArgumentParser(prog="mini.check", description=__doc__)
    p.add_argument("directory", type=Path, nargs="?", default=HERE.parent.parent / "models" / "mini")
    p.add_argument("--samples", type=int, default=40)
    a = p.parse_args()
    torch.set_num_threads(1)
    c, flat = load_flat(a.directory)
    theirs = open_in_transformers(a.directory)
    worst = agree = positions = images = 0
    for sample, _ in zip(stream(seed=5, worker=0, progress=0.8, split="held_out"), range(a.samples)):
        ours, reference = own_logits(c, flat, sample), their_logits(theirs, sample)
        worst = max(worst, float((ours - reference).abs().max()))
        agree += int((ours.argmax(-1) == reference.argmax(-1)).sum())
        positions += len(sample.ids)
        images += len(sample.images)
    print(f"{a.samples} samples, {images} images: max |difference of logits| {worst:.2e}, argmax equal at {agree} of {positions} positions")


if __name__ == "__main__":
    main()
