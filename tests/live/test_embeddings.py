"""/v1/embeddings, with the real client."""

import math

import httpx2 as httpx
import openai
import pytest

from conftest import RULES, SECRET, until
from mock_upstream import MockUpstream


def embed(corral, input_, **options):
    options.setdefault("encoding_format", "float")
    return corral.client.embeddings.create(model="any", input=input_, **options)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def test_vector(corral):
    answer = embed(corral, "A cat sat on the mat.")
    vector = answer.data[0].embedding
    assert len(vector) == 576  # SmolLM2-135M's width
    assert math.isclose(dot(vector, vector), 1, abs_tol=1e-4)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


def test_near_and_far(corral):
    texts = [
        "The cat is sleeping on the sofa",
        "A cat sleeps on the couch",
        "def add(a, b): return a + b",
    ]
    a, b, c = (d.embedding for d in embed(corral, texts).data)
    assert dot(a, b) > dot(a, c)


def test_list_is_each_alone(corral):
    texts = ["one", "two two", "three"]
    together = embed(corral, texts)
    assert [d.index for d in together.data] == [0, 1, 2]
    for text, found in zip(texts, together.data):
        assert embed(corral, text).data[0].embedding == pytest.approx(found.embedding, abs=1e-5)


def test_base64(corral):
    """What the client asks for by itself, and decodes."""
    plain = embed(corral, "hello").data[0].embedding
    packed = embed(corral, "hello", encoding_format=openai.NOT_GIVEN).data[0].embedding
    assert packed == pytest.approx(plain, abs=1e-6)
    raw = corral.http.post(
        "/v1/embeddings", json={"model": "m", "input": "hello", "encoding_format": "base64"}
    ).json()
    assert len(raw["data"][0]["embedding"]) == 4 * 576 * 4 // 3


def test_dimensions(corral):
    whole = embed(corral, "hello").data[0].embedding
    short = embed(corral, "hello", dimensions=32).data[0].embedding
    length = math.sqrt(dot(whole[:32], whole[:32]))
    assert short == pytest.approx([x / length for x in whole[:32]], abs=1e-5)


@pytest.mark.parametrize("input_", ["the zebra crossing", ["fine", "the zebra crossing"]])
def test_blocked(corral, input_):
    with pytest.raises(openai.BadRequestError) as caught:
        embed(corral, input_)
    assert caught.value.code == "content_filter"
    assert "zebra" not in str(caught.value)


def test_redacted(corral):
    """The model reads what the policy has left of the text."""
    secret = embed(corral, f"My key is {SECRET}.").data[0].embedding
    mark = embed(corral, "My key is [API_KEY].").data[0].embedding
    assert secret == pytest.approx(mark, abs=1e-5)


@pytest.mark.parametrize(
    "field, asked",
    [
        ("input", {"input": []}),
        ("input", {"input": ""}),
        ("input", {"input": [1, 2]}),
        ("input", {"input": [[1], [2]]}),
        ("input", {"input": ["a"] * 257}),
        ("dimensions", {"input": "a", "dimensions": 577}),
        ("dimensions", {"input": "a", "dimensions": 0}),
        ("encoding_format", {"input": "a", "encoding_format": "hex"}),
    ],
)
def test_refused(corral, field, asked):
    answer = corral.http.post("/v1/embeddings", json={"model": "m", **asked})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == field


