"""Tool use: choose among one to four tools, fill in the arguments from the question, answer from the result; no call when no tool fits."""

import json

from ..draw import Draw, assistant, sample, system, tool_result, user
from ..sample import ToolCall
from ..words import (
    ADJECTIVES, CITIES, COLOURS, COUNTRIES, CURRENCIES, DAYS, FIRST_NAMES, LANGUAGES, NOUNS, PRODUCTS, SURNAMES,
)
from . import arithmetic, fallback, talk


def topic(draw: Draw) -> str:
    return draw.pick((lambda: draw.word(NOUNS), lambda: f"{draw.word(ADJECTIVES)} {draw.word(NOUNS)}", draw.invented, lambda: draw.word(PRODUCTS)))()


def place(draw: Draw) -> str:
    return draw.word(CITIES) if draw.chance(0.75) else draw.invented().capitalize()


def person(draw: Draw) -> str:
    return draw.pick((lambda: draw.word(FIRST_NAMES), lambda: draw.word(FIRST_NAMES), lambda: f"{draw.word(FIRST_NAMES)} {draw.word(SURNAMES)}", lambda: draw.invented().capitalize()))()


def other(draw: Draw, make, value):
    while (second := make(draw)) == value:
        pass
    return second


# Kinds of arguments: type in the schema, description, drawing one.
VALUES = {
    "city": ("string", "Name of the city", place),
    "country": ("string", "Name of the country", lambda d: d.word(COUNTRIES)),
    "person": ("string", "Name of the person", person),
    "topic": ("string", "What to look for", topic),
    "thing": ("string", "Name of the thing", topic),
    "currency": ("string", "Three-letter currency code", lambda d: d.pick(CURRENCIES)),
    "amount": ("number", "Amount", lambda d: d.int(1, 9999)),
    "minutes": ("integer", "Number of minutes", lambda d: d.int(1, 120)),
    "count": ("integer", "How many", lambda d: d.int(2, 50)),
    "day": ("string", "Day of the week", lambda d: d.pick(DAYS)),
    "time": ("string", "Time of day, HH:MM", lambda d: f"{d.int(6, 22):02d}:{d.pick(('00', '15', '30', '45'))}"),
    "language": ("string", "Language", lambda d: d.word(LANGUAGES)),
    "code": ("string", "Identifier", lambda d: d.code()),
    "colour": ("string", "Colour", lambda d: d.word(COLOURS)),
    "degrees": ("number", "Temperature in degrees", lambda d: d.int(5, 35)),
    "percent": ("integer", "Level from 0 to 100", lambda d: d.int(0, 100)),
    "text": ("string", "The text", lambda d: f"{d.word(ADJECTIVES)} {d.word(NOUNS)} {d.word(ADJECTIVES)} {d.word(NOUNS)}"),
    "room": ("string", "Name of the room", lambda d: d.pick(("kitchen", "bedroom", "bathroom", "living room", "office", "garage", "hall", "attic", "cellar", "nursery"))),
}


