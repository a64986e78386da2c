"""Turns that outlive the server: a call that waits for a person, and a tool that
may run again. What ran is counted by the tool's own server."""

import json
import random
import signal
import threading
import time
from collections import Counter
from urllib.parse import parse_qs, urlparse

import httpx2 as httpx
import pytest

from conftest import Corral, until
from local_server import LocalServer, ModelHandler

KILLS = 16

POLICY = """\
policy: suspended
checks:
  - {id: no-stripes, use: rules, on: [input], any: ["zebra crossing"], action: block}
tools:
  allow: [pay, look, note]
  rules:
    - {tool: pay, action: ask, id: a-person}
limits: {approval_s: %d}
"""

TOOL = """\
  - http:
      name: %s
      description: d
      method: %s
      url: "%s/%s/{id}"
      parameters:
        type: object
        properties: {id: {type: string}}
        required: [id]
        additionalProperties: false
"""


class Server(LocalServer):
    """The model and the tools. "CALLS" makes these calls, as in "look:1 pay:2";
    after results it says them. Each run of a tool is counted under its path."""

    def __init__(self):
        self.runs = Counter()
        self.pause = lambda: 0
        world = self

        class Handler(ModelHandler):
            def whole(self, text):
                self.send_response(200)
                self.send_header("content-type", "text/plain")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def run(self):
                world.runs[urlparse(self.path).path] += 1
                time.sleep(world.pause())
                try:
                    self.whole("done " + self.path)
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def do_GET(self):
                self.run()

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if not self.path.startswith("/v1/"):
                    self.run()
                    return
                try:
                    self.answer(json.loads(body)["messages"])
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def answer(self, messages):
                last = messages[-1]
                if last["role"] == "tool":
                    results = [m["content"].split("\n")[1] for m in messages
                               if m["role"] == "tool"]
                    delta, finish = {"content": " | ".join(results)}, "stop"
                else:
                    calls = [c.split(":") for c in last["content"].split()]
                    delta, finish = {"tool_calls": [
                        {"index": i, "id": f"call_{name}_{number[:20]}", "type": "function",
                         "function": {"name": name,
                                      "arguments": json.dumps({"id": number})}}
                        for i, (name, number) in enumerate(calls)]}, "tool_calls"
                self.stream(delta, finish)

        super().__init__(Handler)


@pytest.fixture()
def world():
    server = Server()
    yield server
    server.close()


@pytest.fixture()
def config(world, policies, tmp_path):
    def write(approval_s=60):
        policy = policies(f"suspended-{approval_s}", POLICY % approval_s)
        tools = "".join(TOOL % (name, method, world.url, name) for name, method in
                        (("pay", "POST"), ("note", "POST"), ("look", "GET")))
        path = tmp_path / "corral.yaml"
        path.write_text(
            f"data: {tmp_path / 'data'}\npolicy: {policy}\ndrain_ms: 500\n"
            f"backend: {{openai: {{base_url: '{world.url}/v1'}}}}\n"
            f"tools:\n{tools}log: warn\n")
        return path

    return write


def create(server):
    return server.http.post("/v1/sessions", json={"model": "m"}).json()["id"]


def say_alone(server, session, content):
    """A turn whose client loses the server."""

    def turn():
        try:
            httpx.post(f"{server.url}/v1/sessions/{session}/messages",
                       json={"content": content, "stream": True}, timeout=60)
        except httpx.TransportError:
            pass

    thread = threading.Thread(target=turn, daemon=True)
    thread.start()
    return thread


def waiting(server):
    return server.http.get("/v1/approvals").json()["data"]


def show(server, session):
    return server.http.get(f"/v1/sessions/{session}").json()


def messages(server, session):
    return [e["message"] for e in show(server, session)["entries"] if "message" in e]


def finishes(server, session):
    return [e["event"]["finish"] for e in show(server, session)["entries"]
            if e.get("event", {}).get("type") == "turn"]


def decide(server, question, decision):
    answer = server.http.post(f"/v1/approvals/{question}", json={"decision": decision})
    assert answer.status_code == 200, answer.text


def over(server, session):
    return until(lambda: not show(server, session)["running"])


def ask_and_restart(config, sig, content="pay:1", approval_s=60):
    """A server whose predecessor ended while a person was asked."""
    path = config(approval_s)
    server = Corral("-c", path)
    session = create(server)
    say_alone(server, session, content)
    assert until(lambda: waiting(server))
    asked = waiting(server)[0]
    # Once the record is read the question is on the disk: it is asked before.
    assert show(server, session)["running"]
    server.stop(sig)
    return Corral("-c", path), session, asked


