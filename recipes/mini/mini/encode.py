"""Samples to token ids: encoding v15, fast, with the same ids as mistral-common (tests/test_encode.py).

Covers what the data has: no prefixes, no merged messages. Images must be multiples of 28 pixels, so that nothing is
resized. Every assistant turn of a sample is to be predicted, its end included.
"""

import base64
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import tiktoken

from .sample import Encoded, Sample
from .tokenizer import NUM_SPECIAL, PATH

BOS, EOS, INST, END_INST, TOOLS, END_TOOLS, RESULTS, END_RESULTS, CALLS, IMG = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
IMG_BREAK, IMG_END, SYSTEM, END_SYSTEM, ARGS, THINK, END_THINK, SETTINGS, END_SETTINGS = 12, 13, 17, 18, 32, 34, 35, 36, 37
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
TABLE = (np.arange(256, dtype=np.float32)[None] / np.float32(255.0) - MEAN[:, None]) / STD[:, None]


class Encoder:
    """tekken.json as a fast encoder."""

    def __init__(self, path: Path = PATH):
        data = json.loads(path.read_text())
        self.vocab = [base64.b64decode(entry["token_bytes"]) for entry in data["vocab"]]
        ranks = {token: NUM_SPECIAL + rank for rank, token in enumerate(self.vocab)}
        self.specials = [entry["token_str"] for entry in data["special_tokens"]]
        self.encoding = tiktoken.Encoding(
            name="mini", pat_str=data["config"]["pattern"], mergeable_ranks=ranks, special_tokens={}
        )
        self.text = self.encoding.encode_ordinary
        self.cached = lru_cache(4096)(lambda text: tuple(self.text(text)))
        self.settings = {
            effort: [SETTINGS, *self.text(json.dumps({"reasoning_effort": effort})), END_SETTINGS]
            for effort in ("none", "high")
        }

    def decode(self, ids, keep: bool = True) -> str:
        """The text of ids; special tokens by name, or left out."""
        parts = [
            self.vocab[i - NUM_SPECIAL] if i >= NUM_SPECIAL else self.specials[i].encode() if keep else b"" for i in ids
        ]
        return b"".join(parts).decode("utf-8", "replace")

    def content(self, content, images: list[np.ndarray]) -> list[int]:
        """The ids of a user's or a tool's content."""
        if isinstance(content, str):
            return self.text(content)
        kinds = [chunk["type"] for chunk in content]
        if kinds[-1] == "image_url" and kinds.count("image_url") == 1:
            content = [content[-1], *content[:-1]]
        ids, text = [], ""
        for chunk in content:
            if chunk["type"] == "text":
                text += chunk["text"]
                continue
            if text:
                ids += self.text(text)
                text = ""
            ids += image_ids(images[int(chunk["image_url"]["url"].removeprefix("image:"))])
        return ids + self.text(text) if text else ids

    def assistant(self, thinking: str | None, content: str, calls) -> list[int]:
        """The ids of an assistant turn; calls are (name, arguments)."""
        ids = [] if thinking is None else [THINK, *self.text(thinking), END_THINK]
        # A turn that is a plain string loses trailing spaces, one of chunks does not; no reply ends in a space.
        ids += self.text(content)
        for name, arguments in calls:
            ids += [CALLS, *self.cached(name), ARGS, *self.text(json.dumps(arguments, ensure_ascii=False))]
        ids.append(EOS)
        return ids

    def prompt(self, request: dict, images: list[np.ndarray]) -> tuple[list[int], list[bool]]:
        """The ids of a request, and which of them are assistant turns."""
        ids, loss, first = [BOS], [False], True
        for message in request["messages"]:
            role, predicted = message["role"], False
            if role == "system":
                part = [SYSTEM, *self.cached(message["content"]), END_SYSTEM]
            elif role == "user":
                part = []
                if first:
                    first = False
                    if request.get("tools"):
                        part = [TOOLS, *self.tools(request["tools"]), END_TOOLS]
                    part += self.settings[request.get("reasoning_effort", "none")]
                part += [INST, *self.content(message["content"], images), END_INST]
            elif role == "tool":
                part = [RESULTS, *self.content(message["content"], images), END_RESULTS]
            else:
                calls = [
                    (call["function"]["name"], json.loads(call["function"]["arguments"]))
                    for call in message.get("tool_calls") or ()
                ]
                part = self.assistant(message.get("reasoning_content"), message.get("content") or "", calls)
                predicted = True
            ids += part
            loss += [predicted] * len(part)
        return ids, loss

    def tools(self, tools: list[dict]) -> list[int]:
        """The ids of a list of tools, keys in the protocol's order."""
        listed = []
        for tool in tools:
            function = tool["function"]
            listed.append({"type": "function", "function": {
                "name": function["name"],
                "description": function.get("description", ""),
                "parameters": function["parameters"],
            }})
        return self.text(json.dumps(listed, ensure_ascii=False))

    def __call__(self, sample: Sample) -> Encoded:
        ids, loss = self.prompt(sample.request, sample.images)
        reply = sample.reply
        calls = [(call.name, call.arguments) for call in reply.tool_calls]
        part = self.assistant(reply.thinking, reply.content, calls)
        ids += part
        loss += [True] * len(part)
        images = [normalise(pixels) for pixels in sample.images]
        return Encoded(np.array(ids, np.int32), np.array(loss, np.bool_), images, sample.skill, sample.kind)


def image_ids(pixels: np.ndarray) -> list[int]:
    """The ids that stand for an image: a row of [IMG] for each 28 pixels of height."""
    height, width, _ = pixels.shape
    if height % 28 or width % 28:
        raise ValueError(f"images must be multiples of 28 pixels, got {width}x{height}")
    rows, columns = height // 28, width // 28
    return ([IMG] * columns + [IMG_BREAK]) * (rows - 1) + [IMG] * columns + [IMG_END]


def normalise(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] to float32 [3, H, W], as mistral-common does."""
    return np.stack([TABLE[channel][pixels[:, :, channel]] for channel in range(3)])
