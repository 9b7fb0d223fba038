"""Code: mend the one bug in a short Python function (judged by running it), and say what a short function returns."""

import re
from functools import lru_cache
from string import Template

from ..draw import Draw, held, sample, user
from ..words import ANIMALS, COLOURS, NOUNS

# Variables by role: a family's source names roles with $, and gets names that differ.
ROLES = {
    "xs": ("numbers", "values", "items", "nums", "xs", "data", "scores", "lst", "prices", "points"),
    "ys": ("others", "second", "ys", "more", "right", "b_list", "extra"),
    "x": ("x", "n", "v", "item", "number", "value", "e"),
    "y": ("y", "m", "w", "other", "k"),
    "t": ("total", "result", "acc", "s", "out", "answer", "res"),
    "i": ("i", "j", "index", "pos", "idx"),
    "s": ("text", "word", "s", "line", "string", "name"),
    "c": ("c", "ch", "letter", "char"),
    "d": ("d", "table", "counts", "mapping", "lookup"),
}

# names, what it should do, source, bugs as (right, wrong), arguments for its tests.
NUMBERS = ([3, 1, 2], [5], [4, 8, 15, 16], [7, 7, 1], [10, 2, 9, 4, 6], [1, 2])
SIGNED = ([3, -1, 2], [-5], [4, 0, -8, 15], [-7, -3, -9], [10, 2, -9], [0, 1], [6, 4])
WORDS = ("apple", "abc", "level", "Tea", "banana", "x")
INTS = (1, 2, 3, 5, 8, 12)
PAIRS = ((2, 3), (7, 4), (5, 5), (1, 9), (10, 3), (6, 2))

