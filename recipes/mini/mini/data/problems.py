"""Word problems: one or two operations told as a story, prices with cents, percentages, expressions. Steps as in arithmetic.py.

Half of the problems are whole sentences, half are put together from clauses, so that there are thousands of phrasings.
"""

from ..draw import Draw, held, in_held_range, sample, user
from ..words import DAYS, FIRST_NAMES, FRUITS, PRODUCTS
from .arithmetic import STEPS, VALUE, add, multiply, number, numeric, pair, shown, sized, subtract

# Whole problems: (phrasings, form of the answer).
TIMES = (
    (("We have {a} users who each pay {c}{b}{u} a month. What is the monthly revenue?", "Our app has {a} users at {c}{b}{u} per month. Monthly revenue?",
      "{a} customers pay {c}{b}{u} each per month. How much do we make a month?", "A service has {a} subscribers and costs {c}{b}{u} a month. What is its monthly revenue?",
      "Monthly revenue with {a} users and a price of {c}{b}{u}?", "If {a} people subscribe at {c}{b}{u} per month, what is the monthly income?",
      "Users: {a}. Price: {c}{b}{u} a month. Compute the monthly revenue.", "Our price is {c}{b}{u} per user per month and we have {a} users. What revenue is that per month?",
      "How much monthly revenue do {a} users bring at {c}{b}{u} each?", "what's our mrr with {a} users paying {c}{b}{u}?",
      "A startup has {a} paying users. Each pays {c}{b}{u} monthly. What does it earn each month?"), "The monthly revenue is {c}{v}{u}."),
    (("{n} buys {a} {p} at {c}{b}{u} each. What does it cost?", "What do {a} {p} cost at {c}{b}{u} each?", "One of the {p} costs {c}{b}{u}. How much are {a} of them?",
      "{n} sells {a} {p} for {c}{b}{u} each. How much money does {n} get?", "The price of {p} is {c}{b}{u} apiece. What is the price of {a}?",
      "If I order {a} {p} for {c}{b}{u} each, what is the total?", "How much do I pay for {a} {p} at {c}{b}{u} a piece?", "A shop sold {a} {p} at {c}{b}{u}. What did it take in?",
      "I need {a} {p}, {c}{b}{u} each. Total price?"), "The total is {c}{v}{u}."),
    (("A train travels {b} km in an hour. How far does it go in {a} hours?", "{n} drives {a} hours at {b} km/h. How far is that?", "At {b} km per hour, how far do you get in {a} hours?",
      "{n} cycles {b} km every day for {a} days. How many km in all?", "A ship makes {b} km a day. How many km in {a} days?",
      "How many km does a bus cover in {a} hours at {b} km/h?"), "It is {v} km."),
    (("There are {a} boxes with {b} {p} in each. How many {p} are there?", "{a} bags hold {b} {p} each. How many in total?", "A hall has {a} rows of {b} seats. How many seats are there?",
      "Each of {a} shelves holds {b} books. How many books?", "{n} packs {b} {p} into each of {a} boxes. How many {p} is that?",
      "A factory makes {b} parts an hour. How many parts in {a} hours?", "A book has {a} pages with {b} words on each. How many words?",
      "If one crate has {b} {p}, how many are in {a} crates?", "In a theatre there are {a} rows with {b} chairs each. How many chairs?"), "There are {v}."),
    (("{n} works {a} hours for {c}{b}{u} an hour. What does {n} earn?", "{n} earns {c}{b}{u} an hour. How much is that for {a} hours?", "What is the pay for {a} hours at {c}{b}{u} per hour?",
      "Someone paid {c}{b}{u} a day works {a} days. How much is earned?", "My rent is {c}{b}{u} a month. What do I pay in {a} months?",
      "{n} saves {c}{b}{u} every week. How much is it after {a} weeks?"), "It is {c}{v}{u}."),
    (("A room is {a} m long and {b} m wide. What is its area?", "What is the area of a rectangle {a} by {b}?", "A garden measures {a} m by {b} m. How large is it?",
      "A rectangle has sides {a} and {b}. What is its area?", "How many square metres is a floor of {a} m x {b} m?"), "The area is {v}."),
)
PLUS = (
    (("{n} has {a} {p} and gets {b} more. How many {p} does {n} have now?", "{n} had {a} {p}. Then {n} bought {b}. How many are there now?", "There are {a} {p} in one box and {b} in another. How many together?",
      "{n} picks {a} {p} and {m} picks {b}. How many {p} do they have together?", "A shop sold {a} {p} on Monday and {b} on Tuesday. How many in all?",
      "{n} owns {a} {p}, {m} owns {b}. What is the total?"), "There are {v}."),
    (("A town had {a} people and grew by {b}. How many people now?", "We had {a} users last month and {b} joined. How many users are there now?", "{a} people came on Saturday and {b} on Sunday. How many came in all?",
      "The site had {a} visits in May and {b} in June. How many visits in both months?"), "There are {v}."),
    (("{n} spent {c}{a}{u} on food and {c}{b}{u} on clothes. How much was spent?", "The flight costs {c}{a}{u} and the hotel {c}{b}{u}. What is the total cost?", "I paid {c}{a}{u} yesterday and {c}{b}{u} today. How much altogether?",
      "An invoice has two items, {c}{a}{u} and {c}{b}{u}. What is the total?"), "The total is {c}{v}{u}."),
)
MINUS = (
    (("{n} has {a} {p} and gives away {b}. How many are left?", "{n} had {a} {p} and lost {b} of them. How many {p} remain?", "There were {a} {p}. {n} ate {b}. How many are left?",
      "A shop had {a} {p} and sold {b}. How many remain?", "Of {a} {p}, {b} were broken. How many are whole?", "{n} needs {a} {p} and has {b}. How many are missing?"), "There are {v}."),
    (("{n} has {c}{a}{u} and spends {c}{b}{u}. How much is left?", "A coat costs {c}{a}{u}. {n} has {c}{b}{u}. How much more is needed?", "The price fell from {c}{a}{u} by {c}{b}{u}. What is the new price?",
      "Revenue was {c}{a}{u} and costs were {c}{b}{u}. What was the profit?", "Our income is {c}{a}{u} and we spend {c}{b}{u}. How much profit is that?", "I paid {c}{b}{u} of a bill of {c}{a}{u}. What do I still owe?"), "It is {c}{v}{u}."),
    (("A road is {a} km long. {n} has walked {b} km. How far is it still?", "The trip is {a} km and we have done {b} km. How many km remain?"), "It is {v} km."),
    (("We had {a} users and {b} left. How many users are there now?", "Of {a} guests, {b} went home. How many stayed?", "There were {a} people on the train and {b} got off. How many are still on it?"), "There are {v}."),
)
SHARE = (
    (("{a} {p} are shared equally by {b} children. How many does each get?", "{n} puts {a} {p} into {b} equal boxes. How many are in each?", "Share {a} {p} among {b} people. How many each?",
      "A teacher gives {a} {p} to {b} pupils in equal parts. How many per pupil?"), "Each gets {v}."),
    (("A bill of {c}{a}{u} is split by {b} friends. What does each pay?", "{b} people share a cost of {c}{a}{u} equally. How much is it for one?", "A prize of {c}{a}{u} goes to {b} winners in equal parts. How much does each win?",
      "{b} tickets cost {c}{a}{u}. What does one ticket cost?"), "It is {c}{v}{u} each."),
    (("A car goes {a} km in {b} hours. What is its speed in km/h?", "{n} reads {a} pages in {b} days, the same number each day. How many a day?"), "It is {v}."),
)
PROFIT = (
    "We have {a} users who pay {c}{b}{u} a month, and costs of {c}{k}{u} a month. What is the monthly profit?", "{a} customers pay {c}{b}{u} each. Costs are {c}{k}{u}. What is the profit?",
    "A shop sells {a} {p} at {c}{b}{u} each and spends {c}{k}{u}. How much profit does it make?", "Revenue comes from {a} users at {c}{b}{u}; expenses are {c}{k}{u}. Profit?",
    "{n} sells {a} {p} for {c}{b}{u} each but paid {c}{k}{u} for them. What is the profit?",
)