# name, description, arguments (name -> kind), phrasings, result (key -> drawing), answer
TOOLS = (
    ("get_weather", "Get the current weather in a city", {"city": "city"},
     ("What is the weather in {city}?", "How is the weather in {city}?", "Weather in {city}?", "Is it warm in {city} right now?", "Tell me the weather for {city}.", "What's it like outside in {city}?", "Do I need a coat in {city}?",
      "Will I need an umbrella in {city}?", "How warm is it in {city}?", "Temperature in {city}?", "Check the weather in {city}.", "I am going to {city}. What is the weather?"),
     {"temperature": lambda d: d.int(-15, 38), "sky": lambda d: d.pick(("sunny", "cloudy", "rainy", "windy", "foggy", "snowy", "clear", "stormy"))}, "It is {temperature} degrees and {sky} in {city}."),
    ("get_time", "Get the current local time in a city", {"city": "city"},
     ("What time is it in {city}?", "Current time in {city}?", "Tell me the time in {city}.", "What is the local time in {city}?", "How late is it in {city} now?", "Time in {city}, please.", "what's the clock saying in {city}?"),
     {"time": lambda d: f"{d.int(0, 23):02d}:{d.int(0, 59):02d}"}, "It is {time} in {city}."),
    ("convert_currency", "Convert an amount of money from one currency to another", {"amount": "amount", "source": "currency", "target": "currency"},
     ("Convert {amount} {source} to {target}.", "How much is {amount} {source} in {target}?", "What are {amount} {source} worth in {target}?", "{amount} {source} in {target}?", "Change {amount} {source} into {target}.",
      "I have {amount} {source}. How many {target} is that?", "exchange {amount} {source} for {target}"),
     {"result": lambda d: d.int(1, 99999)}, "{amount} {source} are {result} {target}."),
    ("get_population", "Get the number of people who live in a country", {"country": "country"},
     ("How many people live in {country}?", "What is the population of {country}?", "Population of {country}?", "How big is the population in {country}?", "Number of inhabitants of {country}?"),
     {"population": lambda d: d.int(100, 90000) * 1000}, "{country} has {population} people."),
    ("set_timer", "Start a timer", {"minutes": "minutes"},
     ("Set a timer for {minutes} minutes.", "Start a {minutes} minute timer.", "Wake me in {minutes} minutes.", "Timer: {minutes} minutes.", "Remind me in {minutes} minutes.", "Count down {minutes} minutes.", "My eggs need {minutes} minutes, set the timer."),
     {"status": lambda d: "started"}, "The timer for {minutes} minutes is started."),
    ("send_email", "Send an email to a person", {"to": "person", "subject": "topic"},
     ("Send an email to {to} about the {subject}.", "Email {to} about {subject}.", "Write a mail to {to} with the subject {subject}.", "Mail {to}: {subject}.", "Let {to} know by email about the {subject}.", "Please email {to}, subject {subject}."),
     {"status": lambda d: "sent"}, "The email to {to} is sent."),
    ("call_contact", "Call a person by phone", {"name": "person"},
     ("Call {name}.", "Phone {name}.", "Ring {name} for me.", "I want to talk to {name} on the phone.", "Give {name} a call.", "Dial {name}.", "Can you call {name} now?"),
     {"status": lambda d: d.pick(("connected", "busy", "no answer"))}, "The call to {name}: {status}."),
    ("search_web", "Search the web", {"query": "topic"},
     ("Search the web for {query}.", "Look up {query} online.", "Find pages about {query}.", "Google {query}.", "Search for {query}.", "What does the web say about {query}?", "Find information on {query}.", "look online for {query}"),
     {"title": topic, "hits": lambda d: d.int(1, 900)}, "There are {hits} hits. The first is {title}."),
    ("translate", "Translate a text into another language", {"text": "text", "language": "language"},
     ("Translate '{text}' into {language}.", "How do you say '{text}' in {language}?", "What is '{text}' in {language}?", "Put '{text}' into {language}.", "I need '{text}' in {language}.", "Please translate \"{text}\" to {language}."),
     {"translation": lambda d: f"{d.invented()} {d.invented()}"}, "In {language}: {translation}"),
    ("play_music", "Play music by an artist", {"artist": "person"},
     ("Play something by {artist}.", "Play {artist}.", "I want to hear {artist}.", "Put on some {artist}.", "Play songs of {artist}.", "Music by {artist}, please."),
     {"song": topic}, "Now playing {song} by {artist}."),
    ("book_table", "Book a table in a restaurant", {"city": "city", "people": "count", "time": "time"},
     ("Book a table for {people} in {city} at {time}.", "Reserve a table in {city} for {people} people at {time}.", "I need a table for {people} at {time} in {city}.", "We are {people} people and want to eat in {city} at {time}. Book a table.",
      "Table for {people}, {time}, {city}."),
     {"code": lambda d: d.code()}, "The table for {people} is booked. The code is {code}."),
    ("find_flights", "Find flights between two cities", {"origin": "city", "destination": "city"},
     ("Find flights from {origin} to {destination}.", "I want to fly from {origin} to {destination}.", "Flights from {origin} to {destination}?", "How can I fly to {destination} from {origin}?", "Which flights go to {destination} from {origin}?",
      "I am in {origin} and need a flight to {destination}."),
     {"flight": lambda d: d.code(), "price": lambda d: d.int(40, 1500)}, "Flight {flight} costs {price}."),
    ("get_stock_price", "Get the price of a company's share", {"symbol": "thing"},
     ("What is the stock price of {symbol}?", "Share price of {symbol}?", "How much is one share of {symbol}?", "What do shares of {symbol} cost?", "How is the {symbol} stock doing?"),
     {"price": lambda d: d.int(1, 900)}, "One share of {symbol} costs {price}."),
    ("create_event", "Add an event to the calendar", {"title": "topic", "day": "day", "time": "time"},
     ("Add {title} to my calendar on {day} at {time}.", "Put {title} in the calendar for {day}, {time}.", "Schedule {title} on {day} at {time}.", "New event: {title}, {day}, {time}.", "On {day} at {time} I have {title}. Add it to the calendar."),
     {"status": lambda d: "added"}, "{title} is added on {day} at {time}."),
    ("set_thermostat", "Set the temperature of a room", {"room": "room", "degrees": "degrees"},
     ("Set the {room} to {degrees} degrees.", "Heat the {room} to {degrees} degrees.", "I want {degrees} degrees in the {room}.", "Make the {room} {degrees} degrees.", "{room} thermostat to {degrees}, please."),
     {"status": lambda d: "done"}, "The {room} is set to {degrees} degrees."),
    ("set_light", "Set the brightness of a room's lights", {"room": "room", "level": "percent"},
     ("Set the lights in the {room} to {level} percent.", "Dim the {room} lights to {level}%.", "{room} light at {level} percent.", "Put the light in the {room} on {level}%.", "Make the {room} light {level} percent bright."),
     {"status": lambda d: "done"}, "The light in the {room} is at {level} percent."),
    ("track_package", "Find out where a package is", {"package_id": "code"},
     ("Where is my package {package_id}?", "Track package {package_id}.", "Track {package_id}.", "What is the status of package {package_id}?", "Has parcel {package_id} arrived?", "Find my parcel {package_id}."),
     {"location": place}, "Package {package_id} is in {location}."),
    ("get_order", "Get the state of an order", {"order_id": "code"},
     ("What is the state of order {order_id}?", "Order {order_id}: what is its state?", "Has order {order_id} shipped?", "Check order {order_id}.", "Look up order {order_id}."),
     {"state": lambda d: d.pick(("open", "paid", "shipped", "delivered", "cancelled"))}, "Order {order_id} is {state}."),
    ("get_capital", "Get the capital of a country", {"country": "country"},
     ("What is the capital of {country}?", "Capital of {country}?", "Which city is the capital of {country}?", "Name the capital of {country}."), {"capital": place}, "The capital of {country} is {capital}."),
    ("get_distance", "Get the distance between two cities in km", {"start": "city", "end": "city"},
     ("How far is it from {start} to {end}?", "What is the distance between {start} and {end}?", "Distance from {start} to {end}?", "How many km are between {start} and {end}?"), {"km": lambda d: d.int(20, 9000)}, "From {start} to {end} it is {km} km."),
    ("add_to_list", "Add an item to the shopping list", {"item": "thing", "count": "count"},
     ("Add {count} of {item} to the shopping list.", "Put {count} {item} on my shopping list.", "Shopping list: {count} x {item}.", "I need to buy {count} {item}. Add it to the list."), {"items": lambda d: d.int(1, 30)}, "The list now has {items} items."),
    ("take_note", "Save a note", {"text": "text"},
     ("Note down: {text}.", "Make a note: {text}.", "Save a note that says {text}.", "Write down {text}.", "Take a note: {text}."), {"note_id": lambda d: d.int(1, 999)}, "Saved as note {note_id}."),
    ("get_phone_number", "Look up the phone number of a person", {"name": "person"},
     ("What is the phone number of {name}?", "Find the number of {name}.", "How can I reach {name} by phone?", "Phone number of {name}, please.", "I need {name}'s phone number."), {"number": lambda d: f"555-{d.int(1000, 9999)}"}, "The number of {name} is {number}."),
    ("find_recipe", "Find a recipe with an ingredient", {"ingredient": "thing"},
     ("Find a recipe with {ingredient}.", "What can I cook with {ingredient}?", "Recipe with {ingredient}?", "I have {ingredient} at home. Find a recipe."), {"recipe": topic}, "You can make {recipe}."),
    ("roll_dice", "Roll dice", {"dice": "count", "sides": "count"},
     ("Roll {dice} dice with {sides} sides.", "Throw {dice} dice that have {sides} sides.", "Roll {dice} {sides}-sided dice."), {"total": lambda d: d.int(2, 300)}, "The total is {total}."),
    ("paint_wall", "Paint a wall of a room", {"room": "room", "colour": "colour"},
     ("Paint the {room} {colour}.", "I want a {colour} wall in the {room}.", "Make the wall of the {room} {colour}."), {"days": lambda d: d.int(1, 9)}, "The {room} will be {colour} in {days} days."),
)
VERBS = ("get", "find", "check", "fetch", "read", "look_up", "show", "query", "list", "load")
ACTS = ("set", "start", "stop", "open", "close", "send", "order", "reserve", "create", "delete", "update", "print")


