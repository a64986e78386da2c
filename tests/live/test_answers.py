"""What the official client gets from the local model."""

import json
import re

from conftest import RULES, run


def ask(server, content="Write one sentence about the sea.", **kwargs):
    kwargs.setdefault("max_tokens", 24)
    kwargs.setdefault("temperature", 0)
    return server.client.chat.completions.create(
        model=kwargs.pop("model", "default"),
        messages=[{"role": "user", "content": content}],
        **kwargs,
    )


def join(stream):
    text, chunks = "", []
    for chunk in stream:
        chunks.append(chunk)
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
    return text, chunks


def test_answer(corral):
    answer = ask(corral)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert "sea" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_stream_is_the_answer(corral):
    whole = ask(corral).choices[0].message.content
    text, chunks = join(ask(corral, stream=True))
    assert text == whole
    assert chunks[0].object == "chat.completion.chunk"
    assert len({c.id for c in chunks}) == 1
    assert all(c.usage is None for c in chunks)


def test_stream_usage(corral):
    _, chunks = join(ask(corral, stream=True, stream_options={"include_usage": True}))
    last = chunks[-1]
    assert last.choices == []
    assert last.usage.completion_tokens > 0
    ends = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert ends[-1] in ("stop", "length") and not any(ends[:-1])


def test_max_tokens(corral):
    answer = ask(corral, max_tokens=5)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 5


def test_stop(corral):
    whole = ask(corral, max_tokens=24).choices[0].message.content
    word = whole.split()[3]
    cut = whole.split(word)[0]
    assert len(cut) > 3
    answer = ask(corral, stop=[word])
    assert answer.choices[0].message.content == cut
    assert answer.choices[0].finish_reason == "stop"
    text, _ = join(ask(corral, stop=word, stream=True))
    assert text == cut


def test_seed(corral):
    def sample(seed):
        return (
            ask(corral, "Tell me a story.", temperature=1.0, seed=seed)
            .choices[0]
            .message.content
        )

    assert sample(7) == sample(7)
    assert len({sample(seed) for seed in range(1, 5)}) > 1


def test_json_schema(corral):
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 40},
            "large": {"type": "boolean"},
        },
        "required": ["city", "large"],
        "additionalProperties": False,
    }
    answer = ask(
        corral,
        "Tell me about Paris.",
        max_tokens=80,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "city", "strict": True, "schema": schema},
        },
    )
    value = json.loads(answer.choices[0].message.content)
    assert set(value) == {"city", "large"}
    assert isinstance(value["city"], str) and isinstance(value["large"], bool)


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 40}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def test_client_tool_call(corral):
    answer = ask(
        corral,
        "What is the weather in Rome?",
        tools=[WEATHER],
        tool_choice="required",
        max_tokens=100,
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather" and call.id
    assert set(json.loads(call.function.arguments)) == {"city"}


def test_client_tool_call_streamed(corral):
    stream = ask(
        corral,
        "What is the weather in Rome?",
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        max_tokens=100,
        stream=True,
    )
    name, arguments, finish = "", "", None
    for chunk in stream:
        if not chunk.choices:
            continue
        for call in chunk.choices[0].delta.tool_calls or []:
            name += call.function.name or ""
            arguments += call.function.arguments or ""
        finish = chunk.choices[0].finish_reason or finish
    assert (name, finish) == ("get_weather", "tool_calls")
    assert set(json.loads(arguments)) == {"city"}


def test_tool_result_is_read(corral):
    answer = corral.client.chat.completions.create(
        model="default",
        messages=[
            {"role": "user", "content": "What is the weather in Rome?"},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {
                            "name": "get_weather",
                            "arguments": '{"city":"Rome"}',
                        },
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "22 degrees, sunny"},
        ],
        tools=[WEATHER],
        max_tokens=30,
        temperature=0,
    )
    assert answer.choices[0].message.content


def test_server_tool(start, policies):
    """A tool of Corral's own runs inside; the client sees the answer only."""
    server = start("--policy", policies("tools", RULES), "--tools", "calculator")
    answer = ask(
        server,
        "What is 1234 * 5678? Use the calculator.",
        max_tokens=120,
    )
    # Call and result were judged, so the tool ran.
    metrics = server.http.get("/metrics").text
    for channel in ("tool_call", "tool_result"):
        assert re.search(
            rf'corral_verdicts_total{{channel="{channel}",result="allowed"}} [1-9]',
            metrics,
        )
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert not answer.choices[0].message.tool_calls
    assert answer.usage.prompt_tokens > 0


def test_models(corral):
    models = corral.client.models.list().data
    assert [m.id for m in models] == ["SmolLM2-135M-Instruct.Q4_1"]
    assert corral.client.models.retrieve(models[0].id).owned_by == "corral"


def test_several_at_once(corral):
    """What one client gets does not depend on who else asks."""
    from concurrent.futures import ThreadPoolExecutor

    questions = [f"Write one sentence about {c}." for c in ("cats", "rain", "bread")]
    alone = [ask(corral, q).choices[0].message.content for q in questions]
    with ThreadPoolExecutor(6) as pool:
        together = list(
            pool.map(lambda q: ask(corral, q).choices[0].message.content, questions * 2)
        )
    # Float rounding may turn a near-tie; the beginning must agree.
    for got, want in zip(together, alone * 2):
        assert got[:12] == want[:12]


def test_generate_agrees_with_itself():
    args = ["generate", "-p", "The capital of France is", "-n", "8", "--json"]
    first, second = run(*args), run(*args)
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["tokens"] == json.loads(second.stdout)["tokens"]
    assert "Paris" in json.loads(first.stdout)["text"]