MONEY = (("$", ""), ("$", ""), ("€", ""), ("£", ""), ("", " dollars"), ("", " euros"), ("", " pounds"), ("", ""))

# Problems put together from clauses: (first clauses, second clauses, questions, answer). {g} people, {w} a period, {o} who.
COMPOSED = {
    "*": (
        (("We have {a} {g}.", "There are {a} {g}.", "{o} has {a} {g}.", "{a} {g} signed up.", "A {x} has {a} {g}.", "Right now {o} counts {a} {g}.", "Number of {g}: {a}.", "So far {a} {g} have joined.", "{a} {g} use our {x}.", "My {x} has {a} {g}."),
         ("Each pays {c}{b}{u} a {w}.", "Everyone pays {c}{b}{u} per {w}.", "The price is {c}{b}{u} a {w}.", "They pay {c}{b}{u} each per {w}.", "Each of them gives {c}{b}{u} every {w}.", "The fee is {c}{b}{u} per {w}.", "One pays {c}{b}{u} a {w}.", "Price per {w}: {c}{b}{u}."),
         ("What is the revenue per {w}?", "How much money is that a {w}?", "How much comes in every {w}?", "What does that make per {w}?", "What is the income for a {w}?", "Revenue?", "How much do all of them pay in a {w}?", "What do we earn each {w}?", "Compute the income per {w}.",
          "How much does it bring in a {w}?", "What is the total per {w}?"), "The revenue is {c}{v}{u}."),
        (("{n} buys {a} {p}.", "I need {a} {p}.", "{n} sold {a} {p}.", "We sold {a} {p} this {w}.", "A customer wants {a} {p}.", "{a} {p} are in the basket.", "The school orders {a} {p}.", "Our shop sold {a} {p}.", "Yesterday {n} bought {a} {p}."),
         ("Each costs {c}{b}{u}.", "One costs {c}{b}{u}.", "The price is {c}{b}{u} apiece.", "They are {c}{b}{u} each.", "A single one is {c}{b}{u}.", "Price: {c}{b}{u} each.", "For each one {c}{b}{u} is paid."),
         ("What is the total?", "How much is that?", "What does it cost?", "How much money is it in all?", "What is the sum?", "How much altogether?", "What is the whole price?", "Total?", "How much is paid in the end?"), "The total is {c}{v}{u}."),
        (("There are {a} {q}.", "A building has {a} {q}.", "{n} has {a} {q}.", "We fill {a} {q}.", "The store has {a} {q}.", "{a} {q} stand here.", "I see {a} {q}.", "A company owns {a} {q}."),
         ("Each has {b} {p}.", "In each are {b} {p}.", "Every one holds {b} {p}.", "Each of them contains {b} {p}.", "{b} {p} fit into each.", "There are {b} {p} in each one."),
         ("How many {p} are there?", "How many {p} in total?", "How many {p} is that?", "What is the number of {p}?", "Count all {p}.", "How many {p} are there altogether?"), "There are {v}."),
    ),
    "+": (
        (("{n} has {a} {p}.", "There were {a} {p}.", "We counted {a} {p} in the morning.", "{n} picked {a} {p}.", "The first box has {a} {p}.", "A shop got {a} {p} on {d}.", "{o} made {a} {p} last {w}."),
         ("{m} brings {b} more.", "Then {b} more came.", "In the evening {b} were added.", "{m} picked {b}.", "The second one has {b}.", "Later {b} more arrived.", "This {w} there were {b} more."),
         ("How many are there now?", "How many in all?", "What is the total?", "How many together?", "How many is that?", "What is the sum?", "How many {p} are there in the end?"), "There are {v}."),
    ),
    "-": (
        (("{n} had {a} {p}.", "There were {a} {p} in the store.", "A box held {a} {p}.", "We had {a} {p} on {d}.", "{o} owned {a} {p}.", "We started with {a} {p}.", "The basket had {a} {p} in it."),
         ("{b} were sold.", "{m} took {b}.", "{b} were eaten.", "{b} got lost.", "{n} gave {b} to {m}.", "{b} of them broke.", "Then {b} were removed.", "{m} bought {b} of them."),
         ("How many are left?", "How many remain?", "What is left?", "How many are there now?", "How many {p} are still there?", "What remains?"), "There are {v}."),
    ),
    "/": (
        (("There are {a} {p}.", "{n} has {a} {p}.", "We have {a} {p}.", "A truck brings {a} {p}.", "{a} {p} came today."),
         ("They go into {b} equal boxes.", "{b} people share them.", "We split them into {b} equal parts.", "{b} children get the same number.", "They are shared by {b} friends.", "{n} puts them on {b} plates in equal parts."),
         ("How many are in each?", "How many does each get?", "How many is that for one?", "How big is one part?", "What is each one's share?", "How many {p} for each?"), "Each gets {v}."),
    ),
}
GROUPS = ("users", "customers", "members", "subscribers", "readers", "students", "clients", "people", "players", "guests", "pupils", "workers", "listeners", "fans", "patients", "tenants", "drivers", "visitors")
PERIODS = ("month", "week", "year", "day", "month")
VENTURES = ("service", "club", "school", "gym", "newspaper", "company", "start-up", "website", "channel", "museum", "cinema", "library", "clinic", "hotel", "magazine", "shop", "app", "game", "course", "podcast")
HOLDERS = ("boxes", "shelves", "rooms", "floors", "bags", "crates", "rows", "trucks", "cupboards", "baskets", "halls", "drawers", "tables", "trays", "houses", "pages", "cars", "buses", "tents", "bundles", "packs")


