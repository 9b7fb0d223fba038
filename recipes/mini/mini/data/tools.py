"""Tool use: choose among one to four tools, fill in the arguments from the question, answer from the result; no call when no tool fits."""

import json

from ..draw import Draw, assistant, sample, system, tool_result, user
from ..sample import ToolCall
from ..words import (
    ADJECTIVES, CITIES, COLOURS, COUNTRIES, CURRENCIES, DAYS, DEPARTMENTS, FIRST_NAMES, LANGUAGES, NOUNS, PRODUCTS, SURNAMES,
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
    "unit": (("celsius", "fahrenheit"), "Unit of the temperature", lambda d: d.pick(("celsius", "fahrenheit"))),
    "switch": (("on", "off"), "On or off", lambda d: d.pick(("on", "off"))),
    "size": (("small", "medium", "large"), "Size", lambda d: d.pick(("small", "medium", "large"))),
    "priority": (("low", "normal", "high"), "Priority", lambda d: d.pick(("low", "normal", "high"))),
    "date": ("string", "Date, YYYY-MM-DD", lambda d: f"20{d.int(20, 39)}-{d.int(1, 12):02d}-{d.int(1, 28):02d}"),
    "room": ("string", "Name of the room", lambda d: d.pick(("kitchen", "bedroom", "bathroom", "living room", "office", "garage", "hall", "attic", "cellar", "nursery"))),
}