FAMILIES = (
    (("sum_list", "add_all", "total_of", "sum_up"), "the sum of the numbers",
     "def $f($xs):\n    $t = 0\n    for $x in $xs:\n        $t += $x\n    return $t",
     (("$t += $x", "$t = $x"), ("$t += $x", "$t -= $x"), ("$t = 0", "$t = 1"), ("    return $t", "        return $t"), ("$t += $x", "$t *= $x")), [(list(v),) for v in NUMBERS]),
    (("product", "multiply_all", "product_of", "prod"), "the product of the numbers",
     "def $f($xs):\n    $t = 1\n    for $x in $xs:\n        $t *= $x\n    return $t",
     (("$t = 1", "$t = 0"), ("$t *= $x", "$t += $x"), ("    return $t", "        return $t"), ("$t *= $x", "$t = $x")), [(list(v),) for v in NUMBERS]),
    (("average", "mean", "mean_of", "get_average"), "the average of the numbers",
     "def $f($xs):\n    return sum($xs) / len($xs)",
     (("/ len($xs)", "* len($xs)"), ("sum($xs) /", "max($xs) /"), ("len($xs)", "2"), ("/ len($xs)", "/ len($xs) - 1"), ("/ len($xs)", "- len($xs)")), [(list(v),) for v in NUMBERS]),
    (("largest", "find_max", "maximum", "biggest"), "the largest number",
     "def $f($xs):\n    $t = $xs[0]\n    for $x in $xs:\n        if $x > $t:\n            $t = $x\n    return $t",
     (("$x > $t", "$x < $t"), ("$t = $xs[0]", "$t = 0"), ("$t = $x\n", "$x = $t\n"), ("    return $t", "        return $t"), ("return $t", "return $x")), [(list(v),) for v in SIGNED]),
    (("smallest", "find_min", "minimum", "lowest"), "the smallest number",
     "def $f($xs):\n    $t = $xs[0]\n    for $x in $xs:\n        if $x < $t:\n            $t = $x\n    return $t",
     (("$x < $t", "$x > $t"), ("$t = $xs[0]", "$t = 0"), ("$t = $x\n", "$x = $t\n"), ("return $t", "return $x")), [(list(v),) for v in SIGNED]),
    (("count_even", "num_even", "how_many_even"), "how many numbers are even",
     "def $f($xs):\n    $t = 0\n    for $x in $xs:\n        if $x % 2 == 0:\n            $t += 1\n    return $t",
     (("== 0", "== 1"), ("$t += 1", "$t += $x"), ("% 2", "% 3"), ("$t = 0", "$t = 1"), ("% 2 ==", "/ 2 ==")), [(list(v),) for v in NUMBERS]),
    (("count_odd", "num_odd", "how_many_odd"), "how many numbers are odd",
     "def $f($xs):\n    $t = 0\n    for $x in $xs:\n        if $x % 2 == 1:\n            $t += 1\n    return $t",
     (("== 1", "== 0"), ("$t += 1", "$t += $x"), ("% 2", "% 3"), ("$t = 0", "$t = 1")), [(list(v),) for v in NUMBERS]),
    (("only_even", "keep_even", "evens"), "the even numbers as a list",
     "def $f($xs):\n    return [$x for $x in $xs if $x % 2 == 0]",
     (("== 0", "== 1"), ("== 0", "!= 0"), ("% 2", "// 2"), ("% 2", "% 3"), ("[$x for", "[$x % 2 for")), [(list(v),) for v in NUMBERS]),
    (("only_positive", "positives", "keep_positive"), "the numbers greater than zero as a list",
     "def $f($xs):\n    return [$x for $x in $xs if $x > 0]",
     (("> 0", "< 0"), ("> 0", ">= 0"), ("> 0", "> 1"), ("[$x for", "[-$x for")), [(list(v),) for v in SIGNED]),
    (("squares", "square_all", "squared"), "the squares of the numbers",
     "def $f($xs):\n    return [$x * $x for $x in $xs]",
     (("$x * $x", "$x + $x"), ("$x * $x", "$x * 2"), ("$x * $x", "$x")), [(list(v),) for v in NUMBERS]),
    (("double_all", "doubled", "twice"), "each number doubled",
     "def $f($xs):\n    $t = []\n    for $x in $xs:\n        $t.append($x * 2)\n    return $t",
     (("* 2", "+ 2"), ("* 2", "* $x"), ("    return $t", "        return $t"), ("$x * 2", "$x"), ("* 2", "** 2")), [(list(v),) for v in NUMBERS]),
    (("is_even", "even"), "True if the number is even",
     "def $f($x):\n    return $x % 2 == 0", (("== 0", "== 1"), ("% 2", "% 3"), ("==", "!="), ("% 2", "* 2"), ("% 2", "/ 2")), [(v,) for v in INTS]),
    (("is_odd", "odd"), "True if the number is odd",
     "def $f($x):\n    return $x % 2 == 1", (("== 1", "== 0"), ("% 2", "% 3"), ("==", "!="), ("% 2", "// 2")), [(v,) for v in INTS]),
    (("factorial", "fact"), "the factorial of a number",
     "def $f($x):\n    $t = 1\n    for $i in range(1, $x + 1):\n        $t *= $i\n    return $t",
     (("range(1, $x + 1)", "range(1, $x)"), ("$t = 1", "$t = 0"), ("$t *= $i", "$t += $i"), ("range(1,", "range(0,"), ("$t *= $i", "$t *= $x")), [(v,) for v in (1, 2, 3, 5, 6)]),
    (("factorial", "fact", "fact_rec"), "the factorial of a number",
     "def $f($x):\n    if $x <= 1:\n        return 1\n    return $x * $f($x - 1)",
     (("return 1\n", "return 0\n"), ("$x * $f", "$x + $f"), ("$f($x - 1)", "$f($x - 2)"), ("$x * $f($x - 1)", "$f($x - 1)")), [(v,) for v in (1, 2, 3, 5, 6)]),
    (("sum_to", "sum_up_to", "triangle"), "the sum of the numbers from 1 to the given one",
     "def $f($x):\n    $t = 0\n    for $i in range(1, $x + 1):\n        $t += $i\n    return $t",
     (("range(1, $x + 1)", "range(1, $x)"), ("$t = 0", "$t = 1"), ("$t += $i", "$t += 1"), ("$t += $i", "$t += $x"), ("$t += $i", "$t *= $i")), [(v,) for v in INTS]),
    (("fibonacci", "fib"), "the Fibonacci number at a position, starting with 0, 1",
     "def $f($x):\n    a, b = 0, 1\n    for _ in range($x):\n        a, b = b, a + b\n    return a",
     (("a + b", "a * b"), ("a, b = 0, 1", "a, b = 1, 1"), ("return a", "return b"), ("range($x)", "range($x + 1)"), ("b, a + b", "a, a + b")), [(v,) for v in (0, 1, 2, 5, 8)]),
    (("reverse", "reversed_text", "backwards", "flip"), "the text reversed",
     "def $f($s):\n    return $s[::-1]", (("[::-1]", "[::1]"), ("[::-1]", "[:-1]"), ("[::-1]", "[-1]"), ("[::-1]", "[::-2]")), [(v,) for v in WORDS]),
    (("is_palindrome", "palindrome", "same_backwards"), "True if the text reads the same backwards",
     "def $f($s):\n    return $s == $s[::-1]", (("==", "!="), ("[::-1]", "[::1]"), ("[::-1]", "[:-1]"), ("$s == $s[::-1]", "$s[::-1]")), [(v,) for v in WORDS]),
    (("count_vowels", "num_vowels", "vowels"), "the number of vowels in the text",
     "def $f($s):\n    $t = 0\n    for $c in $s:\n        if $c in 'aeiou':\n            $t += 1\n    return $t",
     (("$c in 'aeiou'", "$c not in 'aeiou'"), ("$t += 1", "$t -= 1"), ("$t = 0", "$t = 1"), ("'aeiou'", "'aei'"), ("    return $t", "        return $t")), [(v,) for v in ("apple", "sky", "house", "oui", "banana")]),
    (("count_letter", "count_char", "how_often"), "how often the letter is in the text",
     "def $f($s, $c):\n    $t = 0\n    for x in $s:\n        if x == $c:\n            $t += 1\n    return $t",
     (("x == $c", "x != $c"), ("$t += 1", "$t = 1"), ("$t = 0", "$t = 1"), ("in $s:", "in $c:")), [("banana", "a"), ("apple", "p"), ("sky", "e"), ("level", "l")]),
    (("first_letter", "initial", "first_char"), "the first letter of the text",
     "def $f($s):\n    return $s[0]", (("[0]", "[1]"), ("[0]", "[-1]"), ("$s[0]", "$s[1:]"), ("$s[0]", "$s")), [(v,) for v in WORDS]),
    (("last_item", "last", "get_last", "final_item"), "the last item of the list",
     "def $f($xs):\n    return $xs[-1]", (("[-1]", "[0]"), ("[-1]", "[1]"), ("[-1]", "[-2]"), ("[-1]", "[len($xs)]")), [(list(v),) for v in NUMBERS]),
    (("add", "plus", "add_two"), "the sum of the two numbers",
     "def $f($x, $y):\n    return $x + $y", (("+ $y", "- $y"), ("+ $y", "* $y"), ("$x + $y", "$x"), ("+ $y", "+ $x")), list(PAIRS)),
    (("subtract", "difference", "minus"), "the first number minus the second",
     "def $f($x, $y):\n    return $x - $y", (("- $y", "+ $y"), ("$x - $y", "$y - $x"), ("- $y", "* $y"), ("- $y", "- $x")), list(PAIRS)),
    (("multiply", "times", "area"), "the product of the two numbers",
     "def $f($x, $y):\n    return $x * $y", (("* $y", "+ $y"), ("* $y", "- $y"), ("* $y", "* $x"), ("* $y", "** $y"), ("* $y", "/ $y")), list(PAIRS)),
    (("perimeter", "outline", "fence_length"), "the perimeter of a rectangle with the two sides",
     "def $f($x, $y):\n    return 2 * ($x + $y)", (("2 * ($x + $y)", "2 * $x + $y"), ("$x + $y", "$x * $y"), ("2 *", "4 *"), ("$x + $y", "$x - $y")), list(PAIRS)),
    (("larger", "max_of_two", "bigger", "max2"), "the larger of the two numbers",
     "def $f($x, $y):\n    if $x > $y:\n        return $x\n    return $y", (("$x > $y", "$x < $y"), ("return $x\n", "return $y\n"), ("    return $y", "    return $x")), list(PAIRS)),
    (("smaller", "min_of_two", "min2", "lesser"), "the smaller of the two numbers",
     "def $f($x, $y):\n    if $x < $y:\n        return $x\n    return $y", (("$x < $y", "$x > $y"), ("return $x\n", "return $y\n"), ("    return $y", "    return $x")), list(PAIRS)),
    (("absolute", "abs_value", "distance_to_zero"), "the number without its sign",
     "def $f($x):\n    if $x < 0:\n        return -$x\n    return $x", (("$x < 0", "$x > 0"), ("return -$x", "return $x"), ("    return $x", "    return -$x"), ("return -$x", "return 0")), [(3,), (-4,), (0,), (-1,), (9,)]),
    (("sign", "sign_of"), "1, -1 or 0, like the number's sign",
     "def $f($x):\n    if $x > 0:\n        return 1\n    if $x < 0:\n        return -1\n    return 0", (("$x > 0", "$x >= 0"), ("return -1", "return 1"), ("return 0", "return 1"), ("$x < 0", "$x > 0")), [(3,), (-4,), (0,), (-1,), (9,)]),
    (("contains", "has_item", "is_in", "includes"), "True if the value is in the list",
     "def $f($xs, $y):\n    for $x in $xs:\n        if $x == $y:\n            return True\n    return False",
     (("$x == $y", "$x != $y"), ("return True", "return False"), ("    return False", "    return True"), ("\n    return False", "\n        return False")), [([3, 1, 2], 2), ([5], 4), ([4, 8, 15], 8), ([7, 1], 9), ([1, 2, 3], 3)]),
    (("find_index", "index_of", "position_of"), "the position of the value in the list, or -1",
     "def $f($xs, $y):\n    for $i in range(len($xs)):\n        if $xs[$i] == $y:\n            return $i\n    return -1",
     (("$xs[$i] == $y", "$xs[$i] != $y"), ("return $i", "return $y"), ("return -1", "return 0"), ("range(len($xs))", "range(len($xs) - 1)"), ("return $i", "return $xs[$i]")), [([3, 1, 2], 2), ([5], 4), ([4, 8, 15], 4), ([7, 1], 1), ([1, 2, 3], 3)]),
    (("count_above", "num_above", "how_many_above"), "how many numbers are above the limit",
     "def $f($xs, $y):\n    $t = 0\n    for $x in $xs:\n        if $x > $y:\n            $t += 1\n    return $t",
     (("$x > $y", "$x < $y"), ("$x > $y", "$x >= $y"), ("$t += 1", "$t += $x"), ("$t = 0", "$t = 1")), [([3, 1, 2], 2), ([5, 9], 4), ([4, 8, 15], 4), ([7, 1], 0), ([1, 2, 3], 3)]),
    (("word_count", "count_words", "num_words"), "the number of words in the text",
     "def $f($s):\n    return len($s.split())", (("len($s.split())", "len($s)"), (".split()", ".split(',')"), ("len($s.split())", "$s.split()")), [("one two",), ("hello",), ("a b c d",), ("the red fox",)]),
    (("join_words", "join_all", "glue"), "the words joined by a blank",
     "def $f($xs):\n    return ' '.join($xs)", (("' '", "''"), ("' '", "','"), ("' '.join($xs)", "' '.join($xs[1:])"), ("join($xs)", "join($xs[0])")), [(["a", "b"],), (["one"],), (["red", "fox", "den"],)]),
    (("longest", "longest_word", "longest_text"), "the longest word of the list",
     "def $f($xs):\n    $t = ''\n    for $x in $xs:\n        if len($x) > len($t):\n            $t = $x\n    return $t",
     (("len($x) > len($t)", "len($x) < len($t)"), ("$t = $x\n", "$t = len($x)\n"), ("return $t", "return $x"), ("len($x) > len($t)", "$x > $t")), [(["zb", "ccc", "a"],), (["one"],), (["red", "foxes", "z"],)]),
    (("shout", "loud", "upper_text"), "the text in capital letters with an exclamation mark",
     "def $f($s):\n    return $s.upper() + '!'", ((".upper()", ".lower()"), ("'!'", "'?'"), ("$s.upper() + '!'", "$s.upper()"), ("upper()", "title()")), [(v,) for v in WORDS]),
    (("repeat_text", "repeat", "copies"), "the text repeated the given number of times",
     "def $f($s, $y):\n    return $s * $y", (("$s * $y", "$s + $y"), ("$s * $y", "$s"), ("* $y", "* 2"), ("* $y", "* ($y - 1)")), [("ab", 3), ("x", 1), ("hey", 2), ("no", 4)]),
    (("countdown", "count_down", "down_from"), "the numbers from the given one down to 1",
     "def $f($x):\n    $t = []\n    while $x > 0:\n        $t.append($x)\n        $x -= 1\n    return $t",
     (("$x > 0", "$x > 1"), ("$x > 0", "$x >= 0"), ("$x -= 1", "$x -= 2"), ("$t.append($x)", "$t.append(1)")), [(1,), (3,), (5,), (2,)]),
    (("discount", "reduced_price", "price_after"), "the price after the discount in percent",
     "def $f($x, $y):\n    return $x - $x * $y / 100", (("$x - $x", "$x + $x"), ("/ 100", "/ 10"), ("$x * $y", "$y"), ("* $y", "+ $y")), [(100, 10), (50, 20), (80, 25), (10, 50)]),
    (("celsius", "to_celsius", "f_to_c"), "the temperature in Celsius, given in Fahrenheit",
     "def $f($x):\n    return ($x - 32) * 5 / 9", (("- 32", "+ 32"), ("* 5 / 9", "* 9 / 5"), ("($x - 32)", "$x - 32"), ("32", "30")), [(32,), (212,), (50,), (68,)]),
    (("count_items", "frequencies", "tally"), "how often each item occurs, as a dict",
     "def $f($xs):\n    $d = {}\n    for $x in $xs:\n        $d[$x] = $d.get($x, 0) + 1\n    return $d",
     (("$d.get($x, 0) + 1", "$d.get($x, 0)"), ("$d.get($x, 0) + 1", "1"), ("get($x, 0)", "get($x, 1)"), ("    return $d", "        return $d")), [([1, 2, 1],), (["a", "b", "a", "a"],), ([5],)]),
    (("unique", "without_doubles", "distinct"), "the items without repetitions, in order",
     "def $f($xs):\n    $t = []\n    for $x in $xs:\n        if $x not in $t:\n            $t.append($x)\n    return $t",
     (("$x not in $t", "$x in $t"), ("not in $t", "not in $xs"), ("$t.append($x)", "$t = [$x]"), ("    return $t", "        return $t")), [([1, 2, 1],), ([3, 3, 3],), ([5, 4],), ([1, 2, 3, 2, 4],)]),
    (("swap", "swap_pair", "turn_around"), "the two values in the other order",
     "def $f($x, $y):\n    return $y, $x", (("$y, $x", "$x, $y"), ("$y, $x", "$y, $y"), ("$y, $x", "$x, $x")), list(PAIRS)),
    (("divides", "is_multiple", "divisible"), "True if the first number is divisible by the second",
     "def $f($x, $y):\n    return $x % $y == 0", (("$x % $y", "$y % $x"), ("== 0", "== 1"), ("% $y", "// $y"), ("==", "!="), ("% $y", "- $y")), list(PAIRS)),
    (("power", "raise_to", "pow_int"), "the first number to the power of the second",
     "def $f($x, $y):\n    $t = 1\n    for _ in range($y):\n        $t *= $x\n    return $t", (("$t = 1", "$t = 0"), ("$t *= $x", "$t += $x"), ("$t *= $x", "$t *= $y"), ("range($y)", "range($x)"), ("range($y)", "range($y - 1)")), [(2, 3), (5, 2), (3, 1), (4, 0), (2, 5)]),
    (("is_leap", "leap_year"), "True if the year is a leap year",
     "def $f($x):\n    return $x % 4 == 0 and ($x % 100 != 0 or $x % 400 == 0)", (("and (", "or ("), ("% 4 ==", "% 5 =="), ("!= 0 or", "== 0 or"), ("% 400 == 0", "% 400 != 0")), [(2000,), (1900,), (2024,), (2023,), (2100,)]),
    (("grade", "passed", "has_passed"), "'pass' from 50 points on, else 'fail'",
     "def $f($x):\n    if $x >= 50:\n        return 'pass'\n    return 'fail'", ((">= 50", "> 50"), (">= 50", "<= 50"), ("50", "60"), ("return 'pass'", "return 'fail'"), ("'fail'", "'pass'")), [(50,), (49,), (80,), (10,), (55,)]),
    (("merge_lists", "concat", "both_lists"), "the two lists as one, the first list first",
     "def $f($xs, $ys):\n    return $xs + $ys", (("$xs + $ys", "$ys + $xs"), ("$xs + $ys", "$xs"), ("$xs + $ys", "$xs + $xs"), ("$xs + $ys", "[$xs, $ys]")), [([1], [2]), ([3, 4], []), ([1, 2], [9])]),
    (("add_pairs", "sum_pairs", "add_lists"), "the sums of the pairs of the two lists",
     "def $f($xs, $ys):\n    return [$x + $y for $x, $y in zip($xs, $ys)]", (("$x + $y for", "$x - $y for"), ("$x + $y for", "$x * $y for"), ("$x + $y for", "$x for"), ("zip($xs, $ys)", "zip($xs, $xs)")), [([1], [2]), ([3, 4], [5, 9]), ([1, 2], [9, 0])]),
    (("clamp", "limit", "keep_between"), "the number, but at least 0 and at most 100",
     "def $f($x):\n    return max(0, min($x, 100))", (("min($x, 100)", "max($x, 100)"), ("max(0", "min(0"), ("100", "10"), ("max(0", "max(1")), [(5,), (-4,), (150,), (100,), (0,)]),
)