def composed(draw: Draw, sign: str) -> tuple[str, str]:
    """A problem of two clauses and a question, and its answer's form."""
    first, second, questions, answer = draw.pick(COMPOSED[sign])
    parts = [draw.rough(draw.phrase(clauses), False) for clauses in (first, second, questions)]
    joint = draw.pick((" ", " ", " ", "\n"))
    for index in (0, 1):
        if parts[index][-1] not in ".?!":
            parts[index] += draw.pick((".", ",", " and"))
    return joint.join(parts), answer


def slots_of(draw: Draw) -> dict:
    currency, unit = draw.pick(MONEY)
    one, other = draw.words(FIRST_NAMES, 2)
    return {"c": currency, "u": unit, "p": items(draw), "n": one, "m": other, "g": draw.pick(GROUPS), "w": draw.pick(PERIODS), "x": draw.pick(VENTURES), "q": draw.pick(HOLDERS),
            "o": draw.pick((one, "The " + draw.pick(VENTURES), "Our " + draw.pick(VENTURES))), "d": draw.pick(DAYS)}


def problem(table, sign: str, hard: bool):
    def make(draw: Draw):
        def operands():
            if sign == "*":
                x, y = draw.pick(((2, 2), (2, 2), (3, 2), (3, 2), (3, 1), (4, 1))) if hard else draw.pick(((1, 1), (2, 1)))
                a, b = sized(draw, x), sized(draw, y)
                return (a * 10, b) if hard and draw.chance(0.25) and a < 1000 else (a, b)
            if sign == "/":
                b = draw.int(2, 12 if hard else 9)
                return b * number(draw, 21 if hard else 2, 900 if hard else 12), b
            low, high = (101, 9999) if hard else (2, 99)
            a, b = number(draw, low, high), number(draw, low, high)
            return (a, b) if sign == "+" or a > b else (b, a)

        a, b = pair(draw, sign, operands)
        if a == b and sign == "-":
            a += 1
        if draw.chance(0.5):
            phrasings, answer = draw.pick(table)
            template = draw.rough(draw.phrase(phrasings))
        else:
            template, answer = composed(draw, sign)
        slots = slots_of(draw)
        value = VALUE[sign](a, b)
        kind = "problem_hard" if hard else "problem_easy"
        question = template.format(a=shown(draw, a), b=shown(draw, b), **slots)
        return numeric(draw, kind, question, value, STEPS[sign](a, b), answer.format(v=value, **slots), share_high=0.65 if hard else 0.4)

    return make


