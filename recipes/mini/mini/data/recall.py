"""Recall in long prompts: one fact among many of its kind and among filler, 40 to 4,500 tokens; and memory of earlier turns (talk.py has more)."""

from ..draw import Draw, assistant, sample, system, user
from ..words import ANIMALS, CITIES, COLOURS, COUNTRIES, DAYS, DEPARTMENTS, FIRST_NAMES, JOBS, LANGUAGES, NOUNS, PRODUCTS, SPORTS, SURNAMES

# (how a fact is told, phrasings of its question, what the key is, what the value is)
FACTS = (
    (("The code of {k} is {v}.", "{k} has the code {v}.", "The code for {k}: {v}.", "For {k}, use the code {v}."),
     ("What is the code of {k}?", "Which code belongs to {k}?", "What's the code for {k}?", "Tell me the code of {k}.", "Code for {k}?", "I need {k}'s code.", "What code does {k} have?"), "name", "code"),
    (("{k} lives in {v}.", "The home of {k} is {v}.", "{k} is from {v}.", "{k} moved to {v}."),
     ("Where does {k} live?", "In which city does {k} live?", "Which city is the home of {k}?", "Where is {k}'s home?", "What city does {k} live in?", "where can I find {k}?"), "name", "city"),
    (("{k} works as a {v}.", "{k} is a {v} by trade.", "The job of {k} is {v}.", "{k} earns a living as {v}."),
     ("What is the job of {k}?", "What does {k} do for a living?", "What does {k} work as?", "Which job does {k} have?", "What is {k}'s profession?"), "name", "job"),
    (("{k} has a pet {v}.", "The pet of {k} is a {v}.", "{k} keeps a {v}."),
     ("Which pet does {k} have?", "What animal does {k} keep?", "What is the pet of {k}?", "What kind of pet does {k} own?"), "name", "animal"),
    (("The favourite colour of {k} is {v}.", "{k} likes {v} best.", "{k}'s colour is {v}."),
     ("What is the favourite colour of {k}?", "Which colour does {k} like best?", "What colour does {k} like?", "{k}'s favourite colour?"), "name", "colour"),
    (("The phone number of {k} is {v}.", "Call {k} at {v}.", "{k} can be reached at {v}."),
     ("What is the phone number of {k}?", "What number can I call {k} at?", "How do I reach {k} by phone?", "Phone number of {k}?", "{k}'s number, please."), "name", "phone"),
    (("The password for the {k} is {v}.", "The {k} opens with {v}.", "Use {v} to open the {k}."),
     ("What is the password for the {k}?", "How do I open the {k}?", "What opens the {k}?", "Which password does the {k} need?", "I forgot the password of the {k}."), "noun", "code"),
    (("The {k} costs {v} euros.", "The price of the {k} is {v} euros.", "You pay {v} euros for the {k}."),
     ("How much is the {k}?", "What does the {k} cost?", "What is the price of the {k}?", "Price of the {k}?", "How many euros is the {k}?"), "product", "number"),
    (("The {k} is in room {v}.", "You will find the {k} in room {v}.", "Room {v} has the {k}."),
     ("In which room is the {k}?", "Where is the {k}?", "Which room has the {k}?", "What room is the {k} in?"), "product", "number"),
    (("{k} speaks {v}.", "The language of {k} is {v}."), ("Which language does {k} speak?", "What does {k} speak?", "What language does {k} know?"), "name", "language"),
    (("{k} plays {v}.", "The sport of {k} is {v}."), ("Which sport does {k} play?", "What does {k} play?", "What is the sport of {k}?"), "name", "sport"),
    (("The meeting with {k} is on {v}.", "{k} comes on {v}."), ("When is the meeting with {k}?", "On which day does {k} come?", "What day is {k} coming?"), "name", "day"),
    (("{k} works in the {v} department.", "{k} is in {v}."), ("In which department does {k} work?", "What department is {k} in?"), "name", "department"),
    (("{k} = {v}", "{k}: {v}", "{k} -> {v}"), ("What is {k}?", "What is the value of {k}?", "{k}?", "Give me the value of {k}.", "Value of {k}?"), "key", "any"),
    (("The capital of {k} is {v}.", "{k} has the capital {v}."), ("What is the capital of {k}?", "Which city is the capital of {k}?"), "land", "place"),
)


def phone(draw: Draw) -> str:
    return draw.pick(("555-{}{}{}{}", "0{}{} {}{}{}", "{}{}{}-{}{}{}")).format(*(draw.int(0, 9) for _ in range(6)))