def schema(draw: Draw, arguments: dict[str, str], described: bool) -> dict:
    properties = {}
    for name, kind in arguments.items():
        type_, description, _ = VALUES[kind]
        properties[name] = {"type": type_, "description": description} if described else {"type": type_}
    return {"type": "object", "properties": properties, "required": list(arguments)}


def invented_tool(draw: Draw):
    """A tool that does not exist anywhere else, so that names are read and not learnt by heart."""
    noun = draw.invented() if draw.chance(0.5) else draw.word(NOUNS)
    kind = draw.pick(("city", "person", "code", "country", "thing"))
    argument = draw.pick({"city": ("city", "place", "location"), "person": ("name", "person", "who"), "code": ("id", "code", "key"), "country": ("country", "nation"), "thing": ("item", "thing", "name")}[kind])
    if draw.chance(0.6):
        verb = draw.pick(VERBS)
        slot = "{" + argument + "}"
        return (f"{verb}_{noun}", f"{verb.replace('_', ' ').capitalize()} the {noun} of a {VALUES[kind][1].split()[-1].lower() if kind != 'code' else 'code'}", {argument: kind},
                (f"What is the {noun} of {slot}?", f"Tell me the {noun} of {slot}.", f"{noun} of {slot}?", f"I need the {noun} for {slot}.", f"{verb.replace('_', ' ').capitalize()} the {noun} of {slot}.", f"Which {noun} does {slot} have?"),
                {noun: lambda d: d.pick((d.code, lambda: d.word(NOUNS), lambda: d.int(1, 9999)))()}, f"The {noun} of {slot} is {{{noun}}}.")
    verb = draw.pick(ACTS)
    number = draw.pick(("count", "level", "size", "number"))
    slot = "{" + argument + "}"
    return (f"{verb}_{noun}", f"{verb.capitalize()} a {noun}", {argument: kind, number: "count"},
            (f"{verb.capitalize()} a {noun} for {slot} with {number} {{{number}}}.", f"Please {verb} the {noun} for {slot}, {number} {{{number}}}.", f"{verb} {noun}: {slot}, {number} {{{number}}}", f"I want to {verb} a {noun} for {slot} ({number} {{{number}}})."),
            {"status": lambda d: d.pick(("done", "ok", "failed"))}, f"The {noun} for {slot}: {{status}}.")