def items(draw: Draw) -> str:
    return draw.word(FRUITS) if draw.chance(0.5) else plural(draw.word(PRODUCTS))


def plural(noun: str) -> str:
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es" if not noun.endswith("scissors") else noun
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    if noun.endswith("fe"):
        return noun[:-2] + "ves"
    return noun + "s"


def profit(draw: Draw):
    while True:
        a, b = pair(draw, "*", lambda: (sized(draw, draw.int(2, 3)), sized(draw, draw.int(1, 2))))
        if a * b > 60:
            break
    cost = number(draw, 20, a * b - 1)
    slots = slots_of(draw)
    value = a * b - cost
    if draw.chance(0.5):
        template = draw.rough(draw.phrase(PROFIT))
    else:
        template, _ = composed(draw, "*")
        while "{c}" not in template:
            template, _ = composed(draw, "*")
        for question in (*COMPOSED["*"][0][2], *COMPOSED["*"][1][2]):
            template = template.removesuffix(question)
        template = " ".join((template.strip(), draw.pick(COSTS), draw.pick(PROFITS)))
    steps = f"{multiply(a, b)}\n{subtract(a * b, cost)}"
    question = template.format(a=shown(draw, a), b=b, k=shown(draw, cost), **slots)
    return numeric(draw, "profit_hard", question, value, steps, "The profit is {c}{v}{u}.".format(v=value, **slots), share_high=0.7)


