"""Random choices for the generators, each kept to its side of the split.

A choice that a model could learn by heart (operands, words to be copied, phrasings) belongs to training or to
evaluation by a hash of itself: one in ten is evaluation's. A `Draw` for training never makes one of those; a `Draw` for
evaluation prefers them.
"""

import json
import random
import zlib
from functools import lru_cache

from .sample import Reply, Sample, ToolCall

HELD_RANGES = ((640, 680), (3100, 3300), (52000, 54000))  # operands of arithmetic that training never sees
CONSONANTS = "b c d f g h j k l m n p r s t v w z br ch cl dr fl gr kr pl pr sh st th tr".split()
VOWELS = "a e i o u a e i o ai ea ou".split()
# Only these get misspelt: never a word that is to be copied.
COMMON = frozenset("""
about added after again altogether answer average before below better book bring calculate colour color compute convert cost costs count current describe difference digits divide each equal equally
extract favourite find fields following found friend give grid hello help highest image important into keys know least left list local location look lowest many meeting minutes multiply much name need
number object objects online order orders other package people person phone picture place please population position price product quickly reach read remember repeat return right search second send
shape shapes should shows start story subtract table tallest tell temperature text there these thing think this those time timer times total track translate value values want weather what when where
which while whole word words work works would write your
""".split())
ENDS = ["", "", "", "", "n", "r", "s", "l", "t", "m", "k", "x", "nd", "rt"]


def held(key: str) -> bool:
    """Whether this choice is evaluation's."""
    return zlib.crc32(key.encode()) % 10 == 3


def in_held_range(number: int) -> bool:
    return any(low <= number < high for low, high in HELD_RANGES)


