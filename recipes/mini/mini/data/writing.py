"""Writing: a curt note rewritten politely, within a word limit that decides how much courtesy there is room for."""

from ..draw import Draw, held, sample, user
from ..words import ADJECTIVES, CITIES, DAYS, DEPARTMENTS, FIRST_NAMES, NOUNS, PRODUCTS, pool

DOCUMENTS = pool("""
report;invoice;contract;draft;slides;budget;list;plan;minutes;numbers;figures;agenda;letter;form;offer;schedule;photos;keys;password;address;file;files;folder;data;results;summary;proposal;receipt;ticket;tickets;
documents;manual;price list;sales figures;test results;meeting notes;travel plan;bill;certificate;translation;design;logo;poster;survey;checklist;order form;time sheet;room key;phone list;quote;estimate
""")
THINGS = pool("""
the printer;the website;the door;the heating;the server;the light;the coffee machine;the elevator;the projector;the lamp;the window;the sink;the lock;the network;the build;the tests;the database;the login page;the link;
the sign;the fence;the roof;the engine;the radio;the fridge
""")
PLACES = pool("the office;the meeting;the station;the airport;room 4;the front desk;my desk;the lobby;the workshop;the gate;the kitchen;the warehouse")
# Verb phrases as the writer says them; {d} document, {t} thing, {p} product, {n} name, {w} when, {c} city, {a} adjective noun.
ORDERS = (
    "send me the {d}", "send the {d} to {n}", "give me the {d}", "give {n} the {d}", "bring the {d}", "bring me the {d}", "fix {t}", "repair {t}", "clean {t}", "check {t}", "turn off {t}", "finish the {d}", "correct the {d}",
    "read the {d}", "sign the {d}", "print the {d}", "call {n}", "call me", "ask {n}", "tell {n} about the {d}", "pay the {d}", "order {k} {p}", "buy a {p}", "pick up the {p}", "return my {p}", "move your {p}", "book a room in {c}",
    "book a flight to {c}", "come to {l}", "wait at {l}", "meet me at {l}", "answer my email", "reply to {n}", "update the {d}", "delete the {d}", "copy the {d}", "share the {d} with {n}", "close the {a}", "open the {a}", "carry the {p} to {l}",
    "clean up the {a}", "write the {d}", "review the {d}", "explain the {d}", "show me the {d}", "prepare the {d}", "cancel the {d}", "confirm the {d}", "hand in the {d}", "translate the {d}", "return the {p} to {n}", "look at the {d}", "test {t}",
    "upload the {d}", "forward the {d} to {n}", "water the {a}", "paint the {a}", "find my {p}", "stop the {a}", "unlock {t}", "send {k} {p} to {n}", "join the call", "leave the {p} at {l}", "tidy the {a}", "lock the {a}", "put the {p} on my desk",
)
WHEN = ("by {day}", "before {day}", "on {day}", "today", "tomorrow", "before noon", "by tonight", "this week", "at {h} o'clock", "by {h} pm", "next week", "by the end of {day}", "tomorrow morning")
RUDE_BEFORE = ("", "", "", "hey, ", "you: ", "listen, ", "come on, ", "look, ")
RUDE_AFTER = ("", "", "", "!", "!!", " now!", " asap", ", asap!", " immediately", ", hurry up", ", i won't say it again", " or else", ", got it?", ", no excuses", " right now")
# (how a curt note says it, how it is said politely); {x} is copied.
STATEMENTS = (
    (("i can't come {w}", "not coming {w}", "can't make it {w}", "i won't be there {w}"), "I am sorry, but I cannot come {W}."),
    (("the {d} is wrong", "your {d} is wrong", "wrong {d}", "you messed up the {d}", "the {d} is full of mistakes"), "I am afraid the {d} needs some corrections."),
    (("the {d} is late", "where is the {d}", "still no {d}", "i have been waiting for the {d}", "why is the {d} not here"), "Could you please tell me when I can expect the {d}?"),
    (("{t} is broken", "{t} doesn't work", "{t} is dead again"), "I am afraid {t} is not working. Could you please have a look?"),
    (("i need the {d} {w}", "need the {d} {w}", "i want the {d} {w}", "{d} {w}, i need it"), "Could you please send me the {d} {W}?"),
    (("i don't like the {d}", "the {d} is bad", "terrible {d}", "what a stupid {d}"), "I think the {d} could still be improved."),
    (("no meeting {w}", "meeting cancelled {w}", "the meeting {w} is off"), "I am sorry to tell you that the meeting {W} is cancelled."),
    (("too loud", "be quiet", "shut up", "stop talking", "you are too loud"), "Could you please be a little quieter?"),
    (("you're late", "late again", "you are late again", "why are you always late"), "Could you please try to be on time?"),
    (("leave me alone", "go away", "i am busy", "no time, go away", "not now"), "I am sorry, but I am busy at the moment."),
    (("no", "no way", "forget it", "never", "i won't do it", "i refuse"), "I am sorry, but I have to decline."),
    (("i don't understand the {d}", "the {d} makes no sense", "what is this {d}"), "Could you please explain the {d} to me?"),
    (("too expensive", "your price is too high", "the {d} is too expensive", "that costs too much"), "I am afraid the price is too high for us."),
)
DONT = ("don't touch the {a}", "don't be late {w}", "don't forget the {d}", "don't open the {a}", "don't park here", "don't smoke here", "don't call me {w}", "don't use the {p}", "don't send the {d} to {n}", "don't move the {p}", "don't lose the {d}",
        "don't wait for {n}", "don't eat at your desk", "don't delete the {d}")
