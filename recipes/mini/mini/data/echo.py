"""Echo and short recall: dense copying, from which the copy circuit forms. Early in a run, and little of it later."""

from ..draw import Draw, sample, user
from ..words import (
    ADJECTIVES, ANIMALS, CITIES, COLOURS, FIRST_NAMES, JOBS, NOUNS, PRODUCTS, SURNAMES,
)
from .fallback import documentation

POOLS = (ADJECTIVES, ANIMALS, CITIES, COLOURS, FIRST_NAMES, JOBS, NOUNS, PRODUCTS, SURNAMES)
REPEAT = (
    "Repeat: {t}", "Repeat after me: {t}", "Say: {t}", "Say exactly this: {t}", "Copy this: {t}", "Echo: {t}", "Please repeat: {t}", "Write this again: {t}",
    "Repeat the following: {t}", "Copy the text: {t}", "Say it back to me: {t}", "Type this: {t}", "Repeat these words: {t}", "Just say {t}", "Print: {t}",
    "Output the following text exactly: {t}", "Reply with: {t}", "Answer with exactly this: {t}", "Reply with only this: {t}",
)
PICK = (
    "What is the {o} word? {t}", "{t}\nWhich word comes {o}?", "Give the {o} word of: {t}", "Here is a list: {t}. What is the {o} one?", "List: {t}. Say the {o} item.",
    "The {o} word of this list, please: {t}",
)
PAIRS = (
    "{f}\nWhat is {k}?", "{f}\n{k}?", "Here are some pairs. {f}\nWhat belongs to {k}?", "{f}\nGive the value of {k}.", "Look up {k}: {f}", "{f}\nWhat is the value for {k}?",
    "Remember: {f}\nNow, what is {k}?", "{f}\nFind {k}.",
)


def thing(draw: Draw) -> str:
    """A word to copy: real, invented, a number or a code."""
    form = draw.random.random()
    if form < 0.45:
        return draw.word(draw.pick(POOLS))
    if form < 0.75:
        word = draw.invented()
        return word.capitalize() if draw.chance(0.4) else word
    if form < 0.88:
        return str(draw.int(0, 10 ** draw.int(1, 6)))
    return draw.code()


def letters(draw: Draw, most: int = 12) -> str:
    alphabet = draw.pick(("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "abcdefABCDEF0123456789"))
    return draw.pick((" ", " ", "", "-", ", ")).join(draw.pick(alphabet) for _ in range(draw.int(2, most)))


def words_of_documents(draw: Draw) -> str:
    """Words of documentation out of order, or a sentence of it: wide vocabulary."""
    sentences = documentation()[0]
    if draw.chance(0.4):
        return draw.word(sentences)
    return " ".join(draw.pick(draw.word(sentences).split()) for _ in range(draw.int(3, 12)))


def repeat(draw: Draw):
    early = draw.level < 0.15 and draw.training
    form = draw.random.random()
    if form < (0.25 if early else 0.12):
        text = letters(draw, 30 if early else 14)
    elif form < 0.45:
        text = words_of_documents(draw)
    else:
        text = draw.pick((" ", " ", ", ")).join(thing(draw) for _ in range(draw.int(3, 14) if early else draw.int(1, 8)))
    effort = draw.effort(0.03 if early else 0.06)
    return sample("echo", "repeat", effort, [user(draw.text(REPEAT, t=text))], text, {"equals": text},
                  thinking="I repeat the text.")


def position(draw: Draw):
    items = [thing(draw) for _ in range(draw.int(3, 6))]
    name, index = draw.pick((("first", 0), ("second", 1), ("third", 2), ("last", -1)))
    question = draw.text(PICK, o=name, t=draw.pick((", ", ", ", " ")).join(items))
    return sample("echo", "position", "none", [user(question)], items[index], {"equals": items[index]})


def pairs(draw: Draw):
    count = draw.int(2, 3 if draw.level < 0.05 else 6)
    keys = {}
    while len(keys) < count:
        keys[letters(draw)[:1] if draw.level < 0.1 and draw.chance(0.4) else thing(draw)] = thing(draw)
    form, joint = draw.pick(("{}: {}", "{} = {}", "{} is {}", "{} -> {}")), draw.pick((". ", "\n", ", ", "; "))
    facts = joint.join(form.format(key, value) for key, value in keys.items())
    key = draw.pick(list(keys))
    effort = draw.effort(0.06)
    return sample("echo", "pairs", effort, [user(draw.text(PAIRS, f=facts, k=key))], keys[key], {"equals": keys[key]},
                  thinking=f"I look for {key}: {keys[key]}")


def every_value(draw: Draw):
    """All values of all pairs: the densest copying with a lookup."""
    keys = {}
    while len(keys) < draw.int(2, 5):
        keys[thing(draw)] = thing(draw)
    facts = draw.pick(("\n", ", ", "; ")).join(f"{key}: {value}" for key, value in keys.items())
    asked = draw.shuffled(keys)
    question = f"{facts}\nGive the values of: {', '.join(asked)}"
    values = ", ".join(keys[key] for key in asked)
    return sample("echo", "values", "none", [user(question)], values, {"equals": values})


KINDS = {"repeat": (3.0, repeat), "position": (1.0, position), "pairs": (2.5, pairs), "values": (2.0, every_value)}
