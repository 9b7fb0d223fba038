"""Replies held to a schema, parsed by the openai package itself."""

import json
from typing import Literal, Optional

import openai
import pytest
from pydantic import BaseModel, ConfigDict, Field

from local import PERSON_QUESTION, THOUGHT, skill, weather_tool
from test_chat import HELLO, MODEL, client, create, join, reasoning_of, whole

ASK = [{"role": "user", "content": PERSON_QUESTION}]


# Every form here is bounded, and so is the white space that the server allows in JSON: replies end.
LONG_ENOUGH = 1500


class Person(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=24)
    age: int = Field(ge=0, le=120)
    city: str = Field(max_length=24)


class Address(BaseModel):
    model_config = ConfigDict(extra="forbid")
    street: str = Field(max_length=10)
    number: Optional[int] = Field(ge=0, le=999)


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")
    state: Literal["open", "paid", "sent"]
    urgent: bool
    items: list[Literal["lamp", "chair"]] = Field(min_length=1, max_length=3)
    address: Address
    note: Optional[str] = Field(max_length=8)


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("form", [Person, Order])
def test_parse(form, seed):
    reply = client.chat.completions.parse(model=MODEL, messages=ASK, response_format=form, max_tokens=LONG_ENOUGH, seed=seed, temperature=1.0)
    assert isinstance(reply.choices[0].message.parsed, form)


def test_parse_after_thinking():
    message = client.chat.completions.parse(
        model=MODEL, messages=ASK, response_format=Person, max_tokens=LONG_ENOUGH, seed=1, reasoning_effort="high", logit_bias=THOUGHT).choices[0].message
    assert isinstance(message.parsed, Person) and reasoning_of(message)


def test_streamed_parse():
    with client.chat.completions.stream(model=MODEL, messages=ASK, response_format=Person, max_tokens=LONG_ENOUGH, seed=2) as stream:
        for _ in stream:
            pass
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Person)


def schema_format(schema, strict=True):
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema, "strict": strict}}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_streamed_equals_unstreamed(seed):
    options = {"messages": ASK, "seed": seed, "temperature": 1.0, "max_tokens": LONG_ENOUGH, "reasoning_effort": "high", "logit_bias": THOUGHT,
               "response_format": schema_format(Order.model_json_schema())}
    unstreamed = create(**options)
    choices, _ = join(create(stream=True, **options))
    assert choices == {0: whole(unstreamed.choices[0])} and choices[0]["reasoning"]
    Order.model_validate_json(choices[0]["content"])


def test_an_enum_alone():
    reply = create(messages=HELLO, response_format=schema_format({"enum": ["yes", "no"]}), max_tokens=200)
    assert json.loads(reply.choices[0].message.content) in ("yes", "no") and reply.choices[0].finish_reason == "stop"


def test_json_object():
    reply = create(messages=ASK, response_format={"type": "json_object"}, max_tokens=800, seed=1)
    if reply.choices[0].finish_reason == "stop":  # a model that knows nothing may never close it
        assert isinstance(json.loads(reply.choices[0].message.content), (dict, list))
    assert reply.choices[0].message.content.lstrip()[0] in "{["


def test_a_cut_off_reply_is_told_by_the_package():
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Person, max_tokens=2)


def test_json_and_tools_that_are_not_used():
    reply = create(messages=ASK, tools=[weather_tool()], tool_choice="none", response_format=schema_format({"enum": ["yes", "no"]}), max_tokens=200)
    assert not reply.choices[0].message.tool_calls and reply.choices[0].message.content


@pytest.mark.parametrize("keyword, schema", [
    ("uniqueItems", {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
    ("unevaluatedProperties", {"type": "object", "unevaluatedProperties": False}),
])
def test_an_unsupported_keyword_is_named(keyword, schema):
    with pytest.raises(openai.BadRequestError) as caught:
        create(response_format=schema_format(schema))
    assert keyword in caught.value.message


def test_a_schema_that_is_none():
    with pytest.raises(openai.BadRequestError):
        create(response_format=schema_format({"type": "no such type"}))
    with pytest.raises(openai.BadRequestError):
        create(extra_body={"response_format": {"type": "json_schema"}})


@skill("copies facts into JSON")
def test_extraction():
    person = client.chat.completions.parse(
        model=MODEL, messages=ASK, response_format=Person, max_tokens=300, temperature=0).choices[0].message.parsed
    assert person == Person(name="Anna Weber", age=41, city="Lyon")
