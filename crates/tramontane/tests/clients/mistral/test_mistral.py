"""Mistral's own package, versions 1.12 and 3.7: their import paths differ, and 1.12 has no parameter for the effort."""

import asyncio
import inspect
import json
import re
from typing import Literal

import pytest
from pydantic import BaseModel

from local import (
    ANY_KEY, BRIEF, CITIES, MODEL, PERSON_QUESTION, RED_SQUARE, STRICT_KEY, STRICT_URL, THOUGHT, URL, WORDS_ONLY, habit, skill, weather_tool,
)

try:
    from mistralai.client import Mistral, errors, models
except ImportError:
    from mistralai import Mistral, models
    from mistralai import models as errors

try:
    import httpx2 as httpx
except ImportError:
    import httpx


class Adding(httpx.HTTPTransport):
    """Adds to a request's body what the package has no parameter for, as a user of an old version must."""

    extra: dict = {}

    def handle_request(self, request):
        if self.extra:
            body = json.loads(request.content) | self.extra
            headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"content-length"]
            request = httpx.Request(request.method, request.url, headers=headers, content=json.dumps(body), extensions=request.extensions)
        return super().handle_request(request)


transport = Adding()
client = Mistral(api_key=ANY_KEY, server_url=URL, timeout_ms=120_000, client=httpx.Client(transport=transport, timeout=120))
KNOWN = inspect.signature(client.chat.complete).parameters
HELLO = [{"role": "user", "content": "Hello there!"}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
NAMED = {"type": "function", "function": {"name": "get_weather"}}


def call(method, *arguments, **options):
    options = {"model": MODEL, "messages": HELLO, "max_tokens": 60} | options
    transport.extra = {name: options.pop(name) for name in list(options) if name not in KNOWN}
    try:
        return method(*arguments, **options)
    finally:
        transport.extra = {}


def complete(**options):
    return call(client.chat.complete, **options)


def stream(**options):
    return call(client.chat.stream, **options)


def parts(content):
    """(thought, said) of a content that is a string, chunks or nothing."""
    if content is None or isinstance(content, str):
        return "", content or ""
    thought = said = ""
    for chunk in content:
        if chunk.type == "thinking":
            thought += "".join(piece.text for piece in chunk.thinking)
        else:
            said += chunk.text
    return thought, said


def calls_of(message):
    return [(call.function.name, call.function.arguments) for call in message.tool_calls or []]


def whole(reply):
    choice = reply.choices[0]
    return *parts(choice.message.content), calls_of(choice.message), str(choice.finish_reason)


def joined(events):
    thought = said = ""
    calls, finish, usage = [], None, None
    for event in events:
        usage = event.data.usage or usage
        for choice in event.data.choices:
            more = parts(choice.delta.content or None)
            thought, said = thought + more[0], said + more[1]
            calls += calls_of(choice.delta)
            finish = choice.finish_reason or finish
    assert usage and usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, "the last chunk of a stream tells the usage"
    return thought, said, calls, str(finish)


def check_call(call):
    assert re.fullmatch(r"[a-zA-Z0-9]{9}", call.id) and call.function.name == "get_weather"
    arguments = call.function.arguments
    assert (json.loads(arguments) if isinstance(arguments, str) else arguments)["city"] in CITIES


def test_a_reply():
    reply = complete(random_seed=1)
    choice = reply.choices[0]
    assert isinstance(choice.message.content, str) and choice.message.content and choice.message.role == "assistant"
    assert reply.object == "chat.completion" and reply.id and reply.model
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_a_reply_async():
    async def go():
        async with Mistral(api_key=ANY_KEY, server_url=URL) as other:
            replies = [other.chat.complete_async(model=MODEL, messages=HELLO, max_tokens=60, random_seed=seed) for seed in (1, 2, 3)]
            return await asyncio.gather(*replies)

    for seed, reply in zip((1, 2, 3), asyncio.run(go()), strict=True):
        assert whole(reply) == whole(complete(random_seed=seed))


@pytest.mark.parametrize("effort", ["none", "high"])
@pytest.mark.parametrize("seed", range(1, 6))
def test_streamed_equals_unstreamed(seed, effort):
    options = {"random_seed": seed, "temperature": 1.0, "reasoning_effort": effort, "max_tokens": 90}
    with stream(**options) as events:
        assert joined(events) == whole(complete(**options))


def test_streamed_async():
    async def go():
        async with Mistral(api_key=ANY_KEY, server_url=URL) as other:
            events = await other.chat.stream_async(model=MODEL, messages=HELLO, max_tokens=60, random_seed=7)
            return [event async for event in events]

    assert joined(asyncio.run(go())) == whole(complete(random_seed=7))


def test_thinking_chunks():
    """A thought and an answer that a grammar forces: 34 and 35 are the tokens that open and close a thought."""
    reply = complete(guided_grammar="start: <[34]> /[a-z]{3,9}/ <[35]> /[0-9]{3,9}/", random_seed=1)
    kinds = [chunk.type for chunk in reply.choices[0].message.content]
    assert kinds == ["thinking", "text"]
    assert reply.choices[0].message.content[0].closed is True
    again = complete(reasoning_effort="high", messages=HELLO + [reply.choices[0].message, {"role": "user", "content": "And now?"}])
    assert again.choices


@habit("thinks when asked to")
def test_thinking():
    thought, _ = parts(complete(reasoning_effort="high", temperature=0).choices[0].message.content)
    assert thought


@habit("thinks only when asked to")
def test_no_thinking():
    assert isinstance(complete(reasoning_effort="none", temperature=0).choices[0].message.content, str)
    assert isinstance(complete(temperature=0).choices[0].message.content, str)


@pytest.mark.parametrize("choice", ["any", "required", NAMED])
def test_a_forced_call(choice):
    reply = complete(messages=WEATHER, tools=[weather_tool()], tool_choice=choice, max_tokens=400, random_seed=1, logit_bias=BRIEF)
    assert reply.choices[0].finish_reason == "tool_calls"
    for call in reply.choices[0].message.tool_calls:
        check_call(call)


@pytest.mark.parametrize("effort", ["none", "high"])
def test_streamed_calls(effort):
    options = {"messages": WEATHER, "tools": [weather_tool()], "tool_choice": "any", "max_tokens": 400, "random_seed": 3, "reasoning_effort": effort,
               "logit_bias": BRIEF | (THOUGHT if effort == "high" else {})}
    events = list(stream(**options))
    assert joined(events) == whole(complete(**options)) and bool(joined(events)[0]) == (effort == "high")
    calls = [call for event in events for choice in event.data.choices for call in choice.delta.tool_calls or []]
    assert calls and [call.index for call in calls] == list(range(len(calls)))
    for call in calls:
        check_call(call)


def test_a_round_trip():
    first = complete(messages=WEATHER, tools=[weather_tool()], tool_choice="any", parallel_tool_calls=False, max_tokens=400).choices[0].message
    result = {"role": "tool", "name": "get_weather", "tool_call_id": first.tool_calls[0].id, "content": "{\"temperature\": 21, \"sky\": \"sunny\"}"}
    answer = complete(messages=WEATHER + [first, result], tools=[weather_tool()], tool_choice="none", logit_bias=WORDS_ONLY).choices[0]
    assert answer.message.content and not answer.message.tool_calls


@skill("chooses a tool and copies its arguments")
def test_the_right_call():
    tools = [weather_tool(strict=False, cities=None)]
    first = complete(messages=WEATHER, tools=tools, temperature=0, max_tokens=200).choices[0]
    assert first.finish_reason == "tool_calls"
    arguments = first.message.tool_calls[0].function.arguments
    assert (json.loads(arguments) if isinstance(arguments, str) else arguments) == {"city": "Paris"}


class Person(BaseModel):
    name: Literal["Anna Weber", "Bruno Costa"]
    city: Literal["Lyon", "Oslo"]
    student: bool


ASK = {"messages": [{"role": "user", "content": PERSON_QUESTION}], "max_tokens": 900, "random_seed": 1}


def test_parse():
    parsed = call(client.chat.parse, Person, **ASK)
    assert isinstance(parsed.choices[0].message.parsed, Person)


def test_parse_after_thinking():
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": Person.model_json_schema(), "strict": True}}
    content = complete(response_format=form, reasoning_effort="high", logit_bias=THOUGHT, **ASK).choices[0].message.content
    assert content[0].type == "thinking" and Person.model_validate_json(parts(content)[1])
    if "reasoning_effort" in KNOWN:  # `parse` of version 1.12 takes no chunks
        assert isinstance(call(client.chat.parse, Person, reasoning_effort="high", logit_bias=THOUGHT, **ASK).choices[0].message.parsed, Person)


def test_streamed_parse():
    with call(client.chat.parse_stream, Person, **ASK) as events:
        _, said, _, _ = joined(events)
    Person.model_validate_json(said)


def test_json_object():
    reply = complete(response_format={"type": "json_object"}, **ASK)
    assert reply.choices[0].message.content.lstrip()[0] in "{["


def test_a_picture():
    text = {"type": "text", "text": "What color is the square?"}
    plain = complete(messages=[{"role": "user", "content": [text]}]).usage.prompt_tokens
    for url in (RED_SQUARE, {"url": RED_SQUARE}):
        seen = complete(messages=[{"role": "user", "content": [text, {"type": "image_url", "image_url": url}]}])
        assert seen.usage.prompt_tokens == plain + 12


def test_the_makers_fields():
    complete(safe_prompt=True)
    complete(safe_prompt=False, random_seed=1, presence_penalty=0.1, frequency_penalty=0.1, stop=["xyz"], top_p=0.9, n=1, metadata={"a": "b"})
    complete(prediction={"type": "content", "content": "Hello"}, prompt_cache_key="key")
    prefix = complete(messages=HELLO + [{"role": "assistant", "content": "It is", "prefix": True}], random_seed=1)
    assert prefix.usage.completion_tokens > 0
    assert len(complete(n=2, temperature=1.0, random_seed=1).choices) == 2


def test_effort_is_none_or_high():
    with pytest.raises(errors.SDKError) as caught:
        complete(reasoning_effort="medium")
    body = json.loads(caught.value.body)
    assert caught.value.status_code == 400 and body["code"] == "3051" and body["object"] == "error"
    assert body["type"] == "invalid_request_invalid_args" and "none" in body["message"] and "high" in body["message"]
    with pytest.raises(errors.SDKError) as caught:
        complete(prompt_mode="reasoning")
    assert caught.value.status_code == 400 and json.loads(caught.value.body)["code"] == "3051"


@pytest.mark.parametrize("options", [{"temperature": 9.0}, {"max_tokens": -1}, {"n": 0}])
def test_what_no_reader_accepts_is_a_validation_error(options):
    with pytest.raises(errors.HTTPValidationError) as caught:
        complete(**options)
    assert caught.value.data.detail[0].msg and caught.value.data.detail[0].loc


def test_errors():
    with pytest.raises(errors.SDKError) as caught:
        complete(messages=HELLO + [{"role": "assistant", "content": "Hi"}])  # ends without a question and without prefix
    assert caught.value.status_code == 400
    with pytest.raises(errors.SDKError) as caught:
        complete(model="no-such-model")
    assert caught.value.status_code in (400, 404) and MODEL in caught.value.body
    with pytest.raises(errors.SDKError) as caught:
        Mistral(api_key="wrong", server_url=STRICT_URL).chat.complete(model=MODEL, messages=HELLO)
    assert caught.value.status_code == 401
    assert Mistral(api_key=STRICT_KEY, server_url=STRICT_URL).models.list().data


def test_models():
    listed = client.models.list().data
    assert MODEL in {name for card in listed for name in [card.id, *(card.aliases or [])]}
    card = client.models.retrieve(model_id=MODEL)
    assert card.capabilities.completion_chat and card.capabilities.function_calling and card.max_context_length > 0