def choose(draw: Draw) -> tuple:
    return invented_tool(draw) if draw.chance(0.3) else draw.pick(TOOLS)


def offered(draw: Draw, wanted: list[tuple], count: int) -> list[dict]:
    """The list of tools with the wanted ones somewhere in it."""
    chosen = list(wanted)
    while len(chosen) < count:
        tool = choose(draw)
        if all(tool[0] != known[0] for known in chosen):
            chosen.append(tool)
    described = draw.chance(0.5)
    return [
        {"type": "function", "function": {"name": name, "description": description, "parameters": schema(draw, arguments, described)}}
        for name, description, arguments, *_ in draw.shuffled(chosen)
    ]


def num_tools(draw: Draw) -> int:
    return draw.pick((1, 1, 2) if draw.level < 0.3 else (1, 2, 2, 3, 3, 4))


def fill(draw: Draw, arguments: dict[str, str]) -> dict:
    values = {}
    for name, kind in arguments.items():
        value = VALUES[kind][2](draw)
        while value in values.values():
            value = VALUES[kind][2](draw)
        values[name] = value
    return values


def call_id(draw: Draw) -> str:
    return "".join(draw.random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=9))


def expected(calls) -> dict:
    return {"tool_calls": [{"name": call.name, "arguments": call.arguments} for call in calls]}


