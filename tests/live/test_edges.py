"""The edges of HTTP/1.1: what two servers could read differently is refused and
the connection closed; what is allowed but rare works."""

import gzip
import json
import re
import socket
import ssl
import struct
import subprocess
import threading
import zlib

import httpx2 as httpx
import pytest

from conftest import RULES, until

CHAT = "/v1/chat/completions"
ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
BODY = json.dumps(ASK).encode()
BLOCKED = {"model": "m", "messages": [{"role": "user", "content": "a zebra crossing"}]}
# Were it read as a request of its own, it would be answered.
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def edge(policies, tmp_path_factory):
    """Rules alone, before a mock upstream of its own."""
    from conftest import Corral, MockUpstream, stop_clean

    mock = MockUpstream()
    path = tmp_path_factory.mktemp("edge") / "corral.yaml"
    path.write_text(
        f"policy: {policies('edges', RULES)}\n"
        f"backend: {{openai: {{base_url: '{mock.url}'}}}}\n"
        "limits: {body_bytes_max: 100000}\n"
    )
    server = Corral("-c", path)
    server.mock = mock
    yield server
    stop_clean(server)
    mock.close()


def talk(port, *parts, wait=20, context=None):
    """What comes back until the server closes, which it must in `wait`."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as s:
        if context:
            s = context.wrap_socket(s, server_hostname="127.0.0.1")
        for part in parts:
            try:
                s.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                break
        got = b""
        try:
            while piece := s.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
        return got


def post(*headers, path=CHAT, body=b""):
    lines = [f"POST {path} HTTP/1.1".encode(), b"Host: a", b"Content-Type: application/json"]
    return b"\r\n".join([*lines, *headers, b"", b""]) + body


CHUNKED = b"Transfer-Encoding: chunked"
WHOLE = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = b"Content-Length: %d" % len(BODY)

SMUGGLING = {
    "length and chunks": post(LENGTH, CHUNKED, body=WHOLE),
    "chunks and length": post(CHUNKED, LENGTH, body=WHOLE),
    "chunks and no length": post(CHUNKED, b"Content-Length: 0", body=WHOLE),
    "a length twice": post(LENGTH, LENGTH, body=BODY),
    "two lengths": post(LENGTH, b"Content-Length: 0", body=BODY),
    "a list of lengths": post(b"Content-Length: 5, 5", body=BODY),
    "a signed length": post(b"Content-Length: +5", body=BODY),
    "a negative length": post(b"Content-Length: -5", body=BODY),
    "a hexadecimal length": post(b"Content-Length: 0x5", body=BODY),
    "a length with a blank in it": post(b"Content-Length: 1 0", body=BODY),
    "a length past 64 bits": post(b"Content-Length: 18446744073709551621", body=BODY),
    "an empty length": post(b"Content-Length:", body=BODY),
    "a folded length": post(b"Content-Length:\r\n 5", body=BODY),
    "a folded line": post(LENGTH, b"X: a\r\n b", body=BODY),
    "a folded first line": b"POST / HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n",
    "a blank before the colon": post(b"Content-Length : %d" % len(BODY), body=BODY),
    "a tab before the colon": post(b"Transfer-Encoding\t: chunked", body=WHOLE),
    "a blank before the name": post(LENGTH, b" Transfer-Encoding: chunked", body=WHOLE),
    "a bare LF in the head": post(b"X: a\nTransfer-Encoding: chunked", LENGTH, body=BODY),
    "a bare CR in the head": post(b"X: a\rTransfer-Encoding: chunked", LENGTH, body=BODY),
    "bare LFs alone": b"GET /healthz HTTP/1.1\nHost: a\n\n",
    "LF CR": b"GET /healthz HTTP/1.1\n\rHost: a\n\r\n\r",
    "a NUL in a value": post(LENGTH, b"X: a\0b", body=BODY),
    "a NUL in a name": post(LENGTH, b"X\0: a", body=BODY),
    "a NUL in the target": b"GET /heal\0thz HTTP/1.1\r\nHost: a\r\n\r\n",
    "no name": post(LENGTH, b": a", body=BODY),
    "no colon": post(LENGTH, b"nonsense", body=BODY),
    "a coding that is none": post(b"Transfer-Encoding: identity", LENGTH, body=BODY),
    "identity alone": post(b"Transfer-Encoding: identity"),
    "xchunked": post(b"Transfer-Encoding: xchunked", body=WHOLE),
    "chunked in quotes": post(b'Transfer-Encoding: "chunked"', body=WHOLE),
    "chunked twice": post(CHUNKED, CHUNKED, body=WHOLE),
    "chunked, chunked": post(b"Transfer-Encoding: chunked, chunked", body=WHOLE),
    "chunked, identity": post(b"Transfer-Encoding: chunked, identity", body=WHOLE),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=WHOLE),
    "a vertical tab": post(b"Transfer-Encoding:\x0bchunked", body=WHOLE),
    "an empty coding": post(b"Transfer-Encoding:", body=WHOLE),
    "chunked in 1.0": post(CHUNKED, body=WHOLE).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a huge chunk": post(CHUNKED, body=b"ffffffffffffffff0\r\nabc"),
    "a chunk past 64 bits": post(CHUNKED, body=b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "a negative chunk": post(CHUNKED, body=b"-5\r\nhello\r\n0\r\n\r\n"),
    "a signed chunk": post(CHUNKED, body=b"+5\r\nhello\r\n0\r\n\r\n"),
    "a chunk of 0x5": post(CHUNKED, body=b"0x5\r\nhello\r\n0\r\n\r\n"),
    "an empty chunk size": post(CHUNKED, body=b"\r\nhello\r\n0\r\n\r\n"),
    "a blank before a chunk": post(CHUNKED, body=b" 5\r\nhello\r\n0\r\n\r\n"),
    "a blank after a size": post(CHUNKED, body=b"5 \r\nhello\r\n0\r\n\r\n"),
    "a chunk with LF": post(CHUNKED, body=b"5\nhello\r\n0\r\n\r\n"),
    "a chunk with CR": post(CHUNKED, body=b"5\rhello\r\n0\r\n\r\n"),
    "a chunk that goes on": post(CHUNKED, body=b"5\r\nhelloX\r\n0\r\n\r\n"),
    "a chunk that ends with LF": post(CHUNKED, body=b"5\r\nhello\n0\r\n\r\n"),
    "an extension with LF": post(CHUNKED, body=b"5;a\nhello\r\n0\r\n\r\n"),
    "an extension with a NUL": post(CHUNKED, body=b"5;a\0b\r\nhello\r\n0\r\n\r\n"),
    "an end with LF": post(CHUNKED, body=b"5\r\nhello\r\n0\n\n"),
    "a folded trailer": post(CHUNKED, body=b"5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n"),
    "a trailer with LF": post(CHUNKED, body=b"5\r\nhello\r\n0\r\nX: a\n\r\n"),
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a blank in the target": b"GET /healthz x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tab": b"GET\t/healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "no version": b"GET /healthz\r\n\r\n",
    "a short version": b"GET /healthz HTTP/1\r\nHost: a\r\n\r\n",
    "a long version": b"GET /healthz HTTP/1.10\r\nHost: a\r\n\r\n",
    "HTTP/2 by surprise": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_smuggling(edge, name):
    """One answer, 400, and then the end: nothing behind it is read."""
    asked = len(edge.mock.requests)
    got = talk(edge.port, SMUGGLING[name] + SMUGGLED + SMUGGLED)
    assert got.startswith(b"HTTP/1.1 400 "), (name, got[:200])
    assert len(re.findall(rb"HTTP/1.1 \d", got)) == 1, got
    assert b"connection: close\r\n" in got
    assert len(edge.mock.requests) == asked


def test_smuggled_body_is_a_body(edge):
    """A request inside a body is text."""
    inside = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n\r\n"
    got = talk(
        edge.port,
        post(b"Content-Length: %d" % len(inside), b"Connection: close", body=inside),
    )
    assert got.count(b"HTTP/1.1 ") == 1 and got.startswith(b"HTTP/1.1 400 ")
    assert b"JSON" in got


def split_answers(got):
    """The status and JSON of each answer of a whole connection."""
    answers = []
    while got:
        head, _, got = got.partition(b"\r\n\r\n")
        size = int(re.search(rb"\r\ncontent-length: (\d+)", head)[1])
        answers.append((int(head.split(b" ")[1]), json.loads(got[:size])))
        got = got[size:]
    return answers


def test_pipelining(edge):
    """Answers come in the order of the requests, a refused one between."""
    blocked = json.dumps(BLOCKED).encode()
    got = talk(
        edge.port,
        post(LENGTH, body=BODY)
        + post(b"Content-Length: %d" % len(blocked), body=blocked)
        + post(CHUNKED, body=WHOLE)
        + post(LENGTH, path="/nowhere", body=BODY)
        + post(LENGTH, b"Connection: close", body=BODY)
        + SMUGGLED,
    )
    answers = split_answers(got)
    assert [status for status, _ in answers] == [200, 200, 200, 404, 200]
    said = [a["choices"][0]["message"]["content"] for s, a in answers if s == 200]
    assert said == ["Hello there.", "I can't help with that.", "Hello there.", "Hello there."]


def test_chunks_extensions_and_trailers(edge):
    """Allowed, and without meaning: no trailer becomes a header."""
    body = b"5;a=b;c\r\n%s\r\n%x;d=\"e\"\r\n%s\r\n0;last\r\nAuthorization: x\r\nHost: b\r\n\r\n"
    body %= (BODY[:5], len(BODY) - 5, BODY[5:])
    got = talk(edge.port, post(CHUNKED, b"Connection: close", body=body))
    assert [s for s, _ in split_answers(got)] == [200]
    many = b"0\r\n" + b"X: %s\r\n" % (b"a" * 1000) * 100
    got = talk(edge.port, post(CHUNKED, body=many))
    assert got.startswith(b"HTTP/1.1 431 ")


def test_connect(edge):
    """No proxy of that kind: refused, with the Allow that a 405 has to have."""
    got = talk(edge.port, b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 405 ") and b"\r\nallow: \r\n" in got


def test_expect(edge):
    """100 Continue before the body is sent; none for what is refused anyway."""
    with socket.create_connection(("127.0.0.1", edge.port), timeout=20) as s:
        s.sendall(post(LENGTH, b"Expect: 100-continue", b"Connection: close"))
        assert s.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(BODY)
        got = b""
        while piece := s.recv(65536):
            got += piece
    assert [s for s, _ in split_answers(got)] == [200]
    got = talk(edge.port, post(b"Content-Length: 100001", b"Expect: 100-continue"))
    assert got.startswith(b"HTTP/1.1 413 ")
    got = talk(edge.port, post(LENGTH, b"Expect: 200-maybe"))
    assert got.startswith(b"HTTP/1.1 417 ")
    got = talk(edge.port, post(LENGTH, b"Expect: 100-continue", b"Connection: close", body=BODY))
    assert got.endswith(b"}") and b"HTTP/1.1 200 OK" in got


# --- packed bodies ------------------------------------------------------------


def packed(server, body, coding="gzip"):
    return server.http.post(
        CHAT,
        content=body,
        headers={"content-type": "application/json", "content-encoding": coding},
    )


def test_gzip(edge):
    """What is judged, and what the upstream gets, is the text unpacked."""
    answer = packed(edge, gzip.compress(BODY)).json()
    assert answer["choices"][0]["message"]["content"] == "Hello there."
    assert edge.mock.requests[-1]["messages"] == ASK["messages"]
    assert "content-encoding" not in {k.lower() for k in edge.mock.headers[-1]}
    asked = len(edge.mock.requests)
    answer = packed(edge, gzip.compress(json.dumps(BLOCKED).encode())).json()
    assert answer["choices"][0]["finish_reason"] == "content_filter"
    assert len(edge.mock.requests) == asked


def test_gzip_in_members_and_chunks(edge):
    parts = gzip.compress(BODY[:20]) + gzip.compress(BODY[20:])
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in parts) + b"0\r\n\r\n"
    got = talk(
        edge.port,
        post(CHUNKED, b"Content-Encoding: gzip", b"Connection: close", body=body),
    )
    assert [s for s, _ in split_answers(got)] == [200]


def test_gzip_bomb(edge):
    """200 MB in 200 KB, one past the limit, and a flood that unpacks to nothing."""
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed_bomb = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(80)) + bomb.flush()
    assert len(packed_bomb) < 100000
    before = resident(edge)
    for body in (
        packed_bomb,
        gzip.compress(b" " * 100001),
        gzip.compress(b"") * 6000,
    ):
        r = packed(edge, body)
        assert r.status_code == 413, r.text
        assert r.headers["connection"] == "close"
    assert resident(edge) < before + (8 << 20)
    assert packed(edge, gzip.compress(BODY + b" " * (100000 - len(BODY)))).status_code == 200


def resident(server, field="VmRSS"):
    """Bytes of memory; with "VmHWM" the most it ever had."""
    text = open(f"/proc/{server.process.pid}/status").read()
    return int(re.search(rf"{field}:\s+(\d+)", text)[1]) << 10


@pytest.mark.parametrize(
    "path",
    [CHAT, "/v1/responses", "/v1/embeddings", "/v1/decisions", "/api/chat", "/v1/messages"],
)
def test_many_values(policies, tmp_path, start, path):
    """4 MB of the shortest values are no tree of 100 MB: an error names the limit."""
    config = tmp_path / "corral.yaml"
    config.write_text(
        f"policy: {policies('edges', RULES)}\n"
        "backend: {openai: {base_url: 'http://127.0.0.1:9/v1'}}\n"
    )
    server = start("-c", config)
    before = resident(server)
    head, tail = b'{"model": "m", "messages": [', b"]}"
    body = head + b",".join([b"[]"] * ((4 << 20) // 3 - 20)) + tail
    assert (4 << 20) - 100 < len(body) <= 4 << 20
    r = server.http.post(path, content=body, headers={"content-type": "application/json"})
    assert r.status_code == 400, r.text
    assert "more than 262144 values" in r.text
    assert resident(server, "VmHWM") - before < 40 << 20
    # What is long and not many is read.
    body = head + b'{"role": "user", "content": "%s"}' % (b"a b " * 500000) + tail
    r = server.http.post(path, content=body, headers={"content-type": "application/json"})
    assert "values" not in r.text


@pytest.mark.parametrize(
    "body",
    [BODY, zlib.compress(BODY), gzip.compress(BODY)[:-1], gzip.compress(BODY) + b"x"],
    ids=["plain", "zlib", "cut", "more"],
)
def test_not_gzip(edge, body):
    r = packed(edge, body)
    assert r.status_code == 400 and r.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "zstd"])
def test_other_codings(edge, coding):
    r = packed(edge, gzip.compress(BODY), coding)
    assert r.status_code == 415
    assert r.headers["accept-encoding"] == "gzip"


# --- a balancer in front ----------------------------------------------------------

V1 = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n"
V2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11"
    + struct.pack("!H", 12 + 7)
    + socket.inet_aton("192.0.2.7")
    + socket.inet_aton("10.0.0.1")
    + struct.pack("!HH", 56324, 443)
    + b"\x04\0\x04abcd"  # padding, which balancers may add
)
ONCE = post(LENGTH, b"Connection: close", body=BODY)


@pytest.fixture()
def fronted(start, policies, tmp_path, upstream):
    def begin(more="proxy_protocol: true", limits="idle_ms: 75000"):
        path = tmp_path / "corral.yaml"
        path.write_text(
            f"policy: {policies('edges', RULES)}\n"
            f"backend: {{openai: {{base_url: '{upstream.url}'}}}}\n"
            f"limits: {{header_ms: 500, {limits}}}\n{more}\n"
        )
        return start("-c", path, verify=False)

    return begin


def from_address(port, last):
    header = V1.replace(b"192.0.2.7", b"192.0.2.%d" % last)
    return split_answers(talk(port, header + ONCE))[0][0]


def test_address_rate(fronted):
    """Without keys each address has its own minute, and probes are free."""
    port = fronted(limits="address_requests_per_minute: 2").port
    assert [from_address(port, 7) for _ in range(3)] == [200, 200, 429]
    assert from_address(port, 8) == 200
    refused = talk(port, V1 + ONCE)
    assert b"\r\nretry-after: " in refused and b"rate_limit_exceeded" in refused
    probe = V1 + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert talk(port, probe).startswith(b"HTTP/1.1 200 ")


def test_address_at_once(fronted, upstream):
    """What is in hand counts until its end, and until its client has gone."""
    port = fronted(limits="address_requests_max: 1").port
    upstream.gate = threading.Semaphore(0)
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(V1 + ONCE)
        assert until(lambda: upstream.requests)
        assert from_address(port, 7) == 429
    assert until(lambda: from_address_opened(port, upstream) == 200)


def from_address_opened(port, upstream):
    for _ in range(8):  # whoever waits, gone or not
        upstream.gate.release()
    return from_address(port, 7)


def test_address_at_home(fronted):
    """Who comes from this machine may be anybody: he has no limit."""
    port = fronted("", limits="address_requests_per_minute: 1").port
    for _ in range(3):
        assert split_answers(talk(port, ONCE))[0][0] == 200


def test_proxy_protocol(fronted):
    server = fronted()
    for header in (V1, V2):
        assert [s for s, _ in split_answers(talk(server.port, header + ONCE))] == [200]
        for cut in (1, 5, 12, 15, 20):
            got = talk(server.port, header[:cut], header[cut:] + ONCE[:9], ONCE[9:])
            assert [s for s, _ in split_answers(got)] == [200]


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 99999\r\n",
        b"PROXY " + b"x" * 200,
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2",
        V2[:12] + b"\x21\x11\xff\xff",
        V2[:12] + b"\x21\x11\0\x04abcd",
        V2[:12],
        b"\x16\x03\x01",
    ],
)
def test_proxy_protocol_refused(fronted, first):
    """No header, half of one, a wrong one: closed, and nothing is said."""
    server = fronted()
    assert talk(server.port, first + (ONCE if first[-1:] != b"2" else b"")) == b""
    assert [s for s, _ in split_answers(talk(server.port, V1 + ONCE))] == [200]


def test_proxy_protocol_trust(fronted):
    """Only those named may say who is behind them."""
    server = fronted("proxy_protocol: [10.0.0.0/8, '::1']")
    assert talk(server.port, V1 + ONCE) == b""
    assert "not of a trusted address" in server.stderr()
    server = fronted("proxy_protocol: [127.0.0.0/8]")
    assert [s for s, _ in split_answers(talk(server.port, V1 + ONCE))] == [200]


def test_proxy_protocol_before_tls(fronted, tmp_path):
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        " -subj /CN=server -addext subjectAltName=IP:127.0.0.1"
        f" -keyout {tmp_path}/server.key -out {tmp_path}/server.pem",
        shell=True,
        check=True,
        capture_output=True,
    )
    server = fronted("proxy_protocol: true\ntls: {cert: server.pem, key: server.key}")
    context = ssl.create_default_context(cafile=tmp_path / "server.pem")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
        raw.sendall(V2)
        with context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
            s.sendall(ONCE)
            got = b""
            while piece := s.recv(65536):
                got += piece
    assert [s for s, _ in split_answers(got)] == [200]
    with pytest.raises((ssl.SSLError, OSError)):
        talk(server.port, ONCE, context=context)  # TLS at once
    with pytest.raises(httpx.TransportError):
        server.http.get("/healthz")
