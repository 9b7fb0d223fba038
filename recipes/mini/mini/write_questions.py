"""Writes evaluation/questions.jsonl: 100 questions written by hand, none from the generators' templates.

usage: python -m mini.write_questions

Images are drawn by Pillow, smoothed and outlined, in other shades and sizes than training's.
"""

import json
from pathlib import Path

from PIL import Image, ImageDraw

from .sample import data_url

PATH = Path(__file__).resolve().parents[1] / "evaluation" / "questions.jsonl"
INKS = {"red": (200, 20, 30), "green": (20, 140, 50), "blue": (30, 60, 200), "yellow": (250, 220, 20), "black": (5, 5, 10), "orange": (250, 150, 10), "purple": (120, 40, 160), "pink": (255, 160, 200)}
SCALE = 4  # drawn larger, then made smaller, so that edges are smooth


def outline(shape: str, x: float, y: float, size: float) -> list[tuple[float, float]]:
    """Corners of a shape in the box at (x, y)."""
    half, third = size / 2, size / 3
    corners = {
        "square": ((0, 0), (size, 0), (size, size), (0, size)), "triangle": ((half, 0), (size, size), (0, size)), "diamond": ((half, 0), (size, half), (half, size), (0, half)),
        "cross": ((third, 0), (2 * third, 0), (2 * third, third), (size, third), (size, 2 * third), (2 * third, 2 * third), (2 * third, size), (third, size), (third, 2 * third), (0, 2 * third), (0, third), (third, third)),
    }
    return [(x + dx, y + dy) for dx, dy in corners[shape]]


def picture(width: int, height: int, things, background=(250, 248, 240)):
    """things: (colour, shape, x, y, size)."""
    image = Image.new("RGB", (width * SCALE, height * SCALE), background)
    pen = ImageDraw.Draw(image)
    for colour, shape, x, y, size in things:
        x, y, size = x * SCALE, y * SCALE, size * SCALE
        if shape == "circle":
            pen.ellipse((x, y, x + size, y + size), fill=INKS[colour])
        else:
            pen.polygon(outline(shape, x, y, size), fill=INKS[colour])
    return image.resize((width, height), Image.Resampling.LANCZOS)


