"""Arithmetic, asked two ways: at once (effort none), or by written steps (effort high).

Steps are the column method, units first, with the carry written out, because every step is then one of a few hundred
facts about digits that stand near. A result is written once in normal order after its steps:

    47*36: 7*6+0=42, 4*6+4=28, row 282; 7*3+0=21, 4*3+2=14, row 0141; 2+0+0=2, 8+1+0=9, 2+4+0=6, 0+1+0=1; =1692

Kinds end in `easy` or `hard`; the hard half is what effort high is for.
"""

from ..draw import Draw, held, in_held_range, sample, user
from ..words import CITIES, FIRST_NAMES, FRUITS, PRODUCTS


# --- written steps ---


def digits(number: int) -> list[int]:
    """Units first."""
    return [int(digit) for digit in str(number)[::-1]]


def column_sum(a: list[int], b: list[int]) -> tuple[str, list[int]]:
    """`a+b+carry=v` for each column; the result units first."""
    steps, result, carry = [], [], 0
    for i in range(max(len(a), len(b))):
        x, y = (a[i] if i < len(a) else 0), (b[i] if i < len(b) else 0)
        value = x + y + carry
        steps.append(f"{x}+{y}+{carry}={value}")
        result.append(value % 10)
        carry = value // 10
    if carry:
        result.append(carry)
    return ", ".join(steps), result


def add(a: int, b: int) -> str:
    steps, _ = column_sum(digits(a), digits(b))
    return f"{a}+{b}: {steps}; ={a + b}"


def subtract(a: int, b: int) -> str:
    if b > a:
        return f"{a}-{b}: {b} is larger; {subtract(b, a)}; so =-{b - a}"
    x, y, borrow, steps = digits(a), digits(b), 0, []
    for i, digit in enumerate(x):
        other = y[i] if i < len(y) else 0
        value = digit - other - borrow
        steps.append(f"{digit}-{other}-{borrow}={value % 10}" + ("b" if value < 0 else ""))
        borrow = int(value < 0)
    return f"{a}-{b}: {', '.join(steps)}; ={a - b}"


def multiply(a: int, b: int) -> str:
    x, total, parts = digits(a), None, []
    for zeros, y in enumerate(digits(b)):
        steps, row, carry = [], [0] * zeros, 0
        for digit in x:
            value = digit * y + carry
            steps.append(f"{digit}*{y}+{carry}={value}")
            row.append(value % 10)
            carry = value // 10
        if carry:
            row.append(carry)
        parts.append(f"{', '.join(steps)}, row {''.join(map(str, row))}")
        if total is None:
            total = row
        else:
            steps, total = column_sum(total, row)
            parts.append(f"{steps}, sum {''.join(map(str, total))}")
    return f"{a}*{b}: {'; '.join(parts)}; ={a * b}"


def divide(a: int, b: int) -> str:
    """Long division by a small number, highest digit first: `16/7=2 r2`."""
    rest, steps = 0, []
    for digit in str(a):
        current = rest * 10 + int(digit)
        rest = current % b
        steps.append(f"{current}/{b}={current // b} r{rest}")
    return f"{a}/{b}: {', '.join(steps)}; =" + (f"{a // b}" if rest == 0 else f"{a // b} r{rest}")


def total(numbers: list[int]) -> str:
    parts, running = [], numbers[0]
    for number in numbers[1:]:
        parts.append(add(running, number))
        running += number
    return "\n".join(parts)


# --- operands ---


def number(draw: Draw, low: int, high: int) -> int:
    while True:
        value = draw.int(low, high)
        if not in_held_range(value) or not draw.training:
            return value


def sized(draw: Draw, count: int) -> int:
    """A number of `count` digits."""
    return number(draw, 10 ** (count - 1) if count > 1 else 2, 10**count - 1)


def pair(draw: Draw, sign: str, make) -> tuple[int, int]:
    """Operands on this side of the split."""
    while True:
        a, b = make()
        if a < 10 and b < 10 or held(f"{a}{sign}{b}") != draw.training:
            return a, b


# --- bare questions ---