def thought(calls) -> str:
    return "I call " + " and ".join(call.name for call in calls) + "."


SYSTEMS = ("You are a helpful assistant with tools.", "Use the tools when they help.", "You can call tools.", "Answer with the help of the tools.", "You are an assistant. Call a tool if it fits.")


def with_system(draw: Draw, messages: list[dict]) -> list[dict]:
    return [system(draw.pick(SYSTEMS)), *messages] if draw.chance(0.12) else messages


def single(draw: Draw):
    tool = choose(draw)
    values = fill(draw, tool[2])
    question = draw.text(tool[3], **values)
    calls = (ToolCall(tool[0], values),)
    return sample("tools", "call", draw.effort(0.12), with_system(draw, [user(question)]), "", expected(calls),
                  thinking=thought(calls), calls=calls, tools=offered(draw, [tool], num_tools(draw)))


JOINTS = (" {0} And {1}", "{0} {1}", "{0} Also: {1}", "{0}\n{1}", "{0} Then: {1}", "First: {0} Second: {1}")
BOTH = {
    "get_weather": ("What is the weather in {0} and in {1}?", "Compare the weather in {0} and {1}.", "Weather in {0} and {1}?", "How is the weather in {0}, and how is it in {1}?", "Is it warmer in {0} or in {1}?"),
    "get_time": ("What time is it in {0} and in {1}?", "Time in {0} and {1}?", "Tell me the time in {0} and in {1}.", "Is it later in {0} or in {1}?"),
    "get_population": ("Do more people live in {0} or in {1}?", "Population of {0} and {1}?", "How many people live in {0} and in {1}?", "Compare the populations of {0} and {1}."),
    "get_capital": ("What are the capitals of {0} and {1}?", "Capitals of {0} and {1}?", "Name the capital of {0} and the capital of {1}."),
    "track_package": ("Where are my packages {0} and {1}?", "Track {0} and {1}.", "What about parcels {0} and {1}?"),
    "get_order": ("Check the orders {0} and {1}.", "What is the state of orders {0} and {1}?"),
    "call_contact": ("Call {0} and {1}.", "Ring {0} and then {1}.", "Phone both {0} and {1}."),
    "get_phone_number": ("What are the phone numbers of {0} and {1}?", "Find the numbers of {0} and {1}."),
    "get_stock_price": ("What do shares of {0} and {1} cost?", "Stock prices of {0} and {1}?", "Compare the share prices of {0} and {1}."),
}
BY_NAME = {tool[0]: tool for tool in TOOLS}


def two_calls(draw: Draw):
    """Two calls at once: (question, tools wanted, calls)."""
    if draw.chance(0.6):
        name = draw.pick(tuple(BOTH))
        tool = BY_NAME[name]
        (argument, kind), = tool[2].items()
        first = VALUES[kind][2](draw)
        second = other(draw, VALUES[kind][2], first)
        question = draw.rough(draw.word(BOTH[name])).format(first, second)
        return question, [tool], (ToolCall(name, {argument: first}), ToolCall(name, {argument: second}))
    first, second = choose(draw), choose(draw)
    while second[0] == first[0]:
        second = choose(draw)
    one, two = fill(draw, first[2]), fill(draw, second[2])
    question = draw.pick(JOINTS).format(draw.text(first[3], **one), draw.text(second[3], **two)).strip()
    return question, [first, second], (ToolCall(first[0], one), ToolCall(second[0], two))


def parallel(draw: Draw):
    question, wanted, calls = two_calls(draw)
    return sample("tools", "parallel", draw.effort(0.12), with_system(draw, [user(question)]), "", expected(calls),
                  thinking=thought(calls), calls=calls, tools=offered(draw, wanted, max(len(wanted), num_tools(draw))))


def result_text(draw: Draw, tool, values: dict) -> tuple[str, str, list[str]]:
    """The tool's result as its text, the answer, and what the answer must contain."""
    result = {key: make(draw) for key, make in tool[4].items()}
    answer = tool[5].format(**{**values, **result})
    needed = [str(value) for value in result.values() if str(value) in answer]
    text = json.dumps(result, ensure_ascii=False) if draw.chance(0.75) else ", ".join(f"{key}: {value}" for key, value in result.items())
    return text, answer, needed


