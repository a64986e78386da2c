"""A session that outgrows the window: its oldest turns become a summary, which
is judged, kept, and has the taint of what it was made of."""

import json
import random
import threading
import time

import httpx2 as httpx
import pytest

from conftest import Corral, until
from local_server import LocalServer, ModelHandler


POLICY = """\
policy: summary
checks:
  - {id: no-stripes, use: rules, on: [output], any: ["zebra crossing"], action: block}
tools:
  rules:
    - {id: after-look, tool: send, when: {tainted_by: [look]}, action: block}
"""

TOOL = """\
  - http:
      name: %s
      description: d
      url: "%s/%s/{id}"
      parameters:
        type: object
        properties: {id: {type: string}}
        required: [id]
        additionalProperties: false
"""


class Model(LocalServer):
    """Echoes; "call NAME" calls that tool; writes `summary` when it is asked for
    one."""

    def __init__(self):
        self.requests = []
        self.summary = "They spoke of sevens."
        self.on_asked = lambda request: None  # before each answer
        self.on_summary = lambda: None  # between a summary and its end
        model = self

        class Handler(ModelHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("content-type", "text/plain")
                self.send_header("content-length", "4")
                self.end_headers()
                self.wfile.write(b"seen")

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                model.requests.append(request)
                model.on_asked(request)
                last, finish = request["messages"][-1], "stop"
                if model.is_summary(request):
                    delta = {"content": model.summary}
                elif last["role"] == "user" and last["content"].startswith("call "):
                    name = last["content"].split()[1]
                    delta, finish = {"tool_calls": [{
                        "index": 0, "id": f"call_{len(model.requests)}",
                        "type": "function",
                        "function": {"name": name, "arguments": '{"id": "1"}'}}]}, "tool_calls"
                else:
                    delta = {"content": "yes"}
                if model.is_summary(request) and model.summary is None:
                    self.send_response(500)
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                self.stream(delta, finish, model.on_summary if model.is_summary(request) else lambda: None)

        super().__init__(Handler)

    @staticmethod
    def is_summary(request):
        return "faithful summaries" in request["messages"][0]["content"]


@pytest.fixture()
def model():
    model = Model()
    yield model
    model.close()


@pytest.fixture()
def config(model, policies, tmp_path):
    path = tmp_path / "corral.yaml"
    path.write_text(
        f"data: {tmp_path / 'data'}\npolicy: {policies('summary', POLICY)}\n"
        f"backend: {{openai: {{base_url: '{model.url}/v1'}}}}\n"
        f"tools:\n{TOOL % ('look', model.url, 'look')}{TOOL % ('send', model.url, 'send')}"
        "agent: {context: {compact: summarise, tokens: 700}}\nlog: warn\n")
    return path


@pytest.fixture()
def server(start, config):
    return start("-c", config)


def create(server):
    return server.http.post("/v1/sessions", json={"model": "m", "system": "Be kind."}).json()["id"]


def say(server, session, content):
    answer = server.http.post(f"/v1/sessions/{session}/messages", json={"content": content})
    assert answer.status_code == 200, answer.text
    return answer.json()


def compacted(server, session):
    entries = server.http.get(f"/v1/sessions/{session}").json()["entries"]
    return [e["event"] for e in entries if e.get("event", {}).get("type") == "compacted"]


def fill(server, session):
    """Until a turn is cut; its answer."""
    for _ in range(20):
        answer = say(server, session, "7" * 150)
        if "dropped_messages" in answer.get("corral", {}):
            return answer
    raise AssertionError("the window never fills")


def test_the_summary_takes_the_turns_place(server, model):
    session = create(server)
    say(server, session, "remember sevens")
    answer = fill(server, session)
    assert answer["corral"]["summarised"] is True
    asked = [r for r in model.requests if model.is_summary(r)]
    assert len(asked) == 1 and asked[0]["max_tokens"] == 256
    assert "User: remember sevens" in asked[0]["messages"][1]["content"]
    assert not asked[0].get("tools")
    sent = model.requests[-1]["messages"]
    assert [m["role"] for m in sent[:4]] == ["system", "assistant", "tool", "user"]
    assert "They spoke of sevens." in sent[2]["content"]
    assert sent[2]["content"].startswith("[data from earlier_conversation")
    event = compacted(server, session)[0]
    assert event["summary"] == "They spoke of sevens." and event["of"] == {"sources": []}
    assert event["dropped_messages"] == answer["corral"]["dropped_messages"]
    # The next turn, which needs no cut, reads it from the record.
    say(server, session, "next")
    sent = model.requests[-1]["messages"]
    assert "They spoke of sevens." in sent[2]["content"]
    assert len([r for r in model.requests if model.is_summary(r)]) == 1


def test_a_summary_of_a_summary(server, model):
    session = create(server)
    fill(server, session)
    model.summary = "Second."
    fill(server, session)
    asked = [r for r in model.requests if model.is_summary(r)]
    assert "They spoke of sevens." in asked[1]["messages"][1]["content"]
    sent = json.dumps(model.requests[-1]["messages"])
    assert "Second." in sent and "They spoke" not in sent
    kept = server.http.get(f"/v1/sessions/{session}").json()["entries"]
    told = compacted(server, session)
    users = [e for e in kept if e.get("message", {}).get("role") == "user"]
    # What was dropped and what was sent last are all there is.
    last = [m for m in model.requests[-1]["messages"] if m["role"] == "user"]
    assert sum(e["dropped_messages"] for e in told) == 2 * (len(users) - len(last))


@pytest.mark.parametrize("looks", [True, False])
def test_the_taint_stays(server, model, looks):
    session = create(server)
    if looks:
        say(server, session, "call look")
    fill(server, session)
    assert compacted(server, session)[0]["of"] == {"sources": ["look"] if looks else []}
    assert all(m.get("tool_calls", [{}])[0].get("function", {}).get("name") != "look"
               for m in model.requests[-1]["messages"])
    answer = say(server, session, "call send")
    blocked = answer["choices"][0]["finish_reason"] == "content_filter"
    assert blocked == looks
    if looks:
        assert answer["corral"]["checks"] == ["after-look"]


def test_an_abandoned_summary_is_paid_for(server, model):
    """Its client leaves while it is written: what was asked and what came of it
    counts, three bytes as a token, as with any answer that ends early."""
    session = create(server)
    written, gate = threading.Event(), threading.Event()

    def hold():
        written.set()
        gate.wait(20)

    model.on_summary, model.summary = hold, "seven " * 100
    path = f"/v1/sessions/{session}/messages"
    tokens = lambda kind: server.metric(f'corral_tokens_total{{kind="{kind}"}}') or 0
    for _ in range(20):
        before = tokens("prompt"), tokens("completion")
        try:
            server.http.post(path, json={"content": "7" * 150}, timeout=3)
        except httpx.TimeoutException:
            break
    assert written.is_set()
    asked = sum(len(m["content"]) for m in model.requests[-1]["messages"])
    assert until(lambda: tokens("completion") >= before[1] + 200)
    assert tokens("completion") < before[1] + 250
    assert tokens("prompt") >= before[0] + asked // 3
    gate.set()


@pytest.mark.parametrize("summary, reason", [("a zebra crossing", "blocked"), (None, "model")])
def test_without_a_summary_it_goes_on(server, model, summary, reason):
    model.summary = summary
    session = create(server)
    answer = fill(server, session)
    assert answer["choices"][0]["message"]["content"] == "yes"
    assert "summarised" not in answer["corral"]
    event = compacted(server, session)[0]
    assert event["summary"] is None and event["reason"] == reason
    assert "zebra" not in json.dumps(model.requests[-1])
    say(server, session, "next")


def test_the_model_that_runs_here(start, policies, tmp_path):
    path = tmp_path / "corral.yaml"
    path.write_text(
        f"data: {tmp_path / 'data'}\npolicy: {policies('summary', POLICY)}\n"
        "agent: {context: {compact: summarise, tokens: 500}}\nlog: warn\n")
    server = start("-c", path)
    session = server.http.post("/v1/sessions", json={}).json()["id"]
    for i in range(12):
        answer = server.http.post(
            f"/v1/sessions/{session}/messages",
            json={"content": f"What is {i} and {i}? " + "Think well. " * 8,
                  "max_tokens": 30, "temperature": 0, "seed": 1})
        assert answer.status_code == 200, answer.text
        if compacted(server, session):
            break
    event = compacted(server, session)[0]
    assert event["summary"] and event["of"] == {"sources": []}
    assert answer.json()["corral"]["summarised"] is True


KILLS = 12


def whole(server, session, model, acknowledged):
    """No acknowledged turn is lost, and the model is told of each: by its words
    or, for all before these, by the summary."""
    path = f"/v1/sessions/{session}"
    assert until(lambda: not server.http.get(path).json()["running"])
    say(server, session, "what now?")
    entries = server.http.get(path).json()["entries"]
    users = [e["message"]["content"] for e in entries
             if e.get("message", {}).get("role") == "user"]
    kept = [int(text.split()[1]) for text in users if text.startswith("turn ")]
    assert [n for n in kept if n in acknowledged] == acknowledged
    sent = model.requests[-1]["messages"]
    last = [m["content"] for m in sent if m["role"] == "user"]
    assert last and last == users[-len(last):]
    told = [m["content"] for m in sent if m["role"] == "tool"]
    assert len(told) == (len(last) < len(users))
    assert all("They spoke of sevens." in text for text in told)
    return len(last) < len(users)


def test_killed_at_any_moment(config, model):
    """Every second time just while a summary is written, else at random."""
    moment = random.Random(11)
    acknowledged, number, session, cut = [], 0, None, 0
    for kill in range(KILLS):
        server = Corral("-c", config)
        killer = threading.Timer(moment.uniform(0.0, 0.25), server.process.kill)

        def asked(request):
            time.sleep(moment.uniform(0, 0.02))
            if kill % 2 and model.is_summary(request):
                server.process.kill()

        try:
            session = session or create(server)
            cut += whole(server, session, model, acknowledged)
            model.on_asked = asked
            if kill % 2 == 0:
                killer.start()
            while True:
                number += 1
                say(server, session, f"turn {number} " + "7" * 150)
                acknowledged.append(number)
        except httpx.TransportError:
            pass
        finally:
            model.on_asked = lambda request: None
            killer.cancel()
            server.process.kill()
            server.stop()
    server = Corral("-c", config)
    assert whole(server, session, model, acknowledged)
    assert cut and len(acknowledged) > KILLS / 2
    assert server.stop() == 0
