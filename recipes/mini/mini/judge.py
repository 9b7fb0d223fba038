"""Whether a reply is right, by the sample's check. Shared by the evaluation here and, as a description, by xtask eval-mini.

A check is a dict; every entry must hold:
  equals       the whole reply, but for case, blanks at the ends and a full stop
  number       the last number in the reply, thousands separators removed
  contains     every text is somewhere in the reply, upper or lower case
  json         the reply is this JSON value (numbers compare by value)
  tool_calls   exactly these calls, in any order, with exactly these arguments; `no_calls`: none at all
  python       {"name", "tests": [[repr of the arguments, repr of the result]]}: the function in the reply passes
  polite       {"words": at most, "keep": [words that must stay]}: courteous and within the limit
  honest       one of the fixed sentences that say what mini can do
"""

import json
import re
import subprocess
import sys

from .data.talk import HONEST

COURTESY = ("please", "thank", "sorry", "afraid", "grateful", "could you", "would you", "kind", "i think")
RUNNER = """
import ast, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
source, name, tests = eval(sys.stdin.read())
space = {}
exec(source, space)
for arguments, result in tests:
    if space[name](*ast.literal_eval(arguments)) != ast.literal_eval(result):
        sys.exit(1)
"""


def plain(text: str) -> str:
    return " ".join(text.split()).strip().rstrip(".").strip().lower()


def last_number(text: str) -> float | None:
    found = re.findall(r"-?\d+(?:\.\d+)?", re.sub(r"(?<=\d),(?=\d{3}\b)", "", text))
    return float(found[-1]) if found else None


def code_of(text: str) -> str:
    """The first fenced block, or the whole text."""
    match = re.search(r"```(?:python)?\n(.*?)```", text, re.S)
    return match[1] if match else text


def runs(text: str, check: dict) -> bool:
    """The function in the reply passes the tests, within two seconds of its own process."""
    payload = repr((code_of(text), check["name"], check["tests"]))
    try:
        done = subprocess.run([sys.executable, "-I", "-c", RUNNER], input=payload.encode(), capture_output=True, timeout=5)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def same_json(text: str, wanted) -> bool:
    text = text.strip()
    if text.startswith("```"):
        text = code_of(text.replace("```json", "```", 1))
    try:
        return json.loads(text) == wanted
    except ValueError:
        return False


def same_calls(calls, wanted: list[dict]) -> bool:
    """Calls are (name, arguments), or dicts or objects with those."""
    found = []
    for call in calls:
        if isinstance(call, dict):
            name, arguments = call["name"], call["arguments"]
        elif isinstance(call, tuple):
            name, arguments = call
        else:
            name, arguments = call.name, call.arguments
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except ValueError:
                return False
        found.append(json.dumps([name, arguments], sort_keys=True))
    return sorted(found) == sorted(json.dumps([call["name"], call["arguments"]], sort_keys=True) for call in wanted)


def is_polite(text: str, check: dict) -> bool:
    low = text.lower()
    return (0 < len(text.split()) <= check["words"] and any(word in low for word in COURTESY)
            and all(word.lower() in low for word in check["keep"]))


def judge(check: dict, reply: str, thinking: str | None = None, tool_calls=()) -> bool:
    """Whether the reply is right; `thinking` is not judged."""
    tests = {
        "equals": lambda wanted: plain(reply) == plain(wanted),
        "number": lambda wanted: last_number(reply) == float(wanted),
        "contains": lambda wanted: all(text.lower() in reply.lower() for text in wanted),
        "json": lambda wanted: same_json(reply, wanted),
        "tool_calls": lambda wanted: same_calls(tool_calls, wanted),
        "no_calls": lambda _: not tool_calls,
        "python": lambda wanted: runs(reply, wanted),
        "polite": lambda wanted: is_polite(reply, wanted),
        "honest": lambda _: plain(reply) in {plain(sentence) for sentence in HONEST.values()},
        "upper": lambda _: reply == reply.upper(),
        "words": lambda wanted: len(reply.split()) == wanted,
    }
    return all(tests[name](wanted) for name, wanted in check.items())
