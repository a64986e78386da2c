"""What agent/models/tools.gguf gives the default model. Without it one answer
never has two calls (docs/agent.md, "When a call is made")."""

import json
import re

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


def calls_judged(server):
    """How many calls the policy was asked about."""
    text = server.http.get("/metrics").text
    found = re.findall(r'^corral_verdicts_total\{[^}]*channel="tool_call"[^}]*\} (\d+)', text, re.M)
    return sum(map(int, found))


def test_one_of_our_own_tools_by_name(server):
    """A client that declares none says which it wants: it is called, whatever
    the model would have done."""
    before = calls_judged(server)
    body = {"model": "default", "temperature": 0, "max_tokens": 160,
            "messages": [{"role": "user", "content": "Hello!"}]}  # fmt: skip
    assert server.http.post("/v1/chat/completions", json=body).status_code == 200
    assert calls_judged(server) == before
    named = {"type": "function", "function": {"name": "calculator"}}
    answer = server.http.post("/v1/chat/completions", json={**body, "tool_choice": named})
    assert answer.status_code == 200, answer.text
    assert calls_judged(server) > before
    assert "tool_calls" not in answer.json()["choices"][0]["message"]


NAMED = [
    ("/v1/chat/completions", "tool_choice.function.name",
     {"messages": [{"role": "user", "content": "Hello!"}]},
     lambda name: {"type": "function", "function": {"name": name}}),
    ("/v1/responses", "tool_choice.name", {"input": "Hello!"},
     lambda name: {"type": "function", "name": name}),
    ("/v1/messages", "tool_choice.name",
     {"max_tokens": 100, "messages": [{"role": "user", "content": "Hello!"}]},
     lambda name: {"type": "tool", "name": name}),
]  # fmt: skip


@pytest.mark.parametrize("path, field, body, choice", NAMED)
def test_a_named_tool_in_each_dialect(server, path, field, body, choice):
    body = {"model": "default", "temperature": 0, **body}
    answer = server.http.post(path, json={**body, "tool_choice": choice("time")})
    assert answer.status_code == 200, answer.text
    refused = server.http.post(path, json={**body, "tool_choice": choice("no_such_tool")})
    assert refused.status_code == 400 and f"{field}: no such tool" in refused.text
    assert "no_such_tool" not in refused.text


def test_no_tool_is_needed(server):
    calls, text = ask(server, "What is the capital of France?", WEATHER, UNITS)
    assert calls == [] and "Paris" in text


def test_our_own_tools_run_and_the_answer_tells_the_result(server):
    """What ./run shows first."""
    calls, text = ask(server, "What is 17 times 23?")
    assert calls == [] and "391" in text
