"""LiteLLM as a client: what other programs call Corral through."""

import litellm
import pytest

from conftest import RULES

ASK = [{"role": "user", "content": "hi"}]


@pytest.fixture()
def server(policies, upstream, start):
    return start("--policy", policies("live", RULES), "--upstream", upstream.url)


def ask(server, provider="openai", route="/v1", **options):
    options.setdefault("messages", ASK)
    return litellm.completion(
        model=f"{provider}/m", api_base=server.url + route, api_key="unused", num_retries=0, **options
    )


def test_answer(server):
    answer = ask(server)
    assert answer.choices[0].message.content == "Hello there."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == 3 and answer.usage.completion_tokens == 5


def test_stream(server):
    chunks = list(ask(server, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello there."
    whole = litellm.stream_chunk_builder(chunks, messages=ASK)
    assert whole.usage.total_tokens == 8


@pytest.mark.parametrize("stream", [False, True])
def test_refused(server, upstream, stream):
    answer = ask(server, stream=stream, messages=[{"role": "user", "content": "the zebra crossing"}])
    if stream:
        chunks = list(answer)
        text = "".join(c.choices[0].delta.content or "" for c in chunks)
        finish = chunks[-1].choices[0].finish_reason
    else:
        text, finish = answer.choices[0].message.content, answer.choices[0].finish_reason
    assert text == "I can't help with that." and finish == "content_filter"
    assert upstream.requests == []


def test_tool_call(server, upstream):
    function = {"name": "look", "parameters": {"type": "object"}}
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    upstream.raw = [
        {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    ]
    answer = ask(server, tools=[{"type": "function", "function": function}])
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls[0].function.name == "look"


def test_errors(server, upstream):
    """Its own exceptions, by our statuses."""
    upstream.status = 429
    with pytest.raises(litellm.RateLimitError):
        ask(server)
    upstream.status = 200
    with pytest.raises(litellm.BadRequestError):
        ask(server, messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}])


def test_embedding(server, upstream):
    upstream.sse, upstream.raw = False, {"data": [{"index": 0, "embedding": [1, 2]}]}
    answer = litellm.embedding(
        model="openai/m", input=["hi"], api_base=server.url + "/v1", api_key="unused", encoding_format="float"
    )
    assert answer.data[0]["embedding"] == [1, 2]


def test_anthropic(server):
    """Through the Messages API."""
    answer = ask(server, "anthropic", "", max_tokens=20)
    assert answer.choices[0].message.content == "Hello there."


def test_ollama(server):
    answer = ask(server, "ollama_chat", "")
    assert answer.choices[0].message.content == "Hello there."


def test_responses(server):
    answer = litellm.responses(
        model="openai/m", input="hi", api_base=server.url + "/v1", api_key="unused"
    )
    assert answer.output[0].content[0].text == "Hello there."
