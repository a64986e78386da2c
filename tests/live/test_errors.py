"""Bad input gets a clear answer, in the shape that clients know."""

import json
import socket

import pytest

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]


def check_error(response, status, param=None, code=None):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"] and error["type"]
    if param is not None:
        assert error["param"] == param, error
    if code is not None:
        assert error["code"] == code, error


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        '{"model":"x","model":"y","messages":[]}',
        '{"messages":' + "[" * 100 + "]" * 100 + "}",
        '"\\u0000"',
    ],
)
def test_not_json(corral, body):
    r = corral.http.post(CHAT, content=body, headers={"content-type": "application/json"})
    check_error(r, 400)


def test_not_utf8(corral):
    r = corral.http.post(
        CHAT,
        content=b'{"messages":[{"role":"user","content":"\xff"}]}',
        headers={"content-type": "application/json"},
    )
    check_error(r, 400)


@pytest.mark.parametrize(
    "change,param",
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"n": 9}, "n"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logit_bias": {"1": 101}}, "logit_bias.1"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"49152": 1}}, "logit_bias"),
        ({"seed": "a"}, "seed"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
    ],
)
def test_field(corral, change, param):
    body = {"model": "x", "messages": HELLO, "max_tokens": 1, **change}
    check_error(corral.http.post(CHAT, json=body), 400, param=param)


def test_too_many_stops(corral):
    body = {"model": "x", "messages": HELLO, "stop": ["x"] * 17}
    check_error(corral.http.post(CHAT, json=body), 400)


def test_routes(corral):
    check_error(corral.http.get("/nothing"), 404)
    check_error(corral.http.get("/v1/models/none"), 404)
    r = corral.http.get(CHAT)
    check_error(r, 405)
    r = corral.http.post(CHAT, content="x=1", headers={"content-type": "text/plain"})
    check_error(r, 415)


@pytest.mark.parametrize(
    "method, path, allow",
    [
        ("GET", CHAT, "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("PUT", "/v1/models/m", "GET, HEAD"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("PUT", "/v1/responses/resp_1", "GET, HEAD, DELETE"),
        ("PUT", "/v1/sessions", "GET, HEAD, POST"),
        ("POST", "/v1/sessions/s1", "GET, HEAD, DELETE"),
        ("GET", "/v1/sessions/s1/fork", "POST"),
        ("DELETE", "/v1/approvals/a", "POST"),
    ],
)
def test_allow(corral, method, path, allow):
    """405 says which methods the path has, and all that it says are had."""
    r = corral.http.request(method, path, json={})
    check_error(r, 405)
    assert sorted(r.headers["allow"].split(", ")) == sorted(allow.split(", "))
    for known in allow.split(", "):
        assert corral.http.request(known, path).status_code != 405


def test_body_too_large(corral):
    body = json.dumps({"messages": [{"role": "user", "content": "x" * (64 << 20)}]})
    r = corral.http.post(CHAT, content=body, headers={"content-type": "application/json"})
    check_error(r, 413)


def test_prompt_longer_than_context(corral):
    body = {"model": "x", "messages": [{"role": "user", "content": "word " * 20000}]}
    check_error(corral.http.post(CHAT, json=body), 400)


def raw(server, data, wait=10):
    """What a plain socket gets back, up to the close or the time."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait) as s:
        s.sendall(data)
        got = b""
        try:
            while part := s.recv(65536):
                got += part
                if b"\r\n\r\n" in got and got.endswith(b"}"):
                    break
        except TimeoutError:
            pass
        return got


def test_headers_too_large(corral):
    got = raw(corral, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200000 + b"\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST " + CHAT.encode() + b" HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST " + CHAT.encode() + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ],
)
def test_not_http(corral, data):
    got = raw(corral, data)
    status = int(got.split(b" ")[1])
    assert 400 <= status < 600, got
    assert corral.http.get("/healthz").status_code == 200
