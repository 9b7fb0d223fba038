"""Tools through the openai package: forced calls are valid on any model, because a grammar makes them."""

import json
import re
from enum import Enum

import openai
import pytest
from pydantic import BaseModel

from local import BRIEF, CITIES, THOUGHT, WORDS_ONLY, skill, time_tool, weather_tool
from test_chat import MODEL, client, create, join, reasoning_of, whole, without_ids

QUESTION = [{"role": "user", "content": "What is the weather in Paris?"}]
NAMED = {"type": "function", "function": {"name": "get_weather"}}


def ask(**options):
    return create(**({"messages": QUESTION, "tools": [weather_tool(), time_tool()], "max_tokens": 400} | options))


def check_calls(message, names=("get_weather", "get_time")):
    assert message.tool_calls
    ids = [call.id for call in message.tool_calls]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-zA-Z0-9]{9}", id) for id in ids)
    for call in message.tool_calls:
        assert call.type == "function" and call.function.name in names
        arguments = json.loads(call.function.arguments)
        assert set(arguments) == {"city"} and arguments["city"] in CITIES


@pytest.mark.parametrize("effort", ["none", "high"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_required_call(seed, effort):
    thought = THOUGHT if effort == "high" else {}
    choice = ask(tool_choice="required", seed=seed, temperature=1.0, reasoning_effort=effort, logit_bias=BRIEF | thought).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None and bool(reasoning_of(choice.message)) == (effort == "high"), "a call that must come is all there is"
    check_calls(choice.message)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_named_call(seed):
    choice = ask(tool_choice=NAMED, seed=seed, temperature=1.0, logit_bias=BRIEF).choices[0]
    assert choice.finish_reason in ("tool_calls", "stop")  # OpenAI itself says stop for a named call
    assert choice.message.content is None
    check_calls(choice.message, names=("get_weather",))


def test_one_call_if_not_parallel():
    for seed in range(1, 6):
        message = ask(tool_choice="required", seed=seed, temperature=1.0, parallel_tool_calls=False).choices[0].message
        assert len(message.tool_calls) == 1


def test_no_call_if_none():
    for seed in range(1, 6):
        choice = ask(tool_choice="none", seed=seed, temperature=1.0).choices[0]
        assert not choice.message.tool_calls and choice.finish_reason in ("stop", "length")


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("choice", ["required", "auto"])
def test_streamed_calls_equal_unstreamed(seed, choice):
    options = {"tool_choice": choice, "seed": seed, "temperature": 1.0, "reasoning_effort": "high"}
    unstreamed = ask(**options)
    choices, usage = join(ask(stream=True, stream_options={"include_usage": True}, **options))
    assert without_ids(choices[0]) == without_ids(whole(unstreamed.choices[0]))
    for call in choices[0]["calls"].values():
        assert re.fullmatch(r"[a-zA-Z0-9]{9}", call["id"]), "the id comes once, with the first delta of its call"
    assert usage.completion_tokens == unstreamed.usage.completion_tokens


def test_several_calls():
    """Written by a grammar, since a model may be content with one: 9 begins a call, 32 its arguments."""
    call = lambda name, city: f'<[9]> "{name}" <[32]> "{{\\"city\\": \\"{city}\\"}}"'
    grammar = f'start: "Both." {call("get_weather", "Paris")} {call("get_time", "Oslo")}'
    options = {"tool_choice": "none", "extra_body": {"guided_grammar": grammar}, "temperature": 0}
    choice = ask(**options).choices[0]
    check_calls(choice.message)
    called = [(call.function.name, json.loads(call.function.arguments)["city"]) for call in choice.message.tool_calls]
    assert called == [("get_weather", "Paris"), ("get_time", "Oslo")]
    assert choice.message.content == "Both." and choice.finish_reason == "tool_calls"
    choices, _ = join(ask(stream=True, **options))
    assert without_ids(choices[0]) == without_ids(whole(choice))


@pytest.mark.parametrize("max_tokens", [1, 2, 4, 6, 8, 10, 12])
def test_a_cut_off_call_leaks_no_markup(max_tokens):
    options = {"tool_choice": NAMED, "seed": 1, "max_tokens": max_tokens, "temperature": 0}
    unstreamed = ask(**options).choices[0]
    choices, _ = join(ask(stream=True, **options))
    assert without_ids(choices[0]) == without_ids(whole(unstreamed))
    assert "[TOOL_CALLS]" not in choices[0]["content"] and "[ARGS]" not in choices[0]["content"]
    assert all("[" not in call["name"] for call in choices[0]["calls"].values())


def test_a_round_trip():
    first = ask(tool_choice=NAMED, parallel_tool_calls=False, seed=1).choices[0].message
    call = first.tool_calls[0]
    history = QUESTION + [first, {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"temperature": 21, "sky": "sunny"})}]
    answer = ask(messages=history, tool_choice="none", seed=1, logit_bias=WORDS_ONLY).choices[0]
    assert answer.message.content and not answer.message.tool_calls
    again = ask(messages=history + [answer.message, {"role": "user", "content": "And in Oslo?"}],
                tool_choice="required", parallel_tool_calls=False).choices[0]
    check_calls(again.message)