# Bugs that any function may have: (what it is called, change of the source lines) -> changed text or None.


def no_colon(source: str) -> tuple[str, str] | None:
    """The colon of the def line is missing."""
    head, _, rest = source.partition("\n")
    return head[:-1] + "\n" + rest, "A colon is missing."


def no_return(source: str) -> tuple[str, str] | None:
    """The last return has lost its keyword."""
    at = source.rfind("return ")
    return source[:at] + source[at + 7:], "The return is missing."


def wrong_name(source: str) -> tuple[str, str] | None:
    """The last use of the first argument is misspelt."""
    argument = re.search(r"\((\w+)", source)
    if not argument:
        return None
    name = argument[1]
    uses = [match.start() for match in re.finditer(rf"\b{name}\b", source)]
    if len(uses) < 2:
        return None
    wrong = name + name[-1] if len(name) > 1 else name + "1"
    at = uses[-1]
    return source[:at] + wrong + source[at + len(name):], f"{wrong} should be {name}."


GENERIC = (no_colon, no_return, wrong_name)

MEND = (
    "Find and fix the bug in this function. It should return {what}.\n{code}", "This function should return {what}, but it has a bug. Fix it.\n{code}", "Fix this code:\n{code}\nIt should return {what}.",
    "There is a bug here. The function should return {what}.\n{code}", "{code}\nThis should return {what}. What is wrong? Give me the corrected function.", "Correct the function, it must return {what}:\n{code}",
    "Debug this Python function. Expected: {what}.\n{code}", "My function does not work. It should return {what}.\n{code}\nPlease mend it.", "Repair the bug:\n{code}\nGoal: return {what}.", "What is the bug? I want {what}.\n{code}",
    "{code}\n\nFix the bug. The function returns {what}.", "I expected {what}, but this is wrong:\n{code}\nGive the right code.", "Please correct this Python code so that it returns {what}.\n{code}",
    "Mend this function (it should return {what}):\n{code}", "why does this not return {what}?\n{code}\nfix it", "The following code is broken. It should give {what}.\n{code}",
)
MEND_BARE = ("Fix the bug.\n{code}", "Find the bug and fix it:\n{code}", "Correct this function:\n{code}", "{code}\nThis is wrong. Fix it.", "Please mend this code.\n{code}", "Debug this:\n{code}", "What is wrong here? Fix it.\n{code}")
RETURNS = (
    "What does {call} return?\n{code}", "{code}\nWhat does {call} return?", "{code}\nWhat is {call}?", "What is the result of {call}?\n{code}", "Given this function, what is {call}?\n{code}", "{code}\n\n{call} = ?",
    "Tell me what {call} gives.\n{code}", "{code}\nWhat is the value of {call}?", "What will {call} return here?\n{code}", "Evaluate {call} for this code:\n{code}", "{code}\nprint({call}) shows what?",
    "Which value does {call} return?\n{code}", "Run this in your head: what is {call}?\n{code}", "{code}\nWhat do I get from {call}?",
)


