"""What a training sample is, before it is token ids.

A request is a chat request body as a client would send it (messages, tools, reasoning_effort, response_format). Its
images stand in the messages as `image:0`, `image:1`, … and are kept apart as pixels; `body` puts them in as PNG.
"""

from __future__ import annotations

import base64
import copy
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # whoever only judges replies needs no numpy
    import numpy as np


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: dict


@dataclass(frozen=True)
class Reply:
    thinking: str | None
    content: str
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True)
class Sample:
    skill: str
    kind: str
    effort: str  # "none" or "high"
    request: dict
    reply: Reply
    check: dict  # what judge.py decides by
    images: list[np.ndarray] = field(default_factory=list)  # uint8 [H, W, 3], in order


@dataclass(frozen=True)
class Encoded:
    ids: np.ndarray  # int32 [n]
    loss: np.ndarray  # bool [n]: this token is to be predicted
    images: list[np.ndarray]  # float32 [3, H, W], normalised
    skill: str
    kind: str


def data_url(pixels: np.ndarray) -> str:
    """The image as a PNG data URL."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def body(sample: Sample) -> dict:
    """The request as it goes over the wire, images as data URLs."""
    request = copy.deepcopy(sample.request)
    for message in request["messages"]:
        if isinstance(message.get("content"), list):
            for chunk in message["content"]:
                if chunk["type"] == "image_url":
                    index = int(chunk["image_url"]["url"].removeprefix("image:"))
                    chunk["image_url"]["url"] = data_url(sample.images[index])
    return request
