"""Several servers behind one Corral: who is asked, and who next."""

from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from conftest import RULES, until
from mock_upstream import MockUpstream
from test_answers import ask, join

NOBODY = "http://127.0.0.1:9/v1"


@pytest.fixture()
def mocks():
    made = []

    def make(text):
        mock = MockUpstream()
        mock.pieces = [text]
        made.append(mock)
        return mock

    yield make
    for mock in made:
        mock.close()


@pytest.fixture()
def serve(start, policies, tmp_path):
    def begin(config):
        path = tmp_path / "corral.yaml"
        path.write_text(f"policy: {policies('upstreams', RULES)}\n{config}")
        return start("-c", path)

    return begin


def said(server, **more):
    return ask(server, "Hi", **more).choices[0].message.content


def test_by_name(serve, mocks):
    """Each model has its server; a name that nobody has is a 404."""
    a, b = mocks("from a"), mocks("from b")
    server = serve(f"""
upstreams:
  - {{name: a, base_url: "{a.url}", models: [big, {{fast: small-8b}}]}}
  - {{name: b, base_url: "{b.url}", models: [other]}}
""")
    assert [m.id for m in server.client.models.list()] == ["big", "fast", "other"]
    assert server.client.models.retrieve("fast").id == "fast"
    answer = ask(server, "Hi", model="fast")
    assert answer.choices[0].message.content == "from a"
    assert answer.model == "fast"
    assert a.requests[-1]["model"] == "small-8b"
    assert said(server, model="other") == "from b"
    assert b.requests[-1]["model"] == "other"
    with pytest.raises(openai.NotFoundError):
        said(server, model="small-8b")
    with pytest.raises(openai.NotFoundError):
        server.client.models.retrieve("nobody")


def test_any_name(serve, mocks):
    a, rest = mocks("from a"), mocks("the rest")
    server = serve(f"""
upstreams:
  - {{name: a, base_url: "{a.url}", models: [a]}}
  - {{name: rest, base_url: "{rest.url}", models: ["*"]}}
""")
    assert said(server, model="a") == "from a"
    assert said(server, model="whatever") == "the rest"
    assert rest.requests[-1]["model"] == "whatever"


def test_engine_beside(serve, mocks):
    """The local model and a server elsewhere, behind one address."""
    a = mocks("from a")
    server = serve(f"""
backend: {{engine: {{}}}}
model_name: local
upstreams: [{{name: a, base_url: "{a.url}", models: [a]}}]
""")
    assert said(server, model="a") == "from a"
    assert said(server, model="local", max_tokens=3)
    assert len(a.requests) == 1
    with pytest.raises(openai.NotFoundError):
        said(server, model="b")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [502, 503, 504, 429])
def test_another_member(serve, mocks, status, stream):
    """Before the first byte another server takes over, unseen."""
    bad, good = mocks("bad"), mocks("good")
    bad.status = status
    server = serve(f"""
upstreams:
  - {{name: p, base_urls: ["{bad.url}", "{NOBODY}", "{good.url}"], models: [m]}}
""")
    for _ in range(6):
        if stream:
            assert join(ask(server, "Hi", model="m", stream=True))[0] == "good"
        else:
            assert said(server, model="m") == "good"
    assert len(bad.requests) <= 6


@pytest.mark.parametrize("status,seen", [(500, 502), (400, 400), (401, 502)])
def test_not_again(serve, mocks, status, seen):
    """What another server would say as well is not asked again."""
    bad = mocks("bad")
    bad.status = status
    server = serve(f"""
upstreams:
  - {{name: p, base_urls: ["{bad.url}", "{bad.url}"], models: [m]}}
""")
    with pytest.raises(openai.APIStatusError) as e:
        said(server, model="m")
    assert e.value.status_code == seen
    assert len(bad.requests) == 1


def test_not_after_the_first_byte(serve, mocks):
    broken, good = mocks("half an answer"), mocks("good")
    broken.pieces, broken.break_after = ["half ", "an answer"], 1
    server = serve(f"""
upstreams:
  - {{name: p, base_url: "{broken.url}", models: [m], fallbacks: [good]}}
  - {{name: g, base_url: "{good.url}", models: [good]}}
""")
    with pytest.raises(openai.APIStatusError):
        said(server, model="m")
    assert good.requests == []


def test_fallback(serve, mocks):
    """To another upstream's model, or the engine's; loops end."""
    good = mocks("good")
    server = serve(f"""
backend: {{engine: {{}}}}
model_name: local
upstreams:
  - {{name: p, base_url: "{NOBODY}", models: [m], fallbacks: [back, good]}}
  - {{name: b, base_url: "{NOBODY}", models: [back], fallbacks: [m]}}
  - {{name: g, base_url: "{good.url}", models: [{{good: inner}}]}}
  - {{name: l, base_url: "{NOBODY}", models: [far], fallbacks: [local]}}
""")
    answer = ask(server, "Hi", model="m")
    assert answer.choices[0].message.content == "good"
    assert answer.model == "m"
    assert good.requests[-1]["model"] == "inner"
    assert said(server, model="far", max_tokens=3)
    with pytest.raises(openai.APIStatusError) as e:
        said(server, model="back")
    assert e.value.status_code == 503