def roles(draw: Draw, source: str) -> dict[str, str]:
    """A name for each role in the source, all different."""
    names: dict[str, str] = {}
    for role in sorted(set(re.findall(r"\$(\w+)", source)) - {"f"}):
        while (name := draw.pick(ROLES[role])) in names.values():
            pass
        names[role] = name
    return names


def fenced(draw: Draw, code: str) -> str:
    return draw.pick(("```python\n{}\n```", "```python\n{}\n```", "```\n{}\n```", "{}")).format(code) if "{" not in code else f"```python\n{code}\n```"


@lru_cache(None)
def expected(index: int) -> list:
    """What the right function of a family returns for its tests, as reprs."""
    names, _, source, _, tests = FAMILIES[index]
    plain = Template(source).substitute(f="f", **{role: f"v_{role}" for role in ROLES})
    space: dict = {}
    exec(plain, space)
    import copy
    return [repr(space["f"](*copy.deepcopy(arguments))) for arguments in tests]


def mend(draw: Draw):
    while True:
        index = draw.int(0, len(FAMILIES) - 1)
        names, what, source, bugs, tests = FAMILIES[index]
        function = draw.pick(names) if draw.chance(0.8) else draw.pick(("f", "func", "calc", "compute", "helper", "run")) if draw.chance(0.5) else draw.invented()
        names_of = roles(draw, source)
        right = Template(source).substitute(f=function, **names_of)
        if draw.chance(0.75):
            number = draw.int(0, len(bugs) - 1)
            good, bad = bugs[number]
            if good not in source:
                continue
            at = source.rfind(good)
            wrong = Template(source[:at] + bad + source[at + len(good):]).substitute(f=function, **names_of)
            short = [Template(part).substitute(f=function, **names_of).strip() for part in (good, bad)]
            thought, kind = f"{short[1]} should be {short[0]}.", "mend"
            if short[0] == short[1]:
                thought = f"{short[0]} stands too far to the right."
        else:
            change = draw.pick(GENERIC)
            number = change.__name__
            changed = change(right)
            if changed is None:
                continue
            wrong, thought = changed
            kind = "mend_any"
        if wrong != right and held(f"{index} {number} {function} {sorted(names_of.values())[0] if names_of else ''}") != draw.training:
            break
    described = draw.chance(0.85) or function not in names
    code = wrong
    if described and draw.chance(0.15):
        head, _, rest = wrong.partition("\n")
        code = f'{head}\n    """Return {what}."""\n{rest}'
        question = draw.rough(draw.phrase(MEND_BARE)).format(code=fenced(draw, code), what=what)
        head, _, rest = right.partition("\n")
        right = f'{head}\n    """Return {what}."""\n{rest}'
    else:
        question = draw.rough(draw.phrase(MEND if described else MEND_BARE)).format(code=fenced(draw, code), what=what)
    check = {"python": {"name": function, "tests": [[repr(arguments), result] for arguments, result in zip(tests, expected(index))]}}
    return sample("code", kind, draw.effort(0.3), [user(question)], f"```python\n{right}\n```", check, thinking=thought)


