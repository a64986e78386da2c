"""The official Ollama client against the same server."""

import asyncio
import json

import ollama
import pytest

from conftest import RULES

MODEL = "SmolLM2-135M-Instruct.Q4_1"
SEA = [{"role": "user", "content": "Write one sentence about the sea."}]
BAD = [{"role": "user", "content": "Tell me about the zebra crossing."}]
ROME = [{"role": "user", "content": "What is the weather in Rome?"}]
REFUSAL = "I can't help with that."
OPTIONS = {"temperature": 0, "num_predict": 24}


def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
      city: The city's name.
    """
    return f"In {city}: 22 degrees, sunny"


def client(server, kind=ollama.Client):
    return kind(host=server.url, timeout=120)


def chat(server, messages=SEA, options=OPTIONS, **kwargs):
    return client(server).chat(model=MODEL, messages=messages, options=options, **kwargs)


def join(parts):
    parts = list(parts)
    assert [p.done for p in parts] == [False] * (len(parts) - 1) + [True]
    return "".join(p.message.content or "" for p in parts), parts


def test_chat(corral):
    answer = chat(corral)
    assert answer.message.role == "assistant" and "sea" in answer.message.content
    assert answer.done and answer.done_reason in ("stop", "length")
    assert answer.prompt_eval_count > 0 and answer.eval_count > 0
    # What was measured adds up.
    assert 0 < answer.eval_duration < answer.total_duration
    assert 0 < answer.prompt_eval_duration
    assert answer.prompt_eval_duration + answer.eval_duration <= answer.total_duration


def test_stream_is_the_answer(corral):
    whole = chat(corral)
    text, parts = join(chat(corral, stream=True))
    assert text == whole.message.content
    assert parts[-1].done_reason == whole.done_reason
    assert parts[-1].eval_count == whole.eval_count


def test_streams_unless_told_not_to(corral):
    body = {"model": MODEL, "messages": SEA, "options": {"num_predict": 4}}
    response = corral.http.post("/api/chat", json=body)
    assert response.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert len(lines) > 1 and lines[-1]["done_reason"] == "length"
    assert lines[-1]["eval_count"] == 4
    response = corral.http.post("/api/chat", json={**body, "stream": False})
    assert response.headers["content-type"].startswith("application/json")


def test_generate(corral):
    c = client(corral)
    ask = {"model": MODEL, "prompt": SEA[0]["content"], "options": OPTIONS}
    whole = c.generate(**ask)
    assert whole.response == chat(corral).message.content
    assert whole.done_reason in ("stop", "length")
    parts = list(c.generate(**ask, stream=True))
    assert "".join(p.response for p in parts) == whole.response and parts[-1].done
    # The system turn is read, and counted.
    with_system = c.generate(**ask, system="Answer like a pirate.")
    assert with_system.prompt_eval_count != whole.prompt_eval_count


def test_async(corral):
    async def both():
        c = client(corral, ollama.AsyncClient)
        ask = {"model": MODEL, "messages": SEA, "options": OPTIONS}
        whole = await c.chat(**ask)
        text = ""
        async for part in await c.chat(**ask, stream=True):
            text += part.message.content or ""
        return whole.message.content, text

    whole, text = asyncio.run(both())
    assert whole == text and "sea" in whole


def test_options(corral):
    whole = chat(corral).message.content
    word = whole.split()[3]
    assert chat(corral, options={**OPTIONS, "stop": [word]}).message.content == whole.split(word)[0]
    seeds = [
        chat(corral, options={"temperature": 1, "seed": seed, "num_predict": 16}).message.content
        for seed in (7, 7, 1, 2, 3)
    ]
    assert seeds[0] == seeds[1] and len(set(seeds)) > 1


def test_format(corral):
    schema = {
        "type": "object",
        "properties": {"large": {"type": "boolean"}},
        "required": ["large"],
        "additionalProperties": False,
    }
    ask = [{"role": "user", "content": "Is Paris large?"}]
    answer = chat(corral, ask, format=schema, options={"num_predict": 40, "temperature": 0})
    assert isinstance(json.loads(answer.message.content)["large"], bool)
    answer = client(corral).generate(
        model=MODEL, prompt="Is Paris large?", format=schema, options={"num_predict": 40}
    )
    assert isinstance(json.loads(answer.response)["large"], bool)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_tools(corral, stream):
    """A call, its result, and an answer to both. Calls have no ids here."""
    options = {"temperature": 0, "num_predict": 100}
    answer = chat(corral, ROME, options, tools=[get_weather], stream=stream)
    messages = [part.message for part in answer] if stream else [answer.message]
    calls = [call for m in messages for call in m.tool_calls or []]
    assert [call.function.name for call in calls] == ["get_weather"]
    assert set(calls[0].function.arguments) == {"city"}
    result = get_weather(**calls[0].function.arguments)
    after = chat(
        corral,
        [
            *ROME,
            {"role": "assistant", "content": "", "tool_calls": calls},
            {"role": "tool", "tool_name": "get_weather", "content": result},
        ],
        options,
        tools=[get_weather],
    )
    assert after.message.content


def test_logprobs(corral):
    answer = chat(corral, logprobs=True, top_logprobs=2)
    assert "".join(entry.token for entry in answer.logprobs) == answer.message.content
    assert all(len(entry.top_logprobs) <= 2 for entry in answer.logprobs)
    parts = list(chat(corral, logprobs=True, stream=True))
    tokens = [entry.token for part in parts for entry in part.logprobs or []]
    assert tokens == [entry.token for entry in answer.logprobs]


def test_models(corral):
    c = client(corral)
    (listed,) = c.list().models
    assert listed.model == MODEL and listed.size > 0
    assert listed.details.format == "gguf" and listed.details.quantization_level == "Q4_1"
    assert [m.model for m in c.ps().models] == [MODEL]
    shown = c.show(MODEL + ":latest")
    assert shown.modelinfo["llama.context_length"] > 0
    assert "completion" in shown.capabilities and "tools" in shown.capabilities
    with pytest.raises(ollama.ResponseError) as e:
        c.show("another")
    assert e.value.status_code == 404
    assert corral.http.get("/api/version").json()["version"]


def test_refused(corral):
    answer = chat(corral, BAD)
    assert answer.message.content == REFUSAL
    assert answer.done_reason == "content_filter"
    text, parts = join(chat(corral, BAD, stream=True))
    assert text == REFUSAL and parts[-1].done_reason == "content_filter"
    answer = client(corral).generate(model=MODEL, prompt=BAD[0]["content"])
    assert answer.response == REFUSAL
    body = corral.http.post(
        "/api/chat", json={"model": MODEL, "messages": BAD, "stream": False}
    ).json()
    assert body["corral"]["checks"] == ["no-stripes"] and body["corral"]["decision_id"]


def test_error_mode(start, policies, upstream):
    policy = policies("error-mode", RULES + "on_block: error\n")
    server = start("--policy", policy, "--upstream", upstream.url)
    for stream in (False, True):
        with pytest.raises(ollama.ResponseError) as e:
            list(chat(server, BAD, stream=stream))
        assert e.value.status_code == 400
        assert "content policy" in e.value.error
    assert upstream.requests == []


def test_upstream_breaks(start, policies, upstream):
    """After the head is out, a line is the only way left to say so."""
    upstream.pieces = ["Hello there, this is a long enough text to be let go. "] * 8
    upstream.break_after = 7
    server = start("--policy", policies("live", RULES), "--upstream", upstream.url)
    with pytest.raises(ollama.ResponseError) as e:
        list(chat(server, stream=True))
    assert e.value.error


@pytest.mark.parametrize(
    "path, change",
    [
        ("chat", {"messages": []}),
        ("chat", {"messages": [{"role": "user", "content": "a", "images": ["aGk="]}]}),
        ("chat", {"messages": SEA, "think": True}),
        ("chat", {"messages": SEA, "options": {"mirostat": 1}}),
        ("chat", {"messages": [*SEA, {"role": "tool", "content": "a"}]}),
        ("generate", {"prompt": ""}),
        ("generate", {"prompt": "a", "raw": True}),
        ("generate", {"prompt": "a", "context": [1, 2]}),
        ("generate", {"prompt": "a", "suffix": "b"}),
    ],
)
def test_bad(corral, path, change):
    response = corral.http.post(f"/api/{path}", json={"model": MODEL, **change})
    assert response.status_code == 400, response.text
    assert isinstance(response.json()["error"], str) and response.json()["param"]


def test_errors_before(corral):
    for response, status in (
        (corral.http.get("/api/chat"), 405),
        (corral.http.post("/api/nix", json={}), 404),
        (corral.http.post("/api/chat", content="x"), 400),
        (corral.http.post("/api/chat", json=[]), 400),
    ):
        assert response.status_code == status
        assert isinstance(response.json()["error"], str)


def test_content_type(corral):
    """Left out it is JSON, unless a web page says so."""
    body = b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": false, "options": {"num_predict": 1}}'
    post = lambda **headers: corral.http.post("/api/chat", content=body, headers=headers)
    assert post().status_code == 200
    assert post(origin="http://elsewhere.example").status_code == 415
    assert post(**{"content-type": "text/plain"}).status_code == 415
    assert corral.http.post("/v1/chat/completions", content=body).status_code == 415
