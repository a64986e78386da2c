"""What a session's turn does besides writing, in its stream: only for a client that
asks, only after a verdict, and the same that the session's record says."""

import json

import pytest

from conftest import Corral
from test_sessions import Model, create, messages

POLICY = """\
policy: events
checks:
  - {id: keys, use: entities, on: [tool_result], kinds: [iban], action: redact}
  - {id: no-nines, use: rules, on: [tool_result], any: ["9000"], action: block}
tools:
  rules:
    - {id: by-hand, tool: calculator, when: {expression: ["7*"]}, action: ask}
limits: {approval_s: 60}
messages:
  block: {en: "no"}
"""


@pytest.fixture()
def server(policies, tmp_path):
    model = Model()
    path = tmp_path / "corral.yaml"
    path.write_text(
        f"data: {tmp_path / 'data'}\n"
        f"policy: {policies('events', POLICY)}\n"
        f"backend: {{openai: {{base_url: '{model.url}'}}}}\n"
        "tools: [calculator]\n"
    )
    server = Corral("-c", path)
    yield server
    server.stop()
    model.close()


def turn(server, path, body, events=True, decide=None):
    """(the events, the text, the end's `corral`) of a streamed turn."""
    body = {"model": "m", "stream": True, **body}
    if events:
        body["stream_options"] = {"include_events": True}
    found, text, end = [], "", None
    with server.http.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line[6:])
            assert chunk["object"] == "chat.completion.chunk"
            if chunk["choices"]:
                text += chunk["choices"][0]["delta"].get("content") or ""
                end = chunk.get("corral", end)
                continue
            found.append(chunk["corral"]["event"])
            if found[-1]["type"] == "approval":
                server.http.post(
                    f"/v1/approvals/{found[-1]['id']}", json={"decision": decide}
                ).raise_for_status()
    return found, text, end


def said(server, content, **more):
    session = create(server)
    out = turn(server, f"/v1/sessions/{session}/messages", {"content": content}, **more)
    return session, *out


def test_a_call_and_its_result(server):
    session, events, text, _ = said(server, "turn 5")
    assert [e["type"] for e in events] == ["verdict", "tool_call", "verdict", "tool_result"]
    assert len({e["call_id"] for e in events}) == 1
    assert events[0]["verdict"]["channel"] == "tool_call"
    assert events[1]["name"] == "calculator"
    assert json.loads(events[1]["arguments"]) == {"expression": "5+1"}
    assert events[2]["verdict"]["channel"] == "tool_result"
    assert events[3]["content"] == "6" and text == "result 6"
    kept = messages(server, session)
    assert kept[1]["tool_calls"][0]["id"] == events[1]["call_id"]
    assert kept[2]["content"] == events[3]["content"]


def test_a_person_is_asked(server):
    for decision, result in (("approve", "8"), ("deny", "error: denied by a person")):
        _, events, _, _ = said(server, "turn 7", decide=decision)
        kinds = [e["type"] for e in events]
        assert kinds[:2] == ["verdict", "approval"]
        assert events[0]["verdict"]["checks"] == ["by-hand"]
        assert events[1]["checks"] == "by-hand" and events[1]["expires"] > 0
        assert ("tool_call" in kinds) == (decision == "approve")
        assert events[-1]["type"] == "tool_result"
        assert events[-1]["content"] == result


def test_a_refused_result_is_not_told(server):
    _, events, text, end = said(server, "turn 8999")
    assert [e["type"] for e in events] == ["verdict", "tool_call"]
    assert text == "no" and end["checks"] == ["no-nines"]
    assert "9000" not in json.dumps(events)


def test_only_for_who_asks(server):
    """Nobody else gets a chunk that he does not know; and a turn that no session
    keeps has none, since its client may not read what tools say."""
    session, events, text, _ = said(server, "turn 5", events=False)
    assert events == [] and text == "result 6"
    body = {"messages": [{"role": "user", "content": "turn 5"}]}
    events, text, _ = turn(server, "/v1/chat/completions", body)
    assert events == [] and text == "result 6"


def test_wrong_option(server):
    answer = server.http.post(
        f"/v1/sessions/{create(server)}/messages",
        json={"content": "a", "stream": True, "stream_options": {"include_events": 1}},
    )
    assert answer.status_code == 400
    assert "stream_options.include_events" in answer.text
