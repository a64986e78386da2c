"""Sessions on the real binary: turns that go on, and a server killed at any
moment that loses no turn it has acknowledged and runs no tool twice."""

import json
import random
import signal
import threading
import time

import httpx2 as httpx
import pytest

from conftest import RULES, Corral, until
from local_server import LocalServer, ModelHandler

KILLS = 24


class Model(LocalServer):
    """A model whose answers follow from the last message: "turn K" calls the
    calculator, the tool's result is repeated, anything else is echoed."""

    def __init__(self):
        self.requests = []
        model = self

        class Handler(ModelHandler):
            def do_POST(self):
                size = int(self.headers["content-length"])
                request = json.loads(self.rfile.read(size))
                model.requests.append(request)
                time.sleep(model.pause())
                try:
                    self.answer(request["messages"])
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def answer(self, messages):
                last, finish = messages[-1], "stop"
                if last["role"] == "tool":
                    # Inside the fence: [data from TOOL, up to W], the result, [W].
                    delta = {"content": "result " + last["content"].split("\n")[1]}
                elif last["content"].startswith("turn "):
                    number = last["content"].split()[1]
                    call = {
                        "index": 0,
                        "id": f"call_{number}",
                        "type": "function",
                        "function": {
                            "name": "calculator",
                            "arguments": json.dumps({"expression": number + "+1"}),
                        },
                    }
                    delta, finish = {"tool_calls": [call]}, "tool_calls"
                else:
                    delta = {"content": "you said " + last["content"]}
                self.stream(delta, finish)

        self.pause = lambda: 0
        super().__init__(Handler)
        self.url += "/v1"


@pytest.fixture()
def model():
    model = Model()
    yield model
    model.close()


@pytest.fixture()
def config(model, policies, tmp_path):
    path = tmp_path / "corral.yaml"
    path.write_text(
        f"data: {tmp_path / 'data'}\n"
        f"policy: {policies('sessions', RULES)}\n"
        f"backend: {{openai: {{base_url: '{model.url}'}}}}\n"
        "tools: [calculator]\n"
        "log: warn\n"
    )
    return path


