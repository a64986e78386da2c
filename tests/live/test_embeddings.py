"""/v1/embeddings, with the real client."""

import math

import openai
import pytest

from conftest import RULES, SECRET


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


def test_upstream_is_not_asked(policies, upstream, start):
    server = start("--policy", policies("live", RULES), "--upstream", upstream.url)
    answer = server.http.post("/v1/embeddings", json={"model": "m", "input": "a"})
    assert answer.status_code == 400
    assert upstream.requests == []
