"""Replies, streams and reasoning through the openai package."""

import asyncio
import re

import pytest
from openai import AsyncOpenAI, OpenAI

from local import ANY_KEY, ENDLESS, MODEL, URL, WORDS_ONLY, habit, skill

client = OpenAI(base_url=f"{URL}/v1", api_key=ANY_KEY, max_retries=0, timeout=120)
HELLO = [{"role": "user", "content": "Hello there!"}]
SEEDS = range(1, 9)
WILD = {"temperature": 2.0, "logit_bias": ENDLESS}  # text without an end, so that a model that is sure of itself runs out of what it knows
# A thought and an answer, both short, whatever the model: 34 and 35 are the tokens that open and close a thought.
THINKS = {"guided_grammar": "start: <[34]> /[a-z]{3,9}/ <[35]> /[0-9]{3,9}/"}


def create(**options):
    return client.chat.completions.create(**({"model": MODEL, "messages": HELLO, "max_tokens": 60} | options))


def join(stream):
    """What the deltas of a stream add up to, by choice; and its usage."""
    choices, usage = {}, None
    for chunk in stream:
        assert chunk.object == "chat.completion.chunk" and chunk.id and chunk.model
        if chunk.usage is not None:
            assert usage is None, "usage came twice"
            usage = chunk.usage
        for part in chunk.choices:
            choice = choices.setdefault(part.index, {"role": "", "content": "", "reasoning": "", "calls": {}, "finish": None})
            assert choice["finish"] is None, "a delta after the end of its choice"
            delta = part.delta
            choice["role"] = delta.role or choice["role"]
            choice["content"] += delta.content or ""
            extra = delta.model_extra or {}
            assert extra.get("reasoning_content") == extra.get("reasoning"), "the two reasoning fields must be equal copies"
            choice["reasoning"] += extra.get("reasoning_content") or ""
            for call in delta.tool_calls or []:
                known = choice["calls"].setdefault(call.index, {"id": "", "name": "", "arguments": ""})
                known["id"] += call.id or ""
                known["name"] += call.function.name or ""
                known["arguments"] += call.function.arguments or ""
            choice["finish"] = part.finish_reason
    assert all(choice["finish"] for choice in choices.values()), "a stream ended without a finish_reason"
    return choices, usage


def whole(choice):
    """The same form, of an unstreamed choice."""
    message = choice.message
    extra = message.model_extra or {}
    assert extra.get("reasoning_content") == extra.get("reasoning")
    calls = {
        i: {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
        for i, call in enumerate(message.tool_calls or [])
    }
    return {
        "role": message.role, "content": message.content or "", "reasoning": extra.get("reasoning_content") or "", "calls": calls,
        "finish": choice.finish_reason,
    }


def without_ids(choice):
    """Ids of calls are random, so two runs differ in them."""
    return choice | {"calls": {i: {k: v for k, v in call.items() if k != "id"} for i, call in choice["calls"].items()}}


def reasoning_of(message):
    return (message.model_extra or {}).get("reasoning_content")


def test_a_reply():
    reply = create(seed=1)
    assert reply.object == "chat.completion" and reply.id and reply.created > 1_600_000_000 and reply.model
    choice = reply.choices[0]
    assert choice.index == 0 and choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    usage = reply.usage
    assert 0 < usage.completion_tokens <= 60 and usage.prompt_tokens > 5
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_a_reply_async():
    async def go():
        async with AsyncOpenAI(base_url=f"{URL}/v1", api_key=ANY_KEY, max_retries=0) as other:
            requests = [other.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=60, seed=seed) for seed in SEEDS]
            return await asyncio.gather(*requests)

    replies = asyncio.run(go())
    for seed, reply in zip(SEEDS, replies, strict=True):
        alone = create(seed=seed)
        assert whole(reply.choices[0]) == whole(alone.choices[0]), "a reply depends on what ran beside it"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("effort", ["none", "high"])
def test_streamed_equals_unstreamed(seed, effort):
    options = {"seed": seed, "temperature": 1.0, "reasoning_effort": effort, "max_tokens": 90}
    unstreamed = create(**options)
    choices, usage = join(create(stream=True, stream_options={"include_usage": True}, **options))
    assert choices == {0: whole(unstreamed.choices[0])}
    assert choices[0]["role"] == "assistant"
    assert "\ufffd" not in choices[0]["content"] or "\ufffd" in unstreamed.choices[0].message.content
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (
        unstreamed.usage.prompt_tokens, unstreamed.usage.completion_tokens, unstreamed.usage.total_tokens)


