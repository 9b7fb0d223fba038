"""Greedy replies of an exported checkpoint in transformers, judged: `python -m mini.evaluate models/mini`.

Reads evaluation/*.jsonl (requests as a client would send them, with a check each); prints accuracy and mean output tokens by skill and effort.
"""

import argparse
import base64
import io
import json
import time
from pathlib import Path

import numpy as np
import torch

from .check import image_inputs, open_in_transformers
from .encode import ARGS, CALLS, END_THINK, EOS, THINK, Encoder, normalise
from .export import HERE
from .judge import judge
from .results import FILES, by_kind, chosen, table

PAD = 11
MAX_PADDED = 6144  # prompt tokens of a batch, padding included: memory grows with its square


def pixels_of(url: str) -> np.ndarray:
    """uint8 [H, W, 3] of a data URL."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1]))).convert("RGB"))


def encoded(encoder: Encoder, request: dict) -> tuple[list[int], list[np.ndarray]]:
    """Prompt ids and normalised images of a request with data URLs."""
    request, images = json.loads(json.dumps(request)), []
    for message in request["messages"]:
        for chunk in message["content"] if isinstance(message.get("content"), list) else ():
            if chunk["type"] == "image_url":
                images.append(pixels_of(chunk["image_url"]["url"]))
                chunk["image_url"]["url"] = f"image:{len(images) - 1}"
    return encoder.prompt(request, images)[0], [normalise(image) for image in images]


def parse(encoder: Encoder, ids: list[int]) -> tuple[str, str | None, list[tuple[str, str]]]:
    """Reply ids -> content, thinking, calls (name, JSON text)."""
    if EOS in ids:
        ids = ids[: ids.index(EOS)]
    thinking = None
    if ids[:1] == [THINK]:
        end = ids.index(END_THINK) if END_THINK in ids else len(ids)
        thinking, ids = encoder.decode(ids[1:end]), ids[end + 1 :]
    pieces: list[list[int]] = [[]]
    for token in ids:
        if token == CALLS:
            pieces.append([])
        else:
            pieces[-1].append(token)
    calls = []
    for piece in pieces[1:]:
        at = piece.index(ARGS) if ARGS in piece else len(piece)
        calls.append((encoder.decode(piece[:at]), encoder.decode(piece[at + 1 :])))
    return encoder.decode(pieces[0]), thinking, calls


@torch.no_grad()
def replies(model, prompts: list[list[int]], images: list[list[np.ndarray]], limit: int) -> list[list[int]]:
    """Greedy replies of one batch, prompts padded on the left."""
    width = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    flat = [image for row in images for image in row]
    out = model.generate(
        input_ids=ids, attention_mask=mask, max_new_tokens=limit, do_sample=False, eos_token_id=EOS, pad_token_id=PAD,
        **(image_inputs(flat) if flat else {}),
    )  # fmt: skip
    done = []
    for row in out[:, width:].tolist():
        done.append(row[: row.index(EOS) + 1] if EOS in row else row)
    return done


def evaluate(model, encoder: Encoder, questions: list[dict], batch: int, limit: int) -> list[dict]:
    prepared = [(q, *encoded(encoder, q["request"])) for q in questions]
    prepared.sort(key=lambda row: len(row[1]))
    results = []
    while prepared:
        take = 1
        while take < min(batch, len(prepared)) and (take + 1) * len(prepared[take][1]) <= MAX_PADDED:
            take += 1
        now, prepared = prepared[:take], prepared[take:]
        for (q, prompt, _), ids in zip(now, replies(model, [p for _, p, _ in now], [i for _, _, i in now], limit), strict=True):
            content, thinking, calls = parse(encoder, ids)
            right = judge(q["check"], content, thinking, calls)
            results.append({
                "id": q["id"], "skill": q["skill"], "kind": q["kind"], "effort": q["effort"], "right": right, "prompt_tokens": len(prompt),
                "tokens": len(ids), "content": content, "thinking": thinking, "calls": calls,
            })  # fmt: skip
    return results


def main() -> None:
    p = argparse.ArgumentParser(prog="mini.evaluate", description=__doc__)
    p.add_argument("directory", type=Path, nargs="?", default=HERE.parent.parent / "models" / "mini")
    p.add_argument("--questions", type=Path, nargs="*", default=FILES)
    p.add_argument("--limit", type=int, default=0, help="questions of each skill and effort; 0: all")
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--max-tokens", type=int, default=512)
    p.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--out", type=Path, help="replies as JSONL")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    encoder = Encoder(a.directory / "tekken.json")
    model = open_in_transformers(a.directory, getattr(torch, a.dtype), attention="sdpa")
    model.generation_config.max_length = None
    everything = []
    for path in a.questions:
        start = time.monotonic()
        results = evaluate(model, encoder, chosen(path, a.limit), a.batch, a.max_tokens)
        everything += results
        print(f"## {path.name}: {len(results)} questions in {time.monotonic() - start:.0f} s, {a.dtype}\n\n{table(results)}\n", flush=True)
        print(by_kind(results) + "\n", flush=True)
    if a.out:
        a.out.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in everything))


if __name__ == "__main__":
    main()
