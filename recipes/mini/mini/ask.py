"""The evaluation against a server that speaks OpenAI's API: `python -m mini.ask http://127.0.0.1:8000`.

Sends each question as it stands, greedily, and judges the reply. Needs no package, nor the weights.
"""

import argparse
import json
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .judge import judge
from .results import FILES, by_kind, chosen, table

TIMEOUT_SECONDS = 300


def reply(url: str, request: dict, max_tokens: int) -> dict:
    """The server's answer; an answer that is an error raises with the server's words."""
    body = json.dumps({**request, "temperature": 0, "max_tokens": max_tokens}).encode()
    sent = urllib.request.Request(url + "/v1/chat/completions", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(sent, timeout=TIMEOUT_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{error.code}: {error.read().decode(errors='replace')}") from error


def ask(url: str, question: dict, max_tokens: int) -> dict:
    start = time.monotonic()
    answer = reply(url, question["request"], max_tokens)
    seconds = time.monotonic() - start
    message, usage = answer["choices"][0]["message"], answer["usage"]
    content, thinking = message.get("content") or "", message.get("reasoning_content")
    calls = [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls") or ()]
    return {
        "id": question["id"], "skill": question["skill"], "kind": question["kind"], "effort": question["effort"],
        "right": judge(question["check"], content, thinking, calls), "prompt_tokens": usage["prompt_tokens"],
        "tokens": usage["completion_tokens"], "seconds": seconds, "content": content, "thinking": thinking, "calls": calls,
    }  # fmt: skip


def main() -> None:
    p = argparse.ArgumentParser(prog="mini.ask", description=__doc__)
    p.add_argument("url")
    p.add_argument("--questions", type=Path, nargs="*", default=FILES)
    p.add_argument("--limit", type=int, default=0, help="questions of each skill and effort; 0: all")
    p.add_argument("--parallel", type=int, default=1, help="questions at once; more than one blurs the times")
    p.add_argument("--max-tokens", type=int, default=512)
    p.add_argument("--out", type=Path, help="replies as JSONL")
    a = p.parse_args()
    everything = []
    for path in a.questions:
        questions, start = chosen(path, a.limit), time.monotonic()
        with ThreadPoolExecutor(a.parallel) as pool:
            results = list(pool.map(lambda question: ask(a.url, question, a.max_tokens), questions))
        everything += results
        print(f"## {path.name}: {len(results)} questions in {time.monotonic() - start:.0f} s\n\n{table(results)}\n", flush=True)
        print(by_kind(results) + "\n", file=sys.stderr, flush=True)
    if a.out:
        a.out.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in everything))


if __name__ == "__main__":
    main()