# name, description, arguments (name -> kind), phrasings, result (key -> drawing), answer
TOOLS = (
    ("get_weather", "Get the current weather in a city", {"city": "city"},
     ("What is the weather in {city}?", "How is the weather in {city}?", "Weather in {city}?", "Is it warm in {city} right now?", "Tell me the weather for {city}.", "What's it like outside in {city}?", "Do I need a coat in {city}?",
      "Will I need an umbrella in {city}?", "How warm is it in {city}?", "Temperature in {city}?", "Check the weather in {city}.", "I am going to {city}. What is the weather?"),
     {"temperature": lambda d: d.int(-15, 38), "sky": lambda d: d.pick(("sunny", "cloudy", "rainy", "windy", "foggy", "snowy", "clear", "stormy"))}, "It is {temperature} degrees and {sky} in {city}."),
    ("get_temperature", "Get the temperature in a city", {"city": "city", "unit": "unit"},
     ("What is the temperature in {city} in {unit}?", "How many degrees {unit} is it in {city}?", "Temperature in {city} in {unit}, please.", "How warm is it in {city}? Use {unit}.", "Give me the {unit} temperature of {city}."),
     {"degrees": lambda d: d.int(-20, 99)}, "It is {degrees} degrees {unit} in {city}."),
    ("switch_light", "Switch the light of a room on or off", {"room": "room", "state": "switch"},
     ("Turn {state} the light in the {room}.", "Switch {state} the {room} light.", "Light {state} in the {room}, please.", "Turn the {room} light {state}.", "{room} lights {state}", "I want the light in the {room} {state}.", "Please put the light {state} in the {room}."),
     {"status": lambda d: "ok"}, "The light in the {room} is {state}."),
    ("order_pizza", "Order a pizza", {"topping": "thing", "size": "size"},
     ("Order a {size} pizza with {topping}.", "I want a {size} {topping} pizza.", "One {size} pizza with {topping}, please.", "Get me a pizza with {topping}, {size}.", "A {topping} pizza, size {size}."), {"minutes": lambda d: d.int(10, 90)}, "Your {size} pizza with {topping} comes in {minutes} minutes."),
    ("create_ticket", "Open a support ticket", {"title": "topic", "priority": "priority"},
     ("Open a ticket about {title} with {priority} priority.", "Create a {priority} priority ticket: {title}.", "New ticket: {title}, priority {priority}.", "File a ticket for {title}, it has {priority} priority.", "Report {title} as a ticket with priority {priority}."),
     {"ticket": lambda d: d.int(100, 9999)}, "Ticket {ticket} about {title} is open."),
    ("book_hotel", "Book a hotel room in a city", {"city": "city", "nights": "count", "date": "date"},
     ("Book a hotel in {city} for {nights} nights from {date}.", "I need a room in {city} from {date} for {nights} nights.", "Hotel in {city}, {date}, {nights} nights.", "Reserve {nights} nights in {city} starting {date}.", "From {date} I stay {nights} nights in {city}. Book a hotel."),
     {"hotel": lambda d: d.invented().capitalize(), "price": lambda d: d.int(30, 900)}, "The hotel {hotel} is booked for {price}."),
    ("get_calendar", "List the events of a day", {"date": "date"},
     ("What do I have on {date}?", "Which events are on {date}?", "Show my calendar for {date}.", "Am I free on {date}?", "What is planned for {date}?", "Calendar {date}?"), {"events": lambda d: d.int(0, 9)}, "You have {events} events on {date}."),
    ("reset_password", "Reset the password of a user", {"user": "person"},
     ("Reset the password of {user}.", "{user} forgot the password, reset it.", "New password for {user}, please.", "Please reset {user}'s password.", "{user} cannot log in. Reset the password."), {"status": lambda d: "done"}, "The password of {user} is reset."),
    ("get_exchange_rate", "Get the exchange rate of two currencies", {"base": "currency", "quote": "currency"},
     ("What is the exchange rate of {base} to {quote}?", "{base} to {quote} rate?", "How many {quote} do I get for one {base}?", "Rate between {base} and {quote}?", "Exchange rate {base}/{quote}, please."), {"rate": lambda d: d.int(1, 999)}, "One {base} is {rate} {quote}."),
    ("check_stock", "Check how many pieces of a product are there", {"product": "thing"},
     ("How many pieces of {product} do we have?", "Is {product} in stock?", "Check the stock of {product}.", "Do we have any {product} left?", "Stock of {product}?", "How much {product} is in the warehouse?"), {"pieces": lambda d: d.int(0, 999)}, "There are {pieces} pieces of {product}."),
    ("next_train", "Get the next train between two cities", {"start": "city", "end": "city"},
     ("When does the next train go from {start} to {end}?", "Next train from {start} to {end}?", "I want to go by train from {start} to {end}.", "Trains to {end} from {start}?", "When can I take a train from {start} to {end}?"), {"time": lambda d: f"{d.int(0, 23):02d}:{d.int(0, 59):02d}"}, "The next train from {start} to {end} leaves at {time}."),
    ("find_book", "Look up a book", {"title": "topic"},
     ("Do we have the book {title}?", "Find the book {title}.", "Look up the book '{title}'.", "Is the book {title} here?", "Where is the book {title}?"), {"shelf": lambda d: d.code()}, "The book {title} is on shelf {shelf}."),
    ("look_up_employee", "Find the record of an employee", {"name": "person"},
     ("Find the employee {name}.", "Look up {name} in the staff list.", "Get the record of {name}.", "In which department does {name} work?", "Show me the employee record of {name}."), {"department": lambda d: d.word(DEPARTMENTS), "room": lambda d: d.int(1, 499)}, "{name} works in {department}, room {room}."),
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


# Other names for arguments, by kind, and for the verbs that names of tools begin with.
OTHER_ARGUMENTS = {
    "city": ("city", "location", "place", "town", "city_name"), "country": ("country", "country_name", "nation", "land"), "person": ("name", "person", "who", "contact", "full_name"), "topic": ("query", "topic", "subject", "text", "title"),
    "thing": ("item", "product", "thing", "object", "name"), "minutes": ("minutes", "duration", "length", "mins"), "count": ("count", "number", "quantity", "n", "amount"), "day": ("day", "weekday", "on"), "time": ("time", "at", "start_time", "clock"),
    "code": ("id", "code", "number", "key", "reference"), "room": ("room", "room_name", "where", "area"), "percent": ("level", "percent", "brightness", "value"), "degrees": ("degrees", "temperature", "target", "value"), "language": ("language", "target_language", "lang", "to"),
    "colour": ("colour", "color", "paint"), "switch": ("state", "switch", "mode"), "size": ("size", "portion"), "priority": ("priority", "urgency", "level"), "date": ("date", "day", "on_date", "when"), "unit": ("unit", "units", "scale"), "text": ("text", "phrase", "content"),
}
OTHER_VERBS = {"get": ("get", "fetch", "lookup", "check", "query", "show", "read", "get_current"), "find": ("find", "search", "lookup", "locate", "get"), "set": ("set", "change", "adjust", "update", "start"), "book": ("book", "reserve", "order"), "create": ("create", "add", "make", "new"),
               "send": ("send", "write", "post"), "convert": ("convert", "exchange", "change"), "search": ("search", "look_up", "query"), "call": ("call", "phone", "dial", "ring"), "order": ("order", "buy"), "play": ("play", "start")}


def public_name(draw: Draw, name: str) -> str:
    """A tool's name, perhaps with another verb or in another style."""
    verb, _, rest = name.partition("_")
    if rest and verb in OTHER_VERBS and draw.chance(0.35):
        name = f"{draw.pick(OTHER_VERBS[verb])}_{rest}"
    elif rest and verb == "get" and draw.chance(0.1):
        name = rest
    if draw.chance(0.12):
        head, *others = name.split("_")
        name = head + "".join(part.capitalize() for part in others)
    elif draw.chance(0.06):
        name = name.replace("_", "-")
    return name


def renamed(draw: Draw, tool: tuple) -> tuple:
    """A tool of the table as it is offered in one sample: names of the tool and of its arguments may change."""
    name, description, arguments, phrasings, result, answer = tool
    public = {slot: slot for slot in arguments}
    if draw.chance(0.45) and len(set(arguments.values())) == len(arguments):
        others = {slot: draw.pick(OTHER_ARGUMENTS.get(kind, (slot,))) for slot, kind in arguments.items()}
        if len(set(others.values())) == len(others):
            public = others
    if draw.chance(0.25):
        low = description[0].lower() + description[1:]
        description = draw.pick((description + ".", f"Use this to {low}.", f"Tool to {low}", f"Function: {low}", ""))
    return (public_name(draw, name), description, arguments, phrasings, result, answer, public)


def schema(draw: Draw, arguments: dict[str, str], public: dict[str, str], described: bool) -> dict:
    properties = {}
    for slot, kind in arguments.items():
        type_, description, _ = VALUES[kind]
        entry: dict = {"type": type_} if isinstance(type_, str) else {"type": "string", "enum": list(type_)}
        if described:
            entry["description"] = description
        properties[public[slot]] = entry
    return {"type": "object", "properties": properties, "required": [public[slot] for slot in arguments]}


def call_of(tool: tuple, values: dict) -> ToolCall:
    """The call with the arguments under their public names."""
    return ToolCall(tool[0], {tool[6][slot]: value for slot, value in values.items()})


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
    """A tool as it is offered; the last item maps slots of phrasings to names of arguments."""
    if draw.chance(0.3):
        tool = invented_tool(draw)
        return (*tool, {slot: slot for slot in tool[2]})
    return renamed(draw, draw.pick(TOOLS))


def offered(draw: Draw, wanted: list[tuple], count: int) -> list[dict]:
    """The list of tools with the wanted ones somewhere in it."""
    chosen = list(wanted)
    while len(chosen) < count:
        tool = choose(draw)
        if all(tool[0] != known[0] for known in chosen):
            chosen.append(tool)
    described = draw.chance(0.5)
    return [
        {"type": "function", "function": {"name": name, "description": description, "parameters": schema(draw, arguments, public, described)}}
        for name, description, arguments, _, _, _, public in draw.shuffled(chosen)
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
    calls = (call_of(tool, values),)
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
    """Two calls at once: (question, tools wanted, calls, values by slot)."""
    if draw.chance(0.6):
        name = draw.pick(tuple(BOTH))
        tool = renamed(draw, BY_NAME[name])
        (slot, kind), = tool[2].items()
        first = VALUES[kind][2](draw)
        second = other(draw, VALUES[kind][2], first)
        question = draw.rough(draw.phrase(BOTH[name])).format(first, second)
        return question, [tool], (call_of(tool, {slot: first}), call_of(tool, {slot: second})), ({slot: first}, {slot: second})
    first, second = choose(draw), choose(draw)
    while second[0] == first[0]:
        second = choose(draw)
    one, two = fill(draw, first[2]), fill(draw, second[2])
    question = draw.pick(JOINTS).format(draw.text(first[3], **one), draw.text(second[3], **two)).strip()
    return question, [first, second], (call_of(first, one), call_of(second, two)), (one, two)


def parallel(draw: Draw):
    question, wanted, calls, _ = two_calls(draw)
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
    calls = (call_of(tool, values),)
    ids = [call_id(draw)]
    text, answer, needed = result_text(draw, tool, values)
    effort = draw.effort(0.12)
    messages = [user(draw.text(tool[3], **values)), assistant("", thought(calls) if effort == "high" else None, calls, ids), tool_result(ids[0], text)]
    return sample("tools", "answer", effort, with_system(draw, messages), answer, {"contains": needed or [answer]},
                  thinking="I answer from the result.", tools=offered(draw, [tool], num_tools(draw)))


def answered_two(draw: Draw):
    """The reply to two results."""
    question, wanted, calls, values = two_calls(draw)
    ids = [call_id(draw), call_id(draw)]
    effort = draw.effort(0.12)
    messages = [user(question), assistant("", thought(calls) if effort == "high" else None, calls, ids)]
    answers, contains = [], []
    tools = {tool[0]: tool for tool in wanted}
    for call, call_, filled in zip(calls, ids, values):
        text, answer, needed = result_text(draw, tools[call.name], filled)
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
        names = [tool for tool in names if tool[5] not in (missing[5], BY_NAME["search_web"][5])] or [renamed(draw, BY_NAME["take_note" if missing[3] != BY_NAME["take_note"][3] else "roll_dice"])]
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
    calls, ids = (call_of(first, one),), [call_id(draw)]
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
    calls = (call_of(second, two),)
    return sample("tools", "next_turn", effort, messages, "", expected(calls), thinking=thought(calls), calls=calls,
                  tools=offered(draw, wanted, max(len(wanted), num_tools(draw))))


def session(draw: Draw):
    """Several questions under one list of tools: calls, pairs of calls, answers, questions that need none. Every turn is learnt from, so the list pays."""
    effort = draw.effort(0.12)
    high = effort == "high"
    tools: list[tuple] = []
    while len(tools) < num_tools(draw):
        tool = choose(draw)
        if all(tool[0] != known[0] and tool[3] != known[3] for known in tools):
            tools.append(tool)
    messages: list[dict] = []
    for turn in range(draw.int(2, 5)):
        last: dict = {}
        form = draw.random.random()
        if form < 0.15:
            inner = draw.pick((talk.plain, talk.plain, arithmetic.sum_easy, arithmetic.product_easy, fallback.whole))(draw)
            while inner.effort != effort or inner.request["messages"][0]["role"] != "user":
                inner = talk.plain(draw)
            messages.append(inner.request["messages"][0])
            last = {"content": inner.reply.content, "check": {**inner.check, "no_calls": True}, "thinking": inner.reply.thinking}
        else:
            wanted = [draw.pick(tools)]
            if form < 0.4:
                wanted.append(draw.pick(tools))
            filled = [fill(draw, tool[2]) for tool in wanted]
            texts = [draw.text(tool[3], **values) for tool, values in zip(wanted, filled)]
            messages.append(user(texts[0] if len(texts) == 1 else draw.pick(JOINTS).format(*texts).strip()))
            calls = tuple(call_of(tool, values) for tool, values in zip(wanted, filled))
            last = {"content": "", "check": expected(calls), "thinking": thought(calls), "calls": calls}
            if draw.chance(0.6):
                ids = [call_id(draw) for _ in calls]
                messages.append(assistant("", thought(calls) if high else None, calls, ids))
                results = [result_text(draw, tool, values) for tool, values in zip(wanted, filled)]
                messages += [tool_result(id_, text) for id_, (text, _, _) in zip(ids, results)]
                last = {"content": " ".join(answer for _, answer, _ in results), "check": {"contains": [text for _, _, needed in results for text in needed] or [results[0][1]]},
                        "thinking": "I answer from the result." if len(results) == 1 else "I answer from the results."}
            elif turn > 0 or draw.chance(0.5):
                break
        if turn < 4 and draw.chance(0.85):
            if last.get("calls"):
                break
            messages.append(assistant(last["content"], last["thinking"] if high else None))
        else:
            break
    if messages[-1]["role"] == "assistant":
        messages.pop()
    described = offered(draw, tools, len(tools))
    return sample("tools", "session", effort, with_system(draw, messages), last["content"], last["check"], thinking=last["thinking"], calls=last.get("calls", ()), tools=described)


KINDS = {"session": (6.0, session), "call": (4.0, single), "parallel": (1.6, parallel), "answer": (1.5, answered), "answer_two": (0.7, answered_two), "none": (1.0, no_tool), "next_turn": (0.8, next_turn)}
