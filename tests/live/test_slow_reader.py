"""The local engine rests while its reader is slow: it writes no more than fits
on the way, serves others meanwhile, and goes on where it was."""

import time

import pytest

from conftest import until
from test_backpressure import rss_mb
from test_leaving import STEPS, begin, serve  # noqa: F401 (a fixture)

TOKENS = 300
BUFFER = 4096
# Each token with its rivals, some kB, so that few of them fill what lies
# between. It may not end by itself (0 and 2 end a text).
FIELDS = {
    "max_tokens": TOKENS,
    "stream": True,
    "logprobs": True,
    "top_logprobs": 20,
    "logit_bias": {"0": -100, "2": -100},
}
OTHER = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}


def rests_now(server):
    jobs = ("corral_engine_jobs_running", "corral_engine_jobs_waiting")
    return [server.metric(name) for name in jobs] == [0, 1]


def steps(server):
    return server.metric("corral_engine_steps_total")


def rests(server):
    """For good, that is: what fits on the way grows a little at first."""
    before = steps(server)
    if not rests_now(server):
        return False
    time.sleep(1)
    return rests_now(server) and steps(server) == before


@pytest.fixture()
def server(serve):  # noqa: F811
    return serve(limits={"write_high_bytes": BUFFER, "write_low_bytes": BUFFER // 4})


def test_it_rests_and_goes_on(server):
    with begin(server, FIELDS, BUFFER) as s:
        assert until(lambda: rests(server), 60)
        before, memory = steps(server), rss_mb(server)
        assert before < TOKENS / 2
        for _ in range(3):
            answer = server.http.post("/v1/chat/completions", json=OTHER)
            assert answer.status_code == 200
            assert answer.json()["usage"]["completion_tokens"] <= 8
        # Only the others' work was done, and their memory is not kept.
        assert until(lambda: rests_now(server))
        assert steps(server) - before <= STEPS
        assert rss_mb(server) - memory < 8
        parts = []
        while part := s.recv(1 << 20):
            parts.append(part)
    whole = b"".join(parts)
    assert whole.count(b'"top_logprobs"') == TOKENS
    assert b"data: [DONE]" in whole
    assert until(lambda: server.metric("corral_engine_jobs_waiting") == 0)


def test_it_is_left_at_rest(server):
    """Nobody will read the rest: what the engine keeps for it is free again."""
    with begin(server, FIELDS, BUFFER):
        assert until(lambda: rests(server), 60)
        before = steps(server)
    assert until(lambda: server.metric("corral_engine_jobs_waiting") == 0)
    assert steps(server) - before <= STEPS < TOKENS / 2
