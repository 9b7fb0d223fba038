"""Mistral's own coding agent reads a file over the server, in its non-interactive mode, unchanged.

The agent sends 28 KB of instructions and tools (half with its own "minimal" instructions), always streams, and leaves the choice of tools to the model; the choice is
made by the proxy of common/forcing.py, so that what is checked is the protocol, not the model's mind.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from forcing import SAID, forcing, the_round_trip
from local import MODEL, URL

CONFIG = """
active_model = "local"
system_prompt_id = "{prompt}"
enable_telemetry = false
enable_update_checks = false
enable_auto_update = false
enable_otel = false
enable_connectors = false
include_project_context = false
api_retry_max_elapsed_time = 2.0
output_limit_retries = 0

[experiments]
enable = false

[session_logging]
generate_titles = false

[[providers]]
name = "tramontane"
api_base = "{url}/v1"
api_key_env_var = "TRAMONTANE_KEY"
backend = "{backend}"

[[models]]
name = "{model}"
provider = "tramontane"
alias = "local"
thinking = "{thinking}"
"""


def vibe(folder: Path, url: str, prompt: str, *arguments: str, backend="generic", thinking="off", instructions="cli"):
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    (home / "config.toml").write_text(CONFIG.format(url=url, backend=backend, model=MODEL, thinking=thinking, prompt=instructions))
    (work / "note.txt").write_text("The secret word is tramontane.\n")
    command = [str(Path(sys.executable).parent / "vibe"), "--prompt", prompt, "--auto-approve", "--output", "json", *arguments]
    # The keyring is asked only for keys that the environment lacks; HOME keeps it from the user's own settings.
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "VIBE_HOME": str(home), "TRAMONTANE_KEY": "none-needed", "MISTRAL_API_KEY": "none-needed"}
    run = subprocess.run(command, cwd=work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    return run


# backend, thinking, instructions; the last has no proxy before the server, and may say what it likes in one turn
CASES = [("generic", "off", "cli"), ("generic", "high", "minimal"), ("mistral", "high", "minimal")]
QUESTION = "Read note.txt and tell me the secret word."


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """All runs side by side: most of their time is the agent's own start."""

    def proxied(case):
        with forcing("read_file", {"path": "note.txt"}) as proxy:
            folder = tmp_path_factory.mktemp("run")
            return vibe(folder, proxy.url, QUESTION, backend=case[0], thinking=case[1], instructions=case[2]), proxy

    with ThreadPoolExecutor() as pool:
        alone = pool.submit(vibe, tmp_path_factory.mktemp("alone"), URL, "Hello there!", "--max-turns", "1", instructions="minimal")
        started = {case: pool.submit(proxied, case) for case in CASES}
        return {case: future.result() for case, future in started.items()} | {"alone": alone.result()}


@pytest.mark.parametrize("case", CASES)
def test_a_file_is_read(runs, case):
    run, proxy = runs[case]
    assert run.returncode == 0, (run.stdout[-1500:], run.stderr[-1500:], proxy.replies)
    the_round_trip(proxy, "read_file", "The secret word is tramontane.")
    headers = {name.lower(): value for name, value in proxy.seen[0]["headers"].items()}
    assert headers["user-agent"].startswith("mistral-client-python/") == (case[0] == "mistral")
    assert all(seen["body"]["stream"] for seen in proxy.seen)
    messages = json.loads(run.stdout)
    said = [part["text"] for message in messages if message.get("role") == "assistant" for part in message["content"]]
    assert SAID in json.loads(said[-1])


def test_whatever_the_model_says_is_taken(runs):
    run = runs["alone"]
    assert run.returncode in (0, 3), (run.returncode, run.stdout[-1500:], run.stderr[-1500:])
    assert any(message.get("role") == "assistant" or message["type"] == "reasoning" for message in json.loads(run.stdout))