BINARY = (
    "{a} {s} {b}", "{a}{s}{b}", "{a} {s} {b} =", "{a}{s}{b}=?", "What is {a} {s} {b}?", "What's {a} {s} {b}?", "Calculate {a} {s} {b}.", "Compute {a} {s} {b}.",
    "How much is {a} {s} {b}?", "Work out {a} {s} {b}.", "Please calculate {a} {s} {b}.", "Can you tell me what {a} {s} {b} is?", "{a} {s} {b} = ?",
    "Solve: {a} {s} {b}", "Evaluate {a} {s} {b}", "I need the result of {a} {s} {b}.", "What does {a} {s} {b} come to?", "What do you get for {a} {s} {b}?",
    "Tell me {a} {s} {b}.", "Give me the value of {a} {s} {b}.", "What is the result of {a} {s} {b}?", "Could you work out {a} {s} {b} for me?", "{a} {s} {b}?",
    "Quickly: {a} {s} {b}", "The answer to {a} {s} {b} is?", "How much does {a} {s} {b} make?", "Do the sum: {a} {s} {b}", "Find {a} {s} {b}.",
)
SIGNS = {
    "+": ("+", "+", "+", "+", "plus", "and", "added to"),
    "-": ("-", "-", "-", "-", "minus", "take away", "less"),
    "*": ("*", "x", "×", "*", "times", "multiplied by", "by"),
    "/": ("/", "/", "÷", ":", "divided by", "over", "split by"),
}
WORDY = {
    "+": ("What is the sum of {a} and {b}?", "Add {a} and {b}.", "Add {b} to {a}.", "Sum of {a} and {b}?", "Find the sum of {a} and {b}.", "What do {a} and {b} add up to?",
          "If you add {a} and {b}, what do you get?", "Total of {a} and {b}?", "What is {b} more than {a}?", "Put {a} and {b} together: how much is it?",
          "How much do {a} and {b} make together?", "Increase {a} by {b}."),
    "-": ("What is the difference between {a} and {b}?", "Subtract {b} from {a}.", "Take {b} away from {a}.", "Difference of {a} and {b}?", "Find the difference of {a} and {b}.",
          "What is left if I take {b} from {a}?", "How much is {a} reduced by {b}?", "What is {b} less than {a}?", "If you subtract {b} from {a}, what remains?",
          "What remains of {a} after taking away {b}?", "Decrease {a} by {b}."),
    "*": ("What is the product of {a} and {b}?", "Multiply {a} by {b}.", "Multiply {a} and {b}.", "Product of {a} and {b}?", "Find the product of {a} and {b}.",
          "If you multiply {a} by {b}, what do you get?", "How many are {a} groups of {b}?", "{a} times {b} makes?", "What do you get when you multiply {a} with {b}?",
          "How much is {a} lots of {b}?"),
    "/": ("Divide {a} by {b}.", "What is the quotient of {a} and {b}?", "Split {a} into {b} equal parts. How big is each?", "How many times does {b} go into {a}?",
          "If you divide {a} by {b}, what do you get?", "What is one of {b} equal parts of {a}?", "Share {a} equally among {b}."),
}
STEPS = {"+": add, "-": subtract, "*": multiply, "/": divide}
VALUE = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a // b}


def ask(draw: Draw, sign: str, a: int, b: int) -> str:
    if draw.chance(0.3):
        return draw.text(WORDY[sign], a=a, b=b)
    return draw.text(BINARY, a=a, b=b, s=draw.pick(SIGNS[sign]))


def numeric(draw: Draw, kind: str, question: str, value: int, steps: str, content: str | None = None,
            share_high: float = 0.5):
    effort = draw.effort(share_high)
    return sample("arithmetic", kind, effort, [user(question)], content or str(value), {"number": value}, thinking=steps)


