"""Completions, models and errors through the openai package."""

import math
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from local import ENDLESS, STRICT_KEY, STRICT_URL
from test_chat import HELLO, MODEL, client, create


def complete(**options):
    return client.completions.create(**({"model": MODEL, "prompt": "One two three", "max_tokens": 20, "seed": 1} | options))


def test_a_completion():
    reply = complete()
    assert reply.object == "text_completion" and reply.choices[0].text is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    text = "".join(chunk.choices[0].text for chunk in complete(stream=True) if chunk.choices)
    assert text == reply.choices[0].text


def test_echo_with_logprobs():
    reply = complete(echo=True, logprobs=2, max_tokens=1, temperature=0)
    choice, logprobs = reply.choices[0], reply.choices[0].logprobs
    assert choice.text.startswith("One two three")
    count = reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.top_logprobs) == len(logprobs.text_offset)
    assert len(logprobs.tokens) in (count, count - 1)  # the end of the text is a token without text
    assert logprobs.token_logprobs[0] is None and logprobs.top_logprobs[0] is None
    for value, top in zip(logprobs.token_logprobs[1:], logprobs.top_logprobs[1:], strict=True):
        assert value <= 0 and math.isfinite(value) and value <= max(top.values())
    assert logprobs.tokens[0] == "<s>" and "".join(logprobs.tokens[1:]) == choice.text, "the begin token is scored and is no text"
    assert logprobs.text_offset[:2] == [0, 0] and logprobs.text_offset == sorted(logprobs.text_offset)


def test_the_prompt_alone_can_be_scored():
    reply = complete(echo=True, logprobs=1, max_tokens=0)
    assert reply.choices[0].text == "One two three" and reply.usage.completion_tokens == 0
    scored = complete(echo=True, logprobs=1, max_tokens=1, temperature=0).choices[0].logprobs.token_logprobs
    alone = reply.choices[0].logprobs.token_logprobs
    assert alone == scored[: len(alone)]


def test_ids_and_several_prompts():
    ids = client.post("/../tokenize", cast_to=object, body={"model": MODEL, "prompt": "One two three", "add_special_tokens": False})["tokens"]
    assert ids and all(isinstance(id, int) for id in ids)
    both = complete(prompt=[ids, ids[:2]], max_tokens=5)
    assert [choice.index for choice in both.choices] == [0, 1]
    texts = complete(prompt=["One two three", "One"], max_tokens=5, n=2, temperature=1.0)
    assert [choice.index for choice in texts.choices] == [0, 1, 2, 3]
    score = lambda prompt: complete(prompt=prompt, echo=True, logprobs=1, max_tokens=0).choices[0].logprobs
    as_ids, as_text = score(ids), score("One two three")
    assert as_ids.tokens == as_text.tokens[-len(ids):]


def test_suffix_is_refused_plainly():
    with pytest.raises(openai.BadRequestError) as caught:
        complete(suffix="end")
    assert "suffix" in caught.value.message


def test_models():
    listed = client.models.list().data
    assert listed and all(model.object == "model" and model.owned_by for model in listed)
    assert MODEL in {model.id for model in listed} | {alias for model in listed for alias in (model.model_extra or {}).get("aliases", [])}
    assert client.models.retrieve(listed[0].id).id == listed[0].id
    assert client.models.retrieve(MODEL).object == "model"


@pytest.mark.parametrize("name", ["mistral-small-4", "mistral-small-latest", "mistral-small-2603", "mistralai/Mistral-Small-4-119B-2603"])
def test_names(name):
    assert create(model=name, max_tokens=2).choices


def test_unknown_models():
    for call in (lambda: create(model="gpt-9"), lambda: client.models.retrieve("gpt-9"), lambda: complete(model="gpt-9")):
        with pytest.raises(openai.NotFoundError) as caught:
            call()
        assert caught.value.code == "model_not_found" and MODEL in caught.value.message, "the message lists the names there are"


@pytest.mark.parametrize("options", [
    {"messages": []}, {"messages": [{"role": "user"}]}, {"messages": [{"role": "wizard", "content": "Hi"}]}, {"temperature": 3}, {"temperature": -1},
    {"top_p": 1.5}, {"n": 0}, {"n": 100000}, {"max_tokens": -1}, {"max_tokens": "ten"}, {"stop": ["a"] * 1000}, {"logprobs": True, "top_logprobs": 500},
    {"top_logprobs": 2}, {"logit_bias": {"99999999": 1}}, {"tool_choice": "required"}, {"seed": "one"}, {"stream": "yes"}, {"response_format": {"type": "yaml"}},
    {"extra_body": {"reasoning_effort": "enormous"}}, {"messages": HELLO + [{"role": "tool", "tool_call_id": "123456789", "content": "?"}]},
])
def test_bad_requests(options):
    with pytest.raises((openai.BadRequestError, openai.UnprocessableEntityError)) as caught:
        create(**options)
    error = caught.value.body
    assert error["message"] and error["type"] and "param" in error and "code" in error
    assert "panicked" not in error["message"] and ".rs" not in error["message"]


def test_a_prompt_that_is_too_long():
    with pytest.raises(openai.BadRequestError) as caught:
        create(messages=[{"role": "user", "content": "word " * 300_000}])
    assert caught.value.code == "context_length_exceeded" and any(char.isdigit() for char in caught.value.message)


def test_what_is_not_there():
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model=MODEL, input="text")


def test_keys():
    for key in ("wrong", STRICT_KEY + "x", STRICT_KEY[:-1]):
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=f"{STRICT_URL}/v1", api_key=key, max_retries=0).models.list()
    assert openai.OpenAI(base_url=f"{STRICT_URL}/v1", api_key=STRICT_KEY, max_retries=0).models.list().data


def test_a_full_queue():
    strict = openai.OpenAI(base_url=f"{STRICT_URL}/v1", api_key=STRICT_KEY, max_retries=0, timeout=120)

    def long_request(_):
        try:
            return strict.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=1500, logit_bias=ENDLESS)
        except openai.RateLimitError as error:
            assert int(error.response.headers["retry-after"]) >= 1
            return error

    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(long_request, range(12)))
    refused = [result for result in results if isinstance(result, openai.RateLimitError)]
    assert 0 < len(refused) < 12, f"{len(refused)} of 12 were refused"
    assert all(result.choices[0].finish_reason == "length" for result in results if result not in refused)


def test_the_package_waits_and_tries_again():
    patient = openai.OpenAI(base_url=f"{STRICT_URL}/v1", api_key=STRICT_KEY, max_retries=8, timeout=120)
    ask = lambda _: patient.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=100, logit_bias=ENDLESS)
    with ThreadPoolExecutor(6) as pool:
        assert all(reply.choices for reply in pool.map(ask, range(6)))


def test_requests_have_ids():
    reply = client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO, max_tokens=2)
    assert reply.headers.get("x-request-id")
    with pytest.raises(openai.NotFoundError) as caught:
        create(model="gpt-9")
    assert caught.value.request_id