COSTS = ("Costs are {c}{k}{u}.", "We spend {c}{k}{u}.", "The expenses are {c}{k}{u}.", "The rent is {c}{k}{u}.", "All costs together are {c}{k}{u}.", "It costs us {c}{k}{u} to run.", "Wages are {c}{k}{u}.", "Expenses: {c}{k}{u}.")
PROFITS = ("What is the profit?", "How much profit is that?", "What remains?", "What profit do we make?", "Profit?", "How much do we keep?", "What is left as profit?", "Compute the profit.")


def cents(value: int) -> str:
    """An amount in hundredths as a number."""
    return str(value // 100) if value % 100 == 0 else f"{value // 100}.{value % 100:02d}"


def prices(draw: Draw):
    """A number of things at a price with cents."""
    while True:
        count, price = draw.pick((draw.int(2, 9), sized(draw, 2), sized(draw, 3), 10 * sized(draw, 2), 100 * draw.int(1, 30))), draw.int(1, 49) * 100 + draw.pick((50, 99, 95, 25, 75, 49, 90, 20))
        if held(f"{count}*{price}") != draw.training and not (draw.training and in_held_range(count)):
            break
    slots = slots_of(draw)
    if slots["u"] == slots["c"] == "":
        slots["c"] = "$"
    if draw.chance(0.5):
        phrasings, answer = draw.pick([row for row in TIMES if "{c}" in row[1]])
        template = draw.rough(draw.phrase(phrasings))
    else:
        template, answer = composed(draw, "*")
        while "{c}" not in answer:
            template, answer = composed(draw, "*")
    value = count * price
    steps = f"{price // 100}.{price % 100:02d}={price}/100\n{multiply(count, price)}\n{value}/100={cents(value)}"
    question = template.format(a=shown(draw, count), b=cents(price), **slots)
    return sample("arithmetic", "cents_hard", draw.effort(0.65), [user(question)], answer.format(v=cents(value), **slots), {"number": float(cents(value))}, thinking=steps)


PERCENT = (
    "What is {p}% of {a}?", "{p}% of {a}", "How much is {p} percent of {a}?", "Calculate {p}% of {a}.", "What are {p} percent of {a}?", "{p} percent of {a}?", "Find {p}% of {a}.", "Take {p}% of {a}.", "Of {a} people, {p}% voted. How many voted?",
    "A price of {a} has {p}% tax. How much is the tax?", "{p}% of our {a} users are active. How many are active?", "How many are {p}% of {a} pupils?", "I get {p}% interest on {a}. How much is it?", "{n} tips {p}% on a bill of {a}. How much is the tip?",
)
DISCOUNT = (
    "A {t} costs {c}{a}{u} and gets {p}% cheaper. What is the new price?", "What does a {t} of {c}{a}{u} cost after a discount of {p}%?", "{p}% off {c}{a}{u}: what is the price?", "The price of {c}{a}{u} falls by {p}%. What is it now?",
    "Take {p}% off {c}{a}{u}.", "With {p} percent discount, how much is a {t} that costs {c}{a}{u}?",
)


def percent(hard: bool):
    def make(draw: Draw):
        while True:
            part = draw.int(2, 99) if hard else draw.pick((10, 20, 25, 50, 5))
            whole = number(draw, 20, 2000) if hard else draw.int(1, 40) * 20
            if held(f"{part}%{whole}") != draw.training and (part * whole % 100 == 0 or hard and draw.chance(0.1)):
                break
        value = part * whole
        slots = slots_of(draw)
        steps = f"{multiply(whole, part)}\n{value}/100={cents(value)}"
        if hard and value % 100 == 0 and draw.chance(0.35):
            rest = whole - value // 100
            question = draw.text(DISCOUNT, a=whole, p=part, t=draw.word(PRODUCTS), c=slots["c"], u=slots["u"])
            return numeric(draw, "percent_hard", question, rest, f"{steps}\n{subtract(whole, value // 100)}", share_high=0.65)
        question = draw.text(PERCENT, a=shown(draw, whole), p=part, n=slots["n"])
        return sample("arithmetic", "percent_hard" if hard else "percent_easy", draw.effort(0.65 if hard else 0.4), [user(question)], cents(value), {"number": float(cents(value))}, thinking=steps)

    return make


BASKET = (
    "{a} {p} at {c}{b}{u} and {k} {q} at {c}{l}{u}. What is the total?", "{n} buys {a} {p} for {c}{b}{u} each and {k} {q} for {c}{l}{u} each. How much is it?", "What do {a} {p} at {c}{b}{u} each and {k} {q} at {c}{l}{u} each cost together?",
    "I order {a} {p} ({c}{b}{u} each) and {k} {q} ({c}{l}{u} each). Total price?", "A bill: {a} {p}, {c}{b}{u} each; {k} {q}, {c}{l}{u} each. What is the sum?", "We sell {a} {p} at {c}{b}{u} and {k} {q} at {c}{l}{u}. How much do we take in?",
)


def basket(draw: Draw):
    a, b = pair(draw, "*", lambda: (sized(draw, draw.int(1, 2)), sized(draw, draw.int(1, 2))))
    k, other = pair(draw, "*", lambda: (sized(draw, draw.int(1, 2)), sized(draw, draw.int(1, 2))))
    slots = slots_of(draw)
    slots["q"] = items(draw)
    value = a * b + k * other
    question = draw.rough(draw.phrase(BASKET)).format(a=a, b=b, k=k, l=other, **slots)
    steps = f"{multiply(a, b)}\n{multiply(k, other)}\n{add(a * b, k * other)}"
    return numeric(draw, "basket_hard", question, value, steps, "The total is {c}{v}{u}.".format(v=value, **slots), share_high=0.65)


def expression(draw: Draw):
    """Two operations in one expression."""
    a, b, c = number(draw, 2, 99), number(draw, 2, 30), number(draw, 2, 30)
    form = draw.int(0, 3)
    if form == 0:
        text, value, steps = f"{a} + {b} * {c}", a + b * c, f"{multiply(b, c)}\n{add(a, b * c)}"
    elif form == 1:
        text, value, steps = f"({a} + {b}) * {c}", (a + b) * c, f"{add(a, b)}\n{multiply(a + b, c)}"
    elif form == 2:
        text, value, steps = f"{b} * {c} - {a}", b * c - a, f"{multiply(b, c)}\n{subtract(b * c, a)}"
    else:
        text, value, steps = f"{a} + {b} - {c}", a + b - c, f"{add(a, b)}\n{subtract(a + b, c)}"
    if held(text) == draw.training:
        return expression(draw)
    if draw.chance(0.25):
        text = text.replace(" ", "")
    question = draw.rough(draw.phrase(EXPRESSIONS)).format(e=text)
    return numeric(draw, "expression_hard", question, value, steps, share_high=0.65)


EXPRESSIONS = ("{e}", "{e} =", "{e} = ?", "What is {e}?", "Calculate {e}.", "Compute {e}", "How much is {e}?", "Evaluate {e}.", "Solve {e}", "Work out {e}.", "what's {e}?", "Please calculate {e}.", "I need {e}.", "Result of {e}?")


KINDS = {
    "times_easy": (0.4, problem(TIMES, "*", False)), "times_hard": (1.2, problem(TIMES, "*", True)),
    "plus_easy": (0.3, problem(PLUS, "+", False)), "plus_hard": (0.6, problem(PLUS, "+", True)),
    "minus_easy": (0.3, problem(MINUS, "-", False)), "minus_hard": (0.6, problem(MINUS, "-", True)),
    "share_easy": (0.3, problem(SHARE, "/", False)), "share_hard": (0.5, problem(SHARE, "/", True)),
    "profit_hard": (0.5, profit), "cents_hard": (0.7, prices), "percent_easy": (0.3, percent(False)), "percent_hard": (0.6, percent(True)), "basket_hard": (0.4, basket), "expression_hard": (0.5, expression),
}