# --- what a function returns: each maker gives (body lines after def, argument reprs by name, steps, value) ---


def linear(d: Draw):
    k, m, x = d.int(2, 9), d.int(1, 20), d.int(1, 12)
    sign = d.pick("+-")
    value = k * x + m if sign == "+" else k * x - m
    form = d.int(0, 2)
    if form == 0:
        return f"return {k} * X {sign} {m}", x, f"{k}*{x}={k * x}, {k * x}{sign}{m}={value}", value
    if form == 1:
        return f"Y = X * {k}\nreturn Y {sign} {m}", x, f"Y={x}*{k}={k * x}, {k * x}{sign}{m}={value}", value
    first = x + m if sign == "+" else x - m
    return f"return (X {sign} {m}) * {k}", x, f"{x}{sign}{m}={first}, {first}*{k}={first * k}", first * k


def branch(d: Draw):
    k, x, a, b = d.int(2, 20), d.int(1, 25), d.int(1, 9), d.int(1, 9)
    sign = d.pick((">", "<", ">=", "<="))
    true = {">": x > k, "<": x < k, ">=": x >= k, "<=": x <= k}[sign]
    if d.chance(0.4):
        words = d.some(COLOURS + ANIMALS, 2)
        return f"if X {sign} {k}:\n    return '{words[0]}'\nreturn '{words[1]}'", x, f"{x} {sign} {k} is {true}", words[0] if true else words[1]
    value = x + a if true else x - b
    return f"if X {sign} {k}:\n    return X + {a}\nreturn X - {b}", x, f"{x} {sign} {k} is {true}, {x}{'+' if true else '-'}{a if true else b}={value}", value