def test_breaker(serve, mocks):
    """A server that keeps failing is left alone, then tried again."""
    bad = mocks("bad")
    bad.status = 500
    server = serve(f"""
upstreams:
  - name: p
    base_url: "{bad.url}"
    models: [m]
    health: {{failures: 2, rest_ms: 1000, interval_ms: 0}}
""")
    codes = []
    for _ in range(5):
        with pytest.raises(openai.APIStatusError) as e:
            said(server, model="m")
        codes.append(e.value.status_code)
    assert codes == [502, 502, 503, 503, 503]
    assert len(bad.requests) == 2
    assert server.metric("corral_upstream_members_up") == 0
    bad.status = 200
    assert until(lambda: server.metric("corral_upstream_members_up") == 1)
    assert said(server, model="m") == "bad"
    assert "upstream_down" in server.stderr() and "upstream_up" in server.stderr()


@pytest.mark.parametrize(
    "status, reason",
    [(401, "the upstream answered 401"), (404, "the upstream answered 404"), (400, "the upstream refused the request")],
)
def test_why_is_told_in_the_log(serve, mocks, status, reason):
    """Clients are not told of a wrong key or model; the operator is, and not
    once for each of a thousand calls."""
    mock = mocks("never")
    mock.status, mock.body = status, b'{"error": {"message": "SECRET WORDS"}}'
    server = serve(f"backend: {{openai: {{base_url: '{mock.url}'}}}}")
    for _ in range(3):
        with pytest.raises(openai.APIStatusError) as caught:
            ask(server)
        assert str(status) not in caught.value.response.json()["error"]["message"]
    told = [line for line in server.stderr().splitlines() if "event=upstream_failed" in line]
    assert len(told) == 1 and f'reason="{reason}" untold=0' in told[0], told
    assert "SECRET" not in server.stderr()


def test_busy(serve, mocks):
    """Retry-After is kept, and a client hears 429 meanwhile."""
    busy = mocks("busy")
    busy.status = 429
    busy.extra = {"retry-after": "60"}
    server = serve(f"""
upstreams: [{{name: p, base_url: "{busy.url}", models: [m]}}]
""")
    for _ in range(3):
        with pytest.raises(openai.RateLimitError) as e:
            said(server, model="m")
        assert e.value.response.headers["retry-after"]
    assert len(busy.requests) == 1


def test_health(serve, mocks):
    """A server that went is found before a client finds it, and so is its
    return."""
    a = mocks("from a")
    a.get_status = 503
    server = serve(f"""
upstreams:
  - name: p
    base_url: "{a.url}"
    models: [m]
    api_key_env: HEALTH_KEY
    health: {{path: /health, interval_ms: 50, failures: 2, rest_ms: 3600000}}
""")
    assert until(lambda: server.metric("corral_upstream_members_up") == 0)
    assert a.gets[0][0] == "/v1/health"
    assert a.gets[0][1] == "Bearer sesame"
    assert a.requests == []
    a.get_status = 200
    assert until(lambda: server.metric("corral_upstream_members_up") == 1)
    assert said(server, model="m") == "from a"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("HEALTH_KEY", "sesame")


def test_weights(serve, mocks):
    """The one with the least to do for its weight."""
    a, b = mocks("a"), mocks("b")
    a.pause = b.pause = 1.0
    server = serve(f"""
upstreams:
  - name: p
    base_urls: [{{url: "{a.url}", weight: 3}}, {{url: "{b.url}"}}]
    models: [m]
""")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: said(server, model="m"), range(8)))
    assert len(a.requests) == 6 and len(b.requests) == 2


def test_key_file(serve, mocks, tmp_path):
    a = mocks("a")
    (tmp_path / "a.key").write_text("open-sesame\n")
    server = serve(f"""
upstreams: [{{name: p, base_url: "{a.url}", models: [m], api_key_file: a.key}}]
""")
    said(server, model="m")
    assert a.headers[0]["authorization"] == "Bearer open-sesame"
    server.stop()
    (tmp_path / "a.key").write_text("\n")
    with pytest.raises(RuntimeError, match="holds no key"):
        serve(f"""
upstreams: [{{name: p, base_url: "{a.url}", models: [m], api_key_file: a.key}}]
""")


def test_no_such_fallback(serve, mocks):
    with pytest.raises(RuntimeError, match="no model"):
        serve(f"""
upstreams: [{{name: p, base_url: "{NOBODY}", models: [m], fallbacks: [x]}}]
""")
