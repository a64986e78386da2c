"""More than an upstream can take: some of it waits, in a fair line, and the
rest hears so at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import RULES, run, until

WHOLE = {
    "choices": [{"message": {"content": "done"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


@pytest.fixture()
def busy(start, policies, upstream, tmp_path):
    """serve(limits): the upstream answers only to upstream.gate.release()."""
    upstream.sse, upstream.raw = False, WHOLE
    upstream.gate = threading.Semaphore(0)
    pool = ThreadPoolExecutor(32)

    def serve(limits, head=""):
        config = tmp_path / "corral.yaml"
        config.write_text(
            f"{head}policy: {policies('live', RULES)}\n"
            f"backend: {{openai: {{base_url: '{upstream.url}', {limits}}}}}\n"
        )
        server = start("--config", config)

        def ask(text, key=None):
            return pool.submit(
                server.http.post,
                "/v1/chat/completions",
                json={"model": "m", "messages": [{"role": "user", "content": text}]},
                headers={"authorization": f"Bearer {key}"} if key else {},
            )

        server.ask, server.tmp = ask, tmp_path
        return server

    yield serve
    upstream.gate.release(100)
    pool.shutdown()


def waiting(server, key=None):
    headers = {"authorization": f"Bearer {key}"} if key else {}
    for line in server.http.get("/metrics", headers=headers).text.splitlines():
        if line.startswith("corral_upstream_calls_waiting "):
            return float(line.split()[1])
    return None


def asked(upstream):
    return [r["messages"][-1]["content"] for r in upstream.requests]


def test_bounded(busy, upstream):
    server = busy("concurrency: 2, queue: {calls: 2}")
    calls = [server.ask("a"), server.ask("b")]
    assert until(lambda: upstream.active == 2)
    calls += [server.ask("c"), server.ask("d")]
    assert until(lambda: waiting(server) == 2)
    for text in ("e", "f", "g"):
        refused = server.ask(text).result(20)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    upstream.gate.release(4)
    assert [c.result(20).status_code for c in calls] == [200] * 4
    assert upstream.most == 2
    assert sorted(asked(upstream)) == ["a", "b", "c", "d"]
    assert waiting(server) == 0
    upstream.gate.release()
    assert server.ask("h").result(20).status_code == 200


def test_waits_so_long(busy, upstream):
    server = busy("concurrency: 1, queue: {calls: 4, wait_ms: 200}")
    first = server.ask("a")
    assert until(lambda: upstream.active == 1)
    late = server.ask("b").result(20)
    assert (late.status_code, "retry-after" in late.headers) == (429, True)
    upstream.gate.release()
    assert first.result(20).status_code == 200
    assert asked(upstream) == ["a"]


def test_leaves_the_line(busy, upstream):
    """Who hangs up while waiting is forgotten, and the next one moves up."""
    import socket

    server = busy("concurrency: 1, queue: {calls: 4}")
    first = server.ask("a")
    assert until(lambda: upstream.active == 1)
    body = b'{"model": "m", "messages": [{"role": "user", "content": "left"}]}'
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        )
        assert until(lambda: waiting(server) == 1)
    assert until(lambda: waiting(server) == 0)
    last = server.ask("c")
    assert until(lambda: waiting(server) == 1)
    upstream.gate.release(2)
    assert [c.result(20).status_code for c in (first, last)] == [200, 200]
    assert asked(upstream) == ["a", "c"]


def test_stop_while_waiting(busy, upstream):
    server = busy("concurrency: 1, queue: {calls: 4}", "drain_ms: 200\n")
    calls = [server.ask("a"), server.ask("b")]
    assert until(lambda: waiting(server) == 1)
    assert server.stop() == 0
    for call in calls:
        with pytest.raises(Exception):
            call.result(20)


def test_fair(busy, upstream, tmp_path):
    """One key that asks all the time takes turns with one that asks twice."""
    config = tmp_path / "keys-only.yaml"
    config.write_text("keys: keys.jsonl\n")
    keys = []
    for name, scopes in (("greedy", "chat"), ("modest", "chat"), ("eye", "metrics")):
        done = run("key", "add", "-c", config, "--name", name, "--scopes", scopes)
        assert done.returncode == 0, done.stderr
        keys.append(done.stdout.strip())
    greedy, modest, eye = keys
    server = busy("concurrency: 1, queue: {calls: 8}", "keys: keys.jsonl\n")
    calls = [server.ask("greedy 0", greedy)]
    assert until(lambda: upstream.active == 1)
    for i in range(1, 5):
        calls.append(server.ask(f"greedy {i}", greedy))
        assert until(lambda i=i: waiting(server, eye) == i)
    assert server.ask("greedy 5", greedy).result(20).status_code == 429
    for i in range(2):
        calls.append(server.ask(f"modest {i}", modest))
        assert until(lambda i=i: waiting(server, eye) == 5 + i)
    upstream.gate.release(len(calls))
    assert [c.result(20).status_code for c in calls] == [200] * 7
    assert asked(upstream) == [
        "greedy 0", "modest 0", "greedy 1", "modest 1", "greedy 2", "greedy 3", "greedy 4",
    ]