def loop(d: Draw):
    n, k = d.int(1, 6), d.int(1, 4)
    form = d.int(0, 2)
    start = d.pick((0, 0, 1, 5, 10))
    total, steps = start, [str(start)]
    for i in range(n):
        total += k if form == 0 else i if form == 1 else X_step(i, k)
        steps.append(str(total))
    step = {0: str(k), 1: "I", 2: f"I * {k}"}[form]
    return f"T = {start}\nfor I in range(X):\n    T += {step}\nreturn T", n, "T: " + ", ".join(steps), total


def X_step(i: int, k: int) -> int:
    return i * k


def over_list(d: Draw):
    xs = [d.int(1, 20) for _ in range(d.int(2, 5))]
    k = d.int(2, 10)
    form = d.int(0, 9)
    if form == 0:
        return f"return [x * {k} for x in X]", xs, ", ".join(f"{x}*{k}={x * k}" for x in xs), [x * k for x in xs]
    if form == 1:
        return f"return [x + {k} for x in X]", xs, ", ".join(f"{x}+{k}={x + k}" for x in xs), [x + k for x in xs]
    if form == 2:
        return f"return [x for x in X if x > {k}]", xs, ", ".join(f"{x}>{k} {x > k}" for x in xs), [x for x in xs if x > k]
    if form == 3:
        return "return len(X)", xs, f"{len(xs)} items", len(xs)
    if form == 4:
        return "return max(X)", xs, "the largest", max(xs)
    if form == 5:
        return "return min(X)", xs, "the smallest", min(xs)
    if form == 6:
        at = d.pick((0, 1, -1))
        return f"return X[{at}]", xs, f"the item at {at}", xs[at]
    if form == 7:
        running, steps = 0, []
        for x in xs:
            running += x
            steps.append(str(running))
        return "return sum(X)", xs, ", ".join(steps), running
    if form == 8:
        return "return X[::-1]", xs, "in reverse", xs[::-1]
    return "return sorted(X)", xs, "in order", sorted(xs)


