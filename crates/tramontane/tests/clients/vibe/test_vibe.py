"""Mistral's own coding agent reads a file over the server, in its non-interactive mode, unchanged.

The agent sends 28 KB of instructions and tools, always streams, and leaves the choice of tools to the model; the choice is
made by the proxy of common/forcing.py, so that what is checked is the protocol, not the model's mind.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forcing import SAID, forcing, the_round_trip
from local import MODEL, URL

CONFIG = """
active_model = "local"
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


def vibe(folder: Path, url: str, prompt: str, *arguments: str, backend="generic", thinking="off"):
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    (home / "config.toml").write_text(CONFIG.format(url=url, backend=backend, model=MODEL, thinking=thinking))
    (work / "note.txt").write_text("The secret word is tramontane.\n")
    command = [str(Path(sys.executable).parent / "vibe"), "--prompt", prompt, "--auto-approve", "--output", "json", *arguments]
    # The keyring is asked only for keys that the environment lacks; HOME keeps it from the user's own settings.
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "VIBE_HOME": str(home), "TRAMONTANE_KEY": "none-needed", "MISTRAL_API_KEY": "none-needed"}
    run = subprocess.run(command, cwd=work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180)
    return run


@pytest.mark.parametrize("backend, thinking", [("generic", "off"), ("generic", "high"), ("mistral", "high")])
def test_a_file_is_read(tmp_path, backend, thinking):
    with forcing("read_file", {"path": "note.txt"}) as proxy:
        run = vibe(tmp_path, proxy.url, "Read note.txt and tell me the secret word.", backend=backend, thinking=thinking)
        assert run.returncode == 0, (run.stdout[-1500:], run.stderr[-1500:], proxy.replies)
        the_round_trip(proxy, "read_file", "The secret word is tramontane.")
    agent = proxy.seen[0]["headers"].get("User-Agent", proxy.seen[0]["headers"].get("user-agent", ""))
    assert agent.startswith("mistral-client-python/") == (backend == "mistral")
    assert all(seen["body"]["stream"] for seen in proxy.seen)
    messages = json.loads(run.stdout)
    said = [part["text"] for message in messages if message["type"] == "message" and message["role"] == "assistant" for part in message["content"]]
    assert SAID in json.loads(said[-1])


def test_whatever_the_model_says_is_taken(tmp_path):
    """Without the proxy: the model's own reply, cut short by the agent's limit of turns; no error of the server's."""
    run = vibe(tmp_path, URL, "Hello there!", "--max-turns", "1")
    assert run.returncode in (0, 3), (run.returncode, run.stdout[-1500:], run.stderr[-1500:])
    assert any(message.get("role") == "assistant" or message["type"] == "reasoning" for message in json.loads(run.stdout))
