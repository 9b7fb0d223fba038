"""lm-evaluation-harness completes tasks from local files over the server, without a tokenizer of its own and without a network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import MODEL, URL, skill

HERE = Path(__file__).resolve().parent


def evaluate(folder: Path, task: str, model: str, endpoint: str, *arguments: str, **model_args) -> dict:
    settings = {"model": MODEL, "base_url": f"{URL}{endpoint}", "max_retries": 1} | model_args
    command = [
        sys.executable, "-m", "lm_eval", "run", "--model", model, "--model_args", ",".join(f"{key}={value}" for key, value in settings.items()),
        "--include_path", str(HERE), "--tasks", task, "--output_path", str(folder), "--log_samples", *arguments,
    ]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "home"), "OPENAI_API_KEY": "none-needed"}
    run = subprocess.run(command, cwd=HERE, env=os.environ | offline, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
    found = next(folder.rglob("results_*.json"))
    samples = [json.loads(line) for line in next(folder.rglob("samples_*.jsonl")).read_text().splitlines()]
    return json.loads(found.read_text())["results"][task] | {"samples": samples}


@pytest.mark.parametrize("settings", [
    {"tokenizer_backend": "remote"},  # token ids of /tokenize, one prompt a request
    {"tokenizer_backend": "remote", "batch_size": 3},  # several prompts in one request
    {"tokenizer_backend": "auto", "num_concurrent": 4},  # it finds out by itself that /tokenizer_info is there
])
def test_log_likelihoods(tmp_path, settings):
    batch = settings.pop("batch_size", 1)
    result = evaluate(tmp_path, "local_colours", "local-completions", "/v1/completions", "--batch_size", str(batch), **settings)
    assert len(result["samples"]) == 6 and 0 <= result["acc,none"] <= 1
    for sample in result["samples"]:
        values = [float(answer[0][0]) for answer in sample["resps"]]
        assert all(value < 0 for value in values)
        best = max(range(len(values)), key=values.__getitem__)
        assert sample["acc"] == float(best == int(sample["target"]))


def test_generation_by_completions(tmp_path):
    result = evaluate(tmp_path, "local_sums", "local-completions", "/v1/completions", tokenizer_backend="none")
    assert len(result["samples"]) == 6 and all(isinstance(sample["resps"][0][0], str) for sample in result["samples"])


def sums(folder) -> dict:
    return evaluate(folder, "local_sums", "local-chat-completions", "/v1/chat/completions", "--apply_chat_template", num_concurrent=3)


def test_generation_by_chat(tmp_path):
    result = sums(tmp_path)
    assert len(result["samples"]) == 6 and 0 <= result["exact_match,number"] <= 1


@skill("adds numbers of one digit")
def test_sums(tmp_path):
    assert sums(tmp_path)["exact_match,number"] >= 0.5
