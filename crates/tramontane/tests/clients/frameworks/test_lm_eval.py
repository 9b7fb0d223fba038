"""lm-evaluation-harness completes tasks from local files over the server, without a tokenizer of its own and without a network.

It is run in this process: its command line first reads the thousands of tasks that come with it.
"""

import os
import tempfile
from pathlib import Path

import pytest

# Before anything of Hugging Face's is imported.
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": tempfile.mkdtemp(), "OPENAI_API_KEY": "none-needed"}

import lm_eval  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

from local import MODEL, URL, skill  # noqa: E402

HERE = Path(__file__).resolve().parent
COMPLETIONS, CHAT = f"{URL}/v1/completions", f"{URL}/v1/chat/completions"


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """The tasks name their data relative to this folder."""
    monkeypatch.chdir(HERE)


def evaluate(task: str, model: str, url: str, batch_size=1, chat=False, **model_args) -> dict:
    result = lm_eval.simple_evaluate(
        model=model, model_args={"model": MODEL, "base_url": url, "max_retries": 1} | model_args, tasks=[task], batch_size=batch_size,
        task_manager=TaskManager(include_path=str(HERE), include_defaults=False), apply_chat_template=chat, bootstrap_iters=0)
    return result["results"][task] | {"samples": result["samples"][task]}


@pytest.mark.parametrize("settings", [
    {"tokenizer_backend": "remote"},  # token ids of /tokenize, one prompt a request
    {"tokenizer_backend": "remote", "batch_size": 3},  # several prompts in one request
    {"tokenizer_backend": "auto", "num_concurrent": 4},  # it finds out by itself that /tokenizer_info is there
])
def test_log_likelihoods(settings):
    result = evaluate("local_colours", "local-completions", COMPLETIONS, **settings)
    assert len(result["samples"]) == 6 and 0 <= result["acc,none"] <= 1
    for sample in result["samples"]:
        values = [answer[0] for answer in sample["filtered_resps"]]
        assert len(values) == 2 and all(value < 0 for value in values)
        assert sample["acc"] == float(values.index(max(values)) == sample["target"])


def test_the_ways_to_ask_agree():
    found = [evaluate("local_colours", "local-completions", COMPLETIONS, batch_size=size, tokenizer_backend="remote")["samples"] for size in (1, 6)]
    alone, together = ([sample["filtered_resps"] for sample in samples] for samples in found)
    assert alone == together, "log-probabilities depend on what else is in the request"


def test_generation_by_completions():
    result = evaluate("local_sums", "local-completions", COMPLETIONS, tokenizer_backend="none")
    assert len(result["samples"]) == 6 and all(isinstance(sample["resps"][0][0], str) for sample in result["samples"])


def test_generation_by_chat():
    result = evaluate("local_sums", "local-chat-completions", CHAT, chat=True, num_concurrent=3)
    assert len(result["samples"]) == 6 and 0 <= result["exact_match,number"] <= 1


@skill("adds numbers of one digit")
def test_sums():
    assert evaluate("local_sums", "local-chat-completions", CHAT, chat=True)["exact_match,number"] >= 0.5