def over_text(d: Draw):
    word = d.word(NOUNS) if d.chance(0.7) else d.invented()
    form = d.int(0, 7)
    if form == 0:
        return "return X.upper()", word, "in capitals", word.upper()
    if form == 1:
        return "return len(X)", word, "letters: " + " ".join(f"{c}{i}" for i, c in enumerate(word, 1)), len(word)
    if form == 2:
        return "return X[0]", word, "the first letter", word[0]
    if form == 3:
        return "return X[-1]", word, "the last letter", word[-1]
    if form == 4:
        return "return X + X", word, "twice", word + word
    if form == 5:
        return "return X[::-1]", word, "backwards: " + " ".join(reversed(word)), word[::-1]
    if form == 6:
        other = d.word(ANIMALS)
        return f"return X + '-{other}'", word, "joined", f"{word}-{other}"
    count = d.int(1, 3)
    return f"return X[:{count}]", word, f"the first {count}", word[:count]


def logic(d: Draw):
    x, k = d.int(1, 40), d.int(2, 7)
    form = d.int(0, 3)
    if form == 0:
        return f"return X % {k} == 0", x, f"{x}%{k}={x % k}", x % k == 0
    if form == 1:
        return f"return X % {k}", x, f"{x}%{k}={x % k}", x % k
    if form == 2:
        return f"return X // {k}", x, f"{x}//{k}={x // k}", x // k
    high = d.int(5, 30)
    return f"return {k} < X < {high}", x, f"{k}<{x} {k < x}, {x}<{high} {x < high}", k < x < high


