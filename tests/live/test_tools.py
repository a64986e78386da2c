"""Corral's own tools in the whole server, called by an upstream's words."""

import json

import httpx2 as httpx
import pytest
import sqlite3

from conftest import RULES, Corral, stop_clean
from mock_upstream import MockUpstream, chunk


# Code that leaves a picture.
DOT = (
    "import zlib, struct\n"
    "p = lambda t, d: struct.pack('>I', len(d)) + t + d"
    " + struct.pack('>I', zlib.crc32(t + d))\n"
    "open('dot.png', 'wb').write(b'\\x89PNG\\r\\n\\x1a\\n'"
    " + p(b'IHDR', struct.pack('>IIBBBBB', 1, 1, 8, 0, 0, 0, 0))"
    " + p(b'IDAT', zlib.compress(b'\\0\\0')) + p(b'IEND', b''))"
)


class Caller(MockUpstream):
    """Asks for one tool call after the other, then answers with what the last
    one said."""

    def __init__(self):
        self.calls = []
        super().__init__()

    @property
    def raw(self):
        asked = self.requests[-1]["messages"] if self.requests else []
        results = [m for m in asked if m["role"] == "tool"]
        if len(results) < len(self.calls):
            name, arguments = self.calls[len(results)]
            call = {
                "index": 0,
                "id": f"call-{len(results)}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            delta = {"role": "assistant", "tool_calls": [call]}
            return [chunk(delta), chunk({}, "tool_calls")]
        text = results[-1]["content"] if results else "nothing"
        return [chunk({"role": "assistant", "content": text}), chunk({}, "stop")]

    @raw.setter
    def raw(self, value):
        pass


@pytest.fixture
def upstream():
    mock = Caller()
    yield mock
    mock.close()


def serve(tmp_path, policies, upstream, tools):
    config = tmp_path / "corral.yaml"
    config.write_text(
        f"policy: {policies('live', RULES)}\n"
        "backend:\n  openai:\n"
        f"    base_url: {upstream.url}\n"
        f"tools:\n{tools}",
        encoding="utf-8",
    )
    return Corral("-c", config)


def ask(server):
    answer = server.http.post(
        "/v1/chat/completions",
        json={"model": "mock", "messages": [{"role": "user", "content": "go"}]},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


def test_code_interpreter(tmp_path, policies, upstream):
    try:
        server = serve(tmp_path, policies, upstream, "  - code_interpreter\n")
    except RuntimeError as error:
        if "no sandbox" in str(error):
            pytest.skip(str(error)[-300:])
        raise
    try:
        upstream.calls = [
            ("code_interpreter", {"code": "x = 6"}),
            ("code_interpreter", {"code": "x * 7"}),
        ]
        assert "42\n" in ask(server)
        upstream.calls = [("code_interpreter", {"code": "open('/etc/passwd')"})]
        assert "FileNotFoundError" in ask(server)
        upstream.calls = [("code_interpreter", {"code": DOT})]
        text = ask(server)
        assert "[picture dot.png: 67 bytes, sha256 " in text
        path = text[text.index("/v1/artefacts/") :].split("]")[0]
        picture = server.http.get(path)
        assert picture.status_code == 200
        assert picture.headers["content-type"] == "image/png"
        assert picture.content.startswith(b"\x89PNG") and len(picture.content) == 67
        assert server.http.get("/v1/artefacts/" + "0" * 24).status_code == 404
    finally:
        stop_clean(server)


def test_client_leaves(tmp_path, policies, upstream):
    """The tool of a client that went away is stopped, and the server ends."""
    try:
        server = serve(tmp_path, policies, upstream, "  - code_interpreter\n")
    except RuntimeError as error:
        if "no sandbox" in str(error):
            pytest.skip(str(error)[-300:])
        raise
    upstream.calls = [("code_interpreter", {"code": "while True: pass"})]
    with pytest.raises(httpx.ReadTimeout):
        server.http.post(
            "/v1/chat/completions",
            json={"model": "m", "messages": [{"role": "user", "content": "go"}]},
            timeout=2,
        )
    stop_clean(server)


def test_sql_query(tmp_path, policies, upstream):
    with sqlite3.connect(tmp_path / "shop.db") as db:
        db.execute("CREATE TABLE sale (item TEXT, n INTEGER)")
        db.executemany("INSERT INTO sale VALUES (?, ?)", [("tea", 3), ("pot", 7)])
    tools = "  - sql_query: {database: shop.db, name: shop}\n"
    server = serve(tmp_path, policies, upstream, tools)
    try:
        upstream.calls = [
            ("shop", {"query": "SELECT item, sum(n) AS sold FROM sale GROUP BY item"})
        ]
        assert "item | sold\npot | 7\ntea | 3\n" in ask(server)
        tool = upstream.requests[-1]["tools"][0]["function"]
        assert "CREATE TABLE sale" in tool["description"]
        upstream.calls = [("shop", {"query": "DELETE FROM sale"})]
        assert "not authorized" in ask(server)
        upstream.calls = [("shop", {"query": "SELECT count(*) FROM sale"})]
        assert "count(*)\n2\n" in ask(server)
    finally:
        stop_clean(server)


@pytest.mark.parametrize(
    "tools, place",
    [
        ("  - sql_query\n", ":6:5: sql_query: a database is needed"),
        ("  - sql_query: {database: no.db}\n", ":6:27: sql_query: "),
        ("  - sql_query: {databse: x}\n", ':6:17: unknown key "databse"'),
        ("  - no_such\n", ':6:5: no_such: there is no tool "no_such"'),
    ],
)
def test_wrong_options(tmp_path, policies, upstream, tools, place):
    with pytest.raises(RuntimeError) as error:
        serve(tmp_path, policies, upstream, tools)
    assert "corral.yaml" + place in str(error.value)
