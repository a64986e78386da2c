"""Connections to an upstream serve one request after the other."""

from concurrent.futures import ThreadPoolExecutor

from conftest import RULES, until

WHOLE = {
    "choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


def ask(server):
    answer = server.http.post(
        "/v1/chat/completions",
        json={"model": "m", "messages": [{"role": "user", "content": "hello"}]},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


def serve(start, policies, upstream, tmp_path, keep=""):
    config = tmp_path / "corral.yaml"
    config.write_text(
        f"policy: {policies('live', RULES)}\n"
        f"backend: {{openai: {{base_url: '{upstream.url}'{keep}}}}}\n"
    )
    upstream.sse, upstream.raw = False, WHOLE
    return start("--config", config)


def test_one_connection(start, policies, upstream, tmp_path):
    server = serve(start, policies, upstream, tmp_path)
    assert [ask(server) for _ in range(5)] == ["whole"] * 5
    assert (len(upstream.requests), upstream.connections) == (5, 1)


def test_none_kept(start, policies, upstream, tmp_path):
    server = serve(start, policies, upstream, tmp_path, ", keep_alive: {connections: 0}")
    assert [ask(server) for _ in range(3)] == ["whole"] * 3
    assert upstream.connections == 3
    assert {h["connection"] for h in upstream.headers} == {"close"}


def test_dropped(start, policies, upstream, tmp_path):
    """An upstream that closes whenever it likes is no client's business."""
    server = serve(start, policies, upstream, tmp_path)
    upstream.quits = True
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: ask(server), range(60)))
    assert answers == ["whole"] * 60


def test_restart(start, policies, upstream, tmp_path):
    """What waits is noticed to be dead, and the next request does not suffer."""
    server = serve(start, policies, upstream, tmp_path)
    assert ask(server) == "whole"
    upstream.quits = True  # it closes after this one
    assert ask(server) == "whole"
    upstream.quits = False
    assert until(lambda: ask(server) == "whole" and upstream.connections >= 2)
