"""The stream of samples: which skill and kind comes next, by the run's progress.

Shares are of samples' tokens, as far as the running mean of each skill's tokens is right; they follow three phases: copying
and looking first, then everything, then longer prompts and more of what is learnt last (copying, images, extraction).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from .data import arithmetic, code, echo, extraction, fallback, images, problems, recall, talk, tools, writing
from .draw import Draw, assistant, system
from .encode import Encoder
from .sample import Encoded, Sample

SKILLS = {
    "arithmetic": {**arithmetic.KINDS, **problems.KINDS}, "code": code.KINDS, "writing": writing.KINDS, "echo": echo.KINDS, "recall": recall.KINDS, "tools": tools.KINDS, "extraction": extraction.KINDS, "talk": talk.KINDS, "fallback": fallback.KINDS, "images": images.KINDS,
}
# Shares of tokens by phase: progress at which the row holds, then by skill; between rows they change evenly.
PHASES = (
    (0.00, {"arithmetic": 20, "code": 4, "writing": 1, "echo": 36, "recall": 3, "tools": 4, "extraction": 9, "talk": 3, "fallback": 2, "images": 18}),
    (0.15, {"arithmetic": 24, "code": 7, "writing": 2, "echo": 20, "recall": 7, "tools": 9, "extraction": 9, "talk": 4, "fallback": 2, "images": 16}),
    (0.30, {"arithmetic": 23, "code": 8, "writing": 3, "echo": 15, "recall": 9, "tools": 12, "extraction": 8, "talk": 5, "fallback": 3, "images": 14}),
    (0.60, {"arithmetic": 25, "code": 9, "writing": 3, "echo": 7, "recall": 11, "tools": 15, "extraction": 8, "talk": 5, "fallback": 3, "images": 14}),
    (1.00, {"arithmetic": 23, "code": 10, "writing": 2, "echo": 6, "recall": 12, "tools": 15, "extraction": 9, "talk": 5, "fallback": 4, "images": 18}),
)
# Skills whose samples may follow another one in the same conversation, and stand under a system prompt that says nothing.
CHAINED = frozenset(("arithmetic", "code", "writing", "echo", "talk", "fallback", "extraction"))
CORE = ("sum_", "difference_", "product_", "quotient_")  # kinds of arithmetic that the others are made of
CHAINED_ORDER = tuple(sorted(CHAINED))
CHAIN_SHARE, SYSTEM_SHARE = 0.6, 0.06
CHAIN_CHARACTERS = 260  # so that most conversations still fit into 128 tokens
SYSTEMS = (
    "You are a helpful assistant.", "You are a helpful and honest assistant.", "You are an AI assistant.", "Be helpful and brief.", "You answer questions.", "Help the user.", "You are a friendly assistant. Answer briefly.",
    "You are an assistant that gives short and correct answers.", "Answer the user's question.", "You are mini, a small language model.", "You are mini.", "Today is a fine day. Help the user with any task.", "Follow the user's instructions carefully.",
)


def characters(messages: list[dict]) -> int:
    return sum(len(message["content"]) + len(message.get("reasoning_content", "")) for message in messages)


class Mixture:
    """Draws samples; keeps a running mean of each skill's tokens so that shares are of tokens."""

    def __init__(self, split: str = "train"):
        self.split = split
        self.names = list(SKILLS)
        self.makers = {name: [make for _, make in kinds.values()] for name, kinds in SKILLS.items()}
        self.weights = {name: [weight for weight, _ in kinds.values()] for name, kinds in SKILLS.items()}
        # Tokens a sample, at first guess; `seen` moves it.
        self.tokens = {"code": 160.0, "writing": 80.0, "arithmetic": 80.0, "echo": 55.0, "recall": 150.0, "tools": 350.0, "extraction": 150.0, "talk": 80.0, "fallback": 60.0, "images": 70.0}

    def shares(self, progress: float) -> dict[str, float]:
        for (low, first), (high, second) in zip(PHASES, PHASES[1:]):
            if progress <= high:
                part = (progress - low) / (high - low)
                return {name: first.get(name, 0) * (1 - part) + second.get(name, 0) * part for name in self.names}
        return dict(PHASES[-1][1])

    def seen(self, skill: str, count: int) -> None:
        self.tokens[skill] += 0.02 * (count - self.tokens[skill])

    def sample(self, seed, progress: float) -> Sample:
        draw = Draw(seed, self.split, progress)
        shares = self.shares(progress)
        skill = draw.random.choices(self.names, [shares[name] / self.tokens[name] for name in self.names])[0]
        return self.in_conversation(self.of(skill, draw), draw)

    def in_conversation(self, sample: Sample, draw: Draw) -> Sample:
        """The sample as it is, or after another question and its answer, or under a plain system prompt."""
        if sample.skill not in CHAINED or sample.request.get("tools") or sample.request["messages"][0]["role"] == "system":
            return sample
        before: list[dict] = []
        size = characters(sample.request["messages"]) + len(sample.reply.content) + len(sample.reply.thinking or "")
        while self.split == "train" and sample.kind != "not_told" and size < CHAIN_CHARACTERS and draw.chance(CHAIN_SHARE):
            other = self.of(sample.skill if draw.chance(0.75) else draw.pick(CHAINED_ORDER), draw)
            turns = other.request["messages"]
            turns = [*turns, assistant(other.reply.content, other.reply.thinking)]
            size += characters(turns) + 30
            if other.effort == sample.effort and turns[0]["role"] == "user" and size < 1.4 * CHAIN_CHARACTERS:
                before = [*turns, *before]
        if draw.chance(SYSTEM_SHARE):
            before.insert(0, system(draw.pick(SYSTEMS)))
        if not before:
            return sample
        return replace(sample, request={**sample.request, "messages": [*before, *sample.request["messages"]]})

    def of(self, skill: str, draw: Draw) -> Sample:
        weights = self.weights[skill]
        if skill == "images" and draw.level < 0.3:
            weights = [weight * (2.0 if name in images.DENSE else 0.6) for weight, name in zip(weights, SKILLS[skill])]
        if skill == "arithmetic" and draw.level < 0.5:
            weights = [weight * (2.5 if name.startswith(CORE) else 1.0) for weight, name in zip(weights, SKILLS[skill])]
        if skill == "echo" and draw.level < 0.12:
            weights = [weight * (3.0 if name == "repeat" else 0.5 if name == "position" else 1.0) for weight, name in zip(weights, SKILLS[skill])]
        return draw.random.choices(self.makers[skill], weights)[0](draw)


def stream(seed: int, worker: int, progress: Callable[[], float] | float, split: str = "train", max_tokens: int = 4608,
           encoder: Encoder | None = None) -> Iterator[Encoded]:
    """Samples without end, the same ones for the same (seed, worker, progress)."""
    mixture, encode, index = Mixture(split), encoder or Encoder(), 0
    while True:
        now = progress() if callable(progress) else progress
        sample = mixture.sample(f"{seed}.{worker}.{index}", now)
        index += 1
        encoded = encode(sample)
        mixture.seen(sample.skill, len(encoded.ids))
        if len(encoded.ids) <= max_tokens:
            yield encoded