def test_the_record_tells_what_was_decided(config, world):
    """Whoever looks later sees why the turn waited, and for which answer."""
    server = Corral("-c", config())
    try:
        session = create(server)
        say_alone(server, session, "pay:1")
        assert until(lambda: waiting(server))
        asked = waiting(server)[0]
        decide(server, asked["id"], "approve")
        assert over(server, session)
        entries = show(server, session)["entries"]
        kinds = [e["event"]["type"] if "event" in e else e["message"]["role"] for e in entries]
        assert kinds == ["user", "verdict", "assistant", "approval", "tool", "assistant", "turn"]
        verdict, approval = entries[1]["event"], entries[3]["event"]
        assert verdict["verdict"]["action"] == "ask" and verdict["call_id"] == approval["call_id"]
        assert approval["id"] == asked["id"] and approval["checks"] == asked["checks"][0]
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_approved_after_a_restart(config, world, sig):
    server, session, asked = ask_and_restart(config, sig)
    try:
        assert waiting(server) == [asked]  # its id, and its time, too
        assert show(server, session)["running"]
        assert not world.runs
        decide(server, asked["id"], "approve")
        assert over(server, session)
        assert world.runs == {"/pay/1": 1}
        kept = messages(server, session)
        assert [m["role"] for m in kept] == ["user", "assistant", "tool", "assistant"]
        assert kept[-1]["content"] == "done /pay/1"
        assert finishes(server, session) == ["stop"]
        assert waiting(server) == []
        # The conversation goes on as if nothing had been.
        again = server.http.post(f"/v1/sessions/{session}/messages",
                                 json={"content": "note:9"})
        assert again.status_code == 200, again.text
    finally:
        assert server.stop() == 0


def test_denied_after_a_restart(config, world):
    server, session, asked = ask_and_restart(config, signal.SIGKILL)
    try:
        decide(server, asked["id"], "deny")
        assert over(server, session)
        assert not world.runs
        assert messages(server, session)[2]["content"] == "error: denied by a person"
        assert messages(server, session)[-1]["role"] == "assistant"
    finally:
        assert server.stop() == 0


def test_too_late_after_a_restart(config, world):
    """Its time was over while no server ran: the record says why it ended."""
    server, session, asked = ask_and_restart(config, signal.SIGKILL, approval_s=1)
    try:
        if waiting(server):  # it had a little time left
            assert until(lambda: not waiting(server))
        assert over(server, session)
        assert not world.runs
        told = [m for m in messages(server, session) if m["role"] == "tool"]
        assert len(told) == 1 and told[0]["content"].startswith("error: denied")
    finally:
        assert server.stop() == 0


def test_two_restarts_and_several_calls(config, world):
    """Calls that got leave before the one in question run with it; the model had
    not come to the one behind, which is not made."""
    path = config()
    server, session, asked = ask_and_restart(
        config, signal.SIGKILL, "note:1 look:2 pay:3 pay:4")
    server.stop(signal.SIGKILL)
    server = Corral("-c", path)
    try:
        assert waiting(server) == [asked]
        assert not world.runs
        decide(server, asked["id"], "approve")
        assert over(server, session)
        assert world.runs == {"/note/1": 1, "/look/2": 1, "/pay/3": 1}
        kept = messages(server, session)
        calls = [c["id"] for m in kept for c in m.get("tool_calls", [])]
        assert calls == [m["tool_call_id"] for m in kept if m["role"] == "tool"]
        assert kept[-1]["content"] == "done /note/1 | done /look/2 | done /pay/3"
    finally:
        assert server.stop() == 0


def test_an_idempotent_tool_runs_again(config, world):
    path = config()
    world.pause = lambda: 1.0
    server = Corral("-c", path)
    session = create(server)
    say_alone(server, session, "look:1")
    assert until(lambda: world.runs["/look/1"])
    server.stop(signal.SIGKILL)
    world.pause = lambda: 0
    server = Corral("-c", path)
    try:
        assert over(server, session)
        assert world.runs == {"/look/1": 2}
        assert messages(server, session)[-1]["content"] == "done /look/1"
        assert finishes(server, session) == ["stop"]
    finally:
        assert server.stop() == 0


def play(server, session, number):
    """A whole turn, with a person who approves at once."""
    turn = say_alone(server, session, f"note:{number} pay:{number} look:{number}")
    while turn.is_alive() or show(server, session)["running"]:
        for question in waiting(server):
            server.http.post(f"/v1/approvals/{question['id']}", json={"decision": "approve"})


def test_killed_while_tools_run(config, world):
    """At random moments of a turn, however long one takes here. No payment is made
    twice, and the record has a result for every call."""
    moment = random.Random(7)
    path = config()
    world.pause = lambda: moment.uniform(0, 0.03)
    server = Corral("-c", path)
    session, begun, number = create(server), time.monotonic(), 1
    play(server, session, number)
    whole = time.monotonic() - begun
    server.stop()
    for _ in range(KILLS):
        server = Corral("-c", path)
        killer = threading.Timer(moment.uniform(0, 2 * whole), server.process.kill)
        try:
            killer.start()
            while True:
                number += 1
                play(server, session, number)
        except httpx.TransportError:
            pass
        finally:
            killer.cancel()
            server.process.kill()
            server.stop()
    server = Corral("-c", path)
    try:
        for question in waiting(server):
            decide(server, question["id"], "deny")
        assert over(server, session)
        paid = {p: n for p, n in world.runs.items() if not p.startswith("/look")}
        assert len(paid) > KILLS / 2
        assert max(paid.values()) == 1, paid
        kept = messages(server, session)
        calls = [c["id"] for m in kept for c in m.get("tool_calls", [])]
        assert sorted(calls) == sorted(m["tool_call_id"] for m in kept if m["role"] == "tool")
    finally:
        assert server.stop() == 0