KEYS = {
    "name": lambda draw: draw.pick((
        lambda: draw.word(FIRST_NAMES), lambda: f"{draw.word(FIRST_NAMES)} {draw.word(SURNAMES)}", lambda: draw.invented().capitalize()))(),
    "noun": lambda draw: draw.word(NOUNS), "product": lambda draw: draw.word(PRODUCTS),
    "key": lambda draw: draw.pick((draw.code, draw.invented, lambda: draw.word(NOUNS), lambda: f"{draw.word(NOUNS)}_{draw.int(1, 99)}"))(),
    "land": lambda draw: draw.invented().capitalize(),
}
VALUES = {
    "code": lambda draw: draw.code(), "city": lambda draw: draw.word(CITIES), "job": lambda draw: draw.word(JOBS), "animal": lambda draw: draw.word(ANIMALS),
    "colour": lambda draw: draw.word(COLOURS), "phone": phone, "number": lambda draw: str(draw.int(2, 999)), "language": lambda draw: draw.word(LANGUAGES),
    "sport": lambda draw: draw.word(SPORTS), "day": lambda draw: draw.pick(DAYS), "department": lambda draw: draw.word(DEPARTMENTS),
    "any": lambda draw: draw.pick((draw.code, draw.invented, lambda: draw.word(NOUNS), lambda: str(draw.int(0, 99999))))(),
    "place": lambda draw: draw.invented().capitalize(),
}
FILLER = (
    "The {a} was seen near the {n} in {c} last {d}.", "{p} and {q} talked about the {n} for a while.", "It rained in {c} on {d}.", "Nobody knows who left the {n} by the {m}.",
    "The {n} stands next to the {m}.", "{p} went to {c} to buy a {o}.", "There was a {a} behind the {n}.", "A {o} and a {n} were found in {c}.", "{p} wrote a letter to {q}.",
    "The way to the {n} is long.", "In {c} the {m} opens late.", "{p} is tired today.", "The {a} slept all {d}.", "Many people visit the {n} every year.", "{q} forgot the {o} at the {m}.",
    "The grass is green. The sky is blue. The sun is yellow.", "Here we go. There and back again.", "On {d} the {n} was closed.", "{p} told {q} a story about a {a}.",
    "The report about the {n} was sent on {d}.", "Some say that the {m} is older than the {n}.", "We walked from the {n} to the {m}.",
)
FRAMES = (
    "{t}\n\n{q}", "{t}\n{q}", "Read the text and answer.\n{t}\n\nQuestion: {q}", "{q}\n\n{t}", "Text: {t}\n\n{q}", "Here are some notes.\n{t}\n\n{q}", "Notes:\n{t}\n\nUsing the notes, answer: {q}",
    "I will ask you about this text: {t}\n\n{q}", "Answer from the text below. {q}\n\n{t}\n\n{q}",
)


def filler(draw: Draw) -> str:
    return draw.pick(FILLER).format(
        a=draw.word(ANIMALS), n=draw.word(NOUNS), m=draw.word(NOUNS), o=draw.word(PRODUCTS), c=draw.word(CITIES), d=draw.pick(DAYS),
        p=draw.word(FIRST_NAMES), q=draw.word(FIRST_NAMES))


def length(draw: Draw) -> int:
    """Tokens wanted: short early in a run, up to 4,500 at its end."""
    if not draw.training:
        return draw.pick((60, 200, 480, 1000, 2000, 3000, 4096))
    top = 150 if draw.level < 0.15 else 500 if draw.level < 0.4 else 1200 if draw.level < 0.6 else 4350
    share = draw.random.random()
    return int(40 * (top / 40) ** share)  # as many from 40 to 80 as from 2,000 to 4,000


def thought(key: str, value: str) -> str:
    return f"I look for {key} in the text: {value}"


def several(draw: Draw, text: str, ask, keys: dict[str, str], key: str, question: str, extra: int, effort: str) -> list[dict]:
    """A conversation about one text: other questions first, the sample's own last. Long texts so have more than one answer to learn from."""
    others = [name for name in draw.some(list(keys), min(len(keys), extra + 1)) if name != key][:extra]
    messages: list[dict] = []
    for name in others:
        messages += [user(draw.text(ask, k=name)), assistant(keys[name], thought(name, keys[name]) if effort == "high" else None)]
    messages.append(user(question))
    if draw.chance(0.3):
        return [system(text), *messages]
    first = draw.pick(FRAMES).format(t=text, q=messages[0]["content"])
    return [user(first), *messages[1:]]


def fact(draw: Draw, wanted: int | None = None):
    wanted = wanted or length(draw)
    tell, ask, key_kind, value_kind = draw.pick(FACTS)
    density = draw.pick((0.15, 0.4, 0.7, 1.0))
    shape = draw.pick(tell) if draw.chance(0.6) else None
    keys: dict[str, str] = {}
    lines, size = [], 0.0
    while size < wanted or len(keys) < 2:
        if keys and not draw.chance(density):
            line = filler(draw)
        else:
            key = KEYS[key_kind](draw)
            if any(key in other or other in key for other in keys) or len(keys) > 250:
                line = filler(draw)
            else:
                keys[key] = VALUES[value_kind](draw)
                line = (shape or draw.pick(tell)).format(k=key, v=keys[key])
        lines.append(line)
        size += len(line) / 2.55  # characters a token of these texts
    key = draw.pick(list(keys))
    lines = draw.shuffled(lines)
    text = draw.pick((" ", "\n")).join(lines)
    question = draw.text(ask, k=key)
    effort = draw.effort(0.1)
    value = keys[key]
    kind = "short" if wanted < 128 else "to_512" if wanted < 512 else "to_2048" if wanted < 2048 else "to_4608"
    extra = min(8, len(keys) - 1, draw.int(0, 2 + wanted // 100)) if draw.training else 0
    if extra:
        return sample("recall", kind, effort, several(draw, text, ask, keys, key, question, extra, effort), value, {"contains": [value]},
                      thinking=thought(key, value))
    messages = [user(draw.pick(FRAMES).format(t=text, q=question))]
    if draw.chance(0.15):
        messages = [system(text), user(question)]
    elif draw.chance(0.1):
        messages = [user(text + "\n\nRemember this."), {"role": "assistant", "content": "I will remember it."}, user(question)]
        if effort == "high":
            messages[1]["reasoning_content"] = "The user gives me facts to remember."
    return sample("recall", kind, effort, messages, value, {"contains": [value]},
                  thinking=thought(key, value))


KINDS = {"fact": (1.0, fact)}
