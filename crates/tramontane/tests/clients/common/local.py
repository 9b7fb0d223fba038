"""What all Python groups share: where the server is, what the model knows, tools, schemas and a picture."""

import base64
import functools
import os
import struct
import zlib

import pytest

URL = os.environ["TRAMONTANE_URL"]  # http://127.0.0.1:PORT, no key needed
STRICT_URL = os.environ["TRAMONTANE_STRICT_URL"]  # the same model behind a key, with room for one request and one waiting
STRICT_KEY = os.environ["TRAMONTANE_STRICT_KEY"]
MODEL = "mistral-small-latest"
ANY_KEY = "none-needed"

# Whether the checks of what a model knows and can do run too; all others hold for any model, because a grammar or a bias on
# single tokens leaves it no choice.
SKILLS = os.environ.get("TRAMONTANE_SKILLS") == "1"

# Biases on tokens of the protocol, whose ids are the same in every tekken.json: 2 ends a reply, 9 begins a call, 34 and 35
# begin and end a thought.
BRIEF = {"2": 100}  # ends as soon as a grammar lets it: one call of several that are allowed
THOUGHT = {"34": 100, "35": 100}  # under a grammar that allows a thought: one, of a single token
WORDS_ONLY = {"9": -100, "34": -100}  # no call and no thought
ENDLESS = {"2": -100} | WORDS_ONLY


def habit(what: str):
    """A check of what every chat model of this family does, which is to think when asked to and else not: a failure says so."""

    def wrap(test):
        @functools.wraps(test)
        def run(*args, **kwargs):
            try:
                return test(*args, **kwargs)
            except AssertionError as error:
                error.add_note(f"this check needs a model that {what}: if the reply is in order otherwise, the model lacks that")
                raise

        return run

    return wrap


def skill(what: str):
    """A check of knowledge or ability, such as arithmetic: run with `--skills` only, and counted otherwise."""
    return habit(what) if SKILLS else pytest.mark.skip(reason=f"needs a model that {what}")


CITIES = ["Paris", "Oslo", "Rome"]


def weather_tool(strict: bool = True, cities=CITIES) -> dict:
    """A tool whose arguments hold one of few values, so that a grammar alone makes every call valid."""
    city = {"type": "string", "description": "Name of the city"} | ({"enum": cities} if cities else {})
    schema = {"type": "object", "properties": {"city": city}, "required": ["city"], "additionalProperties": False}
    return {
        "type": "function",
        "function": {"name": "get_weather", "description": "Get the current weather in a city", "parameters": schema, "strict": strict},
    }


def time_tool() -> dict:
    schema = {"type": "object", "properties": {"city": {"type": "string", "enum": CITIES}}, "required": ["city"], "additionalProperties": False}
    return {
        "type": "function",
        "function": {"name": "get_time", "description": "Get the current local time in a city", "parameters": schema, "strict": True},
    }


PERSON_TEXT = "Meet Anna Weber. Anna Weber is 41 years old. She lives in Lyon."
PERSON_QUESTION = f"Extract name, age and city as JSON from this text: {PERSON_TEXT}"


def png(width: int, height: int, pixel) -> bytes:
    """A PNG whose pixel at (x, y) is `pixel(x, y)`, three numbers."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def square(colour: tuple[int, int, int]) -> bytes:
    """A square in the middle of white, 84 pixels wide."""
    return png(84, 84, lambda x, y: colour if 22 <= x < 62 and 22 <= y < 62 else (255, 255, 255))


def data_url(image: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"


RED_SQUARE = data_url(square((220, 40, 40)))
BLUE_SQUARE = data_url(square((40, 80, 220)))
