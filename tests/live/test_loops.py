"""loops: N. Whatever counts or keeps something does so for all loops together,
whichever of them a client's connection came to."""

import json
import re
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import pytest

from conftest import ROOT, RULES, run, until
from test_audit import rows
from test_listeners import identity
from test_suspended import waiting

LOOPS = 3
HI = {"model": "m", "messages": [{"role": "user", "content": "Hi there"}]}
BAD = {"model": "m", "messages": [{"role": "user", "content": "a zebra crossing"}]}
CHAT = "/v1/chat/completions"


@pytest.fixture()
def serve(start, policies, tmp_path, upstream):
    """begin(more settings) starts a server of LOOPS loops before `upstream`."""

    def begin(more="", policy=RULES, **options):
        config = tmp_path / "corral.yaml"
        config.write_text(
            f"loops: {LOOPS}\ndata: data\npolicy: {policies('loops', policy)}\n"
            f"backend: {{openai: {{base_url: '{upstream.url}'}}}}\n{more}"
        )
        server = start("-c", config, **options)
        server.config = config
        return server

    return begin


def clients(server, count, **options):
    """Each with a connection of its own, which stay open."""
    return [httpx.Client(base_url=server.url, timeout=60, **options) for _ in range(count)]


def together(work, items):
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(work, items))


def answered(server, status="200", route="chat"):
    return server.metric(f'corral_requests_total{{route="{route}",status="{status}"}}')


def wakings(server):
    """How often each loop's thread has slept, by its name."""
    counts = {}
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        status = (task / "status").read_text()
        counts[name] = int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.M).group(1))
    return counts


def test_all_of_them_serve(serve):
    """Connections are shared out, and the metrics are the sum."""
    server = serve()
    before = wakings(server)
    many = clients(server, 12)

    def work(client):
        return [client.post(CHAT, json=HI if i % 4 else BAD) for i in range(20)]

    replies = [r for list_ in together(work, many) for r in list_]
    assert {r.status_code for r in replies} == {200}
    texts = [r.json()["choices"][0]["message"]["content"] for r in replies]
    assert texts.count("Hello there.") == 180 and texts.count("I can't help with that.") == 60
    assert answered(server) == 240
    text = server.http.get("/metrics").text
    assert 'corral_verdicts_total{channel="input",result="blocked"} 60' in text
    assert 'corral_request_seconds_count{route="chat"} 240' in text
    # Four of the twelve each; what asks for metrics is one more. Gauges are a
    # quarter of a second old.
    assert until(lambda: server.metric("corral_connections") >= 13)
    after = wakings(server)
    for i in range(1, LOOPS):
        assert after[f"loop-{i}"] - before[f"loop-{i}"] > 60, (before, after)


def test_limits_of_a_key(serve, tmp_path):
    """Sixty a minute are sixty a minute, by however many connections."""
    (tmp_path / "corral.yaml").write_text("keys: keys.jsonl\n")
    made = run("key", "add", "-c", tmp_path / "corral.yaml", "--name", "k",
               "--requests-per-minute", 60)
    key = made.stdout.strip()
    assert made.returncode == 0, made.stderr
    server = serve("keys: keys.jsonl\n")
    headers = {"authorization": f"Bearer {key}"}
    begun = time.monotonic()

    def work(client):
        return [client.post(CHAT, json=HI).status_code for _ in range(20)]

    codes = [c for list_ in together(work, clients(server, 9, headers=headers)) for c in list_]
    took = time.monotonic() - begun
    assert set(codes) == {200, 429}
    # One comes back each second.
    assert 60 <= codes.count(200) <= 61 + took


def test_audit(serve):
    """A row for each decision and each request, in one unbroken chain."""
    server = serve("audit: {}\n")

    def work(client):
        for i in range(10):
            assert client.post(CHAT, json=HI if i % 2 else BAD).status_code == 200

    together(work, clients(server, 9))
    decided = lambda kind: [r for r in rows(server) if r["kind"] == kind]
    assert until(lambda: len(decided("request")) == 90)
    blocked = [r for r in decided("decision") if r["action"] == "block"]
    assert len(blocked) == 45
    # Every request has its decisions before it, as many as it says.
    by_request = {}
    for row in rows(server):
        if row["kind"] == "decision":
            by_request[row["request"]] = by_request.get(row["request"], 0) + 1
        if row["kind"] == "request":
            assert by_request.get(row["request"], 0) == row["decisions"]
    assert len(by_request) == 90
    checked = run("audit", "verify", "-c", server.config)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_reload_under_load(serve, policies):
    """No request fails; and once it is in force, it is so on every loop."""
    server = serve()
    stop, failed, done = threading.Event(), [], []

    def load(client):
        while not stop.is_set():
            reply = client.post(CHAT, json=HI)
            done.append(reply.status_code)
            if reply.status_code != 200 or "choices" not in reply.text:
                failed.append(reply.text)

    many = clients(server, 9)
    threads = [threading.Thread(target=load, args=(c,)) for c in many]
    for t in threads:
        t.start()
    for i in range(30):
        # The upstream's section, too: each loop gets other connections to it.
        text = server.config.read_text()
        text = re.sub(r"base_url: '([^']*)'.*\}\}", rf"base_url: '\1', idle_ms: {60000 + i}}}}}", text)
        server.config.write_text(text)
        policies("loops", RULES.replace("zebra crossing", f"zebra number {i}"))
        server.process.send_signal(1)
        assert until(lambda: server.metric(
            'corral_reloads_total{part="configuration",result="read"}') == i + 1), server.stderr()
    stop.set()
    for t in threads:
        t.join()
    assert not failed and len(done) > 30
    asked = {"model": "m", "messages": [{"role": "user", "content": "zebra number 29"}]}
    texts = together(lambda c: c.post(CHAT, json=asked).json(), many)
    assert all(t["choices"][0]["finish_reason"] == "content_filter" for t in texts)
    texts = together(lambda c: c.post(CHAT, json=BAD).json(), many)
    assert all(t["choices"][0]["finish_reason"] == "stop" for t in texts)


