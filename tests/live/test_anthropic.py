"""The official Anthropic client against the same server."""

import asyncio
import json

import anthropic
import pytest

from conftest import RULES

SEA = [{"role": "user", "content": "Write one sentence about the sea."}]
BAD = [{"role": "user", "content": "Tell me about the zebra crossing."}]
ROME = [{"role": "user", "content": "What is the weather in Rome?"}]
REFUSAL = "I can't help with that."
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 40}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def client(server, kind=anthropic.Anthropic):
    return kind(base_url=server.url, api_key="unused", max_retries=0, timeout=120)


def options(messages=SEA, **kwargs):
    """The client has no temperature of its own any more; the API has."""
    fields = {"temperature": 0, **kwargs.pop("extra_body", {})}
    return {
        "model": "default",
        "max_tokens": 24,
        "messages": messages,
        "extra_body": fields,
        **kwargs,
    }


def ask(server, messages=SEA, **kwargs):
    return client(server).messages.create(**options(messages, **kwargs))


def stream(server, messages=SEA, **kwargs):
    """The text, the whole message and the events' types."""
    text, types = "", []
    with client(server).messages.stream(**options(messages, **kwargs)) as events:
        for event in events:
            types.append(event.type)
            if event.type == "text":
                text += event.text
        return text, events.get_final_message(), types


def test_answer(corral):
    answer = ask(corral)
    assert answer.type == "message" and answer.role == "assistant"
    assert [block.type for block in answer.content] == ["text"]
    assert "sea" in answer.content[0].text
    assert answer.stop_reason in ("end_turn", "max_tokens")
    assert answer.usage.input_tokens > 0 or answer.usage.cache_read_input_tokens > 0
    assert answer.usage.output_tokens > 0
    assert answer.id.startswith("msg_")


def test_stream_is_the_answer(corral):
    whole = ask(corral)
    text, message, _ = stream(corral)
    assert text == whole.content[0].text == message.content[0].text
    assert message.stop_reason == whole.stop_reason
    assert message.usage.output_tokens == whole.usage.output_tokens
    # Together, since the second one finds the prompt in the cache.
    for answer in (whole, message):
        usage = answer.usage
        read = usage.input_tokens + usage.cache_read_input_tokens
        assert read == client(corral).messages.count_tokens(
            model="default", messages=SEA).input_tokens


def test_event_order(corral):
    body = {**options(stream=True, max_tokens=6), "temperature": 0}
    body.pop("extra_body")
    text = corral.http.post("/v1/messages", json=body).text
    events = [part.split("\n") for part in text.strip().split("\n\n")]
    names = [lines[0].removeprefix("event: ") for lines in events]
    assert names[:3] == ["message_start", "ping", "content_block_start"]
    assert set(names[3:-3]) == {"content_block_delta"}
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    for name, lines in zip(names, events):
        assert len(lines) == 2
        assert json.loads(lines[1].removeprefix("data: "))["type"] == name


def test_async(corral):
    async def both():
        c = client(corral, anthropic.AsyncAnthropic)
        whole = await c.messages.create(**options())
        async with c.messages.stream(**options()) as events:
            text = "".join([piece async for piece in events.text_stream])
        return whole.content[0].text, text

    whole, text = asyncio.run(both())
    assert whole == text and "sea" in whole


def test_max_tokens(corral):
    answer = ask(corral, max_tokens=5)
    assert answer.stop_reason == "max_tokens"
    assert answer.usage.output_tokens == 5


def test_stop_sequence(corral):
    whole = ask(corral).content[0].text
    word = whole.split()[3]
    answer = ask(corral, stop_sequences=[word])
    assert answer.content[0].text == whole.split(word)[0]


def test_system_counts(corral):
    """Text and blocks of text say the same."""
    c = client(corral)

    def count(**kwargs):
        return c.messages.count_tokens(
            model="default", messages=SEA, **kwargs
        ).input_tokens

    text = count(system="Answer like a pirate.")
    blocks = count(system=[{"type": "text", "text": "Answer like a pirate."}])
    # Without one, the model's own stands there, so they can be of any length.
    assert text == blocks != count()
    assert count(tools=[WEATHER]) > count()


def test_tools(corral):
    """A call, its result, and an answer to both."""
    answer = ask(corral, ROME, tools=[WEATHER], tool_choice={"type": "any"}, max_tokens=100)
    assert answer.stop_reason == "tool_use"
    call = answer.content[-1]
    assert call.type == "tool_use" and call.name == "get_weather" and call.id
    assert set(call.input) == {"city"}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "22 degrees, sunny"}
    after = ask(
        corral,
        [
            *ROME,
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": [result]},
        ],
        tools=[WEATHER],
        max_tokens=30,
    )
    assert after.content[0].text