def binary(sign: str, sizes_easy, sizes_hard):
    """The two generators of an operation; sizes are pairs of digit counts."""

    def maker(hard: bool):
        sizes = sizes_hard if hard else sizes_easy
        kind = {"+": "sum", "-": "difference", "*": "product", "/": "quotient"}[sign] + ("_hard" if hard else "_easy")

        def make(draw: Draw):
            def operands():
                x, y = draw.pick(sizes)
                a, b = sized(draw, x), sized(draw, y)
                if sign == "-" and b > a and (not hard or draw.chance(0.85)):
                    a, b = b, a
                if sign == "*" and draw.chance(0.3):
                    a, b = b, a
                if sign == "/":
                    b = draw.int(2, 12 if hard else 9)
                    a = max(1, a // b) * b
                return a, b

            a, b = pair(draw, sign, operands)
            return numeric(draw, kind, ask(draw, sign, a, b), VALUE[sign](a, b), STEPS[sign](a, b),
                           share_high=0.65 if hard else 0.4)

        return make

    return maker(False), maker(True)


sum_easy, sum_hard = binary("+", ((1, 1), (2, 1), (2, 2), (2, 2)), ((3, 3), (4, 3), (4, 4), (5, 4), (5, 5), (3, 2)))
difference_easy, difference_hard = binary("-", ((1, 1), (2, 1), (2, 2), (2, 2)), ((3, 3), (4, 3), (4, 4), (5, 4), (5, 5), (3, 2)))
product_easy, product_hard = binary("*", ((1, 1), (2, 1), (2, 1)), ((2, 2), (2, 2), (3, 1), (3, 2), (3, 2), (4, 2), (3, 3)))
quotient_easy, quotient_hard = binary("/", ((1, 1), (2, 1)), ((3, 1), (3, 1), (4, 1), (5, 1)))


# --- several numbers ---

MANY = (
    "What is the sum of {l}?", "Add up {l}.", "Add {l}.", "Sum: {l}", "Total of {l}?", "What do {l} add up to?", "Please add these numbers: {l}.", "Find the total of {l}.",
    "What is the total of {l}?", "Sum up {l} for me.", "How much is {l} altogether?",
)
MEANS = (
    "What is the average of {l}?", "Average of {l}?", "Find the mean of {l}.", "Compute the average: {l}", "What is the mean of {l}?", "Give me the average of {l}.",
    "What is the arithmetic mean of {l}?", "My scores are {l}. What is my average?", "The temperatures were {l}. What was the average?", "Calculate the average of these numbers: {l}.",
    "We counted {l} visitors. What is the average per day?", "avg of {l}", "On average, how much are {l}?", "I ran {l} minutes this week. What is the average?",
    "The monthly costs were {l}. What is the average cost?",
)


def listed(draw: Draw, numbers: list[int]) -> str:
    form = draw.int(0, 3)
    if form == 0:
        return ", ".join(map(str, numbers))
    last = draw.pick((" and ", " and ", ", and "))
    return ", ".join(map(str, numbers[:-1])) + last + str(numbers[-1])


def several(draw: Draw, hard: bool, low: int, high: int, count: int) -> list[int]:
    while True:
        numbers = [number(draw, low, high) for _ in range(count)]
        if held(" ".join(map(str, numbers))) != draw.training:
            return numbers


def sum_many(hard: bool):
    def make(draw: Draw):
        count = draw.int(3, 5) if hard else 3
        numbers = several(draw, hard, 11 if hard else 1, 999 if hard else 20, count)
        return numeric(draw, "list_hard" if hard else "list_easy", draw.text(MANY, l=listed(draw, numbers)),
                       sum(numbers), total(numbers), share_high=0.65 if hard else 0.4)

    return make


def average(hard: bool):
    def make(draw: Draw):
        while True:
            count = draw.int(3, 5) if hard else draw.int(2, 3)
            numbers = several(draw, hard, 10 if hard else 1, 400 if hard else 20, count)
            excess = sum(numbers) % count
            numbers[-1] -= excess
            if numbers[-1] > 0:
                break
        everything = sum(numbers)
        steps = f"{total(numbers)}\n{count} numbers\n{divide(everything, count)}"
        return numeric(draw, "average_hard" if hard else "average_easy", draw.text(MEANS, l=listed(draw, numbers)),
                       everything // count, steps, share_high=0.65 if hard else 0.4)

    return make


# --- word problems: (kind of steps, phrasings, form of the answer) ---

TIMES = (
    (("We have {a} users who each pay {c}{b} a month. What is the monthly revenue?", "Our app has {a} users at {c}{b} per month. Monthly revenue?",
      "{a} customers pay {c}{b} each per month. How much do we make a month?", "A service has {a} subscribers and costs {c}{b} a month. What is its monthly revenue?",
      "Monthly revenue with {a} users and a price of {c}{b}?", "If {a} people subscribe at {c}{b} per month, what is the monthly income?",
      "Users: {a}. Price: {c}{b} a month. Compute the monthly revenue.", "Our price is {c}{b} per user per month and we have {a} users. What revenue is that per month?",
      "How much monthly revenue do {a} users bring at {c}{b} each?", "what's our mrr with {a} users paying {c}{b}?",
      "A startup has {a} paying users. Each pays {c}{b} monthly. What does it earn each month?"), "The monthly revenue is {c}{v}."),
    (("{n} buys {a} {p} at {c}{b} each. What does it cost?", "What do {a} {p} cost at {c}{b} each?", "One of the {p} costs {c}{b}. How much are {a} of them?",
      "{n} sells {a} {p} for {c}{b} each. How much money does {n} get?", "The price of {p} is {c}{b} apiece. What is the price of {a}?",
      "If I order {a} {p} for {c}{b} each, what is the total?", "How much do I pay for {a} {p} at {c}{b} a piece?", "A shop sold {a} {p} at {c}{b}. What did it take in?",
      "I need {a} {p}, {c}{b} each. Total price?"), "The total is {c}{v}."),
    (("A train travels {b} km in an hour. How far does it go in {a} hours?", "{n} drives {a} hours at {b} km/h. How far is that?", "At {b} km per hour, how far do you get in {a} hours?",
      "{n} cycles {b} km every day for {a} days. How many km in all?", "A ship makes {b} km a day. How many km in {a} days?",
      "How many km does a bus cover in {a} hours at {b} km/h?"), "It is {v} km."),
    (("There are {a} boxes with {b} {p} in each. How many {p} are there?", "{a} bags hold {b} {p} each. How many in total?", "A hall has {a} rows of {b} seats. How many seats are there?",
      "Each of {a} shelves holds {b} books. How many books?", "{n} packs {b} {p} into each of {a} boxes. How many {p} is that?",
      "A factory makes {b} parts an hour. How many parts in {a} hours?", "A book has {a} pages with {b} words on each. How many words?",
      "If one crate has {b} {p}, how many are in {a} crates?", "In a theatre there are {a} rows with {b} chairs each. How many chairs?"), "There are {v}."),
    (("{n} works {a} hours for {c}{b} an hour. What does {n} earn?", "{n} earns {c}{b} an hour. How much is that for {a} hours?", "What is the pay for {a} hours at {c}{b} per hour?",
      "Someone paid {c}{b} a day works {a} days. How much is earned?", "My rent is {c}{b} a month. What do I pay in {a} months?",
      "{n} saves {c}{b} every week. How much is it after {a} weeks?"), "It is {c}{v}."),
    (("A room is {a} m long and {b} m wide. What is its area?", "What is the area of a rectangle {a} by {b}?", "A garden measures {a} m by {b} m. How large is it?",
      "A rectangle has sides {a} and {b}. What is its area?", "How many square metres is a floor of {a} m x {b} m?"), "The area is {v}."),
)
PLUS = (
    (("{n} has {a} {p} and gets {b} more. How many {p} does {n} have now?", "{n} had {a} {p}. Then {n} bought {b}. How many are there now?", "There are {a} {p} in one box and {b} in another. How many together?",
      "{n} picks {a} {p} and {m} picks {b}. How many {p} do they have together?", "A shop sold {a} {p} on Monday and {b} on Tuesday. How many in all?",
      "{n} owns {a} {p}, {m} owns {b}. What is the total?"), "There are {v}."),
    (("A town had {a} people and grew by {b}. How many people now?", "We had {a} users last month and {b} joined. How many users are there now?", "{a} people came on Saturday and {b} on Sunday. How many came in all?",
      "The site had {a} visits in May and {b} in June. How many visits in both months?"), "There are {v}."),
    (("{n} spent {c}{a} on food and {c}{b} on clothes. How much was spent?", "The flight costs {c}{a} and the hotel {c}{b}. What is the total cost?", "I paid {c}{a} yesterday and {c}{b} today. How much altogether?",
      "An invoice has two items, {c}{a} and {c}{b}. What is the total?"), "The total is {c}{v}."),
)
MINUS = (
    (("{n} has {a} {p} and gives away {b}. How many are left?", "{n} had {a} {p} and lost {b} of them. How many {p} remain?", "There were {a} {p}. {n} ate {b}. How many are left?",
      "A shop had {a} {p} and sold {b}. How many remain?", "Of {a} {p}, {b} were broken. How many are whole?", "{n} needs {a} {p} and has {b}. How many are missing?"), "There are {v}."),
    (("{n} has {c}{a} and spends {c}{b}. How much is left?", "A coat costs {c}{a}. {n} has {c}{b}. How much more is needed?", "The price fell from {c}{a} by {c}{b}. What is the new price?",
      "Revenue was {c}{a} and costs were {c}{b}. What was the profit?", "Our income is {c}{a} and we spend {c}{b}. How much profit is that?", "I paid {c}{b} of a bill of {c}{a}. What do I still owe?"), "It is {c}{v}."),
    (("A road is {a} km long. {n} has walked {b} km. How far is it still?", "The trip is {a} km and we have done {b} km. How many km remain?"), "It is {v} km."),
    (("We had {a} users and {b} left. How many users are there now?", "Of {a} guests, {b} went home. How many stayed?", "There were {a} people on the train and {b} got off. How many are still on it?"), "There are {v}."),
)
SHARE = (
    (("{a} {p} are shared equally by {b} children. How many does each get?", "{n} puts {a} {p} into {b} equal boxes. How many are in each?", "Share {a} {p} among {b} people. How many each?",
      "A teacher gives {a} {p} to {b} pupils in equal parts. How many per pupil?"), "Each gets {v}."),
    (("A bill of {c}{a} is split by {b} friends. What does each pay?", "{b} people share a cost of {c}{a} equally. How much is it for one?", "A prize of {c}{a} goes to {b} winners in equal parts. How much does each win?",
      "{b} tickets cost {c}{a}. What does one ticket cost?"), "It is {c}{v} each."),
    (("A car goes {a} km in {b} hours. What is its speed in km/h?", "{n} reads {a} pages in {b} days, the same number each day. How many a day?"), "It is {v}."),
)
PROFIT = (
    "We have {a} users who pay {c}{b} a month, and costs of {c}{k} a month. What is the monthly profit?", "{a} customers pay {c}{b} each. Costs are {c}{k}. What is the profit?",
    "A shop sells {a} {p} at {c}{b} each and spends {c}{k}. How much profit does it make?", "Revenue comes from {a} users at {c}{b}; expenses are {c}{k}. Profit?",
    "{n} sells {a} {p} for {c}{b} each but paid {c}{k} for them. What is the profit?",
)


def problem(table, sign: str, hard: bool):
    def make(draw: Draw):
        phrasings, answer = draw.pick(table)

        def operands():
            if sign == "*":
                x, y = draw.pick(((2, 2), (3, 2), (3, 2), (4, 2), (3, 1))) if hard else draw.pick(((1, 1), (2, 1)))
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
        currency = draw.pick(("$", "$", "€", "£", ""))
        slots = {"a": a, "b": b, "c": currency, "p": items(draw), "n": draw.word(FIRST_NAMES), "m": draw.word(FIRST_NAMES)}
        value = VALUE[sign](a, b)
        kind = "problem_hard" if hard else "problem_easy"
        return numeric(draw, kind, draw.text(phrasings, **slots), value, STEPS[sign](a, b),
                       answer.format(v=value, c=currency), share_high=0.65 if hard else 0.4)

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
    currency = draw.pick(("$", "$", "€", "£", ""))
    value = a * b - cost
    slots = {"a": a, "b": b, "k": cost, "c": currency, "p": items(draw), "n": draw.word(FIRST_NAMES)}
    steps = f"{multiply(a, b)}\n{subtract(a * b, cost)}"
    return numeric(draw, "profit_hard", draw.text(PROFIT, **slots), value, steps, f"The profit is {currency}{value}.",
                   share_high=0.7)


KINDS = {
    "sum_easy": (1.0, sum_easy), "sum_hard": (1.6, sum_hard),
    "difference_easy": (1.0, difference_easy), "difference_hard": (1.6, difference_hard),
    "product_easy": (1.0, product_easy), "product_hard": (2.4, product_hard),
    "quotient_easy": (0.7, quotient_easy), "quotient_hard": (1.0, quotient_hard),
    "list_easy": (0.3, sum_many(False)), "list_hard": (0.8, sum_many(True)),
    "average_easy": (0.4, average(False)), "average_hard": (0.8, average(True)),
    "times_easy": (0.4, problem(TIMES, "*", False)), "times_hard": (1.2, problem(TIMES, "*", True)),
    "plus_easy": (0.3, problem(PLUS, "+", False)), "plus_hard": (0.6, problem(PLUS, "+", True)),
    "minus_easy": (0.3, problem(MINUS, "-", False)), "minus_hard": (0.6, problem(MINUS, "-", True)),
    "share_easy": (0.3, problem(SHARE, "/", False)), "share_hard": (0.5, problem(SHARE, "/", True)),
    "profit_hard": (0.5, profit),
}