ASK = (
    "Rewrite this note politely in at most {k} words: {t}", "Make this polite, at most {k} words: {t}", "Please rewrite politely (max {k} words): {t}", "Say this more politely in {k} words or fewer: {t}", "Turn this into a polite note of at most {k} words.\n{t}",
    "Rewrite in a friendly way, no more than {k} words: \"{t}\"", "Make this note sound polite. Limit: {k} words.\n\n{t}", "Polite version, {k} words at most: {t}", "How can I say this politely in under {k} words? {t}", "{t}\n\nRewrite this politely. Use at most {k} words.",
    "Too rude: \"{t}\" Write it politely within {k} words.", "Rephrase politely, up to {k} words: {t}", "I wrote \"{t}\". Make it polite, {k} words max.", "Note: {t}\nPolite rewrite (at most {k} words):", "Put this nicely, within {k} words: {t}",
    "Soften this message, not more than {k} words: {t}", "Can you make this kinder? At most {k} words. {t}", "Write a polite message instead of this one, {k} words at most: {t}", "Please be polite for me in {k} words or less: {t}",
)


def slots(draw: Draw) -> dict[str, str]:
    when = draw.pick(WHEN).format(day=draw.pick(DAYS), h=draw.int(1, 12))
    return {
        "d": draw.word(DOCUMENTS), "t": draw.word(THINGS), "p": draw.word(PRODUCTS), "n": draw.word(FIRST_NAMES) if draw.chance(0.8) else draw.invented().capitalize(), "w": when, "W": when, "c": draw.word(CITIES),
        "a": f"{draw.word(ADJECTIVES)} {draw.word(NOUNS)}" if draw.chance(0.4) else draw.word(NOUNS), "l": draw.word(PLACES), "k": str(draw.int(2, 40)),
    }


def courteous(core: str, limit: int) -> str:
    """The request with as much courtesy as the limit has room for."""
    before, after = ("", " Thank you.") if limit < 20 else ("Hello, ", " Thank you very much.") if limit < 35 else ("Hello, I hope you are well. ", " Thank you very much for your help.")
    if before == "Hello, " and not core.startswith("I "):
        core = core[0].lower() + core[1:]
    return before + core + after


def polite(draw: Draw):
    while True:
        values = slots(draw)
        form = draw.random.random()
        if form < 0.6:
            note = draw.pick(ORDERS)
            if draw.chance(0.55):
                note += " {w}"
            core = f"Could you please {note}?".format(**values)
            kind = "order"
        elif form < 0.75:
            note = draw.pick(DONT)
            core = ("Please do not" + note.removeprefix("don't") + ".").format(**values)
            kind = "dont"
        else:
            ways, answer = draw.pick(STATEMENTS)
            note, core, kind = draw.pick(ways), answer.format(**values), "statement"
        if held(core) != draw.training:
            break
    note = note.format(**values)
    if draw.chance(0.75):
        note = note.lower()
    elif draw.chance(0.3):
        note = note.upper()
    else:
        note = note[0].upper() + note[1:]
    if kind != "statement" or draw.chance(0.4):
        note = draw.pick(RUDE_BEFORE) + note + draw.pick(RUDE_AFTER)
    if note[-1].isalnum() and draw.chance(0.5):
        note += "."
    fewest = len(core.split()) + 2
    limit = draw.pick([size for size in (10, 12, 14, 15, 16, 18, 20, 22, 25, 28, 30, 35, 40, 45, 50, 60) if size >= fewest])
    while len(courteous(core, limit).split()) > limit:
        limit += 5
    reply = courteous(core, limit)
    question = draw.text(ASK, t=note, k=limit)
    check = {"polite": {"words": limit, "keep": kept(values, core)}}
    return sample("writing", kind, draw.effort(0.1), [user(question)], reply, check, thinking=f"At most {limit} words, polite.")


def kept(values: dict[str, str], core: str) -> list[str]:
    """What must not get lost: the slots' words that are in the core."""
    return [values[key] for key in ("d", "p", "n", "c", "w") if values[key] in core and len(values[key]) > 2]


KINDS = {"polite": (1.0, polite)}