def test_tools_streamed(corral):
    _, message, types = stream(
        corral,
        ROME,
        tools=[WEATHER],
        tool_choice={"type": "tool", "name": "get_weather"},
        max_tokens=100,
    )
    assert message.stop_reason == "tool_use"
    assert [b.type for b in message.content][-1] == "tool_use"
    assert set(message.content[-1].input) == {"city"}
    assert "input_json" in types


def test_json_schema(corral):
    schema = {
        "type": "object",
        "properties": {"large": {"type": "boolean"}},
        "required": ["large"],
        "additionalProperties": False,
    }
    answer = ask(
        corral,
        [{"role": "user", "content": "Is Paris large?"}],
        output_config={"format": {"type": "json_schema", "schema": schema}},
        max_tokens=40,
    )
    assert isinstance(json.loads(answer.content[0].text)["large"], bool)


def check_refusal(message):
    assert message.stop_reason == "refusal"
    assert message.stop_details.type == "refusal"
    assert message.content[0].text == REFUSAL


def test_refused(corral):
    answer = ask(corral, BAD)
    check_refusal(answer)
    assert answer.corral["checks"] == ["no-stripes"]
    assert answer.corral["channel"] == "input" and answer.corral["decision_id"]
    _, message, _ = stream(corral, BAD)
    check_refusal(message)


def test_refused_answer(start, policies, upstream):
    upstream.pieces = ["The zebra", " crossing", "."]
    server = start("--policy", policies("live", RULES), "--upstream", upstream.url)
    check_refusal(ask(server))
    text, message, _ = stream(server)
    assert message.stop_reason == "refusal" and "crossing" not in text


def test_error_mode(start, policies, upstream):
    policy = policies("error-mode", RULES + "on_block: error\n")
    server = start("--policy", policy, "--upstream", upstream.url)
    for way in (ask, stream):
        with pytest.raises(anthropic.BadRequestError) as e:
            way(server, BAD)
        error = e.value.body["error"]
        assert e.value.body["type"] == "error"
        assert error["type"] == "invalid_request_error"
        assert error["code"] == "content_filter"
    assert upstream.requests == []
    # What is not counted here is not guessed.
    with pytest.raises(anthropic.BadRequestError) as e:
        client(server).messages.count_tokens(model="default", messages=SEA)
    assert e.value.body["error"]["code"] == "unsupported"


def test_upstream_breaks(start, policies, upstream):
    """After the head is out, an event is the only way left to say so."""
    upstream.pieces = ["Hello there, this is a long enough text to be let go. "] * 8
    upstream.break_after = 7
    server = start("--policy", policies("live", RULES), "--upstream", upstream.url)
    with pytest.raises(anthropic.APIStatusError) as e:
        stream(server)
    assert e.value.body["type"] == "error"
    assert e.value.body["error"]["type"] == "api_error"


@pytest.mark.parametrize(
    "change, param",
    [
        ({"messages": []}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"extra_body": {"temperature": 2}}, "temperature"),
        ({"tools": [{**WEATHER, "name": "a b"}]}, "tools[0].name"),
        ({"messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "url", "url": "http://a/b"}}]}]},
         "messages[0].content[0]"),
    ],
)  # fmt: skip
def test_bad(corral, change, param):
    with pytest.raises(anthropic.BadRequestError) as e:
        ask(corral, **change)
    assert e.value.body["type"] == "error"
    assert e.value.body["error"]["type"] == "invalid_request_error"
    assert e.value.body["error"]["param"] == param


def test_errors_before(corral):
    """What is refused before the body is read has the same shape."""
    path = "/v1/messages"
    json_type = {"content-type": "application/json"}
    for response, status, type_ in (
        (corral.http.get(path), 405, "invalid_request_error"),
        (corral.http.post(path, content="x"), 415, "invalid_request_error"),
        (corral.http.post(path, content="{", headers=json_type), 400, "invalid_request_error"),
        (corral.http.post(path + "/nix", json={}), 404, "not_found_error"),
    ):  # fmt: skip
        assert response.status_code == status, response.text
        body = response.json()
        assert body["type"] == "error" and body["error"]["type"] == type_
        assert body["error"]["message"]