def vectors(count, size=3):
    """As a server may send them: in any order."""
    return {
        "object": "list",
        "model": "theirs",
        "data": [
            {"object": "embedding", "index": i, "embedding": [i + 0.5] * size}
            for i in reversed(range(count))
        ],
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


@pytest.fixture()
def behind(policies, upstream, start):
    """A server that asks another for its vectors."""
    upstream.sse = False
    upstream.raw = vectors(2)
    return start("--policy", policies("live", RULES), "--upstream", upstream.url)


def test_upstream(behind, upstream):
    answer = embed(behind, ["one", f"My key is {SECRET}."])
    assert [d.embedding for d in answer.data] == [[0.5] * 3, [1.5] * 3]
    assert answer.model == "any" and answer.usage.prompt_tokens == 7
    assert upstream.paths == ["/v1/embeddings"]
    assert upstream.requests[0] == {
        "model": "any",
        "encoding_format": "float",
        "input": ["one", "My key is [API_KEY]."],
    }


def test_upstream_base64_and_dimensions(behind, upstream):
    upstream.raw = vectors(1, 4)
    answer = embed(behind, "hi", dimensions=2, encoding_format=openai.NOT_GIVEN)
    assert upstream.requests[0]["dimensions"] == 2
    # It did not heed them: the first two numbers, brought to length 1.
    assert answer.data[0].embedding == pytest.approx([0.5**0.5] * 2, abs=1e-6)


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "m", "input": ["fine", "the zebra crossing"]},
        {"model": "zebra crossing", "input": "fine"},
    ],
)
def test_upstream_blocked(behind, upstream, asked):
    answer = behind.http.post("/v1/embeddings", json=asked)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "content_filter"
    assert upstream.requests == []


def broken(change):
    answer = vectors(2)
    change(answer)
    return answer


@pytest.mark.parametrize(
    "raw",
    [
        [],
        {},
        vectors(1),
        vectors(3),
        broken(lambda a: a["data"][0].update(index=0)),
        broken(lambda a: a["data"][0].update(index=2)),
        broken(lambda a: a["data"][0].pop("index")),
        broken(lambda a: a["data"][0].update(embedding=[1])),
        broken(lambda a: a["data"][1].update(embedding=[])),
        broken(lambda a: a["data"][0].update(embedding=[1, 2, "zebra crossing"])),
        broken(lambda a: a["data"][0].update(embedding="zebra crossing")),
        broken(lambda a: a["data"][0].update(embedding=[1e300, 1, 1])),
    ],
)
def test_upstream_answers_nonsense(behind, upstream, raw):
    upstream.raw = raw
    answer = behind.http.post("/v1/embeddings", json={"model": "m", "input": ["a", "b"]})
    assert answer.status_code == 502
    assert "zebra" not in answer.text


@pytest.mark.parametrize(
    "status, told, code",
    [(400, 400, "invalid_request"), (404, 502, "bad_gateway"), (500, 502, "bad_gateway")],
)
def test_upstream_refuses(behind, upstream, status, told, code):
    upstream.status = status
    answer = behind.http.post("/v1/embeddings", json={"model": "m", "input": "a"})
    assert answer.status_code == told
    assert answer.json()["error"]["code"] == code


def test_upstream_next_member(policies, upstream, start, tmp_path):
    """Another server is asked when one is busy."""
    other = MockUpstream()
    other.sse, other.raw = False, vectors(1)
    upstream.status = 429
    config = tmp_path / "corral.yaml"
    config.write_text(
        f"policy: {policies('live', RULES)}\n"
        "upstreams:\n"
        "  - name: pool\n"
        f'    base_urls: [{{url: "{upstream.url}"}}, {{url: "{other.url}"}}]\n'
        "    models: [m]\n"
    )
    server = start("-c", config)
    for _ in range(3):
        answer = server.http.post("/v1/embeddings", json={"model": "m", "input": "a"})
        assert answer.status_code == 200, answer.text
    assert len(other.requests) == 3
    other.close()


def test_upstream_client_leaves(behind, upstream):
    """The question to the server is given up with it."""
    upstream.whole_pause = 1.0
    name = 'corral_requests_total{route="embeddings",status="other"}'
    with pytest.raises(httpx.ReadTimeout):
        behind.http.post("/v1/embeddings", json={"model": "m", "input": ["a", "b"]}, timeout=0.3)
    assert until(lambda: behind.metric(name) == 1)
    upstream.whole_pause = 0
    assert len(embed(behind, ["a", "b"]).data) == 2
