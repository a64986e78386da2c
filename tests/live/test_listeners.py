"""The front door: TLS, certificates of clients, unix sockets."""

import json
import os
import signal
import socket
import ssl
import subprocess

import httpx2 as httpx
import pytest

from conftest import RULES, until

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


def identity(folder, name):
    """A certificate that signs itself, for 127.0.0.1."""
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    openssl(
        *"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split(),
        *("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", key, "-out", cert),
    )
    return key, cert


@pytest.fixture()
def serve(start, policies, tmp_path, upstream):
    def begin(more, **options):
        path = tmp_path / "corral.yaml"
        path.write_text(
            f"policy: {policies('listeners', RULES)}\n"
            f"backend: {{openai: {{base_url: '{upstream.url}'}}}}\n{more}"
        )
        return start("-c", path, **options)

    return begin


def served(server, url=None):
    """The name on the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        with context.wrap_socket(raw) as s:
            return s.getpeercert(binary_form=True)


def test_tls(serve, upstream, tmp_path):
    """Whole answers and streams, larger than a record, on one connection."""
    _, cert = identity(tmp_path, "server")
    upstream.pieces = ["All work and no play. " * 500] * 8
    server = serve(
        "tls: {cert: server.pem, key: server.key}",
        verify=ssl.create_default_context(cafile=cert),
    )
    assert server.url.startswith("https://")
    for _ in range(2):
        answer = server.http.post("/v1/chat/completions", json=ASK).json()
        assert answer["choices"][0]["message"]["content"] == "".join(upstream.pieces)
        stream = server.http.post("/v1/chat/completions", json={**ASK, "stream": True})
        assert stream.text.rstrip().endswith("data: [DONE]")
    big = {**ASK, "messages": [{"role": "user", "content": "Hi " * 100000}]}
    assert server.http.post("/v1/chat/completions", json=big).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url + "/healthz", verify=ssl.create_default_context())


def test_alpn_and_versions(serve, tmp_path):
    _, cert = identity(tmp_path, "server")
    server = serve(
        "tls: {cert: server.pem, key: server.key}",
        verify=ssl.create_default_context(cafile=cert),
    )

    def connect(protocols, most=None):
        context = ssl.create_default_context(cafile=cert)
        context.set_alpn_protocols(protocols)
        if most:
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = most
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            with context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
                return s.selected_alpn_protocol(), s.version()

    assert connect(["h2", "http/1.1"]) == ("http/1.1", "TLSv1.3")
    with pytest.raises(ssl.SSLError):
        connect(["h2"])
    with pytest.raises((ssl.SSLError, OSError)):
        connect(["http/1.1"], ssl.TLSVersion.TLSv1_1)
    assert server.http.get("/healthz").status_code == 200


def test_not_tls(serve, tmp_path):
    """Plain HTTP and noise on a TLS port end there."""
    _, cert = identity(tmp_path, "server")
    server = serve(
        "tls: {cert: server.pem, key: server.key}\nlimits: {header_ms: 500}",
        verify=ssl.create_default_context(cafile=cert),
    )
    for noise in (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", os.urandom(1000)):
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.sendall(noise)
            s.settimeout(20)
            try:
                assert b"HTTP/1.1 200" not in s.recv(4096)
            except ConnectionResetError:
                pass
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.settimeout(20)
        assert s.recv(1) == b""  # no handshake in time
    assert server.http.get("/healthz").status_code == 200


def test_client_certificates(serve, tmp_path):
    _, cert = identity(tmp_path, "server")
    client_key, client = identity(tmp_path, "client")
    other_key, other = identity(tmp_path, "other")

    def context(chain=None):
        made = ssl.create_default_context(cafile=cert)
        if chain:
            made.load_cert_chain(*chain)
        return made

    server = serve(
        "tls: {cert: server.pem, key: server.key, client_ca: client.pem}",
        verify=context((client, client_key)),
    )
    assert server.http.get("/healthz").status_code == 200
    for chain in (None, (other, other_key)):
        with pytest.raises(httpx.TransportError):
            httpx.get(server.url + "/healthz", verify=context(chain))


def test_renewal(serve, tmp_path):
    """SIGHUP reads the certificate again; a bad one changes nothing."""
    identity(tmp_path, "server")
    server = serve("tls: {cert: server.pem, key: server.key}", verify=False)
    before = served(server)
    identity(tmp_path, "server")
    server.process.send_signal(signal.SIGHUP)
    assert until(lambda: served(server) != before)
    after = served(server)
    (tmp_path / "server.key").write_text("none")
    server.process.send_signal(signal.SIGHUP)
    assert until(lambda: "certificate_kept" in server.stderr())
    assert served(server) == after


def test_bad_files(serve, tmp_path):
    identity(tmp_path, "server")
    identity(tmp_path, "other")
    for keys in ("cert: none.pem, key: server.key", "cert: server.pem, key: other.key"):
        with pytest.raises(RuntimeError, match="server.pem|none.pem"):
            serve(f"tls: {{{keys}}}")
    with pytest.raises(RuntimeError, match="needs cert and key"):
        serve("tls: {cert: server.pem}")


def test_a_name_that_is_made_to_lead_here(serve, upstream):
    """A page of evil.example that has its name lead to 127.0.0.1 is not this
    machine, though its requests come from here."""
    server = serve("hosts: [chat.example.org]\n")

    def status(host, path="/v1/chat/completions"):
        return server.http.post(path, json=ASK, headers={"host": host}).status_code

    for known in ("localhost", "127.0.0.1:8080", "[::1]:8080", "corral", "host.docker.internal", "Chat.Example.org:443"):
        assert status(known) == 200, known
    for other in ("evil.example", f"evil.example:{server.port}", "127.0.0.1.evil.example", "x.chat.example.org", "0x7f.1"):
        assert status(other) == 403, other
    asked = len(upstream.requests)
    said = server.http.post("/v1/messages", json=ASK, headers={"host": "evil.example"})
    assert said.json()["type"] == "error" and "`hosts`" in said.json()["error"]["message"]
    for path in ("/v1/sessions", "/metrics", "/v1/models"):
        assert server.http.get(path, headers={"host": "evil.example"}).status_code == 403
    assert len(upstream.requests) == asked


def test_any_name_where_that_is_meant(serve, tmp_path):
    """With keys nobody is taken for somebody; allow_remote says all may come."""
    for more, status in (("allow_remote: true\n", 200), ("allow_remote: true\nhosts: [a.example]\n", 403), ("hosts: ['*']\n", 200), ("keys: none.jsonl\n", 401)):
        server = serve(more)
        answer = server.http.post("/v1/chat/completions", json=ASK, headers={"host": "evil.example"})
        assert answer.status_code == status, more
        assert server.stop() == 0


def test_unix(serve, tmp_path):
    path = tmp_path / "corral.sock"
    server = serve("", listen=f"unix:{path}")
    answer = server.http.post("/v1/chat/completions", json=ASK).json()
    assert answer["choices"][0]["message"]["content"] == "Hello there."
    with pytest.raises(RuntimeError, match="cannot listen"):
        serve("", listen=f"unix:{path}")  # the first one lives
    assert server.http.get("/healthz").status_code == 200
    assert server.stop() == 0
    assert not path.exists()


def test_stale_unix(serve, tmp_path):
    """A socket that a dead server left is no hindrance; a file is."""
    path = tmp_path / "corral.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    server = serve("", listen=f"unix:{path}")
    assert server.http.get("/healthz").status_code == 200
    other = tmp_path / "file"
    other.write_text(json.dumps(ASK))
    with pytest.raises(RuntimeError, match="cannot listen"):
        serve("", listen=f"unix:{other}")
    assert other.read_text() == json.dumps(ASK)
    with pytest.raises(RuntimeError, match="cannot listen"):
        serve("", listen=f"unix:{tmp_path}/{'x' * 200}")