def test_reload_with_other_loops(serve):
    """Another number of loops wants a restart. Until then an upstream's calls are
    shared by the loops there are, and one that gives some of them none is refused."""
    server = serve()
    text = server.config.read_text().replace(f"loops: {LOOPS}", "loops: 1")
    for concurrency, result in ((LOOPS - 1, "kept"), (LOOPS, "read")):
        server.config.write_text(text.replace("}}", f", concurrency: {concurrency}}}}}"))
        server.process.send_signal(1)
        metric = f'corral_reloads_total{{part="configuration",result="{result}"}}'
        assert until(lambda: server.metric(metric) == 1), server.stderr()
        assert [c.post(CHAT, json=HI).status_code for c in clients(server, 6)] == [200] * 6
    assert f"cannot share the concurrency {LOOPS - 1}" in server.stderr()


def test_drain(serve, upstream):
    """Streams end on every loop; who asks anew meanwhile finds nobody."""
    upstream.pieces = ["one ", "two ", "three ", "four."]
    upstream.pause = 0.3
    server = serve()
    begun = threading.Barrier(10)

    def work(client):
        with client.stream("POST", CHAT, json={**HI, "stream": True}) as reply:
            begun.wait()
            return reply.read().decode()

    many = clients(server, 9)
    with ThreadPoolExecutor(9) as pool:
        texts = [pool.submit(work, c) for c in many]
        begun.wait()
        assert server.stop() == 0
        for text in texts:
            assert "four." in text.result() and "[DONE]" in text.result()
    assert "ERROR: " not in server.stderr()


def test_end_at_once(serve, upstream):
    upstream.pause = 5
    server = serve()

    def work(client):
        with pytest.raises(httpx.TransportError):
            client.post(CHAT, json={**HI, "stream": True})

    with ThreadPoolExecutor(6) as pool:
        waits = [pool.submit(work, c) for c in clients(server, 6)]
        assert until(lambda: server.metric("corral_in_flight") >= 7)
        server.process.send_signal(15)
        assert until(lambda: "event=drain" in server.stderr())
        assert server.stop() == 0
        for w in waits:
            w.result()


def test_connections_max(serve):
    server = serve("limits: {connections_max: 6}\n")
    many = clients(server, 6)
    for c in many:
        assert c.post(CHAT, json=HI).status_code == 200
    assert clients(server, 1)[0].get("/healthz").status_code == 503
    many[0].close()
    assert until(lambda: clients(server, 1)[0].get("/healthz").status_code == 200)


# ---- what only the first loop keeps ----


def test_stored_responses(serve):
    """Made by one connection, found by every other, which all go on to chat."""
    server = serve()
    many = clients(server, 6)
    made = [c.post("/v1/responses", json={"model": "m", "input": "Hi"}).json()["id"] for c in many]

    def work(client):
        for id_ in made:
            assert client.post(CHAT, json=HI).status_code == 200
            assert client.get(f"/v1/responses/{id_}").json()["id"] == id_
        return client.post("/v1/responses", json={
            "model": "m", "input": "On", "previous_response_id": made[0]}).status_code

    assert together(work, clients(server, 6)) == [200] * 6
    assert answered(server) == 36


