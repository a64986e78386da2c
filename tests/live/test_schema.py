"""Answers under a JSON Schema are valid for it: PyPI's jsonschema says so,
of what the default model says and of what a random one does."""

import json
import subprocess
import sys

import openai
import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from conftest import BINARY, ROOT

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 30},
        "born": {"type": "string", "format": "date"},
        "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,5}$"},
        "height": {"type": "number", "exclusiveMinimum": 0.5, "maximum": 2.5},
        "shoes": {"type": "integer", "minimum": 30, "maximum": 50},
        "pets": {
            "type": "array",
            "items": {"$ref": "#/$defs/pet"},
            "minItems": 1,
            "maxItems": 3,
        },
        "nick": {"type": ["string", "null"], "maxLength": 10},
    },
    "required": ["name", "born", "code", "height", "pets", "nick"],
    "additionalProperties": False,
    "$defs": {
        "animal": {"type": "object", "properties": {"name": {"type": "string"}}},
        "pet": {
            "allOf": [{"$ref": "#/$defs/animal"}],
            "oneOf": [
                {
                    "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
                    "required": ["kind", "lives"],
                },
                {
                    "properties": {"kind": {"enum": ["dog", "bird"]}},
                    "required": ["kind"],
                },
            ],
        },
    },
}


def check(schema, text):
    Draft202012Validator(
        schema, format_checker=validator_for(schema).FORMAT_CHECKER
    ).validate(json.loads(text))


def ask(server, response_format, **kwargs):
    return server.client.chat.completions.create(
        model="default",
        messages=[{"role": "user", "content": "Make up a person with pets."}],
        response_format=response_format,
        **kwargs,
    )


def schema_format(schema):
    return {
        "type": "json_schema",
        "json_schema": {"name": "person", "strict": True, "schema": schema},
    }


@pytest.mark.parametrize("temperature", [0, 1, 2])
def test_answer_is_valid(corral, temperature):
    for seed in range(3 if temperature else 1):
        answer = ask(
            corral,
            schema_format(PERSON),
            max_tokens=300,
            temperature=temperature,
            seed=seed,
        )
        choice = answer.choices[0]
        assert choice.finish_reason == "stop"
        check(PERSON, choice.message.content)


def test_stream_is_valid(corral):
    chunks = ask(corral, schema_format(PERSON), max_tokens=300, stream=True)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    check(PERSON, text)


@pytest.mark.parametrize("max_tokens", [2, 3, 10, 60])
def test_a_limit_does_not_cut_json(corral, max_tokens):
    """Few tokens make a short answer, not half of one."""
    answer = ask(
        corral, {"type": "json_object"}, max_tokens=max_tokens, temperature=1, seed=4
    )
    assert answer.usage.completion_tokens <= max_tokens
    check({"type": "object"}, answer.choices[0].message.content)


def test_tool_arguments_are_valid(corral):
    parameters = {
        "type": "object",
        "properties": {
            "day": {"type": "string", "format": "date"},
            "seats": {"type": "integer", "minimum": 1, "maximum": 8},
        },
        "required": ["day", "seats"],
        "additionalProperties": False,
    }
    answer = corral.client.chat.completions.create(
        model="default",
        messages=[{"role": "user", "content": "Book a table for two on 1 May 2027."}],
        tools=[
            {
                "type": "function",
                "function": {
                    "name": "book_table",
                    "description": "Books a table in the restaurant.",
                    "parameters": parameters,
                },
            }
        ],
        tool_choice="required",
        temperature=1,
        seed=1,
    )
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "book_table"
    check(parameters, call.function.arguments)


@pytest.mark.parametrize(
    "schema, place",
    [
        ({"properties": {"a": {"not": {}}}}, "a.not"),
        ({"properties": {"a": {"pattern": "(?=x)"}}}, "a.pattern"),
        ({"items": {"type": "array", "uniqueItems": True}}, "items.uniqueItems"),
    ],
)
def test_what_is_not_enforced_is_refused(corral, schema, place):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(corral, schema_format(schema), max_tokens=10)
    assert caught.value.param == f"response_format.json_schema.schema.{place}"


def test_random_schemas():
    rows = subprocess.run(
        [BINARY.parent / "tests" / "test_grammar_schema", "--print", "60"],
        capture_output=True,
        check=True,
        timeout=300,
        cwd=ROOT,
    )
    result = subprocess.run(
        [sys.executable, ROOT / "tests" / "reference" / "grammar_check.py"],
        input=rows.stdout,
        capture_output=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout.decode()