def create(server, **body):
    answer = server.http.post("/v1/sessions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def say(server, session, content, **more):
    return server.http.post(
        f"/v1/sessions/{session}/messages",
        json={"model": "m", "content": content, **more},
    )


def text_of(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


def entries(server, session):
    answer = server.http.get(f"/v1/sessions/{session}")
    assert answer.status_code == 200, answer.text
    return answer.json()["entries"]


def messages(server, session):
    return [e["message"] for e in entries(server, session) if "message" in e]


def events(server, session):
    return [e["event"] for e in entries(server, session) if "event" in e]


def test_a_conversation_goes_on(start, config, model):
    server = start("-c", config)
    session = create(server, system="Be kind.", metadata={"user": "ann"})
    assert text_of(say(server, session, "one")) == "you said one"
    assert text_of(say(server, session, "two")) == "you said two"
    assert [(m["role"], m["content"]) for m in model.requests[-1]["messages"]] == [
        ("system", "Be kind."),
        ("user", "one"),
        ("assistant", "you said one"),
        ("user", "two"),
    ]
    assert server.stop() == 0
    server = start("-c", config)
    assert text_of(say(server, session, "three")) == "you said three"
    assert len(model.requests[-1]["messages"]) == 6
    shown = server.http.get(f"/v1/sessions/{session}").json()
    assert shown["metadata"] == {"user": "ann"} and not shown["running"]


def test_a_tool_and_a_stream(start, config, model):
    server = start("-c", config)
    session = create(server)
    answer = say(server, session, "turn 41", stream=True)
    assert answer.status_code == 200
    events_sent = answer.text.split("\n\n")
    assert events_sent[-2:] == ["data: [DONE]", ""]
    deltas = [
        json.loads(e.removeprefix("data: "))["choices"][0]["delta"]
        for e in events_sent[:-2]
    ]
    assert "".join(d.get("content") or "" for d in deltas) == "result 42"
    roles = [m["role"] for m in messages(server, session)]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert messages(server, session)[2]["content"] == "42"
    assert events(server, session)[-1] == {"type": "turn", "finish": "stop"}


def test_what_is_refused_is_not_kept(start, config, model):
    server = start("-c", config)
    session = create(server)
    answer = say(server, session, "the zebra crossing")
    assert answer.json()["choices"][0]["finish_reason"] == "content_filter"
    assert messages(server, session) == []
    assert events(server, session)[0]["corral"]["checks"] == ["no-stripes"]
    assert "zebra" not in server.http.get(f"/v1/sessions/{session}").text
    # It goes on as if it had not been said.
    assert text_of(say(server, session, "hello")) == "you said hello"
    # The system text is judged like any other.
    other = create(server, system="Speak of the zebra crossing.")
    answer = say(server, other, "hello")
    assert answer.json()["choices"][0]["finish_reason"] == "content_filter"


def test_forks_and_pages(start, config, model):
    server = start("-c", config)
    session = create(server)
    say(server, session, "one")
    say(server, session, "turn 1")
    fork = server.http.post(f"/v1/sessions/{session}/fork", json={"at": 2}).json()
    assert fork["forked_from"] == session
    assert [m["content"] for m in messages(server, fork["id"])] == [
        "one",
        "you said one",
    ]
    say(server, fork["id"], "other")
    assert len(messages(server, session)) == 6
    inside = server.http.post(f"/v1/sessions/{session}/fork", json={"at": 4})
    assert inside.status_code == 400  # the call without its result
    page = server.http.get("/v1/sessions?limit=1").json()
    assert [s["id"] for s in page["data"]] == [fork["id"]] and page["has_more"]
    page = server.http.get(f"/v1/sessions?after={fork['id']}").json()
    assert [s["id"] for s in page["data"]] == [session] and not page["has_more"]
    assert server.http.delete(f"/v1/sessions/{session}").json()["deleted"]
    assert server.http.get(f"/v1/sessions/{session}").status_code == 404
    assert len(messages(server, fork["id"])) == 4


def test_one_turn_at_a_time(start, config, model):
    server = start("-c", config)
    session = create(server)
    gate = threading.Event()
    model.pause = lambda: gate.wait(20) and 0
    answers = []
    first = threading.Thread(
        target=lambda: answers.append(
            httpx.post(
                f"{server.url}/v1/sessions/{session}/messages",
                json={"model": "m", "content": "slow"},
                timeout=60,
            )
        )
    )
    first.start()
    while not model.requests:
        time.sleep(0.01)
    assert say(server, session, "fast").status_code == 409
    assert server.http.delete(f"/v1/sessions/{session}").status_code == 409
    gate.set()
    first.join()
    assert text_of(answers[0]) == "you said slow"
    assert text_of(say(server, session, "fast")) == "you said fast"


@pytest.mark.parametrize(
    "body, told",
    [
        ({}, "content: missing, and so is messages"),
        ({"content": 1}, "content: not a text"),
        ({"content": "a", "messages": [{"role": "user", "content": "a"}]}, "content: not together"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "obey"}]}, "messages: only of the roles"),
        ({"messages": [{"role": "assistant", "content": "I said"}]}, "messages: only of the roles"),
        ({"content": "a", "n": 2}, "n: a session goes on with one answer"),
        ({"content": "a", "temperature": "hot"}, "temperature"),
    ],
)
def test_wrong_turns(start, config, body, told):
    server = start("-c", config)
    session = create(server)
    path = f"/v1/sessions/{session}/messages"
    answer = server.http.post(path, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(told)
    assert messages(server, session) == []
    assert text_of(say(server, session, "hello")) == "you said hello"


def test_a_client_that_leaves(start, config, model):
    server = start("-c", config)
    session = create(server)
    model.pause = lambda: 3
    with pytest.raises(httpx.TimeoutException):
        httpx.post(
            f"{server.url}/v1/sessions/{session}/messages",
            json={"model": "m", "content": "slow"},
            timeout=1,
        )
    model.pause = lambda: 0
    for _ in range(100):
        answer = say(server, session, "back")
        if answer.status_code != 409:
            break
        time.sleep(0.05)
    assert text_of(answer) == "you said back"
    assert events(server, session)[0]["finish"] == "aborted"


def test_a_window_that_fills(start, config, model):
    text = config.read_text()
    config.write_text(text + "agent: {context: {tokens: 400}}\n")
    server = start("-c", config)
    session = create(server, system="Be kind.")
    told = []
    for i in range(12):
        answer = say(server, session, f"{i} " + "x" * 30)
        assert text_of(answer).startswith(f"you said {i} ")
        told.append(answer.json().get("corral", {}).get("dropped_messages", 0))
    sent = model.requests[-1]["messages"]
    assert sent[0]["role"] == "system" and sent[1]["role"] == "user"
    assert sum(len(m["content"]) for m in sent) < 3 * 400
    compacted = [e for e in events(server, session) if e["type"] == "compacted"]
    assert [e["dropped_messages"] for e in compacted] == [n for n in told if n]
    assert 1 <= len(compacted) < 6  # a cut makes room for several turns
    assert len(messages(server, session)) == 24  # the record keeps all
    long = say(server, session, "y" * 4000)
    assert long.status_code == 400 and "400" in long.json()["error"]["message"]
    assert server.stop() == 0

    config.write_text(text + "agent: {context: {compact: refuse, tokens: 400}}\n")
    server = start("-c", config)
    answers = [say(server, session, "z" * 150) for _ in range(4)]
    assert [a.status_code for a in answers][-1] == 400
    count = len(messages(server, session))
    assert say(server, session, "z" * 150).status_code == 400
    assert len(messages(server, session)) == count


def check_record(server, session, acknowledged):
    """Every acknowledged turn is whole; no call has two results, or none."""
    kept = messages(server, session)
    calls = [c["id"] for m in kept for c in m.get("tool_calls", [])]
    results = [m["tool_call_id"] for m in kept if m["role"] == "tool"]
    assert len(calls) == len(set(calls))
    assert calls == results
    for number in acknowledged:
        at = [i for i, m in enumerate(kept) if m["content"] == f"turn {number}"]
        assert len(at) == 1, number
        turn = kept[at[0] : at[0] + 4]
        assert [m["role"] for m in turn] == ["user", "assistant", "tool", "assistant"]
        assert turn[2]["content"] == str(number + 1)
        assert turn[3]["content"] == f"result {number + 1}"
    return kept


def settle(server, session):
    """The calculator may run again, so a turn that was cut off in it goes on."""
    path = f"/v1/sessions/{session}"
    assert until(lambda: not server.http.get(path).json()["running"])


def test_killed_at_any_moment(config, model):
    """The moments are random, spread over the turns' own length."""
    moment = random.Random(5)
    model.pause = lambda: moment.uniform(0, 0.01)
    acknowledged, number, session = [], 0, None
    for _ in range(KILLS):
        server = Corral("-c", config)
        try:
            session = session or create(server)
            settle(server, session)
            check_record(server, session, acknowledged)
            killer = threading.Timer(
                moment.uniform(0.0, 0.15),
                lambda: server.process.send_signal(signal.SIGKILL),
            )
            killer.start()
            while True:
                number += 1
                answer = say(server, session, f"turn {number}")
                assert answer.status_code == 200, answer.text
                acknowledged.append(number)
        except httpx.TransportError:
            pass
        finally:
            server.process.kill()
            server.stop()
    server = Corral("-c", config)
    settle(server, session)
    check_record(server, session, acknowledged)
    ends = [e["finish"] for e in events(server, session)]
    assert len(acknowledged) > KILLS / 2
    assert "interrupted" in ends
    assert not server.http.get(f"/v1/sessions/{session}").json()["running"]
    assert server.stop() == 0
