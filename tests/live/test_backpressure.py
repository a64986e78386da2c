"""A client that reads slowly, or not at all, holds up its own answer and
nothing else: neither memory nor other clients."""

import json
import re
import socket
import time

import pytest

from conftest import RULES, until
from test_answers import ask

PIECE = "All work and no play makes a long answer. " * 20
PIECES = 20000  # 16 MiB of text: more than any buffer on the way


@pytest.fixture()
def server(start, policies, upstream):
    upstream.pieces = [PIECE] * PIECES
    return start("--policy", policies("pressure", RULES), "--upstream", upstream.url)


def rss_mb(server):
    for line in open(f"/proc/{server.process.pid}/status", encoding="ascii"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0


def ask_raw(server):
    body = json.dumps(
        {
            "model": "m",
            "stream": True,
            "messages": [{"role": "user", "content": "Hi"}],
        }
    ).encode()
    s = socket.create_connection(("127.0.0.1", server.port))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    s.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
        % (len(body), body)
    )
    return s


def said(stream):
    """The text of a stream's chunks."""
    chunks = re.findall(rb"^data: (\{.*\})\r?$", stream, re.M)
    deltas = [c["choices"][0]["delta"] for c in map(json.loads, chunks)]
    return "".join(d.get("content") or "" for d in deltas)


def stalled(upstream):
    """The upstream sends nothing for a while (no buffer
    fills that slowly), although there is more."""
    before = upstream.sent
    time.sleep(2)
    return 0 < before == upstream.sent < PIECES


def test_not_reading(server, upstream):
    before = rss_mb(server)
    with ask_raw(server):
        assert until(lambda: stalled(upstream))
        assert rss_mb(server) - before < 8
        assert server.http.get("/healthz").status_code == 200
    assert upstream.gone.wait(20)  # and the client's leaving is seen meanwhile


def test_reading_late(server, upstream):
    """What was held up arrives whole, once it is read."""
    upstream.pieces = [PIECE] * (PIECES // 8)
    with ask_raw(server) as s:
        time.sleep(0.5)
        parts = []
        while part := s.recv(1 << 20):
            parts.append(part)
    whole = b"".join(parts)
    assert b"data: [DONE]" in whole
    assert said(whole) == PIECE * (PIECES // 8)


def test_others_go_on(server, upstream):
    with ask_raw(server):
        assert until(lambda: stalled(upstream))
        upstream.pieces = ["quick"]
        assert ask(server, "Hi").choices[0].message.content == "quick"
