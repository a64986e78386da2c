"""Everything that an upstream can do wrong, and what the client hears: an error
that says so, never half an answer that passes for a whole one."""

import json
import socket
import struct
import threading
import time

import openai
import pytest

from conftest import RULES, until
from test_answers import ask, join

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
TO_THE_END = HEAD + b"connection: close\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def event(delta, finish=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


TEXT = event({"content": "Half an answer. "})
WHOLE = TEXT + event({}, "stop") + b"data: [DONE]\n\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def stall(s):
    """Until the other side gives up."""
    while s.recv(4096):
        pass


def drip(s, data):
    """Byte by byte, often enough for any idle time."""
    for i in range(len(data)):
        s.sendall(data[i : i + 1])
        time.sleep(0.1)


def says(*parts):
    """Send these bytes, then do the functions among them."""

    def behave(s):
        for part in parts:
            if callable(part):
                part(s)
            else:
                s.sendall(part)

    return behave


class Faulty:
    """A server with one way to behave. `request` has been read before it."""

    def __init__(self, behave, accept=True):
        self.behave = behave
        self.left = threading.Event()  # the client closed
        self.asked = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        if accept:
            threading.Thread(target=self.accept, daemon=True).start()
        else:
            self.socket.close()

    def accept(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        self.asked += 1
        with s:
            try:
                read_request(s)
                self.behave(s)
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.left.set()

    def close(self):
        self.socket.close()


def read_request(s):
    data = b""
    while b"\r\n\r\n" not in data:
        data += s.recv(65536)
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += s.recv(65536)


# What it does; what a client hears that does not stream; whether a stream has
# begun by then (it hears the same status if not).
FAULTS = {
    "reset at once": (says(reset), 502, False),
    "closed at once": (says(), 502, False),
    "reset in mid-headers": (says(HEAD[:30], reset), 502, False),
    "closed in mid-headers": (says(HEAD), 502, False),
    "reset in mid-stream": (says(CHUNKED, chunk(TEXT), reset), 502, True),
    "closed in mid-stream": (says(CHUNKED, chunk(TEXT)), 502, True),
    "closed in mid-chunk": (says(CHUNKED, chunk(TEXT)[:-9]), 502, True),
    "no finish": (says(CHUNKED, chunk(TEXT), b"0\r\n\r\n"), 502, True),
    "done without a finish": (
        says(CHUNKED, chunk(TEXT + b"data: [DONE]\n\n"), b"0\r\n\r\n"),
        502,
        True,
    ),
    "silent": (says(stall), 503, False),
    "silent in mid-headers": (says(HEAD, stall), 503, False),
    "silent in mid-stream": (says(CHUNKED, chunk(TEXT), stall), 503, True),
    "dripping headers": (lambda s: drip(s, HEAD * 100), 503, False),
    "endless headers": (
        lambda s: s.sendall(HEAD + b"x: " + b"y" * (1 << 20)),
        502,
        False,
    ),
    "endless header count": (lambda s: s.sendall(HEAD + b"a: b\r\n" * 5000), 502, False),
    "not HTTP": (says(b"SSH-2.0-OpenSSH_9.9\r\n", stall), 502, False),
    "bare line feeds": (says(HEAD.replace(b"\r\n", b"\n") + b"\n" + WHOLE), 502, False),
    "two lengths": (
        says(PLAIN + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{} "),
        502,
        False,
    ),
    "length and chunks": (
        says(PLAIN + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}"),
        502,
        False,
    ),
    "malformed chunk": (says(CHUNKED, chunk(TEXT), b"xyz\r\n"), 502, True),
    "endless chunk size": (says(CHUNKED, b"1" * 40), 502, False),
    "short of its length": (says(PLAIN + b"content-length: 900\r\n\r\n{}"), 502, False),
    "compressed": (
        says(PLAIN + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}"),
        502,
        False,
    ),
    "malformed JSON": (says(PLAIN + b'content-length: 9\r\n\r\n{"choices'), 502, False),
    "another JSON": (says(PLAIN + b"content-length: 2\r\n\r\n[]"), 502, False),
    "a page": (
        says(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<h1>Hello</h1>"),
        502,
        False,
    ),
    "malformed event": (says(CHUNKED, chunk(TEXT + b"data: {]\n\n")), 502, True),
    "an error event": (
        says(CHUNKED, chunk(TEXT + b'data: {"error":{"message":"private"}}\n\n')),
        502,
        True,
    ),
    "half a character": (
        says(
            CHUNKED,
            chunk(TEXT + b'data: {"choices":[{"delta":{"content":"\xc3"}}]}\n\n'),
        ),
        502,
        True,
    ),
    "endless event": (
        lambda s: s.sendall(TO_THE_END + b"data: " + b"a" * (9 << 20)),
        502,
        False,
    ),
    "moved": (says(b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n"), 502, False),
    "switching": (says(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), 502, False),
    **{
        str(status): (
            says(b"HTTP/1.1 %d x\r\ncontent-length: 9999\r\n\r\nprivate" % status, stall),
            heard,
            False,
        )
        for status, heard in [
            (400, 400),
            (401, 502),
            (404, 502),
            (429, 429),
            (500, 502),
            (502, 502),
            (503, 503),
            (504, 502),
        ]
    },
}


@pytest.fixture()
def serve(start, policies, tmp_path):
    faulty = []

    def begin(behave, seconds=60):
        faulty.append(Faulty(behave))
        path = tmp_path / "corral.yaml"
        path.write_text(f"""
policy: {policies("faults", RULES)}
agent: {{seconds: {seconds}}}
backend:
  openai: {{base_url: "{faulty[0].url}", first_byte_ms: 700, idle_ms: 700}}
""")
        return start("-c", path), faulty[0]

    yield begin
    for f in faulty:
        f.close()


@pytest.mark.parametrize("name", FAULTS)
def test_fault(serve, name):
    behave, status, begun = FAULTS[name]
    server, _ = serve(behave)
    with pytest.raises(openai.APIStatusError) as whole:
        ask(server, "Hi")
    assert whole.value.status_code == status
    assert "private" not in str(whole.value.body)
    with pytest.raises(openai.APIError) as stream:
        for part in ask(server, "Hi", stream=True):
            assert part.choices[0].finish_reason is None
    # The text before it may have been out already.
    if not begun:
        assert stream.value.status_code == status
    assert "private" not in str(stream.value.body)
    assert server.http.get("/healthz").status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_refused(start, policies, stream):
    gone = Faulty(None, accept=False)
    server = start("--policy", policies("faults", RULES), "--upstream", gone.url)
    with pytest.raises(openai.APIStatusError) as e:
        ask(server, "Hi", stream=stream)
    assert e.value.status_code == 503


def test_dripping_answer(serve):
    """An answer that never ends is cut by the turn's own time, and says so."""
    endless = event({"content": "a"}) * 1000
    server, faulty = serve(lambda s: (s.sendall(TO_THE_END), drip(s, endless)), 1)
    answer = ask(server, "Hi")
    assert answer.choices[0].finish_reason == "length"
    assert faulty.left.wait(20)


def test_well(serve):
    """The same machinery with nothing wrong, drop by drop."""
    server, _ = serve(says(CHUNKED, *[chunk(WHOLE[i : i + 1]) for i in range(len(WHOLE))], b"0\r\n\r\n"))
    assert ask(server, "Hi").choices[0].message.content == "Half an answer. "
    assert join(ask(server, "Hi", stream=True))[0] == "Half an answer. "


@pytest.mark.parametrize("behave", [says(stall), says(CHUNKED, chunk(TEXT), stall)])
@pytest.mark.parametrize("stream", [False, True])
def test_client_leaves(serve, behave, stream):
    """Whoever leaves takes the upstream's work along, long before any time-out
    of the upstream's."""
    server, faulty = serve(behave)
    body = {
        "model": "m",
        "stream": stream,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    data = json.dumps(body).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(data)
            + data
        )
        assert until(lambda: faulty.asked == 1)
        assert not faulty.left.is_set()
    assert faulty.left.wait(20)
    assert until(lambda: server.metric("corral_in_flight") == 1)  # the question itself