def answered(draw: Draw):
    """The reply to one tool's result."""
    tool = choose(draw)
    values = fill(draw, tool[2])
    calls = (ToolCall(tool[0], values),)
    ids = [call_id(draw)]
    text, answer, needed = result_text(draw, tool, values)
    effort = draw.effort(0.12)
    messages = [user(draw.text(tool[3], **values)), assistant("", thought(calls) if effort == "high" else None, calls, ids), tool_result(ids[0], text)]
    return sample("tools", "answer", effort, with_system(draw, messages), answer, {"contains": needed or [answer]},
                  thinking="I answer from the result.", tools=offered(draw, [tool], num_tools(draw)))


def answered_two(draw: Draw):
    """The reply to two results."""
    question, wanted, calls = two_calls(draw)
    ids = [call_id(draw), call_id(draw)]
    effort = draw.effort(0.12)
    messages = [user(question), assistant("", thought(calls) if effort == "high" else None, calls, ids)]
    answers, contains = [], []
    tools = {tool[0]: tool for tool in wanted}
    for call, call_ in zip(calls, ids):
        text, answer, needed = result_text(draw, tools[call.name], call.arguments)
        messages.append(tool_result(call_, text))
        answers.append(answer)
        contains += needed or [answer]
    return sample("tools", "answer_two", effort, with_system(draw, messages), " ".join(answers), {"contains": contains},
                  thinking="I answer from the results.", tools=offered(draw, wanted, max(len(wanted), num_tools(draw))))


def no_tool(draw: Draw):
    """Tools are there and none fits: the answer is what it would be without them."""
    names = [choose(draw) for _ in range(num_tools(draw))]
    form = draw.random.random()
    if form < 0.35:
        inner = talk.plain(draw)
    elif form < 0.6:
        inner = draw.pick((arithmetic.sum_easy, arithmetic.sum_easy, arithmetic.product_easy, arithmetic.difference_easy))(draw)
    elif form < 0.8:
        missing = choose(draw)
        names = [tool for tool in names if tool[0] != missing[0] and tool[5] != missing[5]] or [BY_NAME["take_note" if missing[0] != "take_note" else "roll_dice"]]
        inner = fallback.honest(draw, "no_tool", draw.text(missing[3], **fill(draw, missing[2])))
    else:
        inner = draw.pick((fallback.about, fallback.whole))(draw)
    return sample("tools", "none", inner.effort, inner.request["messages"], inner.reply.content, {**inner.check, "no_calls": True},
                  thinking=inner.reply.thinking or "No tool is needed.", tools=offered(draw, names[:1], len(names)) if form < 0.6 else offered_only(draw, names))


def offered_only(draw: Draw, tools: list[tuple]) -> list[dict]:
    """These tools and no other."""
    different = list({tool[0]: tool for tool in tools}.values())
    return offered(draw, different, len(different))


def next_turn(draw: Draw):
    """A second question after a first was answered by a tool."""
    first, second = choose(draw), choose(draw)
    one, two = fill(draw, first[2]), fill(draw, second[2])
    effort = draw.effort(0.12)
    high = effort == "high"
    calls, ids = (ToolCall(first[0], one),), [call_id(draw)]
    text, answer, _ = result_text(draw, first, one)
    messages = [
        user(draw.text(first[3], **one)), assistant("", thought(calls) if high else None, calls, ids), tool_result(ids[0], text),
        assistant(answer, "I answer from the result." if high else None), user(draw.text(second[3], **two)),
    ]
    wanted = [first] if first[0] == second[0] else [first, second]
    if first[0] == second[0]:
        second = first
        two = fill(draw, second[2])
        messages[-1] = user(draw.text(second[3], **two))
    calls = (ToolCall(second[0], two),)
    return sample("tools", "next_turn", effort, messages, "", expected(calls), thinking=thought(calls), calls=calls,
                  tools=offered(draw, wanted, max(len(wanted), num_tools(draw))))


KINDS = {"call": (4.0, single), "parallel": (1.6, parallel), "answer": (1.5, answered), "answer_two": (0.7, answered_two), "none": (1.0, no_tool), "next_turn": (0.8, next_turn)}
