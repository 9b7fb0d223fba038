"""Arithmetic, asked two ways: at once (effort none), or by written steps (effort high).

Steps are the column method, units first, with the carry written out, because every step is then one of a few hundred
facts about digits that stand near. A result is written once in normal order after its steps:

    47*36: 7*6+0=42, 4*6+4=28, row 282; 7*3+0=21, 4*3+2=14, row 0141; 2+0+0=2, 8+1+0=9, 2+4+0=6, 0+1+0=1; =1692

Kinds end in `easy` or `hard`; the hard half is what effort high is for.
"""

from ..draw import Draw, held, in_held_range, sample, user


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
    """Column method; the factor with fewer digits comes second, one row for each of its digits."""
    if len(str(a)) < len(str(b)):
        a, b = b, a
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


def shown(draw: Draw, number: int) -> str:
    """A number as people write it: now and then with a comma for thousands."""
    return f"{number:,}" if number >= 1000 and draw.chance(0.06) else str(number)


def ask(draw: Draw, sign: str, left: int, right: int) -> str:
    a, b = shown(draw, left), shown(draw, right)
    if draw.chance(0.3):
        return draw.text(WORDY[sign], a=a, b=b)
    return draw.text(BINARY, a=a, b=b, s=draw.pick(SIGNS[sign]))


def numeric(draw: Draw, kind: str, question: str, value: int, steps: str, content: str | None = None,
            share_high: float = 0.5):
    # At once, a hard one is not learnt early; its steps are.
    early = draw.training and draw.level < 0.3 and kind.endswith("_hard")
    effort = draw.effort(0.85 if early else share_high)
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


sum_easy, sum_hard = binary("+", ((1, 1), (2, 1), (2, 2), (2, 2)), ((3, 3), (3, 3), (4, 3), (4, 4), (4, 4), (5, 4), (3, 2)))
difference_easy, difference_hard = binary("-", ((1, 1), (2, 1), (2, 2), (2, 2)), ((3, 3), (3, 3), (4, 3), (4, 4), (4, 4), (5, 4), (3, 2)))
product_easy, product_hard = binary("*", ((1, 1), (2, 1), (2, 1)), ((2, 2), (2, 2), (2, 2), (3, 1), (3, 1), (4, 1), (3, 2), (3, 2)))
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


KINDS = {
    "sum_easy": (1.0, sum_easy), "sum_hard": (1.6, sum_hard),
    "difference_easy": (1.0, difference_easy), "difference_hard": (1.6, difference_hard),
    "product_easy": (1.0, product_easy), "product_hard": (2.4, product_hard),
    "quotient_easy": (0.7, quotient_easy), "quotient_hard": (1.0, quotient_hard),
    "list_easy": (0.3, sum_many(False)), "list_hard": (0.8, sum_many(True)),
    "average_easy": (0.4, average(False)), "average_hard": (0.8, average(True)),
}
