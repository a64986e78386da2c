"""Each API's own errors, whoever makes them: the connection (413), the router
(404), an upstream that is busy or ill (429, 503), a model that cannot see."""

import anthropic
import ollama
import openai
import pytest

from conftest import RULES

IMAGE = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture()
def server(policies, upstream, start, tmp_path):
    config = tmp_path / "corral.yaml"
    config.write_text(
        f"policy: {policies('live', RULES)}\n"
        "limits: {body_bytes_max: 20000}\n"
        f'upstreams: [{{name: up, base_url: "{upstream.url}", models: [m], retries: 0}}]\n'
    )
    return start("-c", config)


def openai_ask(server, text="hi", model="m"):
    return server.client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}]
    )


def anthropic_ask(server, text="hi", model="m"):
    client = anthropic.Anthropic(base_url=server.url, api_key="unused", max_retries=0)
    return client.messages.create(
        model=model, max_tokens=9, messages=[{"role": "user", "content": text}]
    )


def ollama_ask(server, text="hi", model="m"):
    return ollama.Client(host=server.url).chat(
        model=model, messages=[{"role": "user", "content": text}]
    )


ASKS = [
    (openai_ask, openai.APIStatusError),
    (anthropic_ask, anthropic.APIStatusError),
    (ollama_ask, ollama.ResponseError),
]


@pytest.mark.parametrize("ask, kind", ASKS, ids=["openai", "anthropic", "ollama"])
@pytest.mark.parametrize(
    "status, type_, make",
    [
        (413, "request_too_large", {"text": "a" * 30000}),
        (404, "not_found_error", {"model": "nobody"}),
        (429, "rate_limit_error", {}),
        (503, "overloaded_error", {}),
    ],
    ids=["413", "404", "429", "503"],
)
def test_shapes(server, upstream, ask, kind, status, type_, make):
    if not make:
        upstream.status = status
    with pytest.raises(kind) as caught:
        ask(server, **make)
    error = caught.value
    assert error.status_code == status, error
    if kind is anthropic.APIStatusError:
        assert error.body["type"] == "error" and error.body["error"]["type"] == type_
    elif kind is openai.APIStatusError:
        assert set(error.body) == {"message", "type", "param", "code"}
    else:
        assert error.error and "{" not in error.error


@pytest.mark.parametrize(
    "path, body, field",
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": IMAGE}}]}]}, "messages[0].content[0]"),
        ("/v1/responses", {"input": [{"role": "user", "content": [
            {"type": "input_image", "image_url": IMAGE}]}]}, "input[0].content[0]"),
        ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]}]},
            "messages[0].content[0]"),
        ("/api/chat", {"messages": [{"role": "user", "content": "a", "images": ["iVBORw0KGgo="]}]},
            "messages[0].images"),
    ],
)  # fmt: skip
def test_images(server, upstream, path, body, field):
    answer = server.http.post(path, json={"model": "m", **body})
    assert answer.status_code == 400
    error = answer.json()["error"]
    told = answer.json().get("param") if isinstance(error, str) else error.get("param")
    assert told == field, answer.text
    assert upstream.requests == []
