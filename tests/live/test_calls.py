"""What agent/models/tools.gguf gives the default model. Without it one answer
never has two calls (docs/agent.md, "When a call is made")."""

import json

import pytest

from conftest import RULES, Corral, stop_clean

WEATHER = {
    "name": "get_weather",
    "description": "Current weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
UNITS = {
    "name": "convert_units",
    "description": "Convert a value between units.",
    "parameters": {
        "type": "object",
        "properties": {
            "value": {"type": "number"},
            "from": {"type": "string"},
            "to": {"type": "string"},
        },
        "required": ["value", "from", "to"],
    },
}


@pytest.fixture(scope="module")
def server(policies):
    server = Corral("--policy", policies("live", RULES), "--tools", "time,calculator")
    yield server
    stop_clean(server)


def ask(server, text, *tools, max_tokens=120):
    answer = server.client.chat.completions.create(
        model="default",
        temperature=0,
        max_tokens=max_tokens,
        messages=[{"role": "user", "content": text}],
        **({"tools": [{"type": "function", "function": t} for t in tools]} if tools else {}),
    )
    message = answer.choices[0].message
    calls = [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or []]
    return calls, message.content


def test_two_calls_in_one_answer(server):
    calls, _ = ask(server, "What's the weather in Rome and in Paris?", WEATHER, UNITS)
    assert calls == [("get_weather", {"city": "Rome"}), ("get_weather", {"city": "Paris"})]


def test_arguments_of_several_kinds(server):
    calls, _ = ask(server, "Convert 12 miles to kilometres.", UNITS, WEATHER)
    assert [name for name, _ in calls] == ["convert_units"]
    assert calls[0][1]["value"] == 12 and calls[0][1]["from"] == "miles"


CLOCK = {
    "name": "time",
    "description": "The current date and time in a time zone.",
    "parameters": {
        "type": "object",
        "properties": {"zone": {"type": "string"}},
        "required": ["zone"],
    },
}
SUM = {
    "name": "calculator",
    "description": "Evaluate an arithmetic expression.",
    "parameters": {
        "type": "object",
        "properties": {"expression": {"type": "string"}},
        "required": ["expression"],
    },
}


def test_few_tokens_left_do_not_choose_the_shorter_tool(server):
    for tools in ((CLOCK, SUM), (SUM, CLOCK)):
        calls, _ = ask(server, "What is 17 times 23?", *tools, max_tokens=45)
        assert calls == [("calculator", {"expression": "17 * 23"})]


def test_no_tool_is_needed(server):
    calls, text = ask(server, "What is the capital of France?", WEATHER, UNITS)
    assert calls == [] and "Paris" in text


def test_our_own_tools_run_and_the_answer_tells_the_result(server):
    """What ./run shows first."""
    calls, text = ask(server, "What is 17 times 23?")
    assert calls == [] and "391" in text
