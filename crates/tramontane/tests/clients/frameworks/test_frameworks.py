"""Frameworks that people put before an OpenAI server: each completes a tool call, unchanged."""

import asyncio
import json

import litellm
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from forcing import SAID, forcing, the_round_trip
from local import ANY_KEY, BRIEF, CITIES, MODEL, RED_SQUARE, URL, WORDS_ONLY, weather_tool

QUESTION = "What is the weather in Paris?"
MESSAGES = [{"role": "user", "content": QUESTION}]


# --- litellm ---


def lite(provider="openai", **options):
    base = {"model": f"{provider}/{MODEL}", "api_base": f"{URL}/v1", "api_key": ANY_KEY, "messages": MESSAGES, "max_tokens": 400, "num_retries": 0}
    return litellm.completion(**(base | options))


@pytest.mark.parametrize("provider", ["openai", "mistral"])
def test_litellm_calls_a_tool(provider):
    forced = {"tools": [weather_tool()], "tool_choice": "required", "seed": 1, "extra_body": {"logit_bias": BRIEF}} | ({} if provider == "mistral" else {"parallel_tool_calls": False})
    first = lite(provider, **forced).choices[0].message
    call = first.tool_calls[0]
    assert call.function.name == "get_weather" and json.loads(call.function.arguments)["city"] in CITIES
    result = {"role": "tool", "tool_call_id": call.id, "name": "get_weather", "content": "{\"temperature\": 21}"}
    calls = first.model_dump()["tool_calls"]
    answer = lite(provider, messages=MESSAGES + [{"role": "assistant", "content": first.content or "", "tool_calls": calls}]
                  + [{**result, "tool_call_id": c["id"]} for c in calls], tools=[weather_tool()], tool_choice="none", extra_body={"logit_bias": WORDS_ONLY})
    assert answer.choices[0].message.content


@pytest.mark.parametrize("provider", ["openai", "mistral"])
def test_litellm_streams(provider):
    chunks = list(lite(provider, stream=True, seed=1, max_tokens=60))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == lite(provider, seed=1, max_tokens=60).choices[0].message.content
    forced = {"tools": [weather_tool()], "tool_choice": "required", "seed": 1, "extra_body": {"logit_bias": BRIEF}}
    rebuilt = litellm.stream_chunk_builder(list(lite(provider, stream=True, **forced)), messages=MESSAGES)
    assert json.loads(rebuilt.choices[0].message.tool_calls[0].function.arguments)["city"] in CITIES


def test_litellm_sees_reasoning():
    forced = {"guided_grammar": "start: <[34]> /[a-z]{3,9}/ <[35]> /[0-9]{3,9}/"}  # a thought and an answer
    message = lite(reasoning_effort="high", allowed_openai_params=["reasoning_effort"], extra_body=forced).choices[0].message
    assert message.reasoning_content and message.content


# --- LangChain ---

chat = ChatOpenAI(base_url=f"{URL}/v1", api_key=ANY_KEY, model=MODEL, max_tokens=400, max_retries=0, seed=1)


class Weather(BaseModel):
    """Get the current weather in a city"""

    city: str = Field(json_schema_extra={"enum": CITIES})


@tool("get_weather", args_schema=Weather)
def get_weather(city: str) -> str:
    """Get the current weather in a city"""
    return f"It is 21 degrees in {city}."


def test_langchain_calls_a_tool():
    bound = chat.bind_tools([get_weather], tool_choice="any", strict=True, parallel_tool_calls=False)
    first = bound.invoke(QUESTION)
    assert len(first.tool_calls) == 1 and not first.invalid_tool_calls
    result = get_weather.invoke(first.tool_calls[0])
    assert isinstance(result, ToolMessage) and "21 degrees" in result.content
    answer = chat.bind_tools([get_weather], tool_choice="none", logit_bias=WORDS_ONLY).invoke([HumanMessage(QUESTION), first, result])
    assert answer.content and not answer.tool_calls


def test_langchain_streams_a_call():
    bound = chat.bind_tools([get_weather], tool_choice="any", strict=True, parallel_tool_calls=False)
    total = None
    for chunk in bound.stream(QUESTION):
        total = chunk if total is None else total + chunk
    assert total.tool_calls == [{**bound.invoke(QUESTION).tool_calls[0], "id": total.tool_calls[0]["id"]}]


def test_langchain_streams_async_and_in_batches():
    async def go():
        return "".join([chunk.content async for chunk in chat.astream("Hello there!")])

    assert asyncio.run(go()) == chat.invoke("Hello there!").content
    assert len(chat.batch(["One", "Two", "Three"])) == 3


class Choice(BaseModel):
    """A choice"""

    city: str = Field(json_schema_extra={"enum": CITIES})
    sure: bool


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_langchain_structured_output(method):
    made = chat.with_structured_output(Choice, method=method, strict=True).invoke(QUESTION)
    assert isinstance(made, Choice)


def test_langchain_takes_a_picture():
    parts = [{"type": "text", "text": "What color is the square?"}, {"type": "image_url", "image_url": {"url": RED_SQUARE}}]
    reply = chat.invoke([HumanMessage(parts)])
    assert reply.usage_metadata["input_tokens"] > 12


# --- pydantic-ai ---


def agent(url, **options):
    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=f"{url}/v1", api_key=ANY_KEY))
    return Agent(model, model_settings={"max_tokens": 400, "seed": 1, "parallel_tool_calls": False}, **options)


@pytest.mark.parametrize("streamed", [False, True])
def test_pydantic_ai_runs_a_tool(streamed):
    asked = []

    def look_up(key: str) -> str:
        """Look up a key."""
        asked.append(key)
        return "tramontane-42"

    with forcing("look_up", {"key": "secret"}) as proxy:
        asker = agent(proxy.url, tools=[look_up])
        if streamed:
            async def go():
                async with asker.run_stream("What is the secret?") as run:
                    return await run.get_output()

            said = asyncio.run(go())
        else:
            said = asker.run_sync("What is the secret?").output
        the_round_trip(proxy, "look_up", "tramontane-42")
    assert asked == ["secret"] and json.loads(said) == SAID


@pytest.mark.parametrize("output", [NativeOutput, ToolOutput])
def test_pydantic_ai_structured_output(output):
    made = agent(URL, output_type=output(Choice, strict=True)).run_sync(QUESTION).output
    assert isinstance(made, Choice) and made.city in CITIES