@pytest.mark.parametrize("max_tokens", [1, 2, 3, 5, 8, 13])
def test_cut_off_streams_equal_cut_off_replies(max_tokens):
    for seed in (1, 2, 3):
        options = {"seed": seed, "temperature": 1.0, "reasoning_effort": "high", "max_tokens": max_tokens}
        unstreamed = create(**options)
        choices, _ = join(create(stream=True, **options))
        assert choices == {0: whole(unstreamed.choices[0])}
        for field in ("content", "reasoning"):
            assert "[THINK]" not in choices[0][field] and "[/THINK]" not in choices[0][field], "markup leaked"


def test_usage_comes_in_a_stream_only_if_asked_for():
    _, usage = join(create(stream=True, seed=1))
    assert usage is None
    last = list(create(stream=True, seed=1, stream_options={"include_usage": True}))[-1]
    assert last.choices == [] and last.usage.completion_tokens > 0


def test_streamed_async():
    async def go():
        async with AsyncOpenAI(base_url=f"{URL}/v1", api_key=ANY_KEY, max_retries=0) as other:
            stream = await other.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=60, seed=4, stream=True)
            return [chunk async for chunk in stream]

    choices, _ = join(asyncio.run(go()))
    assert choices == {0: whole(create(seed=4).choices[0])}


def test_the_stream_helper():
    with client.chat.completions.stream(model=MODEL, messages=HELLO, max_tokens=60, seed=5) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "content.delta" in kinds and "content.done" in kinds
    assert final.choices[0].message.content == create(seed=5).choices[0].message.content


def test_a_reader_who_leaves_is_no_trouble():
    stream = create(stream=True, max_tokens=400, logit_bias=ENDLESS)
    next(iter(stream))
    stream.close()
    assert create(seed=1).choices[0].message.content


@habit("thinks when asked to")
def test_reasoning_high():
    reply = create(reasoning_effort="high", temperature=0, max_tokens=400, messages=[{"role": "user", "content": "What is 47 * 36?"}])
    assert reasoning_of(reply.choices[0].message)
    details = reply.usage.completion_tokens_details
    assert 0 < details.reasoning_tokens < reply.usage.completion_tokens


def test_a_thought_that_a_grammar_forces():
    options = {"seed": 1, "extra_body": THINKS}
    reply = create(**options)
    message, details = reply.choices[0].message, reply.usage.completion_tokens_details
    assert re.fullmatch("[a-z]{3,9}", reasoning_of(message)) and re.fullmatch("[0-9]{3,9}", message.content)
    assert 0 < details.reasoning_tokens < reply.usage.completion_tokens
    choices, _ = join(create(stream=True, **options))
    assert choices == {0: whole(reply.choices[0])}