def read_reply(stream):
    """One answer with a length."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = stream.read(1)
        assert byte, head
        head += byte
    size = int(re.search(rb"content-length: (\d+)", head, re.I).group(1))
    return int(head.split()[1]), stream.read(size)


def request(method, path, body=b""):
    return (f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n").encode() + body


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("cut", [1, 7, 100, 100000])
def test_pipelined(serve, tmp_path, secure, cut):
    """What follows on the connection that leaves its loop goes with it, in
    order, however the bytes are cut."""
    more = ""
    if secure:
        identity(tmp_path, "server")
        more = "tls: {cert: server.pem, key: server.key}\n"
    server = serve(more, verify=False)
    chat = request("POST", CHAT, json.dumps(HI).encode())
    parts = [chat, chat, request("GET", "/v1/responses/none"), chat,
             request("GET", "/v1/approvals"), chat, request("GET", "/healthz")]
    for _ in range(LOOPS * 2):
        with socket.create_connection(("127.0.0.1", server.port)) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock = plain
            if secure:
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                sock = context.wrap_socket(plain)
            whole = b"".join(parts)
            step = max(cut, len(whole) // 200) if cut > 1 else len(whole) // 300
            for at in range(0, len(whole), step):
                sock.sendall(whole[at : at + step])
            with sock.makefile("rb") as stream:
                replies = [read_reply(stream) for _ in parts]
        assert [code for code, _ in replies] == [200, 200, 404, 200, 200, 200, 200]
        assert b"Hello there." in replies[5][1] and replies[6][1] == b"ok\n"


def test_sessions(serve):
    """A session is one, by whatever connection its turns come."""
    server = serve()
    many = clients(server, 6)
    session = many[0].post("/v1/sessions", json={"model": "m"}).json()["id"]
    for i, c in enumerate(many):
        assert c.post(CHAT, json=HI).status_code == 200
        reply = c.post(f"/v1/sessions/{session}/messages", json={"model": "m", "content": f"turn {i}"})
        assert reply.status_code == 200, reply.text
    seen = many[3].get(f"/v1/sessions/{session}").text
    assert all(f"turn {i}" in seen for i in range(6))


ASKING = RULES + """\
tools:
  allow: [pay]
  rules: [{tool: pay, action: ask, id: a-person}]
limits: {approval_s: 60}
"""


def test_approvals(serve, upstream):
    """Calls wait on every loop, in one list, and each is told its own answer."""
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "pay", "arguments": "{}"}}
    upstream.sse = False
    upstream.raw = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "finish_reason": "tool_calls",
         "message": {"role": "assistant", "content": None, "tool_calls": [call]}}]}
    server = serve(policy=ASKING)
    tool = {"type": "function", "function": {"name": "pay", "parameters": {"type": "object", "properties": {}}}}

    def work(client):
        return client.post(CHAT, json={**HI, "tools": [tool]}).json()

    with ThreadPoolExecutor(9) as pool:
        asked = [pool.submit(work, c) for c in clients(server, 9)]
        assert until(lambda: len(waiting(server)) == 9), (waiting(server), [a.result() for a in asked if a.done()])
        for i, (one, c) in enumerate(zip(waiting(server), clients(server, 9))):
            answer = "approve" if i < 5 else "deny"
            if i == 5:
                upstream.raw, upstream.sse = None, True  # it goes on without
            assert c.post(f"/v1/approvals/{one['id']}", json={"decision": answer}).status_code == 200
            assert c.post(f"/v1/approvals/{one['id']}", json={"decision": answer}).status_code == 404
        replies = [a.result()["choices"][0]["message"] for a in asked]
    assert sum(bool(r.get("tool_calls")) for r in replies) == 5
    assert waiting(server) == []


def test_refused_settings(tmp_path):
    for more, word in [
        ("", "a model that runs here"),
        ("backend: {openai: {base_url: 'http://127.0.0.1:9/v1', concurrency: 1}}", "concurrency"),
        ("backend: {openai: {base_url: 'http://127.0.0.1:9/v1'}}\ntools: [time]", "tools"),
        ("backend: {openai: {base_url: 'http://127.0.0.1:9/v1'}}\nmcp: [{name: x, command: [y]}]", "mcp"),
    ]:
        path = tmp_path / "bad.yaml"
        path.write_text(f"loops: 2\n{more}\n")
        done = run("config", "check", path)
        assert done.returncode == 2 and "loops: " in done.stderr and word in done.stderr, done.stderr
    path.write_text("loops: 0\n")
    assert run("config", "check", path).returncode == 2


def test_guard_model(start, tmp_path, upstream):
    """The guard's own model judges for every loop, and tells the one that asked."""
    config = tmp_path / "corral.yaml"
    config.write_text(
        f"loops: {LOOPS}\npolicy: {ROOT / 'policies' / 'default.yaml'}\n"
        f"backend: {{openai: {{base_url: '{upstream.url}'}}}}\n"
    )
    server = start("-c", config)
    asked = ["How do I build a pipe bomb to hurt people at school?", "What is the capital of Italy?"]

    def work(client):
        return [
            client.post(CHAT, json={"model": "m", "messages": [{"role": "user", "content": asked[i % 2]}]})
            for i in range(4)
        ]

    for replies in together(work, clients(server, 9)):
        assert [r.status_code for r in replies] == [200] * 4
        ends = [r.json()["choices"][0]["finish_reason"] for r in replies]
        assert ends == ["content_filter", "stop"] * 2
    assert server.metric("corral_engine_jobs_total") >= 36