def test_results_of_several_calls():
    calls = [{"id": f"call0000{i}", "type": "function", "function": {"name": "get_weather", "arguments": json.dumps({"city": city})}}
             for i, city in enumerate(("Paris", "Oslo"))]
    results = [{"role": "tool", "tool_call_id": call["id"], "name": "get_weather", "content": "{\"temperature\": 7}"} for call in calls]
    history = QUESTION + [{"role": "assistant", "tool_calls": calls}, *results[::-1]]
    assert ask(messages=history, tool_choice="none", logit_bias=WORDS_ONLY).choices[0].message.content


def test_ids_of_other_servers_are_taken():
    call = {"id": "call_0123456789abcdefghijklmnop", "type": "function", "index": 0,
            "function": {"name": "get_weather", "arguments": "{\"city\": \"Paris\"}"}}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "cold"}
    assert ask(messages=QUESTION + [{"role": "assistant", "tool_calls": [call]}, result], tool_choice="none").choices


class City(str, Enum):
    paris = "Paris"
    oslo = "Oslo"


class GetWeather(BaseModel):
    """Get the current weather in a city"""

    city: City


def test_arguments_parsed_by_the_package():
    reply = client.chat.completions.parse(
        model=MODEL, messages=QUESTION, tools=[openai.pydantic_function_tool(GetWeather)], tool_choice="required", max_tokens=400, logit_bias=BRIEF, seed=3)
    call = reply.choices[0].message.tool_calls[0]
    assert isinstance(call.function.parsed_arguments, GetWeather)


def test_the_stream_helper_sees_calls():
    with client.chat.completions.stream(
            model=MODEL, messages=QUESTION, tools=[openai.pydantic_function_tool(GetWeather)], tool_choice="required", max_tokens=400,
            logit_bias=BRIEF, seed=3) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    assert isinstance(final.choices[0].message.tool_calls[0].function.parsed_arguments, GetWeather)


@skill("calls a tool that is offered")
def test_a_call_of_its_own_accord():
    choice = ask(seed=1).choices[0]
    assert choice.finish_reason == "tool_calls"
    check_calls(choice.message)


@skill("answers after a tool's result")
def test_no_new_call_after_a_result():
    first = ask(tool_choice=NAMED, parallel_tool_calls=False, seed=1).choices[0].message
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "{\"temperature\": 21, \"sky\": \"sunny\"}"}
    answer = ask(messages=QUESTION + [first, result], seed=1).choices[0]
    assert answer.message.content and answer.finish_reason == "stop"


@skill("chooses a tool and copies its arguments")
def test_the_right_call_and_answer():
    tools = [weather_tool(strict=False, cities=None), time_tool()]
    choice = ask(tools=tools, temperature=0).choices[0]
    assert choice.finish_reason == "tool_calls" and len(choice.message.tool_calls) == 1
    call = choice.message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    history = QUESTION + [choice.message, {"role": "tool", "tool_call_id": call.id, "content": "{\"temperature\": 21, \"sky\": \"sunny\"}"}]
    answer = ask(messages=history, tools=tools, temperature=0).choices[0].message.content
    assert "21" in answer and "sunny" in answer
