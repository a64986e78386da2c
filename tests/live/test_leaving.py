"""A client that leaves takes its work along, whatever does it, and is recorded
all the same."""

import json
import socket
import threading

import pytest

from conftest import RULES, run, until
from test_tools import Caller

SECONDS = 20


def begin(server, fields, buffer=None):
    """A request whose answer nobody reads yet; with `buffer`, no more than some
    kB of it fit on the way."""
    body = json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "Tell me a very long story."}], **fields}
    ).encode()
    s = socket.socket()
    if buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        # What the kernel keeps for the sender is a number of segments.
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    s.settimeout(SECONDS)
    s.connect(("127.0.0.1", server.port))
    s.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    )
    return s


def recorded(config):
    """Status and decisions of the requests so far."""
    done = run("audit", "export", "-c", config)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [(r["status"], r["decisions"]) for r in found if r["kind"] == "request"]


@pytest.fixture()
def serve(start, tmp_path, policies):
    def begin_server(**more):
        config = tmp_path / "corral.yaml"
        config.write_text(
            json.dumps({"policy": str(policies("leaving", RULES)), "data": str(tmp_path / "data"), "audit": {}, **more})
        )
        server = start("-c", config)
        server.config = config
        return server

    return begin_server


STEPS = 64  # of the engine, at most, after a client has left


@pytest.mark.parametrize("stream", [True, False])
def test_the_engine_stops(serve, stream):
    """Within a few of the thousands of tokens that were asked for, whatever
    they take: each step of the engine makes one."""
    server = serve()
    # It may not end by itself (0 and 2 end a text).
    endless = {"max_tokens": 4000, "logit_bias": {"0": -100, "2": -100}}
    with begin(server, {**endless, "stream": stream}):
        assert until(lambda: server.metric("corral_engine_jobs_running") >= 1)
        before = server.metric("corral_engine_steps_total")
    assert until(lambda: server.metric("corral_engine_jobs_running") == 0)
    assert server.metric("corral_engine_steps_total") - before <= STEPS
    assert until(lambda: recorded(server.config) == [(499, 1)])


def test_an_upstream_stops(serve, upstream):
    """One that has said a word, and is silent now, is left without another
    byte of it."""
    gate = threading.Event()

    def pieces():
        yield "Once there was a sea. "
        gate.wait(SECONDS)
        while not upstream.gone.is_set():
            yield "It was blue. "

    upstream.choose = pieces
    server = serve(backend={"openai": {"base_url": upstream.url}})
    with begin(server, {"stream": True}) as s:
        read = b""
        while b"Once" not in read:
            part = s.recv(65536)
            assert part, read
            read += part
    assert until(lambda: [s for s, _ in recorded(server.config)] == [499])
    assert not gate.is_set()
    gate.set()
    assert upstream.gone.wait(SECONDS)


def test_a_tool_stops(serve):
    """An endpoint that never answers is left when the client is."""
    mock = Caller()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(SECONDS)
        mock.calls = [("ask", {})]
        tool = {
            "name": "ask",
            "description": "Asks.",
            "url": f"http://127.0.0.1:{silent.getsockname()[1]}/",
            "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
        }
        server = serve(backend={"openai": {"base_url": mock.url}}, tools=[{"http": tool}])
        with begin(server, {}):
            asked, _ = silent.accept()
            asked.settimeout(SECONDS)
            assert asked.recv(65536).startswith(b"GET / ")
        with asked:
            assert asked.recv(1) == b""  # and not a time-out
    # The request and the call were judged.
    assert until(lambda: [s for s, _ in recorded(server.config)] == [499])
    mock.close()