@habit("thinks only when asked to")
@pytest.mark.parametrize("options", [
    {}, {"reasoning_effort": "none"}, {"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}, {"extra_body": {"reasoning": {"enabled": False}}},
    {"extra_body": {"chat_template_kwargs": {"reasoning_effort": "none"}}},
])
def test_reasoning_off(options):
    reply = create(temperature=0, **options)
    assert not reasoning_of(reply.choices[0].message) and reply.choices[0].message.content


@habit("thinks when asked to")
@pytest.mark.parametrize("options", [
    {"reasoning_effort": "medium"}, {"reasoning_effort": "xhigh"}, {"extra_body": {"reasoning": {"enabled": True}}},
    {"extra_body": {"reasoning": {"effort": "high"}}}, {"extra_body": {"chat_template_kwargs": {"reasoning_effort": "high"}}},
])
def test_other_ways_to_ask_for_reasoning(options):
    assert reasoning_of(create(temperature=0, max_tokens=40, **options).choices[0].message)


def test_the_effort_in_effect_is_told():
    for asked, given in (("minimal", "none"), ("low", "none"), ("medium", "high"), ("max", "high")):
        raw = client.chat.completions.with_raw_response.create(
            model=MODEL, messages=HELLO, max_tokens=4, extra_body={"reasoning_effort": asked})
        told = {name: value for name, value in raw.headers.items() if "reasoning" in name.lower()}
        assert list(told.values()) == [given], f"{asked}: {told}"


def test_reasoning_may_be_sent_back():
    first = create(temperature=0, extra_body=THINKS).choices[0].message
    ask = {"role": "user", "content": "And now?"}
    with_it = create(messages=HELLO + [first.model_dump(exclude_none=True), ask], temperature=0, max_tokens=4)
    without = create(messages=HELLO + [{"role": "assistant", "content": first.content}, ask], temperature=0, max_tokens=4)
    assert with_it.usage.prompt_tokens > without.usage.prompt_tokens + 2, "the thought and its two marks are in the prompt"


@skill("multiplies with written steps")
def test_reasoning_helps():
    message = create(reasoning_effort="high", max_tokens=600, temperature=0,
                     messages=[{"role": "user", "content": "What is 47 * 36?"}]).choices[0].message
    assert "1692" in message.content


def test_several_choices():
    options = {"n": 2, "temperature": 1.0, "seed": 11, "max_tokens": 60}
    reply = create(**options)
    assert [choice.index for choice in reply.choices] == [0, 1]
    choices, _ = join(create(stream=True, **options))
    assert choices == {choice.index: whole(choice) for choice in reply.choices}
    assert whole(create(temperature=1.0, seed=11).choices[0]) == whole(reply.choices[0]), "the first of n is the reply for n=1"
    differ = [create(n=2, seed=seed, **WILD).choices for seed in SEEDS]
    assert any(a.message.content != b.message.content for a, b in differ), "both choices use the same randomness"


def test_seeds():
    first = [create(seed=seed, **WILD).choices[0].message.content for seed in SEEDS]
    again = [create(seed=seed, **WILD).choices[0].message.content for seed in SEEDS]
    assert first == again and len(set(first)) > 1
    greedy = {create(temperature=0).choices[0].message.content for _ in range(3)}
    assert len(greedy) == 1


def test_stop_strings():
    text = create(seed=1, **WILD).choices[0].message.content
    assert len(text) > 20
    for stop in (text[5:9], [text[3:4]], ["no such thing", text[14:18]]):
        options = {"seed": 1, "stop": stop, **WILD}
        cut = create(**options).choices[0]
        words = [stop] if isinstance(stop, str) else stop
        at = min(text.find(word) for word in words if word in text)
        assert cut.message.content == text[:at] and cut.finish_reason == "stop"
        choices, _ = join(create(stream=True, **options))
        assert choices == {0: whole(cut)}


def test_limits_of_length():
    for options in ({"max_tokens": 3}, {"max_completion_tokens": 3}):
        reply = client.chat.completions.create(model=MODEL, messages=HELLO, logit_bias=ENDLESS, **options)
        assert reply.choices[0].finish_reason == "length" and reply.usage.completion_tokens == 3


def test_logit_bias():
    reply = create(temperature=0, logit_bias={"2": 100})
    assert reply.choices[0].message.content in ("", None) and reply.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_logprobs(stream):
    for seed in SEEDS:
        reply = create(seed=seed, temperature=1.0, logprobs=True, top_logprobs=3, stream=stream, logit_bias=WORDS_ONLY)
        if stream:
            parts = [part for chunk in reply for part in chunk.choices]
            content = "".join(part.delta.content or "" for part in parts)
            tokens = [token for part in parts if part.logprobs for token in part.logprobs.content or []]
        else:
            content, tokens = reply.choices[0].message.content, reply.choices[0].logprobs.content
        joined = b"".join(bytes(token.bytes) for token in tokens)
        assert joined.decode("utf-8", "replace") == content, "the tokens' bytes are the reply's"
        for token in tokens:
            tops = [top.logprob for top in token.top_logprobs]
            assert token.logprob <= 0 and len(tops) == 3 and tops == sorted(tops, reverse=True)
            assert token.logprob <= tops[0] + 1e-6


def test_sloppy_requests_are_understood():
    create(messages=[{"role": "developer", "content": "Be brief."}, {"role": "user", "name": "ann", "content": [{"type": "text", "text": "Hi"}]}])
    create(extra_body={"no_such_field": 1}, user="u", store=False, metadata={"a": "b"}, service_tier="auto", parallel_tool_calls=True)
    create(extra_body={"top_k": 5, "min_p": 0.01, "repetition_penalty": 1.1}, presence_penalty=0.5, frequency_penalty=0.5, top_p=0.9)
    create(messages=HELLO + [{"role": "assistant", "content": "Hi", "refusal": None, "annotations": [], "audio": None, "function_call": None,
                              "tool_calls": None}, {"role": "user", "content": "Go on"}])
    create(messages=HELLO + [{"role": "assistant", "content": None, "reasoning_content": "Hm", "reasoning": "Hm"}, {"role": "user", "content": "Go on"}])


def test_a_prefix_is_continued():
    messages = HELLO + [{"role": "assistant", "content": "It is", "prefix": True}]
    reply = create(messages=messages, seed=1)
    assert reply.usage.completion_tokens > 0
    others = create(messages=HELLO + [{"role": "assistant", "content": "It is"}], seed=1,
                    extra_body={"continue_final_message": True, "add_generation_prompt": False})
    assert others.choices[0].message.content == reply.choices[0].message.content
