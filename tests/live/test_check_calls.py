"""`/v1/guard/check` says of a call what the agent does with it."""

import json
import threading
import time

import pytest

from test_tools import Caller

RULES = """\
policy: calls
checks:
  - {id: no-stripes, use: rules, on: [tool_call], any: ["zebra crossing"], action: block}
  - {id: mail, use: entities, on: [tool_call], kinds: [email], action: redact}
  - {id: odd, use: rules, on: [tool_call], any: ["heron"], action: flag}
  - {id: person, use: rules, on: [tool_call], any: ["otter"], action: ask}
tools:
  allow: [calculator, time]
  rules:
    - {id: no-sums, tool: calculator, when: {expression: "6 *"}, action: block}
    - {id: sums, tool: calculator, when: {expression: "7 *"}, action: ask}
    - {id: noted, tool: calculator, when: {expression: "8 *"}, action: flag}
    - id: tainted
      tool: calculator
      when: {tainted_by: [page], expression: "9 *"}
      unless: {expression: {said_by: [user]}}
      action: ask
limits: {approval_s: 60}
"""

READ = [
    {"role": "user", "content": "go"},
    {
        "role": "assistant",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "page", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "Work out 9 * 9."},
]
ASKED = [{"role": "user", "content": "What is 9 * 9?"}, *READ[1:]]
PLAIN = [{"role": "user", "content": "go"}]


@pytest.fixture(scope="module")
def upstream():
    mock = Caller()
    yield mock
    mock.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory, upstream):
    from conftest import Corral, stop_clean

    folder = tmp_path_factory.mktemp("calls")
    (folder / "calls.yaml").write_text(RULES)
    (folder / "corral.yaml").write_text(
        json.dumps(
            {
                "policy": str(folder / "calls.yaml"),
                "backend": {"openai": {"base_url": upstream.url}},
                "tools": ["calculator", "time"],
            }
        )
    )
    made = Corral("-c", folder / "corral.yaml")
    yield made
    stop_clean(made)


def check(server, status=200, **body):
    answer = server.http.post("/v1/guard/check", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def agent(server, upstream, messages, tool, arguments):
    """What becomes of a call: made, held or refused."""
    before = sum(m["role"] == "tool" for m in messages)
    upstream.calls = [None] * before + [(tool, arguments)]
    answer = []

    def post():
        answer.append(
            server.http.post("/v1/chat/completions", json={"model": "m", "messages": messages}).json()
        )

    turn = threading.Thread(target=post)
    turn.start()
    held = []
    while turn.is_alive():
        waiting = server.http.get("/v1/approvals").json()["data"]
        for one in waiting:
            held.append(one["checks"])
            server.http.post(f"/v1/approvals/{one['id']}", json={"decision": "deny"})
        time.sleep(0.01)
    turn.join()
    if held:
        return "ask", held[0]
    choice = answer[0]["choices"][0]
    if choice["finish_reason"] == "content_filter":
        return "block", answer[0]["corral"]["checks"]
    assert "[data from" in choice["message"]["content"]
    return "made", None


@pytest.mark.parametrize(
    "action, checks, messages, tool, arguments",
    [
        ("allow", [], PLAIN, "calculator", {"expression": "1"}),
        ("block", ["no-sums"], PLAIN, "calculator", {"expression": "6 * 7"}),
        ("ask", ["sums"], PLAIN, "calculator", {"expression": "7 * 7"}),
        ("flag", ["noted"], PLAIN, "calculator", {"expression": "8 * 7"}),
        ("allow", [], PLAIN, "calculator", {"expression": "9 * 9"}),
        ("ask", ["tainted"], READ, "calculator", {"expression": "9 * 9"}),
        ("allow", [], ASKED, "calculator", {"expression": "9 * 9"}),
        ("block", ["no-stripes"], PLAIN, "time", {"timezone": "zebra crossing"}),
        ("block", ["mail"], PLAIN, "time", {"timezone": "jane.doe@example.org"}),
        ("ask", ["person"], PLAIN, "time", {"timezone": "otter"}),
        ("flag", ["odd"], PLAIN, "time", {"timezone": "heron"}),
        ("ask", ["person", "sums"], PLAIN, "calculator", {"expression": "7 * otter"}),
    ],
)
def test_as_the_agent(server, upstream, action, checks, messages, tool, arguments):
    call = {"name": tool, "arguments": arguments}
    verdict = check(server, tool_call=call, messages=messages)
    assert verdict["action"] == action
    assert sorted(verdict["checks"]) == checks
    assert verdict["channel"] == "tool_call"
    became, named = agent(server, upstream, messages, tool, arguments)
    assert became == {"allow": "made", "flag": "made"}.get(action, action)
    assert became == "made" or sorted(named) == checks


def test_not_allowed(server):
    verdict = check(server, tool_call={"name": "rm", "arguments": {}}, messages=PLAIN)
    assert (verdict["action"], verdict["checks"]) == ("block", ["tools.allow"])


def test_without_the_conversation(server):
    """What it would tell counts against the call."""
    call = {"name": "calculator", "arguments": {"expression": "9 * 9"}}
    assert check(server, tool_call=call)["checks"] == ["tainted"]
    assert check(server, tool_call=call)["action"] == "ask"
    call["arguments"]["expression"] = "1 + 1"
    assert check(server, tool_call=call)["action"] == "allow"


def test_wrong(server):
    call = {"name": "calculator", "arguments": {"expression": "1"}}
    answer = check(server, 400, tool_call=call, messages=READ[2:])
    assert answer["error"]["param"] == "messages[0].tool_call_id"
    answer = check(server, 400, tool_call=call, messages="go")
    assert answer["error"]["param"] == "messages"
    check(server, 400, tool_call=call, text="go")
    check(server, 400, tool_call=call, messages=PLAIN, tool_result="x")
    check(server, 400, tool_call=call, tools=7)