def bars(values, width: int = 112, height: int = 112):
    """values: (colour, height in units); a line at each unit."""
    image = Image.new("RGB", (width, height), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    unit, base = (height - 8) // 9, height - 4
    for level in range(10):
        pen.line((2, base - level * unit, width - 3, base - level * unit), fill=(200, 200, 205) if level else (0, 0, 0))
    step = (width - 8) // len(values)
    for index, (colour, value) in enumerate(values):
        left = 6 + index * step
        pen.rectangle((left, base - value * unit, left + step - 8, base - 1), fill=INKS[colour])
    return image


def written(text: str, width: int = 112, height: int = 56, size: int = 28):
    from PIL import ImageFont

    image = Image.new("RGB", (width, height), (255, 255, 255))
    ImageDraw.Draw(image).text((10, 10), text, fill=(10, 10, 60), font=ImageFont.load_default(size))
    return image


def url(image: Image.Image) -> str:
    import numpy as np

    return data_url(np.array(image))


def tool(function: str, description: str, /, **arguments: str) -> dict:
    properties = {key: {"type": kind} for key, kind in arguments.items()}
    return {"type": "function", "function": {"name": function, "description": description, "parameters": {"type": "object", "properties": properties, "required": list(arguments)}}}


WEATHER = tool("get_weather", "Current weather in a city", city="string")
CLOCK = tool("get_time", "Local time in a city", city="string")
MAIL = tool("send_email", "Send an email", to="string", subject="string")
TIMER = tool("set_timer", "Start a kitchen timer", minutes="integer")
MONEY = tool("convert_currency", "Convert money between currencies", amount="number", source="string", target="string")
STOCK = tool("check_stock", "How many pieces of a product are in the warehouse", product="string")
TRAIN = tool("next_train", "The next train between two stations", start="string", end="string")
LIBRARY = tool("find_book", "Look up a book in the library by its title", title="string")
LOOKUP = tool("look_up_employee", "Find the record of an employee", name="string")
LIGHT = tool("switch_light", "Switch the light of a room on or off", room="string", state="string")


def call(function: str, /, **arguments) -> dict:
    return {"name": function, "arguments": arguments}


def ask(skill: str, kind: str, text, check: dict, effort: str = "none", system: str | None = None, before=(), images=(), tools=None, after=()) -> dict:
    """One question; before: (user, assistant) turns; after: messages that follow the question."""
    content = text if not images else [*({"type": "image_url", "image_url": {"url": url(image)}} for image in images), {"type": "text", "text": text}]
    messages = [{"role": "system", "content": system}] if system else []
    for said, answered in before:
        messages += [{"role": "user", "content": said}, {"role": "assistant", "content": answered}]
    messages += [{"role": "user", "content": content}, *after]
    request = {"messages": messages, "reasoning_effort": effort}
    if tools:
        request["tools"] = tools
    return {"skill": skill, "kind": kind, "effort": effort, "request": request, "check": check}


def schema(**types: str) -> dict:
    return {"type": "object", "properties": {key: {"type": kind} for key, kind in types.items()}, "required": list(types), "additionalProperties": False}


def extract(text: str, wanted: dict, effort: str = "none") -> dict:
    """A question of extraction with its schema as response_format."""
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    question = ask("extraction", "hand", text, {"json": wanted}, effort)
    question["request"]["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema(**{key: names[type(value)] for key, value in wanted.items()})}}
    return question


def code(text: str, name: str, tests: list, effort: str = "none") -> dict:
    return ask("code", "hand_mend", text, {"python": {"name": name, "tests": [[repr(arguments), repr(result)] for arguments, result in tests]}}, effort)


def polite(text: str, words: int, keep: list[str]) -> dict:
    return ask("writing", "hand", text, {"polite": {"words": words, "keep": keep}})


def called(text: str, tools: list[dict], *calls: dict, effort: str = "none") -> dict:
    return ask("tools", "hand_call", text, {"tool_calls": list(calls)}, effort, tools=tools)


def result(name: str, arguments: dict, content: str) -> list[dict]:
    """A call and its result, as they follow the question."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return [{"role": "assistant", "content": "", "tool_calls": [{"id": "a1b2c3d4e", "type": "function", "function": function}]}, {"role": "tool", "tool_call_id": "a1b2c3d4e", "content": content}]


def arithmetic() -> list[dict]:
    rows = (
        ("We sold 46 lamps for 18 dollars apiece this week. What did that bring in?", 828, "high"), ("My newsletter has 325 readers and each of them gives me $6 a month. What is my income per month?", 1950, "high"),
        ("37 plus 48", 85, "none"), ("can u add 1289 and 3456 for me", 4745, "high"), ("I had 500 euros, the new tyres were 276. What do I have left?", 224, "high"), ("what's 9 times 7", 63, "none"),
        ("Work out 64 x 27, please.", 1728, "high"), ("A hotel has 14 floors with 32 rooms on each floor. How many rooms does it have?", 448, "high"), ("Divide 936 by 8.", 117, "high"),
        ("Three friends scored 71, 84 and 91 in the test. What is their average?", 82, "high"), ("How much is 15 less than 60?", 45, "none"), ("My grandma baked 96 cookies and we are 6 grandchildren. How many cookies does everyone get?", 16, "high"),
        ("Sum of 12, 30 and 8?", 50, "none"), ("Our gym has 210 members who pay 35 a month. The rent and staff cost 4900. What profit remains each month?", 2450, "high"), ("7003 - 2458 = ", 4545, "high"),
        ("What is 30 multiplied by 4?", 120, "none"), ("There were 1420 people at the fair on Friday and 2385 on Saturday. How many visitors was that?", 3805, "high"), ("calculate 412*9", 3708, "high"),
    )
    return [ask("arithmetic", "hand", text, {"number": value}, effort) for text, value, effort in rows]


def coding() -> list[dict]:
    return [
        code("My function is meant to add up a list, but it always gives the last number. Can you repair it?\n```python\ndef total(nums):\n    t = 0\n    for n in nums:\n        t = n\n    return t\n```", "total", [(([1, 2, 3],), 6), (([5],), 5)]),
        code("def is_even(n):\n    return n % 2 == 1\n\nThis says odd numbers are even. Please fix.", "is_even", [((2,), True), ((3,), False)]),
        code("Something is off here, the maximum of negative lists comes out as 0:\n```python\ndef biggest(values):\n    best = 0\n    for v in values:\n        if v > best:\n            best = v\n    return best\n```", "biggest", [(([-3, -1],), -1), (([4, 9, 2],), 9)], "high"),
        code("This is supposed to be the factorial, yet fact(3) is 2. Where is the mistake?\n```python\ndef fact(n):\n    r = 1\n    for i in range(1, n):\n        r *= i\n    return r\n```", "fact", [((3,), 6), ((5,), 120), ((1,), 1)], "high"),
        code("Python gives me a syntax error.\n```python\ndef double(x)\n    return x * 2\n```", "double", [((4,), 8)]),
        code("```python\ndef last(items):\n    return items[1]\n```\nIt must give back the last element.", "last", [(([1, 2, 3],), 3), (([7],), 7)]),
        code("Why does my function return None? Correct it.\n```python\ndef greet(name):\n    text = 'Hi ' + name\n    text\n```", "greet", [(("Ann",), "Hi Ann")]),
        code("I want the area of a rectangle from this:\n```python\ndef area(w, h):\n    return w + h\n```", "area", [((2, 5), 10), ((3, 3), 9)]),
        ask("code", "hand_returns", "```python\ndef f(x):\n    return x * 3 - 2\n```\nIf I call f(5), what comes back?", {"equals": "13"}),
        ask("code", "hand_returns", "def g(word):\n    return word.upper()\n\nWhat would g('tree') give?", {"equals": "'TREE'"}),
        ask("code", "hand_returns", "```python\ndef count(n):\n    s = 0\n    for i in range(n):\n        s += 3\n    return s\n```\nWhat is count(4)?", {"equals": "12"}, "high"),
        ask("code", "hand_returns", "```python\ndef pick(a):\n    return [v for v in a if v > 5]\n```\nWhat do I get for pick([2, 9, 7])?", {"equals": "[9, 7]"}, "high"),
    ]


def writing() -> list[dict]:
    return [
        polite("Could you turn the following into something kinder, 20 words at the very most? give me the report tomorrow", 20, ["report", "tomorrow"]), polite("Write this in a polite way with no more than 15 words: call Anna", 15, ["Anna"]),
        polite("\"the printer is broken again!!\" - please make that polite, limit 25 words", 25, ["printer"]), polite("Make it courteous (30 words max): fix the website by Friday", 30, ["website", "Friday"]),
        polite("I can't come on Monday. -> polite, up to 18 words", 18, ["Monday"]), polite("Please reword so that it is friendly, at most 16 words. don't touch the window", 16, ["window"]),
        polite("My draft says 'send the invoice to Peter now'. Polite version please, at most 20 words.", 20, ["invoice", "Peter"]), polite("Say nicely, in 14 words or less: shut up", 14, []),
    ]


def tools() -> list[dict]:
    return [
        called("Should I wear a jacket in Helsinki today? Check the weather.", [WEATHER], call("get_weather", city="Helsinki")), called("My pasta needs 11 minutes, start the timer please", [TIMER, CLOCK], call("set_timer", minutes=11)),
        called("What is 250 USD in EUR?", [MONEY, WEATHER, CLOCK], call("convert_currency", amount=250, source="USD", target="EUR")), called("Drop Maria a mail, subject: budget", [MAIL, TIMER], call("send_email", to="Maria", subject="budget")),
        called("How many kettles do we still have in the warehouse? Look for kettle.", [STOCK, MAIL, LOOKUP], call("check_stock", product="kettle")), called("When does the next train from Graz to Linz leave?", [TRAIN, WEATHER, LIGHT], call("next_train", start="Graz", end="Linz")),
        called("Is the book Silent Valley in the library?", [LIBRARY, STOCK], call("find_book", title="Silent Valley")), called("What are the weather conditions in Oslo and Madrid at the moment?", [WEATHER, TIMER], call("get_weather", city="Oslo"), call("get_weather", city="Madrid")),
        called("Tell me the time in Tokyo and the weather in Tokyo.", [WEATHER, CLOCK], call("get_time", city="Tokyo"), call("get_weather", city="Tokyo")), called("Get me the employee record of Viktor Lund", [LOOKUP, MAIL, CLOCK, WEATHER], call("look_up_employee", name="Viktor Lund"), effort="high"),
        ask("tools", "hand_answer", "How is the weather in Porto?", {"contains": ["19", "Porto"], "no_calls": True}, tools=[WEATHER], after=result("get_weather", {"city": "Porto"}, '{"temperature": 19, "sky": "cloudy"}')),
        ask("tools", "hand_answer", "How many umbrellas are in stock? Product: umbrella", {"contains": ["74"], "no_calls": True}, tools=[STOCK], after=result("check_stock", {"product": "umbrella"}, '{"count": 74}')),
        ask("tools", "hand_none", "Hello, who are you?", {"contains": ["mini"], "no_calls": True}, tools=[WEATHER, MAIL]), ask("tools", "hand_none", "What is 8 + 9?", {"number": 17, "no_calls": True}, tools=[CLOCK]),
    ]


def extraction() -> list[dict]:
    return [
        extract("Please get name, age and city as JSON out of: Lena Fischer is 29 and has lived in Dresden since spring.", {"name": "Lena Fischer", "age": 29, "city": "Dresden"}),
        extract("JSON with keys product (string) and price (number), please: I paid 45 for the new lamp.", {"product": "lamp", "price": 45.0}),
        extract("Meeting on Tuesday at 14:30, room 12. Give me a JSON object with day, time and room.", {"day": "Tuesday", "time": "14:30", "room": 12}),
        extract("Fill in customer, product, quantity. Text: \"Hi, this is Omar Haddad, I'd like 3 chairs, product: chair\". JSON only.", {"customer": "Omar Haddad", "product": "chair", "quantity": 3}),
        extract("Contact: Ines Duarte, ines@post.org, 555-8812. Extract name, email and phone as JSON.", {"name": "Ines Duarte", "email": "ines@post.org", "phone": "555-8812"}),
        extract("Give me JSON (name: string, married: boolean) for this: Paul Novak is not married.", {"name": "Paul Novak", "married": False}),
        extract("{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}, \"job\": {\"type\": \"string\"}}, \"required\": [\"city\", \"job\"]}\nUse this schema on: Sofia works in Lyon as a nurse.", {"city": "Lyon", "job": "nurse"}),
        extract("From the note below I need order_id and paid, as JSON.\nOrder KX-442 has been paid by Tom on Monday.", {"order_id": "KX-442", "paid": True}),
        extract("Turn into JSON with title, date and place: The design workshop is on 2027-05-14 in Ghent.", {"title": "design workshop", "date": "2027-05-14", "place": "Ghent"}, "high"),
        extract("who and age as JSON: \"My neighbour Arthur is 81 now.\"", {"who": "Arthur", "age": 81}),
    ]


def images() -> list[dict]:
    return [
        ask("images", "hand", "Tell me the colour of the circle.", {"contains": ["blue"]}, images=[picture(84, 84, [("blue", "circle", 20, 20, 40)])]), ask("images", "hand", "What form does this have?", {"contains": ["triangle"]}, images=[picture(84, 84, [("red", "triangle", 18, 16, 46)])]),
        ask("images", "hand", "How many shapes can be seen here?", {"number": 3}, images=[picture(84, 84, [("red", "square", 4, 4, 20), ("green", "circle", 58, 6, 20), ("black", "diamond", 32, 58, 22)])]),
        ask("images", "hand", "Where in the picture is the yellow square?", {"contains": ["bottom", "right"]}, images=[picture(84, 84, [("yellow", "square", 59, 58, 21), ("blue", "circle", 4, 5, 21)], (220, 228, 240))]),
        ask("images", "hand", "Is the red circle left or right of the green square?", {"contains": ["left"]}, images=[picture(112, 112, [("red", "circle", 6, 44, 28), ("green", "square", 78, 42, 28)])]),
        ask("images", "hand", "Which colour has the tallest bar?", {"contains": ["green"]}, images=[bars([("red", 3), ("green", 8), ("blue", 5)])]), ask("images", "hand", "How high is the blue bar in this chart?", {"number": 4}, images=[bars([("blue", 4), ("orange", 7)])]),
        ask("images", "hand", "Which number is written in the picture?", {"contains": ["42"]}, images=[written("42")]),
        ask("images", "hand", "Do you find a black cross in this picture?", {"contains": ["yes"]}, images=[picture(84, 84, [("black", "cross", 30, 30, 24), ("pink", "circle", 3, 4, 20)])]),
        ask("images", "hand", "Which of the two images contains a diamond, the first or the second?", {"contains": ["second"]}, images=[picture(56, 56, [("red", "circle", 12, 12, 32)]), picture(56, 56, [("purple", "diamond", 10, 10, 36)])]),
    ]


PARK = (
    "The old park of our town was laid out a long time ago. In the middle there is a pond with ducks, and children feed them on Sundays. The gardener is called Emil Brandt. He works as a gardener and knows each tree. "
    "The gate opens with the code 7731. Near the gate stands a bench, and behind it a small shed for tools. Last summer a storm broke two oaks. The mayor came to see them and promised new trees. A statue of a horse stands by the road. "
    "People say the horse once had a rider. In winter the paths are closed, except the one to the pond."
)


def recalling() -> list[dict]:
    staff = "Nora: K-12\nBela: T-90\nOmar: F-33\nYusuf: P-71\nGreta: M-05"
    long = " ".join(f"Box {number} holds {thing}." for number, thing in enumerate(("ropes", "nails", "paint", "candles", "maps", "hats", "bottles", "gloves", "books", "wires", "tins", "brushes", "seeds", "tiles", "coins", "bells"), 11))
    return [
        ask("recall", "hand", f"{PARK}\n\nWhich code opens the gate?", {"contains": ["7731"]}), ask("recall", "hand", f"{PARK}\n\nWhat is the gardener's name?", {"contains": ["Emil Brandt"]}),
        ask("recall", "hand", f"{staff}\n\nWhich code has Yusuf?", {"contains": ["P-71"]}), ask("recall", "hand", f"Here is our list.\n{staff}\nI am looking for the code of Bela.", {"contains": ["T-90"]}),
        ask("recall", "hand", f"{long}\n\nWhat is in box 21?", {"contains": ["tins"]}), ask("recall", "hand", "The key to the cellar hangs behind the clock. The spare key is with Mrs Lind. The car key is in the drawer.\nWhere is the car key?", {"contains": ["drawer"]}),
        ask("recall", "hand", "Our flight is BA417, the hotel is called Miramar and the driver is Paulo.\nWhat is the hotel called?", {"contains": ["Miramar"]}), ask("recall", "hand", "Anna owes me 30 euros, Ben owes me 55 and Carla owes me 12. How many euros does Ben owe me?", {"contains": ["55"]}),
    ]


def talking() -> list[dict]:
    return [
        ask("talk", "hand_self", "Hey, what's your name then?", {"contains": ["mini"]}), ask("talk", "hand_self", "which project do you come from", {"contains": ["Tramontane"]}), ask("talk", "hand_self", "so are you a human being?", {"contains": ["model"]}),
        ask("talk", "hand_self", "I'm new here. What are the things you can do for me?", {"contains": ["arithmetic"]}), ask("talk", "hand_small", "Good evening to you!", {"contains": ["Hello"]}), ask("talk", "hand_small", "Many thanks, that was great help", {"contains": ["welcome"]}),
        ask("talk", "hand_system", "Who am I speaking with?", {"contains": ["Clementine"]}, system="You are Clementine, the assistant of a bakery."), ask("talk", "hand_system", "Hello", {"contains": ["Bonjour"]}, system="Please answer everything in French."),
        ask("talk", "hand_system", "What do you call yourself?", {"equals": "mini"}, system="Answer with only one word."), ask("talk", "hand_system", "Thanks!", {"contains": ["YOU ARE WELCOME"], "upper": True}, system="Use nothing but capital letters."),
        ask("talk", "hand_memory", "What was my name again?", {"contains": ["Ludmila"]}, before=[("Hi! I'm Ludmila.", "Nice to meet you, Ludmila!"), ("How are you?", "I am fine, thank you. What can I do for you?")]),
        ask("talk", "hand_memory", "Which number should you keep in mind?", {"contains": ["5821"]}, before=[("Please keep the number 5821 in mind.", "I will remember 5821."), ("Thanks", "You are welcome!")]),
    ]


def outside() -> list[dict]:
    rows = ("Who was the first person on the moon?", "Suggest a menu for a dinner with vegetarian guests.", "My girlfriend left me and I don't know what to do.", "Explain the offside rule in football.", "Write a limerick about a snail who loves opera.",
            "What are the side effects of aspirin?", "Translate 'the house is on the hill' into Italian.", "¿Quién pintó Las Meninas?")
    return [ask("fallback", "hand", text, {"honest": True}) for text in rows]


def main() -> None:
    groups = (arithmetic, coding, writing, tools, extraction, images, recalling, talking, outside)
    entries = []
    for group in groups:
        for index, question in enumerate(group()):
            entries.append({"id": f"hand-{question['skill']}-{index:02d}", **question})
    if len(entries) != 100:
        raise SystemExit(f"{len(entries)} questions, not 100")
    PATH.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries))
    print(f"{PATH}: {len(entries)} questions, {PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