def halving(d: Draw):
    x = d.int(2, 60)
    n, value, steps = 0, x, [str(x)]
    while value > 1:
        value //= 2
        n += 1
        steps.append(str(value))
    return "T = 0\nwhile X > 1:\n    X = X // 2\n    T += 1\nreturn T", x, ", ".join(steps) + f": {n}", n


MAKERS = (linear, linear, branch, branch, loop, over_list, over_list, over_list, over_text, over_text, logic, halving)


def returns(draw: Draw):
    while True:
        body, argument, steps, value = draw.pick(MAKERS)(draw)
        if held(f"{body} {argument}") != draw.training:
            break
    function = draw.pick(("f", "g", "f", "compute", "calc", "h", "run", "foo")) if draw.chance(0.6) else draw.invented()
    kind_of = "xs" if isinstance(argument, list) else "s" if isinstance(argument, str) else "x"
    while True:
        names = {"X": draw.pick(ROLES[kind_of]), "Y": draw.pick(("y", "z", "a", "tmp")), "T": draw.pick(ROLES["t"]), "I": draw.pick(("i", "j"))}
        if len(set(names.values())) == 4 and names["X"] != "x" or kind_of == "x" and len(set(names.values())) == 4:
            break
    rename = lambda text: re.sub(r"\b[XYTI]\b", lambda match: names[match[0]], text)
    code = f"def {function}({names['X']}):\n" + "\n".join("    " + line for line in rename(body).split("\n"))
    shown = repr(value)
    question = draw.rough(draw.phrase(RETURNS)).format(call=f"{function}({argument!r})", code=fenced(draw, code))
    return sample("code", "returns", draw.effort(0.45), [user(question)], shown, {"equals": shown}, thinking=rename(steps))


KINDS = {"mend": (2.2, mend), "returns": (1.0, returns)}