@lru_cache(8192)
def sides(pool: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A pool's items for training and for evaluation; a small pool is shared."""
    kept = tuple(item for item in pool if held(item))
    left = tuple(item for item in pool if not held(item))
    return (left or pool, kept or pool)


class Draw:
    """One sample's source of chance. `level` is the run's progress, 0 to 1: samples get longer and harder by it."""

    def __init__(self, seed, split: str = "train", level: float = 1.0):
        self.random = random.Random(seed)
        self.training = split == "train"
        self.level = level
        self.pick = self.random.choice
        self.int = self.random.randint

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def some(self, pool, count: int) -> list:
        """`count` different items, in random order."""
        return self.random.sample(pool, count)

    def shuffled(self, items) -> list:
        items = list(items)
        self.random.shuffle(items)
        return items

    def word(self, pool: tuple[str, ...]) -> str:
        """An item of the pool that is on this side of the split."""
        left, kept = sides(pool)
        return self.pick(left if self.training or self.chance(0.3) else kept)

    def words(self, pool: tuple[str, ...], count: int) -> list[str]:
        """Different items of the pool."""
        found: list[str] = []
        while len(found) < count:
            if (word := self.word(pool)) not in found:
                found.append(word)
        return found

    def invented(self, syllables: int | None = None) -> str:
        """A word that does not exist."""
        while True:
            count = syllables or self.pick((2, 2, 2, 3))
            word = "".join(self.pick(CONSONANTS) + self.pick(VOWELS) for _ in range(count)) + self.pick(ENDS)
            if held(word) != self.training:
                return word

    def code(self) -> str:
        """A short code such as K7-204."""
        letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
        while True:
            form = self.int(0, 4)
            if form == 0:
                code = "".join(self.pick("0123456789") for _ in range(self.int(3, 6)))
            elif form == 1:
                code = self.pick(letters) + self.pick(letters) + "-" + "".join(
                    self.pick("0123456789") for _ in range(self.int(2, 4)))
            elif form == 2:
                code = "".join(self.pick(letters + "23456789") for _ in range(self.int(4, 6)))
            elif form == 3:
                code = self.pick(letters) + str(self.int(1, 99))
            else:
                code = self.invented().upper() + "-" + str(self.int(1, 99))
            if held(code) != self.training:
                return code

    def text(self, pool: tuple[str, ...], **slots) -> str:
        """A phrasing of the pool, roughened as people write, with its slots filled."""
        return self.rough(self.phrase(pool)).format(**slots)

    def phrase(self, pool: tuple[str, ...]) -> str:
        """A phrasing on this side of the split; an evaluation takes four in ten from its own few."""
        left, kept = sides(pool)
        return self.pick(left if self.training or self.chance(0.6) else kept)

    def rough(self, template: str, whole: bool = True) -> str:
        """A template with the small liberties people take; slots in braces are left alone. Not `whole`: a part of a text, no courtesies."""
        dice = self.random.random
        if dice() < 0.55:
            return template
        if whole and dice() < 0.12:
            template = self.polite(template)
        if dice() < 0.3 and template[-1] in ".?!" and not template.endswith("..."):
            template = template[:-1]
        choice = dice()
        if choice < 0.25:
            template = lower_outside_braces(template)
        elif choice < 0.45 and template[0] != "{":
            template = template[0].lower() + template[1:]
        if dice() < 0.12:
            template = self.typo(template)
        if whole and dice() < 0.05:
            template = self.pick(("Hi, ", "Hello! ", "hey ", "Quick question: ", "OK, ", "So, ", "Hi! ")) + template
        return template

    def polite(self, template: str) -> str:
        form = self.int(0, 4)
        if form == 0:
            return template + self.pick((" Thanks!", " Thank you.", " thanks", " Please."))
        if form == 1 and template[0] != "{":
            return "Please " + template[0].lower() + template[1:]
        if form == 2:
            return self.pick(("I need to know: ", "Tell me: ", "Can you help? ", "I have a question. ", "Help me: ")) + template
        if form == 3 and template[0] != "{" and template.endswith(".") and template.count(".") == 1 and "\n" not in template:
            return "Could you " + template[0].lower() + template[1:].rstrip(".!") + "?"
        return template

    def typo(self, template: str) -> str:
        words = template.split(" ")
        long = [i for i, word in enumerate(words) if word.lower() in COMMON]
        if not long:
            return template
        index = self.pick(long)
        word = words[index]
        at = self.int(1, len(word) - 2)
        form = self.int(0, 2)
        if form == 0:
            word = word[:at] + word[at + 1] + word[at] + word[at + 2:]
        elif form == 1:
            word = word[:at] + word[at + 1:]
        else:
            word = word[:at] + word[at] + word[at:]
        words[index] = word
        return " ".join(words)

    def effort(self, share_high: float) -> str:
        return "high" if self.chance(share_high) else "none"


def lower_outside_braces(template: str) -> str:
    if "{" not in template:
        return template.lower()
    parts = template.split("{")
    out = [parts[0].lower()]
    for part in parts[1:]:
        slot, _, rest = part.partition("}")
        out.append("{" + slot + "}" + rest.lower())
    return "".join(out)


def user(text, *images: int) -> dict:
    """A user's message; images come first."""
    if not images:
        return {"role": "user", "content": text}
    chunks = [{"type": "image_url", "image_url": {"url": f"image:{i}"}} for i in images]
    return {"role": "user", "content": [*chunks, {"type": "text", "text": text}]}


def system(text: str) -> dict:
    return {"role": "system", "content": text}


def assistant(content: str, thinking: str | None = None, calls: tuple[ToolCall, ...] = (), ids=()) -> dict:
    """An assistant's turn in the history."""
    message: dict = {"role": "assistant", "content": content}
    if thinking is not None:
        message["reasoning_content"] = thinking
    if calls:
        message["tool_calls"] = [
            {"id": call_id, "type": "function", "function": {
                "name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}}
            for call_id, call in zip(ids, calls, strict=True)
        ]
    return message


def tool_result(call_id: str, content: str) -> dict:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def sample(skill: str, kind: str, effort: str, messages: list[dict], content: str, check: dict, *,
           thinking: str | None = None, calls: tuple[ToolCall, ...] = (), tools: list[dict] | None = None,
           response_format: dict | None = None, images: list | None = None) -> Sample:
    """A Sample; a thought is kept for effort high only and must be there then."""
    request: dict = {"messages": messages, "reasoning_effort": effort}
    if tools:
        request["tools"] = tools
    if response_format:
        request["response_format"] = response_format
    if effort == "high" and not thinking:
        raise ValueError(f"{skill}/{kind}: a reply of effort high needs a thought")
    reply = Reply(thinking if effort == "high" else None, content, calls)
    return Sample(skill, kind, effort, request, reply, check, images or [])
