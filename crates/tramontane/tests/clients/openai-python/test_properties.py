"""Laws that hold for every request: a stream joined is the unstreamed reply, and a reply under a schema is valid by it.

The validator is the package jsonschema, which shares nothing with the grammar engine of the server.
"""

import json
import os

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local import BRIEF, THOUGHT
from test_chat import create, join, whole, without_ids

NAMES = st.sampled_from(["name", "age", "city", "a b", "é", "x-1", "items", "\"quoted\""])
WORDS = st.sampled_from(["red", "blue", "", "two words", "é", "😀", "a\"b", "back\\slash", "[THINK]", "new\nline"])
SCALARS = st.one_of(WORDS, st.integers(-1000, 1000), st.booleans(), st.none())
examples = settings(
    max_examples=int(os.environ.get("TRAMONTANE_EXAMPLES", 60)), deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def bounded(low, high):
    return st.tuples(st.integers(low, high), st.integers(0, high - low)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def objects(schemas):
    def made(properties, required, open_):
        wanted = [name for i, name in enumerate(properties) if required >> i & 1]
        shape = {"type": "object", "properties": properties, "required": wanted}
        return shape if open_ else shape | {"additionalProperties": False}

    return st.builds(made, st.dictionaries(NAMES, schemas, max_size=4), st.integers(0, 15), st.booleans())


SCHEMAS = st.recursive(
    st.one_of(
        st.lists(SCALARS, min_size=1, max_size=4, unique_by=lambda value: json.dumps(value)).map(lambda values: {"enum": values}),
        SCALARS.map(lambda value: {"const": value}),
        bounded(0, 8).map(lambda pair: {"type": "string", "minLength": pair[0], "maxLength": pair[1]}),
        bounded(-500, 500).map(lambda pair: {"type": "integer", "minimum": pair[0], "maximum": pair[1]}),
        st.sampled_from([
            {"type": "boolean"}, {"type": "null"}, {"type": ["integer", "null"], "minimum": 0, "maximum": 99}, {"type": "string", "pattern": "^[a-c]{1,3}$"},
            {"type": "string", "format": "date"}, {"type": "number", "minimum": -1, "maximum": 1},
        ]),
    ),
    lambda schemas: st.one_of(
        objects(schemas),
        st.tuples(schemas, bounded(0, 3)).map(lambda pair: {"type": "array", "items": pair[0], "minItems": pair[1][0], "maxItems": pair[1][1]}),
        st.lists(schemas, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=6,
)
# Thoughts of a token and no second call, so that most replies come to their end and are judged.
HELD = {"logit_bias": THOUGHT | BRIEF, "max_tokens": 400}
DRAWS = {"seed": st.integers(0, 2**31), "temperature": st.sampled_from([0.0, 0.7, 1.0, 1.8]), "reasoning_effort": st.sampled_from(["none", "high"])}


def both_ways(**options):
    """The unstreamed reply, after a stream of the same request said the same."""
    reply = create(**options)
    choices, _ = join(create(stream=True, **options))
    assert [without_ids(choices[choice.index]) for choice in reply.choices] == [without_ids(whole(choice)) for choice in reply.choices]
    return reply.choices[0]


@examples
@given(schema=SCHEMAS, draws=st.fixed_dictionaries(DRAWS))
def test_replies_are_valid_by_their_schema(schema, draws):
    form = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema, "strict": True}}
    choice = both_ways(response_format=form, **HELD, **draws)
    if choice.finish_reason == "stop":
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(json.loads(choice.message.content))
    else:
        assert choice.finish_reason == "length"


@examples
@given(schema=objects(SCHEMAS), draws=st.fixed_dictionaries(DRAWS), parallel=st.booleans())
def test_arguments_are_valid_by_their_schema(schema, draws, parallel):
    several = {"logit_bias": THOUGHT} if parallel else {}
    tool = {"type": "function", "function": {"name": "use", "description": "Use it", "parameters": schema, "strict": True}}
    choice = both_ways(tools=[tool], tool_choice="required", parallel_tool_calls=parallel, **HELD | several, **draws)
    calls = choice.message.tool_calls or []
    for call in calls if choice.finish_reason == "tool_calls" else calls[:-1]:
        assert call.function.name == "use"
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(json.loads(call.function.arguments))
    assert choice.finish_reason == "length" or calls and (parallel or len(calls) == 1)


@examples
@given(draws=st.fixed_dictionaries(DRAWS), max_tokens=st.integers(1, 60), stop=st.lists(st.sampled_from(["a", "on", "e ", "é", "😀", "xyz", "\n"]), max_size=3),
       n=st.integers(1, 3))
def test_free_replies(draws, max_tokens, stop, n):
    choice = both_ways(max_tokens=max_tokens, stop=stop, n=n, **draws)
    assert not any(word in (choice.message.content or "") for word in stop)
